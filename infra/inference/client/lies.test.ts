import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'
import { completion } from './testRoles.ts'

let network: TestNetwork
let opened: PrivateNetwork[] = []
const honest = {} as TestNetwork['script']
beforeAll(async () => {
  network = await startTestNetwork()
  Object.assign(honest, network.script)
})
afterAll(() => network.close())
beforeEach(() => {
  network.paths.length = 0
  network.notices.length = 0
  network.seen.infer.length = 0
})
afterEach(async () => {
  Object.assign(network.script, honest)
  for (const each of opened) await each.close()
  opened = []
})

const open = async () => {
  const wallet = await network.wallet()
  const one = openPrivateNetwork(network.options(wallet))
  opened.push(one)
  await one.ready()
  return { ...one, wallet }
}
const url = 'http://x/v1/chat/completions'
const ask = (changes: object = {}): RequestInit => ({
  method: 'POST',
  body: JSON.stringify({
    model: 'test-model',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 3_000,
    ...changes,
  }),
})
const refused = async (response: Response) =>
  ((await response.json()) as { error: { code: string; rialto: Record<string, unknown> } }).error

type Pieces = readonly Uint8Array[]
const changed = (pieces: Pieces, at: number): Pieces =>
  pieces.map((piece, index) =>
    index === at ? piece.map((byte, place) => (place === 20 ? byte ^ 1 : byte)) : piece,
  )
/** The first piece holds the nonce of the answer and the first chunk; the others are whole chunks. */
const swapped = (pieces: Pieces): Pieces =>
  pieces.map((piece, at) => (at === 1 ? pieces[2] : at === 2 ? pieces[1] : piece) ?? piece)
const repeated = (pieces: Pieces): Pieces =>
  pieces.flatMap((piece, at) => (at === 1 ? [piece, piece] : [piece]))
const cut = (pieces: Pieces): Pieces => pieces.slice(0, -1)

const events = Array.from(
  { length: 6 },
  (_, index) => `data: {"choices":[{"index":0,"delta":{"content":"${index}"}}]}\n\n`,
)

describe('an answer that does not arrive as it was sent', () => {
  it.each([
    ['changed by the relay', 'relay', (pieces: Pieces) => changed(pieces, 2), 'wire_decryption'],
    ['put in another order by the relay', 'relay', swapped, 'stream_reordered'],
    ['repeated by the relay', 'relay', repeated, 'stream_repeated'],
    ['changed by the gateway', 'gateway', (pieces: Pieces) => changed(pieces, 2), 'wire_decryption'],
    ['put in another order by the gateway', 'gateway', swapped, 'stream_reordered'],
    ['repeated by the gateway', 'gateway', repeated, 'stream_repeated'],
    ['cut by the gateway', 'gateway', cut, 'stream_truncated'],
  ] as const)('is told where it is plain: %s', async (_, role, tamper, fault) => {
    const { fetch } = await open()
    const long = completion('test-model', { prompt: 10, completion: 20 }, 'x'.repeat(60_000))
    network.script.node = () => ({ body: long })
    if (role === 'relay') network.script.relay = () => ({ tamper })
    else network.script.gateway = () => ({ tampering: { tamper } })
    const said = await fetch(url, ask())
    expect(said.status).toBe(502)
    expect(await refused(said)).toMatchObject({
      code: 'stream_broken',
      rialto: { role: 'client', limit: { fault } },
    })
    expect(network.paths).toMatchObject([{ outcome: 'broken', code: 'stream_broken' }])
  })

  it.each([
    ['put in another order by the relay', 'relay', swapped, 'stream_reordered', 4],
    ['repeated by the relay', 'relay', repeated, 'stream_repeated', 4],
    ['repeated by the gateway', 'gateway', repeated, 'stream_repeated', 0],
    ['cut by the gateway', 'gateway', cut, 'stream_truncated', 0],
  ] as const)('is told where it is streamed: %s', async (_, role, tamper, fault, unsettled) => {
    const { fetch, close } = await open()
    network.script.node = () => ({ events })
    let release = (): void => undefined
    const after = new Promise<void>((resolve) => {
      release = resolve
    })
    if (role === 'relay') network.script.relay = () => ({ tamper, after })
    else network.script.gateway = () => ({ tampering: { tamper, after } })
    const said = await fetch(url, ask({ stream: true }))
    release()
    const reader = (said.body ?? new ReadableStream()).pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    const failure = await (async () => {
      for (let next = await reader.read(); !next.done; next = await reader.read()) text += next.value
    })().catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
    const [last = ''] = text.trim().split('\n\n').slice(-1)
    expect(JSON.parse(last.slice('data: '.length))).toMatchObject({
      error: { code: 'stream_broken', rialto: { limit: { fault } } },
    })
    // Whole events only came before it.
    expect(events.join('')).toContain(text.slice(0, text.indexOf('data: {"error"')))
    await close()
    expect(network.paths).toMatchObject([{ outcome: 'broken', code: 'stream_broken', unsettled }])
  })

  it('because the node broke off costs nothing', async () => {
    const { fetch, wallet } = await open()
    network.script.node = () => ({ events: events.slice(0, 2), cut: true })
    const said = await fetch(url, ask({ stream: true }))
    await expect(said.text()).rejects.toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
    expect(wallet.unsettled()).toEqual([])
    await expect
      .poll(() => network.paths)
      .toMatchObject([{ outcome: 'broken', spent: 0, returned: 4, receipt: 'absent' }])
  })
})

describe('a node that lies', () => {
  it('of its model is refused, then and from then on', async () => {
    const { fetch, close } = await open()
    network.script.node = ({ node }) => (node === 'node-a' ? { model: 'another' } : {})
    expect(await refused(await fetch(url, ask()))).toMatchObject({ code: 'wrong_model' })
    expect((await fetch(url, ask())).headers.get('rialto-node')).toBe('node-b')
    await close()
    expect(network.paths).toMatchObject([{ outcome: 'broken', code: 'wrong_model' }, { node: 'node-b' }])
  })

  it('of its model in the body alone is refused as well', async () => {
    const { fetch } = await open()
    network.script.node = ({ node }) =>
      node === 'node-a' ? { body: completion('tiny', { prompt: 1, completion: 1 }) } : {}
    expect(await refused(await fetch(url, ask()))).toMatchObject({
      code: 'wrong_model',
      rialto: { spent: 1 },
    })
    expect((await fetch(url, ask())).headers.get('rialto-node')).toBe('node-b')
  })

  it('may name a version of the model', async () => {
    const { fetch } = await open()
    network.script.node = () => ({ body: completion('test-model:latest', { prompt: 1, completion: 1 }) })
    expect((await fetch(url, ask())).status).toBe(200)
  })

  it.each(['anonymized', 'attested', 'local', ''])('of its privacy is refused: %j', async (privacy) => {
    const { fetch } = await open()
    network.script.node = () => ({ privacy })
    expect(await refused(await fetch(url, ask()))).toMatchObject({ code: 'privacy_broken' })
  })

  it.each([
    ['charges more than its price for the usage that it states', { used: 3 }, 'overcharged', 3],
    ['charges for an error', { status: 500, body: { error: { message: '' } }, used: 1 }, 'overcharged', 1],
  ])('and %s is caught, and asked no more', async (_, says, check, spent) => {
    const { fetch } = await open()
    network.script.node = ({ node }) => (node === 'node-a' ? says : {})
    const said = await fetch(url, ask())
    expect(said.headers.get('rialto-receipt-check')).toBe(check)
    expect(said.headers.get('rialto-spent')).toBe(String(spent))
    expect((await fetch(url, ask())).headers.get('rialto-node')).toBe('node-b')
    expect(network.paths).toMatchObject([
      { receipt: check, spent },
      { receipt: 'ok', node: 'node-b' },
    ])
  })

  it('is listed as such', async () => {
    const { fetch, catalogue } = await open()
    network.script.node = () => ({ used: 3 })
    await fetch(url, ask())
    expect((await catalogue()).map(({ node, refused: why }) => [node, why])).toEqual([
      ['node-a', 'lied'],
      ['node-b', null],
    ])
  })

  it('charges nothing where it signs nothing', async () => {
    const { fetch } = await open()
    network.script.node = () => ({ receipt: 'absent' })
    const said = await fetch(url, ask())
    expect(said.headers.get('rialto-receipt-check')).toBe('absent')
    expect(said.headers.get('rialto-spent')).toBe('0')
  })

  it('and answers for less is no liar', async () => {
    const { fetch } = await open()
    network.script.node = () => ({ used: 0 })
    expect((await fetch(url, ask())).headers.get('rialto-receipt-check')).toBe('ok')
  })
})

describe('a gateway that lies', () => {
  it.each([
    ['nobody signed', 'forged' as const],
    ['is for another model', 'other-model' as const],
  ])('and passes a receipt on that %s does not have the node shunned', async (_, receipt) => {
    const { fetch, catalogue } = await open()
    network.script.node = () => ({ receipt })
    for (const _ of [1, 2]) {
      const said = await fetch(url, ask())
      expect(said.headers.get('rialto-receipt-check')).toBe('forged')
      expect(said.headers.get('rialto-node')).toBe('node-a')
    }
    expect((await catalogue()).map(({ refused: why }) => why)).toEqual([null, null])
  })

  it('and says again and again that tokens are spent gets two payments of them, not all', async () => {
    const { fetch } = await open()
    network.script.gateway = () => ({
      refuse: { status: 409, code: 'token_spent', message: 'Spent.', role: 'gateway' },
    })
    expect(await refused(await fetch(url, ask()))).toMatchObject({
      code: 'token_spent',
      rialto: { spent: 8, returned: 0 },
    })
    expect(network.paths).toMatchObject([
      { spent: 8, tries: [{ receipt: 'unknown' }, { receipt: 'unknown' }] },
    ])
  })

  it('and keeps a token of the change is caught', async () => {
    const { fetch } = await open()
    network.script.gateway = () => ({ change: 'short' })
    const said = await fetch(url, ask())
    expect(said.headers.get('rialto-receipt-check')).toBe('change-short')
    expect(network.paths).toMatchObject([{ spent: 2, returned: 2, receipt: 'change-short' }])
  })

  it.each(['missing', 'invalid'] as const)(
    'and gives change that is %s is caught, and asked for it again',
    async (change) => {
      const { fetch, reclaim, wallet } = await open()
      network.script.gateway = () => ({ change })
      const said = await fetch(url, ask())
      expect(said.status).toBe(200)
      expect(said.headers.get('rialto-receipt-check')).toBe('change-invalid')
      expect(network.paths).toMatchObject([{ spent: 4, unsettled: 4, receipt: 'change-invalid' }])
      expect(network.notices).toMatchObject([{ what: 'settlement' }])
      expect(wallet.unsettled()).toHaveLength(1)
      network.script.gateway = () => ({})
      expect(await reclaim()).toBe(3)
      expect(wallet.unsettled()).toEqual([])
    },
  )

  it('and refuses in words that say nothing keeps the payment open', async () => {
    const { fetch, wallet } = await open()
    network.script.gateway = () => ({ refuse: { status: 500, code: 'oops', message: '', role: 'gateway' } })
    expect(await refused(await fetch(url, ask()))).toMatchObject({
      code: 'oops',
      rialto: { spent: 4, returned: 0 },
    })
    expect(wallet.unsettled()).toHaveLength(1)
  })
})
