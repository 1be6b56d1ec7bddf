import { once } from 'node:events'
import { connect, type Socket } from 'node:net'

/** A client for tests that sends what no HTTP library would. */
export type RawClient = {
  readonly socket: Socket
  /** What came until now, byte for character. */
  readonly text: () => string
  send(data: string | Uint8Array): void
  /** Resolves with all that came, as soon as it has that in it. Rejects when the connection ends before. */
  until(part: string | RegExp): Promise<string>
  /** Resolves with all that came when the connection has ended, however that was. */
  ended(): Promise<{ readonly text: string; readonly how: 'end' | 'reset' }>
}

/** Connects to a server of ours. */
export async function connectRaw(url: string): Promise<RawClient> {
  const { hostname, port } = new URL(url)
  const socket = connect({ host: hostname, port: Number(port), noDelay: true, allowHalfOpen: true })
  await once(socket, 'connect')
  let text = ''
  let how: 'end' | 'reset' | undefined
  socket.on('data', (data: Buffer) => {
    text += data.toString('latin1')
    socket.emit('grew')
  })
  const finish = (what: 'end' | 'reset') => {
    how ??= what
    socket.emit('over')
  }
  socket.on('end', () => finish('end'))
  socket.on('error', () => finish('reset'))
  socket.on('close', () => finish('reset'))
  return {
    socket,
    text: () => text,
    send: (data) => socket.write(data),
    until: (part) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = typeof part === 'string' ? text.includes(part) : part.test(text)
          if (!found && how === undefined) return
          socket.off('grew', look).off('over', look)
          if (found) resolve(text)
          else reject(new EndedEarly(text))
        }
        socket.on('grew', look).on('over', look)
        look()
      }),
    ended: async () => {
      if (how === undefined) await once(socket, 'over')
      socket.destroy()
      return { text, how: how ?? 'end' }
    },
  }
}

class EndedEarly extends TypeError {
  constructor(text: string) {
    super(`The connection ended after ${JSON.stringify(text.slice(0, 500))}.`)
  }
}

/** The status of an answer, of the last one where there are several, and 0 where there is none. */
export const statusOf = (text: string): number =>
  Number([...text.matchAll(/HTTP\/1\.1 (\d{3})/g)].at(-1)?.[1] ?? 0)

/** A promise with what settles it. */
export function deferred<T = void>(): { readonly promise: Promise<T>; readonly resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
