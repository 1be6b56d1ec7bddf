import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach } from 'vitest'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import { toInteger } from '../tokens/blindRsa/integers.ts'
import { readTokenKey, type TokenPublicKey } from '../tokens/blindRsa/keys.ts'
import {
  encodeTokenRequest,
  finalizeToken,
  type PendingToken,
  requestToken,
} from '../tokens/privacyPass/issuance.ts'
import { challengeDigest, gatewayChallenge } from '../tokens/privacyPass/tokenChallenge.ts'
import { type Mint, type MintOptions, startMint } from './startMint.ts'

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

/** Ended after the test, before what was begun earlier. */
export const afterTest = (end: () => unknown): void => void undo.push(end)

/** A folder for the length of a test. */
export function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'rialto-mint-'))
  afterTest(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Starts a mint that is closed after the test, if it is not before. */
export async function mintIn(state: string, options: Partial<MintOptions> = {}): Promise<Mint> {
  const mint = await startMint({ state, name: 'mint.example', patience: 0, ...options })
  let closed: Promise<void> | undefined
  const close = (grace?: number) => {
    closed ??= mint.close(grace)
    return closed
  }
  afterTest(() => close())
  return { ...mint, close }
}

/** A key of an account, and what a mint knows the account by. */
export function newAccount(): { readonly key: string; readonly hash: string } {
  const key = randomBytes(32)
  return { key: key.toString('base64url'), hash: createHash('sha256').update(key).digest('hex') }
}

type ListedKey = { readonly 'token-key': string; readonly 'not-before': number; readonly 'not-after': number }

/** The keys that a mint lists, as they are listed. */
export async function listedKeys(url: string): Promise<readonly ListedKey[]> {
  const answer = await fetch(`${url}${routes.mint.issuerDirectory}`)
  return ((await answer.json()) as { 'token-keys': ListedKey[] })['token-keys']
}

/** The key to ask for at a time in seconds: the first that has begun (RFC 9578, section 4). */
export async function currentKey(url: string, now = Date.now() / 1_000): Promise<TokenPublicKey> {
  const listed = (await listedKeys(url)).find((each) => each['not-before'] <= now)
  return readTokenKey(Buffer.from(listed?.['token-key'] ?? '', 'base64url'))
}

const challenge = challengeDigest(gatewayChallenge({ issuer: 'mint.example', gateway: 'gateway.example' }))

/** So many requests for tokens. */
export const newRequests = (publicKey: TokenPublicKey, count: number): readonly PendingToken[] =>
  Array.from({ length: count }, () =>
    requestToken({
      publicKey,
      challengeDigest: challenge,
      secrets: {
        nonce: randomBytes(32),
        salt: randomBytes(48),
        blind: (toInteger(randomBytes(300)) % (publicKey.n - 2n)) + 1n,
      },
    }),
  )

export const bytesOf = (requests: readonly PendingToken[]): Buffer =>
  Buffer.concat(requests.map(({ request }) => encodeTokenRequest(request)))

/** Buys, or tries to. */
export const buy = (
  url: string,
  key: string,
  body: Uint8Array,
  path: string = routes.mint.tokenRequests,
): Promise<Response> =>
  fetch(`${url}${path}`, {
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${key}`, 'content-type': mediaTypes.tokenRequest },
  })

/** Takes the blinding off, which fails where a signature is not the key's. @returns how many tokens came of it */
export async function finish(requests: readonly PendingToken[], answer: Response): Promise<number> {
  const bytes = Buffer.from(await answer.arrayBuffer())
  const tokens = requests.map((request, at) =>
    finalizeToken(request, bytes.subarray(256 * at, 256 * (at + 1))),
  )
  return bytes.length === 256 * tokens.length ? tokens.length : Number.NaN
}

/** What an account has left. */
export async function balanceOf(url: string, key: string): Promise<number> {
  const answer = await fetch(`${url}${routes.mint.account}`, { headers: { authorization: `Bearer ${key}` } })
  return ((await answer.json()) as { tokens: number }).tokens
}

export const codeOf = async (answer: Response): Promise<string> =>
  ((await answer.json()) as { error: { code: string } }).error.code
