import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { coverBody, RecentForms, scheduleCover } from './cover.ts'
import { openPrivateNetwork, type PrivateNetwork } from './openPrivateNetwork.ts'
import { startTestNetwork, type TestNetwork } from './testNetwork.ts'

describe('the schedule', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  const waits = async (every: Parameters<typeof scheduleCover>[0]['every'], draws: readonly number[]) => {
    vi.useFakeTimers()
    const left = [...draws]
    const times: number[] = []
    const start = Date.now()
    const stop = scheduleCover(
      { every, model: 'm' },
      () => left.shift() ?? 0,
      async () => {
        times.push(Date.now() - start)
      },
    )
    await vi.advanceTimersByTimeAsync(10_000)
    stop()
    await vi.advanceTimersByTimeAsync(100_000)
    return times
  }

  it('is exponential around a mean', async () => {
    const draw = (wait: number) => 1 - Math.exp(-wait / 1_000)
    const times = await waits(1_000, [draw(500), draw(2_000), draw(100_000)])
    expect(times.map(Math.round)).toEqual([500, 2_500])
  })

  it('is even over a range', async () => {
    expect(await waits({ min: 1_000, max: 3_000 }, [0, 0.5, 1, 1, 1])).toEqual([1_000, 3_000, 6_000, 9_000])
  })

  it.each([0, -1, Number.NaN, { min: 0, max: 5 }, { min: 5, max: 4 }])('is not %j', (every) => {
    expect(() => scheduleCover({ every, model: 'm' }, Math.random, async () => undefined)).toThrow(
      expect.objectContaining({ code: 'INFERENCE_CLIENT_OPTION' }),
    )
  })
})

it('takes the form of recent requests', () => {
  const forms = new RecentForms()
  expect(forms.draw(() => 0.9)).toEqual({ bucket: 2_048, paid: 1 })
  for (let count = 0; count < 40; count++) forms.enter({ bucket: count, paid: 4 })
  expect(forms.draw(() => 0)).toEqual({ bucket: 8, paid: 4 })
  expect(forms.draw(() => 0.999)).toEqual({ bucket: 39, paid: 4 })
})

it('asks little, in several words', () => {
  const bodies = new Set(
    Array.from({ length: 6 }, (_, at) => new TextDecoder().decode(coverBody('m', () => at / 6))),
  )
  expect(bodies.size).toBe(6)
  for (const body of bodies)
    expect(JSON.parse(body)).toMatchObject({ model: 'm', max_tokens: 4, stream: true })
})

describe('cover requests', () => {
  let network: TestNetwork
  let opened: PrivateNetwork | undefined
  beforeAll(async () => {
    network = await startTestNetwork()
  })
  afterAll(() => network.close())
  afterEach(async () => {
    await opened?.close()
    network.paths.length = 0
    network.notices.length = 0
    network.seen.infer.length = 0
  })

  it('are paid and padded as real ones, and stop with the network', async () => {
    const options = network.options(await network.wallet(), {
      cover: { every: { min: 1, max: 1 }, model: 'test-model' },
    })
    network.script.node = () => ({ events: ['data: {"model":"test-model"}\n\n', 'data: [DONE]\n\n'] })
    opened = openPrivateNetwork(options)
    const long = {
      model: 'test-model',
      messages: [{ role: 'user', content: 'x'.repeat(5_000) }],
      max_tokens: 2_000,
    }
    const said = await opened.fetch('http://x/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify(long),
    })
    await said.text()
    const isLikeIt = ({ kind, sizes, tries }: (typeof network.paths)[number]) =>
      kind === 'cover' && sizes.inner === real?.sizes.inner && tries[0]?.paid === real.tries[0]?.paid
    const real = await vi.waitFor(() => {
      const found = network.paths.find(({ kind }) => kind === 'request')
      expect(found).toBeDefined()
      return found
    })
    await expect.poll(() => network.paths.filter(isLikeIt).length).toBeGreaterThan(0)
    await opened.close()
    const count = network.seen.infer.length
    expect(network.paths.every(({ unsettled }) => unsettled === 0)).toBe(true)
    await new Promise((resolve) => setImmediate(resolve))
    expect(network.seen.infer.length).toBe(count)
  })

  it('never fail into the application', async () => {
    const options = network.options(await network.wallet(), {
      cover: { every: { min: 1, max: 1 }, model: 'none' },
    })
    opened = openPrivateNetwork(options)
    await expect
      .poll(() => network.paths)
      .toMatchObject(
        expect.arrayContaining([
          expect.objectContaining({ kind: 'cover', outcome: 'refused', code: 'model_not_found' }),
        ]),
      )
  })
})
