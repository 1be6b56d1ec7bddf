/**
 * Waits for something, but no longer than a signal allows. What is waited for goes on.
 *
 * @param onAbort called when the signal ended the waiting
 * @throws the signal's reason
 */
export async function orAbort<Value>(
  work: Promise<Value>,
  signal: AbortSignal | undefined,
  onAbort: () => void = () => undefined,
): Promise<Value> {
  if (signal === undefined) return work
  let stop: () => void = () => undefined
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
  try {
    return await Promise.race([work, aborted])
  } catch (error) {
    if (signal.aborted) onAbort()
    throw error
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
