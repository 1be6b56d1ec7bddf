import { type Address, decodeFunctionData, getAddress, type Hex, keccak256, parseTransaction } from 'viem'
import { z } from 'zod'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import { wei } from '../../runtime/core/units.ts'
import { assertActionsAbi } from '../../runtime/protocols/rialto/abi.ts'
import { decodeBatch } from '../../runtime/protocols/rialto/decodeBatch.ts'
import type { LedgerEntry } from './createSigner.ts'
import { SignerError } from './errors.ts'

/** The chain that a ledger is read and written for: local worlds begin again at nonce zero under one chain id. */
export type LedgerScope = { readonly chainId: number; readonly genesisHash: Hash }

const uint = z
  .string()
  .regex(/^\d{1,78}$/)
  .transform(BigInt)
const amount = uint.transform(wei)
const hex = z
  .string()
  .regex(/^0x(?:[0-9a-f]{2})*$/i)
  .transform((text) => text as Hex)
const hash = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/i)
  .transform((text) => text as Hash)
const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => getAddress(text))
// As it was given: who asks for the plan again gets it letter by letter.
const spelling = z
  .string()
  .regex(/^0x[0-9a-fA-F]{40}$/)
  .transform((text) => text as Address)
const attemptId = z.string().transform((text) => text as AttemptId)
const intentId = z.string().transform((text) => text as IntentId)

const plan = z.strictObject({
  intentId,
  chainId: z.number(),
  account: spelling,
  calls: z.array(z.strictObject({ to: spelling, value: amount, data: hex })),
  delegateTo: spelling.nullable(),
  gasLimit: uint,
  maxFeePerGas: amount,
  maxPriorityFeePerGas: amount,
  block: z.strictObject({ number: uint, hash }),
  lastValidBlock: uint,
  policyVersion: z.string(),
  via: z
    .strictObject({
      kind: z.literal('roles'),
      modifier: spelling,
      multiSend: spelling,
      roleKey: hash,
      sender: spelling,
    })
    .exactOptional(),
}) satisfies z.ZodType<Plan>

const scoped = { chainId: z.number(), genesisHash: hash, account: address }
const signed = {
  kind: z.literal('signed'),
  ...scoped,
  nonce: uint,
  noncesUsed: z.union([z.literal(1), z.literal(2)]),
  planHash: hash,
  attemptId,
  raw: hex,
  hash,
}
const storedEntry = z.union([
  z.strictObject({ kind: z.literal('fence'), ...scoped, fence: uint }),
  z.strictObject({ kind: z.literal('abandoned'), ...scoped, attemptId }),
  z.strictObject({
    kind: z.literal('standing'),
    ...scoped,
    seconds: uint,
    denial: z.string().nullable(),
  }),
  z.strictObject({
    ...signed,
    fence: z.union([z.literal('protector'), uint]),
    plan,
    signedAt: uint,
    moved: z.array(z.strictObject({ token: z.string(), amount: uint })),
  }),
  // As ledgers were before plans were kept: see `fromBytes`.
  z.strictObject({ ...signed, fence: uint, intentId }),
])

/** An entry as one line of JSON, `bigint` as decimal strings. */
export function storeEntry(entry: LedgerEntry, { chainId, genesisHash }: LedgerScope): string {
  const { kind, account, ...rest } = entry
  return JSON.stringify({ kind, chainId, genesisHash, account, ...rest }, (_key, value) =>
    typeof value === 'bigint' ? value.toString() : value,
  )
}

/**
 * Reads an entry back; null when it is of another chain.
 *
 * @throws {SignerError} `LEDGER_CORRUPT`, or whatever zod says of a line that is none of ours.
 */
export function readEntry(json: string, scope: LedgerScope): LedgerEntry | null {
  const { chainId, genesisHash, ...entry } = storedEntry.parse(JSON.parse(json))
  if (entry.kind === 'signed' && keccak256(entry.raw) !== entry.hash)
    throw new SignerError('LEDGER_CORRUPT', 'The hash of an entry is not that of its bytes.')
  if (chainId !== scope.chainId || genesisHash !== scope.genesisHash) return null
  if (entry.kind !== 'signed' || 'plan' in entry) return entry
  const { intentId, ...record } = entry
  return { ...record, plan: planOfBytes(entry.raw, entry.account, intentId), signedAt: 0n, moved: [] }
}

/**
 * The plan of an entry that was written before plans were kept, as far as the signed bytes tell: calls, delegation,
 * gas, fees and last valid block are those that were signed; the block that it was simulated on and the policy's
 * version are not known, so this plan's hash is not the recorded one. Such an entry holds its nonce and its intent as
 * every other does. When it was signed is not known either, and nothing counted against an allowance then: nothing of
 * it counts now.
 */
function planOfBytes(raw: Hex, account: Plan['account'], intentId: IntentId): Plan {
  const transaction = parseTransaction(raw)
  const calls = decodeBatch(transaction.data ?? '0x')
  if (calls === null) throw new SignerError('LEDGER_CORRUPT', 'The bytes of an entry are no batch.')
  const [authorization] = transaction.authorizationList ?? []
  return {
    intentId,
    chainId: transaction.chainId ?? 0,
    account,
    calls,
    delegateTo: authorization === undefined ? null : getAddress(authorization.address),
    gasLimit: transaction.gas ?? 0n,
    maxFeePerGas: wei(transaction.maxFeePerGas ?? 0n),
    maxPriorityFeePerGas: wei(transaction.maxPriorityFeePerGas ?? 0n),
    block: { number: 0n, hash: `0x${'00'.repeat(32)}` },
    lastValidBlock: lastValidBlockOf(calls),
    policyVersion: '',
  }
}

/** Every plan ends by asserting it. @throws {SignerError} `LEDGER_CORRUPT` */
function lastValidBlockOf(calls: Plan['calls']): bigint {
  const { functionName, args } = decodeFunctionData({
    abi: assertActionsAbi,
    data: calls.at(-1)?.data ?? '0x',
  })
  if (functionName === 'notAfter') return args[0]
  throw new SignerError('LEDGER_CORRUPT', 'The bytes of an entry say no last block.')
}
