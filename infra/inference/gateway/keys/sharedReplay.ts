/**
 * What remembers, for all gateway processes behind one name, the requests that each of their keys opened.
 *
 * An implementation **must**
 *
 * 1. answer true to exactly one of all calls with the same key and `enc`, however many processes ask at once;
 * 2. answer only when the request is remembered where every process finds it;
 * 3. fail, and never answer true, while it cannot know.
 */
export type SharedReplay = {
  /**
   * Remembers a request.
   *
   * @param key which key opened it, a name of 1 to 64 letters, digits, `.` or `-`
   * @param enc its encapsulated key, 32 bytes
   * @param ttl milliseconds for which the key is accepted at most: it may be forgotten after
   * @returns whether it was not seen before
   * @throws {SharedReplayError}
   */
  admit(key: string, enc: Uint8Array, ttl: number): Promise<boolean>
}
