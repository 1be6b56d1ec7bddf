import { InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'

/** The folder in which a gateway keeps its keys and directories cannot be used. */
export class GatewayStateError extends RialtoError {
  override readonly name = 'GatewayStateError'
  constructor(path: string, problem: string, cause?: unknown) {
    super('GATEWAY_STATE', `The gateway's state in ${path} ${problem}.`, {
      fix: 'Make the folder writable and make room on the disk; restore a damaged file from a backup.',
      details: { path },
      cause,
    })
  }
}

/** What a gateway is told at its start contradicts itself. */
export class GatewayOptionError extends InvalidInputError {
  override readonly name = 'GatewayOptionError'
  constructor(problem: string) {
    super(`The gateway cannot start: ${problem}.`, {
      code: 'GATEWAY_OPTION',
      fix: 'Change the configuration of the gateway.',
    })
  }
}

/** A mint or a node that the gateway asked for its keys did not give them. */
export class PeerError extends RialtoError {
  override readonly name = 'PeerError'
  constructor(peer: string, problem: string, cause?: unknown) {
    super('GATEWAY_PEER', `${peer} ${problem}.`, {
      fix: 'Check that it runs, and that its address and identity are configured as its operator gives them.',
      retryable: true,
      cause,
    })
  }
}

/**
 * What remembers requests for several gateways cannot be asked, so that a replay could not be told: nothing is
 * opened until it can.
 */
export class SharedReplayError extends RialtoError {
  override readonly name = 'SharedReplayError'
  constructor(cause?: unknown) {
    super('GATEWAY_REPLAY_UNAVAILABLE', 'What remembers requests for all gateways cannot be reached.', {
      fix: 'Start Redis again.',
      retryable: true,
      cause,
    })
  }
}

/** Change could not be signed: the worker that signs ended, and ended again when it was started anew. */
export class ChangeSignerError extends RialtoError {
  override readonly name = 'ChangeSignerError'
  constructor(cause?: unknown) {
    super('GATEWAY_CHANGE_SIGNER', 'The thread that signs change has ended.', {
      fix: 'Start the gateway again; the change of what is under way is kept.',
      cause,
    })
  }
}

/** What kind of error it is, and nothing that its message may quote: for the log. */
export const kindOf = (error: unknown): string => {
  if (error instanceof RialtoError) return error.code
  return error instanceof Error ? error.name : typeof error
}
