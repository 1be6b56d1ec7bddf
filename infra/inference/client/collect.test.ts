import { afterEach, beforeEach, expect, it } from 'vitest'
import { createAccountKey } from './mint.ts'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

let network: TestNetwork
let opened: PrivateNetwork[] = []
beforeEach(async () => {
  network = await startTestNetwork()
})
afterEach(async () => {
  for (const each of opened) await each.close()
  opened = []
  await network.close()
})

async function open() {
  const wallet = await network.wallet()
  const mint = { url: network.url, name: 'mint', account: createAccountKey(), batch: 8, lowWater: 0 }
  const one = openPrivateNetwork(network.options(wallet, { mint }))
  opened.push(one)
  await one.ready()
  return { ...one, wallet }
}
const askedAt = (path: string) => network.seen.mint.filter((each) => each.path === path).length

/** Charged, and not received. */
async function lose(buy: PrivateNetwork['buy'], count: number): Promise<void> {
  network.script.mint = 'lose-answer'
  await expect(buy(count)).rejects.toMatchObject({ code: 'INFERENCE_MINT_UNREACHABLE' })
  network.script.mint = 'honest'
}

it('tokens that were paid for with a former key of the mint come with the next purchase', async () => {
  const { buy, balance, refresh } = await open()
  await lose(buy, 6)
  await network.rotateMint()
  await refresh()
  const before = network.account()
  expect(await buy(2)).toBe(8)
  expect(network.account()).toBe(before - 2)
  expect(await balance()).toMatchObject({ ready: 8, requested: 0 })
})

it('of them only those are given up that the mint never signed', async () => {
  const { buy, balance, refresh } = await open()
  await lose(buy, 4)
  network.setAccount(0)
  // Six are asked for now, and four of them were paid: those come.
  await expect(buy(6)).resolves.toBe(4)
  expect(await balance()).toMatchObject({ ready: 4, requested: 2 })

  network.setAccount(100)
  await lose(buy, 2)
  network.setAccount(0)
  await expect(buy(3)).resolves.toBe(2)
  network.setAccount(100)
  await network.rotateMint()
  await refresh()
  expect(await buy(1)).toBe(1)
  expect(askedAt('/token-reissue')).toBe(1)
  expect(await balance()).toMatchObject({ ready: 7, requested: 0 })
  expect(network.account()).toBe(99)
})

it('paid and unpaid tokens of one former batch are told from one another', async () => {
  const { buy, balance, refresh } = await open()
  await lose(buy, 4)
  // Two more are asked for, and nobody is there.
  network.setAccount(0)
  network.script.mint = 'unavailable'
  await expect(buy(6)).rejects.toMatchObject({ code: 'INFERENCE_MINT_REFUSED' })
  network.script.mint = 'honest'
  network.setAccount(100)
  await network.rotateMint()
  await refresh()
  expect(await buy(1)).toBe(5)
  expect(askedAt('/token-reissue')).toBe(6)
  expect(await balance()).toMatchObject({ ready: 5, requested: 0 })
  expect(network.account()).toBe(99)
})

it('nothing is given up while the mint does not say so', async () => {
  const { buy, wallet, directory, refresh } = await open()
  await lose(buy, 3)
  await network.rotateMint()
  await refresh()
  network.script.mint = 'unavailable'
  await expect(buy(1)).rejects.toMatchObject({ code: 'INFERENCE_MINT_REFUSED' })
  network.script.mint = 'honest'
  expect(await buy(1)).toBe(4)
  expect(network.notices).toMatchObject([{ what: 'top-up', error: { code: 'INFERENCE_MINT_REFUSED' } }])
  expect((await directory()).directory.mints[0]?.keys).toHaveLength(2)
  expect(wallet.unsettled()).toEqual([])
})

it('what a former key owes is asked for although the wallet is full', async () => {
  const wallet = await network.wallet()
  const account = createAccountKey()
  const mint = { url: network.url, name: 'mint', account, batch: 32, lowWater: 16, delay: { min: 0, max: 0 } }
  const first = openPrivateNetwork(network.options(wallet, { mint }))
  opened.push(first)
  await first.ready()
  await lose(first.buy, 3)
  await first.close()
  await network.rotateMint()
  const second = openPrivateNetwork(network.options(wallet, { mint }))
  opened.push(second)
  await second.ready()
  await expect.poll(async () => (await second.balance()).ready).toBe(35)
})
