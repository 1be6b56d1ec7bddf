import { nodeHpke } from '../protocol/hpke/nodeHpke.ts'
import { digestOf, isValidAt, readDirectory, type VerifiedDirectory } from '../protocol/network/directory.ts'
import type { Identity } from '../protocol/network/identity.ts'
import { sealingKey } from '../protocol/network/nodeDescription.ts'
import { routes } from '../protocol/network/routes.ts'
import type { OhttpKey } from '../protocol/ohttp/keys.ts'
import { PrivateNetworkError, TransportError } from './errors.ts'
import { joinUrl } from './joinUrl.ts'
import { readMintKeys } from './mint.ts'
import type { MintReference } from './options.ts'
import { refuse } from './refusals.ts'
import { readProblem } from './respond.ts'
import { readAll, type Transport } from './transport.ts'

/** A directory that a second source confirmed. */
export type ConfirmedDirectory = VerifiedDirectory & {
  /** What requests to the gateway are sealed with. */
  readonly gatewayKey: OhttpKey
  /** URLs of the witnesses that gave the same bytes. At least one. */
  readonly confirmedBy: readonly string[]
  /** URLs of those that gave none. */
  readonly silent: readonly string[]
  /** Whether the mint publishes the same token keys itself; `unchecked` when none is configured or it is silent. */
  readonly mintKeys: 'same' | 'unchecked'
}

export type DirectorySource = {
  readonly transport: Transport
  readonly relays: readonly string[]
  readonly gateway: {
    readonly name: string
    readonly identity: Identity
    readonly witnesses: readonly string[]
  }
  readonly mint?: Pick<MintReference, 'url' | 'name'> | undefined
  /** Milliseconds. */
  readonly timeout: number
  readonly now: () => number
}

/** A directory has at most 256 nodes, whose attestations may take a quarter of a megabyte each. */
const mostBytes = 64 * 1024 * 1024

/**
 * Gets the directory through a relay and has it confirmed by every witness that answers.
 *
 * @param turn which relay is asked first
 * @throws {PrivateNetworkError} `directory_unavailable`, `directory_expired`, `keys_unconfirmed` when no witness
 * answers, `keys_inconsistent` when any gives other bytes, or the mint publishes other keys
 */
export async function fetchDirectory(source: DirectorySource, turn: number): Promise<ConfirmedDirectory> {
  const { gateway, now } = source
  const verified = await fetchFromRelays(source, turn)
  const { directory, digest } = verified
  if (!isValidAt(directory, now() / 1000))
    throw refuse('directory_expired', { limit: { epoch: directory.epoch } })

  const path = routes.mint.directory(gateway.name, directory.epoch)
  const [testimonies, mintKeys] = await Promise.all([
    Promise.all(
      gateway.witnesses.map(async (url) => {
        const document = await fetchText(source, joinUrl(url, path))
        return {
          url,
          digest: document === undefined || document === equivocation ? document : digestOf(document),
        }
      }),
    ),
    compareMintKeys(source, verified),
  ])
  const of = (which: (digest: string | undefined) => boolean) =>
    testimonies.filter((each) => which(each.digest)).map(({ url }) => url)
  const others = of((each) => each !== undefined && each !== digest)
  const limit = { epoch: directory.epoch }
  if (others.length > 0 || mintKeys === 'other') throw refuse('keys_inconsistent', { limit })
  const confirmedBy = of((each) => each === digest)
  if (confirmedBy.length === 0) throw refuse('keys_unconfirmed', { limit })
  return {
    ...verified,
    gatewayKey: await sealingKey(nodeHpke, Buffer.from(directory.keys, 'base64')),
    confirmedBy,
    silent: of((each) => each === undefined),
    mintKeys,
  }
}

async function fetchFromRelays(source: DirectorySource, turn: number): Promise<VerifiedDirectory> {
  const { relays, gateway } = source
  let cause: unknown
  for (let index = 0; index < relays.length; index++) {
    const relay = relays[(turn + index) % relays.length] ?? ''
    const document = await fetchText(source, joinUrl(relay, routes.relay.directory(gateway.name)))
    if (document === undefined || document === equivocation) continue
    try {
      return await readDirectory(document.trim(), gateway)
    } catch (error) {
      // Another relay may have the true one.
      cause = error
    }
  }
  throw refuse('directory_unavailable', { limit: { gateway: gateway.name }, cause })
}

/** In the place of a document: the witness has seen two of that epoch. */
const equivocation = 'equivocation'

/** The text of a document; undefined where nobody answers, or with something else. */
async function fetchText({ transport, timeout }: DirectorySource, url: string): Promise<string | undefined> {
  try {
    const response = await transport({ url, method: 'GET', firstByte: timeout, idle: timeout })
    const body = await readAll(url, response, mostBytes)
    if (response.status === 409 && readProblem(body)?.error.code === equivocation) return equivocation
    return response.status === 200 ? body.toString('utf8') : undefined
  } catch (error) {
    if (error instanceof TransportError) return undefined
    throw error
  }
}

/** A mint that is down stops nobody from spending: its keys are compared before anything is bought too. */
async function compareMintKeys(
  source: DirectorySource,
  verified: VerifiedDirectory,
): Promise<'same' | 'other' | 'unchecked'> {
  if (source.mint === undefined) return 'unchecked'
  try {
    return (await hasMintKeys(source, source.mint, verified)) ? 'same' : 'other'
  } catch (error) {
    if (error instanceof PrivateNetworkError) return 'unchecked'
    throw error
  }
}

/**
 * Whether every key that the directory names as a mint's, and that is valid now, is one that the mint publishes.
 *
 * @throws {PrivateNetworkError} when the mint does not tell
 */
export async function hasMintKeys(
  { transport, timeout, now }: Pick<DirectorySource, 'transport' | 'timeout' | 'now'>,
  mint: Pick<MintReference, 'url' | 'name'>,
  { directory }: VerifiedDirectory,
): Promise<boolean> {
  // Without the account: what a mint tells whom it does not know, it tells everybody.
  const { url, name } = mint
  const published = await readMintKeys({ url, name, transport, timeout })
  const listed = directory.mints.find((each) => each.name === name)
  return (
    listed?.keys.every((key) => !isValidAt(key, now() / 1000) || published.has(canonical(key.key))) ?? false
  )
}

const canonical = (base64: string): string => Buffer.from(base64, 'base64').toString('base64')
