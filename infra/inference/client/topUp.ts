import { setImmediate } from 'node:timers/promises'
import type { Wallet, WalletIssuer } from '../tokens/wallet/openWallet.ts'
import { ClientOptionError } from './errors.ts'
import { type ConfirmedDirectory, hasMintKeys } from './fetchDirectory.ts'
import type { DirectoryKeeper } from './keepDirectory.ts'
import { buyTokens, collectTokens, type MintLink, mostPerRequest, readAccountKey } from './mint.ts'
import type { MintReference } from './options.ts'
import { refuse } from './refusals.ts'
import type { Treasury } from './treasury.ts'

/** Buys tokens ahead of need. */
export type TopUp = {
  /** Buys so many now, behind what was paid for with former keys and did not come. @throws {PrivateNetworkError} */
  buy(count: number): Promise<number>
  /** Buys a batch now, if there are fewer tokens than the low-water mark. @throws {PrivateNetworkError} */
  fill(): Promise<void>
  /**
   * Plans a purchase, if there are fewer tokens than the low-water mark and none is planned, at once if the next request
   * may not be paid; and else, if something that
   * was asked for with a former key did not come, to ask for that again before the key has ended.
   */
  plan(): void
  close(): void
}

/** The mark is twelve requests of the largest class: they do not come within one delay in normal use. */
export const mintDefaults = { lowWater: 192, batch: 128, delay: { min: 5_000, max: 60_000 } } as const

/**
 * When a client buys is all that a mint learns of it. So it does not buy in the moment of a request: when the tokens
 * fall below the low-water mark, a batch of one fixed size is bought after a delay that is drawn anew each time. A
 * purchase is still a sign that some requests were made since the last one; a higher mark and larger batches make it a
 * rarer one.
 *
 * There is one exception. When so few are left that the next request may not be paid, which is fewer than the largest
 * class costs, a batch is bought at once (but no second one before there are enough again), and `onTrouble` is told
 * (`wallet_drained`): the mint then sees that a request was made just now, and with the gateway it may guess which. A
 * mark that is high enough for the use prevents it.
 */
export function createTopUp(parameters: {
  readonly mint: MintReference
  readonly wallet: Wallet
  readonly treasury: Treasury
  readonly keeper: DirectoryKeeper
  readonly link: Pick<MintLink, 'transport' | 'timeout' | 'signal'>
  readonly now: () => number
  readonly random: () => number
  readonly onTrouble: (error: unknown) => void
}): TopUp {
  const { mint, wallet, treasury, keeper, link, now, random, onTrouble } = parameters
  const { lowWater = mintDefaults.lowWater, batch = mintDefaults.batch, delay = mintDefaults.delay } = mint
  if (!Number.isInteger(batch) || batch < 1 || batch > mostPerRequest)
    throw new ClientOptionError('mint.batch is out of range', `Name 1 to ${mostPerRequest} tokens.`)
  if (!(delay.min >= 0 && delay.max >= delay.min))
    throw new ClientOptionError(
      'mint.delay is no range',
      'Name two times in milliseconds, the shorter one first.',
    )
  const { url, name } = mint
  const account = readAccountKey(mint.account)
  const asked: MintLink = { ...link, url, name, account }
  let timer: NodeJS.Timeout | undefined
  let planned: 'later' | 'now' | undefined
  /** Whether something was bought at once since there were enough tokens: a mint that gives none is not run down. */
  let hasHurried = false
  let buying: Promise<unknown> = Promise.resolve()

  const isLow = (directory: ConfirmedDirectory): boolean => treasury.balance(directory).ready < lowWater

  /** The mint's keys that sign no more, but whose tokens are good, and that owe some. */
  const owing = (directory: ConfirmedDirectory): readonly WalletIssuer[] => {
    const { all, mints } = treasury.issuers(directory)
    const current = mints.get(name)
    return all
      .filter(({ of, key, issuer }) => of === name && issuer !== current && now() / 1000 < key.notAfter)
      .filter(({ issuer }) => wallet.balance(issuer).requested > 0)
      .map(({ issuer }) => issuer)
  }

  /** Asks for what former keys owe. That it fails is told, and keeps nobody from buying. */
  async function collect(): Promise<number> {
    let came = 0
    for (const issuer of owing(await keeper.current()))
      came += await collectTokens(asked, { wallet, issuer }).catch((error: unknown) => {
        onTrouble(error)
        return 0
      })
    return came
  }

  async function buyNow(count: number): Promise<number> {
    const directory = await keeper.current()
    // A mint that was silent when the directory came may have other keys: nobody buys before it has told.
    if (directory.mintKeys !== 'same' && !(await hasMintKeys({ ...link, now }, mint, directory)))
      throw refuse('keys_inconsistent', { limit: { mint: name } })
    const issuer = treasury.issuers(directory).mints.get(name)
    if (issuer === undefined) throw refuse('mint_refused', { limit: { mint: name } })
    // One blinding after the other, so that no request waits for all of them.
    for (let prepared = 1; prepared <= count; prepared++) {
      wallet.prepare(issuer, prepared)
      await setImmediate()
    }
    return buyTokens(asked, { wallet, issuer, count })
  }

  /** One purchase at a time: two would ask for the same tokens. */
  const inTurn = (work: () => Promise<number>): Promise<number> => {
    const next = buying.then(work)
    buying = next.catch(() => undefined)
    return next
  }
  const buy = (count: number): Promise<number> =>
    inTurn(async () => (await collect()) + (await buyNow(count)))

  return {
    buy,
    async fill() {
      hasHurried = true
      if (isLow(await keeper.current())) await buy(batch)
    },
    plan() {
      const directory = keeper.peek()
      if (directory === undefined) return
      const low = isLow(directory)
      const drained = low && treasury.balance(directory).ready < Math.max(...directory.directory.ceilings)
      if (!drained) hasHurried = false
      const atOnce = drained && !hasHurried
      if (planned === 'now' || (planned === 'later' && !atOnce)) return
      if (!low && owing(directory).length === 0) return
      clearTimeout(timer)
      planned = atOnce ? 'now' : 'later'
      hasHurried ||= atOnce
      if (atOnce) onTrouble(refuse('wallet_drained', { limit: { mint: name, lowWater } }))
      timer = setTimeout(
        () => {
          // From here on nothing is to be brought forward: it is being bought.
          planned = 'now'
          const work = low ? buy(batch) : inTurn(collect)
          work.catch(onTrouble).finally(() => {
            planned = undefined
          })
        },
        atOnce ? 0 : delay.min + random() * (delay.max - delay.min),
      )
      timer.unref()
    },
    close: () => clearTimeout(timer),
  }
}
