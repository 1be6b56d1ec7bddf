import { readTokenKey, type TokenPublicKey } from '../blindRsa/keys.ts'
import { toHex } from '../bytes.ts'
import { TokenError } from '../errors.ts'
import { lockLog } from '../log/lockLog.ts'
import {
  decodeTokenResponse,
  encodeTokenRequest,
  finalizeToken,
  type PendingToken,
  requestToken,
} from '../privacyPass/issuance.ts'
import { encodeToken, nullifierOf } from '../privacyPass/token.ts'
import {
  challengeDigest,
  decodeTokenChallenge,
  encodeTokenChallenge,
  type TokenChallenge,
} from '../privacyPass/tokenChallenge.ts'
import { deriveNonce, deriveSecrets, type TokenPosition } from './deriveSecrets.ts'
import { openWalletFile, type WalletFileParameters } from './walletFile.ts'
import { applyEntry, type StoredSpend, type WalletEntry } from './walletState.ts'

/** Who signs tokens, and what for: a mint's or a gateway's key with the challenge of one gateway. */
export type WalletIssuer = { readonly publicKey: TokenPublicKey; readonly challenge: TokenChallenge }

/** A TokenRequest that waits for its TokenResponse, as bytes. */
export type WalletRequest = { readonly counter: number; readonly request: Uint8Array }
export type WalletResponse = { readonly counter: number; readonly response: Uint8Array }

/** Tokens on their way to a gateway. It is recorded before this is returned. */
export type WalletSpend = {
  readonly id: number
  /** Token structs, 354 bytes each. */
  readonly tokens: readonly Uint8Array[]
  /** TokenRequest structs for the change, as many as tokens. */
  readonly changeRequests: readonly Uint8Array[]
  /** Id of the key that the change is asked from, 32 bytes. */
  readonly changeKeyId: Uint8Array
  /** What the spend is for, 32 bytes. */
  readonly innerRequestHash: Uint8Array
}

export type Balance = {
  readonly requested: number
  readonly ready: number
  readonly spending: number
  readonly spent: number
}

/** How a lost wallet asks for what it had. */
export type RecoverySource = {
  /**
   * The TokenResponse to a request that may have been signed before; null when it was not. The same request gives the
   * same signature, so nothing is bought twice.
   */
  readonly reissue: (request: Uint8Array) => Promise<Uint8Array | null>
  /**
   * Whether a token was spent. Each is asked for on its own and has to go in a relayed request of its own: asked for
   * together, they would be known to be of one wallet.
   */
  readonly isSpent: (nullifier: Uint8Array) => Promise<boolean>
  /** So many requests in a row that were never signed mean that there are no more, from `atLeast` on. 256 when absent. */
  readonly gap?: number
  /** So many are asked for in any case: each token that was spent asked for one of change, signed or not. */
  readonly atLeast?: number
  /** Uses nothing again that was asked for here: whoever is not to know whose tokens are whose would recognise it. */
  readonly isAnonymous?: boolean
}

/**
 * A client's tokens on its disk. Each change is durable before it is answered, so that a crash at any moment loses
 * nothing: what was requested is requested again with the very same bytes, what was being spent is settled with the
 * very same spend.
 */
export type Wallet = {
  /** 32 bytes, from which everything is recovered. Keep a copy where the wallet is not. */
  exportSeed(): Uint8Array
  balance(issuer: WalletIssuer): Balance
  /** Makes the blinding of the next tokens ahead of time, which takes a third of a millisecond each. */
  prepare(issuer: WalletIssuer, count: number): void
  /** Begins to get tokens. @throws {TokenError} `LOG_UNWRITABLE` */
  request(issuer: WalletIssuer, count: number): Promise<readonly WalletRequest[]>
  /** What was requested and not answered, except for change: to be sent again after a crash. */
  pending(issuer: WalletIssuer): readonly WalletRequest[]
  /**
   * Takes the issuer's answers; all are checked before any is taken.
   *
   * @throws {TokenError} `TOKEN_SIGNATURE`, `TOKEN_FORMAT`, `WALLET_STATE` or `LOG_UNWRITABLE`
   */
  receive(issuer: WalletIssuer, responses: readonly WalletResponse[]): Promise<void>
  /** Gives up requests that the issuer refuses. Their counters are not used again. @throws {TokenError} `WALLET_STATE` */
  abandon(issuer: WalletIssuer, counters: readonly number[]): Promise<void>
  /**
   * Takes tokens out to be spent, once, with as many requests for change. Which ones of an issuer's is drawn at random:
   * a gateway that refuses them, so that they are released, is not shown them again sooner than others.
   *
   * @param parameters.issuers whose tokens may be taken, all of the first ones before any of the next
   * @param parameters.change who signs the change
   * @param parameters.innerRequestHash SHA-256 of the sealed inner request, 32 bytes
   * @throws {TokenError} `WALLET_EMPTY`, and nothing is taken; `LOG_UNWRITABLE`
   */
  spend(parameters: {
    readonly issuers: readonly WalletIssuer[]
    readonly count: number
    readonly innerRequestHash: Uint8Array
    readonly change: WalletIssuer
  }): Promise<WalletSpend>
  /** Spends that were never settled: to be sent again after a crash, and then settled or released. */
  unsettled(): readonly WalletSpend[]
  /**
   * Ends a spend with its change, the answers to the first of its requests. The tokens are gone.
   *
   * @returns how many tokens came back
   * @throws {TokenError} `WALLET_STATE`, `TOKEN_SIGNATURE`, `TOKEN_FORMAT` or `LOG_UNWRITABLE`
   */
  settle(id: number, changeResponses: readonly Uint8Array[]): Promise<number>
  /**
   * Puts the tokens of a spend back. Only for what never left, or what the gateway refused as a whole: a token that it
   * has seen and kept is refused for anything else from then on.
   */
  release(id: number): Promise<void>
  /**
   * Finds the tokens of an issuer again from the seed. To be run before anything else is done with that issuer.
   *
   * @returns how many are ready that were not known here
   * @throws {TokenError} `TOKEN_SIGNATURE` or `LOG_UNWRITABLE`, and what the source throws; nothing changed then
   */
  recover(issuer: WalletIssuer, source: RecoverySource): Promise<number>
  close(): Promise<void>
}

/**
 * Opens the wallet in a file, or makes one. One process holds it at a time: two would spend the same tokens and use
 * the same counters.
 *
 * @throws {TokenError} `WALLET_SECRET`, `LOG_LOCKED`, `LOG_CORRUPT` or `LOG_UNWRITABLE`
 * @example
 * const wallet = await openWallet({ path: '.rialto/wallet', secret: { kind: 'passphrase', passphrase } })
 */
export async function openWallet(
  parameters: WalletFileParameters & { readonly patience?: number },
): Promise<Wallet> {
  const unlock = await lockLog(parameters.path, parameters.patience)
  try {
    const { seed, state, log } = await openWalletFile(parameters)
    const indices = new Map<string, number>()
    const issuers: (WalletIssuer & { readonly digest: Uint8Array })[] = []
    const blinded = new Map<string, PendingToken>()

    /** Enters a step at once and resolves when it is on the disk: whoever comes next sees it already. */
    function commit(entry: WalletEntry): Promise<void> {
      applyEntry(state, entry)
      return log.append(entry)
    }

    const nameOf = (publicKey: TokenPublicKey, digest: Uint8Array): string =>
      toHex(publicKey.id) + toHex(digest)

    function learn(
      index: number,
      publicKey: TokenPublicKey,
      challenge: TokenChallenge,
      digest: Uint8Array,
    ): void {
      indices.set(nameOf(publicKey, digest), index)
      issuers[index] = { publicKey, challenge, digest }
    }

    function find({ publicKey, challenge }: WalletIssuer): number | undefined {
      return indices.get(nameOf(publicKey, challengeDigest(challenge)))
    }

    /** The issuer's number, which it is given when it is first used. The commit may be awaited with a later one. */
    function enter(issuer: WalletIssuer, commits: Promise<void>[]): number {
      const known = find(issuer)
      if (known !== undefined) return known
      const index = state.issuers.length
      const { publicKey, challenge } = issuer
      commits.push(
        commit({
          kind: 'issuer',
          spki: toBase64(publicKey.spki),
          challenge: toBase64(encodeTokenChallenge(challenge)),
        }),
      )
      learn(index, publicKey, challenge, challengeDigest(challenge))
      return index
    }

    function positionOf(index: number, counter: number): TokenPosition {
      const issuer = issuers[index]
      if (issuer === undefined) throw wrongState('has no such issuer')
      return { seed, publicKey: issuer.publicKey, challengeDigest: issuer.digest, counter }
    }

    function blind(index: number, counter: number): PendingToken {
      const key = `${index}/${counter}`
      const known = blinded.get(key)
      if (known !== undefined) return known
      const position = positionOf(index, counter)
      const made = requestToken({ ...position, secrets: deriveSecrets(position) })
      blinded.set(key, made)
      return made
    }

    const requestBytes = (index: number, counter: number) => encodeTokenRequest(blind(index, counter).request)

    function accept(index: number, { counter, response }: WalletResponse): [number, string] {
      const { authenticator } = finalizeToken(blind(index, counter), decodeTokenResponse(response))
      return [counter, toBase64(authenticator)]
    }

    function requireRequested(index: number | undefined, counters: readonly number[]): number {
      const requested = (counter: number) => {
        const token = state.tokens.get(index ?? -1, counter)
        return token?.state === 'requested' && token.spend === null
      }
      if (index === undefined || new Set(counters).size !== counters.length || !counters.every(requested))
        throw wrongState('did not ask for such a token, or has it already')
      return index
    }

    function requireSpend(id: number): StoredSpend {
      const found = state.spends.get(id)
      if (found === undefined) throw wrongState('has no such spend, or it is settled')
      return found
    }

    const changeCounters = ({ change: { from, count } }: StoredSpend): readonly number[] =>
      Array.from({ length: count }, (_, at) => from + at)

    const forget = (index: number, counters: readonly number[]): void => {
      for (const counter of counters) blinded.delete(`${index}/${counter}`)
    }

    function tokenBytes(index: number, counter: number): Uint8Array {
      const position = positionOf(index, counter)
      const authenticator = Buffer.from(state.tokens.get(index, counter)?.authenticator ?? '', 'base64')
      return encodeToken({
        nonce: deriveNonce(position).nonce,
        challengeDigest: position.challengeDigest,
        tokenKeyId: position.publicKey.id,
        authenticator,
      })
    }

    const toSpend = (stored: StoredSpend): WalletSpend => ({
      id: stored.id,
      tokens: stored.tokens.map(([index, counter]) => tokenBytes(index, counter)),
      changeRequests: changeCounters(stored).map((counter) => requestBytes(stored.change.issuer, counter)),
      changeKeyId: positionOf(stored.change.issuer, stored.change.from).publicKey.id,
      innerRequestHash: Buffer.from(stored.innerRequestHash, 'hex'),
    })

    state.issuers.forEach(({ spki, challenge }, index) => {
      const bytes = Buffer.from(challenge, 'base64')
      const decoded = decodeTokenChallenge(bytes)
      learn(index, readTokenKey(Buffer.from(spki, 'base64')), decoded, challengeDigest(decoded))
    })

    return {
      exportSeed: () => Uint8Array.from(seed),
      balance(issuer) {
        const index = find(issuer)
        return { ...state.tokens.count(index ?? -1), spent: state.issuers[index ?? -1]?.spent ?? 0 }
      },
      prepare(issuer, count) {
        const index = find(issuer)
        if (index === undefined) return
        const next = state.issuers[index]?.next ?? 0
        for (let at = 0; at < count; at++) blind(index, next + at)
      },
      async request(issuer, count) {
        requireCount(count)
        const commits: Promise<void>[] = []
        const index = enter(issuer, commits)
        const from = state.issuers[index]?.next ?? 0
        commits.push(commit({ kind: 'requested', issuer: index, from, count }))
        await Promise.all(commits)
        return Array.from({ length: count }, (_, at) => ({
          counter: from + at,
          request: requestBytes(index, from + at),
        }))
      },
      pending(issuer) {
        const index = find(issuer)
        return [...state.tokens.all()]
          .filter((token) => token.issuer === index && token.state === 'requested' && token.spend === null)
          .map(({ issuer: of, counter }) => ({ counter, request: requestBytes(of, counter) }))
      },
      async receive(issuer, responses) {
        const counters = responses.map(({ counter }) => counter)
        const index = requireRequested(find(issuer), counters)
        const tokens = responses.map((response) => accept(index, response))
        forget(index, counters)
        await commit({ kind: 'ready', issuer: index, tokens })
      },
      async abandon(issuer, counters) {
        const index = requireRequested(find(issuer), counters)
        forget(index, counters)
        await commit({ kind: 'abandoned', issuer: index, counters: [...counters] })
      },
      async spend({ issuers: from, count, innerRequestHash, change }) {
        requireCount(count)
        if (innerRequestHash.length !== 32) throw wrongState('spends on the hash of a request, 32 bytes')
        const tokens: [number, number][] = []
        for (const index of new Set(from.map(find)))
          if (index !== undefined)
            for (const counter of state.tokens.draw(index, count - tokens.length))
              tokens.push([index, counter])
        if (tokens.length < count)
          throw new TokenError('WALLET_EMPTY', `The wallet has ${tokens.length} of the ${count} tokens.`, {
            fix: 'Buy tokens at the mint.',
            details: { ready: tokens.length, needed: count },
          })
        const commits: Promise<void>[] = []
        const index = enter(change, commits)
        const stored: StoredSpend = {
          id: state.nextSpend,
          tokens,
          innerRequestHash: toHex(innerRequestHash),
          change: { issuer: index, from: state.issuers[index]?.next ?? 0, count },
        }
        commits.push(commit({ kind: 'spending', ...stored }))
        await Promise.all(commits)
        return toSpend(stored)
      },
      unsettled: () => [...state.spends.values()].map(toSpend),
      async settle(id, responses) {
        const stored = requireSpend(id)
        const counters = changeCounters(stored)
        if (responses.length > counters.length) throw wrongState('got more change than it asked for')
        const change = responses.map((response, at) =>
          accept(stored.change.issuer, { counter: stored.change.from + at, response }),
        )
        forget(stored.change.issuer, counters)
        await commit({ kind: 'spent', spend: id, change })
        return change.length
      },
      async release(id) {
        const stored = requireSpend(id)
        forget(stored.change.issuer, changeCounters(stored))
        await commit({ kind: 'released', spend: id })
      },
      async recover(issuer, { reissue, isSpent, gap = 256, atLeast = 0, isAnonymous = false }) {
        const commits: Promise<void>[] = []
        const index = enter(issuer, commits)
        await Promise.all(commits)
        const tokens: [number, string][] = []
        let spent = 0
        // Counters that were used before and hold nothing now are asked for too, whatever the gap.
        let last = (state.issuers[index]?.next ?? 0) - 1
        let counter = 0
        for (; counter <= Math.max(last, atLeast + spent - 1) + gap; counter++) {
          if (state.tokens.get(index, counter) !== undefined) {
            last = counter
            continue
          }
          const response = await reissue(requestBytes(index, counter))
          if (response !== null) {
            last = counter
            if (await isSpent(nullifierOf(blind(index, counter).input))) spent += 1
            else tokens.push(accept(index, { counter, response }))
          }
          forget(index, [counter])
        }
        // What was requested or found meanwhile stands.
        const found = tokens.filter(([each]) => state.tokens.get(index, each) === undefined)
        const next = Math.max(isAnonymous ? counter : last + 1, state.issuers[index]?.next ?? 0)
        await commit({ kind: 'recovered', issuer: index, next, spent, tokens: found })
        return found.length
      },
      async close() {
        try {
          await log.close()
        } finally {
          unlock()
        }
      },
    }
  } catch (error) {
    unlock()
    throw error
  }
}

const toBase64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')

function requireCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 1 || count > 10_000)
    throw wrongState('takes from 1 to 10,000 tokens at once')
}

const wrongState = (problem: string): TokenError =>
  new TokenError('WALLET_STATE', `The wallet ${problem}.`, {
    fix: 'Ask the wallet what is pending and unsettled.',
  })
