import { RialtoError } from '../../runtime/core/errors.ts'

/** A directory that the database has to write to, and cannot. */
export class DirectoryNotWritableError extends RialtoError {
  override readonly name = 'DirectoryNotWritableError'
  constructor(directory: string, cause: unknown) {
    super('DIRECTORY_NOT_WRITABLE', `The directory ${directory} cannot be written to.`, {
      fix: 'Make it writable for this user, or name another one.',
      details: { directory },
      cause,
    })
  }
}

/** A directory that another process works in. */
export class DirectoryInUseError extends RialtoError {
  override readonly name = 'DirectoryInUseError'
  constructor(directory: string, owner: string, lockFile: string, certain: boolean) {
    super('DIRECTORY_IN_USE', `${directory} is in use by ${owner}.`, {
      fix: certain
        ? 'Stop that process, or set RIALTO_DIR to another folder.'
        : `Stop that process; if it is gone, delete ${lockFile}.`,
      details: { directory, owner },
    })
  }
}

/** No room left on the disk. What was being written was not acknowledged. */
export class DiskFullError extends RialtoError {
  override readonly name = 'DiskFullError'
  constructor(where: string, cause?: unknown) {
    super('DISK_FULL', `There is no space left on the disk of ${where}.`, {
      fix: 'Free some space and start again: everything that was acknowledged is there.',
      details: { where },
      cause,
    })
  }
}

/** A data directory that PostgreSQL cannot read. */
export class DatabaseCorruptError extends RialtoError {
  override readonly name = 'DatabaseCorruptError'
  constructor(directory: string, reason: string, cause?: unknown) {
    super('DATABASE_CORRUPT', `The database in ${directory} cannot be opened (${reason}).`, {
      fix: 'Restore the directory from a backup, or move it away to begin an empty journal; the signer keeps its own ledger.',
      details: { directory, reason },
      cause,
    })
  }
}

/** No PostgreSQL answers at the URL. */
export class DatabaseUnreachableError extends RialtoError {
  override readonly name = 'DatabaseUnreachableError'
  constructor(where: string, reason: string, cause?: unknown) {
    super('DATABASE_UNREACHABLE', `No PostgreSQL answers at ${where} (${reason}).`, {
      fix: 'Check that it runs and that DATABASE_URL is right, or unset DATABASE_URL to use the embedded database.',
      retryable: true,
      details: { where, reason },
      cause,
    })
  }
}

/** PostgreSQL is there but will not let Rialto work. */
export class DatabaseRefusedError extends RialtoError {
  override readonly name = 'DatabaseRefusedError'
  constructor(code: RefusalCode, where: string) {
    const { message, fix } = refusals[code]
    super(code, `The PostgreSQL at ${where} ${message}.`, { fix, details: { where } })
  }
}

const refusals = {
  DATABASE_LOGIN: {
    message: 'refuses the user or the password',
    fix: 'Check both in DATABASE_URL; characters like "@" in a password are written percent-encoded.',
  },
  DATABASE_MISSING: {
    message: 'has no such database',
    fix: 'Create it (CREATE DATABASE …), or name another one in DATABASE_URL.',
  },
  DATABASE_READ_ONLY: {
    message: 'is read-only (a replica?)',
    fix: 'Name the primary in DATABASE_URL.',
  },
  DATABASE_PERMISSION: {
    message: 'does not let this user make or use the schema "rialto"',
    fix: 'Grant it CREATE on the database, or name a user that has it.',
  },
  DATABASE_TOO_OLD: {
    message: 'is older than version 14',
    fix: 'Use PostgreSQL 14 or later.',
  },
} as const

export type RefusalCode = keyof typeof refusals

/** A database that a newer Rialto has migrated. */
export class DatabaseTooNewError extends RialtoError {
  override readonly name = 'DatabaseTooNewError'
  constructor(where: string) {
    super('DATABASE_TOO_NEW', `The database at ${where} was written by a newer version of Rialto.`, {
      fix: 'Use that version, or another database.',
      details: { where },
    })
  }
}

/** The connection to the database broke, or the embedded database died. Whether a write was done is not known. */
export class DatabaseLostError extends RialtoError {
  override readonly name = 'DatabaseLostError'
  constructor(where: string, reason: string, cause?: unknown) {
    super('DATABASE_LOST', `The connection to the database at ${where} is lost (${reason}).`, {
      fix: 'It is tried again; repeating a write is safe.',
      retryable: true,
      details: { where, reason },
      cause,
    })
  }
}

/** A statement that PostgreSQL refused for a reason that has no error of its own here. */
export class DatabaseFailedError extends RialtoError {
  override readonly name = 'DatabaseFailedError'
  constructor(
    step: string,
    sqlState: string,
    constraint: string | undefined,
    retryable: boolean,
    cause: unknown,
  ) {
    super(
      'DATABASE_FAILED',
      `The database refused to ${step} (SQLSTATE ${sqlState}${constraint === undefined ? '' : `, ${constraint}`}).`,
      { fix: 'See its log.', retryable, details: { step, sqlState, constraint }, cause },
    )
  }
}
