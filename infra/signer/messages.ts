import { type Address, type Hex, isAddress } from 'viem'
import { z } from 'zod'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import type { Plan, SignedApproval } from '../../runtime/core/lifecycle.ts'
import type { SignRequest } from '../../runtime/core/ports.ts'
import { MAX_UINT256, wei } from '../../runtime/core/units.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { SignerError, type SignerErrorCode, signerErrorCodes } from './errors.ts'
import type { SafeAccount } from './judgePlan.ts'
import type { PassphraseSource } from './keystore/passphrase.ts'
import type { KmsKey } from './remote/kmsKey.ts'
import type { RemoteKey } from './remote/remoteKey.ts'

// What goes over the pipe between a process and its signer: one JSON object a line, bigints as {"$bigint":"…"}.

/** Longer lines are no message to a signer. */
const MAX_LINE = 1 << 20
/** An answer holds what was asked before, several times over. */
export const MAX_ANSWER_LINE = 8 << 20
/** Where a list is cut into pages, in characters: one entry may go beyond. */
const PAGE_LENGTH = 1 << 19

/** An account that the signer is to serve. */
export type SignerAccount = {
  /** Names the key: letters, digits and dashes. */
  readonly label: string
  /**
   * `derived` is for the local world (chain 31337) alone: made of the seed, so everybody who knows it has the key.
   * `stored` is random: made on the first start, or by `rialto wallet`. The others are not here: a remote signer or
   * AWS KMS has them, and this one judges, counts and records in front of it.
   */
  readonly key:
    | { readonly kind: 'derived'; readonly seed: string }
    | { readonly kind: 'stored' }
    | RemoteKey
    | KmsKey
  /**
   * Under which it may sign, each as its owner wrote it: the steps by which its agent rises the signer derives itself.
   * Bound for the life of the process.
   */
  readonly policies: readonly Policy[]
  /** Set where the key is the member of a role that acts for a Safe: it then acts for nobody else. */
  readonly safe?: SafeAccount
  /** Set for the key of a Safe's protector: the label of the agent that it protects. It signs nothing but rescues. */
  readonly protects?: string
  /** Where an evacuation sends everything. Absent: the account is never evacuated. */
  readonly evacuateTo?: Address
}

/** What a signer is started with. None of it can be changed afterwards. */
export type StartParameters = {
  /** Holds `keystore/` and `signer/`. */
  readonly directory: string
  readonly chainId: number
  readonly genesisHash: Hash
  readonly book: AddressBook
  readonly accounts: readonly SignerAccount[]
  /** Of the keystore. Left out: the one that lies beside the keys. */
  readonly passphrase?: PassphraseSource
}

/** What a signer says when it is ready. */
export type Started = {
  readonly accounts: readonly {
    readonly label: string
    readonly address: Address
    /** The key was made just now. */
    readonly created: boolean
    /** Of a protector's key, whom it protects. */
    readonly protects?: string
  }[]
  readonly ledger: { readonly entries: number; readonly tornBytes: number }
}

/** What a signer can be asked. Who may ask what: see `serve.ts`. */
export const methods = [
  'start',
  'hello',
  'accounts',
  'sign',
  'lookup',
  'abandon',
  'signedFrom',
  'goodFor',
  'time',
  'leave',
  'end',
] as const

/** `owner`: whoever runs the agents, one at a time. `protector`: may have signed what reduces risk. */
export type Role = 'owner' | 'protector'

/** The first thing that a client of the socket says. */
export type Hello = {
  readonly secret: string
  readonly role: Role
  /** What an owner would have started it with. */
  readonly parameters?: Hash | undefined
}

/** What the signer answers to a client that it takes. */
export type Welcome = {
  readonly pid: number
  /** Whether it was started with what the client would start it with. */
  readonly isSame: boolean
  readonly started: Started
}

export type Message = {
  readonly id: number
  readonly method: (typeof methods)[number]
  readonly params: unknown
}

export type WireError = {
  readonly code: SignerErrorCode
  readonly message: string
  readonly fix?: string | undefined
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>
}

export type Answer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: WireError }

const encode = (value: unknown): string =>
  JSON.stringify(value, (_key, member) =>
    typeof member === 'bigint' ? { $bigint: member.toString() } : member,
  )

/** One line, its end included. */
export const encodeMessage = (message: Message | Answer): string => `${encode(message)}\n`

/** @throws {SignerError} `SIGNER_REQUEST` when the line is no JSON. */
export function decodeLine(line: string): unknown {
  try {
    return JSON.parse(line, (_key, value) => {
      const digits = typeof value === 'object' && value !== null ? value.$bigint : undefined
      return typeof digits === 'string' && /^-?\d{1,80}$/.test(digits) ? BigInt(digits) : value
    })
  } catch {
    // What was wrong with it is of no use; it must not be repeated either.
    throw new SignerError('SIGNER_REQUEST', 'A line on the pipe was no JSON.')
  }
}

/** Cuts a stream into lines. @throws {SignerError} (the returned function) `SIGNER_REQUEST` on an endless line. */
export function lineSplitter(
  onLine: (line: string) => void,
  maxLine: number = MAX_LINE,
): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      const line = rest.toString('utf8', 0, end)
      rest = rest.subarray(end + 1)
      onLine(line)
    }
    if (rest.length > maxLine) throw new SignerError('SIGNER_REQUEST', 'A line on the pipe has no end.')
  }
}

const address = z
  .string()
  .refine((text) => isAddress(text, { strict: false }), 'no address')
  .transform((text) => text as Address)
const hex = z
  .string()
  .regex(/^0x(?:[0-9a-f]{2})*$/i, 'no bytes')
  .transform((text) => text as Hex)
const hash = z
  .string()
  .regex(/^0x[0-9a-f]{64}$/i, 'no hash')
  .transform((text) => text as Hash)
const uint = z.bigint().refine((value) => value >= 0n && value <= MAX_UINT256, 'out of range')
const amount = uint.transform(wei)
const id = z.string().min(1).max(200)

const plan = z.strictObject({
  intentId: id.transform((text) => text as IntentId),
  chainId: z.int().positive(),
  account: address,
  calls: z.array(z.strictObject({ to: address, value: amount, data: hex })).max(64),
  delegateTo: address.nullable(),
  gasLimit: uint,
  maxFeePerGas: amount,
  maxPriorityFeePerGas: amount,
  block: z.strictObject({ number: uint, hash }),
  lastValidBlock: uint,
  policyVersion: z.string().max(64),
  via: z
    .strictObject({
      kind: z.literal('roles'),
      modifier: address,
      multiSend: address,
      roleKey: hash,
      sender: address,
    })
    .exactOptional(),
}) satisfies z.ZodType<Plan>

const approval = z.strictObject({
  planHash: hash,
  effectsHash: hash,
  policyVersion: z.string().max(64),
  expiresAt: uint.refine((seconds) => seconds < 2n ** 64n, 'out of range'),
  signatures: z.array(hex).max(64),
}) satisfies z.ZodType<SignedApproval>

const signRequest = z.strictObject({
  attemptId: id.transform((text) => text as AttemptId),
  plan,
  planHash: hash,
  nonce: uint,
  fence: z.union([z.literal('protector'), uint]),
  approval: approval.exactOptional(),
}) satisfies z.ZodType<SignRequest>

const attemptRequest = z.strictObject({
  account: address,
  attempt: id.transform((text) => text as AttemptId),
})

const accountRequest = z.strictObject({ account: address })

const nonceRequest = z.strictObject({ account: address, nonce: uint, skip: z.int().nonnegative() })

const hello = z.strictObject({
  secret: z.string().max(64),
  role: z.enum(['owner', 'protector']),
  parameters: hash.optional(),
}) satisfies z.ZodType<Hello>

const message = z.strictObject({
  id: z.int().nonnegative(),
  method: z.enum(methods),
  params: z.unknown(),
})

/** @throws {SignerError} `SIGNER_REQUEST` naming what is wrong, without its value. */
function parse<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const where = result.error.issues[0]?.path.join('.') || 'it'
  throw new SignerError('SIGNER_REQUEST', `A message to the signer is malformed: ${where}.`, {
    fix: 'This is a defect in Rialto: please report it.',
  })
}

/** The id of a message that may otherwise be malformed; 0 when it has none. */
export function idOf(value: unknown): number {
  const id = typeof value === 'object' && value !== null ? (value as { id?: unknown }).id : undefined
  return typeof id === 'number' && Number.isSafeInteger(id) && id > 0 ? id : 0
}

export const parseMessage = (value: unknown): Message => parse(message, value)
export const parseSignRequest = (value: unknown): SignRequest => parse(signRequest, value)
/** What is asked about one attempt: `lookup` and `abandon`. */
export const parseAttempt = (value: unknown) => parse(attemptRequest, value)
export const parseHello = (value: unknown): Hello => parse(hello, value)
/** What is asked about one account: `goodFor`. */
export const parseAccount = (value: unknown) => parse(accountRequest, value)
/** One page of a list that only ever grows at its end. */
export type Page<T> = { readonly entries: readonly T[]; readonly isLast: boolean }

/** As much of a list as fits a line, from an index on. */
export function pageOf<T>(list: readonly T[], skip: number): Page<T> {
  let length = 0
  const rest = list.slice(skip)
  const end = rest.findIndex((entry) => {
    length += encode(entry).length
    return length > PAGE_LENGTH
  })
  const entries = end < 0 ? rest : rest.slice(0, Math.max(1, end))
  return { entries, isLast: entries.length === rest.length }
}

/** What is asked about an account's nonces: `signedFrom`. */
export const parseNonce = (value: unknown) => parse(nonceRequest, value)

/** What an error may say on the other side of the pipe. A failure that nobody foresaw says only where it happened. */
export function toWireError(error: unknown): WireError {
  if (error instanceof SignerError) {
    const { code, message, fix, retryable, details } = error
    return { code, message, fix, retryable, details }
  }
  if (error instanceof RialtoError) {
    const { message, fix, details } = error
    return {
      code: 'SIGNER_CONFIGURATION',
      message,
      fix,
      retryable: false,
      details: { ...details, code: error.code },
    }
  }
  const { name, stack } = error instanceof Error ? error : { name: typeof error, stack: '' }
  const at =
    stack
      ?.split('\n')
      .find((line) => /^\s+at /.test(line))
      ?.trim() ?? 'an unknown place'
  return {
    code: 'SIGNER_FAILED',
    message: `The signer failed (${name} ${at}).`,
    fix: 'This is a defect in Rialto: please report it.',
    retryable: false,
    details: {},
  }
}

export function fromWireError({ code, message, fix, retryable, details }: WireError): SignerError {
  const known = signerErrorCodes.includes(code) ? code : 'SIGNER_FAILED'
  return new SignerError(known, message, { ...(fix === undefined ? {} : { fix }), retryable, details })
}
