import type { Address } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { approvalFault } from '../../runtime/core/approvals.ts'
import type { AttemptId } from '../../runtime/core/ids.ts'
import { planHash, senderOf } from '../../runtime/core/lifecycle.ts'
import type { LedgerAttempt, SignedTransaction, Signer, SignRequest } from '../../runtime/core/ports.ts'
import { parseDecimal } from '../../runtime/core/units.ts'
import { evacuationPolicy, requireDestination } from '../../runtime/guards/evacuation.ts'
import type { Step } from '../../runtime/guards/graduation.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { OwnerOrders } from '../orders/ownerOrders.ts'
import { buildTransaction } from './buildTransaction.ts'
import { SignerError } from './errors.ts'
import { type Judgement, judgePlan, refuse, type SafeAccount } from './judgePlan.ts'
import type { KeyHolder } from './keyHolder.ts'
import type { SignedRecord, SigningHistory } from './signingHistory.ts'
import type { Moving } from './spendWindow.ts'
import { createStandings, type StandingRecord } from './standings.ts'

/** Something that must outlive the process before an answer leaves it. */
export type LedgerEntry =
  | ({ readonly kind: 'signed' } & SignedRecord)
  /** The same signature was asked for by a newer holder of the lease. */
  | { readonly kind: 'fence'; readonly account: Address; readonly fence: bigint }
  /** Nothing was signed for the attempt, and nothing will be. */
  | { readonly kind: 'abandoned'; readonly account: Address; readonly attemptId: AttemptId }
  | ({ readonly kind: 'standing' } & StandingRecord)

/** An account with its key, and the policies under which it may act: whole ones, of which the steps are derived. */
export type KeyedAccount = {
  /** The agent whose key it is: orders are given to it by this name. */
  readonly label: string
  readonly account: KeyHolder
  readonly policies: readonly Policy[]
  /** Set for a member of a role: it then acts for this Safe alone. */
  readonly safe?: SafeAccount
  /**
   * Set for the key by which the protector of a Safe acts: the label of the agent that it protects, whose orders hold for
   * it too. It signs without a lease, what reduces risk alone, and no other key of a Safe signs without a lease.
   */
  readonly protects?: string
  /** Where an evacuation sends everything. Absent: the account is never evacuated. */
  readonly evacuateTo?: Address
}

export type CreateSignerParameters = {
  readonly book: AddressBook
  readonly accounts: readonly KeyedAccount[]
  /** What was signed before, already read from the ledger. */
  readonly history: SigningHistory
  /** Records durably; throws when it cannot, and then nothing was signed as far as anybody knows. */
  readonly append: (entry: LedgerEntry) => void
  /** Seconds since 1970. */
  readonly now: () => bigint
  /** Milliseconds that the process has run, by a clock that nobody can set. Absent: it is not known. */
  readonly uptime?: () => number
  /** What the owner ordered. @throws when nobody can tell, and then nothing is signed. */
  readonly orders: Pick<OwnerOrders, 'stateFor' | 'evacuates'>
}

/**
 * The signer itself, wherever it runs: checks the hash, the past, the policy, what a person approved and what is left
 * of the allowances, signs, records, and only then answers. One request at a time, because two that cross could both
 * find a nonce free.
 */
export function createSigner(parameters: CreateSignerParameters): Signer {
  const { book, accounts, history, append, now, uptime = () => 0, orders } = parameters
  // By the version that plans carry. Nobody hands the signer such a policy: it derives them itself.
  const evacuations = new Map(accounts.map((keyed) => [keyed, evacuationsOf(keyed, book)] as const))
  const standings = createStandings({
    chainId: book.chainId,
    graduates: accounts.map(({ account: { address }, policies }) => ({ address, policies })),
    history,
    append: (record) => append({ kind: 'standing', ...record }),
    uptime,
  })
  let last: Promise<unknown> = Promise.resolve()
  /** The latest time that was seen, and how long the process had run by then. */
  let latest = { time: history.latest(), at: uptime() }

  /**
   * A clock that is put back frees no allowance and revives no approval. Nor does one that was ahead, be it by years,
   * hold allowances for ever: from the latest time on, what this process runs counts.
   */
  function currentTime(): bigint {
    const time = tellTime()
    if (time > sinceLatest()) latest = { time, at: uptime() }
    return time
  }

  /** To be asked for the time commits to nothing: a clock that is ahead when only that is asked leaves nothing behind. */
  function tellTime(): bigint {
    return [now(), history.latest()].reduce((most, other) => (other > most ? other : most), sinceLatest())
  }

  function sinceLatest(): bigint {
    return latest.time + BigInt(Math.floor((uptime() - latest.at) / 1_000))
  }

  async function signNow(request: SignRequest): Promise<SignedTransaction> {
    const { plan, nonce, planHash: claimed } = request
    const actual = planHash(plan)
    if (actual !== claimed)
      throw new SignerError('PLAN_HASH_MISMATCH', `The plan's hash is ${actual}, not ${claimed}.`, {
        fix: 'Simulate and judge the plan again: it changed after it was hashed.',
        details: { actual, claimed },
      })
    const keyed = find(accounts, senderOf(plan))
    requireItsKey(keyed, request)
    const earlier = history.replay(request)
    if (earlier !== null) {
      // The plan was judged when it was signed. A policy that changed since takes nothing back: the bytes are out.
      recordFence(request)
      return answer(earlier)
    }
    const evacuation = evacuations.get(keyed)?.find(({ version }) => version === plan.policyVersion)
    const step = evacuation === undefined ? stepFor(keyed, plan.policyVersion) : always(evacuation)
    const { policy } = step
    const time = currentTime()
    // Higher fees for what was let through already: nobody is asked again, and its last block stays what it was.
    const isRepeated = history.repeats(request)
    const isApproved = await checkApproval(request, policy, time)
    const judgement = judgePlan(plan, policy, book, {
      ...(keyed.safe === undefined ? {} : { safe: keyed.safe }),
      patience: isApproved || isRepeated ? BigInt(policy.approvals.expirySeconds) : 0n,
      evacuates: evacuation !== undefined,
    })
    if (evacuation !== undefined) requireEvacuation(keyed)
    else obeyOrders(keyed, judgement)
    if (request.fence === 'protector' && judgement.content !== 'riskReducing')
      refuse('TRADING_REDUCING', 'Without a lease only what reduces risk is signed.')
    // Neither what the protector is for nor what moves nothing waits for anybody's standing.
    if (!isRepeated && request.fence !== 'protector' && judgement.content !== 'empty')
      standings.require(keyed.account.address, step)
    if (!isApproved && !isRepeated) requireNoApproval(policy, judgement)
    history.admit(request, judgement.content)
    const moving: Moving = { nonce, signedAt: time, moved: judgement.moved }
    checkAllowances(keyed, policy, moving)
    const signed = await buildTransaction(keyed.account, plan, nonce)
    const record: SignedRecord = {
      ...signed,
      ...moving,
      account: keyed.account.address,
      attemptId: request.attemptId,
      plan,
      planHash: actual,
      fence: request.fence,
    }
    append({ kind: 'signed', ...record })
    history.addSigned(record)
    return answer(record)
  }

  /** What is refused for good throws its account back, whoever asked. */
  async function signAndJudge(request: SignRequest): Promise<SignedTransaction> {
    try {
      return await signNow(request)
    } catch (error) {
      standings.refused(senderOf(request.plan), error)
      throw error
    }
  }

  function stepFor({ account: { address } }: KeyedAccount, version: string): Step {
    const step = standings.stepOf(address, version)
    if (step !== null) return step
    throw new SignerError(
      'PLAN_REFUSED',
      `The signer refuses the plan (PLAN_MISMATCH): policy ${version} is none of those of ${address}.`,
      {
        fix: 'Simulate again under the current policy; a policy that changed takes a restart to reach the signer.',
        details: { denial: 'PLAN_MISMATCH', policyVersion: version },
      },
    )
  }

  /**
   * The owner's word is the last gate: it holds whatever the guards of a worker believed. An empty transaction always
   * passes, since it takes back what is on its way.
   */
  function obeyOrders({ label, account, safe, protects }: KeyedAccount, { content }: Judgement): void {
    if (content === 'empty') return
    // An order about the Safe holds for the members that act for it, one about a member for itself, and one about the
    // agent, by its name or its key, for its protector too.
    const agent = protects ?? label
    const named = accounts.find((each) => each.label === protects)
    const acting = [
      account.address,
      ...(safe === undefined ? [] : [safe.account]),
      ...(named === undefined ? [] : [named.account.address]),
    ]
    const states = acting.map((one) => orders.stateFor({ agent, account: one }))
    if (states.includes('halted')) refuse('TRADING_HALTED', 'Its owner halted it.')
    if (states.includes('reducing') && content !== 'riskReducing')
      refuse('TRADING_REDUCING', 'Its owner lets it only reduce risk.')
  }

  /** Only the owner's own file can say so: a worker that is compromised writes no such order. */
  function requireEvacuation({ label, account }: KeyedAccount): void {
    if (!orders.evacuates({ agent: label, account: account.address }))
      refuse('TRADING_HALTED', 'Its owner has not ordered that it be evacuated.')
  }

  /** All that may move within the window counts by this account's own ledger, under whatever policy it was signed. */
  function checkAllowances({ account }: KeyedAccount, policy: Policy, moving: Moving): void {
    for (const { token } of moving.moved) {
      const allowance = Object.hasOwn(policy.allowances, token) ? policy.allowances[token] : undefined
      if (allowance === undefined) refuse('ALLOWANCE', `The policy has no allowance for ${token}.`)
      const most = smallestUnits(allowance, decimalsOf(token, book))
      const total = history.totalWith(account.address, policy.spend.windowSeconds, moving, token)
      if (total > most)
        refuse(
          'ALLOWANCE',
          `${total} of ${token} would move within ${policy.spend.windowSeconds} seconds, in smallest units; the limit is ${most}.`,
        )
    }
  }

  function recordFence({ plan, fence }: SignRequest): void {
    if (fence === 'protector') return
    const account = senderOf(plan)
    const known = history.fenceOf(account)
    if (known !== null && fence <= known) return
    append({ kind: 'fence', account, fence })
    history.addFence(account, fence)
  }

  function abandonNow(address: Address, attemptId: AttemptId): SignedTransaction | null {
    const keyed = find(accounts, address)
    const { address: account } = keyed.account
    // Who could give up what it is about to ask for could keep it from rescuing.
    if (keyed.protects !== undefined)
      throw new SignerError('SIGNER_REQUEST', `Nothing of ${account} is given up: a protector acts by it.`, {
        details: { account },
      })
    const signed = history.find(account, attemptId)
    if (signed !== null) return answer(signed)
    if (!history.isAbandoned(account, attemptId)) {
      append({ kind: 'abandoned', account, attemptId })
      history.addAbandoned(account, attemptId)
    }
    return null
  }

  /** One after the other. A request that fails holds up nobody: its own caller gets the failure. */
  function inTurn<T>(work: () => T | Promise<T>): Promise<T> {
    const result = last.then(work)
    last = result.catch(() => undefined)
    return result
  }

  return {
    accounts: async () => accounts.map(({ account }) => account.address),
    sign: (request) => inTurn(() => signAndJudge(request)),
    abandon: (account, attempt) => inTurn(() => abandonNow(account, attempt)),
    goodFor: (account) => inTurn(() => standings.goodFor(find(accounts, account).account.address)),
    time: () => inTurn(tellTime),
    async lookup(account, attempt) {
      await last
      const record = history.find(find(accounts, account).account.address, attempt)
      return record === null ? null : answer(record)
    },
    async signedFrom(account, nonce) {
      await last
      return history.signedFrom(find(accounts, account).account.address, nonce).map(ledgerAttempt)
    },
  }
}

/** Only the owner's order stands before an evacuation. */
const always = (policy: Policy): Step => ({ policy, after: 0n })

/** A member of a role owns nothing: what the Safe holds its owners move themselves. */
const evacuationsOf = (
  { evacuateTo, safe, policies, account }: KeyedAccount,
  book: AddressBook,
): readonly Policy[] => {
  if (evacuateTo === undefined || safe !== undefined) return []
  requireDestination(evacuateTo, book, account.address)
  return policies.map((policy) => evacuationPolicy(policy, book, evacuateTo))
}

/** A Safe has one key for its agent and another for its protector, and neither is used for the other. */
function requireItsKey({ account, safe, protects }: KeyedAccount, { fence }: SignRequest): void {
  const isUnaided = fence === 'protector'
  if (protects !== undefined && !isUnaided)
    refuse('TRADING_REDUCING', `${account.address} is a protector's, which signs without a lease.`)
  if (safe !== undefined && protects === undefined && isUnaided)
    refuse('TRADING_REDUCING', `${account.address} is an agent's; a protector of its Safe has its own key.`)
}

/** How many decimals a policy may write an allowance with. */
const POLICY_DECIMALS = 36

const answer = ({ raw, hash, noncesUsed }: SignedRecord): SignedTransaction => ({ raw, hash, noncesUsed })

const ledgerAttempt = ({ account: _account, moved: _moved, ...attempt }: SignedRecord): LedgerAttempt =>
  attempt

function find(accounts: readonly KeyedAccount[], address: Address): KeyedAccount {
  const keyed = accounts.find(({ account }) => account.address.toLowerCase() === address.toLowerCase())
  if (keyed !== undefined) return keyed
  throw new SignerError('UNKNOWN_ACCOUNT', `The signer holds no key of ${address}.`, {
    fix: 'Name the account in the configuration, and start again.',
    details: { account: address },
  })
}

/** @returns whether the request carries an approval. @throws {SignerError} `APPROVAL_INVALID` when that does not hold. */
async function checkApproval(
  { plan, approval }: SignRequest,
  { approvals }: Policy,
  now: bigint,
): Promise<boolean> {
  if (approval === undefined) return false
  const why = await approvalFault(plan, approval, approvals, now)
  if (why === null) return true
  throw new SignerError('APPROVAL_INVALID', `The approval does not hold: ${why}.`, {
    fix: 'Ask the owners to approve this very plan anew.',
    details: { why },
  })
}

/**
 * Where a person has to be asked, as far as someone without prices can tell: always in `propose`; and where the policy
 * asks above some dollars, for everything but what reduces risk, because nobody here can say how much it is worth.
 * What moves nothing needs nobody's leave.
 */
function requireNoApproval({ mode, approvals }: Policy, { kind, content }: Judgement): void {
  if (content === 'empty') return
  if (mode !== 'propose' && (approvals.personAbove === null || content === 'riskReducing')) return
  throw new SignerError('APPROVAL_MISSING', `The policy asks a person before a ${kind} is signed.`, {
    fix: 'Have the owners approve the plan (rialto approvals approve), and hand their signatures along.',
    details: { mode, threshold: approvals.threshold },
  })
}

const decimalsOf = (token: string, book: AddressBook): number =>
  token === 'native' ? 18 : (book.tokens.find(({ symbol }) => symbol === token)?.decimals ?? 0)

/** What is finer than the token's smallest unit is cut off. @example smallestUnits('1.2345678', 6) // 1_234_567n */
function smallestUnits(text: string, decimals: number): bigint {
  const digits = Math.max(decimals, POLICY_DECIMALS)
  return parseDecimal(text, digits) / 10n ** BigInt(digits - decimals)
}
