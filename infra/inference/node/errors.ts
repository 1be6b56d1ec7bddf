import { InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'
import type { Refusal } from '../protocol/network/problem.ts'

/** A node cannot be started as it was asked to. */
export class NodeOptionsError extends InvalidInputError {
  override readonly name = 'NodeOptionsError'
  /**
   * @param problem as a clause that follows "The node"
   * @param fix one imperative sentence
   */
  constructor(problem: string, fix: string, details: Readonly<Record<string, unknown>> = {}) {
    super(`The node ${problem}.`, { code: 'NODE_OPTIONS', fix, details })
  }
}

/** The node's keys were not attested, so it has none that it could publish. */
export class NodeAttestationError extends RialtoError {
  override readonly name = 'NodeAttestationError'
  constructor(cause: unknown) {
    super('NODE_ATTESTATION', 'The quote over the keys of the node could not be made.', {
      fix: 'Check that the node runs in a trust domain and that its quoting service answers.',
      retryable: true,
      cause,
    })
  }
}

/** What was asked for is refused, in words that quote nothing of it. Its asker reads it sealed. */
export class RefusedError extends RialtoError {
  override readonly name = 'RefusedError'
  readonly refusal: Refusal
  /** The name of the model that was asked for, as far as it is known: the receipt names it. */
  readonly model: string
  constructor(refusal: Omit<Refusal, 'role'>, model = '') {
    super('NODE_REFUSED', refusal.message)
    this.refusal = { ...refusal, role: 'node' }
    this.model = model
  }
}

/** How the model's server failed. */
export type UpstreamFault =
  | 'unreachable'
  | 'silent'
  | 'cut'
  | 'too-large'
  | 'redirect'
  | 'key-refused'
  | 'not-understood'

const sentences: Readonly<Record<UpstreamFault, string>> = {
  unreachable: "The model's server cannot be reached.",
  silent: "The model's server does not answer in time.",
  cut: "The model's server broke off within its answer.",
  'too-large': "The answer of the model's server is larger than is passed on.",
  redirect: "The model's server points to another place, and none is asked but itself.",
  'key-refused': "The model's server does not accept this node's key.",
  'not-understood': "The model's server answered in a form that is not OpenAI's.",
}

/**
 * The model's server gave no answer that could be passed on. It keeps no cause: what a server sends or a socket
 * reports may quote a prompt.
 */
export class UpstreamError extends RialtoError {
  override readonly name = 'UpstreamError'
  readonly fault: UpstreamFault
  constructor(fault: UpstreamFault) {
    super('NODE_UPSTREAM', sentences[fault], {
      fix: "Look at the model's server.",
      retryable: true,
      details: { fault },
    })
    this.fault = fault
  }
}
