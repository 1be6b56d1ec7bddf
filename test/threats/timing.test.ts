import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { hasLoopbackNet } from './addressedFetch.ts'
import { type Asked, openClient } from './clients.ts'
import { models, startTappedNetwork, type TappedNetwork } from './network.ts'
import { type Observed, observe } from './observe.ts'
import { seededRandom } from './random.ts'
import { actionAfter, assign, matchByAll, matchInOrder, purchaserBefore } from './timing.ts'

/** How many clients are at work at once, in which form they are answered, and whether they send cover requests. */
type Setting = { readonly clients: number; readonly cadence: number | 'off'; readonly cover: boolean }

const settings: readonly Setting[] = [1, 4, 16].flatMap((clients) =>
  (['off', 25] as const).flatMap((cadence) => [false, true].map((cover) => ({ clients, cadence, cover }))),
)
const requestsEach = 2
/** Milliseconds between two cover requests of a client, on average: more of them would be all that the machine does. */
const coverEvery = (clients: number): number => Math.max(80, 40 * clients)

describe('the cheapest assignment', () => {
  it('is as cheap as the best of all', () => {
    const size = fc.integer({ min: 1, max: 5 })
    const matrix = size.chain((rows) =>
      fc.array(fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 5, maxLength: 5 }), {
        minLength: rows,
        maxLength: rows,
      }),
    )
    const best = (costs: readonly (readonly number[])[], taken: readonly number[] = []): number => {
      const [row, ...rest] = costs
      if (row === undefined) return 0
      return Math.min(
        ...row.flatMap((cost, column) =>
          taken.includes(column) ? [] : [cost + best(rest, [...taken, column])],
        ),
      )
    }
    fc.assert(
      fc.property(matrix, (costs) => {
        const columns = assign(costs)
        expect(new Set(columns).size).toBe(costs.length)
        const total = columns.reduce((sum, column, row) => sum + (costs[row]?.[column] ?? 1e9), 0)
        expect(total).toBe(best(costs))
      }),
    )
  })
})

describe.runIf(await hasLoopbackNet())('timing (needs 127.0.0.0/8 to be local, as on Linux)', () => {
  let network: TappedNetwork
  const seen = { relay: none(), node: none(), mint: none(), chain: none() }
  const rates = new Map<Setting, ReturnType<typeof measure>>()
  const ratesOf = (setting: Setting) => rates.get(setting) ?? measure(setting)
  const runs = new Map<
    Setting,
    { readonly asked: readonly Asked[]; readonly from: number; readonly to: number }
  >()

  beforeAll(async () => {
    const paces = seededRandom(7)
    network = await startTappedNetwork({
      paceOf: () => ({ pieces: 2 + Math.floor(paces() * 5), pause: 1 + Math.floor(paces() * 8) }),
    })
    for (const [index, setting] of settings.entries()) runs.set(setting, await run(setting, index))
    const recordings = await network.record()
    for (const role of ['relay', 'node', 'mint', 'chain'] as const) {
      const recording = recordings.get(role)
      if (recording !== undefined) seen[role] = await observe(recording)
    }
    for (const setting of settings) rates.set(setting, measure(setting))
  }, 120_000)
  afterAll(async () => {
    await network.close()
    const shares = ['inOrder', 'byAll', 'purchases', 'actions'] as const
    const heads = [
      'clients',
      'cadence',
      'cover',
      'seen',
      'relay+node',
      '... and sizes',
      'node+mint',
      'node+chain',
    ]
    const lines = settings.map((setting) => {
      const found = ratesOf(setting)
      return [
        setting.clients,
        setting.cadence,
        setting.cover ? 'on' : 'off',
        found.carried,
        ...shares.map((share) => `${Math.round(found[share] * 100)} %`),
      ]
    })
    process.stdout.write(
      `\nReal requests that timing gives to the right client:\n${[heads, ...lines]
        .map((line) => line.map((cell) => String(cell).padEnd(14)).join(''))
        .join('\n')}\n\n`,
    )
  })

  async function run({ clients: count, cadence, cover }: Setting, run: number) {
    const from = performance.now()
    const clients = await Promise.all(
      Array.from({ length: count }, async (_, index) => {
        const random = seededRandom(run * 100 + index)
        const client = await openClient(network, index, {
          name: `${run}-${index}`,
          batch: 32,
          cadence,
          random,
          ...(cover ? { cover: { every: coverEvery(count), model: models.private } } : {}),
        })
        await client.ready()
        return { client, random }
      }),
    )
    const asked = await Promise.all(
      clients.map(async ({ client, random }) => {
        const own: Asked[] = []
        for (let turn = 0; turn < requestsEach; turn++) {
          // No wait for anything: when clients ask is what is measured.
          await delay(random() * 60)
          own.push(await client.ask({ kind: 'private', maxTokens: 20, stream: true, act: true }))
        }
        return own
      }),
    )
    for (const { client } of clients) {
      expect(client.troubles).toEqual([])
      await client.close()
    }
    return { asked: asked.flat(), from, to: performance.now() }
  }

  /** How many of the real requests an attacker gives to the right client, of all. */
  function measure(setting: Setting) {
    const { asked = [], from = 0, to = 0 } = runs.get(setting) ?? {}
    const within = ({ began }: { readonly began: number }) => from <= began && began <= to
    const carried = seen.relay.requests.filter(within)
    const served = seen.node.requests.filter(within)
    const owners = new Map(asked.map(({ prompt, address }) => [prompt, address]))
    const rate = (guesses: readonly (string | undefined)[]) => {
      const right = served.filter(({ known }, at) => {
        const owner = owners.get(known.prompt ?? '')
        return owner !== undefined && owner === guesses[at]
      })
      return right.length / asked.length
    }
    const addressOf = (at: number) => carried[at]?.known.address
    return {
      carried: carried.length,
      inOrder: rate(matchInOrder(carried, served).map(addressOf)),
      byAll: rate(matchByAll(carried, served).map(addressOf)),
      purchases: rate(served.map(({ began }) => purchaserBefore(seen.mint.deeds, began)?.address)),
      actions: rate(served.map(({ ended }) => actionAfter(seen.chain.deeds, ended)?.address)),
    }
  }

  it.each(settings)(
    '$clients at once, cadence $cadence, cover $cover: both sides saw every request',
    (setting) => {
      const { asked = [] } = runs.get(setting) ?? {}
      const { carried } = ratesOf(setting)
      expect(asked.length).toBe(setting.clients * requestsEach)
      expect(carried).toBeGreaterThanOrEqual(asked.length)
      const prompts = new Set(seen.node.requests.map(({ known }) => known.prompt))
      expect(asked.filter(({ prompt }) => !prompts.has(prompt))).toEqual([])
    },
  )

  it('one client at a time is known by timing alone, whatever the cadence and the cover', () => {
    for (const setting of settings.filter(({ clients }) => clients === 1)) {
      const { inOrder, byAll, purchases, actions } = ratesOf(setting)
      expect({ inOrder, byAll, purchases, actions }).toEqual({
        inOrder: 1,
        byAll: 1,
        purchases: 1,
        actions: 1,
      })
    }
  })
})

function none(): Observed {
  return { requests: [], deeds: [], starts: [], opened: [] }
}
