import { createSignerProcess } from '../../infra/signer/createSignerProcess.ts'
import { book, GENESIS, policy } from './signerFixture.ts'

// A process that starts a signer, tells its pid, and waits to be killed.
const [, , directory = ''] = process.argv
const signer = await createSignerProcess({
  directory,
  chainId: book.chainId,
  genesisHash: GENESIS,
  book,
  accounts: [{ label: 'one', key: { kind: 'derived', seed: '1' }, policies: [policy] }],
})
process.stdout.write(`${signer.pid}\n`)
