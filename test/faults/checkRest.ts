import type { Address } from 'viem'
import type { Rpc } from '../../infra/world/rpc.ts'
import { isOpen } from '../../runtime/core/attempts.ts'
import type { AttemptRecord, IntentRecord, Journal } from '../../runtime/core/journal.ts'
import type { LedgerAttempt, Signer } from '../../runtime/core/ports.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { Invariant as Simulated } from '../simulation/invariants.ts'
import { AGENT } from './scenario.ts'
import { type Holdings, isWaiting, type MinedTransaction, minedOf } from './truth.ts'

/** What must hold: what the simulation has that can be seen around real processes, and two more. */
export type Invariant =
  | Exclude<
      Simulated,
      'bytes are recorded before they are sent' | 'attempts move along the arrows of the state machine only'
    >
  | 'what was reserved is released'
  | 'the final state equals the undisturbed run’s'

const FINAL_STATE = 'the final state equals the undisturbed run’s'

export type Violation = { readonly invariant: Invariant; readonly what: string }

export type Rested = {
  readonly rpc: Rpc
  readonly account: Address
  /** The block before the schedule's first. */
  readonly begin: bigint
  readonly journal: Journal
  readonly signer: Signer
  readonly policy: Policy
}

/** US dollars with 8 decimals per ETH: the highest price that any schedule has. */
const HIGHEST_PRICE = 2_000n * 10n ** 8n

/**
 * Holds journal and signer's ledger against the chain, as the node itself tells it. While something is still in flight
 * some of it does not hold yet: empty means that all is at rest, and right.
 */
export async function checkRest(rested: Rested): Promise<readonly Violation[]> {
  const { rpc, account, begin, journal, signer } = rested
  const [mined, attempts, intents, ledger] = await Promise.all([
    minedOf(rpc, account, begin),
    journal.attempts(),
    journal.intents(),
    signer.signedFrom(account, 0n),
  ])
  const byHash = new Map(ledger.map((entry) => [entry.hash, entry]))
  const own = mined.flatMap((transaction) => {
    const entry = byHash.get(transaction.hash)
    return entry === undefined ? [] : [{ transaction, entry }]
  })
  return [
    ...checkOnce(own),
    ...checkNonces(ledger),
    ...checkLost(intents),
    ...checkEqual(own, attempts, intents),
    ...(await checkGaps(rested)),
    ...(await checkMoney(rested, own, attempts)),
  ]
}

type Own = readonly { readonly transaction: MinedTransaction; readonly entry: LedgerAttempt }[]

function checkOnce(own: Own): readonly Violation[] {
  const counts = new Map<string, number>()
  for (const { entry } of own) counts.set(entry.plan.intentId, (counts.get(entry.plan.intentId) ?? 0) + 1)
  return [...counts]
    .filter(([, count]) => count > 1)
    .map(([id, count]) => ({
      invariant: 'mined per intent is at most one',
      what: `${id} was mined ${count} times`,
    }))
}

function checkNonces(ledger: readonly LedgerAttempt[]): readonly Violation[] {
  const nonces = new Map<string, bigint>()
  return ledger.flatMap(({ nonce, plan: { intentId } }) => {
    const known = nonces.get(intentId) ?? nonce
    nonces.set(intentId, known)
    return known === nonce
      ? []
      : [
          {
            invariant: 'an intent has signatures on one nonce only' as const,
            what: `${intentId} on ${known} and ${nonce}`,
          },
        ]
  })
}

const checkLost = (intents: readonly IntentRecord[]): readonly Violation[] =>
  intents
    .filter(({ status }) => status === 'proposed' || status === 'signed')
    .map(({ id, status }) => ({ invariant: 'no intent is lost', what: `${id} is still ${status}` }))

function checkEqual(
  own: Own,
  attempts: readonly AttemptRecord[],
  intents: readonly IntentRecord[],
): readonly Violation[] {
  const wrong: Violation[] = []
  const differs = (what: string) => wrong.push({ invariant: 'the journal equals the chain', what })
  const byHash = new Map(attempts.map((attempt) => [attempt.hash, attempt]))
  const mined = new Set(own.map(({ transaction }) => transaction.hash))
  for (const { transaction, entry } of own) {
    const attempt = byHash.get(transaction.hash)
    const expected = transaction.status === 'success' ? 'confirmed' : 'failed'
    if (attempt === undefined) differs(`${entry.attemptId} is mined, and the journal does not know it`)
    else if (attempt.status !== expected)
      differs(`${attempt.id} is ${attempt.status}, and ${expected} on the chain`)
    else if (attempt.blockHash !== transaction.blockHash) differs(`${attempt.id} is in another block`)
  }
  for (const { id, status, hash } of attempts)
    if ((hash === null || !mined.has(hash)) && status !== 'replaced' && status !== 'dropped')
      differs(`${id} is ${status}, and not on the chain`)
  for (const { id, status } of intents) {
    const acts = attempts.filter(({ intentId, purpose }) => intentId === id && purpose === 'act')
    const has = (wanted: AttemptRecord['status']) => acts.some((attempt) => attempt.status === wanted)
    const isRight = has('confirmed')
      ? status === 'done' || status === 'deviated'
      : has('failed')
        ? status === 'reverted'
        : !['done', 'deviated', 'reverted'].includes(status)
    if (!isRight && !acts.some((attempt) => isOpen(attempt.status)))
      differs(`intent ${id} is ${status}, and its attempts are ${acts.map((act) => act.status).join(', ')}`)
  }
  return wrong
}

async function checkGaps({ rpc, account, journal }: Rested): Promise<readonly Violation[]> {
  const counted = BigInt(await rpc<string>('eth_getTransactionCount', account, 'latest'))
  const next = await journal.nextNonce(account)
  const wrong: Violation[] = []
  if (next !== null && next > counted)
    wrong.push({
      invariant: 'no nonce gap is left',
      what: `the chain counts ${counted}, the journal ${next}`,
    })
  if (await isWaiting(rpc, account))
    wrong.push({ invariant: 'no nonce gap is left', what: 'something still waits in the pool' })
  return wrong
}

async function checkMoney(
  { account, journal, policy }: Rested,
  own: Own,
  attempts: readonly AttemptRecord[],
): Promise<readonly Violation[]> {
  const wrong: Violation[] = []
  const { spent } = await journal.history(AGENT, account, 0n)
  const settled = attempts.reduce((sum, attempt) => sum + (attempt.spent ?? 0n), 0n)
  if (spent !== settled)
    wrong.push({
      invariant: 'what was reserved is released',
      what: `${spent} is held to be spent, and ${settled} was`,
    })
  const acts = new Set(
    attempts.filter(({ intentId }) => intentId !== null).map(({ hash }) => hash as string | null),
  )
  const cost = own
    .filter(({ transaction }) => acts.has(transaction.hash))
    .reduce((sum, { transaction }) => sum + transaction.cost, 0n)
  // Every intent here reduces risk, and the window is longer than any schedule.
  const cap = policy.riskReducing.spend.rolling
  const usd = (cost * HIGHEST_PRICE) / 10n ** 18n
  if (usd > cap) wrong.push({ invariant: 'spent stays under the cap', what: `${usd} of ${cap}` })
  return wrong
}

/** The part of a balance that the interest of some blocks stays under: 20 blocks at 10 % a year are 0.00000076. */
const INTEREST = 1_000_000n

/**
 * Holds what an account has at last against what it has after the same scenario without faults.
 *
 * Faults may delay a step, but the agent wants it until it is done; so all of them are done, each once, and the wallet
 * is the same to the last unit. Collateral and debt differ by the interest of some blocks. Two things may differ for
 * good reasons: the native coin, since gas was paid at other prices and for replacements, and, under a cap on spending
 * so low that what the faults cost uses it up, which of the steps were done: then any of them, each once.
 */
export function checkEnd(
  found: { readonly steps: readonly number[] | null; readonly holdings: Holdings },
  undisturbed: { readonly steps: readonly number[] | null; readonly holdings: Holdings },
  isTight: boolean,
): readonly Violation[] {
  const violate = (what: string): Violation => ({ invariant: FINAL_STATE, what })
  if (found.steps === null)
    return [violate(`the wallet holds ${found.holdings.USDC} USDC and ${found.holdings.WETH} WETH`)]
  if (found.steps.length !== undisturbed.steps?.length)
    return isTight ? [] : [violate(`only the steps ${found.steps.join(', ')} were done`)]
  return (['USDC', 'WETH', 'collateral', 'debt'] as const).flatMap((name) => {
    const [a, b] = [found.holdings[name], undisturbed.holdings[name]]
    const allowed = name === 'USDC' || name === 'WETH' ? 0n : b / INTEREST
    return (a > b ? a - b : b - a) > allowed
      ? [violate(`${name} is ${a}, and ${b} in the undisturbed run`)]
      : []
  })
}
