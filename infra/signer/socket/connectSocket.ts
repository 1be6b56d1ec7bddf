import { once } from 'node:events'
import { connect } from 'node:net'
import type { Hash } from '../../../runtime/core/ids.ts'
import { type Call, converse } from '../connection.ts'
import type { Role, Welcome } from '../messages.ts'
import { readSocketFile } from './socketFile.ts'

/** A conversation with a signer that runs already. */
export type SocketConnection = {
  readonly call: Call
  readonly welcome: Welcome
  /** Resolves when it is over, whoever ended it. */
  readonly closed: Promise<void>
  close(): Promise<void>
}

export type ConnectSocketParameters = {
  readonly directory: string
  readonly role: Role
  /** What an owner would start it with. */
  readonly parameters?: Hash
  /** Milliseconds within which every answer must come. */
  readonly timeout: number
  /** Called once, when it is over. */
  readonly onGone?: (why: string) => void
}

/**
 * Connects to the signer of a folder by its socket.
 *
 * @returns null when none listens there
 * @throws {SignerError} `SIGNER_LOCKED` for an owner while there is another, `SIGNER_REQUEST` when the secret that the
 * folder tells is another signer's, which may be so for a moment while one ends.
 */
export async function connectSocket(parameters: ConnectSocketParameters): Promise<SocketConnection | null> {
  const { directory, role, timeout, onGone } = parameters
  const file = readSocketFile(directory)
  if (file === null) return null
  const socket = connect(file.path)
  try {
    await once(socket, 'connect')
  } catch {
    // ENOENT or ECONNREFUSED: whoever listened there is gone. Anything else nobody could speak through either.
    return null
  }
  let why = 'it ended'
  const { call, finish } = converse(socket, timeout, (reason) => {
    why = reason
    socket.destroy()
  })
  // What broke is over, and 'close' follows.
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve())).then(() => {
    finish(why)
    onGone?.(why)
  })
  const close = async () => {
    socket.end()
    await closed
  }
  try {
    const hello = {
      secret: file.secret,
      role,
      ...(parameters.parameters === undefined ? {} : { parameters: parameters.parameters }),
    }
    return { call, welcome: (await call('hello', hello)) as Welcome, closed, close }
  } catch (error) {
    await close()
    throw error
  }
}
