import { z } from 'zod'
import type { TokenKey } from '../../protocol/network/directory.ts'
import { routes } from '../../protocol/network/routes.ts'
import { readTokenKey } from '../../tokens/blindRsa/keys.ts'
import { TokenError } from '../../tokens/errors.ts'
import { TOKEN_TYPE } from '../../tokens/privacyPass/token.ts'
import { PeerError } from '../errors.ts'
import type { MintOption } from '../options.ts'
import { fetchText } from './fetchText.ts'
import { type Watch, watch } from './watch.ts'

const MOST_BYTES = 65_536
const MOST_KEYS = 16
/** How soon a mint is asked again whose keys are not known yet, in milliseconds. */
const EAGER = 1_000
/** 31 December 9999: the end of a key for which its mint states none. */
export const NO_END = 253_402_300_799

const seconds = z.int().min(0)

/**
 * RFC 9578, section 4: `token-keys` with `token-type`, `token-key` and, where the key is not yet in use, `not-before`.
 * `not-after` is ours: tokens of the key are accepted up to then, though the mint may sign with another by now.
 */
const issuerDirectory = z.looseObject({
  'token-keys': z.array(
    z.looseObject({
      'token-type': z.int(),
      'token-key': z.string(),
      'not-before': seconds.optional(),
      'not-after': seconds.optional(),
    }),
  ),
})

/**
 * The keys in an issuer directory that sign tokens of type 0x0002.
 *
 * @throws {PeerError}
 */
export function readIssuerDirectory(text: string, peer: string): readonly TokenKey[] {
  try {
    const { 'token-keys': keys } = issuerDirectory.parse(JSON.parse(text))
    const found = keys
      .filter((key) => key['token-type'] === TOKEN_TYPE)
      .map((key) => {
        // RFC 9578 writes base64url, with or without padding; Node reads either.
        const { spki } = readTokenKey(Buffer.from(key['token-key'], 'base64'))
        return {
          key: Buffer.from(spki).toString('base64'),
          notBefore: key['not-before'] ?? 0,
          notAfter: key['not-after'] ?? NO_END,
        }
      })
    if (found.length > 0 && found.length <= MOST_KEYS) return found
  } catch (error) {
    if (!(error instanceof z.ZodError || error instanceof SyntaxError || error instanceof TokenError))
      throw error
    throw new PeerError(peer, 'has an issuer directory that cannot be read', error)
  }
  throw new PeerError(peer, `has an issuer directory with none or more than ${MOST_KEYS} keys`)
}

/** A mint whose keys are looked at now and then. */
export type MintView = MintOption & {
  /** Whose tokens are taken; empty until they are known. */
  readonly keys: readonly TokenKey[]
}

export type MintWatch = {
  readonly views: readonly MintView[]
  /** Resolves when each was asked once. */
  readonly asked: Promise<void>
  /** Takes the keys of a directory that another process has published since. */
  adopt(known: ReadonlyMap<string, readonly TokenKey[]>): void
  stop(): void
}

/**
 * Looks at the keys of all mints. A key that its mint gave an end is kept until then, listed or not: its tokens are
 * in wallets. One without is dropped when it is listed no more.
 *
 * @param known keys from a directory that was published before, by the mint's name
 * @param onChange called after a mint's keys are others than before
 */
export function watchMints(parameters: {
  readonly mints: readonly MintOption[]
  readonly known: ReadonlyMap<string, readonly TokenKey[]>
  readonly pause: number
  readonly now: () => number
  readonly onChange: () => void
  /** Told when a mint cannot be asked, and when it can again. */
  readonly onProblem: (peer: string, problem: unknown) => void
}): MintWatch {
  const { mints, known, pause, now, onChange, onProblem } = parameters
  const views = mints.map((mint) => ({ ...mint, keys: known.get(mint.name) ?? [] }))
  const asked: Promise<void>[] = []
  const watches: Watch[] = views.map((view) => {
    const peer = `The mint ${view.name}`
    let answered = false
    const watching = watch(
      async () => {
        try {
          const url = `${view.url}${routes.mint.issuerDirectory}`
          const text = await fetchText({ url, peer, most: MOST_BYTES })
          const listed = readIssuerDirectory(text, peer)
          answered = true
          onProblem(peer, undefined)
          const keys = mergeKeys(view.keys, listed, Math.floor(now() / 1000))
          if (JSON.stringify(keys) === JSON.stringify(view.keys)) return
          view.keys = keys
          onChange()
        } catch (error) {
          onProblem(peer, error)
        }
      },
      () => (answered ? pause : Math.min(EAGER, pause)),
    )
    asked.push(watching.first)
    return watching
  })
  return {
    views,
    asked: Promise.all(asked).then(() => undefined),
    adopt(others) {
      for (const view of views) view.keys = others.get(view.name) ?? view.keys
    },
    stop() {
      for (const each of watches) each.stop()
    },
  }
}

function mergeKeys(
  before: readonly TokenKey[],
  listed: readonly TokenKey[],
  seconds: number,
): readonly TokenKey[] {
  const names = new Set(listed.map(({ key }) => key))
  const kept = before.filter(
    ({ key, notAfter }) => !names.has(key) && notAfter !== NO_END && notAfter > seconds,
  )
  return [...kept, ...listed].slice(-MOST_KEYS)
}
