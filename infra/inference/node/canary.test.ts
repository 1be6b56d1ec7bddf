import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { entryPoint } from '../../process/entryPoint.ts'
import { exportIdentityKey } from '../protocol/network/identity.ts'
import { headers } from '../protocol/network/routes.ts'
import { ask, authorize, fetchKey, gateway, model, nodeIdentity, post, sealFor } from './node.fixture.ts'
import {
  beginStream,
  chunk,
  completion,
  event,
  json,
  type ScriptedUpstream,
  startScriptedUpstream,
} from './upstream.fixture.ts'

/** Words that stand for what belongs to the user, and for the node's own secret. */
const PROMPT = 'canary-prompt-4d1f0a'
const SAID = 'canary-completion-93b2c7'
const HEADER = 'canary-header-5e77aa'
const KEY = 'canary-upstream-key-c0ffee'
const canaries = [PROMPT, SAID, HEADER, KEY]

let upstream: ScriptedUpstream
let child: ChildProcess
let url = ''
let home = ''
let written = ''
const published: string[] = []

beforeAll(async () => {
  upstream = await startScriptedUpstream()
  home = mkdtempSync(join(tmpdir(), 'rialto-canary-'))
  const { path, execArgv } = entryPoint(import.meta.url, './testCanaryNode')
  const options = {
    seed: Buffer.from(exportIdentityKey(nodeIdentity)).toString('hex'),
    gateway: gateway.identity.text,
    upstream: { url: upstream.url, key: KEY },
    models: [model(), model({ id: 'outside', upstreamModel: 'own', privacy: 'anonymized' })],
  }
  child = spawn(process.execPath, [...execArgv, path, JSON.stringify(options)], {
    cwd: home,
    env: { PATH: process.env.PATH ?? '', HOME: home, TMPDIR: home, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stderr?.on('data', (part: Buffer) => {
    written += part.toString('latin1')
  })
  url = await new Promise<string>((resolve, reject) => {
    child.once('exit', () => reject(new InvariantError('The node did not start.')))
    child.stdout?.on('data', (part: Buffer) => {
      written += part.toString('latin1')
      const found = /^url (.*)$/m.exec(written)?.[1]
      if (found !== undefined) resolve(found)
    })
  })
})
afterAll(async () => {
  if (child.exitCode === null) child.kill('SIGKILL')
  await upstream.close()
  rmSync(home, { recursive: true, force: true })
})

const node = () => ({ url })
const body = (fields: object = {}) => ({
  model: 'public/model-1',
  messages: [{ role: 'user', content: PROMPT }],
  user: PROMPT,
  ...fields,
})
const fields = [
  ['x-canary', HEADER],
  ['cookie', HEADER],
] as const

const answers: [string, ScriptedUpstream['answer']][] = [
  ['answers', (_, response) => json(response, 200, completion(SAID))],
  ['refuses', (_, response) => json(response, 400, { error: { message: `${PROMPT} ${SAID}` } })],
  ['fails with a page', (_, response) => response.writeHead(500).end(`${PROMPT} ${SAID}`)],
  ['answers with a page', (_, response) => response.end(`${PROMPT} ${SAID}`)],
  [
    'answers with broken JSON',
    (_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(`{"${SAID}`),
  ],
  ['refuses the key', (_, response) => json(response, 401, { error: { message: KEY } })],
  ['points elsewhere', (_, response) => response.writeHead(302, { location: `/${SAID}` }).end()],
  ['answers no HTTP', (_, response) => response.socket?.end(`${SAID} ${PROMPT}\r\n\r\n`)],
  [
    'answers with a broken head',
    (_, response) => response.socket?.end(`HTTP/1.1 200 OK\r\n${SAID}\0: x\r\n\r\n`),
  ],
  ['hangs up', (_, response) => response.destroy()],
  [
    'streams',
    (_, response) => {
      beginStream(response)
      response.end(event(chunk({ content: SAID })) + event('[DONE]'))
    },
  ],
  [
    'breaks off',
    (_, response) => {
      beginStream(response)
      response.write(event(chunk({ content: SAID })), () => response.destroy())
    },
  ],
  [
    'streams nonsense',
    (_, response) => {
      beginStream(response)
      response.end(`data: {"usage":{${SAID}\n\ndata: ${PROMPT}\n\n`)
    },
  ],
]

it('writes nothing of a prompt, a completion, a header or a key anywhere, whatever happens to it', async () => {
  const visible: Buffer[] = []
  for (const [, answer] of answers) {
    upstream.answer = answer
    for (const name of ['public/model-1', 'outside'])
      for (const stream of [false, true]) {
        const { sealed } = await sealFor(await fetchKey(url), body({ model: name, stream }), { fields })
        const raw = await post(`${url}/ohttp`, sealed, { [headers.authorization]: authorize(sealed) })
        visible.push(raw.body, Buffer.from(JSON.stringify(raw.headers)))
      }
  }
  // What never gets as far as the upstream.
  const asked = [
    ask(node(), undefined, { plaintext: Buffer.from(PROMPT) }),
    ask(node(), Buffer.from(`{"model":"${PROMPT}`)),
    ask(node(), body({ model: PROMPT })),
    ask(node(), body({ n: PROMPT })),
    ask(node(), body({ [PROMPT.toUpperCase()]: 1, MODEL: PROMPT })),
    ask(node(), body(), { path: `/v1/${PROMPT}` }),
    ask(node(), body(), { method: PROMPT }),
    ask(node(), body(), { fields: [['rialto-cells', HEADER]] }),
    ask(node(), body({ messages: [{ content: PROMPT.repeat(50_000) }] }), { ceiling: 1 }),
  ]
  for (const { status } of await Promise.all(asked)) expect([400, 402, 404]).toContain(status)
  // What is said in the clear.
  for (const path of ['/ohttp', `/${PROMPT}`, `/description?${PROMPT}`])
    await fetch(url + path, {
      method: 'POST',
      body: PROMPT,
      headers: { 'rialto-authorization': HEADER, 'x-canary': HEADER },
    })
  await fetch(`${url}/${PROMPT}`, { headers: { 'x-canary': HEADER } })

  for (const path of ['/metrics', '/healthz', '/description'])
    published.push(await (await fetch(url + path)).text())
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  expect(await ended).toBe(0)

  // It was no sham: the upstream saw the prompts, the node logged and counted.
  expect(upstream.questions.filter(({ body: sent }) => sent.includes(PROMPT)).length).toBeGreaterThanOrEqual(
    answers.length * 4,
  )
  expect(written).toContain('node listens')
  expect(published[0]).toContain('outcome="upstream_failed"')
  expect(published[0]).toContain('outcome="cut"')

  const files = readdirSync(home, { recursive: true, encoding: 'utf8' })
    .map((name) => join(home, name))
    .filter((path) => statSync(path).isFile())
  const places = new Map<string, string>([
    ['stdout and stderr', written],
    ['metrics, health and description', published.join('\n')],
    ['what the gateway sees', Buffer.concat(visible).toString('latin1')],
    ...files.map((path) => [path, readFileSync(path, 'latin1')] as const),
  ])
  for (const canary of canaries)
    for (const form of formsOf(canary))
      for (const [place, text] of places)
        expect(text.toLowerCase().includes(form), `${canary} in ${place}`).toBe(false)
})

/** How a word may be written: as it is, in hex, and in base64 at each of the three places at which it can begin. */
const formsOf = (word: string): string[] => [
  word,
  Buffer.from(word).toString('hex'),
  ...[0, 1, 2].map((shift) =>
    Buffer.from(' '.repeat(shift) + word)
      .toString('base64')
      .slice(shift === 0 ? 0 : shift + 1, -4)
      .toLowerCase(),
  ),
]
