import { plainLine } from '../../runtime/core/plainLine.ts'
import { decodeRevert } from './decodeRevert.ts'
import type { CallFrame } from './wire.ts'

/**
 * Why a traced transaction failed: its revert data if it has any, else what stopped the deepest call that failed
 * (running out of gas leaves no data, and a batch passes the emptiness on).
 *
 * @param root the transaction's own frame, as `callTracer` gives it
 * @example explainTrace({ error: 'execution reverted', output: '0x08c379a0…' }) // '"Too much requested"'
 */
export function explainTrace(root: CallFrame): string {
  if (root.error === undefined) return 'the trace shows no failure'
  if (root.output !== undefined && root.output !== '0x') return decodeRevert(root.output)
  let frame = root
  // The last failed call is the one whose failure was passed on; those before it were caught.
  for (let next: CallFrame | undefined = frame; next !== undefined; ) {
    frame = next
    next = frame.calls?.findLast((call) => call.error !== undefined)
  }
  const where = frame === root || frame.to === undefined ? '' : ` in a call to ${frame.to}`
  if (frame.output !== undefined && frame.output !== '0x') return `${decodeRevert(frame.output)}${where}`
  return `${plain(frame.error ?? 'failed')}${where}`
}

/** Node's own words for a failed frame differ: "out of gas", "OutOfGas", "execution reverted". */
function plain(error: string): string {
  if (/out ?of ?gas/i.test(error)) return 'out of gas'
  if (/revert/i.test(error)) return 'reverted without a reason'
  return plainLine(error, 120)
}
