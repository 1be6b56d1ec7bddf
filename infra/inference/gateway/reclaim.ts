import type { BinaryRequest } from '../protocol/bhttp/message.ts'
import { decodeReclaim } from '../protocol/network/payment.ts'
import type { Refusal } from '../protocol/network/problem.ts'
import { headers } from '../protocol/network/routes.ts'
import type { SpendOutcome } from './deliveries.ts'
import { kindOf } from './errors.ts'
import { checksOf, type InferParts } from './infer.ts'
import { type CheckedPayment, checkPayment, isRefusal } from './payments.ts'
import { encodeRefusal, refusals } from './problems.ts'

/**
 * `POST /reclaim`: the change of a payment whose answer was lost. A payment that is still being worked on is waited
 * for; one that never arrived is taken, and comes back whole.
 *
 * @returns the value of the trailer, or why there is none
 */
export async function reclaim(request: BinaryRequest, parts: InferParts): Promise<SpendOutcome> {
  const { directory, spends } = parts
  let reclaimed: ReturnType<typeof decodeReclaim>
  try {
    reclaimed = decodeReclaim(request.content)
  } catch {
    return refused(refusals.malformed)
  }
  const { innerRequestHash } = reclaimed
  const payment = checkPayment(reclaimed, { innerRequestHash, ...checksOf(directory) })
  if (isRefusal(payment)) return refused(payment)
  const known = spends.find(payment)
  if (known !== undefined) return known.outcome

  // The same payment for its request, should it come meanwhile, has to find that it is being given back.
  const delivery = spends.begin(payment)
  try {
    const outcome = await giveBack(payment, parts)
    if (outcome.kind === 'settled')
      delivery.end(encodeRefusal(refusals.answerGone, [[headers.change, outcome.change]]))
    if (outcome.kind === 'refused') delivery.end(encodeRefusal(outcome.refusal))
    delivery.settle(outcome)
    return outcome
  } catch (error) {
    parts.logger?.error({ error: kindOf(error) }, 'change could not be given back')
    delivery.break()
    return { kind: 'broken' }
  } finally {
    spends.end(payment, delivery)
  }
}

async function giveBack(payment: CheckedPayment, parts: InferParts): Promise<SpendOutcome> {
  const { spends, settler, metrics } = parts
  const standing = await spends.reserve(payment)
  if (standing.kind === 'refused') return refused(standing.refusal)
  if (standing.kind === 'settled')
    return { kind: 'settled', change: await settler.repeat(payment, standing.due) }
  if (standing.kind === 'fresh') metrics.redeemed.inc(payment.paid)
  metrics.settled.inc({ outcome: standing.kind === 'fresh' ? 'reclaimed' : 'abandoned' })
  return { kind: 'settled', change: await settler.settle(payment, null) }
}

const refused = (refusal: Refusal): SpendOutcome => ({ kind: 'refused', refusal })
