import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork, testModel } from './testNetwork.ts'

let network: TestNetwork
let opened: PrivateNetwork[] = []
const honest = {} as TestNetwork['script']
beforeAll(async () => {
  network = await startTestNetwork([
    {
      name: 'node-a',
      models: [testModel(), testModel({ id: 'dear', price: { prompt: 0, completion: 100_000 } })],
    },
    { name: 'node-b' },
  ])
  Object.assign(honest, network.script)
})
afterAll(() => network.close())
beforeEach(() => {
  Object.assign(network.script, honest)
  network.paths.length = 0
  network.notices.length = 0
  network.seen.infer.length = 0
})
afterEach(async () => {
  Object.assign(network.script, honest)
  for (const each of opened) await each.close()
  opened = []
})

const open = async (changes: Parameters<TestNetwork['options']>[1] = {}) => {
  const wallet = changes.wallet ?? (await network.wallet())
  const one = openPrivateNetwork(network.options(wallet, { ...changes, wallet }))
  opened.push(one)
  // What a start does in the background is done, so that it takes no part in what follows.
  await one.ready()
  await expect.poll(() => one.measurements(), { timeout: 20_000 }).toBeDefined()
  return { ...one, wallet }
}
const url = 'http://x/v1/chat/completions'
const ask = (changes: object = {}): RequestInit => ({
  method: 'POST',
  body: JSON.stringify({
    model: 'test-model',
    messages: [{ role: 'user', content: 'hi' }],
    max_tokens: 50,
    ...changes,
  }),
})
type Refused = { error: { code: string; type: string; rialto: Record<string, unknown> } }
const refused = async (response: Response) => ({
  status: response.status,
  ...((await response.json()) as Refused).error,
})

const from = (role: 'gateway' | 'node') => (status: number, code: string) => ({
  status,
  code,
  message: 'No.',
  role,
})
const gatewaySays = from('gateway')
const nodeSays = (status: number, code: string, limit?: object) => ({
  status,
  body: {
    error: {
      message: 'No.',
      type: 'x',
      param: null,
      code,
      rialto: { role: 'node', ...(limit && { limit }) },
    },
  },
})

describe('another node', () => {
  it.each(['node_unavailable', 'node_failed', 'node_timeout', 'busy'])(
    'is asked behind %s, once the change is back',
    async (code) => {
      const { fetch, balance } = await open()
      network.script.gateway = ({ node }) => (node === 'node-a' ? { fail: gatewaySays(503, code) } : {})
      const said = await fetch(url, ask())
      expect(said.status).toBe(200)
      expect(said.headers.get('rialto-node')).toBe('node-b')
      expect(network.seen.infer.map(({ node }) => node)).toEqual(['node-a', 'node-b'])
      expect(network.paths).toMatchObject([
        {
          outcome: 'answered',
          spent: 1,
          returned: 1,
          tries: [
            { node: 'node-a', paid: 1, returned: 1, code },
            { node: 'node-b', paid: 1, returned: 0, code: null },
          ],
        },
      ])
      expect(await balance()).toMatchObject({ ready: 31, spending: 0 })
    },
  )

  it.each(['busy', 'closing', 'upstream_failed'])('is asked behind a node’s own %s', async (code) => {
    const { fetch } = await open()
    network.script.node = ({ node }) => (node === 'node-a' ? nodeSays(503, code) : {})
    expect((await fetch(url, ask())).headers.get('rialto-node')).toBe('node-b')
    expect(network.paths).toMatchObject([{ spent: 1, returned: 1 }])
  })

  it('is not asked behind a refusal that any would give', async () => {
    const { fetch } = await open()
    network.script.node = () => nodeSays(400, 'malformed')
    expect(await refused(await fetch(url, ask()))).toMatchObject({
      status: 400,
      code: 'malformed',
      rialto: { role: 'node', spent: 0, returned: 1 },
    })
    expect(network.seen.infer).toHaveLength(1)
  })

  it('is not there when all fail, and the last failure is told', async () => {
    const { fetch } = await open()
    network.script.gateway = () => ({ fail: gatewaySays(503, 'node_unavailable') })
    expect(await refused(await fetch(url, ask()))).toMatchObject({
      status: 503,
      code: 'node_unavailable',
      rialto: { role: 'gateway', spent: 0, returned: 2 },
    })
    expect(network.seen.infer).toHaveLength(2)
  })

  it('is not asked with a weaker word', async () => {
    const { fetch } = await open({ privacy: 'private' })
    network.script.gateway = ({ node }) =>
      node === 'node-a' ? { fail: gatewaySays(503, 'node_unavailable') } : {}
    expect(await refused(await fetch(url, ask({ model: 'dear' })))).toMatchObject({
      code: 'node_unavailable',
    })
    expect(network.seen.infer.map(({ node }) => node)).toEqual(['node-a'])
  })
})

describe('what is paid', () => {
  it('is the smallest class that covers the worst cost', async () => {
    const { fetch } = await open()
    await fetch(url, ask({ max_tokens: 50 }))
    await fetch(url, ask({ max_tokens: 3_000 }))
    await fetch(url, ask({ max_tokens: undefined, max_completion_tokens: 8_000 }))
    await fetch(url, ask({ max_tokens: undefined }))
    expect(network.seen.infer.map(({ paid }) => paid)).toEqual([1, 4, 16, 4])
    expect(network.paths.map(({ spent, returned }) => [spent, returned])).toEqual([
      [1, 0],
      [1, 3],
      [1, 15],
      [1, 3],
    ])
  })

  it('is the next class that a node says it needs, once', async () => {
    const { fetch } = await open()
    network.script.node = ({ ceiling }) =>
      ceiling < 16 ? nodeSays(402, 'ceiling_too_low', { needed: 9 }) : {}
    expect((await fetch(url, ask())).status).toBe(200)
    expect(network.seen.infer.map(({ paid }) => paid)).toEqual([1, 16])
    network.script.node = () => nodeSays(402, 'ceiling_too_low')
    expect(await refused(await fetch(url, ask()))).toMatchObject({
      status: 402,
      code: 'ceiling_too_low',
      rialto: { spent: 0, returned: 5 },
    })
    expect(network.seen.infer.map(({ paid }) => paid)).toEqual([1, 16, 1, 4])
  })

  it('goes back as it is when the gateway refuses before it takes anything', async () => {
    const { fetch, balance } = await open()
    network.script.gateway = () => ({ refuse: gatewaySays(422, 'change_refused') })
    expect(await refused(await fetch(url, ask()))).toMatchObject({
      code: 'change_refused',
      rialto: { spent: 0, returned: 1 },
    })
    expect(await balance()).toMatchObject({ ready: 32, spending: 0 })
  })

  it('is other tokens when some were spent before', async () => {
    const { fetch, balance } = await open()
    network.script.gateway = ({ count }) => (count === 1 ? { refuse: gatewaySays(409, 'token_spent') } : {})
    expect((await fetch(url, ask())).status).toBe(200)
    const [first, second] = network.seen.infer
    expect(first?.tokens).not.toEqual(second?.tokens)
    expect(network.paths).toMatchObject([
      { spent: 2, returned: 0, tries: [{ code: 'token_spent' }, { code: null }] },
    ])
    expect(await balance()).toMatchObject({ ready: 30, spending: 0 })
  })

  it('is refused by an empty wallet, naming the mint', async () => {
    const wallet = await network.wallet()
    const { fetch } = await open({
      wallet,
      mint: { ...network.options(wallet).mint, batch: 1, lowWater: 1 } as never,
    })
    expect((await fetch(url, ask())).status).toBe(200)
    const { status, type, code, rialto } = await refused(await fetch(url, ask()))
    expect({ status, type, code, rialto }).toEqual({
      status: 402,
      type: 'insufficient_quota',
      code: 'wallet_empty',
      rialto: {
        role: 'client',
        spent: 0,
        returned: 0,
        limit: { needed: 1, ready: 0, spending: 0, mint: 'mint' },
      },
    })
  })
})

describe('a lost connection', () => {
  it.each([
    ['refused', 'refuse-connection' as const],
    ['lost behind the request', 'lose-answer' as const],
    ['answered by the relay', { status: 502, body: '{"error":{"code":"gateway_unreachable"}}' }],
    ['cut within the answer', { cutAfter: 1_500 }],
  ])('that is %s costs nothing: the same payment goes over the next relay', async (_, action) => {
    const { fetch, balance } = await open()
    let lost = 0
    network.script.relay = ({ relay }) => {
      if (relay !== 0 || lost > 0) return undefined
      lost += 1
      return action
    }
    // The first one may have gone over the other relay.
    for (let count = 0; count < 2; count++) expect((await fetch(url, ask())).status).toBe(200)
    expect(lost).toBe(1)
    expect(network.paths.map(({ tries }) => tries[0]?.sent).sort()).toEqual([1, 2])
    expect(network.paths.map(({ spent, unsettled }) => [spent, unsettled])).toEqual([
      [1, 0],
      [1, 0],
    ])
    expect(await balance()).toMatchObject({ ready: 30, spending: 0 })
  })

  it('in the middle of a stream is not noticed by who reads it', async () => {
    const { fetch } = await open()
    const events = Array.from(
      { length: 40 },
      (_, index) => `data: {"choices":[{"delta":{"content":"${index}"}}]}\n\n`,
    )
    network.script.node = () => ({ events })
    let count = 0
    network.script.relay = () => (count++ < 2 ? { cutAfter: 9_000 * count } : undefined)
    const said = await fetch(url, ask({ stream: true }))
    expect(await said.text()).toBe(events.join(''))
    expect(network.paths).toMatchObject([{ outcome: 'answered', spent: 1, tries: [{ sent: 3 }] }])
  })

  it('for good leaves the payment in the wallet, and it is asked for later', async () => {
    const { fetch, balance, reclaim, wallet } = await open()
    network.script.relay = () => 'lose-answer'
    const said = await fetch(url, ask({ max_tokens: 3_000 }))
    expect(said.headers.get('x-should-retry')).toBe('false')
    expect(await refused(said)).toMatchObject({
      status: 502,
      code: 'outcome_unknown',
      rialto: { role: 'client', spent: 4, returned: 0, limit: { tries: 3 } },
    })
    expect(network.paths).toMatchObject([{ outcome: 'refused', unsettled: 4, tries: [{ sent: 3 }] }])
    expect(await balance()).toMatchObject({ ready: 28, spending: 4 })
    network.script.relay = () => undefined
    expect(await reclaim()).toBe(3)
    expect(wallet.unsettled()).toEqual([])
    expect(await balance()).toMatchObject({ ready: 31, spending: 0, spent: 4 })
  })

  it('before anything arrived comes back whole, at the next start', async () => {
    const wallet = await network.wallet()
    const first = await open({ wallet })
    network.script.relay = () => 'refuse-connection'
    await fetch503(first.fetch)
    await first.close()
    network.script.relay = () => undefined
    const second = await open({ wallet })
    // Closing waits for what the start does in the background.
    await second.close()
    expect(wallet.unsettled()).toEqual([])
  })

  const fetch503 = async (fetch: typeof globalThis.fetch) =>
    expect(await refused(await fetch(url, ask()))).toMatchObject({ code: 'outcome_unknown' })
})

describe('an abort', () => {
  const gate = () => {
    let release = (): void => undefined
    const opened = new Promise<void>((resolve) => {
      release = resolve
    })
    return { opened, release }
  }

  it('before the payment costs nothing', async () => {
    const { fetch, balance } = await open()
    const reason = new DOMException('enough', 'AbortError')
    await expect(fetch(url, { ...ask(), signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect(network.seen.infer).toEqual([])
    expect(await balance()).toMatchObject({ ready: 32 })
  })

  it('behind the payment is told at once, and its change comes all the same', async () => {
    const { fetch, close, wallet } = await open()
    const { opened: waited, release } = gate()
    const abort = new AbortController()
    const arrived = gate()
    network.script.node = async () => {
      arrived.release()
      await waited
      return { used: 0 }
    }
    const answer = fetch(url, { ...ask(), signal: abort.signal })
    await arrived.opened
    abort.abort()
    await expect(answer).rejects.toMatchObject({ name: 'AbortError' })
    expect(wallet.unsettled()).toHaveLength(1)
    release()
    await close()
    expect(wallet.unsettled()).toEqual([])
    expect(network.paths).toMatchObject([{ outcome: 'aborted', code: 'aborted', spent: 0, returned: 1 }])
  })

  it('within a stream fails the body, and its change comes all the same', async () => {
    const { fetch, close, wallet } = await open()
    const { opened: waited, release } = gate()
    network.script.node = () => ({ events: ['data: {}\n\n', waited, 'data: {}\n\n'], used: 0 })
    const abort = new AbortController()
    const said = await fetch(url, { ...ask({ stream: true }), signal: abort.signal })
    const reader = said.body?.getReader()
    await reader?.read()
    abort.abort()
    await expect(reader?.read()).rejects.toMatchObject({ name: 'AbortError' })
    release()
    await close()
    expect(wallet.unsettled()).toEqual([])
    expect(network.paths).toMatchObject([{ outcome: 'aborted', spent: 0, returned: 1 }])
  })
})
