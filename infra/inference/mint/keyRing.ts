import { mkdir, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import {
  exportPrivateKey,
  generateTokenKey,
  readPrivateKey,
  type TokenKeyPair,
} from '../tokens/blindRsa/keys.ts'
import { toHex } from '../tokens/bytes.ts'
import { writeDurably } from './durableFile.ts'
import { MintStateError } from './errors.ts'

/** A key with its times, in seconds since 1970. */
export type MintKey = {
  readonly pair: TokenKeyPair
  /** The key's id in hex. */
  readonly id: string
  readonly notBefore: number
  /** From then on it signs nothing new. */
  readonly signsUntil: number
  /** From then on its tokens are not accepted, and it is forgotten: one lifetime later. */
  readonly notAfter: number
}

/** The keys of a mint. One signs; the next is made known before it does; those before are listed until they end. */
export type KeyRing = {
  /** Makes keys and leaves them out as the time asks; to be awaited before the others are called. */
  refresh(): Promise<void>
  /** Those to be made known, the newest first: a client takes the first that has begun (RFC 9578, section 4). */
  listed(): readonly MintKey[]
  /** Those that sign new tokens now. */
  signing(): readonly MintKey[]
  /** A listed key by its id. */
  find(id: string): MintKey | undefined
}

const storedKey = z.strictObject({
  version: z.literal(1),
  /** PKCS #8. */
  privateKey: z.base64(),
  notBefore: z.int().min(0),
  signsUntil: z.int().min(0),
  notAfter: z.int().min(0),
})

/** Seconds by which the clocks of a mint and its clients may differ. */
const MOST_SKEW = 300
/** Seconds before its time at which a key is made known. */
const MOST_LEAD = 86_400

/**
 * Opens the keys in a folder, which is made if there is none.
 *
 * @param lifetime seconds for which a key signs
 * @param now milliseconds since 1970
 * @param onRetire told the ids of keys that have ended
 * @throws {MintStateError, TokenError} `LOG_UNWRITABLE`
 */
export async function openKeyRing(parameters: {
  readonly folder: string
  readonly lifetime: number
  readonly now: () => number
  readonly onRetire?: (id: string) => void
}): Promise<KeyRing> {
  const { folder, lifetime, onRetire } = parameters
  const skew = Math.min(MOST_SKEW, Math.floor(lifetime / 20))
  const lead = Math.min(MOST_LEAD, Math.floor(lifetime / 4))
  const seconds = () => Math.floor(parameters.now() / 1_000)
  const readThose = async (now: number) => (await readKeys(folder)).filter(({ notAfter }) => now < notAfter)
  let keys = await readThose(seconds())
  let refreshing: Promise<void> | undefined

  const signing = () => {
    const now = seconds()
    return keys.filter(({ notBefore, signsUntil }) => notBefore - skew <= now && now < signsUntil + skew)
  }
  const isCurrent = ({ notBefore, signsUntil }: MintKey, now: number) => notBefore <= now && now < signsUntil

  async function refresh(now: number): Promise<void> {
    for (const key of keys.filter(({ notAfter }) => notAfter <= now)) {
      keys = keys.filter((each) => each !== key)
      onRetire?.(key.id)
    }
    // One that is current may have been left out while the clock was wrong: the file of one that has ended stays.
    if (!keys.some((key) => isCurrent(key, now))) keys = await readThose(now)
    if (!keys.some((key) => isCurrent(key, now))) await add(now)
    const newest = Math.max(...keys.map(({ signsUntil }) => signsUntil))
    if (newest <= now + lead) await add(newest)
  }

  async function add(notBefore: number): Promise<void> {
    const pair = await generateOther(keys)
    const signsUntil = notBefore + lifetime
    const id = toHex(pair.publicKey.id)
    const key = { pair, id, notBefore, signsUntil, notAfter: signsUntil + lifetime }
    const stored = {
      version: 1,
      privateKey: Buffer.from(exportPrivateKey(pair)).toString('base64'),
      notBefore,
      signsUntil,
      notAfter: key.notAfter,
    }
    await writeDurably(join(folder, fileOf(key)), `${JSON.stringify(stored)}\n`)
    keys = [key, ...keys].sort(newestFirst)
  }

  return {
    refresh() {
      const now = seconds()
      const isDue =
        keys.some(({ notAfter }) => notAfter <= now) ||
        !keys.some((key) => isCurrent(key, now)) ||
        !keys.some(({ signsUntil }) => signsUntil > now + lead)
      if (!isDue) return Promise.resolve()
      refreshing ??= refresh(now).finally(() => {
        refreshing = undefined
      })
      return refreshing
    },
    listed: () => keys,
    signing,
    find: (id) => keys.find((key) => key.id === id),
  }
}

const newestFirst = (a: MintKey, b: MintKey): number => b.notBefore - a.notBefore

/** Times and the beginning of the id: it sorts by age. */
const fileOf = ({ notBefore, id }: Pick<MintKey, 'notBefore' | 'id'>): string =>
  `${String(notBefore).padStart(12, '0')}-${id.slice(0, 16)}.json`

/** A request names its key by the last byte of the id, so no two listed keys may share it. */
async function generateOther(keys: readonly MintKey[]): Promise<TokenKeyPair> {
  for (;;) {
    const pair = await generateTokenKey()
    const last = toHex(pair.publicKey.id).slice(-2)
    if (keys.every(({ id }) => !id.endsWith(last))) return pair
  }
}

async function readKeys(folder: string): Promise<readonly MintKey[]> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const names = (await readdir(folder)).filter((name) => name.endsWith('.json'))
  const keys = await Promise.all(names.map((name) => readKey(join(folder, name))))
  return keys.sort(newestFirst)
}

async function readKey(path: string): Promise<MintKey> {
  if (((await stat(path)).mode & 0o077) !== 0)
    throw new MintStateError(
      path,
      'holds a private key that others can read',
      `Run chmod 600 ${path}, and consider the key as known to others.`,
    )
  try {
    const { privateKey, notBefore, signsUntil, notAfter } = storedKey.parse(
      JSON.parse(await readFile(path, 'utf8')),
    )
    const pair = readPrivateKey(Buffer.from(privateKey, 'base64'))
    return { pair, id: toHex(pair.publicKey.id), notBefore, signsUntil, notAfter }
  } catch {
    // The cause is left out: it may quote what the file holds.
    throw new MintStateError(path, 'holds no token key')
  }
}
