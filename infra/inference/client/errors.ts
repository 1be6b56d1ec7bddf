import { InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'
import type { Refusal } from '../protocol/network/problem.ts'

/** The options of a private network contradict themselves or would give away what they should hide. */
export class ClientOptionError extends InvalidInputError {
  override readonly name = 'ClientOptionError'
  constructor(problem: string, fix: string) {
    super(`The private network cannot be used: ${problem}.`, { code: 'INFERENCE_CLIENT_OPTION', fix })
  }
}

/**
 * A refusal of the private network. A `fetch` answers with it as a response in OpenAI's shape; whatever else a client
 * of the network does (buying, recovering, asking for the directory) throws it.
 *
 * The code is the refusal's in capitals behind `INFERENCE_`, such as `INFERENCE_KEYS_INCONSISTENT`.
 */
export class PrivateNetworkError extends RialtoError {
  override readonly name = 'PrivateNetworkError'
  readonly refusal: Refusal
  constructor(
    refusal: Refusal,
    parameters: { readonly fix?: string; readonly retryable?: boolean; readonly cause?: unknown } = {},
  ) {
    super(`INFERENCE_${refusal.code.toUpperCase()}`, refusal.message, {
      retryable: refusal.status >= 500 || refusal.status === 429,
      details: { status: refusal.status, role: refusal.role, ...refusal.limit },
      ...parameters,
    })
    this.refusal = refusal
  }
}

/** A server of the network was not reached, or broke off. What it was asked may have been done all the same. */
export class TransportError extends RialtoError {
  override readonly name = 'TransportError'
  /** @param problem as a clause that follows the server's address */
  constructor(url: string, problem: string, cause?: unknown) {
    // Only the host is named: paths of the network say which gateway is meant.
    super('INFERENCE_TRANSPORT', `${new URL(url).host} ${problem}.`, {
      fix: 'Check the connection, and the address in the configuration.',
      retryable: true,
      details: { code: (cause as NodeJS.ErrnoException | undefined)?.code },
    })
  }
}

/**
 * A relay answered in the clear instead of passing on an answer. Whoever answers so is not known, so that nothing may
 * be concluded for a payment: the gateway may have got it.
 */
export class UnsealedAnswerError extends RialtoError {
  override readonly name = 'UnsealedAnswerError'
  readonly status: number
  /** The code of a problem of the relay's, if it is one that is known. */
  readonly problem: string | null
  constructor(status: number, problem: string | null) {
    super('INFERENCE_UNSEALED', `The relay answered ${status}${problem === null ? '' : ` (${problem})`}.`, {
      fix: 'Use another relay, or try again later.',
      retryable: true,
      details: { status, problem },
    })
    this.status = status
    this.problem = problem
  }
}

/** A request was not opened: the directory is out of date, or says of another key than the gateway has. */
export class StaleKeyError extends RialtoError {
  override readonly name = 'StaleKeyError'
  constructor() {
    super('INFERENCE_STALE_KEY', "The gateway's key is another by now.", {
      fix: 'Fetch the directory again.',
      retryable: true,
    })
  }
}
