import { describe, expect, it } from 'vitest'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { usd, wei } from '../../runtime/core/units.ts'
import type { Actors } from './actors.ts'
import { type PlayOptions, playScenario } from './playScenario.ts'
import type { PricePoint } from './scenarios/scenario.ts'

const START = 6n
const START_TIME = 1_000n

const pathOf = (length: number): PricePoint[] =>
  Array.from({ length }, (_, index) => ({
    oracle: usd(BigInt(2_000 - index)),
    market: usd(BigInt(1_990 - index)),
    baseFeePerGas: wei(BigInt(index + 1)),
  }))

/** A chain of block numbers, whose actors write down what they do. */
function stage(options: { at?: bigint; blocks?: number; settledAt?: bigint } = {}) {
  const { at = START, blocks = 3, settledAt = 0n } = options
  const events: string[] = []
  let number = at
  let time = START_TIME + (at - START) * 12n
  const head = (): BlockRef => ({ number, timestamp: time }) as BlockRef
  const actors = {
    async pushPrice(price: bigint) {
      events.push(`price ${price}`)
    },
    async arbitrageTo(price: bigint) {
      events.push(`pool ${price}`)
    },
    async mineBlock({ timestamp, baseFeePerGas }: { timestamp: bigint; baseFeePerGas: bigint }) {
      number += 1n
      time = timestamp
      events.push(`mine ${number} at ${timestamp} for ${baseFeePerGas}`)
    },
  } as unknown as Actors
  const controller = new AbortController()
  const shown: number[] = []
  const play = (overrides: Partial<PlayOptions> = {}) =>
    playScenario({
      actors,
      players: {
        head: async () => head(),
        processHead: async (block) => {
          events.push(`see ${block.number}`)
        },
        busy: async () => number < settledAt,
        untilAnswered: async () => false,
      },
      path: pathOf(blocks),
      startTimestamp: START_TIME,
      realtime: null,
      signal: controller.signal,
      async onBlock({ index, of, head: { number: block }, point }) {
        shown.push(index)
        events.push(`told ${index + 1}/${of} block ${block} at ${point.oracle}`)
      },
      ...overrides,
    })
  return { play, events, shown, abort: () => controller.abort(), head }
}

describe('in lockstep', () => {
  it('mines a block when everybody is through with the last one', async () => {
    const { play, events } = stage({ blocks: 2 })
    await play()
    expect(events).toEqual([
      'see 6',
      'price 2000',
      'pool 1990',
      'mine 7 at 1012 for 1',
      'see 7',
      'told 1/2 block 7 at 2000',
      'price 1999',
      'pool 1989',
      'mine 8 at 1024 for 2',
      'see 8',
      'told 2/2 block 8 at 1999',
    ])
  })

  it('stands still while somebody is asked, and has what was answered taken up at the price that was seen', async () => {
    const { play, events, head } = stage({ at: START + 1n, blocks: 3 })
    const answers = [false, true, true, false]
    await play({
      players: {
        head: async () => head(),
        processHead: async ({ number }) => void events.push(`see ${number}`),
        busy: async () => false,
        untilAnswered: async () => answers.shift() ?? expect.unreachable(),
      },
    })
    expect(events.filter((event) => !event.startsWith('pool'))).toEqual([
      'see 7',
      'price 1999',
      'mine 8 at 1024 for 2',
      'see 8',
      'told 2/3 block 8 at 1999',
      'mine 9 at 1025 for 2',
      'see 9',
      'mine 10 at 1026 for 2',
      'see 10',
      'price 1998',
      'mine 11 at 1036 for 3',
      'see 11',
      'told 3/3 block 11 at 1998',
    ])
  })

  it('goes on with the next price where somebody is asked without end', async () => {
    const { play, shown, head } = stage({ blocks: 2 })
    const players = {
      head: async () => head(),
      processHead: async () => undefined,
      busy: async () => false,
      untilAnswered: async () => true,
    }
    await play({ players })
    expect(shown).toEqual([0, 1])
    expect(head()).toMatchObject({ number: START + 24n, timestamp: START_TIME + 24n })
  })

  it('mines nothing more when it is interrupted while somebody is asked', async () => {
    const { play, abort, head } = stage({ blocks: 9 })
    await play({
      players: {
        head: async () => head(),
        processHead: async () => undefined,
        busy: async () => true,
        async untilAnswered() {
          abort()
          return true
        },
      },
    })
    expect(head().number).toBe(START)
  })

  it('goes on at the block where the chain stands, with the time that it would have had', async () => {
    const { play, events, shown } = stage({ at: START + 2n })
    await play()
    expect(shown).toEqual([2])
    expect(events.slice(0, 4)).toEqual(['see 8', 'price 1998', 'pool 1988', 'mine 9 at 1036 for 3'])
  })

  it('mines on at the last price until what is in flight is settled, also after a restart', async () => {
    for (const at of [START, START + 3n, START + 4n]) {
      const { play, events, head } = stage({ at, settledAt: START + 5n })
      await play()
      expect(head().number).toBe(START + 5n)
      expect(events.slice(-4)).toEqual(['price 1998', 'pool 1988', 'mine 11 at 1060 for 3', 'see 11'])
    }
  })

  it('does not wait for ever for what never settles', async () => {
    const { play, head } = stage({ settledAt: 1_000n })
    await play()
    expect(head().number).toBe(START + 3n + 8n)
  })

  it('stops between two blocks when it is interrupted, and settles nothing more', async () => {
    const { play, abort, shown, head } = stage({ blocks: 50, settledAt: 1_000n })
    await play({
      async onBlock({ index }) {
        shown.push(index)
        if (index === 4) abort()
      },
    })
    expect(shown).toEqual([0, 1, 2, 3, 4])
    expect(head().number).toBe(START + 5n)
  })

  it('breaks off with the error of whoever cannot go on', async () => {
    const { play, head } = stage()
    const players = {
      head: async () => head(),
      processHead: async ({ number }: BlockRef) => {
        if (number === START + 2n) throw new RangeError('lost')
      },
      busy: async () => false,
      untilAnswered: async () => false,
    }
    await expect(play({ players })).rejects.toThrow('lost')
    expect(head().number).toBe(START + 2n)
  })
})

describe('in real time', () => {
  it('waits for nobody: who is late passes over what came meanwhile', async () => {
    const { play, shown, head } = stage({ blocks: 6 })
    const seen: bigint[] = []
    let finish: () => void = () => undefined
    const slow = new Promise<void>((resolve) => {
      finish = resolve
    })
    await play({
      realtime: 1,
      players: {
        head: async () => head(),
        async processHead({ number }) {
          seen.push(number)
          if (number === START + 1n) await slow
        },
        busy: async () => false,
        untilAnswered: async () => expect.unreachable(),
      },
      async onBlock({ index }) {
        shown.push(index)
        if (index === 4) finish()
      },
    })
    expect(shown).toEqual([0, 1, 2, 3, 4, 5])
    expect(seen.slice(0, 2)).toEqual([START, START + 1n])
    expect(seen).not.toContain(START + 2n)
    // The last head is seen before it ends.
    expect(seen.at(-1)).toBe(START + 6n)
  })

  it('breaks off when an actor fails behind its back', async () => {
    const { play, head } = stage({ blocks: 1_000 })
    const players = {
      head: async () => head(),
      async processHead({ number }: BlockRef) {
        if (number > START) throw new RangeError('lost')
      },
      busy: async () => false,
      untilAnswered: async () => false,
    }
    await expect(play({ realtime: 1, players })).rejects.toThrow('lost')
    expect(head().number).toBeLessThan(START + 1_000n)
  })

  it('ends its pause when it is interrupted', async () => {
    const { play, abort, head, shown } = stage()
    let heads = 0
    await play({
      realtime: 60_000,
      players: {
        head: async () => head(),
        async processHead() {
          heads += 1
          if (heads === 2) abort()
        },
        busy: async () => true,
        untilAnswered: async () => expect.unreachable(),
      },
    })
    expect(shown).toEqual([0])
    expect(head().number).toBe(START + 1n)
  })
})
