import fc from 'fast-check'
import { type Address, keccak256, stringToHex } from 'viem'
import { describe, expect, test } from 'vitest'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import { type Plan, planHash } from '../../runtime/core/lifecycle.ts'
import type { SignRequest } from '../../runtime/core/ports.ts'
import { wei } from '../../runtime/core/units.ts'
import { dearer, honestCalls, names, planOf, requestOf } from '../../test/conformance/signerFixture.ts'
import { SignerError } from './errors.ts'
import {
  createSigningHistory,
  type PlanContent,
  type SignedRecord,
  type SigningHistory,
} from './signingHistory.ts'

const ME: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const honest = honestCalls(ME)
const contents: Record<string, { calls: Plan['calls']; content: PlanContent }> = {
  withdraw: { calls: honest.withdraw, content: 'other' },
  borrow: { calls: honest.borrow, content: 'other' },
  repay: { calls: honest.repay, content: 'riskReducing' },
  deleverage: { calls: honest.deleverage, content: 'riskReducing' },
  empty: { calls: [], content: 'empty' },
}

/** What the signer does with a request, without keys and policy. */
/** What the plan of a record was signed as. */
const contentOf = ({ calls }: Pick<Plan, 'calls'>): PlanContent | undefined =>
  Object.values(contents).find(
    (each) => each.calls === calls || (each.calls.length === 0 && calls.length === 0),
  )?.content

function signWith(history: SigningHistory, request: SignRequest, content: PlanContent): SignedRecord {
  const earlier = history.replay(request)
  if (earlier !== null) return earlier
  history.admit(request, content)
  const raw = keccak256(stringToHex(`${request.attemptId} ${request.planHash} ${request.nonce}`))
  const { plan, attemptId, nonce, fence } = request
  const record: SignedRecord = {
    raw,
    hash: raw as Hash,
    noncesUsed: plan.delegateTo === null ? 1 : 2,
    account: ME,
    attemptId,
    plan,
    planHash: request.planHash,
    nonce,
    fence,
    signedAt: 1n,
    moved: [],
  }
  history.addSigned(record)
  return record
}

type Ask = {
  intent: number
  kind: string
  nonce: number
  delegates: boolean
  fee: number
  tip: number
  lastBlock: number
}
const asks = fc.array(
  fc.record({
    intent: fc.nat(5),
    kind: fc.constantFrom(...Object.keys(contents)),
    nonce: fc.nat(2),
    delegates: fc.nat(3).map((n) => n === 0),
    fee: fc.nat(3),
    tip: fc.nat(3),
    lastBlock: fc.integer({ min: 102, max: 103 }),
  }),
  { minLength: 10, maxLength: 30, size: 'max' },
)

/** Fees rise by a fifth each step, so that every pair of steps is one that a node would or would not replace. */
const step = (n: number) => wei((10n ** 9n * 12n ** BigInt(n)) / 10n ** BigInt(n))

function requestFor(
  { intent, kind, nonce, delegates, fee, tip, lastBlock }: Ask,
  attempt: number,
): SignRequest {
  const calls = contents[kind]?.calls ?? []
  const plan = planOf(ME, {
    intentId: `intent-${intent}` as IntentId,
    calls,
    delegateTo: delegates && calls.length > 0 ? names.batchAccount : null,
    // Later ones tend to pay more, as they would: otherwise hardly any could replace another.
    maxFeePerGas: step(fee + Math.floor(attempt / 6)),
    maxPriorityFeePerGas: step(tip + Math.floor(attempt / 6)),
    lastValidBlock: BigInt(lastBlock),
  })
  return requestOf(plan, { nonce: BigInt(nonce), attemptId: `attempt-${attempt}` as AttemptId })
}

/** Everything that a history lets be signed of a list of requests. */
function signAll(list: readonly Ask[]): { readonly signed: SignedRecord[]; readonly refused: string[] } {
  const history = createSigningHistory()
  const signed: SignedRecord[] = []
  const refused: string[] = []
  for (const [index, ask] of list.entries())
    try {
      const request = requestFor(ask, index)
      const record = signWith(history, request, contents[ask.kind]?.content ?? 'other')
      // The same again is the same.
      expect(signWith(history, request, 'other')).toBe(record)
      signed.push(record)
    } catch (error) {
      if (!(error instanceof SignerError)) throw error
      refused.push(error.code)
    }
  expect(history.signedFrom(ME, 0n)).toEqual(signed)
  return { signed, refused }
}

describe('createSigningHistory', () => {
  test('whatever is signed, and whatever of it a chain mines, no intent is mined twice', () => {
    fc.assert(
      fc.property(
        asks,
        fc.array(fc.record({ pick: fc.nat(), authorised: fc.boolean() })),
        (list, choices) => {
          const { signed } = signAll(list)
          const mined: SignedRecord[] = []
          let nonce = 0n
          for (const { pick, authorised } of choices) {
            const candidates = signed.filter((record) => record.nonce === nonce)
            const chosen = candidates[pick % Math.max(1, candidates.length)]
            if (chosen !== undefined) mined.push(chosen)
            // An authorisation that does not hold is passed over; and the account may send what is not ours.
            nonce += chosen?.noncesUsed === 2 && authorised ? 2n : 1n
          }
          const intents = mined.map(({ plan }) => plan.intentId)
          expect(new Set(intents).size).toBe(intents.length)
        },
      ),
      { numRuns: 300 },
    )
  })

  test('every signature on a nonce pays a tenth more than all before, and does what a replacement may', () => {
    let replaced = 0
    fc.assert(
      fc.property(asks, (list) => {
        const { signed } = signAll(list)
        for (const [index, record] of signed.entries()) {
          const before = signed.slice(0, index).filter(({ nonce }) => nonce === record.nonce)
          if (before.length === 0) continue
          replaced += 1
          for (const rival of before) {
            const least = dearer(rival.plan)
            expect(record.plan.maxFeePerGas).toBeGreaterThanOrEqual(least.maxFeePerGas)
            expect(record.plan.maxPriorityFeePerGas).toBeGreaterThanOrEqual(least.maxPriorityFeePerGas)
          }
          const own = before.filter(({ plan }) => plan.intentId === record.plan.intentId)
          const { calls } = record.plan
          const isSame = own.some(
            ({ plan }) => plan.calls === calls && plan.lastValidBlock === record.plan.lastValidBlock,
          )
          const reduces = calls === honest.repay || calls === honest.deleverage
          expect(calls.length === 0 || isSame || (reduces && own.length === 0)).toBe(true)
        }
      }),
      { numRuns: 150, seed: 7 },
    )
    expect(replaced).toBeGreaterThan(100)
  })

  test('a nonce that an authorisation uses is no other transaction’s, but for empty ones and rescues', () => {
    fc.assert(
      fc.property(asks, (list) => {
        const { signed } = signAll(list)
        for (const [index, record] of signed.entries()) {
          const earlier = signed.slice(0, index)
          const own = earlier.filter(({ nonce }) => nonce === record.nonce)
          const authorising = earlier.filter(
            ({ nonce, noncesUsed }) => noncesUsed === 2 && nonce + 1n === record.nonce,
          )
          if (own.length === 0 && authorising.length > 0) expect(contentOf(record.plan)).not.toBe('other')
          if (record.noncesUsed === 1 || own.some(({ noncesUsed }) => noncesUsed === 2)) continue
          expect(earlier.filter(({ nonce }) => nonce === record.nonce + 1n)).toEqual([])
        }
      }),
      { numRuns: 150 },
    )
  })

  test('refuses with each of its reasons', () => {
    const all = fc.sample(asks, { numRuns: 50, seed: 1 }).flatMap((list) => signAll(list).refused)
    expect([...new Set(all)].sort()).toEqual(['INTENT_SIGNED', 'NONCE_SIGNED', 'REPLACEMENT_UNDERPRICED'])
  })

  test('rounds the tenth up', () => {
    const history = createSigningHistory()
    const first = planOf(ME, { delegateTo: null, maxFeePerGas: wei(11n), maxPriorityFeePerGas: wei(0n) })
    signWith(history, requestOf(first), 'other')
    const again = (fee: bigint) =>
      signWith(
        history,
        requestOf({ ...first, maxFeePerGas: wei(fee) }, { attemptId: 'b' as AttemptId }),
        'other',
      )
    expect(() => again(12n)).toThrow(
      expect.objectContaining({ details: { maxFeePerGas: 13n, maxPriorityFeePerGas: 0n } }),
    )
    expect(again(13n).nonce).toBe(7n)
  })

  test('takes the spelling of an address or of calldata for no change', () => {
    const history = createSigningHistory()
    const first = planOf(ME, { calls: honest.withdraw })
    signWith(history, requestOf(first), 'other')
    const spelled = {
      ...first,
      ...dearer(first),
      calls: first.calls.map((call) => ({ ...call, to: call.to.toLowerCase() as Address })),
    }
    expect(planHash(spelled)).not.toBe(planHash(first))
    expect(signWith(history, requestOf(spelled, { attemptId: 'b' as AttemptId }), 'other').nonce).toBe(7n)
  })

  test('an attempt has one signature, and none when it was given up', () => {
    const history = createSigningHistory()
    const request = requestOf(planOf(ME))
    signWith(history, request, 'riskReducing')
    const other = requestOf(planOf(ME, dearer(request.plan)))
    expect(() => history.replay(other)).toThrow(expect.objectContaining({ code: 'INTENT_SIGNED' }))
    expect(() => history.replay({ ...request, nonce: 9n })).toThrow(
      expect.objectContaining({ code: 'INTENT_SIGNED' }),
    )
    history.addAbandoned(ME, 'b' as AttemptId)
    expect(() => history.replay({ ...other, attemptId: 'b' as AttemptId })).toThrow(
      expect.objectContaining({ code: 'ATTEMPT_ABANDONED' }),
    )
  })
})
