import { randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { z } from 'zod'
import { concatBytes } from '../protocol/binary/bytes.ts'
import { tokenResponseLength } from '../protocol/network/payment.ts'
import { mediaTypes, routes } from '../protocol/network/routes.ts'
import type { Wallet, WalletIssuer, WalletRequest } from '../tokens/wallet/openWallet.ts'
import { ClientOptionError, type PrivateNetworkError, TransportError } from './errors.ts'
import { joinUrl } from './joinUrl.ts'
import { type RefusalCode, refuse } from './refusals.ts'
import { parseJson, readProblem } from './respond.ts'
import { readAll, type Transport, type TransportResponse } from './transport.ts'

/** The most TokenRequests in one request to a mint. */
export const mostPerRequest = 256

const verifiedAtOnce = 16

/** How a mint is asked. */
export type MintLink = {
  readonly url: string
  readonly name: string
  /** From {@link createAccountKey}. */
  readonly account: string
  readonly transport: Transport
  /** Milliseconds. */
  readonly timeout: number
  readonly signal?: AbortSignal | undefined
}

/** A new account key: 32 random bytes as 43 characters of base64url. Who has it can buy at the account's cost. */
export const createAccountKey = (): string => randomBytes(32).toString('base64url')

/**
 * Checks an account key, as a person or a file gives it.
 *
 * @throws {ClientOptionError} without quoting it
 */
export function readAccountKey(text: string): string {
  const bytes = Buffer.from(text.trim(), 'base64url')
  if (bytes.length !== 32 || bytes.toString('base64url') !== text.trim())
    throw new ClientOptionError(
      'the account key is none',
      'Give the 43 characters of base64url that the account was opened with.',
    )
  return text.trim()
}

/**
 * Buys tokens into a wallet. What was asked for before and not answered is asked for again first, with the same bytes,
 * which costs nothing more.
 *
 * @param count how many are to come, those counted that were asked for before; 0 to 10,000
 * @returns how many came
 * @throws {PrivateNetworkError} `account_unknown`, `account_empty`, `mint_unreachable` or `mint_refused`; what came
 * before it is in the wallet
 */
export async function buyTokens(
  mint: MintLink,
  {
    wallet,
    issuer,
    count,
  }: { readonly wallet: Wallet; readonly issuer: WalletIssuer; readonly count: number },
): Promise<number> {
  const pending = wallet.pending(issuer)
  const missing = Math.max(0, count - pending.length)
  const requests = [...pending, ...(missing === 0 ? [] : await wallet.request(issuer, missing))]
  const bought = await buyAll(mint, wallet, issuer, requests)
  // Nothing came without any other refusal only where the mint signed none of them, and will not.
  if (bought === 0 && requests.length > 0) throw refusedBy(mint, 422)
  return bought
}

/**
 * Asks again for what was asked for with a key that signs nothing new any more, which costs nothing: what was paid for
 * comes, and what the mint says that it never signed is given up.
 *
 * @returns how many came
 * @throws {PrivateNetworkError} as {@link buyTokens}; what is not known stays asked for
 */
export function collectTokens(
  mint: MintLink,
  { wallet, issuer }: { readonly wallet: Wallet; readonly issuer: WalletIssuer },
): Promise<number> {
  return buyAll(mint, wallet, issuer, wallet.pending(issuer))
}

async function buyAll(
  mint: MintLink,
  wallet: Wallet,
  issuer: WalletIssuer,
  requests: readonly WalletRequest[],
): Promise<number> {
  let bought = 0
  for (let at = 0; at < requests.length; at += mostPerRequest)
    bought += await buyBatch(mint, wallet, issuer, requests.slice(at, at + mostPerRequest))
  return bought
}

async function buyBatch(
  mint: MintLink,
  wallet: Wallet,
  issuer: WalletIssuer,
  batch: readonly WalletRequest[],
): Promise<number> {
  const answer = await askMint(mint, routes.mint.tokenRequests, {
    type: mediaTypes.tokenRequest,
    body: concatBytes(...batch.map(({ request }) => request)),
  })
  if (answer.status === 402) {
    const payable = await payableOf(mint, batch.length, answer.body)
    if (payable <= 0 || payable >= batch.length) throw refuse('account_empty', { limit: { mint: mint.name } })
    // The rest stays asked for, and is bought when there is more in the account.
    return buyBatch(mint, wallet, issuer, batch.slice(0, payable))
  }
  if (answer.status === 422) return sortOut(mint, wallet, issuer, batch)
  if (answer.status !== 200 || answer.body.length !== batch.length * tokenResponseLength)
    throw refusedBy(mint, answer.status)
  const responses = batch.map(({ counter }, index) => ({
    counter,
    response: answer.body.subarray(index * tokenResponseLength, (index + 1) * tokenResponseLength),
  }))
  // Verified a few at a time, so that no request waits for all of them.
  for (let at = 0; at < responses.length; at += verifiedAtOnce) {
    await wallet.receive(issuer, responses.slice(at, at + verifiedAtOnce))
    await setImmediate()
  }
  return batch.length
}

/**
 * How many of a batch can be had: as many as the account has tokens left, and those that were paid before. They were
 * asked for before the others, and stand in front.
 */
async function payableOf(mint: MintLink, count: number, body: Uint8Array): Promise<number> {
  const limit = readProblem(body)?.error.rialto?.limit
  if (typeof limit?.tokens === 'number' && typeof limit.asked === 'number')
    return count - limit.asked + limit.tokens
  return readAccount(mint)
}

/**
 * A mint refuses a batch as a whole when it will not sign one of it. Each is asked for by itself: those that were paid
 * come, and those that never will would stand in the way of everything behind them.
 */
async function sortOut(
  mint: MintLink,
  wallet: Wallet,
  issuer: WalletIssuer,
  batch: readonly WalletRequest[],
): Promise<number> {
  let came = 0
  for (const { counter, request } of batch) {
    const { status, body } = await askMint(mint, routes.mint.tokenReissue, {
      type: mediaTypes.tokenRequest,
      body: request,
    })
    if (status === 200 && body.length === tokenResponseLength) {
      await wallet.receive(issuer, [{ counter, response: body }])
      came += 1
      // Any other 404 may come from whatever stands in front of the mint.
    } else if (status === 404 && readProblem(body)?.error.code === 'never_signed')
      await wallet.abandon(issuer, [counter])
    else throw refusedBy(mint, status)
  }
  return came
}

const accountSchema = z.object({ tokens: z.int().min(0) })

/** How many tokens an account has left. @throws {PrivateNetworkError} */
export async function readAccount(mint: MintLink): Promise<number> {
  const { status, body } = await askMint(mint, routes.mint.account)
  const parsed = accountSchema.safeParse(parseJson(body))
  if (status !== 200 || !parsed.success) throw refusedBy(mint, status)
  return parsed.data.tokens
}

/** RFC 9578, section 4. */
const issuerDirectorySchema = z.object({
  'token-keys': z.array(z.object({ 'token-type': z.int(), 'token-key': z.string() })),
})

/**
 * The keys that a mint publishes itself, each as base64 of its encoding (RFC 9578, section 4).
 *
 * @throws {PrivateNetworkError} `mint_unreachable` or `mint_refused`
 */
export async function readMintKeys(mint: Omit<MintLink, 'account'>): Promise<ReadonlySet<string>> {
  const { status, body } = await askMint(mint, routes.mint.issuerDirectory)
  const parsed = issuerDirectorySchema.safeParse(parseJson(body))
  if (status !== 200 || !parsed.success) throw refusedBy(mint, status)
  return new Set(
    parsed.data['token-keys']
      .filter((each) => each['token-type'] === 2)
      .map((each) => Buffer.from(each['token-key'], 'base64url').toString('base64')),
  )
}

/**
 * Asks a mint for something.
 *
 * @throws {PrivateNetworkError} `mint_unreachable`
 */
export async function askMint(
  mint: Omit<MintLink, 'account'> & { readonly account?: string },
  path: string,
  content?: { readonly type: string; readonly body: Uint8Array },
): Promise<{ readonly status: number; readonly body: Buffer }> {
  const url = joinUrl(mint.url, path)
  try {
    const response: TransportResponse = await mint.transport({
      url,
      method: content === undefined ? 'GET' : 'POST',
      headers: {
        ...(mint.account === undefined ? {} : { authorization: `Bearer ${mint.account}` }),
        ...(content === undefined ? {} : { 'content-type': content.type }),
      },
      ...(content === undefined ? {} : { body: content.body }),
      firstByte: mint.timeout,
      idle: mint.timeout,
      signal: mint.signal,
    })
    return { status: response.status, body: await readAll(url, response, 1024 * 1024) }
  } catch (cause) {
    if (cause instanceof TransportError)
      throw refuse('mint_unreachable', { limit: { mint: mint.name }, cause })
    throw cause
  }
}

/** The refusal that a mint's status stands for. */
export function refusedBy({ name }: { readonly name: string }, status: number): PrivateNetworkError {
  const codes: Readonly<Record<number, RefusalCode>> = { 401: 'account_unknown', 402: 'account_empty' }
  return refuse(codes[status] ?? 'mint_refused', { limit: { mint: name, status } })
}
