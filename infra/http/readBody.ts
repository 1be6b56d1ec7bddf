import type { IncomingMessage } from 'node:http'
import { BodyError } from './errors.ts'

/**
 * Reads a body as a whole.
 *
 * @param limits.most bytes; a longer one is refused as soon as its length is known
 * @param limits.stall milliseconds without a byte after which the sender is given up; 10,000 by default
 * @throws {BodyError}
 */
export function readBody(
  message: IncomingMessage,
  { most, stall = 10_000 }: { readonly most: number; readonly stall?: number },
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    let length = 0
    const timer = setTimeout(() => finish(new BodyError('stalled')), stall)
    const finish = (error?: BodyError) => {
      clearTimeout(timer)
      message.off('data', take).off('end', end).off('close', closed).off('error', closed)
      if (error === undefined) {
        resolve(parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts, length))
      } else {
        // What is still on its way is not worth reading; the handler answers and the connection ends.
        message.on('error', () => undefined)
        message.pause()
        reject(error)
      }
    }
    const take = (part: Buffer) => {
      timer.refresh()
      length += part.length
      if (length > most) finish(new BodyError('too-large'))
      else parts.push(part)
    }
    const end = () => finish()
    const closed = () => finish(new BodyError('aborted'))
    if (Number(message.headers['content-length'] ?? 0) > most) finish(new BodyError('too-large'))
    else message.on('data', take).on('end', end).on('close', closed).on('error', closed)
  })
}
