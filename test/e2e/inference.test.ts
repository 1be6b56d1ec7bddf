import { once } from 'node:events'
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import OpenAI from 'openai'
import { describe, expect, it, onTestFinished } from 'vitest'
import { z } from 'zod'
import { type Command, finished, rialto, scratchFolder } from './rialto.ts'

const CAVEAT = 'one operator plays every role here: no anonymity'

const lastLine = (text: string): string | undefined => text.trim().split('\n').at(-1)

/** What a role prints with `--json` once it listens. */
const listening = z.looseObject({ role: z.string(), url: z.url() })

/** Waits for a role's one line. */
async function ready(command: Command): Promise<Record<string, unknown> & { url: string }> {
  while (!command.stdout().includes('\n')) {
    const ended = await Promise.race([
      command.exit.then(() => true),
      once(command.child.stdout ?? command.child, 'data').then(() => false),
    ])
    if (ended) throw new Error(`it ended before it listened:\n${command.stderr()}`)
  }
  return listening.parse(JSON.parse(command.stdout().split('\n')[0] ?? ''))
}

/** A model server that repeats what it is asked. */
async function startEcho(): Promise<string> {
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => {
      body += part
    })
    request.on('end', () => {
      response.setHeader('content-type', 'application/json')
      if (request.url === '/v1/models') {
        response.end(JSON.stringify({ object: 'list', data: [{ id: 'echo' }] }))
        return
      }
      const { model, messages } = JSON.parse(body) as { model: string; messages: { content: string }[] }
      response.end(
        JSON.stringify({
          id: 'x',
          object: 'chat.completion',
          created: 1,
          model,
          choices: [
            {
              index: 0,
              finish_reason: 'stop',
              message: { role: 'assistant', content: `echo: ${messages[0]?.content}` },
            },
          ],
          usage: { prompt_tokens: 10, completion_tokens: 10, total_tokens: 20 },
        }),
      )
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
}

const pathSchema = z.looseObject({
  relay: z.url(),
  gateway: z.string(),
  node: z.string(),
  privacy: z.string(),
  receipt: z.string(),
  spent: z.int(),
  returned: z.int(),
})
const askSchema = z.strictObject({
  answer: z.string(),
  path: pathSchema,
  seen: z.record(
    z.enum(['relay', 'gateway', 'node', 'mint']),
    z.strictObject({ sees: z.string(), never: z.string() }),
  ),
  balance: z.int(),
  anonymous: z.boolean(),
})
const findingsSchema = z.array(
  z.strictObject({ what: z.string(), state: z.enum(['ok', 'failed', 'unchecked']), detail: z.string() }),
)

describe('rialto inference, on the loopback network', { timeout: 120_000 }, () => {
  it('asks one question, and says which way it went, who saw what, and what it cost', async () => {
    const folder = scratchFolder()
    const { code, stdout, stderr } = await finished(
      rialto(['inference', 'ask', 'What is a health factor?'], { folder }),
    )
    expect(code, stderr).toBe(0)
    expect(stdout).toContain('a formula and not a language model')
    expect(stderr).toContain(CAVEAT)
    expect(stderr).toMatch(/you → relay \S+ → gateway loopback → node-[ab] \(operator-[ab]\)/)
    expect(stderr).toMatch(/cost +1 token, \d+ came back as change; receipt ok/)
    for (const role of ['relay', 'gateway', 'node', 'mint'])
      expect(stderr).toMatch(new RegExp(`^ +${role} `, 'm'))

    const again = await finished(rialto(['inference', 'ask', 'Again?', '--json'], { folder }))
    expect(again.code, again.stderr).toBe(0)
    const asked = askSchema.parse(JSON.parse(again.stdout))
    expect(asked).toMatchObject({ anonymous: false, path: { privacy: 'private', receipt: 'ok', spent: 1 } })
    // The faucet gave 128 once, and each question took one.
    expect(asked.balance).toBe(126)
  })

  it('verifies what can be verified, and says what cannot', async () => {
    const { code, stdout, stderr } = await finished(
      rialto(['inference', 'verify', '--json'], { folder: scratchFolder() }),
    )
    expect(code, stderr).toBe(0)
    const findings = findingsSchema.parse(JSON.parse(stdout))
    expect(findings.filter(({ state }) => state === 'failed')).toEqual([])
    for (const what of ['directory', 'consistency', 'mint keys', 'nodes', 'model', 'receipt'])
      expect(findings).toContainEqual(expect.objectContaining({ what, state: 'ok' }))
    expect(findings).toContainEqual({ what: 'cannot see', state: 'unchecked', detail: CAVEAT })
  })

  it('backs a wallet up and finds its tokens again from the seed', async () => {
    const folder = scratchFolder()
    const run = (...argv: string[]) => finished(rialto(['inference', ...argv], { folder }))
    expect((await run('ask', 'Hello?')).code).toBe(0)
    const seed = await run('wallet', 'seed', '--purse', 'ask')
    expect(seed.stdout).toMatch(/^[0-9a-f]{64}\n$/)
    const seedFile = join(folder, 'seed.txt')
    writeFileSync(seedFile, seed.stdout, { mode: 0o600 })
    const purses = join(folder, 'inference', 'purses')
    writeFileSync(join(purses, 'back.account'), readFileSync(join(purses, 'ask.account')), { mode: 0o600 })
    const found = await run('wallet', 'recover', '--purse', 'back', '--seed-file', seedFile, '--json')
    expect(found.code, found.stderr).toBe(0)
    const balance = async (purse: string) =>
      (JSON.parse((await run('wallet', 'balance', '--purse', purse, '--json')).stdout) as { ready: number })
        .ready
    expect(await balance('back')).toBe(await balance('ask'))

    writeFileSync(seedFile, 'nonsense')
    const wrong = await run('wallet', 'recover', '--purse', 'other', '--seed-file', seedFile)
    expect(wrong.code).toBe(2)
    expect(wrong.stderr).toContain('holds no seed: 64 hex digits')
    expect((await run('wallet', 'seed', '--purse', 'nobody')).code).toBe(2)
  })

  it('serves any OpenAI client of this machine', async () => {
    const folder = scratchFolder()
    const proxy = rialto(['inference', 'proxy', '--port', '0', '--json'], {
      folder,
      env: { RIALTO_PROXY_KEY: 'own-key' },
    })
    const { url } = await ready(proxy)
    const client = new OpenAI({ baseURL: url, apiKey: 'own-key', maxRetries: 0 })
    const [model] = (await client.models.list()).data
    expect(model).toMatchObject({ id: 'rialto-reference-analyst-1', privacy: 'private' })
    const answer = await client.chat.completions.create({
      model: model?.id ?? '',
      messages: [{ role: 'user', content: 'a-secret-question' }],
    })
    expect(answer.choices[0]?.message.content).toContain('a formula')
    await expect(
      new OpenAI({ baseURL: url, apiKey: 'wrong', maxRetries: 0 }).models.list(),
    ).rejects.toMatchObject({
      status: 401,
    })
    await expect(client.embeddings.create({ model: model?.id ?? '', input: 'x' })).rejects.toMatchObject({
      status: 400,
    })
    // A second command on the same folder uses the network that the first one started.
    const asked = await finished(rialto(['inference', 'ask', 'Hello?', '--json'], { folder }))
    expect(asked.code, asked.stderr).toBe(0)
    expect(asked.stderr).not.toContain('one is started')
    proxy.child.kill('SIGTERM')
    expect(await proxy.exit).toBe(0)
    expect(proxy.stderr()).not.toContain('a-secret-question')
  })

  it('uses the network of the runtime that runs on the same folder', async () => {
    const folder = scratchFolder()
    const play = rialto(['start', '--scenario', 'oracle-glitch', '--blocks', '12', '--port', '0'], { folder })
    await play.untilNoted(/✓ inference .*through relay, gateway and two nodes on loopback/)
    const { code, stdout, stderr } = await finished(
      rialto(['inference', 'ask', 'Hello?', '--json'], { folder }),
    )
    expect(code, stderr).toBe(0)
    expect(stderr).not.toContain('one is started')
    expect(askSchema.parse(JSON.parse(stdout)).anonymous).toBe(false)
  })
})

describe('the roles, each alone', { timeout: 120_000 }, () => {
  it('make a network of separate processes that survives the death of its gateway', async () => {
    const folder = scratchFolder()
    const upstream = await startEcho()
    const at = (name: string) => join(folder, name)
    const run = (argv: readonly string[], env: Readonly<Record<string, string>> = {}) =>
      rialto(['inference', ...argv], { folder: at('rialto'), env })
    const identity = async (state: string) => {
      const { stdout } = await finished(run(['identity', '--state', at(state), '--json']))
      return (JSON.parse(stdout) as { identity: string }).identity
    }
    const gatewayIdentity = await identity('gateway')
    expect(await identity('gateway')).toBe(gatewayIdentity)
    expect(statSync(join(at('gateway'), 'identity')).mode & 0o077).toBe(0)

    const offered = [
      '--model',
      'big',
      '--upstream-model',
      'echo',
      '--price-prompt',
      '50000',
      '--price-completion',
      '50000',
    ]
    const node = await ready(
      run(
        [
          ...[
            'node',
            '--state',
            at('node'),
            '--name',
            'n1',
            '--operator',
            'ann',
            '--gateway',
            gatewayIdentity,
          ],
          ...['--upstream', upstream, ...offered, '--port', '0', '--json'],
        ],
        { RIALTO_UPSTREAM_KEY: 'upstream-key' },
      ),
    )
    // Mint and gateway name each other, so the gateway's port is found by starting it once.
    const mintArguments = (gateway: string) => [
      ...['mint', '--state', at('mint'), '--name', 'm', '--faucet', '500', '--port', '0', '--json'],
      ...['--witness', `g=${gateway}#${gatewayIdentity}`],
    ]
    const gatewayArguments = (mint: string, port: string) => [
      ...['gateway', '--state', at('gateway'), '--name', 'g', '--mint', `m=${mint}`, '--json'],
      ...['--node', `${node.url}#${String(node.identity)}`, '--port', port],
    ]
    const probe = run(gatewayArguments('http://127.0.0.1:9', '0'))
    const { url: gatewayUrl } = await ready(probe)
    probe.child.kill('SIGTERM')
    expect(await probe.exit).toBe(0)
    const { port } = new URL(gatewayUrl)
    const { url: mint } = await ready(run(mintArguments(gatewayUrl)))
    const gateway = run(gatewayArguments(mint, port))
    await ready(gateway)
    const relay = await ready(
      run(['relay', '--port', '0', '--json'], { RIALTO_RELAY_GATEWAYS: `g=${gatewayUrl}` }),
    )
    const network = at('network.json')
    mkdirSync(at('rialto'), { recursive: true })
    writeFileSync(
      network,
      JSON.stringify({
        relays: [relay.url],
        gateway: { name: 'g', identity: gatewayIdentity, witnesses: [mint] },
        mint: { name: 'm', url: mint },
      }),
    )

    const ask = async (question: string) => finished(run(['ask', question, '--network', network, '--json']))
    const first = await ask('one')
    expect(first.code, first.stderr).toBe(0)
    expect(askSchema.parse(JSON.parse(first.stdout))).toMatchObject({
      answer: 'echo: one',
      anonymous: true,
      path: { gateway: 'g', node: 'n1', operator: 'ann', model: 'big', receipt: 'ok', spent: 1 },
    })

    gateway.child.kill('SIGKILL')
    await gateway.exit
    const second = await ask('two')
    expect(second.code).toBe(1)
    // Which of the two depends on whether the relay still holds the directory.
    expect(lastLine(second.stderr)).toMatch(/^rialto: The (gateway was not reached|directory of the gateway)/)

    await ready(run(gatewayArguments(mint, port)))
    const third = await ask('three')
    expect(third.code, third.stderr).toBe(0)
    const { answer, balance } = askSchema.parse(JSON.parse(third.stdout))
    expect(answer).toBe('echo: three')
    // Two answers took a token each; what the dead gateway had been sent came back.
    expect(balance).toBe(126)

    for (const url of [relay.url, gatewayUrl, mint, node.url])
      expect(await (await fetch(`${url}/healthz`)).json()).toEqual({ status: 'ok' })
  })

  it.each([
    [['relay'], /required option '--gateway/],
    [['relay', '--gateway', 'g'], /must be a name and a URL/],
    [['relay', '--gateway', 'g=ftp://x'], /must be an http/],
    [['relay', '--gateway', 'g=http://u:secret@x'], /holds credentials/],
    [
      [
        'node',
        '--state',
        's',
        '--name',
        'n',
        '--operator',
        'o',
        '--upstream',
        'http://x',
        '--model',
        'm',
        '--gateway',
        'x',
      ],
      /must be an identity/,
    ],
    [['mint', '--state', 's', '--name', 'a b'], /must be a name/],
    [['ask'], /missing required argument/],
    [['ask', 'x', '--network', 'none.json'], /Cannot read the network none.json/],
    [['ask', 'x', '--privacy', 'local'], /Allowed choices are attested, private, anonymized/],
    [['proxy', '--port', '70000'], /must be a port/],
    [['everything'], /unknown command/],
  ])('say in one line what is wrong with %j', async (argv, message) => {
    const { code, stdout, stderr } = await finished(
      rialto(['inference', ...argv], { folder: scratchFolder() }),
    )
    expect(code).toBe(2)
    expect(stdout).toBe('')
    expect(stderr).toMatch(message)
    expect(stderr).not.toContain('secret')
  })
})
