import {
  concatHex,
  decodeFunctionData,
  encodeFunctionData,
  encodePacked,
  type Hex,
  hexToBigInt,
  hexToNumber,
  isAddressEqual,
  size,
  slice,
} from 'viem'
import type { Call, RolesRoute } from '../../core/lifecycle.ts'
import { wei } from '../../core/units.ts'
import { multiSendAbi, Operation, rolesExecutionAbi } from './abi.ts'

const NO_VALUE = wei(0n)
/** Operation, target, value and length of one packed transaction: 1 + 20 + 32 + 32 bytes. */
const HEAD_BYTES = 85

/**
 * The calldata with which a Safe that delegates to MultiSend carries out a batch: each call packed as operation
 * (always a plain call), target, value, length and data.
 *
 * @example { to: multiSend, operation: 1, data: encodeMultiSend(calls) }
 */
export const encodeMultiSend = (calls: readonly Call[]): Hex =>
  encodeFunctionData({
    abi: multiSendAbi,
    functionName: 'multiSend',
    args: [
      concatHex(
        calls.map(({ to, value, data }) =>
          encodePacked(
            ['uint8', 'address', 'uint256', 'uint256', 'bytes'],
            [Operation.call, to, value, BigInt(size(data)), data],
          ),
        ),
      ),
    ],
  })

/**
 * The calls of a batch, or null when the calldata is anything but exactly what {@link encodeMultiSend} makes: another
 * function, a delegate call inside, or bytes that a decoder would pass over.
 */
export function decodeMultiSend(data: Hex): readonly Call[] | null {
  const lower = data.toLowerCase() as Hex
  try {
    const { args } = decodeFunctionData({ abi: multiSendAbi, data: lower })
    const calls = unpack(args[0])
    return calls !== null && encodeMultiSend(calls) === lower ? calls : null
  } catch {
    // viem has no decoder that answers instead of throwing; whatever it cannot read is unreadable.
    return null
  }
}

function unpack(packed: Hex): readonly Call[] | null {
  const calls: Call[] = []
  for (let at = 0; at < size(packed); ) {
    // `strict` holds every slice to its whole length: a batch that ends in the middle of a call is none.
    const head = slice(packed, at, at + HEAD_BYTES, { strict: true })
    if (hexToNumber(slice(head, 0, 1)) !== Operation.call) return null
    const length = Number(hexToBigInt(slice(head, 53)))
    const start = at + HEAD_BYTES
    calls.push({
      to: slice(head, 1, 21),
      value: wei(hexToBigInt(slice(head, 21, 53))),
      data: length === 0 ? '0x' : slice(packed, start, start + length, { strict: true }),
    })
    at = start + length
  }
  return calls
}

/**
 * The transaction with which `via.sender`, a member of the role, has the Safe carry out a batch: the modifier checks
 * every call of it against the role, and the Safe delegates to MultiSend. All of it happens, or none.
 *
 * @returns what `via.sender` sends, with no value
 * @example const { to, data } = encodeRolesExecution(plan.calls, plan.via)
 */
export const encodeRolesExecution = (
  calls: readonly Call[],
  via: Pick<RolesRoute, 'modifier' | 'multiSend' | 'roleKey'>,
): Call => ({
  to: via.modifier,
  value: NO_VALUE,
  data: encodeFunctionData({
    abi: rolesExecutionAbi,
    functionName: 'execTransactionWithRole',
    // The last one: a batch that fails inside fails the transaction, instead of one that succeeds with `false`.
    args: [via.multiSend, NO_VALUE, encodeMultiSend(calls), Operation.delegateCall, via.roleKey, true],
  }),
})

/**
 * The calls of a transaction to the modifier, or null when its calldata is anything but exactly what
 * {@link encodeRolesExecution} makes for that route.
 */
export function decodeRolesExecution(
  data: Hex,
  via: Pick<RolesRoute, 'modifier' | 'multiSend' | 'roleKey'>,
): readonly Call[] | null {
  const lower = data.toLowerCase() as Hex
  try {
    const { args } = decodeFunctionData({ abi: rolesExecutionAbi, data: lower })
    const [to, , batch] = args
    const calls = isAddressEqual(to, via.multiSend) ? decodeMultiSend(batch) : null
    return calls !== null && encodeRolesExecution(calls, via).data === lower ? calls : null
  } catch {
    // As above: whatever cannot be read is not what this encodes.
    return null
  }
}
