import fc from 'fast-check'
import { type Address, getAddress } from 'viem'
import { describe, expect, test } from 'vitest'
import { BlockGoneError, NoQuorumError, RpcUnreachableError } from '../../../runtime/core/chainErrors.ts'
import type { RialtoError } from '../../../runtime/core/errors.ts'
import type { Hash } from '../../../runtime/core/ids.ts'
import type { BlockId, Chain, Receipt } from '../../../runtime/core/ports.ts'
import type { BlockRef } from '../../../runtime/core/snapshot.ts'
import { wei } from '../../../runtime/core/units.ts'
import { RpcMalformedError } from '../errors.ts'
import { composeChain } from './composeChain.ts'
import { fakeNode, hurriedTimer, partialChain } from './fakeNode.fixture.ts'

// The truth is one chain. Honest nodes tell it as far as they have it; liars say anything, and may know everything.

const hash = (kind: number, n: bigint): Hash =>
  `0x${kind.toString(16).padStart(2, '0')}${n.toString(16).padStart(62, '0')}`
const blockAt = (n: bigint, fork = 0xaa): BlockRef => ({
  number: n,
  hash: hash(fork, n),
  parentHash: hash(fork, n - 1n),
  timestamp: 1_000n + 12n * n,
  baseFeePerGas: wei(7n),
})
const idOf = ({ number, hash: blockHash }: BlockRef): BlockId => ({ number, hash: blockHash })

const ACCOUNT: Address = getAddress(`0x${'11'.repeat(20)}`)
const SENT: Hash = hash(0x77, 1n)
/** The transaction of nonce 0 is mined in this block. */
const MINED_IN = 20n
const TIP = 40n
const receiptIn = (block: BlockRef, status: Receipt['status'] = 'success'): Receipt => ({
  hash: SENT,
  status,
  block: idOf(block),
  gasUsed: 21_000n,
  effectiveGasPrice: wei(9n),
  logs: [],
})

/** A node that has the true chain up to a block, and calls final what is ten blocks deep. */
function honest(host: string, head: () => bigint): Chain {
  const has = (n: bigint) => n <= head()
  const need = (n: bigint) => {
    if (!has(n)) throw new BlockGoneError(n, host)
  }
  const byHash = (at: Hash) => {
    const n = BigInt(`0x${at.slice(4)}`)
    if (at !== blockAt(n).hash || !has(n)) throw new BlockGoneError(at, host)
    return n
  }
  return partialChain({
    genesisHash: async () => blockAt(0n).hash,
    head: async () => blockAt(head()),
    block: async (n) => {
      need(n)
      return blockAt(n)
    },
    nonce: async (_account, at) => (byHash(at) >= MINED_IN ? 1n : 0n),
    receipt: async () => (has(MINED_IN) ? receiptIn(blockAt(MINED_IN)) : null),
    transaction: async () => ({ block: has(MINED_IN) ? idOf(blockAt(MINED_IN)) : null }),
    transactionAt: async (_account, nonce, at) =>
      byHash(at.hash) >= MINED_IN && nonce === 0n ? { hash: SENT, block: idOf(blockAt(MINED_IN)) } : null,
    finalized: async () => blockAt(head() > 10n ? head() - 10n : 0n),
  })
}

type Outcome = { readonly say: unknown } | { readonly fail: RialtoError } | 'nothing'

const number = fc.oneof(fc.bigInt(0n, TIP + 5n), fc.bigInt(0n, 2n ** 64n))
const anyBlock: fc.Arbitrary<BlockRef> = fc.oneof(
  number.map((n) => blockAt(n)),
  // Another chain, and the true block with another content.
  fc.tuple(number, fc.integer({ min: 0, max: 2 })).map(([n, fork]) => blockAt(n, fork)),
  number.map((n) => ({ ...blockAt(n), timestamp: 1n })),
)
const failure: fc.Arbitrary<Outcome> = fc
  .constantFrom(
    new RpcUnreachableError('x', 'liar', 'reset'),
    new RpcMalformedError('x', 'liar', 'nonsense'),
    new BlockGoneError(1n, 'liar'),
  )
  .map((fail) => ({ fail }))
const outcome = (value: fc.Arbitrary<unknown>): fc.Arbitrary<Outcome> =>
  fc.oneof(
    { weight: 6, arbitrary: value.map((say) => ({ say })) },
    { weight: 2, arbitrary: failure },
    { weight: 1, arbitrary: fc.constant<Outcome>('nothing') },
  )
const lies = fc.record({
  genesisHash: outcome(fc.constantFrom(blockAt(0n).hash, blockAt(0n, 1).hash)),
  head: outcome(anyBlock),
  block: outcome(anyBlock),
  nonce: outcome(fc.bigInt(0n, 3n)),
  receipt: outcome(
    fc.option(
      fc.oneof(
        anyBlock.map((block) => receiptIn(block)),
        fc.constant(receiptIn(blockAt(MINED_IN), 'reverted')),
        fc.constant({ ...receiptIn(blockAt(MINED_IN)), gasUsed: 1n }),
        fc.constant({
          ...receiptIn(blockAt(MINED_IN)),
          logs: [{ address: ACCOUNT, topics: [], data: '0x01' as const }],
        }),
      ),
    ),
  ),
  transaction: outcome(fc.option(fc.option(anyBlock.map(idOf)).map((block) => ({ block })))),
  transactionAt: outcome(
    fc.option(
      fc.tuple(fc.constantFrom(SENT, hash(0x78, 2n)), anyBlock).map(([sent, block]) => ({
        hash: sent,
        block: idOf(block),
      })),
    ),
  ),
  finalized: outcome(fc.option(anyBlock)),
})
/** What never answers ends with its time-out, long after everybody else has answered. */
async function timeOut(): Promise<never> {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  throw new RpcUnreachableError('x', 'liar', 'none within 10000 ms')
}

type Lies = { readonly [Method in 'head' | 'block' | 'nonce']: Outcome } & Readonly<Record<string, Outcome>>

const liar = (told: Lies): Chain =>
  partialChain(
    Object.fromEntries(
      Object.entries(told).map(([method, lie]) => [
        method,
        () =>
          lie === 'nothing' ? timeOut() : 'fail' in lie ? Promise.reject(lie.fail) : Promise.resolve(lie.say),
      ]),
    ) as Partial<Chain>,
  )

/** Liars are fewer than the quorum; everything else is open. */
const cast = fc.integer({ min: 1, max: 6 }).chain((nodes) =>
  fc.integer({ min: 1, max: nodes }).chain((quorum) =>
    fc.integer({ min: 0, max: quorum - 1 }).chain((liars) =>
      fc.record({
        quorum: fc.constant(quorum),
        lies: fc.array(lies, { minLength: liars, maxLength: liars }),
        lags: fc.array(fc.oneof(fc.constant(0n), fc.bigInt(0n, 30n)), {
          minLength: nodes - liars,
          maxLength: nodes - liars,
        }),
        /** Who stands where. */
        order: fc.shuffledSubarray(
          Array.from({ length: nodes }, (_, index) => index),
          { minLength: nodes, maxLength: nodes },
        ),
      }),
    ),
  ),
)

type Cast = typeof cast extends fc.Arbitrary<infer Value> ? Value : never

function compose({ quorum, lies: told, lags, order }: Cast, tip: () => bigint) {
  const honestChains = lags.map((lag, index) => honest(`honest${index}`, () => tip() - lag))
  const chains = [...honestChains, ...told.map(liar)]
  const nodes = order.map((from) => fakeNode(`node${from}`, chains[from] as Chain))
  const quiet = { debug() {}, info() {}, warn() {}, error() {} }
  const composition = composeChain({
    nodes,
    quorum,
    chainId: 1,
    privateRoute: null,
    logger: quiet,
    timer: hurriedTimer,
  })
  return { composition, honestChains }
}

/** What is said, with everything that is thrown on purpose as a word. */
const said = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => {
    if (error instanceof NoQuorumError) return 'no quorum'
    if (error instanceof BlockGoneError) return 'gone'
    throw error
  })

/** The questions on which all nodes vote. */
const questions: Readonly<Record<string, (chain: Chain) => Promise<unknown>>> = {
  genesisHash: (chain) => chain.genesisHash(),
  'block that all may have': (chain) => chain.block(5n),
  'block at the tip': (chain) => chain.block(TIP),
  'block of the transaction': (chain) => chain.block(MINED_IN),
  nonce: (chain) => chain.nonce(ACCOUNT, blockAt(MINED_IN).hash),
  'nonce before': (chain) => chain.nonce(ACCOUNT, blockAt(MINED_IN - 1n).hash),
  receipt: (chain) => chain.receipt(SENT),
  transaction: (chain) => chain.transaction(SENT),
  transactionAt: (chain) => chain.transactionAt(ACCOUNT, 0n, blockAt(TIP)),
  'transactionAt of a free nonce': (chain) => chain.transactionAt(ACCOUNT, 1n, blockAt(TIP)),
}

describe('with fewer liars than the quorum', () => {
  test.each(Object.entries(questions))('%s is what an honest node says, or no quorum', async (_name, ask) => {
    await fc.assert(
      fc.asyncProperty(cast, async (everybody) => {
        const { composition, honestChains } = compose(everybody, () => TIP)
        const answer = await said(ask(composition))
        const truths = await Promise.all(honestChains.map((chain) => said(ask(chain))))
        const synced = everybody.lags.every((lag) => lag === 0n)
        // All honest nodes say the same, and they are enough: no liar can even prevent the answer.
        if (synced && honestChains.length >= everybody.quorum) expect(answer).toEqual(truths[0])
        else expect([...truths, 'no quorum']).toContainEqual(answer)
      }),
      { numRuns: 300 },
    )
  })

  test('the head is a true block that an honest node has, never behind what a quorum of honest ones has', async () => {
    await fc.assert(
      fc.asyncProperty(cast, async (everybody) => {
        const { composition } = compose(everybody, () => TIP)
        const answer = await said(composition.head())
        const heads = everybody.lags.map((lag) => TIP - lag).toSorted((a, b) => Number(b - a))
        const common = heads[everybody.quorum - 1]
        if (answer === 'no quorum') {
          // A split is only looked through so far: liars that stand at the tip can hide it behind honest laggards.
          expect(common === undefined || (heads[0] as bigint) - common > 16n).toBe(true)
          return
        }
        const { number: n } = answer as BlockRef
        expect(answer).toEqual(blockAt(n))
        expect(n).toBeLessThanOrEqual(heads[0] as bigint)
        if (common !== undefined) expect(n).toBeGreaterThanOrEqual(common)
      }),
      { numRuns: 1_000 },
    )
  })

  test('the head never falls back while the chain only grows', async () => {
    await fc.assert(
      fc.asyncProperty(cast, fc.array(lies, { minLength: 6, maxLength: 6 }), async (everybody, later) => {
        let tip = TIP
        const told = everybody.lies.map((first) => ({ ...first }))
        const { composition } = compose({ ...everybody, lies: told }, () => tip)
        let highest = 0n
        for (const [step, next] of later.entries()) {
          const answer = await said(composition.head())
          if (answer !== 'no quorum') {
            const { number: n } = answer as BlockRef
            expect(n).toBeGreaterThanOrEqual(highest)
            highest = n
          }
          tip += BigInt(step)
          for (const lie of told) Object.assign(lie, next)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('the final block is a true one, and final for an honest node', async () => {
    await fc.assert(
      fc.asyncProperty(cast, async (everybody) => {
        const { composition } = compose(everybody, () => TIP)
        const answer = await said(composition.finalized())
        if (answer === 'no quorum') return
        expect(answer).not.toBeNull()
        const { number: n } = answer as BlockRef
        const highest = TIP - (everybody.lags.toSorted((a, b) => Number(a - b))[0] as bigint) - 10n
        expect(answer).toEqual(blockAt(n))
        expect(n).toBeLessThanOrEqual(highest)
      }),
      { numRuns: 1_000 },
    )
  })
})
