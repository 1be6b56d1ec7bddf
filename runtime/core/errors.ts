import { plainLine } from './plainLine.ts'

/**
 * What every error of Rialto carries besides its message.
 *
 * `details` holds the offending values, for a person or a log. It must never hold a secret, a prompt or a
 * completion; amounts are given as decimal strings by the thrower or as `bigint`.
 */
export type RialtoErrorParameters = {
  /** What to do next, as one imperative sentence. */
  fix?: string
  /** Whether the same operation may succeed later without anybody changing anything. */
  retryable?: boolean
  details?: Readonly<Record<string, unknown>>
  cause?: unknown
}

/**
 * The base of every error that Rialto throws.
 *
 * A subclass sets a stable {@link code} (SCREAMING_SNAKE_CASE), which is what programs match on; the message
 * is one clear line for a person, and `fix` says what to do.
 *
 * @example
 * class RpcUnreachableError extends RialtoError {
 *   override readonly name = 'RpcUnreachableError'
 *   constructor(url: string, cause: unknown) {
 *     super('RPC_UNREACHABLE', `No answer from the RPC at ${url}.`, {
 *       fix: 'Check that the node runs and that the URL is right.', retryable: true, cause })
 *   }
 * }
 */
export class RialtoError extends Error {
  override readonly name: string = 'RialtoError'
  readonly code: string
  readonly retryable: boolean
  readonly fix: string | undefined
  readonly details: Readonly<Record<string, unknown>>

  constructor(code: string, message: string, parameters: RialtoErrorParameters = {}) {
    super(message, parameters.cause === undefined ? undefined : { cause: parameters.cause })
    this.code = code
    this.retryable = parameters.retryable ?? false
    this.fix = parameters.fix
    this.details = parameters.details ?? {}
  }

  /** The message and what to do, as one line. Text from outside in it can drive no terminal. */
  toLine(): string {
    return plainLine(this.fix === undefined ? this.message : `${this.message} ${this.fix}`)
  }
}

/** A value that breaks an invariant of the code itself: a defect, never the user's fault. */
export class InvariantError extends RialtoError {
  override readonly name = 'InvariantError'
  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super('INVARIANT', message, { details, fix: 'This is a defect in Rialto: please report it.' })
  }
}

/** Input from outside (configuration, arguments, environment, files) that is missing, malformed or contradictory. */
export class InvalidInputError extends RialtoError {
  override readonly name: string = 'InvalidInputError'
  constructor(message: string, parameters: RialtoErrorParameters & { code?: string } = {}) {
    super(parameters.code ?? 'INVALID_INPUT', message, parameters)
  }
}

/**
 * One line that is fit for a log or a terminal, whatever was thrown.
 *
 * viem's errors embed whole calldata in `message`; their `shortMessage` and `details` do not, so those are used.
 */
export function describeError(error: unknown): string {
  if (error instanceof RialtoError) return error.toLine()
  if (error instanceof Error) {
    const { shortMessage, details } = error as { shortMessage?: unknown; details?: unknown }
    if (typeof shortMessage === 'string')
      return firstLine(
        [shortMessage, typeof details === 'string' && details !== shortMessage ? `(${details})` : ''].join(
          ' ',
        ),
      )
    return firstLine(error.message) || error.name
  }
  return plainLine(String(error), MAX_FOREIGN)
}

/** The most characters that are told of an error that is not ours: its words may be anybody's. */
const MAX_FOREIGN = 500

const firstLine = (text: string): string => plainLine(text.trim().split('\n')[0] ?? '', MAX_FOREIGN)
