import { resolve } from 'node:path'
import type { Signer } from '../../runtime/core/ports.ts'
import { signerOver } from './connection.ts'
import { SignerError } from './errors.ts'
import { connectSocket, type SocketConnection } from './socket/connectSocket.ts'

export type ConnectSignerParameters = {
  /** The same that the signer was started with. */
  readonly directory: string
  /** Milliseconds within which it must answer. Default 20,000. */
  readonly timeout?: number
}

/** A signer that somebody else started. */
export type ConnectedSigner = Signer & {
  /** Lets go of it. It ends when nobody else holds it. */
  close(): Promise<void>
}

/**
 * Connects to the signer that runs for a folder, in the role of the protector: it may have signed what reduces risk
 * (`fence: 'protector'`), and ask what was signed; it can give nothing up.
 *
 * While it is connected the signer lives on, also when whoever started it is killed. When the signer ends all the
 * same, the next call connects to the one that runs then: a protector that asks something every block is never long
 * without.
 *
 * @throws {SignerError} `SIGNER_GONE`, which is retryable, when none runs; every call may as well.
 * @example
 * const signer = await connectSigner({ directory: '.rialto' })
 * await signer.sign({ attemptId, plan, planHash, nonce, fence: 'protector' })
 */
export async function connectSigner(parameters: ConnectSignerParameters): Promise<ConnectedSigner> {
  const directory = resolve(parameters.directory)
  const { timeout = 20_000 } = parameters
  let isClosed = false
  let connection: Promise<SocketConnection> | null = null

  function connect(): Promise<SocketConnection> {
    if (isClosed) return Promise.reject(none(directory, 'The connection to it was closed.'))
    connection ??= connectSocket({ directory, role: 'protector', timeout, onGone: () => (connection = null) })
      .then((found) => {
        if (found !== null) return found
        throw none(directory, `No signer runs for ${directory}.`)
      })
      .catch((error: unknown) => {
        connection = null
        throw error
      })
    return connection
  }

  await connect()
  return {
    ...signerOver(connect),
    async close() {
      isClosed = true
      const open = await connection?.catch(() => null)
      await open?.close()
    },
  }
}

const none = (directory: string, message: string): SignerError =>
  new SignerError('SIGNER_GONE', message, {
    fix: 'Start it with "rialto start" or "rialto signer", and try again.',
    retryable: true,
    details: { directory },
  })
