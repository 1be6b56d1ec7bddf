import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Signer } from '../../runtime/core/ports.ts'
import { mayBegin } from '../../runtime/guards/assertPolicyFits.ts'
import { type Policy, policyVersion } from '../../runtime/guards/policy.ts'
import { knownContracts } from '../../runtime/protocols/contracts.ts'
import { openOrders } from '../orders/ownerOrders.ts'
import { createSigner } from './createSigner.ts'
import { deriveKey } from './deriveKey.ts'
import { SignerError } from './errors.ts'
import type { KeyHolder } from './keyHolder.ts'
import { SCRYPT_COST } from './keystore/keyFile.ts'
import { isWorldLabel, type KeystoreFolder, listKeys, openKeystore } from './keystore/openKeystore.ts'
import { madePassphrase, readPassphrase } from './keystore/passphrase.ts'
import { openLedger } from './ledger.ts'
import { lockFolder } from './lock.ts'
import type { SignerAccount, Started, StartParameters } from './messages.ts'
import { createAwsKms } from './remote/awsKms.ts'
import { openKmsKey } from './remote/kmsKey.ts'
import { openRemoteKey } from './remote/remoteKey.ts'

/** Derived keys are for this chain alone: anvil's, and the local world's. */
const LOCAL_CHAIN = 31_337

export type RunningSigner = {
  readonly signer: Signer
  readonly started: Started
  /** Lets go of the folder. */
  close(): void
}

/**
 * Starts a signer in this process: takes the folder, opens keys and ledger, and checks that everything it was given
 * fits together. `main.ts` runs it in a process of its own.
 *
 * @throws {SignerError}
 */
export async function startSigner(parameters: StartParameters): Promise<RunningSigner> {
  const { directory, chainId, genesisHash, book } = parameters
  checkParameters(parameters)
  const folder = join(directory, 'signer')
  makeFolder(folder)
  const unlock = await lockFolder(join(folder, 'lock'))
  try {
    const opened = await openAccounts(parameters)
    requireKeysOfTheirOwn(opened)
    const ledger = openLedger(join(folder, 'ledger.jsonl'), { chainId, genesisHash })
    return {
      signer: createSigner({
        book,
        accounts: opened.map(({ label, account, policies, safe, protects, evacuateTo }) => ({
          label,
          account,
          policies,
          ...(safe === undefined ? {} : { safe }),
          ...(protects === undefined ? {} : { protects }),
          ...(evacuateTo === undefined ? {} : { evacuateTo }),
        })),
        history: ledger.history,
        append: ledger.append,
        now: () => BigInt(Math.floor(Date.now() / 1_000)),
        uptime: () => performance.now(),
        orders: openOrders(directory),
      }),
      started: {
        accounts: opened.map(({ label, account, created, protects }) => ({
          ...{ label, address: account.address, created },
          ...(protects === undefined ? {} : { protects }),
        })),
        ledger: { entries: ledger.entries, tornBytes: ledger.tornBytes },
      },
      close() {
        ledger.close()
        unlock()
      },
    }
  } catch (error) {
    unlock()
    throw error
  }
}

function checkParameters({ chainId, book, accounts }: StartParameters): void {
  if (book.chainId !== chainId)
    misfit(`The address book is of chain ${book.chainId}, and the signer is for chain ${chainId}.`)
  // Throws when two contracts could be taken for one another.
  knownContracts(book)
  const labels = accounts.map(({ label }) => label)
  for (const { label, key, policies, safe, protects } of accounts) {
    if (!/^[a-z0-9](?:[a-z0-9-]{0,62})$/i.test(label)) misfit(`"${label}" cannot name a key.`)
    if (labels.indexOf(label) !== labels.lastIndexOf(label)) misfit(`Two accounts are named "${label}".`)
    if (key.kind === 'derived' && chainId !== LOCAL_CHAIN)
      misfit(
        `The key of "${label}" would be derived from a seed on chain ${chainId}; it must be a stored one.`,
      )
    if (protects !== undefined && !(safe !== undefined && labels.includes(protects) && protects !== label))
      misfit(`"${label}" would protect "${protects}", and there is no Safe that both act for.`)
    for (const policy of policies) {
      checkVersion(label, policy)
      // A protector needs no standing: it only ever rescues.
      if (protects === undefined && !mayBegin(policy, chainId))
        misfit(`By its policy "${label}" would act at once on chain ${chainId}, which is real.`)
    }
  }
}

/** A policy's version is a hash of its limits: one that does not fit means that a limit was changed on the way. */
function checkVersion(label: string, { version, ...limits }: Policy): void {
  if (policyVersion(limits) !== version)
    misfit(`A policy of "${label}" is not the one that its version ${version} is of.`)
}

/** A protector by another's key would have to wait for that one's nonces. */
function requireKeysOfTheirOwn(opened: readonly (SignerAccount & OpenedKey)[]): void {
  for (const { label, protects, account } of opened) {
    if (protects === undefined) continue
    const other = opened.find((each) => each.label !== label && each.account.address === account.address)
    if (other !== undefined)
      misfit(
        `The keys of "${label}" and "${other.label}" are one, ${account.address}: a protector has its own.`,
      )
  }
}

function misfit(why: string): never {
  throw new SignerError('SIGNER_CONFIGURATION', why, { fix: 'Correct the configuration and start again.' })
}

type OpenedKey = { readonly account: KeyHolder; readonly created: boolean }

/** Opens the keys, and forgets the passphrase. A signer without keys of its own needs neither. */
async function openAccounts(parameters: StartParameters): Promise<readonly (SignerAccount & OpenedKey)[]> {
  const { accounts, directory } = parameters
  const folder = join(directory, 'keystore')
  const isOurs = accounts.some(({ key }) => key.kind === 'stored' || key.kind === 'derived')
  if (isOurs) makeFolder(folder)
  const keystore = isOurs ? openKeystore(folder, await passphraseOf(parameters, folder)) : null
  try {
    const opened: (SignerAccount & OpenedKey)[] = []
    for (const account of accounts) opened.push({ ...account, ...(await openAccount(account, keystore)) })
    return opened
  } finally {
    keystore?.close()
  }
}

async function openAccount(
  { label, key }: SignerAccount,
  keystore: KeystoreFolder | null,
): Promise<OpenedKey> {
  if (key.kind === 'remote') return { account: await openRemoteKey(key), created: false }
  if (key.kind === 'kms') {
    const kms = await createAwsKms(key.region === undefined ? {} : { region: key.region })
    return { account: await openKmsKey(kms, key.keyId, key.address), created: false }
  }
  if (keystore === null) throw new InvariantError('A key of our own has no keystore.', { label })
  return key.kind === 'stored' ? openStored(label, keystore) : openDerived(label, key.seed, keystore)
}

async function passphraseOf(
  { passphrase = { kind: 'made' }, accounts, chainId }: StartParameters,
  folder: string,
): Promise<Buffer> {
  if (passphrase.kind !== 'made') return readPassphrase(passphrase)
  const labels = listKeys(folder).map(({ label }) => label)
  const stored = accounts.filter(({ key }) => key.kind === 'stored')
  const missing = stored.find(({ label }) => !labels.includes(label))
  if (missing !== undefined && chainId !== LOCAL_CHAIN)
    throw new SignerError(
      'KEYSTORE',
      `There is no key for "${missing.label}", and no passphrase to make one.`,
      {
        fix: `Run rialto wallet create --label ${missing.label}`,
      },
    )
  // Keys of a wallet have a passphrase of their own: that it does not lie here is no loss to the local world's.
  const needIt = labels.filter((label) => stored.length > 0 || isWorldLabel(label))
  return madePassphrase(folder, needIt.length === 0)
}

function openStored(label: string, keystore: KeystoreFolder): OpenedKey {
  const known = keystore.load(label)
  return known === null
    ? { account: keystore.create(label), created: true }
    : { account: known, created: false }
}

/** Every seed has a key file of its own, so that a folder can outlive a scenario. */
function openDerived(label: string, seed: string, keystore: KeystoreFolder): OpenedKey {
  const slot = `${label}.${seed}`
  const privateKey = deriveKey({ label, seed })
  const stored = keystore.load(slot)
  if (stored === null)
    return { account: keystore.store({ label: slot, privateKey, cost: SCRYPT_COST.local }), created: true }
  if (stored.address === privateKeyToAccount(privateKey).address) return { account: stored, created: false }
  throw new SignerError('KEYSTORE', `The key file of "${slot}" holds another key than the seed gives.`, {
    fix: 'Move the file elsewhere.',
  })
}

function makeFolder(folder: string): void {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new SignerError('LEDGER_UNWRITABLE', `The signer cannot make its folder ${folder} (${code}).`, {
      fix: 'Make the folder above it writable, and make room on the disk.',
    })
  }
}
