import { DatabaseError } from 'pg'
import { RialtoError } from '../../runtime/core/errors.ts'
import {
  DatabaseFailedError,
  DatabaseLostError,
  DatabaseRefusedError,
  DatabaseUnreachableError,
  DiskFullError,
} from './errors.ts'

/** SQLSTATEs after which the same transaction may succeed: serialisation, deadlock, lock and statement time-outs. */
const TRANSIENT = new Set(['40001', '40P01', '55P03', '57014'])
/** The server ends the session or takes no new one. */
const LOST = new Set(['57P01', '57P02', '57P03', '53300'])

/**
 * What a failed statement means, as an error of ours.
 *
 * drizzle's own errors hold the statement's parameters, so their message goes no further.
 *
 * @param where the database, without a password
 * @param step what was tried, as in "refused to …"
 * @returns what to throw: a defect of ours, which is no failure of the database, comes back as it is
 */
export function toDatabaseError(error: unknown, where: string, step: string): unknown {
  const cause = innermost(error)
  if (cause instanceof RialtoError) return cause
  if (cause instanceof DatabaseError) {
    const state = cause.code ?? 'none'
    if (state === '53100') return new DiskFullError(where, cause)
    if (state === '25006') return new DatabaseRefusedError('DATABASE_READ_ONLY', where)
    if (state === '42501') return new DatabaseRefusedError('DATABASE_PERMISSION', where)
    if (LOST.has(state) || state.startsWith('08'))
      return new DatabaseLostError(where, `SQLSTATE ${state}`, cause)
    return new DatabaseFailedError(step, state, cause.constraint, TRANSIENT.has(state), cause)
  }
  return isConnectionError(cause) ? new DatabaseLostError(where, firstLine(cause), cause) : cause
}

/** Why a first connection failed, as an error of ours. */
export function toConnectError(error: unknown, where: string): unknown {
  const cause = innermost(error)
  if (cause instanceof RialtoError) return cause
  if (cause instanceof DatabaseError) {
    const state = cause.code ?? 'none'
    if (state.startsWith('28')) return new DatabaseRefusedError('DATABASE_LOGIN', where)
    if (state === '3D000') return new DatabaseRefusedError('DATABASE_MISSING', where)
    return toDatabaseError(cause, where, 'connect')
  }
  const code = (cause as { code?: unknown }).code
  // pg asks for a password on this side of the wire, and says so in plain words only.
  if (/password must be a string/.test(firstLine(cause)))
    return new DatabaseRefusedError('DATABASE_LOGIN', where)
  return new DatabaseUnreachableError(where, typeof code === 'string' ? code : firstLine(cause), cause)
}

/** The system gives a code for what happened to a socket; pg has only words for what it makes of it. */
function isConnectionError(error: unknown): boolean {
  const { code } = error as { code?: unknown }
  if (typeof code === 'string' && /^E[A-Z]+$/.test(code)) return true
  return /connection (terminated|timeout|error)|trying to connect|not queryable|after calling end/i.test(
    firstLine(error),
  )
}

/** drizzle wraps what pg threw, and a name with several addresses gives one error for each. */
function innermost(error: unknown): unknown {
  if (error instanceof AggregateError && error.errors.length > 0) return innermost(error.errors[0])
  if (error instanceof RialtoError || error instanceof DatabaseError) return error
  if (error instanceof Error && error.cause !== undefined) return innermost(error.cause)
  return error
}

const firstLine = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? ''
