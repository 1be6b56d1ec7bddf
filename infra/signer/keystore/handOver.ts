import type { ChildProcess } from 'node:child_process'
import { closeSync } from 'node:fs'
import { resolve } from 'node:path'
import type { Duplex } from 'node:stream'
import { SignerError } from '../errors.ts'
import { type PassphraseSource, requireDescriptor } from './passphrase.ts'

/**
 * Where the keystore's passphrase comes from. A file is read by the signer itself, and an inherited file descriptor is
 * handed on to it unread. `bytes` go to it over a pipe of their own, and are overwritten here when they are sent.
 */
export type SignerPassphrase = PassphraseSource | { readonly kind: 'bytes'; readonly bytes: Buffer }

/** The descriptor on which a signer's process finds its passphrase, when it does not read it from a file. */
const PASSPHRASE_FD = 4

/** What the process gets as file descriptor 4. */
export type PassphraseChannel = {
  readonly stdio: 'pipe' | number
  /** To be called once it is there. */
  spawned(child: ChildProcess): void
}

/** What a start of the process needs: what it is told, and the channel, if there is one. */
export type HandOver = {
  readonly source: PassphraseSource | undefined
  readonly channel: PassphraseChannel | null
}

/**
 * Hands a passphrase over to a signer's process, so that this one keeps nothing of it. What can be read once is
 * handed over once.
 *
 * @returns to be called for every start; throws a {@link SignerError} `KEYSTORE` when the passphrase is gone
 */
export function passphraseHandOver(passphrase: SignerPassphrase | undefined): () => HandOver {
  if (passphrase === undefined || passphrase.kind === 'made')
    return () => ({ source: passphrase, channel: null })
  // The signer's working folder need not be ours.
  if (passphrase.kind === 'file')
    return () => ({ source: { kind: 'file', path: resolve(passphrase.path) }, channel: null })
  let isGiven = false
  return () => {
    if (isGiven)
      throw new SignerError(
        'KEYSTORE',
        'The signer process ended, and its passphrase, which could be read only once, was not kept.',
        { fix: 'Start Rialto again; with a passphrase file it starts the signer again by itself.' },
      )
    isGiven = true
    const channel = passphrase.kind === 'bytes' ? channelOfBytes(passphrase.bytes) : channelOf(passphrase.fd)
    return { source: { kind: 'fd', fd: PASSPHRASE_FD }, channel }
  }
}

/** The child has a descriptor of its own; with ours open, it would never see the end of a pipe. */
function channelOf(fd: number): PassphraseChannel {
  requireDescriptor(fd)
  return { stdio: fd, spawned: () => closeSync(fd) }
}

/** Sends the bytes and forgets them. They go to the system from where they are: nothing copies them. */
function channelOfBytes(bytes: Buffer): PassphraseChannel {
  return {
    stdio: 'pipe',
    spawned(child) {
      const pipe = child.stdio[PASSPHRASE_FD] as Duplex
      // A child that ends without reading it says why by itself.
      pipe.on('error', () => {})
      pipe.once('close', () => bytes.fill(0))
      pipe.resume()
      pipe.end(bytes, () => bytes.fill(0))
    },
  }
}
