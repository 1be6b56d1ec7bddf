import { RialtoError } from '../../runtime/core/errors.ts'

/** An address to listen on is taken, or not ours to take. */
export class ListenError extends RialtoError {
  override readonly name = 'ListenError'
  constructor(what: string, host: string, port: number, cause: unknown) {
    const code = (cause as NodeJS.ErrnoException).code
    super(
      'HTTP_LISTEN',
      code === 'EADDRINUSE'
        ? `The ${what} cannot listen on ${host}:${port}: it is taken.`
        : `The ${what} cannot listen on ${host}:${port} (${code ?? 'unknown error'}).`,
      {
        fix: 'Free the port or name another one; 0 takes any that is free.',
        details: { host, port },
        cause,
      },
    )
  }
}

/** Why a body could not be read. */
export type BodyFault = 'too-large' | 'stalled' | 'aborted' | 'crowded'

const sentences: Readonly<Record<BodyFault, string>> = {
  'too-large': 'The body is larger than is taken here.',
  stalled: 'The body stopped arriving.',
  aborted: 'The connection ended within the body.',
  crowded: 'Too much is being received at once.',
}

const statuses = { 'too-large': 413, stalled: 408, aborted: 400, crowded: 429 } as const

/** A body that was not read to its end. */
export class BodyError extends RialtoError {
  override readonly name = 'BodyError'
  readonly fault: BodyFault
  /** The status to answer with. */
  readonly status: 400 | 408 | 413 | 429
  constructor(fault: BodyFault) {
    super(`HTTP_BODY_${fault.replace('-', '_').toUpperCase()}`, sentences[fault], {
      fix:
        fault === 'too-large'
          ? 'Send less.'
          : fault === 'crowded'
            ? 'Send it again later.'
            : 'Send it again.',
      retryable: fault !== 'too-large',
    })
    this.fault = fault
    this.status = statuses[fault]
  }
}

/** A document could not be fetched. */
export class GetError extends RialtoError {
  override readonly name = 'GetError'
  readonly fault: 'timeout' | 'unreachable'
  /** @param host without the path, which may name somebody */
  constructor(fault: 'timeout' | 'unreachable', host: string, cause: unknown) {
    super(
      fault === 'timeout' ? 'HTTP_GET_TIMEOUT' : 'HTTP_GET_UNREACHABLE',
      fault === 'timeout' ? `${host} did not answer in time.` : `${host} does not answer as it should.`,
      { fix: 'Check that it runs and can be reached from here.', retryable: true, details: { host }, cause },
    )
    this.fault = fault
  }
}
