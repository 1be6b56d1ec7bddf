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

const gatewaySays = (status: number, code: string) => ({
  status,
  code,
  message: 'No.',
  role: 'gateway' as const,
})

describe('new keys', () => {
  it('of the gateway are fetched, and the same payment is sealed for them', async () => {
    const { fetch } = await open()
    await network.rotate()
    await network.publish()
    expect((await fetch(url, ask())).status).toBe(200)
    expect(network.paths).toMatchObject([{ spent: 1, tries: [{ sent: 2, paid: 1 }] }])
  })

  it('of a node are not fetched while another node can answer', async () => {
    const { fetch, wallet } = await open()
    await network.rotate('node-a')
    await network.publish()
    const before = network.seen.directories
    const said = await fetch(url, ask())
    expect([said.status, said.headers.get('rialto-node')]).toEqual([200, 'node-b'])
    expect(network.paths[0]?.tries.map(({ node, code }) => [node, code])).toEqual([
      ['node-a', 'node_key_unknown'],
      ['node-b', null],
    ])
    // Nobody was asked: neither relay nor witness saw anything but the request.
    expect(network.seen.directories).toBe(before)
    expect(wallet.unsettled()).toEqual([])
  })

  it('of the only node left are fetched at once, and it is paid anew once its change is back', async () => {
    const { fetch } = await open()
    await network.rotate('node-a')
    await network.publish()
    const said = await fetch(url, ask({ model: 'dear' }))
    expect(said.headers.get('rialto-node')).toBe('node-a')
    expect(network.paths).toMatchObject([
      { spent: 2, tries: [{ code: 'node_key_unknown', paid: 16, returned: 16 }, { code: null }] },
    ])
  })

  it('of a node are fetched at once when all others have failed', async () => {
    const { fetch } = await open()
    await network.rotate('node-a')
    await network.publish()
    network.script.gateway = ({ node }) => (node === 'node-b' ? { fail: gatewaySays(503, 'busy') } : {})
    const said = await fetch(url, ask())
    expect(said.headers.get('rialto-node')).toBe('node-a')
    expect(network.paths[0]?.tries.map(({ node, code }) => [node, code])).toEqual([
      ['node-a', 'node_key_unknown'],
      ['node-b', 'busy'],
      ['node-a', null],
    ])
  })

  it('that no witness confirms yet are not used', async () => {
    const { fetch, wallet } = await open()
    await network.rotate('node-a')
    await network.publish()
    network.script.witness = () => ({ status: 404, body: '{}' })
    expect(await refused(await fetch(url, ask({ model: 'dear' })))).toMatchObject({
      code: 'keys_unconfirmed',
    })
    // What was confirmed before is valid still.
    expect((await fetch(url, ask())).headers.get('rialto-node')).toBe('node-b')
    expect(wallet.unsettled()).toEqual([])
  })

  it('that a witness contradicts stop everything', async () => {
    const { fetch } = await open()
    await network.rotate('node-a')
    await network.publish()
    network.script.witness = (document) => `${document}x`
    expect(await refused(await fetch(url, ask({ model: 'dear' })))).toMatchObject({
      code: 'keys_inconsistent',
    })
    expect(await refused(await fetch(url, ask()))).toMatchObject({ code: 'keys_inconsistent' })
  })

  it('that no directory names are asked for once', async () => {
    const { fetch } = await open()
    await network.rotate('node-a')
    expect(await refused(await fetch(url, ask({ model: 'dear' })))).toMatchObject({
      code: 'node_key_unknown',
    })
    expect(network.paths[0]?.tries).toHaveLength(2)
    await network.publish()
  })
})
