import {
  type Directory,
  isValidAt,
  readDirectory,
  signDirectory,
  type TokenKey,
  type VerifiedDirectory,
} from '../protocol/network/directory.ts'
import type { Identity, IdentityKey } from '../protocol/network/identity.ts'
import type { VerifiedNode } from '../protocol/network/nodeDescription.ts'
import { decodeKeyConfigs, encodeKeyConfigs } from '../protocol/ohttp/keyConfig.ts'
import { keyConfigOf } from '../protocol/ohttp/keys.ts'
import { readTokenKey, type TokenKeyPair, type TokenPublicKey } from '../tokens/blindRsa/keys.ts'
import { ceilingClasses } from '../tokens/ceiling/ceilingClasses.ts'
import { createRedeemer } from '../tokens/privacyPass/redemption.ts'
import { gatewayChallenge } from '../tokens/privacyPass/tokenChallenge.ts'
import { PeerError } from './errors.ts'
import type { ChangeKeys } from './keys/changeKeys.ts'
import type { DirectoryFiles, PublishedDirectory } from './keys/directoryFiles.ts'
import type { OhttpKeys } from './keys/ohttpKeys.ts'
import type { MintWatch } from './peers/mints.ts'
import type { NodeWatch } from './peers/nodes.ts'

/** A node that requests can be handed to. */
export type ServedNode = {
  readonly name: string
  readonly url: string
  readonly identity: Identity
  readonly models: ReadonlySet<string>
}

/** What the gateway works by, at this moment. */
export type DirectoryKeeper = {
  /** The signed document; undefined as long as a mint is missing. */
  readonly published: PublishedDirectory | undefined
  /** By name. */
  readonly nodes: ReadonlyMap<string, ServedNode>
  /** Checks a token. @see createRedeemer */
  readonly redeem: ReturnType<typeof createRedeemer>
  /** What change is signed with: the former ones, then the current one. */
  readonly changePairs: readonly TokenKeyPair[]
  /** What is missing for the gateway to do its work, each as a clause; empty when nothing is. */
  readonly missing: readonly string[]
  /** Looks whether anything has changed, and publishes a directory if so. Never throws. */
  refresh(): Promise<void>
  /** Resolves when no refresh is under way. */
  idle(): Promise<void>
}

type Content = Omit<Directory, 'version' | 'epoch' | 'notBefore' | 'notAfter'>

const toSeconds = (milliseconds: number): number => Math.floor(milliseconds / 1000)
const keysByMint = ({ mints }: Directory): ReadonlyMap<string, readonly TokenKey[]> =>
  new Map(mints.map(({ name, keys }) => [name, keys]))

/** The directory that was published last in this state folder, if it is one of ours. */
export async function readFormer(
  files: DirectoryFiles,
  gateway: { readonly name: string; readonly identity: Identity },
): Promise<{
  readonly mintKeys: ReadonlyMap<string, readonly TokenKey[]>
  readonly nodes: readonly VerifiedNode[]
  readonly keyId: number | undefined
}> {
  const nothing = { mintKeys: new Map<string, readonly TokenKey[]>(), nodes: [], keyId: undefined }
  const latest = await files.latest()
  if (latest === undefined) return nothing
  // Of another identity or name, after its operator changed it: its epoch still counts, its content does not.
  const former = await readDirectory(latest.document, gateway).catch(() => undefined)
  if (former === undefined) return nothing
  const [config] = decodeKeyConfigs(Buffer.from(former.directory.keys, 'base64'))
  return { mintKeys: keysByMint(former.directory), nodes: former.nodes, keyId: config?.keyId }
}

/**
 * Keeps the directory: composes it of the gateway's own keys and of what mints and nodes say, and publishes a new
 * epoch whenever that has changed.
 *
 * @param parameters.shared other processes publish in the same folder: theirs are taken as ours
 * @param parameters.lifetime of a directory, in milliseconds
 */
export function createDirectoryKeeper(parameters: {
  readonly name: string
  readonly identity: IdentityKey
  readonly keys: OhttpKeys
  readonly changeKeys: ChangeKeys
  readonly files: DirectoryFiles
  readonly mints: MintWatch
  readonly nodes: NodeWatch
  readonly shared: boolean
  readonly lifetime: number
  readonly now: () => number
  readonly onProblem: (what: string, problem: unknown) => void
}): DirectoryKeeper {
  const { name, identity, keys, changeKeys, files, shared, lifetime, now, onProblem } = parameters
  const gateway = { name, identity: identity.identity }
  const publicKeys = new Map<string, TokenPublicKey>()
  let published: (PublishedDirectory & { readonly content: string; readonly notAfter: number }) | undefined
  let nodes: ReadonlyMap<string, ServedNode> = new Map()
  let redeem = createRedeemer([])
  let redeems = ''
  let failure: string | undefined
  let running: Promise<void> | undefined
  let again = false

  function publicKeyOf(key: string): TokenPublicKey {
    const known = publicKeys.get(key)
    if (known !== undefined) return known
    const read = readTokenKey(Buffer.from(key, 'base64'))
    publicKeys.set(key, read)
    return read
  }

  const ownKeys = (): TokenKey[] =>
    changeKeys.all.map(({ pair, notBefore, notAfter }) => ({
      key: Buffer.from(pair.publicKey.spki).toString('base64'),
      notBefore,
      notAfter,
    }))

  /** Names of nodes are the operators' own: of two that took the same one, the first in the configuration has it. */
  function describedNodes() {
    const described = new Map<string, { readonly served: ServedNode; readonly document: string }>()
    for (const { url, identity, node } of parameters.nodes.views) {
      if (node === undefined) continue
      const { name: called, models } = node.description
      const other = described.get(called)
      if (other === undefined) {
        const served = { name: called, url, identity, models: new Set(models.map(({ id }) => id)) }
        described.set(called, { served, document: node.document })
      } else {
        const peer = `The node ${identity.text}`
        onProblem(`The name ${called}`, new PeerError(peer, `calls itself ${called}, as another node does`))
      }
    }
    return described
  }

  function accept(at: number): void {
    const accepted = [
      ...parameters.mints.views.map(({ name: issuer, keys }) => ({ issuer, keys })),
      { issuer: name, keys: ownKeys() },
    ].flatMap(({ issuer, keys }) =>
      keys.filter((key) => isValidAt(key, toSeconds(at))).map(({ key }) => ({ issuer, key })),
    )
    const text = JSON.stringify(accepted)
    if (text === redeems) return
    redeems = text
    redeem = createRedeemer(
      accepted.map(({ issuer, key }) => ({
        publicKey: publicKeyOf(key),
        challenge: gatewayChallenge({ issuer, gateway: name }),
      })),
    )
  }

  async function adopt(latest: PublishedDirectory): Promise<void> {
    const other: VerifiedDirectory = await readDirectory(latest.document, gateway)
    await keys.adopt(Buffer.from(other.directory.keys, 'base64'))
    parameters.mints.adopt(keysByMint(other.directory))
    parameters.nodes.adopt(other.nodes)
    const { version: _, epoch: __, notBefore: ___, notAfter, ...content } = other.directory
    published = { ...latest, content: JSON.stringify(content), notAfter: notAfter * 1000 }
  }

  async function look(): Promise<void> {
    await keys.rotate()
    await changeKeys.rotate()
    for (;;) {
      const latest = shared || published === undefined ? await files.latest() : published
      if (shared && latest !== undefined && latest.epoch > (published?.epoch ?? 0)) await adopt(latest)
      const at = now()
      accept(at)
      const described = describedNodes()
      const served = new Map([...described].map(([called, node]) => [called, node.served]))
      const content: Content = {
        gateway: name,
        keys: Buffer.from(encodeKeyConfigs([keyConfigOf(keys.current)])).toString('base64'),
        mints: parameters.mints.views
          .filter(({ keys }) => keys.length > 0)
          .map((mint) => ({ name: mint.name, url: mint.url, keys: [...mint.keys] })),
        changeKeys: ownKeys(),
        ceilings: [...ceilingClasses],
        nodes: [...described.values()].map(({ document }) => document),
      }
      if (content.mints.length === 0) return
      const text = JSON.stringify(content)
      if (text === published?.content && published.notAfter - at > lifetime / 4) {
        nodes = served
        return
      }
      const notAfter = toSeconds(at + lifetime)
      const epoch = (latest?.epoch ?? 0) + 1
      const document = await signDirectory(identity, {
        version: 1,
        ...content,
        epoch,
        notBefore: toSeconds(at),
        notAfter,
      })
      // The key has to be accepted before anybody can know of it.
      keys.published(notAfter * 1000)
      if (await files.publish({ epoch, document })) {
        published = { epoch, document, content: text, notAfter: notAfter * 1000 }
        nodes = served
        return
      }
      // Another process was first: theirs is looked at, and then again whether anything is to be added.
      if (!shared) published = undefined
    }
  }

  async function run(): Promise<void> {
    try {
      do {
        again = false
        await look()
      } while (again)
      failure = undefined
      onProblem('The directory', undefined)
    } catch (error) {
      failure = 'its directory cannot be renewed'
      onProblem('The directory', error)
    } finally {
      running = undefined
    }
  }

  return {
    get published() {
      return published
    },
    get nodes() {
      return nodes
    },
    get redeem() {
      return redeem
    },
    get changePairs() {
      return changeKeys.all.map(({ pair }) => pair)
    },
    get missing() {
      const mints = parameters.mints.views
        .filter(({ keys }) => keys.length === 0)
        .map((mint) => `waits for the keys of the mint ${mint.name}`)
      const isNone =
        published === undefined
          ? parameters.nodes.views.every(({ node }) => node === undefined)
          : nodes.size === 0
      const none = isNone ? ['waits for the description of a node'] : []
      const unpublished = published === undefined && mints.length === 0 ? ['has no directory yet'] : []
      return [...mints, ...none, ...unpublished, ...(failure === undefined ? [] : [failure])]
    },
    refresh() {
      again = true
      running ??= run()
      return running
    },
    idle: () => running ?? Promise.resolve(),
  }
}
