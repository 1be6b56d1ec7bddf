import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Address, parseUnits } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { expect } from 'vitest'
import type { SignerAccount, Started } from '../../infra/signer/messages.ts'
import { approvalTypedData } from '../../runtime/core/approvals.ts'
import type { AttemptId, IntentId } from '../../runtime/core/ids.ts'
import { type Call, type Plan, planHash, type SignedApproval } from '../../runtime/core/lifecycle.ts'
import type { SignedTransaction, SignRequest } from '../../runtime/core/ports.ts'
import { tokenAmount, wad } from '../../runtime/core/units.ts'
import { encodeMinHealthFactor, encodeNotAfter } from '../../runtime/protocols/rialto/encode.ts'
import { encodeExactInputSingle } from '../../runtime/protocols/uniswap-v3/encode.ts'
import { openRawSigner, type RawAnswer, type RawSigner } from '../conformance/rawSigner.ts'
import { book, GENESIS, names, planOf, policyOf, requestOf, STRANGER } from '../conformance/signerFixture.ts'

export const owners = [1, 2, 3].map((n) => privateKeyToAccount(`0x${`0${n}`.repeat(32)}`))

export const executing = policyOf({ allowances: { USDC: '10', WETH: '0.001', native: '10' } })
export const proposing = policyOf({
  mode: 'propose',
  approvals: {
    personAboveUsd: 'none',
    owners: owners.map(({ address }) => address),
    threshold: 2,
    expirySeconds: 600,
  },
})
/** Of another agent, which is allowed more. */
export const generous = policyOf({ recipients: [STRANGER] })

export const thief = privateKeyToAccount(`0x${'66'.repeat(32)}`)

export const dollars = (text: string) => tokenAmount(parseUnits(text, 6))
export const MILLION = tokenAmount(1_000_000n)
export const inTime = encodeNotAfter(names.assert, 103n)
export const healthy = (account: Address) =>
  encodeMinHealthFactor(names.assert, names.pool, account, wad(13n * 10n ** 17n))

/** A swap whose proceeds go to somebody. */
export const swapTo = (recipient: Address): Call =>
  encodeExactInputSingle(names.router, {
    tokenIn: names.USDC,
    tokenOut: names.WETH,
    fee: 500,
    recipient,
    deadline: 1n,
    amountIn: MILLION,
    minAmountOut: tokenAmount(5n),
  })

/** An account of the local world. */
export const agent = (label: string, policy = executing): SignerAccount => ({
  label,
  key: { kind: 'derived', seed: '1' },
  policies: [policy],
})

const SAFE = {
  account: STRANGER,
  modifier: names.batchAccount,
  multiSend: names.assert,
  roleKey: `0x${'11'.repeat(32)}`,
} as const
/** An agent that acts for a Safe, and the Safe's protector. */
const safeAccounts: readonly SignerAccount[] = [
  { ...agent('member'), safe: SAFE },
  { ...agent('member-protector'), safe: SAFE, protects: 'member' },
]
/** How a member acts for the Safe. */
export const throughRole = (sender: Address): Partial<Plan> => {
  const { account, ...route } = SAFE
  return { account, delegateTo: null, via: { kind: 'roles', ...route, sender } }
}

/** What a worker that was taken over holds, and a look into the signer's ledger that it does not have. */
export type WorkerScene = {
  readonly pipe: RawSigner
  /** What the signer was started with. */
  readonly start: object
  accountOf(label: 'proposer' | 'other' | 'member' | 'member-protector'): Address
  /** An account that nothing was signed for yet. */
  anAccount(): Address
  /** What is in the ledger of an account: nothing was signed that is not there. */
  signedFor(account: Address): readonly unknown[]
  close(): Promise<void>
}

/** Starts a signer with accounts for twenty tests, the account of an agent that proposes, and of one that may more. */
export async function openWorkerScene(): Promise<WorkerScene> {
  const directory = mkdtempSync(join(tmpdir(), 'rialto-worker-'))
  const labels = Array.from({ length: 20 }, (_, n) => `agent-${n}`)
  const pipe = openRawSigner()
  const accounts = [
    ...labels.map((label) => agent(label)),
    agent('proposer', proposing),
    agent('other', generous),
    ...safeAccounts,
  ]
  const start = { directory, chainId: book.chainId, genesisHash: GENESIS, book, accounts }
  const started = (await pipe.ask('start', start)).result as Started
  const addressOf = (label: string) =>
    started.accounts.find((one) => one.label === label)?.address ?? expect.unreachable()
  return {
    pipe,
    start,
    accountOf: addressOf,
    anAccount: () => addressOf(labels.pop() ?? expect.unreachable('more tests than accounts')),
    signedFor: (address) =>
      readFileSync(join(directory, 'signer', 'ledger.jsonl'), 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line).entry as { account: Address; kind: string })
        .filter((entry) => entry.kind === 'signed' && entry.account === address),
    async close() {
      await pipe.close()
      rmSync(directory, { recursive: true })
    },
  }
}

let count = 0
/** A request that is honest but for the changes, on a nonce and an intent of its own. */
export function ask(
  account: Address,
  changes: Partial<Plan> = {},
  more: Partial<SignRequest> = {},
): SignRequest {
  count += 1
  const plan = planOf(account, {
    intentId: `intent-${count}` as IntentId,
    policyVersion: executing.version,
    delegateTo: null,
    ...changes,
  })
  return requestOf(plan, { nonce: BigInt(count), attemptId: `attempt-${count}` as AttemptId, ...more })
}

/** An approval of a plan by whoever signs it, for an account and chain that may be others. */
export async function approvedBy(
  signers: readonly (typeof owners)[number][],
  plan: Plan,
  changes: Partial<SignedApproval> & Pick<SignedApproval, 'expiresAt'>,
  of: Pick<Plan, 'chainId' | 'account'> = plan,
): Promise<SignedApproval> {
  const approval = {
    planHash: planHash(plan),
    effectsHash: `0x${'ee'.repeat(32)}` as const,
    policyVersion: plan.policyVersion,
    ...changes,
  }
  const typedData = approvalTypedData(of, approval)
  const signatures = await Promise.all(signers.map((signer) => signer.signTypedData(typedData)))
  return { ...approval, signatures }
}

/** Why nothing was signed: the code, and the denial if the plan was judged. */
export const why = ({ result, error }: RawAnswer): string | undefined =>
  result === undefined ? ((error?.details.denial as string | undefined) ?? error?.code) : 'SIGNED'

/** What was signed, where it had to be. */
export function signed({ result, error }: RawAnswer): SignedTransaction {
  if (result === undefined) expect.unreachable(`${error?.code}: ${error?.message}`)
  return result as SignedTransaction
}
