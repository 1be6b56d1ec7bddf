import { type Problem, problemOf, type Refusal } from '../protocol/network/problem.ts'
import { headers } from '../protocol/network/routes.ts'
import type { Attempt } from './attempt.ts'
import { PrivateNetworkError } from './errors.ts'
import { broken, type InferOptions, infer, type Outcome, type Progress } from './infer.ts'
import type { NetworkState } from './networkState.ts'
import type { PathReport } from './pathReport.ts'
import type { AskedFor } from './readFetch.ts'
import { refuse } from './refusals.ts'
import { type Cost, parseJson, readProblem, respondRefusal, withCost, wordIn } from './respond.ts'
import { EventGate, isSameModel } from './watchAnswer.ts'

/** Header of a plain answer: what the check of its receipt found. */
const receiptCheckHeader = 'rialto-receipt-check'

/**
 * Sends a request through the network and makes a response of what comes of it.
 *
 * @throws the signal's reason, and what is a defect; every refusal is a response
 */
export async function answer(
  state: NetworkState,
  asked: AskedFor,
  options: InferOptions & { readonly kind?: PathReport['kind'] },
): Promise<Response> {
  const progress: Progress = { tries: [], attempt: undefined, firstByteMs: null }
  const report = startReport(state, asked, options.kind ?? 'request', progress)
  let outcome: Outcome
  try {
    outcome = await infer(state, asked, options, progress)
  } catch (error) {
    if (options.signal?.aborted === true) {
      reportLater(state, progress, () => report('aborted', 0, 'aborted'))
      throw options.signal.reason
    }
    if (!(error instanceof PrivateNetworkError)) throw error
    outcome = { kind: 'refused', refusal: error.refusal, outcome: 'refused' }
  }
  if (outcome.kind === 'stream') return streamed(state, outcome, options.signal, progress, report)
  if (outcome.kind === 'refused') {
    const { refusal } = outcome
    report(outcome.outcome, refusal.status, refusal.code)
    return respondRefusal(refusal, costOf(progress), headersOfRefusal(refusal, progress))
  }
  return plain(outcome, progress, report)
}

type Report = (outcome: PathReport['outcome'], status: number, code: string | null) => void

function plain(outcome: Outcome & { kind: 'plain' }, progress: Progress, report: Report): Response {
  const { attempt, status, contentType, body } = outcome
  const landed = attempt.landed()
  const cost = costOf(progress)
  const said = landed?.seen.model ?? null
  if (status < 400 && said !== null && !isSameModel(attempt.candidate.model, said)) {
    const { refusal } = refuse('wrong_model')
    report('broken', refusal.status, refusal.code)
    return respondRefusal(refusal, cost, headersOfRefusal(refusal, progress))
  }
  const problem = status < 400 ? undefined : readProblem(body)
  report('answered', status, problem === undefined ? null : codeOfError(problem))
  const shown = new Headers({
    ...headersOf(attempt),
    'content-type': contentType,
    'rialto-spent': String(cost.spent),
    'rialto-returned': String(cost.returned),
    [receiptCheckHeader]: landed?.receipt ?? 'unknown',
  })
  const content =
    problem === undefined
      ? body
      : JSON.stringify(mergeCost(parseJson(body), withCost(problem, { role: 'upstream' }, cost)))
  return new Response(content as string | Uint8Array<ArrayBuffer>, { status, headers: shown })
}

/** What a report may say of an error. It is kept and logged, and a model's server may quote a prompt in its own words. */
const codeOfError = (problem: Problem): string =>
  (problem.error.rialto?.role === 'node' ? wordIn(problem) : undefined) ?? 'upstream_error'

/** What a model's server said in its own words, with our `rialto` beside them. */
const mergeCost = (said: unknown, problem: ReturnType<typeof withCost>) => {
  const whole = said as { readonly error: object }
  return { ...whole, error: { ...whole.error, rialto: problem.error.rialto } }
}

/** Milliseconds for which nobody may read a stream. */
const readerPatience = 60_000

/** Events pass as they are complete. When the stream breaks, the last one is an error, and then the body fails. */
function streamed(
  state: NetworkState,
  { attempt, status, contentType }: Outcome & { kind: 'stream' },
  signal: AbortSignal | undefined,
  progress: Progress,
  report: Report,
): Response {
  const { flight } = attempt
  const gate = new EventGate()
  let fault: unknown
  let isClosed = false
  let onAbort: () => void = () => undefined

  let unread: NodeJS.Timeout | undefined

  const close = (outcome: PathReport['outcome'], code: string | null): void => {
    if (isClosed) return
    isClosed = true
    signal?.removeEventListener('abort', onAbort)
    progress.tries.push(attempt.toTry(code))
    report(outcome, status, code)
  }
  /** Nobody reads any more: what is left is followed to its end for the change. */
  const leave = (): void => {
    clearTimeout(unread)
    const isEarly = attempt.landed() === undefined
    state.background(
      'settlement',
      flight.drain().then(() => close(isEarly ? 'aborted' : 'answered', isEarly ? 'aborted' : null)),
    )
  }

  /** Gives a body up that was dropped without a word: its payment would stay open for as long as the process lives. */
  const expectReader = (controller: ReadableStreamDefaultController): void => {
    unread = setTimeout(() => {
      const { refusal } = refuse('stream_broken', { limit: { fault: 'unread' } })
      controller.error(new PrivateNetworkError(refusal, { fix: 'Read an answer to its end, or cancel it.' }))
      leave()
    }, readerPatience)
    unread.unref()
  }

  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        expectReader(controller)
        onAbort = () => {
          controller.error(signal?.reason)
          leave()
        }
        if (signal?.aborted === true) onAbort()
        else signal?.addEventListener('abort', onAbort, { once: true })
      },
      async pull(controller) {
        clearTimeout(unread)
        if (fault !== undefined) return controller.error(fault)
        try {
          for (;;) {
            const bytes = await flight.read()
            if (signal?.aborted === true) return
            const passing = bytes === undefined ? gate.end() : gate.push(bytes)
            if (passing.length > 0) controller.enqueue(passing)
            if (bytes === undefined) {
              await flight.landed
              const said = attempt.landed()?.seen.model ?? null
              close(
                'answered',
                said === null || isSameModel(attempt.candidate.model, said) ? null : 'wrong_model',
              )
              controller.close()
              return
            }
            if (passing.length > 0) return expectReader(controller)
          }
        } catch (error) {
          if (signal?.aborted === true) return
          // An error within the stream is what OpenAI's clients throw with its code; that the body then fails tells
          // everybody else.
          const refusal = broken(error)
          fault = new PrivateNetworkError(refusal, { fix: 'Discard what arrived of it and ask again.' })
          controller.enqueue(errorEvent(refusal))
          state.background(
            'settlement',
            flight.drain().then(() => close('broken', refusal.code)),
          )
        }
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  )
  return new Response(body, { status, headers: { ...headersOf(attempt), 'content-type': contentType } })
}

const errorEvent = (refusal: Refusal): Uint8Array =>
  new TextEncoder().encode(`data: ${JSON.stringify(problemOf(refusal))}\n\n`)

const headersOf = ({ candidate }: Attempt): Record<string, string> => ({
  [headers.privacy]: candidate.privacy,
  [headers.model]: candidate.model,
  [headers.node]: candidate.node,
  'rialto-operator': candidate.operator,
})

/** OpenAI's clients send again by themselves what may succeed later: not where a payment is still open. */
function headersOfRefusal(refusal: Refusal, progress: Progress): Record<string, string> {
  const unsettled = sum(progress, 'unsettled')
  return {
    ...(progress.attempt === undefined ? {} : { [headers.node]: progress.attempt.candidate.node }),
    ...(unsettled > 0 || refusal.code === 'outcome_unknown' ? { 'x-should-retry': 'false' } : {}),
  }
}

const sum = ({ tries }: Progress, what: 'paid' | 'returned' | 'unsettled'): number =>
  tries.reduce((total, each) => total + each[what], 0)

/** Over all tries. What is not settled counts as spent until it comes back. */
const costOf = (progress: Progress): Cost => {
  const returned = sum(progress, 'returned')
  return { spent: sum(progress, 'paid') - returned, returned }
}

function startReport(
  state: NetworkState,
  asked: AskedFor,
  kind: PathReport['kind'],
  progress: Progress,
): Report {
  const at = state.now()
  return (outcome, status, code) => {
    const { attempt, tries, firstByteMs } = progress
    const { spent, returned } = costOf(progress)
    state.report({
      at,
      kind,
      resource: asked.resource,
      outcome,
      status,
      code,
      model: asked.model,
      privacy: attempt?.candidate.privacy ?? null,
      relay: attempt?.trace.relay ?? null,
      gateway: state.gateway,
      epoch: attempt?.directory.directory.epoch ?? null,
      node: attempt?.candidate.node ?? null,
      operator: attempt?.candidate.operator ?? null,
      spent,
      returned,
      unsettled: sum(progress, 'unsettled'),
      receipt: attempt?.landed()?.receipt ?? (attempt === undefined ? 'absent' : 'unknown'),
      sizes: {
        inner: attempt?.innerBytes ?? 0,
        outer: attempt?.trace.outerBytes ?? 0,
        answer: attempt?.trace.answerBytes ?? 0,
      },
      firstByteMs,
      tries: [...tries],
    })
  }
}

/** A request that was aborted is told of once its payment has ended. */
function reportLater(state: NetworkState, progress: Progress, tell: () => void): void {
  const { attempt } = progress
  if (attempt === undefined) {
    tell()
    return
  }
  const ended = attempt.flight.landed.then(() => {
    progress.tries.push(attempt.toTry('aborted'))
    tell()
  })
  state.background('settlement', ended)
}
