import { TokenError } from '../../errors.ts'

/** SQLSTATE of what our own functions raise when the server has stopped to sync its commits. */
export const NOT_DURABLE = 'RN001'

/**
 * What a failed statement means to who asked for it. PostgreSQL quotes values in its messages and details, and those
 * are nullifiers: of its error nothing is kept but the SQLSTATE.
 *
 * | SQLSTATE | what it is |
 * |---|---|
 * | none | no connection, or one that broke |
 * | 08, 53, 57, 58 | the same, a server that is full, is going down or coming up, or has trouble with its disk |
 * | 40, 55P03 | a transaction that lost against another one |
 * | 25006 | a server that is a standby now |
 */
export function toStoreError(error: unknown, where: string): TokenError {
  if (error instanceof TokenError) return error
  const { code } = error as { code?: unknown }
  const sqlState = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : null
  if (sqlState === NOT_DURABLE)
    return new TokenError(
      'STORE_NOT_DURABLE',
      `The PostgreSQL at ${where} has stopped to sync its commits.`,
      {
        fix: 'Turn fsync and synchronous_commit on: a token must stay spent across a power cut.',
        details: { where },
      },
    )
  if (sqlState === null || /^(08|40|53|57|58)|^(55P03|25006)$/.test(sqlState)) {
    const reason = sqlState === null ? connectionReason(error) : `SQLSTATE ${sqlState}`
    return new TokenError('STORE_UNAVAILABLE', `The PostgreSQL at ${where} does not answer (${reason}).`, {
      fix: 'Nothing was acknowledged: try again, and check that the server runs and can be reached.',
      retryable: true,
      details: { where, reason },
    })
  }
  return new TokenError('STORE_REFUSED', `The PostgreSQL at ${where} refuses us (SQLSTATE ${sqlState}).`, {
    fix: 'Check user, password and database, and that the user may create the schema rialto_nullifiers and use it.',
    details: { where, sqlState },
  })
}

/** @example connectionReason(error) // 'ECONNREFUSED' */
function connectionReason(error: unknown): string {
  const { code } = error as { code?: unknown }
  if (typeof code === 'string') return code
  return error instanceof Error && /timeout/i.test(error.message)
    ? 'no answer in time'
    : 'the connection broke'
}
