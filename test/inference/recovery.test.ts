import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openPrivateNetwork } from '../../infra/inference/client/openPrivateNetwork.ts'
import { recoverWallet } from '../../infra/inference/client/recoverWallet.ts'
import { openWallet } from '../../infra/inference/tokens/wallet/openWallet.ts'
import { type RealNetwork, startRealNetwork } from './network.ts'

let network: RealNetwork
beforeAll(async () => {
  network = await startRealNetwork()
})
afterAll(() => network.close())

const ask = (fetch: typeof globalThis.fetch, fields: object) =>
  fetch('http://private.invalid/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({
      model: network.model,
      messages: [{ role: 'user', content: 'Who are you?' }],
      ...fields,
    }),
  })

/** What the account may still buy. */
async function left(account: string): Promise<number> {
  const headers = { authorization: `Bearer ${account}` }
  const answer = await fetch(`${network.network.mint.url}/account`, { headers })
  return ((await answer.json()) as { tokens: number }).tokens
}

it('finds a lost wallet again from its seed, at the real mint and gateway, and buys nothing', async () => {
  const { relays, gateway } = network.network
  const account = Buffer.alloc(32, 7).toString('base64url')
  const mint = { ...network.network.mint, account, batch: 40, lowWater: 8 }
  const lost = await network.join({ mint })
  for (const max_tokens of [10, 3_000]) expect((await ask(lost.fetch, { max_tokens })).status).toBe(200)
  const { ready } = await lost.balance()
  // Two answers, one token each.
  expect(ready).toBe(38)
  await lost.close()

  const wallet = await openWallet({
    path: join(network.folder, 'found'),
    secret: { kind: 'passphrase', passphrase: 'test' },
    scryptCost: 1024,
    seed: lost.wallet.exportSeed(),
  })
  try {
    const options = { relay: relays, gateway, wallet, mint, privacy: 'private' } as const
    const before = await left(account)
    const found = await recoverWallet({ ...options, gap: 8 })
    expect(found.bought + found.change).toBe(ready)
    expect(found.change).toBeGreaterThan(0)
    expect(await left(account)).toBe(before)

    const again = openPrivateNetwork(options)
    expect(await again.balance()).toMatchObject({ ready })
    expect((await ask(again.fetch, { max_tokens: 8_000 })).status).toBe(200)
    await again.close()
  } finally {
    await wallet.close()
  }
})
