import { writeSync } from 'node:fs'
import { openStore } from '../../infra/store/openStore.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import { agentId } from '../../runtime/core/ids.ts'
import { CHAIN_ID, confirmAttempt, fakeAddress, fakeHash, leaseOf, signAttempt } from './journalFixture.ts'

/*
 * A process that writes to a journal until it is killed, and says on its standard output what was acknowledged:
 * `signed <n>` and `settled <n>`. When a write fails it says `failed <code>` and goes on with the next; when the journal
 * does not open, it says that and ends.
 *
 *     node --import tsx journalWriter.ts <directory>
 */

const [directory = ''] = process.argv.slice(2)
const say = (line: string): void => void writeSync(1, `${line}\n`)

export const WRITER = { agent: agentId('writer'), account: fakeAddress('writer') }
export const GENESIS = fakeHash('writer')

/** @returns the code of an error of ours; any other is thrown on */
function codeOf(error: unknown): string {
  if (error instanceof RialtoError) return error.code
  throw error
}

const store = await openStore({ directory }).catch((error) => {
  say(`failed ${codeOf(error)}`)
  process.exit(1)
})
const journal = await store.journals.open(CHAIN_ID, GENESIS)
await leaseOf(journal, WRITER.account)
say('open')
for (let n = (await journal.counts()).runs + 1; ; n += 1) {
  try {
    const { id } = await signAttempt(journal, WRITER, n, { noncesUsed: 1 })
    say(`signed ${n}`)
    await confirmAttempt(journal, id)
    say(`settled ${n}`)
  } catch (error) {
    say(`failed ${codeOf(error)}`)
  }
}
