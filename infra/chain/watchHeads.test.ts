import { describe, expect, test } from 'vitest'
import { BlockGoneError, RpcUnreachableError } from '../../runtime/core/chainErrors.ts'
import { InvariantError, type RialtoError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { wei } from '../../runtime/core/units.ts'
import { type HeadChange, watchHeads } from './watchHeads.ts'

/** Blocks named by a letter per fork: `a1 a2 b3` is a chain whose third block is fork b's. */
const hashOf = (name: string): Hash => `0x${Buffer.from(name).toString('hex').padStart(64, '0')}`
function blocks(names: string): BlockRef[] {
  const list = names.split(' ')
  return list.map((name, index) => ({
    number: BigInt(name.slice(1)),
    hash: hashOf(name),
    parentHash: hashOf(list[index - 1] ?? 'none'),
    timestamp: BigInt(name.slice(1)) * 12n,
    baseFeePerGas: wei(7n),
  }))
}
const names = (list: readonly BlockRef[]) =>
  list.map(({ hash }) => Buffer.from(hash.slice(2), 'hex').toString().replaceAll('\0', ''))

/**
 * Watches a chain that stands as the first view says until its head was seen, then as the second says, and so on.
 * A view that is an error is thrown once.
 */
async function watch(views: readonly (string | RialtoError)[], memory?: number) {
  const stop = new AbortController()
  const errors: RialtoError[] = []
  let view = 0
  const chain = {
    head: async () => {
      const now = views[view] ?? stop.abort()
      if (now instanceof Error) {
        view += 1
        throw now
      }
      return blocks(now ?? 'z0').at(-1) as BlockRef
    },
    block: async (number: bigint) => {
      const found = blocks(views[view] as string).find((block) => block.number === number)
      if (found === undefined) throw new BlockGoneError(number, 'host')
      return found
    },
  }
  const changes: HeadChange[] = []
  const options = {
    signal: stop.signal,
    pollInterval: 0,
    onError: (error: RialtoError) => errors.push(error),
  }
  for await (const change of watchHeads(chain, memory === undefined ? options : { ...options, memory })) {
    if (stop.signal.aborted) break
    changes.push(change)
    view += 1
    if (view === views.length) stop.abort()
  }
  return {
    errors,
    changes: changes.map(({ head, added, dropped, truncated }) => ({
      head: names([head])[0],
      added: names(added).join(' '),
      dropped: names(dropped).join(' '),
      truncated,
    })),
  }
}

describe('watchHeads', () => {
  test('yields the head at once, then each new one', async () => {
    const { changes } = await watch(['a1 a2', 'a1 a2 a3', 'a1 a2 a3 a4'])
    expect(changes).toEqual([
      { head: 'a2', added: 'a2', dropped: '', truncated: false },
      { head: 'a3', added: 'a3', dropped: '', truncated: false },
      { head: 'a4', added: 'a4', dropped: '', truncated: false },
    ])
  })

  test('fills the gap when several blocks came at once', async () => {
    const { changes } = await watch(['a1 a2', 'a1 a2 a3 a4 a5'])
    expect(changes[1]).toEqual({ head: 'a5', added: 'a3 a4 a5', dropped: '', truncated: false })
  })

  test('tells a reorganisation of the same height from no change', async () => {
    const { changes } = await watch(['a1', 'a1 a2 a3', 'a1 b2 b3'])
    expect(changes[2]).toEqual({ head: 'b3', added: 'b2 b3', dropped: 'a3 a2', truncated: false })
  })

  test('follows a reorganisation to a lower head, and a rollback', async () => {
    const { changes } = await watch(['a1', 'a1 a2 a3 a4', 'a1 a2 b3', 'a1 a2', 'a1 a2 c3'])
    expect(changes.slice(2)).toEqual([
      { head: 'b3', added: 'b3', dropped: 'a4 a3', truncated: false },
      { head: 'a2', added: '', dropped: 'b3', truncated: false },
      { head: 'c3', added: 'c3', dropped: '', truncated: false },
    ])
  })

  test('says when a reorganisation is deeper than it remembers', async () => {
    const { changes } = await watch(['a1 a2', 'a1 a2 a3', 'b1 b2 b3 b4'])
    expect(changes[2]).toEqual({ head: 'b4', added: 'b2 b3 b4', dropped: 'a3 a2', truncated: true })
  })

  test('says when a gap is longer than its memory', async () => {
    const { changes } = await watch(['a1', 'a1 a2 a3 a4 a5 a6 a7 a8'], 3)
    expect(changes[1]).toMatchObject({ head: 'a8', truncated: true })
  })

  test('goes on after a failure that may pass, and tells of it', async () => {
    const down = new RpcUnreachableError('eth_getBlockByNumber', 'host', 'ECONNREFUSED')
    const { changes, errors } = await watch(['a1', down, down, 'a1 a2'])
    expect(errors).toEqual([down, down])
    expect(changes.map(({ head }) => head)).toEqual(['a1', 'a2'])
  })

  test('ends with a failure that cannot pass', async () => {
    await expect(watch(['a1', new InvariantError('broken')])).rejects.toThrow('broken')
  })

  test('ends at once when the signal aborts while it waits', async () => {
    const stop = new AbortController()
    const chain = {
      head: async () => blocks('a1')[0] as BlockRef,
      block: async () => blocks('a1')[0] as BlockRef,
    }
    const heads = watchHeads(chain, { signal: stop.signal, pollInterval: 3_600_000, onError: () => {} })
    await heads.next()
    const next = heads.next()
    stop.abort()
    expect(await next).toEqual({ done: true, value: undefined })
  })
})
