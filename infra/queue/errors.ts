import { RialtoError } from '../../runtime/core/errors.ts'

/** No Redis answers at the URL. */
export class QueueUnreachableError extends RialtoError {
  override readonly name = 'QueueUnreachableError'
  constructor(where: string, reason: string, cause?: unknown) {
    super('QUEUE_UNREACHABLE', `No Redis answers at ${where} (${reason}).`, {
      fix: 'Check that it runs and that REDIS_URL is right, or unset REDIS_URL to use the embedded queue.',
      retryable: true,
      details: { where, reason },
      cause,
    })
  }
}

/** Something answers, but Rialto cannot keep its queue there. */
export class QueueRefusedError extends RialtoError {
  override readonly name = 'QueueRefusedError'
  constructor(code: QueueRefusal, where: string, found?: string) {
    const { message, fix } = refusals[code]
    super(code, `${message(where)}${found === undefined ? '' : ` (${found})`}.`, {
      fix,
      details: { where, found },
    })
  }
}

const refusals = {
  QUEUE_NOT_REDIS: {
    message: (where: string) => `What answers at ${where} is no Redis`,
    fix: 'Name the host and port of a Redis or Valkey server in REDIS_URL; rediss:// where it speaks TLS.',
  },
  QUEUE_LOGIN: {
    message: (where: string) => `The Redis at ${where} refuses the user or the password`,
    fix: 'Check both in REDIS_URL; characters like "@" in a password are written percent-encoded.',
  },
  QUEUE_READ_ONLY: {
    message: (where: string) => `The Redis at ${where} is a read-only replica`,
    fix: 'Name the primary in REDIS_URL.',
  },
  QUEUE_TOO_OLD: {
    message: (where: string) => `The Redis at ${where} is older than version 6.2`,
    fix: 'Use Redis 6.2 or later, or any Valkey.',
  },
  QUEUE_CLUSTER: {
    message: (where: string) => `The Redis at ${where} runs in cluster mode, which is not supported yet`,
    fix: 'Name a server that is no cluster in REDIS_URL.',
  },
  QUEUE_PERMISSION: {
    message: (where: string) => `The Redis at ${where} does not allow this user what a queue needs`,
    fix: 'Grant it all commands on the keys of the prefix.',
  },
} as const

export type QueueRefusal = keyof typeof refusals

/** The embedded queue server did not start, or ended by itself. */
export class QueueLostError extends RialtoError {
  override readonly name = 'QueueLostError'
  constructor(reason: string, cause?: unknown) {
    super('QUEUE_LOST', `The embedded queue server ended (${reason}).`, {
      fix: 'Start again: the journal holds the work. If it happens again, set REDIS_URL.',
      details: { reason },
      cause,
    })
  }
}
