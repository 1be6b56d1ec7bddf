import { RialtoError } from '../../runtime/core/errors.ts'

/** There is no anvil binary for this machine, or npm did not install it. */
export class AnvilMissingError extends RialtoError {
  override readonly name = 'AnvilMissingError'
  constructor(platform: string, packageName: string | undefined) {
    super(
      'ANVIL_MISSING',
      packageName === undefined
        ? `There is no anvil for ${platform}.`
        : `The anvil binary of ${packageName} is not installed.`,
      {
        fix:
          packageName === undefined
            ? 'Use Linux or macOS on x64 or arm64, or point Rialto at a chain of your own.'
            : 'Run "npm ci" without --omit=optional.',
        details: { platform, packageName },
      },
    )
  }
}

/** Something else listens on the port that was asked for. */
export class PortTakenError extends RialtoError {
  override readonly name = 'PortTakenError'
  constructor(port: number, cause: unknown) {
    super('PORT_TAKEN', `Port ${port} is taken.`, {
      fix: 'Choose another port, or none to get a free one.',
      details: { port },
      cause,
    })
  }
}

/** anvil ended, or did not answer in time, before it was ready. `output` is what it said on stderr. */
export class AnvilStartError extends RialtoError {
  override readonly name = 'AnvilStartError'
  constructor(reason: string, output: string) {
    super('ANVIL_START_FAILED', `anvil did not start: ${reason}${output === '' ? '' : `: ${output}`}.`, {
      fix: 'Check the options that were passed to anvil, and that there is memory left.',
      details: { reason, output },
    })
  }
}

/** The world's node answered a request with an error, or not at all. */
export class WorldRpcError extends RialtoError {
  override readonly name = 'WorldRpcError'
  constructor(
    method: string,
    message: string,
    parameters: { code?: number; retryable?: boolean; cause?: unknown },
  ) {
    super('WORLD_RPC', `${method}: ${message}`, {
      retryable: parameters.retryable ?? false,
      details: { method, code: parameters.code },
      ...(parameters.cause === undefined ? {} : { cause: parameters.cause }),
    })
  }
}

/** A transaction that builds or moves the world reverted. */
export class WorldTransactionError extends RialtoError {
  override readonly name = 'WorldTransactionError'
  constructor(label: string, details: Readonly<Record<string, unknown>>) {
    super('WORLD_TRANSACTION_FAILED', `The world's transaction "${label}" failed.`, { details })
  }
}

/** The process that ran the world is gone. */
export class WorldGoneError extends RialtoError {
  override readonly name = 'WorldGoneError'
  constructor(pid: number, url: string, cause?: unknown) {
    super('WORLD_GONE', `The world at ${url} (process ${pid}) is gone.`, {
      fix: 'Start again: a new world is made, and the journal begins a new epoch.',
      details: { pid, url },
      ...(cause === undefined ? {} : { cause }),
    })
  }
}

/** Another chain answers where the world was. */
export class WorldMismatchError extends RialtoError {
  override readonly name = 'WorldMismatchError'
  constructor(url: string, expected: string, actual: string) {
    super('WORLD_MISMATCH', `The chain at ${url} is not the world that was left there.`, {
      fix: 'Start with --fresh: a new world is made, and the journal begins a new epoch.',
      details: { url, expected, actual },
    })
  }
}

/** The folder for the cached world cannot be written. */
export class WorldCacheError extends RialtoError {
  override readonly name = 'WorldCacheError'
  constructor(folder: string, cause: unknown) {
    super('WORLD_CACHE_UNWRITABLE', `The world cannot be cached in ${folder}.`, {
      fix: 'Make the folder writable, free some disk, or set RIALTO_CACHE_DIR to another folder.',
      details: { folder },
      cause,
    })
  }
}

/** A block was to be mined at a time that has passed in the world. */
export class WorldTimeError extends RialtoError {
  override readonly name = 'WorldTimeError'
  constructor(asked: bigint, last: bigint) {
    super('WORLD_TIME', `A block at ${asked} cannot follow one at ${last}.`, {
      fix: 'Name a time after that of the last block.',
      details: { asked, last },
    })
  }
}
