import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Wallet } from '../tokens/wallet/openWallet.ts'
import { openPrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

let network: TestNetwork
beforeEach(async () => {
  network = await startTestNetwork()
})
afterEach(() => network.close())

const reclaimed = () => network.seen.paths.filter((path) => path === '/reclaim').length

/** A wallet with so many payments whose end was not seen. */
async function leave(count: number): Promise<Wallet> {
  const wallet = await network.wallet()
  const opened = openPrivateNetwork({ ...network.options(wallet), tries: 1 })
  network.script.relay = () => 'lose-answer'
  for (let each = 0; each < count; each++)
    await opened.fetch('http://private.test/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({
        model: 'test-model',
        messages: [{ role: 'user', content: 'Hi' }],
        max_tokens: 9,
      }),
    })
  await opened.close()
  network.script.relay = () => undefined
  expect(wallet.unsettled()).toHaveLength(count)
  return wallet
}

it('asks for one lost payment at the start, and for the others at times of their own', async () => {
  const wallet = await leave(3)
  const first = openPrivateNetwork({ ...network.options(wallet), random: () => 0.999 })
  await first.ready()
  // Closing ends what is waited for, and waits for what is asked.
  await first.close()
  expect(reclaimed()).toBe(1)
  expect(wallet.unsettled()).toHaveLength(2)

  const second = openPrivateNetwork(network.options(wallet))
  await second.ready()
  await expect.poll(() => wallet.unsettled().length).toBe(0)
  await second.close()
  expect(reclaimed()).toBe(3)
})

it('asks for all at once where the caller says so', async () => {
  const wallet = await leave(3)
  const opened = openPrivateNetwork({ ...network.options(wallet), random: () => 0.999 })
  await opened.ready()
  await opened.reclaim()
  await opened.close()
  expect(wallet.unsettled()).toEqual([])
  expect(reclaimed()).toBe(3)
})
