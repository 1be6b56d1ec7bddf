import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { importIdentityKey, readIdentity } from '../protocol/network/identity.ts'
import { fileNullifiers } from '../tokens/nullifiers/fileNullifiers.ts'
import { memoryAnswers } from '../tokens/redelivery/memoryAnswers.ts'
import { startGateway } from './startGateway.ts'

/*
 * A gateway in a process of its own, for `crash.test.ts`, until it is killed:
 *
 *     node --import tsx testGateway.ts <folder> <seed> <name> <mint> <mint's url> <node's url> <node's identity>
 */

const [folder = '', seed = '', name = '', mint = '', mintUrl = '', nodeUrl = '', node = ''] =
  process.argv.slice(2)
const gateway = await startGateway({
  state: join(folder, 'gateway'),
  name,
  identity: importIdentityKey(Buffer.from(seed, 'hex')),
  mints: [{ name: mint, url: mintUrl }],
  nodes: [{ url: nodeUrl, identity: readIdentity(node) }],
  nullifiers: await fileNullifiers(join(folder, 'nullifiers.log')),
  answers: memoryAnswers(),
})
writeSync(1, `${gateway.url}\n`)
