import type { GatewayKey, GatewayKeys } from '../../protocol/ohttp/keys.ts'

/**
 * The keys that requests to this gateway are sealed with.
 *
 * An implementation **must**
 *
 * 1. accept a key for as long as a directory that names it is valid, unless it can no longer tell its replays;
 * 2. admit a request under a key once;
 * 3. never give a key an identifier that another key which may still be used has.
 */
export type OhttpKeys = {
  /** By identifier, all that requests may be sealed with. Another map after each change. */
  readonly accepted: GatewayKeys
  /** What new directories name. */
  readonly current: GatewayKey
  /**
   * Remembers a request that opened, before anything is done for it.
   *
   * @throws ReplayedRequestError if it was admitted before
   * @throws UnknownKeyError if the key has served all that it can
   * @throws {SharedReplayError} if that cannot be known
   */
  admit(key: GatewayKey, enc: Uint8Array): void | Promise<void>
  /** Makes a new current key if it is time, and forgets those that have ended. */
  rotate(): Promise<void>
  /** Says that a directory with the current key is valid up to then, in milliseconds since 1970. */
  published(notAfter: number): void
  /** Takes what another process behind this name has published for the current key, if it is further on. */
  adopt(keys: Uint8Array): Promise<void>
}
