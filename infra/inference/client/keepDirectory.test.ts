import { afterAll, afterEach, beforeEach, expect, it, vi } from 'vitest'
import { type DirectoryKeeper, keepDirectory } from './keepDirectory.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'
import { createTransport } from './transport.ts'

let network: TestNetwork
let keeper: DirectoryKeeper | undefined
const transport = createTransport()
afterAll(() => transport.close())
beforeEach(async () => {
  network = await startTestNetwork()
})
afterEach(async () => {
  keeper?.close()
  await network.close()
})

const keep = (later?: { readonly least: number; readonly most: number }) => {
  const troubles: unknown[] = []
  keeper = keepDirectory({
    source: {
      transport,
      relays: [`${network.url}/relay-0`],
      gateway: { name: 'gate', identity: network.identity.identity, witnesses: [network.url] },
      timeout: 10_000,
      now: Date.now,
    },
    random: () => 0.5,
    ...(later === undefined ? {} : { later }),
    onTrouble: (error) => troubles.push(error),
    onChange: () => undefined,
  })
  return { keeper, troubles }
}
const epochOf = () => keeper?.peek()?.directory.epoch

it('fetches later what is asked for later, once', async () => {
  const { keeper } = keep({ least: 0, most: 0 })
  await keeper.current()
  await network.publish()
  const before = network.seen.directories
  keeper.refreshLater()
  keeper.refreshLater()
  expect(network.seen.directories).toBe(before)
  await expect.poll(epochOf).toBe(2)
  // From a relay, and from the witness.
  expect(network.seen.directories).toBe(before + 2)
})

it('waits 5 to 60 seconds, and not for what was fetched meanwhile or is closed', async () => {
  const { keeper } = keep()
  await keeper.current()
  const timers = vi.spyOn(globalThis, 'setTimeout')
  const planned = () => timers.mock.calls.filter(([, wait]) => wait === 32_500).length
  keeper.refreshLater()
  keeper.refreshLater()
  expect(planned()).toBe(1)
  // What was planned is given up, so that it can be planned anew.
  await keeper.refresh()
  keeper.refreshLater()
  expect(planned()).toBe(2)
  keeper.close()
  keeper.refreshLater()
  expect(planned()).toBe(2)
  timers.mockRestore()
})

it('tells when that fails, and goes on with what it has', async () => {
  const { keeper, troubles } = keep({ least: 0, most: 0 })
  await keeper.current()
  network.script.witness = () => ({ status: 404, body: '' })
  keeper.refreshLater()
  await expect.poll(() => troubles).toMatchObject([{ code: 'INFERENCE_KEYS_UNCONFIRMED' }])
  expect(epochOf()).toBe(1)
})
