import { writeSync } from 'node:fs'
import { startMint } from './startMint.ts'

/*
 * A process for `crash.test.ts` that runs a mint until it is killed, and says where:
 *
 *     node --import tsx testMinter.ts <state folder> <account> <tokens>
 */

const [state = '', account = '', tokens = '0'] = process.argv.slice(2)
const { url } = await startMint({ state, name: 'mint.example', accounts: { [account]: Number(tokens) } })
writeSync(1, `${url}\n`)
