import type { Address, PrivateKeyAccount } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { AttemptId } from '../../runtime/core/ids.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import type { SignedTransaction, Signer, SignRequest } from '../../runtime/core/ports.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { buildTransaction } from './buildTransaction.ts'
import { SignerError } from './errors.ts'
import { judgePlan } from './judgePlan.ts'
import type { SignedRecord, SigningHistory } from './signingHistory.ts'

/** Something that must outlive the process before an answer leaves it. */
export type LedgerEntry =
  | ({ readonly kind: 'signed' } & SignedRecord)
  /** The same signature was asked for by a newer holder of the lease. */
  | { readonly kind: 'fence'; readonly account: Address; readonly fence: bigint }
  /** Nothing was signed for the attempt, and nothing will be. */
  | { readonly kind: 'abandoned'; readonly account: Address; readonly attemptId: AttemptId }

/** An account with its key, and the policies under which it may act. */
type KeyedAccount = {
  readonly account: PrivateKeyAccount
  readonly policies: readonly Policy[]
}

export type CreateSignerParameters = {
  readonly book: AddressBook
  readonly accounts: readonly KeyedAccount[]
  /** What was signed before, already read from the ledger. */
  readonly history: SigningHistory
  /** Records durably; throws when it cannot, and then nothing was signed as far as anybody knows. */
  readonly append: (entry: LedgerEntry) => void
}

/**
 * The signer itself, wherever it runs: checks the hash, the past and the policy, signs, records, and only then
 * answers. One request at a time, because two that cross could both find a nonce free.
 */
export function createSigner({ book, accounts, history, append }: CreateSignerParameters): Signer {
  let last: Promise<unknown> = Promise.resolve()

  async function signNow(request: SignRequest): Promise<SignedTransaction> {
    const { plan } = request
    const actual = planHash(plan)
    if (actual !== request.planHash)
      throw new SignerError('PLAN_HASH_MISMATCH', `The plan's hash is ${actual}, not ${request.planHash}.`, {
        fix: 'Simulate and judge the plan again: it changed after it was hashed.',
        details: { actual, claimed: request.planHash },
      })
    const keyed = find(accounts, plan.account)
    const noncesUsed = plan.delegateTo === null ? 1 : 2
    const earlier = history.check(request, noncesUsed)
    if (earlier !== null) {
      // The plan was judged when it was signed. A policy that changed since takes nothing back: the bytes are out.
      recordFence(request)
      return answer(earlier)
    }
    judgePlan(plan, policyFor(keyed, plan.policyVersion), book)
    const signed = await buildTransaction(keyed.account, plan, request.nonce)
    const record: SignedRecord = {
      ...signed,
      account: keyed.account.address,
      nonce: request.nonce,
      planHash: request.planHash,
      intentId: plan.intentId,
      attemptId: request.attemptId,
      fence: request.fence,
    }
    append({ kind: 'signed', ...record })
    history.addSigned(record)
    return answer(record)
  }

  function recordFence({ plan: { account }, fence }: SignRequest): void {
    const known = history.fenceOf(account)
    if (known !== null && fence <= known) return
    append({ kind: 'fence', account, fence })
    history.addFence(account, fence)
  }

  function abandonNow(address: Address, attemptId: AttemptId): SignedTransaction | null {
    const { address: account } = find(accounts, address).account
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
    sign: (request) => inTurn(() => signNow(request)),
    abandon: (account, attempt) => inTurn(() => abandonNow(account, attempt)),
    async lookup(account, attempt) {
      await last
      const record = history.find(find(accounts, account).account.address, attempt)
      return record === null ? null : answer(record)
    },
  }
}

const answer = ({ raw, hash, noncesUsed }: SignedRecord): SignedTransaction => ({ raw, hash, noncesUsed })

function find(accounts: readonly KeyedAccount[], address: Address): KeyedAccount {
  const keyed = accounts.find(({ account }) => account.address.toLowerCase() === address.toLowerCase())
  if (keyed !== undefined) return keyed
  throw new SignerError('UNKNOWN_ACCOUNT', `The signer holds no key of ${address}.`, {
    fix: 'Name the account in the configuration, and start again.',
    details: { account: address },
  })
}

function policyFor({ account, policies }: KeyedAccount, version: string): Policy {
  const policy = policies.find((candidate) => candidate.version === version)
  if (policy !== undefined) return policy
  throw new SignerError(
    'PLAN_REFUSED',
    `The signer refuses the plan (PLAN_MISMATCH): policy ${version} is none of those of ${account.address}.`,
    {
      fix: 'Simulate again under the current policy; a policy that changed takes a restart to reach the signer.',
      details: { denial: 'PLAN_MISMATCH', policyVersion: version },
    },
  )
}
