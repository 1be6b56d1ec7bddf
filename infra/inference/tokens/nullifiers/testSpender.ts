import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { fileNullifiers } from './fileNullifiers.ts'

/*
 * A process for `fileNullifiers.test.ts` that spends until it is killed, and says each spend once it is acknowledged:
 *
 *     node --import tsx testSpender.ts <path> <first>
 */

const [path = '', first = '0'] = process.argv.slice(2)
const store = await fileNullifiers(path)
const changeDigestsOf = (at: number) =>
  Array.from({ length: at % 5 }, (_, part) => digest(`change ${at} ${part}`).subarray(0, 16))
const digest = (text: string) => createHash('sha256').update(text).digest()

async function spendOn(lane: number): Promise<never> {
  for (let at = Number(first) + lane; ; at += 8) {
    const spend = {
      nullifiers: [0, 1, 2, 3].map((part) => digest(`token ${at} ${part}`)),
      binding: digest(`binding ${at}`),
    }
    const { kind } = await store.reserve(spend)
    // Written with one system call, so that what was acknowledged is known even if the next moment is the last.
    writeSync(1, `${kind} ${at}\n`)
    await store.settle(spend, at % 5, changeDigestsOf(at))
    writeSync(1, `settled ${at}\n`)
  }
}

await Promise.all([0, 1, 2, 3, 4, 5, 6, 7].map(spendOn))
