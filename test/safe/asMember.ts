import {
  type Address,
  concatHex,
  decodeErrorResult,
  encodeFunctionData,
  encodePacked,
  type Hex,
  type LocalAccount,
  numberToHex,
  size,
} from 'viem'
import { rolesErrorsAbi, violations } from '../../infra/chain/rolesErrors.ts'
import { RpcAnswer } from '../../infra/chain/rpc.ts'
import { multiSendAbi, rolesExecutionAbi } from '../../runtime/protocols/safe/abi.ts'
import type { SafeScene } from './safeScene.ts'

/** More than anything here takes, so that nothing is estimated. */
const GAS = 5_000_000n

/** What somebody packs into a MultiSend who is bound by nothing. */
export type Packed = {
  readonly to: Address
  readonly data: Hex
  readonly value?: bigint
  readonly operation?: 0 | 1
}

export const packBatch = (calls: readonly Packed[]): Hex =>
  encodeFunctionData({
    abi: multiSendAbi,
    functionName: 'multiSend',
    args: [
      concatHex(
        calls.map(({ to, data, value = 0n, operation = 0 }) =>
          encodePacked(
            ['uint8', 'address', 'uint256', 'uint256', 'bytes'],
            [operation, to, value, BigInt(size(data)), data],
          ),
        ),
      ),
    ],
  })

/** What is sent to the modifier: all of it at the sender's choice. */
export type Execution = {
  readonly to?: Address
  readonly value?: bigint
  readonly data: Hex
  readonly operation?: 0 | 1
  readonly roleKey?: Hex
}

export const executionOf = (
  { account }: SafeScene,
  { to, value, data, operation, roleKey }: Execution,
): Hex =>
  encodeFunctionData({
    abi: rolesExecutionAbi,
    functionName: 'execTransactionWithRole',
    args: [to ?? account.multiSend, value ?? 0n, data, operation ?? 1, roleKey ?? account.roleKey, true],
  })

/** The name of what a chain refuses with: of the modifier's own errors, with its status. */
function refusalIn(data: Hex | undefined): string {
  if (data === undefined || data === '0x') return 'refused without a reason'
  try {
    const { errorName, args } = decodeErrorResult({ abi: rolesErrorsAbi, data })
    return errorName === 'ConditionViolation' ? (violations[args[0]] ?? String(args[0])) : errorName
  } catch {
    return data.slice(0, 10)
  }
}

/**
 * Sends a transaction for real, and says what became of it: `done`, or what the chain refused it with. The reason is
 * taken from a call on the same state, the outcome from the receipt.
 */
export async function attempt(
  { world, rpc }: SafeScene,
  sender: LocalAccount,
  to: Address,
  data: Hex,
): Promise<string> {
  const { client } = world
  let said = 'done'
  try {
    await rpc.call('eth_call', [{ from: sender.address, to, data, gas: numberToHex(GAS) }, 'latest'])
  } catch (error) {
    if (!(error instanceof RpcAnswer)) throw error
    said = refusalIn(error.data as Hex | undefined)
  }
  const hash = await world.wallet(sender).sendTransaction({ to, data, gas: GAS })
  const { status } = await client.waitForTransactionReceipt({ hash })
  return (status === 'success') === (said === 'done') ? said : `${said}, but ${status}`
}

/** As {@link attempt}, of a batch through the modifier. */
export const attemptBatch = (
  scene: SafeScene,
  sender: LocalAccount,
  calls: readonly Packed[],
): Promise<string> =>
  attempt(scene, sender, scene.account.modifier, executionOf(scene, { data: packBatch(calls) }))

/** The same calldata with dirt before its first address. */
export const dirty = (data: Hex): Hex => `0x${data.slice(2, 10)}01${data.slice(12)}`
/** Where the packed calls begin, in characters: after selector, offset and length. */
const PACKED_AT = 2 + 2 * (4 + 64)
/** A batch whose first call is of no operation that there is. */
export const otherOperation = (data: Hex): Hex =>
  `${data.slice(0, PACKED_AT)}02${data.slice(PACKED_AT + 2)}` as Hex
/** A batch whose first call is longer than the batch. */
export const longer = (data: Hex): Hex => {
  const at = PACKED_AT + 2 * 53
  return `${data.slice(0, at)}ff${data.slice(at + 2)}` as Hex
}
