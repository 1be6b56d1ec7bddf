import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createAccountKey, readAccountKey } from './mint.ts'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { recoverWallet } from './recoverWallet.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

let network: TestNetwork
let opened: PrivateNetwork[] = []
const honest = {} as TestNetwork['script']
beforeAll(async () => {
  network = await startTestNetwork()
  Object.assign(honest, network.script)
})
afterAll(() => network.close())
beforeEach(() => {
  network.notices.length = 0
  network.seen.mint.length = 0
  network.setAccount(100_000)
})
afterEach(async () => {
  Object.assign(network.script, honest)
  for (const each of opened) await each.close()
  opened = []
})

const mint = (changes: object = {}) => ({
  url: network.url,
  name: 'mint',
  account: createAccountKey(),
  batch: 8,
  lowWater: 8,
  ...changes,
})
const open = (options: Parameters<typeof openPrivateNetwork>[0]) => {
  const one = openPrivateNetwork(options)
  opened.push(one)
  return one
}
const ask = (fetch: typeof globalThis.fetch, fields: object = {}) =>
  fetch('http://x/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({
      model: 'test-model',
      messages: [{ role: 'user', content: 'hi' }],
      max_tokens: 10,
      ...fields,
    }),
  })
const bought = () => network.seen.mint.filter(({ path }) => path === '/token-requests')

describe('an account key', () => {
  it('is 32 random bytes', () => {
    expect(createAccountKey()).toMatch(/^[\w-]{43}$/)
    expect(createAccountKey()).not.toBe(createAccountKey())
    expect(readAccountKey(` ${'A'.repeat(43)}\n`)).toBe('A'.repeat(43))
  })

  it.each(['', 'short', 'A'.repeat(44), `${'A'.repeat(42)}B`, 'ä'.repeat(43)])(
    'is not %j, and it is not quoted',
    (text) => {
      expect(() => readAccountKey(text)).toThrow(expect.objectContaining({ code: 'INFERENCE_CLIENT_OPTION' }))
    },
  )
})

describe('tokens', () => {
  it('are bought at the start where they would not pay one request', async () => {
    const network1 = open(network.options(await network.wallet(), { mint: mint() }))
    expect(await network1.balance()).toMatchObject({ ready: 8 })
    expect(bought()).toMatchObject([{ count: 8, account: expect.stringMatching(/^Bearer [\w-]{43}$/) }])
  })

  it('are not bought at the start where they would', async () => {
    const wallet = await network.wallet()
    const first = open(network.options(wallet, { mint: mint({ batch: 32 }) }))
    await first.ready()
    await first.close()
    network.seen.mint.length = 0
    const second = open(network.options(wallet, { mint: mint({ batch: 32, lowWater: 64 }) }))
    expect(await second.balance()).toMatchObject({ ready: 32 })
    expect(bought()).toEqual([])
  })

  it('are bought in batches when they run low, and not while a request is answered', async () => {
    const options = network.options(await network.wallet(), {
      mint: mint({ batch: 20, lowWater: 20, delay: { min: 0, max: 0 } }),
    })
    const { fetch, balance } = open(options)
    expect(await balance()).toMatchObject({ ready: 20 })
    network.seen.mint.length = 0
    let during = -1
    network.script.node = () => {
      during = bought().length
      return {}
    }
    expect((await ask(fetch)).status).toBe(200)
    expect(during).toBe(0)
    await expect.poll(async () => (await balance()).ready).toBe(39)
    expect(bought()).toMatchObject([{ count: 20 }])
    expect(network.notices).toEqual([])
  })

  it('are bought behind the delay, however low they are, while they pay a request', async () => {
    const day = 86_400_000
    const options = network.options(await network.wallet(), {
      mint: mint({ batch: 20, lowWater: 200, delay: { min: day, max: day } }),
    })
    const { fetch, balance } = open(options)
    for (let left = 20; left > 16; left--) {
      expect((await ask(fetch)).status).toBe(200)
      expect(await balance()).toMatchObject({ ready: left - 1 })
    }
    expect(bought()).toHaveLength(1)
    expect(network.notices).toEqual([])
    // With 15 tokens a request of the largest class could not be paid: what was planned for later is done now.
    expect((await ask(fetch)).status).toBe(200)
    await expect.poll(async () => (await balance()).ready).toBe(35)
    expect(network.notices).toMatchObject([
      {
        what: 'top-up',
        error: { code: 'INFERENCE_WALLET_DRAINED', details: { mint: 'mint', lowWater: 200 } },
      },
    ])
  })

  it('that were asked for and not given are asked for again first, with the same bytes', async () => {
    network.setAccount(0)
    const { buy, balance } = open(network.options(await network.wallet(), { mint: mint({ lowWater: 0 }) }))
    await expect(buy(8)).rejects.toMatchObject({ code: 'INFERENCE_ACCOUNT_EMPTY' })
    network.setAccount(100)
    expect(await buy(4)).toBe(8)
    expect(network.account()).toBe(92)
    expect(await balance()).toMatchObject({ ready: 8, requested: 0 })
  })

  it('come as far as the account reaches', async () => {
    network.setAccount(5)
    const { balance, ready } = open(network.options(await network.wallet(), { mint: mint() }))
    await ready()
    expect(await balance()).toMatchObject({ ready: 5, requested: 3 })
    expect(network.account()).toBe(0)
  })

  it('are many when many are wanted', async () => {
    const { buy, balance } = open(network.options(await network.wallet(), { mint: mint({ lowWater: 0 }) }))
    expect(await buy(300)).toBe(300)
    expect(bought().map(({ count }) => count)).toEqual([256, 44])
    expect(await balance()).toMatchObject({ ready: 300 })
  })

  it('cannot be bought without a mint', async () => {
    const { mint: _, ...options } = network.options(await network.wallet())
    await expect(open(options).buy(1)).rejects.toMatchObject({ code: 'INFERENCE_MINT_UNCONFIGURED' })
  })

  it('that a mint refuses are told of, and requests go on as far as there are some', async () => {
    network.setAccount(0)
    const { fetch } = open(network.options(await network.wallet(), { mint: mint() }))
    expect(await (await ask(fetch)).json()).toMatchObject({ error: { code: 'wallet_empty' } })
    expect(network.notices).toMatchObject([{ what: 'top-up', error: { code: 'INFERENCE_ACCOUNT_EMPTY' } }])
  })
})

it('shows a mint its account only where it buys', async () => {
  const { buy } = open(network.options(await network.wallet(), { mint: mint({ lowWater: 0 }) }))
  await buy(2)
  expect(network.seen.mint.map(({ path, account }) => [path, account !== undefined])).toEqual([
    ['/.well-known/private-token-issuer-directory', false],
    ['/token-requests', true],
  ])
})

describe('a lost wallet', () => {
  it('is found again from its seed: what was bought, what is change, and not what is spent', async () => {
    const wallet = await network.wallet()
    const account = mint({ batch: 24, lowWater: 4 })
    const { fetch, close } = open(network.options(wallet, { mint: account }))
    for (const max_tokens of [10, 3_000, 3_000]) expect((await ask(fetch, { max_tokens })).status).toBe(200)
    await close()
    const left = network.account()

    const again = await network.wallet(wallet.exportSeed())
    const from = network.seen.paths.length
    const found = await recoverWallet({ ...network.options(again, { mint: account }), gap: 4 })
    // Three answers cost one token each. The change of the second one was spent first on the third.
    expect(found).toEqual({ bought: 18, change: 3 })
    expect(network.account()).toBe(left)
    const asked = network.seen.paths.slice(from)
    expect(asked.filter((path) => path === '/token-status').length).toBeGreaterThanOrEqual(30)
    expect(new Set(asked)).toEqual(new Set(['/token-status', '/reissue']))

    const { fetch: fetchAgain, balance } = open(network.options(again, { mint: account }))
    expect(await balance()).toMatchObject({ ready: 21 })
    expect((await ask(fetchAgain, { max_tokens: 8_000 })).status).toBe(200)
    expect(network.paths.at(-1)).toMatchObject({ outcome: 'answered', spent: 1, returned: 15 })
  })

  it('is not found without a mint, and nothing is asked', async () => {
    const { mint: _, ...options } = network.options(await network.wallet())
    await expect(recoverWallet(options)).rejects.toMatchObject({ code: 'INFERENCE_MINT_UNCONFIGURED' })
  })
})
