import type { ServerResponse } from 'node:http'

/**
 * Cuts an answer off whose reader takes nothing for a time. A reader that is slow and takes something is let be.
 *
 * Only time tells one from the other: the system's buffers take megabytes for a reader that does nothing. It also
 * frees them in steps, of up to a third of a buffer (about 1 MiB), so a reader has to take as much in that time.
 *
 * The connection is reset, which gives the system's buffers back at once and never looks like an end.
 *
 * @param milliseconds for which written bytes may wait without one of them being taken
 * @returns to be called after each write, and after `end()`; it ends by itself with the answer
 * @example
 * const written = cutStalled(response, 30_000, () => metrics.requests.inc({ route, outcome: 'stalled' }))
 * if (!response.write(bytes)) { written(); await once(response, 'drain') }
 */
export function cutStalled(
  response: ServerResponse,
  milliseconds: number,
  onCut: () => void = () => undefined,
): () => void {
  let timer: NodeJS.Timeout | undefined
  let taken = 0
  // `bytesWritten` counts what waits in the process too; what waits has to shrink for progress.
  const countTaken = () => (response.socket?.bytesWritten ?? 0) - response.writableLength
  const waits = () =>
    !response.destroyed &&
    (response.writableNeedDrain || (response.writableEnded && !response.writableFinished))
  const watch = () => {
    taken = countTaken()
    timer = setTimeout(look, milliseconds)
  }
  const look = () => {
    timer = undefined
    if (!waits()) return
    if (countTaken() > taken) return watch()
    onCut()
    response.socket?.resetAndDestroy()
    response.destroy()
  }
  response.once('close', () => clearTimeout(timer))
  return () => {
    if (timer === undefined && waits()) watch()
  }
}
