import { timingSafeEqual } from 'node:crypto'
import { RialtoError } from '../../../runtime/core/errors.ts'
import type { Identity } from '../protocol/network/identity.ts'
import { costOf, type Price, type Usage } from '../protocol/network/price.ts'
import { checkReceipt, decodeReceipt, modelDigest, type Receipt } from '../protocol/network/receipt.ts'
import { fromBase64Url } from '../protocol/network/text.ts'
import type { ReceiptCheck } from './pathReport.ts'

/**
 * Compares what a request was charged with what the node signed, and that with the usage in the answer.
 *
 * It cannot tell whether that usage is true: a node that counts too much everywhere alike is not noticed.
 *
 * @param parameters.field `rialto-receipt` as it came
 * @param parameters.returned tokens that came back
 * @param parameters.usage as the answer has it; null where it has none, `none` for a refusal, which costs nothing
 */
export function checkCharge(parameters: {
  readonly field: string | undefined
  readonly paid: number
  readonly returned: number
  readonly node: Identity
  readonly innerRequestHash: Uint8Array
  readonly model: string
  readonly price: Price
  readonly usage: Usage | 'none' | null
}): ReceiptCheck {
  const { field, paid, returned, node, innerRequestHash, model, price, usage } = parameters
  if (field === undefined) return returned === paid ? 'absent' : 'change-short'
  const receipt = readReceipt(field)
  if (
    receipt === undefined ||
    receipt.ceiling !== paid ||
    !timingSafeEqual(receipt.modelDigest, modelDigest(model)) ||
    !checkReceipt(receipt, { node, innerRequestHash })
  )
    return 'forged'
  if (returned < paid - receipt.used) return 'change-short'
  if (usage === null) return 'usage-missing'
  const due = usage === 'none' ? 0 : Math.min(paid, costOf(price, usage))
  return receipt.used > due ? 'overcharged' : 'ok'
}

function readReceipt(field: string): Receipt | undefined {
  try {
    return decodeReceipt(fromBase64Url(field, 'a receipt'))
  } catch (error) {
    // One that cannot be read is as good as one that nobody signed.
    if (error instanceof RialtoError) return undefined
    throw error
  }
}

/**
 * Whether a check says that the node lied. Not where a receipt is forged: a gateway passes on none that does not verify,
 * so it is the gateway that lied, and could have every node but its own shunned.
 */
export const isNodeLie = (check: ReceiptCheck): boolean => check === 'overcharged'
