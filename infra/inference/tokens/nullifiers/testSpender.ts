import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { TokenError } from '../errors.ts'
import { fileNullifiers } from './fileNullifiers.ts'
import type { NullifierStore } from './nullifierStore.ts'
import { postgresNullifiers } from './postgresNullifiers.ts'

/*
 * A process that spends, for the tests of nullifier stores. It says each spend once it is acknowledged.
 *
 *     node --import tsx testSpender.ts file|postgres <path or url> burst <first>   spends on until it is killed
 *     node --import tsx testSpender.ts file|postgres <path or url> race <name>     spends once for each line on stdin
 */

const digest = (text: string): Uint8Array => createHash('sha256').update(text).digest()
const [kind = '', where = '', task = '', parameter = ''] = process.argv.slice(2)
const store = await open()

async function open(): Promise<NullifierStore> {
  if (kind === 'file') return fileNullifiers(where)
  if (kind === 'postgres')
    return postgresNullifiers({ url: where, ...(task === 'race' ? { owner: parameter } : {}) })
  throw new InvariantError('There is no such store.', { kind })
}

/** Written with one system call, so that what was acknowledged is known even if the next moment is the last. */
const say = (...words: readonly unknown[]): unknown => writeSync(1, `${words.join(' ')}\n`)

async function spendOn(lane: number): Promise<never> {
  for (let at = Number(parameter) + lane; ; at += 8) {
    const spend = {
      nullifiers: [0, 1, 2, 3].map((part) => digest(`token ${at} ${part}`)),
      binding: digest(`binding ${at}`),
    }
    const reservation = await store.reserve(spend)
    say(reservation.kind, at)
    const change = at % 5
    await store.settle(
      spend,
      change,
      Array.from({ length: change }, (_, part) => digest(`change ${at} ${part}`).subarray(0, 16)),
    )
    say('settled', at)
  }
}

/** In even rounds all racers spend the same; in odd ones their spends have but one token in common. */
async function race(round: number): Promise<void> {
  const own = round % 2 === 0 ? '' : parameter
  const shared = digest(`race ${round}`)
  const others = [0, 1, 2].map((part) => digest(`race ${round} ${own} ${part}`))
  const spend = { nullifiers: [...others, shared], binding: digest(`binding ${round} ${own}`) }
  try {
    const reservation = await store.reserve(spend)
    say(round, reservation.kind, 'owner' in reservation ? reservation.owner : '')
  } catch (error) {
    if (!(error instanceof TokenError)) throw error
    say(round, error.code, '')
  }
}

if (task === 'burst') await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(spendOn))
if (task === 'race') {
  say('ready')
  for await (const line of createInterface({ input: process.stdin })) void race(Number(line))
  await store.close()
}
