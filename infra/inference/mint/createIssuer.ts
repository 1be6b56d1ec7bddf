import { TokenError } from '../tokens/errors.ts'
import { decodeTokenRequest, requireIssuable, type TokenRequest } from '../tokens/privacyPass/issuance.ts'
import type { KeyRing, MintKey } from './keyRing.ts'
import { type Ledger, type Purchase, purchaseDigest } from './ledger.ts'
import type { MintRefusal } from './refusals.ts'
import type { SigningQueue } from './signingQueue.ts'

/** Bytes of a TokenRequest of type 0x0002 (RFC 9578, section 6.1). */
export const TOKEN_REQUEST_LENGTH = 259

/** Milliseconds of the hour by which the faucet is limited. */
const HOUR = 3_600_000

export type Faucet = {
  /** Given to an account that was never seen. */
  readonly tokens: number
  /** So many accounts in an hour. */
  readonly accountsPerHour: number
}

/** Sells signatures to accounts. */
export type Issuer = {
  /** What an account has left, or would get when it buys for the first time. */
  balance(account: string): { readonly tokens: number } | MintRefusal
  /**
   * Charges an account for what it did not pay before, records it, and signs.
   *
   * @param account SHA-256 of the account key in hex
   * @param body TokenRequests, one behind the other
   * @param isWanted whether there is still somebody to answer to
   * @param paidOnly refuses what was not paid before instead of charging it, for a client that recovers its wallet
   * @returns the TokenResponses, one behind the other; undefined when nobody wants them any more
   */
  issue(
    account: string,
    body: Uint8Array,
    isWanted: () => boolean,
    paidOnly?: boolean,
  ): Promise<Uint8Array | MintRefusal | undefined>
}

/** What a request asks for, with the key that is to sign it. */
type Asked = Purchase & { readonly request: TokenRequest; readonly by: MintKey }

export function createIssuer(parameters: {
  readonly ring: KeyRing
  readonly ledger: Ledger
  readonly queue: SigningQueue
  readonly faucet: Faucet | undefined
}): Issuer {
  const { ring, ledger, queue, faucet } = parameters

  function balance(account: string): ReturnType<Issuer['balance']> {
    const tokens = ledger.balance(account)
    if (tokens !== undefined) return { tokens }
    if (faucet === undefined) return { code: 'account_unknown' }
    const { accountsPerHour } = faucet
    return ledger.faucetAccounts(HOUR) < accountsPerHour
      ? { tokens: faucet.tokens }
      : { code: 'faucet_exhausted', limit: { accountsPerHour } }
  }

  /** Reads one request. What was paid is signed with the key that it was paid for, current or not. */
  function read(account: string, bytes: Uint8Array): Asked | undefined {
    try {
      const request = decodeTokenRequest(bytes)
      const digest = purchaseDigest(account, bytes)
      const paid = ring.find(ledger.keyOf(digest) ?? '')
      if (paid !== undefined) return { request, digest, key: paid.id, by: paid }
      const by = ring
        .signing()
        .find(({ id }) => Number.parseInt(id.slice(-2), 16) === request.truncatedTokenKeyId)
      if (by === undefined) return undefined
      requireIssuable([by.pair], request)
      return { request, digest, key: by.id, by }
    } catch (error) {
      if (error instanceof TokenError) return undefined
      throw error
    }
  }

  return {
    balance,
    async issue(account, body, isWanted, paidOnly = false) {
      await ring.refresh()
      // From here to the charge nothing is awaited, so that no other request comes between.
      const has = balance(account)
      if ('code' in has) return has
      const asked: Asked[] = []
      for (let at = 0; at < body.length; at += TOKEN_REQUEST_LENGTH) {
        const one = read(account, body.subarray(at, at + TOKEN_REQUEST_LENGTH))
        if (one === undefined) return { code: paidOnly ? 'never_signed' : 'token_request_refused' }
        asked.push(one)
      }
      const unpaid = new Map(
        asked.filter(({ digest }) => ledger.keyOf(digest) === undefined).map((one) => [one.digest, one]),
      )
      if (asked.length === 0) return { code: 'token_request_refused' }
      if (paidOnly && unpaid.size > 0) return { code: 'never_signed' }
      if (unpaid.size > has.tokens)
        return { code: 'account_empty', limit: { tokens: has.tokens, asked: unpaid.size } }
      if (unpaid.size > 0) {
        if (faucet !== undefined && ledger.balance(account) === undefined)
          ledger.credit(account, faucet.tokens, 'faucet')
        ledger.charge(account, [...unpaid.values()])
      }
      try {
        // Also where nothing was charged: what was paid a moment ago may not be on the disk yet.
        await ledger.recorded()
        const signatures = await queue.sign(
          asked.map(({ by, request }) => ({ pair: by.pair, request })),
          isWanted,
        )
        return signatures === undefined ? undefined : Buffer.concat(signatures)
      } catch (error) {
        if (error instanceof TokenError)
          return { code: error.code === 'SIGNING_FAILED' ? 'signing_failed' : 'state_unavailable' }
        throw error
      }
    },
  }
}
