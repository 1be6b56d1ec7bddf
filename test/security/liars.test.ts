import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAccountKey } from '../../infra/inference/client/mint.ts'
import { openPrivateNetwork, type PrivateNetwork } from '../../infra/inference/client/openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from '../../infra/inference/client/testNetwork.ts'
import { completion } from '../../infra/inference/client/testRoles.ts'
import { type Mint, startMint } from '../../infra/inference/mint/startMint.ts'
import { readIdentity } from '../../infra/inference/protocol/network/identity.ts'
import { tokenRequestLength } from '../../infra/inference/protocol/network/payment.ts'
import { problemSchema } from '../../infra/inference/protocol/network/problem.ts'
import { mediaTypes, routes } from '../../infra/inference/protocol/network/routes.ts'
import { OHTTP_KEY_PROBLEM } from '../../infra/inference/protocol/ohttp/mediaTypes.ts'
import { type Relay, startRelay } from '../../infra/inference/relay/startRelay.ts'
import { generateTokenKey } from '../../infra/inference/tokens/blindRsa/keys.ts'
import {
  decodeTokenRequest,
  encodeTokenResponse,
  issueToken,
} from '../../infra/inference/tokens/privacyPass/issuance.ts'
import { openWallet } from '../../infra/inference/tokens/wallet/openWallet.ts'
import { createDirectories } from './markedDirectories.ts'

/*
 * Peers that lie to one client, and how it finds out. What the client's own tests show of lies within an answer
 * (infra/inference/client/lies.test.ts) is not shown again; here keys are made for one client alone, in front of the
 * real relay and with the real mint for a witness, and answers are taken from somewhere else.
 */

const GATEWAY = 'gate'
const closing: (() => Promise<unknown>)[] = []
const opened: PrivateNetwork[] = []
afterEach(async () => {
  for (const each of opened.splice(0)) await each.close(0)
})
afterAll(async () => {
  for (const close of closing.reverse()) await close()
})

/** A server that gives a text for a path, and remembers what it was asked. */
async function serveTexts(
  textOf: (path: string) => { readonly type: string; readonly text: string } | undefined,
) {
  const asked: string[] = []
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    const found = textOf(request.url ?? '')
    response.writeHead(found === undefined ? 404 : 200, { 'content-type': found?.type ?? 'text/plain' })
    response.end(found?.text)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked }
}

const askedOf = (body: string) => ({ method: 'POST', body })
const QUESTION = JSON.stringify({ model: 'model-a', messages: [{ role: 'user', content: 'Who am I?' }] })

/** The refusal of a request, which is in OpenAI's shape. */
async function refusalOf(response: Response) {
  const { error } = problemSchema.parse(await response.json())
  return { status: response.status, code: error.code, rialto: error.rialto }
}

describe('keys that are made for one client', () => {
  /** What the gateway shows to a client's relay, and to the witness, which asks from elsewhere. */
  const shown = { client: '', witness: '' }
  let folder: string
  let directories: Awaited<ReturnType<typeof createDirectories>>
  let front: Awaited<ReturnType<typeof serveTexts>>
  let relay: Relay
  let mint: Mint
  let mints = 0

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rialto-liars-'))
    closing.push(() => rm(folder, { recursive: true }))
  })
  /** Everybody begins anew: what a witness has seen, it does not forget. */
  beforeEach(async () => {
    const serve = (to: keyof typeof shown) =>
      serveTexts((path) =>
        path === routes.gateway.directory ? { type: mediaTypes.directory, text: shown[to] } : undefined,
      )
    front = await serve('client')
    const side = await serve('witness')
    // The mint's own key is needed to write a directory, and the gateway's identity to start a witness of it.
    const state = join(folder, `mint-${mints++}`)
    const first = await startMint({ state, name: 'mint' })
    const listed = (await (await fetch(first.url + routes.mint.issuerDirectory)).json()) as {
      'token-keys': readonly { 'token-key': string }[]
    }
    await first.close()
    const key = Buffer.from(listed['token-keys'][0]?.['token-key'] ?? '', 'base64url').toString('base64')
    directories = await createDirectories({ gateway: GATEWAY, mint: { name: 'mint', url: first.url, key } })
    mint = await startMint({
      state,
      name: 'mint',
      faucet: 100,
      witness: { [GATEWAY]: { url: side.url, identity: readIdentity(directories.identity) } },
      limits: { directoryHold: 0 },
    })
    relay = await startRelay({ gateways: { [GATEWAY]: front.url }, limits: { directoryHold: 0 } })
    shown.client = await directories.sign()
    shown.witness = shown.client
  })
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.close(0)
    await relay.close()
    await mint.close()
  })

  let wallets = 0
  async function open(mintUrl = mint.url): Promise<PrivateNetwork> {
    const wallet = await openWallet({
      path: join(folder, `wallet-${wallets++}`),
      secret: { kind: 'passphrase', passphrase: 'test' },
      scryptCost: 1024,
    })
    closing.push(() => wallet.close())
    const network = openPrivateNetwork({
      relay: relay.url,
      gateway: { name: GATEWAY, identity: directories.identity, witnesses: [mint.url] },
      wallet,
      privacy: 'private',
      mint: { url: mintUrl, name: 'mint', account: createAccountKey(), batch: 16 },
    })
    opened.push(network)
    return network
  }
  const codeOf = (work: Promise<unknown>) =>
    work.then(
      () => 'fine',
      (error: { readonly code: string }) => error.code,
    )
  /** Whatever was found, nothing was sent that could be told from what others send. */
  const nothingWasSent = () =>
    expect(front.asked.filter((each) => !each.startsWith('GET /directory'))).toEqual([])

  it('is not what everybody is shown', async () => {
    const network = await open()
    expect(await network.directory()).toMatchObject({ confirmedBy: [mint.url], mintKeys: 'same' })
    expect((await network.balance()).ready).toBe(16)
  })

  it.each([
    'a key of the gateway',
    'a second key of the gateway',
    'a key of a node',
    'a node of their own',
    'a price of a node',
    'a key of the mint',
    'a change key',
    'a ceiling class',
    'a bound of time',
  ])('such as %s, is noticed by its witness, before anything is sent', async (mark) => {
    shown.client = await directories.sign(await directories.marks[mark]?.())
    const network = await open()
    expect(
      await refusalOf(await network.fetch('http://x/v1/chat/completions', askedOf(QUESTION))),
    ).toMatchObject({
      status: 502,
      code: 'keys_inconsistent',
      rialto: { role: 'client', limit: { epoch: 5 }, spent: 0, returned: 0 },
    })
    expect(await codeOf(network.balance())).toBe('INFERENCE_KEYS_INCONSISTENT')
    nothingWasSent()
  })

  it('in an epoch of its own, is confirmed by nobody', async () => {
    shown.client = await directories.sign({
      ...(await directories.marks['a key of the gateway']?.()),
      epoch: 6,
    })
    const network = await open()
    expect(
      await refusalOf(await network.fetch('http://x/v1/chat/completions', askedOf(QUESTION))),
    ).toMatchObject({
      status: 503,
      code: 'keys_unconfirmed',
    })
    nothingWasSent()
  })

  it('in an epoch that is over, is confirmed by nobody who has seen a newer one', async () => {
    expect(await codeOf((await open()).directory())).toBe('fine')
    shown.client = await directories.sign({
      ...(await directories.marks['a key of the gateway']?.()),
      epoch: 4,
    })
    // Neither to a client that never saw another one, nor although the gateway shows it to the witness too.
    expect(await codeOf((await open()).directory())).toBe('INFERENCE_KEYS_UNCONFIRMED')
    shown.witness = shown.client
    expect(await codeOf((await open()).directory())).toBe('INFERENCE_KEYS_UNCONFIRMED')
  })

  it('and shown to the witness afterwards, convicts the gateway for good', async () => {
    const before = await open()
    expect(await codeOf(before.directory())).toBe('fine')
    shown.client = await directories.sign(await directories.marks['a change key']?.())
    shown.witness = shown.client
    expect(await codeOf((await open()).directory())).toBe('INFERENCE_KEYS_INCONSISTENT')
    await expect
      .poll(async () => (await fetch(`${mint.url}${routes.mint.directory(GATEWAY, 5)}`)).status)
      .toBe(409)
    // Whatever it shows from now on, this epoch is trusted by nobody.
    shown.client = await directories.sign()
    shown.witness = shown.client
    expect(await codeOf((await open()).directory())).toBe('INFERENCE_KEYS_INCONSISTENT')
    expect(await codeOf(before.refresh())).toBe('INFERENCE_KEYS_INCONSISTENT')
    expect(await codeOf(before.directory())).toBe('INFERENCE_KEYS_INCONSISTENT')
  })

  it('by a relay that keeps an old directory, is no more than that: it is the one that all were shown', async () => {
    const old = shown.client
    expect(await codeOf((await open()).directory())).toBe('fine')
    const known = await open()
    expect((await known.directory()).directory.epoch).toBe(5)
    shown.client = await directories.sign({ epoch: 6 })
    shown.witness = shown.client
    expect((await known.refresh()).directory.epoch).toBe(6)
    shown.client = old
    expect(await codeOf(known.refresh())).toBe('INFERENCE_DIRECTORY_EXPIRED')
    expect((await (await open()).directory()).directory.epoch).toBe(5)
  })

  it('by a mint that publishes another key to it, is noticed before it buys', async () => {
    const { publicKey } = await generateTokenKey()
    const liar = await serveTexts((path) =>
      path === routes.mint.issuerDirectory
        ? {
            type: mediaTypes.issuerDirectory,
            text: JSON.stringify({
              'token-keys': [
                { 'token-type': 2, 'token-key': Buffer.from(publicKey.spki).toString('base64url') },
              ],
            }),
          }
        : undefined,
    )
    expect(await codeOf((await open(liar.url)).balance())).toBe('INFERENCE_KEYS_INCONSISTENT')
    expect(liar.asked.filter((each) => each.startsWith('POST'))).toEqual([])
  })

  it('by a mint that signs with another key than it publishes, gives no token', async () => {
    // Of a larger modulus, so that it can sign whatever is blinded for the other.
    let pair = await generateTokenKey()
    while (Buffer.compare(pair.publicKey.spki, directories.mintKey) < 0) pair = await generateTokenKey()
    const server = createServer(async (request, response) => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      const body = Buffer.concat(parts)
      if (request.method === 'GET') {
        const honest = await fetch(mint.url + (request.url ?? ''))
        return void response.end(Buffer.from(await honest.arrayBuffer()))
      }
      const truncatedTokenKeyId = pair.publicKey.id.at(-1) ?? 0
      const signed = Array.from({ length: body.length / tokenRequestLength }, (_, at) => {
        const asked = decodeTokenRequest(
          body.subarray(at * tokenRequestLength, (at + 1) * tokenRequestLength),
        )
        return encodeTokenResponse(issueToken([pair], { ...asked, truncatedTokenKeyId }))
      })
      response.end(Buffer.concat(signed))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(async () => server.close())
    const network = await open(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
    expect(await network.balance()).toMatchObject({ ready: 0, requested: 16 })
    await expect(network.buy(1)).rejects.toMatchObject({ code: 'TOKEN_SIGNATURE' })
    expect(await network.balance()).toMatchObject({ ready: 0 })
  })
})

describe('an answer that is another one’s', () => {
  let network: TestNetwork
  const honest = {} as TestNetwork['script']
  beforeAll(async () => {
    network = await startTestNetwork()
    Object.assign(honest, network.script)
    closing.push(() => network.close())
  })
  beforeEach(() => {
    Object.assign(network.script, honest)
    network.paths.length = 0
  })
  const open = async () => {
    const one = openPrivateNetwork(network.options(await network.wallet()))
    opened.push(one)
    await one.ready()
    // What a start does in the background is done, so that it is not what is lied to.
    await expect.poll(() => one.measurements(), { timeout: 20_000 }).toBeDefined()
    return one
  }
  const question = (more: object = {}) =>
    askedOf(
      JSON.stringify({
        model: 'test-model',
        max_tokens: 50,
        messages: [{ role: 'user', content: 'hi' }],
        ...more,
      }),
    )
  const url = 'http://x/v1/chat/completions'

  it.each(['relay', 'gateway'] as const)('given by the %s, does not open', async (role) => {
    const { fetch } = await open()
    const before: (readonly Uint8Array[])[] = []
    const keep = (pieces: readonly Uint8Array[]) => {
      before.push(pieces)
      return before[0] ?? pieces
    }
    if (role === 'relay') network.script.relay = () => ({ tamper: keep })
    else network.script.gateway = () => ({ tampering: { tamper: keep } })
    expect((await fetch(url, question())).status).toBe(200)
    const said = await refusalOf(await fetch(url, question()))
    expect(said).toMatchObject({
      status: 502,
      code: 'stream_broken',
      rialto: { limit: { fault: 'wire_decryption' } },
    })
    expect(before).toHaveLength(2)
  })

  it('of another model, is noticed in the events of a stream, and the node is asked no more', async () => {
    const { fetch, close } = await open()
    const events = ['tiny', 'tiny'].map(
      (model) => `data: ${JSON.stringify({ model, choices: [{ index: 0, delta: { content: 'x' } }] })}\n\n`,
    )
    network.script.node = ({ node }) => (node === 'node-a' ? { events } : {})
    const said = await fetch(url, question({ stream: true }))
    expect(said.headers.get('rialto-node')).toBe('node-a')
    await said.text()
    expect((await fetch(url, question())).headers.get('rialto-node')).toBe('node-b')
    await close()
    expect(network.paths[0]).toMatchObject({ node: 'node-a', code: 'wrong_model' })
  })

  it('from a gateway that says without end that its key is another, ends, and what was paid comes back', async () => {
    const { fetch, reclaim, balance } = await open()
    const { ready } = await balance()
    network.script.relay = () => ({
      status: 400,
      type: 'application/problem+json',
      body: JSON.stringify({ type: OHTTP_KEY_PROBLEM, title: '' }),
    })
    const directories = network.seen.directories
    expect(await refusalOf(await fetch(url, question()))).toMatchObject({
      status: 502,
      code: 'outcome_unknown',
    })
    expect(network.paths[0]?.tries[0]?.sent).toBe(3)
    expect(network.seen.directories - directories).toBeLessThanOrEqual(2 * 3)
    network.script.relay = honest.relay
    await reclaim()
    expect(await balance()).toMatchObject({ ready, spending: 0 })
  })

  it('in the words of a gateway or node, is told as their fault, and kept in nobody’s report', async () => {
    const { fetch } = await open()
    const words = 'The prompt was: hi'
    network.script.gateway = () => ({ fail: { status: 500, code: words, message: words, role: 'gateway' } })
    expect(await refusalOf(await fetch(url, question()))).toMatchObject({
      status: 500,
      code: 'gateway_refused',
    })
    network.script.gateway = honest.gateway
    for (const role of ['node', 'upstream'] as const) {
      const error = { message: words, type: words, param: words, code: words, rialto: { role } }
      network.script.node = () => ({ status: 500, body: { error } })
      expect((await fetch(url, question())).status).toBe(500)
    }
    expect(network.paths.map(({ code }) => code)).toEqual([
      'gateway_refused',
      'upstream_error',
      'upstream_error',
    ])
    expect(JSON.stringify(network.paths)).not.toContain('prompt was')
  })

  it('with the usage of another one, costs what was signed, and is told', async () => {
    const { fetch } = await open()
    const body = completion('test-model', { prompt: 10, completion: 20 })
    network.script.node = ({ node }) =>
      node === 'node-a' ? { body, usage: { prompt: 10, completion: 2_000 } } : {}
    const said = await fetch(url, question({ max_tokens: 3_000 }))
    expect([said.headers.get('rialto-spent'), said.headers.get('rialto-receipt-check')]).toEqual([
      '3',
      'overcharged',
    ])
    expect((await fetch(url, question())).headers.get('rialto-node')).toBe('node-b')
  })
})
