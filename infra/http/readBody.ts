import type { IncomingMessage } from 'node:http'
import { BodyError } from './errors.ts'

/** Bytes that are held for a body at first; what more arrives doubles it. */
const FIRST_CAPACITY = 4_096

/**
 * Reads a body as a whole, into one piece of memory that grows with what arrived: a body in chunks of a byte each
 * costs no more than another.
 *
 * @param limits.most bytes; a longer one is refused as soon as its length is known
 * @param limits.stall milliseconds without a byte after which the sender is given up; 10,000 by default
 * @param limits.slowest bytes a second that have to arrive on the whole, `stall` aside; 1,000 by default
 * @throws {BodyError}
 */
export function readBody(
  message: IncomingMessage,
  limits: { readonly most: number; readonly stall?: number; readonly slowest?: number },
): Promise<Buffer> {
  const { most, stall = 10_000, slowest = 1_000 } = limits
  return new Promise((resolve, reject) => {
    let body: Buffer = Buffer.alloc(0)
    let length = 0
    const begun = performance.now()
    const timer = setTimeout(() => fail('stalled'), stall)
    const finish = () => {
      clearTimeout(timer)
      message.off('data', take).off('end', end).off('close', closed).off('error', closed)
    }
    const fail = (fault: BodyError['fault']) => {
      finish()
      // What is still on its way is not worth reading; the handler answers, which discards it.
      message.on('error', () => undefined)
      message.pause()
      reject(new BodyError(fault))
    }
    const take = (part: Buffer) => {
      const before = length
      length += part.length
      if (length > most) return fail('too-large')
      if (performance.now() - begun > stall + (length / slowest) * 1_000) return fail('stalled')
      timer.refresh()
      if (before === 0 && part.length >= FIRST_CAPACITY) body = part
      else {
        if (length > body.length) {
          const larger = Buffer.allocUnsafe(Math.min(most, Math.max(FIRST_CAPACITY, 2 * length)))
          body.copy(larger, 0, 0, before)
          body = larger
        }
        part.copy(body, before)
      }
    }
    const end = () => {
      finish()
      resolve(body.subarray(0, length))
    }
    const closed = () => fail('aborted')
    if (message.destroyed) fail('aborted')
    else if (Number(message.headers['content-length'] ?? 0) > most) fail('too-large')
    else message.on('data', take).on('end', end).on('close', closed).on('error', closed)
  })
}
