import { MessageTooLargeError } from './errors.ts'

/**
 * The sizes that a Binary HTTP request may have on this network, in bytes: 2 KiB, doubled up to 8 MiB.
 *
 * Whoever carries a sealed request sees its length. With this ladder they see one of 13 sizes, at the price of
 * at most twice the bytes; a question of a few lines and one of a page are the same size.
 */
export const requestBuckets: readonly number[] = Array.from({ length: 13 }, (_, rung) => 2048 << rung)

/**
 * The size to which a request is padded, in bytes: the smallest bucket that holds it.
 *
 * @param length of the Binary HTTP request, in bytes
 * @throws MessageTooLargeError above 8 MiB
 * @example
 * requestBucket(2048) // 2048
 * requestBucket(2049) // 4096
 */
export function requestBucket(length: number): number {
  const bucket = requestBuckets.find((size) => size >= length)
  if (bucket === undefined) throw new MessageTooLargeError('a request', requestBuckets.at(-1) ?? 0)
  return bucket
}

/**
 * Pads a Binary HTTP request to its bucket: "Messages can be padded with any number of zero-valued bytes"
 * (RFC 9292, section 3.8). Its decoder needs to know nothing of it. The padding is within what is sealed.
 *
 * @param request of either framing, truncated or not
 * @param least the smallest bucket that is used, where short requests shall not be told from longer ones
 * @throws MessageTooLargeError above 8 MiB
 */
export function padRequest(request: Uint8Array, least = 0): Uint8Array {
  const padded = new Uint8Array(requestBucket(Math.max(request.length, least)))
  padded.set(request)
  return padded
}
