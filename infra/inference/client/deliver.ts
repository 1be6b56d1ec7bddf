import type { BinaryRequest, Field } from '../protocol/bhttp/message.ts'
import { StaleKeyError } from './errors.ts'
import { type GatewayLink, isConnectionLoss } from './gatewayLink.ts'
import type { DirectoryKeeper } from './keepDirectory.ts'
import { refuse } from './refusals.ts'
import { renewKeys } from './renewKeys.ts'
import type { Sent } from './sendSealed.ts'

/** What a gateway made of a payment. */
export type DeliveryEvent =
  /** Bytes of the node's sealed answer. */
  | { readonly kind: 'content'; readonly bytes: Uint8Array }
  /** The node's sealed answer has ended, whole or not. */
  | { readonly kind: 'end'; readonly trailers: readonly Field[] }
  /** The gateway refused, with a problem in `content`. */
  | {
      readonly kind: 'refused'
      readonly status: number
      readonly content: Uint8Array
      readonly trailers: readonly Field[]
    }

/** What was seen of a delivery on its way. It is filled in as it goes. */
export type DeliveryTrace = {
  /** How often the payment was sent. */
  sent: number
  relay: string | null
  outerBytes: number
  answerBytes: number
}

/**
 * Sends a payment and delivers what comes of it.
 *
 * The same payment for the same inner request is idempotent: when the connection is lost, it is sent again over the next
 * relay, sealed anew, and the answer, which the gateway keeps for a while, goes on where it stopped. So a lost connection
 * costs nothing, also in the middle of an answer.
 *
 * @param parameters.tries how often it is sent at most
 * @throws {PrivateNetworkError} `outcome_unknown` when no try brought an end: then nothing is known of the payment
 * @throws what says that an answer was tampered with; then nothing is known of the payment either
 */
export async function* deliver(parameters: {
  readonly link: GatewayLink
  readonly keeper: DirectoryKeeper
  readonly request: BinaryRequest
  readonly tries: number
  readonly trace: DeliveryTrace
}): AsyncGenerator<DeliveryEvent, void, undefined> {
  const { link, keeper, request, tries, trace } = parameters
  let delivered = 0
  let cause: unknown
  for (let attempt = 0; attempt < tries; attempt++) {
    const turn = link.nextTurn()
    let sent: Sent | undefined
    const before = trace.answerBytes
    const count = (): void => {
      trace.answerBytes = before + (sent?.response.received() ?? 0)
    }
    try {
      trace.sent += 1
      trace.relay = link.relayOf(turn)
      sent = await link.send(request, { turn })
      trace.outerBytes = sent.outer
      const { status, content } = sent.response
      if (status !== 200) {
        const refusal = await gather(content)
        count()
        yield { kind: 'refused', status, ...refusal }
        return
      }
      let skip = delivered
      for (;;) {
        const { done, value } = await content.next()
        count()
        if (done === true) {
          yield { kind: 'end', trailers: value }
          return
        }
        const bytes = value.subarray(Math.min(skip, value.length))
        skip -= value.length - bytes.length
        delivered += bytes.length
        if (bytes.length > 0) yield { kind: 'content', bytes }
      }
    } catch (error) {
      if (error instanceof StaleKeyError) await renewKeys(keeper, attempt)
      else if (!isConnectionLoss(error)) throw error
      cause = error
    } finally {
      count()
      // Of no effect on an answer that has ended.
      await sent?.response.content.return([])
    }
  }
  throw refuse('outcome_unknown', { cause, limit: { tries } })
}

/** A problem is short; what goes beyond is not read as one. */
const mostProblem = 65_536

async function gather(pieces: AsyncGenerator<Uint8Array, readonly Field[], undefined>) {
  const content: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await pieces.next()
    if (done === true) return { content: Buffer.concat(content), trailers: value }
    length += value.length
    if (length <= mostProblem) content.push(value)
  }
}
