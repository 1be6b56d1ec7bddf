import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Role } from './roleProcess.ts'

/** What a gateway's own record says of one payment. */
export type SpentTokens = { readonly paid: number; change: number | null }

/**
 * Reads the record of a gateway that keeps it in a file: the truth of what was taken and what was given back.
 *
 * @throws {InvariantError} when a token was taken twice
 */
export async function readSpentTokens({ folder }: Role): Promise<readonly SpentTokens[]> {
  const text = await readFile(join(folder, 'state', 'nullifiers.log'), 'utf8')
  const byToken = new Map<string, SpentTokens>()
  const spends: SpentTokens[] = []
  // What a crash tore off the last line was never acknowledged.
  for (const line of text.split('\n').slice(0, -1))
    for (const entry of JSON.parse(line.slice(65)) as (readonly [number | string, ...string[]])[]) {
      if (typeof entry[0] === 'number') {
        const [, , , ...tokens] = entry
        const spend: SpentTokens = { paid: tokens.length, change: null }
        spends.push(spend)
        for (const token of tokens) {
          if (byToken.has(token)) throw new InvariantError('A token was taken twice.')
          byToken.set(token, spend)
        }
      } else {
        const [token, ...digests] = entry
        const spend = byToken.get(token)
        if (spend === undefined || spend.change !== null)
          throw new InvariantError('A payment was settled twice, or never made.')
        spend.change = digests.length
      }
    }
  return spends
}
