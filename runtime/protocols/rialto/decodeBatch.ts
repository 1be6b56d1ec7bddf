import { decodeAbiParameters, decodeFunctionData, type Hex } from 'viem'
import type { Call } from '../../core/lifecycle.ts'
import { wei } from '../../core/units.ts'
import { BATCH_MODE, batchAccountActionsAbi, batchParameters } from './abi.ts'
import { encodeExecute } from './encode.ts'

/**
 * The calls of a batch that an account sends itself, or null when the calldata is anything but exactly what
 * {@link encodeExecute} makes: another function, another mode, or bytes that a decoder would pass over.
 */
export function decodeBatch(data: Hex): readonly Call[] | null {
  const lower = data.toLowerCase() as Hex
  try {
    const { args } = decodeFunctionData({ abi: batchAccountActionsAbi, data: lower })
    const [mode, executionData] = args
    if (mode !== BATCH_MODE) return null
    const [decoded] = decodeAbiParameters(batchParameters, executionData)
    const calls = decoded.map((call) => ({ to: call.to, value: wei(call.value), data: call.data }))
    return encodeExecute(calls) === lower ? calls : null
  } catch {
    // viem has no decoder that answers instead of throwing; whatever it cannot read is unreadable.
    return null
  }
}
