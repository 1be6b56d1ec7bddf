import { join } from 'node:path'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import {
  exportPrivateKey,
  generateTokenKey,
  readPrivateKey,
  type TokenKeyPair,
} from '../../tokens/blindRsa/keys.ts'
import { TokenError } from '../../tokens/errors.ts'
import { GatewayStateError } from '../errors.ts'
import { createStateFile, numberedFiles, openStateFolder, readStateFile } from './stateFile.ts'

/** A key that signs change, or did. */
export type ChangeKey = {
  readonly pair: TokenKeyPair
  /** Seconds since 1970: its tokens are accepted within these. */
  readonly notBefore: number
  readonly notAfter: number
}

export type ChangeKeys = {
  /** From the oldest to the one that signs now. */
  readonly all: readonly ChangeKey[]
  /** Makes a new key if it is time, and leaves out those that have ended. */
  rotate(): Promise<void>
}

const EXTENSION = '.key'
/** A key signs for one lifetime and its tokens are accepted for one more. */
const LIFETIMES = 2

/**
 * The RSA keys of the change, in files of the state folder that only the owner can read. A key is durable before a
 * directory names it: tokens of a key that is lost are worth nothing.
 *
 * The file of a key is named after the period that it signs in, `floor(unix time / lifetime)`, so that processes
 * which share the folder have the same keys, whoever made them. The file of one that has ended stays: were it removed, a
 * clock that is wrong for a moment would make everybody's change worth nothing.
 *
 * @param lifetime milliseconds
 * @throws {GatewayStateError}
 */
export async function openChangeKeys(parameters: {
  readonly folder: string
  readonly lifetime: number
  readonly now: () => number
}): Promise<ChangeKeys> {
  const { folder, lifetime, now } = parameters
  await openStateFolder(folder)
  let keys = new Map<number, ChangeKey>()

  async function read(period: number, path: string): Promise<ChangeKey> {
    try {
      return {
        pair: readPrivateKey(Buffer.from(await readStateFile(path), 'base64')),
        notBefore: Math.floor((period * lifetime) / 1000),
        notAfter: Math.floor(((period + LIFETIMES) * lifetime) / 1000),
      }
    } catch (error) {
      if (error instanceof TokenError) throw new GatewayStateError(path, 'is damaged', error)
      throw error
    }
  }

  /** What a request for change names a key by; two keys of one gateway must not share it. */
  const truncatedId = ({ publicKey }: TokenKeyPair): number => publicKey.id.at(-1) ?? 0

  async function make(period: number): Promise<void> {
    const taken = new Set([...keys.values()].map(({ pair }) => truncatedId(pair)))
    let pair = await generateTokenKey()
    while (taken.has(truncatedId(pair))) pair = await generateTokenKey()
    const encoded = Buffer.from(exportPrivateKey(pair)).toString('base64')
    await createStateFile(join(folder, `${period}${EXTENSION}`), `${encoded}\n`)
  }

  async function load(): Promise<void> {
    const oldest = Math.floor(now() / lifetime) - LIFETIMES + 1
    const next = new Map<number, ChangeKey>()
    for (const { number, path } of await numberedFiles(folder, EXTENSION)) {
      if (number >= oldest) next.set(number, keys.get(number) ?? (await read(number, path)))
    }
    keys = next
  }

  async function rotate(): Promise<void> {
    const period = Math.floor(now() / lifetime)
    if (keys.has(period) && [...keys.keys()].every((each) => each > period - LIFETIMES)) return
    await load()
    if (keys.has(period)) return
    await make(period)
    // Read back, because another process may have been first.
    await load()
    if (!keys.has(period)) throw new InvariantError('The key of this period was made.')
  }

  await load()
  await rotate()
  return {
    get all() {
      return [...keys.values()]
    },
    rotate,
  }
}
