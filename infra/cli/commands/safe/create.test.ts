import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { book } from '../../../../test/conformance/signerFixture.ts'
import { packageRoot } from '../../../process/packageRoot.ts'
import { SCRYPT_COST } from '../../../signer/keystore/keyFile.ts'
import { openKeystore } from '../../../signer/keystore/openKeystore.ts'
import { addressOf } from '../../../world/accounts.ts'
import type { Terminal } from '../../terminal.ts'
import { createCommand } from './create.ts'

const TWO = [addressOf('treasury'), addressOf('whale')] as const
const POLICY = join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
/** Nobody answers there: what is wrong is said before anybody is asked. */
const RPC = {
  kind: 'rpc',
  rpcUrl: 'http://127.0.0.1:1',
  chainId: book.chainId,
  addressBook: 'addresses.json',
}

const folder = mkdtempSync(join(tmpdir(), 'rialto-create-'))
const agent = { id: 'guardian', role: 'lending-guardian', policy: POLICY }
const configure = (name: string, config: object): string => {
  writeFileSync(join(folder, name), JSON.stringify({ directory: '.', agents: [agent], ...config }))
  return join(folder, name)
}
let file: string
beforeAll(() => {
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify(book))
  file = configure('rialto.config.json', { chain: RPC })
  const keystore = openKeystore(join(folder, 'keystore'), Buffer.from('a passphrase for this test'))
  for (const label of ['guardian', 'guardian-protector', 'owner'])
    keystore.store({ label, privateKey: generatePrivateKey(), cost: SCRYPT_COST.local })
  keystore.close()
})
afterAll(() => rmSync(folder, { recursive: true }))

const silent: Terminal = {
  out: () => expect.unreachable('It has no answer.'),
  note: () => undefined,
  step: (_name, work) => work(),
}
const run = (argv: readonly string[], config = file) =>
  createCommand(silent)
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
    .parseAsync([...argv, '--config', config], { from: 'user' })

describe('rialto safe create', () => {
  it.each<[string, readonly string[], RegExp]>([
    ['for nobody', [], /^It is not said who owns the Safe/],
    ['with a key that is none', ['--send'], /^It is not said with whose key to send/],
    ['with a key that is not there', ['--owner-label', 'nobody'], /^There is no key labelled "nobody"/],
    ['for what is no address', ['--owner', '0x12'], /must be an address with the right checksum/],
    ['for a mistyped address', ['--owner', TWO[0].replace('a', 'A')], /must be an address with the right/],
    ['for one owner twice', ['--owner', TWO[0], TWO[0], '--threshold', '1'], /is named as an owner twice/],
    ['for two without a threshold', ['--owner', ...TWO], /^It is not said how many of the 2 owners/],
    ['for no signatures', ['--owner', ...TWO, '--threshold', '0'], /must be a number from 1/],
    ['for more than all', ['--owner', ...TWO, '--threshold', '3'], /^3 of 2 owners cannot sign/],
    ['for the agent itself', ['--owner-label', 'guardian'], /is the key of an agent or a protector/],
    ['for the protector', ['--owner-label', 'guardian-protector'], /is the key of an agent or a protector/],
    ['for a key elsewhere', ['--owner', TWO[0], '--member', TWO[0]], /is the key of an agent or a protector/],
    ['with no salt', ['--owner', TWO[0], '--salt-nonce', '-1'], /must be a number from 0/],
    ['with too much salt', ['--owner', TWO[0], '--salt-nonce', `${2n ** 256n}`], /must be a number from 0/],
  ])('makes nothing %s', async (_what, argv, line) => {
    await expect(run(argv)).rejects.toThrow(line)
  })

  it('makes nothing in the local world', async () => {
    await expect(run(['--owner-label', 'owner'], configure('world.json', {}))).rejects.toMatchObject({
      code: 'NO_SAFE',
      message: 'The local world has no Safe.',
    })
  })

  it('says when nobody answers', async () => {
    await expect(run(['--owner-label', 'owner'])).rejects.toMatchObject({ code: 'RPC_UNREACHABLE' })
  })
})
