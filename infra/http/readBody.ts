import type { IncomingMessage } from 'node:http'
import { type BodyBudget, FREE_LENGTH } from './bodyBudget.ts'
import { BodyError } from './errors.ts'

/** Bytes that are held for a body at first; what more arrives doubles it. */
const FIRST_CAPACITY = 4_096

const nothing: Buffer = Buffer.alloc(0)

/** Twice what there is, and no step past the length from which on it is counted before that is reached. */
const capacityFor = (length: number): number =>
  length > FREE_LENGTH ? 2 * length : Math.min(FREE_LENGTH, Math.max(FIRST_CAPACITY, 2 * length))

/**
 * Reads a body as a whole, into one piece of memory that grows with what arrived: a body in chunks of a byte each
 * costs no more than another.
 *
 * @param limits.most bytes; a longer one is refused as soon as its length is known
 * @param limits.stall milliseconds without a byte after which the sender is given up; 10,000 by default
 * @param limits.slowest bytes a second that have to arrive on the whole, `stall` aside; 1,000 by default
 * @param limits.budget what the memory of a body above 64 KiB is counted in, as the memory grows. It is counted until
 *   the caller releases `message`, which it does once it is done with the body.
 * @throws {BodyError}
 */
export function readBody(
  message: IncomingMessage,
  limits: {
    readonly most: number
    readonly stall?: number
    readonly slowest?: number
    readonly budget?: BodyBudget
  },
): Promise<Buffer> {
  const { most, stall = 10_000, slowest = 1_000, budget } = limits
  return new Promise((resolve, reject) => {
    let body = nothing
    let length = 0
    const declared = Number(message.headers['content-length'] ?? most)
    const begun = performance.now()
    const timer = setTimeout(() => fail('stalled'), stall)
    const finish = () => {
      clearTimeout(timer)
      message.off('data', take).off('end', end).off('close', closed).off('error', closed)
    }
    const fail = (fault: BodyError['fault']) => {
      finish()
      // Nobody has it, and what listens from here on would hold it.
      body = nothing
      budget?.release(message)
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
      if (before === 0 && part.length >= FIRST_CAPACITY && part.length <= FREE_LENGTH) body = part
      else {
        if (length > body.length) {
          const capacity = Math.min(declared, capacityFor(length))
          if (capacity > FREE_LENGTH && budget?.take(message, capacity, begun, fail) === false)
            return fail('crowded')
          const larger = Buffer.allocUnsafe(capacity)
          body.copy(larger, 0, 0, before)
          body = larger
        }
        part.copy(body, before)
      }
    }
    const end = () => {
      finish()
      if (length > FREE_LENGTH) budget?.keep(message)
      resolve(body.subarray(0, length))
    }
    const closed = () => fail('aborted')
    if (message.destroyed) fail('aborted')
    else if (declared > most) fail('too-large')
    else message.on('data', take).on('end', end).on('close', closed).on('error', closed)
  })
}
