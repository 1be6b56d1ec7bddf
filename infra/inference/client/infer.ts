import type { Refusal } from '../protocol/network/problem.ts'
import { headers } from '../protocol/network/routes.ts'
import { type Attempt, isEventStream, startAttempt } from './attempt.ts'
import type { Candidate } from './catalogue.ts'
import { drawNode, eligibleNodes, isWorthVerifying } from './chooseNode.ts'
import { PrivateNetworkError } from './errors.ts'
import { chooseCeiling, worstCost } from './estimateCost.ts'
import type { ConfirmedDirectory } from './fetchDirectory.ts'
import type { NetworkState } from './networkState.ts'
import { orAbort } from './orAbort.ts'
import type { PathReport, PathTry } from './pathReport.ts'
import type { AskedFor } from './readFetch.ts'
import { readWhole } from './readWhole.ts'
import { refuse } from './refusals.ts'
import { readProblem, wordIn } from './respond.ts'
import { fieldOf } from './sendSealed.ts'

/** How far a request has come; kept by the caller, who can tell of it when the request is aborted. */
export type Progress = {
  /** Those that have ended. */
  readonly tries: PathTry[]
  /** The last one. Undefined when nothing was paid. */
  attempt: Attempt | undefined
  firstByteMs: number | null
}

/** An answer to hand over, or a refusal. */
export type Outcome =
  | {
      readonly kind: 'stream'
      readonly attempt: Attempt
      readonly status: number
      readonly contentType: string
    }
  | {
      readonly kind: 'plain'
      readonly attempt: Attempt
      readonly status: number
      readonly contentType: string
      readonly body: Uint8Array
    }
  | { readonly kind: 'refused'; readonly refusal: Refusal; readonly outcome: PathReport['outcome'] }

/** How a request looks from outside. */
export type PaidForm = { readonly bucket: number; readonly paid: number }

export type InferOptions = {
  /** Told of each payment. */
  readonly onPaid?: (form: PaidForm) => void
  readonly signal?: AbortSignal | undefined
  /** Pads the request to a node to at least so many bytes. */
  readonly bucket?: number | undefined
  /** Pays at least this. */
  readonly atLeast?: number | undefined
}

/** How many nodes are tried at most, the same one with another payment or key included. */
const mostAttempts = 5

/** How often other tokens are paid for those that the gateway says were spent before. */
const mostSaidSpent = 1

/** Refusals behind which another node may answer. The change is back before it is asked. */
const otherNode = new Set([
  'busy',
  'node_unavailable',
  'node_failed',
  'node_timeout',
  'node_unknown',
  'model_unknown',
])
/** Refusals by a node itself behind which another may answer. */
const otherNodeThan = new Set(['busy', 'closing', 'upstream_failed'])
/** Refusals behind which the same payment class is paid again with other tokens. */
const otherTokens = new Set(['token_spent', 'answer_lost'])

/** What to do about a refusal: nothing, or another attempt. */
type Next =
  | { readonly kind: 'refuse'; readonly refusal: Refusal; readonly outcome: PathReport['outcome'] }
  | { readonly kind: 'other-node' | 'other-tokens' | 'other-key'; readonly refusal: Refusal }
  /** `needed` is the node's own word, in tokens. */
  | { readonly kind: 'higher'; readonly refusal: Refusal; readonly needed: number }

/**
 * Asks one node after the other until one answers. Before a second one is asked, and paid, the change of the first is
 * back in the wallet.
 *
 * @throws the signal's reason; what was paid by then is followed to its end in the background
 * @throws {PrivateNetworkError} when nothing was paid: no directory, no node, no tokens
 */
export async function infer(
  state: NetworkState,
  asked: AskedFor,
  options: InferOptions,
  progress: Progress,
): Promise<Outcome> {
  const { signal } = options
  const { tries } = progress
  const started = state.now()
  const tried = new Set<string>()
  let same: string | undefined
  let above = 0
  let needed = 0
  let last: Refusal | undefined
  /** Nodes whose keys are others by now. */
  const stale = new Set<string>()
  let hasNewKeys = false

  const refused = (refusal: Refusal, outcome: PathReport['outcome'] = 'refused'): Outcome => ({
    kind: 'refused',
    refusal,
    outcome,
  })

  for (let count = 0; count < mostAttempts; count++) {
    let directory = await orAbort(state.keeper.current(), signal)
    let attempt: Attempt
    try {
      let candidate: Candidate
      try {
        candidate = await orAbort(choose(state, asked, directory, { tried, same }), signal)
      } catch (error) {
        if (stale.size === 0 || hasNewKeys || !isNoneLeft(error)) throw error
        // Only a new directory helps: it is asked for at once, although witnesses see that a request is being made.
        hasNewKeys = true
        directory = await orAbort(state.keeper.refresh(), signal)
        for (const node of stale) tried.delete(node)
        const again = { tried, same: [...stale].at(-1) }
        candidate = await orAbort(choose(state, asked, directory, again), signal)
      }
      const paid = chooseCeiling(
        directory.directory.ceilings,
        Math.max(
          options.atLeast ?? 0,
          needed,
          worstCost(asked, {
            price: candidate.price,
            context: candidate.offered.context,
            defaultCompletion: state.ceiling,
          }),
        ),
        above,
      )
      if (paid === undefined && last !== undefined) return refused(last)
      attempt = await startAttempt(state, {
        ...options,
        asked,
        directory,
        candidate,
        paid: paid ?? 1,
      })
    } catch (error) {
      // Where all nodes failed, the last failure says more than that no node is left.
      if (last === undefined || !(error instanceof PrivateNetworkError)) throw error
      return refused(error.refusal.code === 'no_node' ? last : error.refusal)
    }
    same = undefined
    progress.attempt = attempt
    options.onPaid?.({ bucket: attempt.bucket, paid: attempt.paid })

    const { flight, candidate } = attempt
    const beginning = await orAbort(flight.begin(), signal, () => {
      state.background('settlement', flight.drain())
    })
    let next: Next
    if (beginning.kind === 'answer') {
      progress.firstByteMs = state.now() - started
      const contentType = fieldOf(beginning.headers, 'content-type') ?? 'application/json'
      const lie = lieIn(beginning.headers, beginning.status, candidate)
      if (lie !== undefined) {
        state.liars.add(candidate.identity)
        state.background('settlement', flight.drain())
        tries.push(attempt.toTry(lie.code))
        return refused(lie, 'broken')
      }
      if (beginning.status === 200 && isEventStream(contentType))
        return { kind: 'stream', attempt, status: 200, contentType }
      const whole = await orAbort(readWhole(flight), signal, () => {
        state.background('settlement', flight.drain())
      })
      if (whole.kind === 'body') {
        const { status } = beginning
        const said = status < 400 ? undefined : nodeRefusal(status, whole.body)
        if (said === undefined || said.kind === 'refuse') {
          tries.push(attempt.toTry(null))
          return { kind: 'plain', attempt, status, contentType, body: whole.body }
        }
        next = said
      } else {
        next = { kind: 'refuse', refusal: broken(whole.error), outcome: 'broken' }
      }
    } else {
      // Settled before anything else is paid.
      await orAbort(flight.drain(), signal, () => {
        state.background('settlement', flight.drain())
      })
      next =
        beginning.kind === 'refused'
          ? gatewayRefusal(beginning.status, beginning.content)
          : failed(beginning.error)
    }

    tries.push(attempt.toTry(next.refusal.code))
    if (next.kind === 'refuse') return refused(next.refusal, next.outcome)
    // Tokens that are said to be spent are gone, and nothing proves it: whoever says so again gets no more of them.
    if (tries.filter(({ code }) => code === 'token_spent').length > mostSaidSpent)
      return refused(next.refusal)
    // What is not settled may yet be spent: nothing is paid beside it.
    if ((attempt.landed()?.unsettled ?? attempt.paid) > 0) return refused(next.refusal)
    last = next.refusal
    if (next.kind === 'other-node' || next.kind === 'other-key') tried.add(candidate.node)
    else same = candidate.node
    if (next.kind === 'other-key' && !hasNewKeys) {
      stale.add(candidate.node)
      state.keeper.refreshLater()
    }
    if (next.kind === 'higher') {
      // Once: a node that asks for more and more does not get it.
      if (above > 0) return refused(next.refusal)
      above = attempt.paid
      needed = next.needed
    }
  }
  if (last === undefined) throw refuse('no_node')
  return refused(last)
}

/** Whether there are nodes for a request, but none that it may go to now. */
const isNoneLeft = (error: unknown): boolean =>
  error instanceof PrivateNetworkError &&
  (error.refusal.code === 'no_node' || error.refusal.code === 'operator_share')

/** The node for this attempt: the same as before where that is asked for and still there, else one that is drawn. */
async function choose(
  state: NetworkState,
  asked: AskedFor,
  directory: ConfirmedDirectory,
  { tried, same }: { readonly tried: ReadonlySet<string>; readonly same: string | undefined },
): Promise<Candidate> {
  const { operators, privacy } = state
  const wants = { asked, privacy, tried, operators }
  const candidates = await state.candidates(directory, (each) => isWorthVerifying(each, wants))
  if (same !== undefined) {
    const found = candidates.find(
      ({ node, model, refused }) => node === same && model === asked.model && refused === null,
    )
    // The share was looked at when it was chosen first.
    if (found !== undefined) {
      const anyShare = { allows: () => true }
      const [only] = eligibleNodes([found], { asked, privacy, tried, operators: anyShare })
      if (only !== undefined) return only
    }
  }
  return drawNode(eligibleNodes(candidates, wants), asked, state.random)
}

/** What the head of an answer says that it must not. Errors are of no model and keep nobody's word. */
function lieIn(
  fields: Parameters<typeof fieldOf>[0],
  status: number,
  { model, offered }: Candidate,
): Refusal | undefined {
  if (status >= 400) return undefined
  if (fieldOf(fields, headers.privacy) !== offered.privacy) return refuse('privacy_broken').refusal
  if (fieldOf(fields, headers.model) !== model) return refuse('wrong_model').refusal
  return undefined
}

/** A refusal of the gateway's, sealed for this client. */
function gatewayRefusal(status: number, content: Uint8Array): Next {
  const problem = readProblem(content)
  const code = wordIn(problem) ?? 'gateway_refused'
  const refusal: Refusal = {
    status: status >= 400 ? status : 502,
    code,
    message: problem?.error.message ?? refuse('gateway_refused').message,
    role: 'gateway',
    ...(problem?.error.rialto?.limit === undefined ? {} : { limit: problem.error.rialto.limit }),
  }
  if (otherNode.has(code)) return { kind: 'other-node', refusal }
  if (otherTokens.has(code)) return { kind: 'other-tokens', refusal }
  if (code === 'node_key_unknown') return { kind: 'other-key', refusal }
  return { kind: 'refuse', refusal, outcome: 'refused' }
}

/** An error that a node answered with, sealed for this client: its own, or its model server's. */
function nodeRefusal(status: number, content: Uint8Array): Next | undefined {
  const problem = readProblem(content)
  const error = problem?.error
  if (error?.rialto?.role !== 'node') return undefined
  const code = wordIn(problem) ?? 'node_failed'
  const { limit } = error.rialto
  const refusal: Refusal = {
    status,
    code,
    message: error.message,
    role: 'node',
    ...(limit === undefined ? {} : { limit }),
  }
  if (code === 'ceiling_too_low')
    return { kind: 'higher', refusal, needed: typeof limit?.needed === 'number' ? limit.needed : 0 }
  if (otherNodeThan.has(code)) return { kind: 'other-node', refusal }
  return { kind: 'refuse', refusal, outcome: 'refused' }
}

/** Nothing that can be read came back. */
function failed(error: unknown): Next {
  const isUnknown = error instanceof PrivateNetworkError
  return {
    kind: 'refuse',
    refusal: isUnknown ? error.refusal : broken(error),
    outcome: isUnknown ? 'refused' : 'broken',
  }
}

/** The refusal for an answer that is not what was sent. */
export function broken(error: unknown): Refusal {
  const code = error instanceof PrivateNetworkError ? error.refusal.code : (error as { code?: unknown })?.code
  return refuse('stream_broken', {
    limit: { fault: typeof code === 'string' ? code.toLowerCase() : 'unknown' },
  }).refusal
}
