import { describe, expect, test } from 'vitest'
import {
  BlockGoneError,
  NoQuorumError,
  RouteMissingError,
  RpcUnreachableError,
} from '../../../runtime/core/chainErrors.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import type { Chain } from '../../../runtime/core/ports.ts'
import type { BlockRef } from '../../../runtime/core/snapshot.ts'
import { wei } from '../../../runtime/core/units.ts'
import { composeChain } from './composeChain.ts'
import { fakeNode, hurriedTimer, partialChain } from './fakeNode.fixture.ts'

const hashOf = (n: bigint, fork = 0): Hash => `0x${fork}${n.toString(16).padStart(63, '0')}`
const block = (n: bigint, fork = 0): BlockRef => ({
  number: n,
  hash: hashOf(n, fork),
  parentHash: hashOf(n === 0n ? 0n : n - 1n, fork),
  timestamp: n,
  baseFeePerGas: wei(1n),
})

/** A composition of fake nodes, what it logs, and its nodes. */
function compose(chains: readonly Partial<Chain>[], quorum: number) {
  const lines: string[] = []
  const line = (fields: object, message: string) =>
    void lines.push(`${(fields as { host: string }).host} ${message}`)
  const nodes = chains.map((chain, index) => fakeNode(`node${index}`, partialChain(chain)))
  const chain = composeChain({
    nodes,
    quorum,
    chainId: 1,
    privateRoute: null,
    logger: { debug() {}, info: line, warn: line, error: line },
    timer: hurriedTimer,
  })
  return { chain, lines, nodes }
}

/** A node whose view of the chain the test moves: `[head, fork]`. */
function movable(view: { head: bigint; fork?: number }): Partial<Chain> {
  return {
    head: async () => block(view.head, view.fork),
    block: async (n) => {
      if (n > view.head) throw new BlockGoneError(n, 'node')
      return block(n, view.fork)
    },
  }
}

describe('head', () => {
  test('follows a reorganisation that a quorum has made, also to a lower number', async () => {
    const views = [{ head: 10n }, { head: 10n }, { head: 10n }]
    const { chain } = compose(views.map(movable), 2)
    expect(await chain.head()).toEqual(block(10n))
    for (const view of views.slice(0, 2)) Object.assign(view, { head: 9n, fork: 1 })
    expect(await chain.head()).toEqual(block(9n, 1))
  })

  test('does not fall back because the nodes that had it are away', async () => {
    const views = [{ head: 10n }, { head: 10n }, { head: 7n }, { head: 7n }]
    let away = false
    const { chain } = compose(
      views.map((view, index) => {
        const there = movable(view)
        const gone = () => away && index < 2
        return {
          head: () =>
            gone() ? Promise.reject(new RpcUnreachableError('x', 'node', 'reset')) : there.head?.(),
          block: (n: bigint) =>
            gone() ? Promise.reject(new RpcUnreachableError('x', 'node', 'reset')) : there.block?.(n),
        } as Partial<Chain>
      }),
      2,
    )
    expect(await chain.head()).toEqual(block(10n))
    away = true
    // Two are left, which have block 7 in common, but only one of them lacks block 10: that is no reorganisation.
    Object.assign(views[3] as object, { head: 10n })
    await expect(chain.head()).rejects.toThrow(NoQuorumError)
  })

  test('tells once of a node that lags, and once when it has caught up', async () => {
    const views = [{ head: 10n }, { head: 10n }, { head: 10n }]
    const slow = views[2] as { head: bigint }
    const { chain, lines } = compose(views.map(movable), 2)
    for (let n = 11n; n <= 20n; n++) {
      for (const view of views.slice(0, 2)) view.head = n
      await chain.head()
    }
    expect(lines).toEqual(['node2 An RPC lags behind the others'])
    expect(chain.nodes()[2]).toMatchObject({ head: 10n, difference: 'lags behind the others' })
    slow.head = 20n
    await chain.head()
    await chain.head()
    expect(lines).toEqual([
      'node2 An RPC lags behind the others',
      'node2 An RPC has caught up with the others',
    ])
    expect(chain.nodes()[2]?.difference).toBeNull()
  })

  test('finds the newest block that two halves of a split have in common', async () => {
    const split = (n: bigint) => (n > 5n ? 1 : 0)
    const one = movable({ head: 9n })
    const other: Partial<Chain> = {
      head: async () => block(9n, 1),
      block: async (n) => block(n, split(n)),
    }
    const { chain } = compose([one, other], 2)
    expect(await chain.head()).toEqual(block(5n))
  })
})

describe('transaction', () => {
  const HASH = hashOf(7n)
  const mined = { block: { number: 3n, hash: hashOf(3n) } }
  const pool = { block: null }
  test.each([
    ['mined by two', [mined, mined, null], mined],
    ['in the pools of two', [pool, pool, null], pool],
    ['nowhere for two', [pool, null, null], null],
    ['in one pool of two', [pool, null, new RpcUnreachableError('x', 'node', 'reset')], pool],
    ['mined for one, in the pool of one, nowhere for one', [mined, pool, null], pool],
    [
      'mined for one, in the pool of one, and one is away',
      [mined, pool, new RpcUnreachableError('x', 'node', 'reset')],
      'NO_QUORUM',
    ],
  ])('%s', async (_what, answers, expected) => {
    const { chain } = compose(
      answers.map((answer) => ({
        transaction: async () => {
          if (answer instanceof Error) throw answer
          return answer
        },
      })),
      2,
    )
    const outcome = await chain.transaction(HASH).catch(({ code }) => code)
    expect(outcome).toEqual(expected)
  })
})

describe('finalized', () => {
  const finals = (...numbers: readonly (bigint | null)[]) =>
    compose(
      numbers.map((n) => ({
        finalized: async () => (n === null ? null : block(n)),
        block: async (asked) => block(asked),
      })),
      2,
    ).chain.finalized()

  test('is what a quorum calls final, whoever runs ahead', async () => {
    expect(await finals(100n, 96n, 64n)).toEqual(block(96n))
    expect(await finals(100n, 100n, 999n)).toEqual(block(100n))
    expect(await finals(100n, 100n, null)).toEqual(block(100n))
  })

  test('is nothing where a quorum knows no such thing', async () => {
    expect(await finals(null, null, 100n)).toBeNull()
  })

  test('is no guess when opinions are divided', async () => {
    const chain = compose(
      [
        { finalized: async () => block(1n) },
        { finalized: async () => null },
        {
          finalized: async () => {
            throw new RpcUnreachableError('x', 'node', 'reset')
          },
        },
      ],
      2,
    ).chain
    await expect(chain.finalized()).rejects.toThrow(/node0: block 1; node1: none/)
  })
})

test('a failed genesis hash is asked for again, and one that was agreed on is kept', async () => {
  let asked = 0
  const node = {
    genesisHash: async () => {
      asked += 1
      if (asked <= 2) throw new RpcUnreachableError('x', 'node', 'reset')
      return hashOf(0n)
    },
  }
  const { chain } = compose([node, node], 2)
  await expect(chain.genesisHash()).rejects.toThrow(NoQuorumError)
  expect(await chain.genesisHash()).toBe(hashOf(0n))
  expect(await chain.genesisHash()).toBe(hashOf(0n))
  expect(asked).toBe(4)
})

test('what is no error of ours is not taken for an answer, nor hidden', async () => {
  const broken = {
    nonce: async () => {
      throw new TypeError('a defect')
    },
    code: async () => {
      throw new TypeError('a defect')
    },
    sendRaw: async () => {
      throw new TypeError('a defect')
    },
  }
  const { chain } = compose([broken, broken], 1)
  const account = '0x0000000000000000000000000000000000000001'
  await expect(chain.nonce(account, hashOf(1n))).rejects.toThrow('a defect')
  await expect(chain.code(account, hashOf(1n))).rejects.toThrow('a defect')
  await expect(chain.sendRaw('0x02')).rejects.toThrow('a defect')
})

test('without a private route, nothing goes privately', async () => {
  const { chain } = compose([{}], 1)
  await expect(chain.sendRaw('0x02', 'private')).rejects.toThrow(RouteMissingError)
})
