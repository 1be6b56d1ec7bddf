import { connect, type Socket } from 'node:net'
import { InvariantError } from '../../../runtime/core/errors.ts'

/** A POST as it goes over the wire, made beforehand: what sends it should cost next to nothing. */
export const rawPost = (path: string, type: string, body: Uint8Array): Buffer =>
  Buffer.concat([
    Buffer.from(
      `POST ${path} HTTP/1.1\r\nhost: bench\r\ncontent-type: ${type}\r\ncontent-length: ${body.length}\r\n\r\n`,
    ),
    body,
  ])

export async function open(url: string): Promise<Socket> {
  const { hostname: host, port } = new URL(url)
  const socket = connect({ host, port: Number(port), noDelay: true })
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve).once('error', reject)
  })
  return socket
}

const headEnd = Buffer.from('\r\n\r\n')
const lastChunk = Buffer.from('0\r\n\r\n')

/**
 * Sends requests on one connection, each when the answer to the last is whole, until there are no more.
 *
 * @returns how many answers were not 200
 */
export async function exchange(url: string, requests: Iterator<Buffer>): Promise<number> {
  const socket = await open(url)
  let refused = 0
  await new Promise<void>((resolve, reject) => {
    /** Bytes that are missing; undefined while the head is, and infinite where a last chunk tells. */
    let missing: number | undefined
    let tail: Buffer = Buffer.alloc(0)
    const next = () => {
      const { value, done } = requests.next()
      missing = undefined
      tail = Buffer.alloc(0)
      if (done === true) resolve()
      else socket.write(value)
    }
    socket.on('data', (bytes: Buffer) => {
      tail = tail.length === 0 ? bytes : Buffer.concat([tail, bytes])
      if (missing === undefined) {
        const at = tail.indexOf(headEnd)
        if (at < 0) return
        const head = tail.toString('latin1', 0, at)
        if (!head.startsWith('HTTP/1.1 200')) refused += 1
        const length = /content-length: (\d+)/i.exec(head)?.[1]
        missing = length === undefined ? Number.POSITIVE_INFINITY : Number(length)
        tail = tail.subarray(at + headEnd.length)
      }
      if (missing === Number.POSITIVE_INFINITY) {
        // One request at a time: what follows the last chunk is nothing, so it is at the end or not there yet.
        if (tail.subarray(-lastChunk.length).equals(lastChunk)) next()
        else tail = tail.subarray(-lastChunk.length)
        return
      }
      missing -= tail.length
      tail = Buffer.alloc(0)
      if (missing <= 0) next()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new InvariantError('A server of the bench closed a connection.')))
    next()
  }).finally(() => socket.destroy())
  return refused
}
