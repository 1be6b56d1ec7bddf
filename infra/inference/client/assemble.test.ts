import { afterAll, beforeAll, expect, it } from 'vitest'
import { assemble } from './assemble.ts'
import type { NetworkOptions } from './options.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

let network: TestNetwork
let options: NetworkOptions
beforeAll(async () => {
  network = await startTestNetwork()
  options = network.options(await network.wallet())
})
afterAll(() => network.close())

const hooks = { afterSpending: () => undefined } as Parameters<typeof assemble>[1]

it.each([
  ['a cadence that no node keeps', { cadence: 4 }],
  ['a cadence that would not be kept for want of cells', { cells: 'off', cadence: 50 }],
  ['cells that no node makes', { cells: 63 }],
  ['no witness', { gateway: { name: 'gate', identity: 'x', witnesses: [] } }],
  ['a share of nothing', { operatorShare: 0 }],
  ['an address that is none', { relay: 'ftp://relay.test' }],
] as const)('refuses %s', (_, changes) => {
  const given = { ...options, ...changes } as NetworkOptions
  const gateway = { ...given.gateway, identity: options.gateway.identity }
  expect(() => assemble({ ...given, gateway }, hooks)).toThrow(
    expect.objectContaining({ name: 'ClientOptionError' }),
  )
})

it('takes the fastest cadence that a node keeps', () => {
  const { state, transport } = assemble({ ...options, cadence: 5 }, hooks)
  expect(state.form).toEqual({ cells: 1024, cadence: 5 })
  transport.close()
})
