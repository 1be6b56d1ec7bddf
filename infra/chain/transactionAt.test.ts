import fc from 'fast-check'
import { type Address, getAddress } from 'viem'
import { describe, expect, test } from 'vitest'
import { BlockGoneError } from '../../runtime/core/chainErrors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { wei } from '../../runtime/core/units.ts'
import { transactionAt } from './transactionAt.ts'
import type { SentTransaction } from './wire.ts'

const ACCOUNT: Address = getAddress(`0x${'11'.repeat(20)}`)
const STRANGER: Address = getAddress(`0x${'22'.repeat(20)}`)
const blockHash = (n: bigint, fork = 0): Hash =>
  `0x${fork.toString().padStart(2, '0')}${n.toString(16).padStart(62, '0')}`
const sentHash = (nonce: bigint): Hash => `0x77${nonce.toString(16).padStart(62, '0')}`
const ref = (n: bigint, fork = 0): BlockRef => ({
  number: n,
  hash: blockHash(n, fork),
  parentHash: blockHash(n - (n > 0n ? 1n : 0n), fork),
  timestamp: n,
  baseFeePerGas: wei(1n),
})

type History = {
  /** The block in which each nonce was used. */
  readonly usedIn: readonly bigint[]
  /** Nonces that no transaction used. */
  readonly silent?: ReadonlySet<bigint>
  /** State is there from this block on. */
  readonly stateFrom?: bigint
}

function node({ usedIn, silent = new Set(), stateFrom = 0n }: History) {
  let requests = 0
  const countAt = (n: bigint) => BigInt(usedIn.filter((block) => block <= n).length)
  return {
    host: 'host',
    requests: () => requests,
    async block(n: bigint) {
      requests += 1
      return ref(n)
    },
    async nonce(_account: Address, at: Hash) {
      requests += 1
      const n = BigInt(at)
      if (n < stateFrom) throw new BlockGoneError(at, 'host')
      return countAt(n)
    },
    async transactionsOf(block: Hash): Promise<readonly SentTransaction[]> {
      const n = BigInt(block)
      return [
        ...[0n, 1n, 2n].map((nonce) => ({ hash: sentHash(100n + nonce), from: STRANGER, nonce })),
        ...usedIn.flatMap((used, index) =>
          used === n && !silent.has(BigInt(index))
            ? [{ hash: sentHash(BigInt(index)), from: ACCOUNT, nonce: BigInt(index) }]
            : [],
        ),
      ]
    },
  }
}

const histories = fc
  .array(fc.bigInt(0n, 2_000n), { minLength: 1, maxLength: 20 })
  .map((blocks) => blocks.toSorted((a, b) => Number(a - b)))

describe('transactionAt', () => {
  test('finds whatever was used, wherever that was, in few requests', async () => {
    await fc.assert(
      fc.asyncProperty(histories, fc.nat(25), fc.bigInt(0n, 50n), async (usedIn, index, further) => {
        const at = ref((usedIn.at(-1) as bigint) + further)
        const asked = node({ usedIn })
        const used = usedIn[index]
        expect(await transactionAt(asked, ACCOUNT, BigInt(index), at)).toEqual(
          used === undefined
            ? null
            : { hash: sentHash(BigInt(index)), block: { number: used, hash: blockHash(used) } },
        )
        const distance = Number(at.number - (used ?? at.number)) + 2
        expect(asked.requests()).toBeLessThanOrEqual(4 * Math.ceil(Math.log2(distance)) + 6)
      }),
    )
  })

  test('has no transaction for a nonce that something else used', async () => {
    const asked = node({ usedIn: [5n, 5n, 9n], silent: new Set([1n]) })
    expect(await transactionAt(asked, ACCOUNT, 1n, ref(20n))).toBeNull()
    expect((await transactionAt(asked, ACCOUNT, 2n, ref(20n)))?.hash).toBe(sentHash(2n))
  })

  test('finds what a pruned node can still tell, and says so when it cannot', async () => {
    for (const stateFrom of [85n, 90n, 91n, 97n]) {
      const asked = node({ usedIn: [90n], stateFrom })
      const found = transactionAt(asked, ACCOUNT, 0n, ref(100n))
      if (stateFrom <= 90n)
        expect(await found).toEqual({ hash: sentHash(0n), block: { number: 90n, hash: blockHash(90n) } })
      else await expect(found).rejects.toThrow(BlockGoneError)
    }
    // The first block with state, and nothing in it: whatever used the nonce may be older.
    const asked = node({ usedIn: [90n], silent: new Set([0n]), stateFrom: 90n })
    await expect(transactionAt(asked, ACCOUNT, 0n, ref(100n))).rejects.toThrow(BlockGoneError)
  })

  test('does not answer for a block that is not on the chain any more', async () => {
    const asked = node({ usedIn: [90n] })
    await expect(transactionAt(asked, ACCOUNT, 0n, ref(100n, 1))).rejects.toThrow(BlockGoneError)
  })
})
