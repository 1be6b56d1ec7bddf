import { RialtoError } from '../../../runtime/core/errors.ts'
import type { Field } from '../protocol/bhttp/message.ts'
import { isValidAt, type TokenKey } from '../protocol/network/directory.ts'
import { decodeChange, encodeReclaim } from '../protocol/network/payment.ts'
import { gatewayResources, headers, mediaTypes } from '../protocol/network/routes.ts'
import { fromBase64Url } from '../protocol/network/text.ts'
import { readTokenKey } from '../tokens/blindRsa/keys.ts'
import { toHex } from '../tokens/bytes.ts'
import { TokenError } from '../tokens/errors.ts'
import { decodeToken } from '../tokens/privacyPass/token.ts'
import { gatewayChallenge } from '../tokens/privacyPass/tokenChallenge.ts'
import type { Balance, Wallet, WalletIssuer, WalletSpend } from '../tokens/wallet/openWallet.ts'
import { isWalletEmpty } from './estimateCost.ts'
import type { ConfirmedDirectory } from './fetchDirectory.ts'
import { type GatewayLink, gatewayRequest } from './gatewayLink.ts'
import { refuse } from './refusals.ts'
import { readProblem } from './respond.ts'
import { fieldOf } from './sendSealed.ts'

/** Whose tokens are good at a gateway now. */
export type Issuers = {
  /** Those that can be spent, the ones that end first in front. */
  readonly spendable: readonly WalletIssuer[]
  /** What change is asked from. */
  readonly change: WalletIssuer
  /** Of each mint, by its name, the key that signs now. */
  readonly mints: ReadonlyMap<string, WalletIssuer>
  /** All that the directory names, ended ones too. */
  readonly all: readonly DatedIssuer[]
}

/** Whose tokens are good at a gateway, and when. */
export type DatedIssuer = {
  readonly issuer: WalletIssuer
  /** As it stands in the directory, with its times. */
  readonly key: TokenKey
  /** The mint's name; null for the gateway's own change key. */
  readonly of: string | null
}

/** What came back of a payment; `unsettled` when that is not known yet. */
export type Settlement = { readonly returned: number; readonly unsettled: number; readonly error?: unknown }

/** The tokens of a client at one gateway. */
export type Treasury = {
  issuers(directory: ConfirmedDirectory): Issuers
  balance(directory: ConfirmedDirectory): Balance
  /** @throws {PrivateNetworkError} `wallet_empty` */
  spend(directory: ConfirmedDirectory, count: number, innerRequestHash: Uint8Array): Promise<WalletSpend>
  /**
   * Ends a payment by what came with the gateway's answer.
   *
   * @param refused the code of the gateway's refusal, or null for an answer. A refusal without change came before
   * anything was taken, and the tokens go back; but those that were spent before are gone.
   */
  settle(
    spend: WalletSpend,
    trailers: readonly Field[] | undefined,
    refused: string | null,
  ): Promise<Settlement>
  /**
   * Asks for the change of every payment whose end was never seen, each in a request of its own. One that could never be
   * settled any more, as all its keys have ended, is given up once the gateway has refused it: `onTrouble` is told how
   * many tokens are lost.
   *
   * @param directory what is known of the keys when an answer has come
   * @param apart waits between two of them, and says whether to go on: asked for in one moment, they would be known to
   * be of one client. With it a payment that failed before is left out until its time: a minute later, then twice as
   * long each time, up to an hour. Absent: all are asked for, and nothing is waited for
   * @returns how many tokens came back
   */
  reclaim(
    link: Pick<GatewayLink, 'ask'>,
    options: {
      readonly directory: () => ConfirmedDirectory | undefined
      readonly apart?: () => Promise<boolean>
    },
  ): Promise<number>
  /** Payments whose end is not known, those under way left out. */
  unsettled(): readonly WalletSpend[]
}

/**
 * @param parameters.mint named when the wallet is empty
 */
export function createTreasury(parameters: {
  readonly wallet: Wallet
  readonly gateway: string
  readonly mint: string | undefined
  readonly now: () => number
  readonly onTrouble: (error: unknown) => void
}): Treasury {
  const { wallet, gateway, mint, now, onTrouble } = parameters
  /** Payments that somebody waits for. */
  const underWay = new Set<number>()
  let cached: { readonly digest: string; readonly keys: readonly DatedIssuer[] } | undefined

  const datedIssuers = (directory: ConfirmedDirectory): readonly DatedIssuer[] => {
    if (cached?.digest !== directory.digest)
      cached = { digest: directory.digest, keys: readIssuers(directory) }
    return cached.keys
  }

  function issuers(directory: ConfirmedDirectory): Issuers {
    const all = datedIssuers(directory)
    const valid = all.filter(({ key }) => isValidAt(key, now() / 1000))
    // "The last one signs."
    const change = valid.findLast(({ of }) => of === null)
    if (change === undefined) throw refuse('directory_expired', { limit: { gateway } })
    return {
      spendable: [...valid]
        .sort((left, right) => left.key.notAfter - right.key.notAfter)
        .map(({ issuer }) => issuer),
      change: change.issuer,
      // Of a mint the one that began last: it lists the newest first, and signs no more with those before.
      mints: new Map(
        valid
          .toSorted((left, right) => left.key.notBefore - right.key.notBefore)
          .flatMap(({ of, issuer }) => (of === null ? [] : [[of, issuer]])),
      ),
      all,
    }
  }

  const backoff = createBackoff(now)
  const unsettled = () => wallet.unsettled().filter(({ id }) => !underWay.has(id))

  const treasury: Treasury = {
    issuers,
    unsettled,
    balance(directory) {
      const sum = { requested: 0, ready: 0, spending: 0, spent: 0 }
      for (const each of issuers(directory).spendable) {
        const balance = wallet.balance(each)
        for (const key of ['requested', 'ready', 'spending', 'spent'] as const) sum[key] += balance[key]
      }
      return sum
    },
    async spend(directory, count, innerRequestHash) {
      const { spendable, change } = issuers(directory)
      try {
        const spend = await wallet.spend({ issuers: spendable, count, innerRequestHash, change })
        underWay.add(spend.id)
        return spend
      } catch (error) {
        if (!isWalletEmpty(error)) throw error
        const { ready, spending } = treasury.balance(directory)
        throw refuse('wallet_empty', {
          limit: { needed: count, ready, spending, ...(mint === undefined ? {} : { mint }) },
        })
      }
    },
    async settle(spend, trailers, refused) {
      try {
        return await settle(spend, trailers, refused)
      } catch (error) {
        // The payment stays in the wallet as it is, to be asked for again.
        onTrouble(error)
        return { returned: 0, unsettled: spend.tokens.length, error }
      } finally {
        underWay.delete(spend.id)
      }
    },
    async reclaim(link, { directory, apart }) {
      let returned = 0
      const due = unsettled().filter(({ id }) => apart === undefined || backoff.isDue(id))
      for (const [index, spend] of due.entries()) {
        if (index > 0 && apart !== undefined && !(await apart())) break
        // Somebody else may have asked meanwhile.
        if (!unsettled().some(({ id }) => id === spend.id)) continue
        underWay.add(spend.id)
        try {
          returned += await reclaimOne(link, spend, directory)
          backoff.forget(spend.id)
        } catch (error) {
          backoff.failed(spend.id)
          onTrouble(error)
        } finally {
          underWay.delete(spend.id)
        }
      }
      return returned
    },
  }

  async function settle(
    spend: WalletSpend,
    trailers: readonly Field[] | undefined,
    refused: string | null,
  ): Promise<Settlement> {
    const paid = spend.tokens.length
    if (trailers === undefined) return { returned: 0, unsettled: paid }
    const field = fieldOf(trailers, headers.change)
    if (field === undefined) {
      if (refused === null) throw refuse('gateway_refused', { limit: { gateway } })
      // Put back, they would be offered again and again. What is not spent of them is found by recovery.
      if (refused === 'token_spent') return { returned: await wallet.settle(spend.id, []), unsettled: 0 }
      // Whatever else it says, it may have been taken: that is asked for again later.
      if (!beforePayment.has(refused)) throw refuse('outcome_unknown')
      await wallet.release(spend.id)
      return { returned: paid, unsettled: 0 }
    }
    const { responses } = decodeChange(fromBase64Url(field, 'change'))
    return { returned: await wallet.settle(spend.id, responses), unsettled: 0 }
  }

  async function reclaimOne(
    link: Pick<GatewayLink, 'ask'>,
    spend: WalletSpend,
    directory: () => ConfirmedDirectory | undefined,
  ): Promise<number> {
    const { tokens, changeRequests, innerRequestHash } = spend
    const answer = await link.ask(
      gatewayRequest(gatewayResources.reclaim, {
        headers: [['content-type', mediaTypes.reclaim]],
        content: encodeReclaim({ tokens, changeRequests, innerRequestHash }),
      }),
    )
    const code = readProblem(answer.content)?.error.code
    // Spent on something else, by whoever has the seed too: they are gone.
    if (answer.status === 409 && code === 'token_spent') return wallet.settle(spend.id, [])
    if (fieldOf(answer.trailers, headers.change) === undefined) {
      const known = directory()
      if (endedKeys.has(code ?? '') && known !== undefined && haveEnded(known, spend)) {
        await wallet.settle(spend.id, [])
        onTrouble(refuse('payment_lost', { limit: { gateway, tokens: tokens.length } }))
        return 0
      }
      throw refuse('gateway_refused', { limit: { gateway, status: answer.status } })
    }
    return (await settle(spend, answer.trailers, null)).returned
  }

  /** Whether no key is good any more that the payment was made with: those of its tokens, and that of its change. */
  function haveEnded(directory: ConfirmedDirectory, { tokens, changeKeyId }: WalletSpend): boolean {
    const good = new Set(
      datedIssuers(directory)
        .filter(({ key }) => now() / 1000 < key.notAfter)
        .map(({ issuer }) => toHex(issuer.publicKey.id)),
    )
    return [changeKeyId, ...tokens.map((each) => decodeToken(each).tokenKeyId)].every(
      (id) => !good.has(toHex(id)),
    )
  }
  return treasury
}

/** What a gateway refuses a payment with whose keys it does not know. */
const endedKeys = new Set(['tokens_refused', 'change_refused'])

const backoffTimes = { first: 60_000, most: 3_600_000 }

/** When each payment is asked for again: whoever gets the same tokens every minute knows that it is one client. */
function createBackoff(now: () => number) {
  const waits = new Map<number, { readonly wait: number; readonly until: number }>()
  return {
    isDue: (id: number): boolean => (waits.get(id)?.until ?? 0) <= now(),
    failed(id: number): void {
      const wait = Math.min((waits.get(id)?.wait ?? backoffTimes.first / 2) * 2, backoffTimes.most)
      waits.set(id, { wait, until: now() + wait })
    },
    forget: (id: number): void => void waits.delete(id),
  }
}

/** Refusals that come before anything is taken, where they come without change. */
const beforePayment = new Set([
  'malformed',
  'not_padded',
  'resource_unknown',
  'node_unknown',
  'model_unknown',
  'tokens_refused',
  'change_refused',
  'too_large',
  'busy',
  'not_ready',
  'closing',
])

/** The keys of a directory, read once: reading one takes longer than using it. */
function readIssuers({ directory }: ConfirmedDirectory): readonly DatedIssuer[] {
  const { gateway, changeKeys, mints } = directory
  const read = (key: TokenKey, of: string | null): DatedIssuer => ({
    issuer: {
      publicKey: readTokenKey(Buffer.from(key.key, 'base64')),
      challenge: gatewayChallenge({ issuer: of ?? gateway, gateway }),
    },
    key,
    of,
  })
  return [
    ...changeKeys.map((key) => read(key, null)),
    ...mints.flatMap(({ name, keys }) => keys.map((key) => read(key, name))),
  ]
}

/** Whether what went wrong at a settlement is the change itself, and not this machine's disk. */
export const isBadChange = (error: unknown): boolean =>
  error instanceof RialtoError && !(error instanceof TokenError && error.code.startsWith('LOG_'))
