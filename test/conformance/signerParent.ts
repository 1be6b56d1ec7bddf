import { writeHeapSnapshot } from 'node:v8'
import { createSignerProcess } from '../../infra/signer/createSignerProcess.ts'
import { book, GENESIS, planOf, policy, requestOf } from './signerFixture.ts'

// A process that starts a signer with a random key, or one of a seed, writes down all its own memory if it is told
// where, tells the signer's pid, and waits to be killed.
const [, , directory = '', snapshot = '', seed] = process.argv
const signer = await createSignerProcess({
  directory,
  chainId: book.chainId,
  genesisHash: GENESIS,
  book,
  accounts: [
    {
      label: 'one',
      key: seed === undefined ? { kind: 'stored' } : { kind: 'derived', seed },
      policies: [policy],
    },
  ],
})
if (snapshot !== '') {
  await signer.sign(requestOf(planOf(signer.addressOf('one'))))
  writeHeapSnapshot(snapshot)
}
process.stdout.write(`${signer.pid}\n`)
