import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { listen } from '../../http/listen.ts'
import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { type Directory, signDirectory } from '../protocol/network/directory.ts'
import { generateIdentity } from '../protocol/network/identity.ts'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import { encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { createGatewayKey, keyConfigOf } from '../protocol/ohttp/keys.ts'
import { generateTokenKey } from '../tokens/blindRsa/keys.ts'
import { afterTest, codeOf, mintIn, newFolder } from './mint.fixture.ts'

const identity = generateIdentity()
const key = await createGatewayKey(nodeHpke, 1, await nodeHpke.generateKeyPair())
const keys = Buffer.from(encodeKeyConfigs([keyConfigOf(key)])).toString('base64')
const token = {
  key: Buffer.from((await generateTokenKey()).publicKey.spki).toString('base64'),
  notBefore: 0,
  notAfter: 4_000_000_000,
}
const seconds = () => Math.floor(Date.now() / 1_000)

/** A signed directory of an epoch; `variant` makes it another document. */
const directoryOf = (epoch: number, variant = 1, more: Partial<Directory> = {}, by = identity) =>
  signDirectory(by, {
    version: 1,
    gateway: 'main',
    epoch,
    notBefore: seconds() - 10,
    notAfter: seconds() + 3_600,
    keys,
    mints: [{ name: 'mint.example', url: 'http://mint.example', keys: [token] }],
    changeKeys: [token],
    ceilings: [1, 4, 16].slice(0, variant),
    nodes: [],
    ...more,
  })

/** A gateway that shows what it is told to. */
async function startGateway(first: string) {
  const gateway = {
    url: '',
    asked: 0,
    show: first as string | ((response: ServerResponse) => void),
    listening: await listen(
      (request, response) => {
        gateway.asked += 1
        expect(`${request.method} ${request.url}`).toBe('GET /directory')
        if (typeof gateway.show === 'string')
          response.writeHead(200, { 'content-type': mediaTypes.directory }).end(gateway.show)
        else gateway.show(response)
      },
      { what: 'gateway' },
    ),
  }
  gateway.url = gateway.listening.url
  afterTest(() => gateway.listening.close())
  return gateway
}

/** A mint that witnesses it, and looks whenever it is asked. */
async function witness(gateway: { readonly url: string }, state = newFolder(), limits = {}) {
  const warnings: [string, object][] = []
  const nothing = () => undefined
  const mint = await mintIn(state, {
    witness: { main: { url: gateway.url, identity: identity.identity } },
    limits: { directoryHold: 0, directory: 2_000, ...limits },
    logger: {
      debug: nothing,
      info: nothing,
      error: nothing,
      warn: (fields, message) => void warnings.push([message, fields]),
    },
  })
  const ask = (epoch: number | string) => fetch(`${mint.url}/directories/main/${epoch}`)
  return { ...mint, state, ask, warnings }
}

const told = async (answer: Response) =>
  answer.status === 200 ? await answer.text() : [answer.status, await codeOf(answer)]
const kept = (state: string) => readdirSync(join(state, 'directories', 'main'))

describe('a witness', () => {
  it('gives the directory of an epoch as the gateway gave it, and asks for each once', async () => {
    const first = await directoryOf(7)
    const gateway = await startGateway(first)
    const { url, ask } = await witness(gateway, undefined, { directoryHold: 3_600_000 })
    const answers = await Promise.all(Array.from({ length: 10 }, () => ask(7)))
    expect(answers[0]?.headers.get('content-type')).toBe(mediaTypes.directory)
    for (const answer of answers) expect(await told(answer)).toBe(first)
    expect(await told(await fetch(`${url}${routes.mint.directory('main', 7)}`))).toBe(first)
    expect(await told(await ask('latest'))).toBe(first)
    expect(gateway.asked).toBe(1)
  })

  it('knows epochs that have gone, through a restart and without the gateway', async () => {
    const documents = [await directoryOf(1), await directoryOf(2), await directoryOf(3)]
    const gateway = await startGateway('')
    const first = await witness(gateway)
    for (const document of documents) {
      gateway.show = document
      expect(await told(await first.ask('latest'))).toBe(document)
    }
    await first.close()
    await gateway.listening.close()
    const second = await witness(gateway, first.state)
    for (const [at, document] of documents.entries())
      expect(await told(await second.ask(at + 1))).toBe(document)
    expect(await told(await second.ask(4))).toEqual([502, 'gateway_unreachable'])
    expect(await told(await second.ask('latest'))).toEqual([502, 'gateway_unreachable'])
  })

  it('says so when a gateway shows two documents for an epoch, keeps both, and never gives either again', async () => {
    const [first, second, third] = [await directoryOf(5), await directoryOf(5, 2), await directoryOf(5, 3)]
    const gateway = await startGateway(first)
    const before = await witness(gateway)
    expect(await told(await before.ask(5))).toBe(first)
    for (const document of [second, third, first]) {
      gateway.show = document
      expect(await told(await before.ask('latest'))).toEqual([409, 'equivocation'])
      expect(await told(await before.ask(5))).toEqual([409, 'equivocation'])
    }
    expect(before.warnings).toEqual([
      ['A gateway has shown two directories for one epoch.', { gateway: 'main', epoch: 5 }],
    ])
    const evidence = kept(before.state).map((file) =>
      readFileSync(join(before.state, 'directories', 'main', file), 'utf8'),
    )
    expect(evidence.sort()).toEqual([first, second].sort())
    await before.close()
    const after = await witness(gateway, before.state)
    expect(await told(await after.ask(5))).toEqual([409, 'equivocation'])
    gateway.show = await directoryOf(6)
    expect(await told(await after.ask(6))).toBe(gateway.show)
  })

  it('finds that out beside, when it is only asked for what it has', async () => {
    const gateway = await startGateway(await directoryOf(5))
    const { ask } = await witness(gateway)
    expect((await ask(5)).status).toBe(200)
    gateway.show = await directoryOf(5, 2)
    let answer = await ask(5)
    while (answer.status === 200) answer = await ask(5)
    expect(await told(answer)).toEqual([409, 'equivocation'])
  })

  it('takes no epoch that is older than what it has seen', async () => {
    const gateway = await startGateway(await directoryOf(9))
    const { ask, state } = await witness(gateway)
    const newest = await told(await ask(9))
    gateway.show = await directoryOf(8)
    expect(await told(await ask(8))).toEqual([404, 'epoch_unknown'])
    expect(await told(await ask('latest'))).toBe(newest)
    expect(kept(state)).toHaveLength(1)
  })

  it('knows nothing of an epoch that has not come', async () => {
    const { ask } = await witness(await startGateway(await directoryOf(9)))
    expect(await told(await ask(10))).toEqual([404, 'epoch_unknown'])
  })

  it('keeps the newest epochs, and every one that convicts', async () => {
    const gateway = await startGateway(await directoryOf(1))
    const { ask, state } = await witness(gateway, undefined, { epochs: 2 })
    await ask('latest')
    gateway.show = await directoryOf(1, 2)
    await ask('latest')
    for (const epoch of [2, 3, 4]) {
      gateway.show = await directoryOf(epoch)
      expect((await ask('latest')).status).toBe(200)
    }
    const statuses = await Promise.all([1, 2, 3, 4].map(async (epoch) => (await ask(epoch)).status))
    expect(statuses).toEqual([409, 404, 200, 200])
    expect(kept(state)).toHaveLength(4)
  })

  it.each<[string, number, string, () => Promise<string | ((response: ServerResponse) => void)>]>([
    ['is of another gateway', 502, 'directory_invalid', () => directoryOf(1, 1, { gateway: 'other' })],
    ['somebody else signed', 502, 'directory_invalid', () => directoryOf(1, 1, {}, generateIdentity())],
    ['is not signed', 502, 'directory_invalid', async () => 'e30.e30.e30'],
    ['is nothing', 502, 'directory_invalid', async () => ''],
    ['has ended', 502, 'directory_invalid', () => directoryOf(1, 1, { notAfter: seconds() - 1 })],
    ['has not begun', 502, 'directory_invalid', () => directoryOf(1, 1, { notBefore: seconds() + 1_000 })],
    ['is no directory', 502, 'gateway_unreachable', async () => (response) => void response.end('hello')],
    ['does not come', 504, 'gateway_timeout', async () => () => undefined],
    ['is broken off', 502, 'gateway_unreachable', async () => (response) => void response.destroy()],
  ])('keeps no document that %s', async (_, status, code, show) => {
    const gateway = await startGateway('')
    gateway.show = await show()
    const { ask, state } = await witness(gateway, undefined, { directory: 300 })
    expect(await told(await ask(1))).toEqual([status, code])
    expect(await told(await ask('latest'))).toEqual([status, code])
    expect(kept(state)).toEqual([])
  })

  it.each([
    ['other/1', 'gateway_unknown'],
    ['__proto__/1', 'gateway_unknown'],
    ['main/0', 'epoch_unknown'],
    ['main/-1', 'epoch_unknown'],
    ['main/01', 'epoch_unknown'],
    ['main/1.5', 'epoch_unknown'],
    ['main/1e3', 'epoch_unknown'],
    ['main/9007199254740993', 'epoch_unknown'],
    ['main/', 'epoch_unknown'],
    ['main/1/2', 'not_found'],
    ['main', 'epoch_unknown'],
  ])('has nothing at /directories/%s', async (path, code) => {
    const { url } = await witness(await startGateway(await directoryOf(1)))
    const answer = await fetch(`${url}/directories/${path}`)
    expect([answer.status, await codeOf(answer)]).toEqual([404, code])
  })

  it('gives nothing of a file that was changed', async () => {
    const gateway = await startGateway(await directoryOf(1))
    const { ask, state } = await witness(gateway)
    expect((await ask(1)).status).toBe(200)
    const [file = ''] = kept(state)
    writeFileSync(join(state, 'directories', 'main', file), await directoryOf(1, 2))
    expect(await told(await ask(1))).toEqual([500, 'failed'])
  })
})
