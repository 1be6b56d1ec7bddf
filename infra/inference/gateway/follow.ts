import type { ServerResponse } from 'node:http'
import { cutStalled } from '../../http/stall.ts'
import type { ChunkSealer } from '../protocol/ohttp/chunked.ts'
import { ohttpMediaTypes } from '../protocol/ohttp/mediaTypes.ts'
import type { Delivery } from './deliveries.ts'

/** How an answer went out to one client. */
export type Followed =
  | 'whole'
  /** The client went away. */
  | 'gone'
  /** The client took nothing for too long, or held up the node for as long as it may. */
  | 'stalled'
  /** The answer broke off. Where nothing was sent, something may still be. */
  | 'broken'
  /** Its beginning is no longer kept; nothing was sent. */
  | 'late'

export type FollowParameters = {
  readonly response: ServerResponse
  readonly sealer: ChunkSealer
  /** Milliseconds for which the client may take nothing. */
  readonly stall: number
  /** Called when the answer begins. */
  readonly onBegin: () => void
}

/**
 * Passes an answer on to a client as it comes, sealed.
 *
 * @returns when it has ended in some way; never throws for what the client does
 */
export async function follow(delivery: Delivery, parameters: FollowParameters): Promise<Followed> {
  const { response, sealer, stall, onBegin } = parameters
  let cut: Followed | undefined
  const reader = delivery.attach(() => {
    cut = 'stalled'
    response.destroy()
  })
  if (reader === undefined) return 'late'
  const written = cutStalled(response, stall, () => {
    cut = 'stalled'
  })
  response.once('close', () => reader.leave())
  if (response.destroyed) reader.leave()
  try {
    for (;;) {
      const next = reader.take()
      if (next === undefined) {
        if (reader.broken) {
          if (response.destroyed) return cut ?? 'gone'
          if (response.headersSent) response.destroy()
          return 'broken'
        }
        await reader.more()
        continue
      }
      const sealed = next.last ? await sealer.end(next.bytes) : await sealer.seal(next.bytes)
      if (response.destroyed) return cut ?? 'gone'
      if (!response.headersSent) {
        onBegin()
        response.writeHead(200, {
          'content-type': ohttpMediaTypes.chunkedResponse,
          'cache-control': 'no-store',
          ...(next.last ? { 'content-length': sealed.length } : {}),
        })
      }
      if (next.last) {
        response.end(sealed)
        written()
        return 'whole'
      }
      if (!response.write(sealed)) {
        written()
        await drained(response)
      }
    }
  } finally {
    reader.leave()
  }
}

/** Resolves when a response can take more, or takes no more at all. */
function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}
