import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { sealingKey, type VerifiedNode } from '../protocol/network/nodeDescription.ts'
import { encodePaidRequest } from '../protocol/network/payment.ts'
import { gatewayResources, headers, mediaTypes } from '../protocol/network/routes.ts'
import type { OhttpKey } from '../protocol/ohttp/keys.ts'
import type { Candidate } from './catalogue.ts'
import { checkCharge, isNodeLie } from './checkCharge.ts'
import { type DeliveryTrace, deliver } from './deliver.ts'
import type { ConfirmedDirectory } from './fetchDirectory.ts'
import { type Ending, type Flight, startFlight } from './flight.ts'
import { gatewayRequest } from './gatewayLink.ts'
import type { NetworkState } from './networkState.ts'
import type { PathTry, ReceiptCheck } from './pathReport.ts'
import type { AskedFor } from './readFetch.ts'
import { refuse } from './refusals.ts'
import { readProblem } from './respond.ts'
import { readNodeAnswer, sealForNode } from './sealForNode.ts'
import { fieldOf } from './sendSealed.ts'
import { isBadChange, type Settlement } from './treasury.ts'
import { type AnswerWatch, isSameModel, type Seen, watchEvents, watchPlain } from './watchAnswer.ts'

/** How a payment came out. */
export type Landed = Settlement & { readonly receipt: ReceiptCheck; readonly seen: Seen }

/** One request to one node, paid for and under way. */
export type Attempt = {
  readonly candidate: Candidate
  readonly directory: ConfirmedDirectory
  readonly paid: number
  readonly flight: Flight
  readonly trace: DeliveryTrace
  /** Bytes of the sealed request to the node. */
  readonly innerBytes: number
  /** Bytes to which it was padded. */
  readonly bucket: number
  /** Once the payment is settled, or cannot be. Undefined before. */
  readonly landed: () => Landed | undefined
  /** For the report. */
  readonly toTry: (code: string | null) => PathTry
}

const keys = new WeakMap<VerifiedNode, Promise<OhttpKey>>()

/** The key of a node, prepared once for each description of it. */
function keyOf(node: VerifiedNode): Promise<OhttpKey> {
  let key = keys.get(node)
  if (key === undefined) {
    key = sealingKey(nodeHpke, node.keys)
    keys.set(node, key)
  }
  return key
}

/**
 * Prepares the keys of nodes and seals something for each that nobody gets: the first request of a process would else
 * wait ten times as long as any other.
 */
export async function warmUp({ form }: NetworkState, nodes: readonly VerifiedNode[]): Promise<void> {
  const body = new TextEncoder().encode('{}')
  for (const node of nodes)
    await sealForNode(await keyOf(node), { resource: '/v1/chat/completions', body, form })
}

/**
 * Seals a request for one node, pays and sends it.
 *
 * @param parameters.signal is looked at before anything is paid; from then on the payment is followed to its end
 * @throws {PrivateNetworkError} `too_large` or `wallet_empty`, and nothing was paid
 */
export async function startAttempt(
  state: NetworkState,
  parameters: {
    readonly asked: AskedFor
    readonly directory: ConfirmedDirectory
    readonly candidate: Candidate
    readonly paid: number
    readonly bucket?: number | undefined
    readonly signal?: AbortSignal | undefined
  },
): Promise<Attempt> {
  const { asked, directory, candidate, paid, bucket, signal } = parameters
  const { resource, body, model } = asked
  const { form, treasury } = state
  const sealed = await sealForNode(await keyOf(candidate.at), { resource, body, form, bucket })
  signal?.throwIfAborted()
  if (state.isClosing()) throw refuse('closing')
  const spend = await treasury.spend(directory, paid, sealed.hash)
  state.operators.enter(candidate.operator)
  const trace: DeliveryTrace = { sent: 0, relay: null, outerBytes: 0, answerBytes: 0 }
  const reader = readNodeAnswer(sealed.exchange, form)
  let landed: Landed | undefined

  async function land(ending: Ending, watch: AnswerWatch | undefined): Promise<void> {
    const refused = ending === undefined || ending.problem === null ? null : codeOf(ending.problem)
    const settlement = await treasury.settle(spend, ending?.trailers, refused)
    const seen = watch?.seen() ?? { usage: null, model: null }
    const isRefusal = refused !== null || (reader.head !== undefined && reader.head.status >= 400)
    const check = (): ReceiptCheck => {
      if (settlement.error !== undefined) return isBadChange(settlement.error) ? 'change-invalid' : 'unknown'
      if (ending === undefined) return 'unknown'
      return checkCharge({
        field: fieldOf(ending.trailers, headers.receipt),
        paid,
        returned: settlement.returned,
        node: candidate.at.identity,
        innerRequestHash: sealed.hash,
        model,
        price: candidate.price,
        usage: isRefusal ? 'none' : seen.usage,
      })
    }
    const receipt = refused === 'token_spent' ? 'unknown' : check()
    if (isNodeLie(receipt) || (seen.model !== null && !isSameModel(model, seen.model)))
      state.liars.add(candidate.identity)
    landed = { ...settlement, receipt, seen }
    state.afterSpending()
  }

  const flight = startFlight({
    reader,
    land,
    watch: (_, fields) => (isEventStream(fieldOf(fields, 'content-type')) ? watchEvents() : watchPlain()),
    delivery: deliver({
      link: state.link,
      keeper: state.keeper,
      tries: state.tries,
      trace,
      request: gatewayRequest(gatewayResources.infer, {
        headers: [
          ['content-type', mediaTypes.paidRequest],
          [headers.node, candidate.node],
          [headers.model, model],
        ],
        content: encodePaidRequest({
          tokens: spend.tokens,
          changeRequests: spend.changeRequests,
          innerRequest: sealed.innerRequest,
        }),
      }),
    }),
  })
  // Whoever closes the network waits for what is paid, read or not.
  state.background('settlement', flight.landed)
  return {
    candidate,
    directory,
    paid,
    flight,
    trace,
    innerBytes: sealed.innerRequest.length,
    bucket: sealed.bucket,
    landed: () => landed,
    toTry: (code) => ({
      node: candidate.node,
      operator: candidate.operator,
      paid,
      returned: landed?.returned ?? 0,
      unsettled: landed === undefined ? paid : landed.unsettled,
      code,
      receipt: landed?.receipt ?? 'unknown',
      sent: trace.sent,
    }),
  }
}

const codeOf = (problem: Uint8Array): string => readProblem(problem)?.error.code ?? 'unknown'

/** Whether an answer is streamed as server-sent events. */
export const isEventStream = (contentType: string | undefined): boolean =>
  contentType?.split(';')[0]?.trim().toLowerCase() === 'text/event-stream'
