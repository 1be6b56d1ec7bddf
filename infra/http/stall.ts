import type { ServerResponse } from 'node:http'

/**
 * Cuts an answer off whose reader takes nothing for a time. A reader that is slow and takes something is let be.
 *
 * The socket's buffers hold megabytes for a reader that does nothing; only the time tells.
 *
 * @param milliseconds for which written bytes may wait without one of them being taken
 * @returns to be called after each write; it ends by itself with the answer
 * @example
 * const written = cutStalled(response, 30_000, () => metrics.requests.inc({ route, outcome: 'stalled' }))
 * if (!response.write(bytes)) { written(); await once(response, 'drain') }
 */
export function cutStalled(response: ServerResponse, milliseconds: number, onCut: () => void): () => void {
  let timer: NodeJS.Timeout | undefined
  const clear = () => {
    clearTimeout(timer)
    timer = undefined
  }
  response.once('close', clear)
  response.on('drain', clear)
  return () => {
    if (!response.writableNeedDrain || timer !== undefined || response.destroyed) return
    let taken = response.socket?.bytesWritten ?? 0
    const look = () => {
      const now = response.socket?.bytesWritten ?? 0
      // `bytesWritten` counts what waits in the process too; what waits has to shrink for progress.
      const waiting = response.writableLength
      if (now - waiting > taken) {
        taken = now - waiting
        timer = setTimeout(look, milliseconds)
      } else {
        onCut()
        response.destroy()
      }
    }
    taken -= response.writableLength
    timer = setTimeout(look, milliseconds)
  }
}
