import { randomBytes } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type Stats,
} from 'node:fs'
import { Socket } from 'node:net'
import { join } from 'node:path'
import { SignerError } from '../errors.ts'
import { guarded, requirePrivate, writeOnce } from './files.ts'

/**
 * Where the passphrase of a keystore comes from, when a signer's process is started. It is never an argument.
 *
 * - `made`: the file `passphrase` beside the keys, 256 random bits. For keys of the local world, which are no secret.
 * - `file`: a file that its owner alone may read; one line break at its end is no part of it.
 * - `fd`: an inherited file descriptor, read to its end and closed.
 */
export type PassphraseSource =
  | { readonly kind: 'made' }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'fd'; readonly fd: number }

/** Sets the passphrase of a signer that is run by itself, and of nothing else: a child would inherit it. */
export const PASSPHRASE_VARIABLE = 'RIALTO_KEYSTORE_PASSPHRASE'

/** Characters that a new passphrase has at least. One that is there already may be shorter. */
export const MIN_PASSPHRASE = 12

const MAX_BYTES = 4096

/**
 * Reads a passphrase from a file or an inherited file descriptor. The bytes are the caller's to overwrite.
 *
 * @throws {SignerError} `KEYSTORE` when it cannot be read, is empty, or lies where others may read it.
 */
export async function readPassphrase(
  source: Extract<PassphraseSource, { kind: 'file' | 'fd' }>,
): Promise<Buffer> {
  if (source.kind === 'file') {
    requirePrivate(source.path)
    return checked(
      `the passphrase file ${source.path}`,
      guarded(source.path, () => readFileSync(source.path)),
    )
  }
  return checked(`file descriptor ${source.fd}`, await readDescriptor(source.fd))
}

/**
 * Takes the passphrase out of the environment of a signer that is run by itself.
 *
 * @param variables `process.env`; the variable is gone from it afterwards
 * @returns null when it is not set
 */
export function takePassphrase(variables: NodeJS.ProcessEnv): Buffer | null {
  const text = variables[PASSPHRASE_VARIABLE]
  delete variables[PASSPHRASE_VARIABLE]
  return text === undefined ? null : checked(PASSPHRASE_VARIABLE, Buffer.from(text))
}

/** Whether the file is there in which the passphrase of a local world's keys lies. */
export const hasMadePassphrase = (folder: string): boolean => existsSync(madePath(folder))

/**
 * The passphrase that lies beside the keys, made if it is not there and no key needs it.
 *
 * @throws {SignerError} `KEYSTORE`
 */
export function madePassphrase(folder: string, mayMake: boolean): Buffer {
  const path = madePath(folder)
  const exists = guarded(path, () => existsSync(path))
  if (!exists && !mayMake)
    throw new SignerError('KEYSTORE', `The passphrase ${path} is missing, and there are keys that need it.`, {
      fix: 'Restore the file.',
    })
  if (!exists) writeOnce(path, `${randomBytes(32).toString('base64url')}\n`)
  requirePrivate(path)
  return checked(
    `the passphrase ${path}`,
    guarded(path, () => readFileSync(path)),
  )
}

const madePath = (folder: string): string => join(folder, 'passphrase')

/**
 * Refuses a new passphrase that could be guessed by trying. Characters are counted, not bytes.
 *
 * @throws {SignerError} `KEYSTORE`
 */
export function requireLong(passphrase: Uint8Array): void {
  // Of a character's bytes in UTF-8, all but the first begin with the bits 10. No string is made of a secret.
  const length = passphrase.reduce((count, byte) => ((byte & 0xc0) === 0x80 ? count : count + 1), 0)
  if (length < MIN_PASSPHRASE)
    throw new SignerError(
      'KEYSTORE',
      `The passphrase is too short: a new one has at least ${MIN_PASSPHRASE} characters.`,
      { fix: 'Take a longer one: four words that have nothing to do with each other, for instance.' },
    )
}

/** Without one line break at the end. @throws {SignerError} `KEYSTORE` when nothing is left, or too much. */
function checked(what: string, bytes: Buffer): Buffer {
  const end = bytes.at(-1) !== 10 ? bytes.length : bytes.at(-2) === 13 ? bytes.length - 2 : bytes.length - 1
  if (end > 0 && end <= MAX_BYTES) return bytes.subarray(0, end)
  throw new SignerError(
    'KEYSTORE',
    end === 0
      ? `There is no passphrase in ${what}: it is empty.`
      : `What ${what} holds is too long for a passphrase.`,
    { fix: 'Put the passphrase there, in one line.' },
  )
}

/**
 * Makes sure that a file descriptor was inherited and can be read to an end.
 *
 * @throws {SignerError} `KEYSTORE`
 */
export function requireDescriptor(fd: number): Stats {
  const wrong = (why: string): SignerError =>
    new SignerError('KEYSTORE', `File descriptor ${fd} ${why}.`, {
      fix: `Start it with a pipe there, like ${fd}< <(pass show rialto).`,
    })
  let stats: Stats
  try {
    stats = fstatSync(fd)
  } catch {
    throw wrong('is not open')
  }
  if (!stats.isFIFO() && !stats.isSocket() && !stats.isFile()) throw wrong('is neither a pipe nor a file')
  // The runtime's own pipes lie in the same range, and would never end.
  if (stats.isFIFO() && isOwnPipe(fd)) throw wrong('was not inherited')
  return stats
}

/** Of a pipe that was inherited, the end to write to is elsewhere. Where the system does not tell, nobody looks. */
function isOwnPipe(fd: number): boolean {
  const folder = '/proc/self/fd'
  if (!existsSync(folder)) return false
  const pipe = readlinkSync(join(folder, String(fd)))
  return readdirSync(folder).some((name) => {
    try {
      const flags = /^flags:\s+([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${name}`, 'utf8'))?.[1]
      const isWritten = (Number.parseInt(flags ?? '0', 8) & 0b11) !== 0
      return isWritten && readlinkSync(join(folder, name)) === pipe
    } catch {
      // The descriptor with which the folder was listed is closed by now.
      return false
    }
  })
}

async function readDescriptor(fd: number): Promise<Buffer> {
  if (requireDescriptor(fd).isFile()) {
    const bytes = guarded(`file descriptor ${fd}`, () => readFileSync(fd))
    closeSync(fd)
    return bytes
  }
  // Closes it at its end.
  const pipe = new Socket({ fd, readable: true, writable: false })
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of pipe as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      length += chunk.length
      if (length > 2 * MAX_BYTES) break
    }
  } catch (error) {
    guarded(`file descriptor ${fd}`, () => {
      throw error
    })
  }
  const bytes = Buffer.concat(chunks)
  for (const chunk of chunks) chunk.fill(0)
  return bytes
}
