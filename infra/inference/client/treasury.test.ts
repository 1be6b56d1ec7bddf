import { afterEach, beforeEach, expect, it } from 'vitest'
import type { TokenKey } from '../protocol/network/directory.ts'
import { generateTokenKey } from '../tokens/blindRsa/keys.ts'
import { fetchDirectory } from './fetchDirectory.ts'
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
