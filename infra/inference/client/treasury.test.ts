import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BinaryResponse, Field } from '../protocol/bhttp/message.ts'
import type { TokenKey } from '../protocol/network/directory.ts'
import { problemOf } from '../protocol/network/problem.ts'
import { generateTokenKey } from '../tokens/blindRsa/keys.ts'
import { fetchDirectory } from './fetchDirectory.ts'
import { openPrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'
import { createTransport } from './transport.ts'
import { createTreasury } from './treasury.ts'

let network: TestNetwork
beforeEach(async () => {
  network = await startTestNetwork()
})
afterEach(() => network.close())

it('buys with the key of a mint that began last, in whatever order they are listed', async () => {
  const now = Math.floor(Date.now() / 1000)
  const day = 86_400
  const key = async (notBefore: number, notAfter: number): Promise<TokenKey> => ({
    key: Buffer.from((await generateTokenKey()).publicKey.spki).toString('base64'),
    notBefore: now + notBefore,
    notAfter: now + notAfter,
  })
  // As a mint lists them a day before it turns to the next one: the newest first.
  const [next, current, former] = await Promise.all([
    key(day, 61 * day),
    key(-29 * day, 31 * day),
    key(-59 * day, day),
  ])
  const wallet = await network.wallet()
  const transport = createTransport()
  const treasury = createTreasury({
    wallet,
    gateway: 'gate',
    mint: 'mint',
    now: Date.now,
    onTrouble: (error) => {
      throw error
    },
  })
  for (const keys of [
    [next, current, former],
    [former, current, next],
    [current, next, former],
  ]) {
    await network.publish({ mints: [{ name: 'mint', url: 'http://mint.test', keys }] })
    const { relay, gateway } = network.options(wallet)
    const source = {
      transport,
      relays: [relay].flat(),
      gateway: { ...gateway, identity: network.identity.identity },
      timeout: 10_000,
      now: Date.now,
    }
    const issuers = treasury.issuers(await fetchDirectory(source, 0))
    const spki = issuers.mints.get('mint')?.publicKey.spki ?? new Uint8Array()
    expect(Buffer.from(spki).toString('base64')).toBe(current.key)
    expect(issuers.spendable).toHaveLength(3)
  }
  transport.close()
})

describe('a payment whose end was not seen', () => {
  const minute = 60_000
  const gatewaySays = (code: string, trailers: readonly Field[] = []): BinaryResponse => ({
    informational: [],
    status: 422,
    headers: [],
    content: Buffer.from(JSON.stringify(problemOf({ status: 422, code, message: '', role: 'gateway' }))),
    trailers,
  })

  /** A wallet with a payment of one token, and a clock. */
  async function pay() {
    const wallet = await network.wallet()
    const opened = openPrivateNetwork({ ...network.options(wallet), tries: 1 })
    network.script.relay = () => 'lose-answer'
    await opened.fetch('http://x/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ model: 'test-model', messages: [], max_tokens: 9 }),
    })
    const directory = await opened.directory()
    await opened.close()
    const clock = { now: Date.now() }
    const troubles: unknown[] = []
    const treasury = createTreasury({
      wallet,
      gateway: 'gate',
      mint: 'mint',
      now: () => clock.now,
      onTrouble: (error) => troubles.push(error),
    })
    expect(wallet.unsettled()).toHaveLength(1)
    return { wallet, directory, clock, treasury, troubles }
  }
  const apart = () => Promise.resolve(true)

  it('is asked for ever more seldom, up to once in an hour, and always when a caller says so', async () => {
    const { directory, clock, treasury } = await pay()
    let asked = 0
    const link = {
      ask: async () => {
        asked += 1
        return gatewaySays('change_refused')
      },
    }
    const times: number[] = []
    for (let at = 0; at <= 400; at++) {
      const before = asked
      await treasury.reclaim(link, { directory: () => directory, apart })
      if (asked > before) times.push(at)
      clock.now += minute
    }
    // The keys are good for an hour: then it would be given up.
    expect(times.slice(0, 6)).toEqual([0, 1, 3, 7, 15, 31])
  })

  it('goes on being asked for each hour while one of its keys is good', async () => {
    const { directory, clock, treasury, wallet } = await pay()
    const link = { ask: async () => gatewaySays('change_refused') }
    const { changeKeys, mints } = directory.directory
    const longer = {
      ...directory,
      digest: 'longer',
      directory: {
        ...directory.directory,
        changeKeys: changeKeys.map((key) => ({ ...key, notAfter: 1e10 })),
        mints,
      },
    }
    let asked = 0
    const counting = {
      ask: () => {
        asked += 1
        return link.ask()
      },
    }
    for (let at = 0; at < 600; at++) {
      await treasury.reclaim(counting, { directory: () => longer, apart })
      clock.now += minute
    }
    // At 0, 1, 3, 7, 15, 31 and 63 minutes, and then each hour.
    expect(asked).toBe(7 + 8)
    await treasury.reclaim(counting, { directory: () => longer })
    expect(asked).toBe(16)
    expect(wallet.unsettled()).toHaveLength(1)
  })

  it('is given up when all its keys have ended and the gateway refuses it, and that is told', async () => {
    const { directory, clock, treasury, wallet, troubles } = await pay()
    const said = { code: 'busy' }
    const link = { ask: async () => gatewaySays(said.code) }
    const ask = () => treasury.reclaim(link, { directory: () => directory })
    said.code = 'tokens_refused'
    await ask()
    expect(wallet.unsettled()).toHaveLength(1)
    clock.now += 2 * 3_600_000
    // Of the gateway's other refusals none is for good.
    said.code = 'busy'
    await ask()
    expect(wallet.unsettled()).toHaveLength(1)
    troubles.length = 0
    said.code = 'tokens_refused'
    expect(await ask()).toBe(0)
    expect(wallet.unsettled()).toEqual([])
    expect(troubles).toMatchObject([
      { code: 'INFERENCE_PAYMENT_LOST', details: { gateway: 'gate', tokens: 1 } },
    ])
  })
})
