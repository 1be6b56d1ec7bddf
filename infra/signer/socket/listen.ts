import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { SignerError } from '../errors.ts'
import { newSecret, removeSocketFile, writeSocketFile } from './socketFile.ts'

/** The most bytes of a path that a socket takes everywhere: 108 on Linux and 104 on macOS, their end included. */
const MAX_PATH_BYTES = 100

export type Listening = {
  /** What a client has to know. */
  readonly secret: string
  /** Takes no more clients, and removes what tells of the socket. Those that are there stay. */
  close(): void
}

/**
 * Listens on a Unix socket in the signer's own folder, `<directory>/signer/socket`; where that path is too long for a
 * socket, or the file system takes none, in a new folder of the system's for temporary files. Both are 0700, so that
 * nobody but the owner reaches it; the path is told in `socket.json`.
 *
 * @param directory whose `signer/` is held by this process alone (see `lockFolder`)
 * @throws {SignerError} `SIGNER_CONFIGURATION` when neither place takes a socket.
 */
export async function listen(directory: string, onClient: (socket: Socket) => void): Promise<Listening> {
  const folder = join(directory, 'signer')
  // An earlier version or a copy may have left it open to others.
  chmodSync(folder, 0o700)
  const own = join(folder, 'socket')
  const server = (await listenAt(own, onClient)) ?? (await listenAt(shortPath(), onClient))
  if (server === null)
    throw new SignerError(
      'SIGNER_CONFIGURATION',
      'The signer can listen on a socket in neither of its folders.',
      {
        fix: 'Keep the folder of Rialto on a local disk.',
        details: { folder },
      },
    )
  const path = server.address() as string
  const secret = newSecret()
  writeSocketFile(directory, { path, secret })
  return {
    secret,
    close() {
      removeSocketFile(directory)
      // Node removes the socket itself.
      server.close()
      if (path !== own) rmSync(dirname(path), { recursive: true, force: true })
    },
  }
}

/** A folder of its own, which the system makes 0700. */
const shortPath = () => join(mkdtempSync(join(tmpdir(), 'rialto-')), 'socket')

/** @returns null when no socket can be made there */
async function listenAt(path: string, onClient: (socket: Socket) => void): Promise<Server | null> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) return null
  // What a signer left that was killed: the folder's lock says that it is gone.
  rmSync(path, { force: true })
  const server = createServer(onClient)
  return new Promise((resolve) => {
    server.once('error', () => resolve(null))
    server.listen(path, () => resolve(server))
  })
}
