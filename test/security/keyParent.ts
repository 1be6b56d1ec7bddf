import { join } from 'node:path'
import { writeHeapSnapshot } from 'node:v8'
import { privateKeyToAccount } from 'viem/accounts'
import { obtainPassphrase } from '../../infra/cli/passphrase.ts'
import { createSignerProcess } from '../../infra/signer/createSignerProcess.ts'
import type { SignerPassphrase } from '../../infra/signer/keystore/handOver.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { readPassphrase } from '../../infra/signer/keystore/passphrase.ts'
import { createLogger } from '../../infra/telemetry/createLogger.ts'
import { describeError } from '../../runtime/core/errors.ts'
import { book, GENESIS, planOf, policy, requestOf, STRANGER } from '../conformance/signerFixture.ts'

// A process that starts a signer on a keystore as `rialto start` does, has it sign and refuse, tells both pids, and
// waits to be killed. `careless` is what none of our processes may be: it opens the keystore itself.
const [, , directory = '', how = '', where = ''] = process.argv

async function passphrase(): Promise<SignerPassphrase> {
  if (how === 'prompt') {
    const bytes = await obtainPassphrase({ kind: 'prompt' }, { of: 'the keystore', isNew: false })
    return { kind: 'bytes', bytes }
  }
  return how === 'fd' ? { kind: 'fd', fd: Number(where) } : { kind: 'file', path: where }
}

const kept: unknown[] = []
if (how === 'careless') {
  const bytes = await readPassphrase({ kind: 'file', path: where })
  const keystore = openKeystore(join(directory, 'keystore'), bytes)
  kept.push(bytes.toString(), keystore.reveal('one'), privateKeyToAccount(keystore.reveal('one')))
}
const logger = createLogger({
  directory,
  level: 'debug',
  onFailure: (error) => process.stderr.write(`${error.message}\n`),
})
const signer = await createSignerProcess({
  directory,
  chainId: book.chainId,
  genesisHash: GENESIS,
  book,
  accounts: [{ label: 'one', key: { kind: 'stored' }, policies: [policy] }],
  passphrase: await passphrase(),
  logger,
})
const account = signer.addressOf('one')
const signed = await signer.sign(requestOf(planOf(account)))
logger.info({ signed }, 'signed')
for (const request of [requestOf(planOf(STRANGER)), requestOf(planOf(account), { nonce: 8n })])
  await signer
    .sign(request)
    .catch((error: unknown) => logger.warn({ error: describeError(error) }, 'refused'))

// Where nobody may look into this process from outside, it has to write down itself what it holds.
process.on('SIGUSR2', () => {
  writeHeapSnapshot(join(directory, '..', 'parent.heapsnapshot'))
  process.stdout.write('snapshot\n')
})
process.stdout.write(`${JSON.stringify({ parent: process.pid, signer: signer.pid, kept: kept.length })}\n`)
