import { concat, requireLength, sameBytes, sha256, toHex, uint } from '../bytes.ts'
import { TokenError } from '../errors.ts'

/** Tokens that are spent together, and what on. */
export type Spend = {
  /** 32 bytes each, at least one, none twice, in any order. */
  readonly nullifiers: readonly Uint8Array[]
  /** From {@link bindSpend}, 32 bytes. */
  readonly binding: Uint8Array
}

const LABEL = Buffer.from('rialto spend v1\0')

/**
 * What a nullifier is bound to when it is spent: SHA-256 over
 *
 *     "rialto spend v1" || 0x00
 *     uint8_t inner_request_hash[32];
 *     uint16_t count;
 *     uint8_t blinded_messages[count][256];
 *
 * So the same payment sent again is known as the same, and a thief of a token in flight can have neither another
 * request nor the change for it. Every field has a fixed length, so that no two inputs give the same bytes.
 *
 * @param innerRequestHash SHA-256 of the sealed request to the node, 32 bytes
 * @param blindedMessages what change is asked on, 256 bytes each, in order
 * @throws {TokenError} `TOKEN_FORMAT`
 */
export function bindSpend(parameters: {
  readonly innerRequestHash: Uint8Array
  readonly blindedMessages: readonly Uint8Array[]
}): Uint8Array {
  const { innerRequestHash, blindedMessages } = parameters
  requireLength('hash of the inner request', innerRequestHash, 32)
  for (const message of blindedMessages) requireLength('blinded message', message, 256)
  return sha256(concat(LABEL, innerRequestHash, uint(blindedMessages.length, 2), ...blindedMessages))
}

/**
 * What a spend is to those before it: new, the same again, or a theft or defect that is refused.
 *
 * @param previous the spend that holds each nullifier of this one already; undefined for those that nobody holds
 * @throws {TokenError} `NULLIFIER_SPENT` when any token was spent on something else, or together with others.
 */
export function judgeSpend(previous: readonly (Spend | undefined)[], spend: Spend): 'fresh' | 'repeated' {
  const [first] = previous
  if (previous.every((holder) => holder === undefined)) return 'fresh'
  if (
    first !== undefined &&
    previous.every((holder) => holder === first) &&
    first.nullifiers.length === spend.nullifiers.length &&
    sameBytes(first.binding, spend.binding)
  )
    return 'repeated'
  throw spentElsewhere()
}

export const spentElsewhere = (): TokenError =>
  new TokenError('NULLIFIER_SPENT', 'A token of this payment was spent already, on something else.', {
    fix: 'Pay with other tokens. If you did not spend it, ask for its change with the request that did.',
  })

/** A spend of its own memory: the buffers of a caller may be views of a socket's, which are written over. */
export const copySpend = ({ nullifiers, binding }: Spend): Spend => ({
  nullifiers: nullifiers.map((nullifier) => Uint8Array.from(nullifier)),
  binding: Uint8Array.from(binding),
})

/** Names a spend: the same for the same nullifiers, in any order, with the same binding. */
export const spendKey = ({ nullifiers, binding }: Spend): string =>
  [toHex(binding), ...nullifiers.map(toHex).toSorted()].join()

/** @throws {TokenError} `NULLIFIER_TWICE` or `TOKEN_FORMAT` when it is no spend at all. */
export function requireSpend({ nullifiers, binding }: Spend): void {
  requireLength('binding', binding, 32)
  for (const nullifier of nullifiers) requireLength('nullifier', nullifier, 32)
  if (nullifiers.length === 0 || new Set(nullifiers.map(toHex)).size !== nullifiers.length)
    throw new TokenError('NULLIFIER_TWICE', 'The payment names no token, or one token twice.', {
      fix: 'Send each token once.',
    })
}

/** Milliseconds for which the sealed answer to a spend is delivered again, without running the model. */
export const REDELIVERY_WINDOW = 60_000

/** Whether the answer of a spend may still be delivered again. Its change can be fetched for as long as keys live. */
export const mayRedeliver = ({
  answeredAt,
  now,
}: {
  readonly answeredAt: number
  readonly now: number
}): boolean => now - answeredAt < REDELIVERY_WINDOW
