import { randomInt } from 'node:crypto'
import { InvariantError } from '../../../../runtime/core/errors.ts'

export type TokenPhase = 'requested' | 'ready' | 'spending'

/** A token as a wallet's file has it. */
export type WalletToken = {
  readonly issuer: number
  readonly counter: number
  state: TokenPhase
  /** Base64; null while it is requested. */
  authenticator: string | null
  /** The spend that it is paid in, or that it is to be the change of. */
  spend: number | null
}

/** What is known of one issuer's tokens without looking at each. */
type Shelf = {
  readonly counts: Record<TokenPhase, number>
  /** The counters of the ready ones, in no order that means anything. */
  readonly ready: number[]
  /** Where in `ready` each of them is. */
  readonly places: Map<number, number>
}

/**
 * A wallet's tokens. Every step costs as much as the tokens that it is about, however many there are.
 *
 * @example
 * const book = new TokenBook()
 * book.add({ issuer: 0, counter: 7, state: 'ready', authenticator, spend: null })
 * book.draw(0, 1) // [7]
 */
export class TokenBook {
  readonly #tokens = new Map<string, WalletToken>()
  readonly #shelves = new Map<number, Shelf>()

  get(issuer: number, counter: number): Readonly<WalletToken> | undefined {
    return this.#tokens.get(keyOf(issuer, counter))
  }

  /** All tokens, in the order in which they were entered. */
  all(): Iterable<Readonly<WalletToken>> {
    return this.#tokens.values()
  }

  /** How many of an issuer's tokens are in which state. */
  count(issuer: number): Readonly<Record<TokenPhase, number>> {
    return this.#shelves.get(issuer)?.counts ?? NONE
  }

  /** Enters a token, in the place of the one that had its counter. */
  add(token: WalletToken): void {
    this.delete(token.issuer, token.counter)
    this.#tokens.set(keyOf(token.issuer, token.counter), token)
    this.#put(token)
  }

  /** @throws {InvariantError} when there is no such token */
  change(
    issuer: number,
    counter: number,
    to: Partial<Pick<WalletToken, 'state' | 'authenticator' | 'spend'>>,
  ): void {
    const token = this.#tokens.get(keyOf(issuer, counter))
    if (token === undefined) throw new InvariantError('A token that a wallet has not cannot change.')
    this.#take(token)
    Object.assign(token, to)
    this.#put(token)
  }

  delete(issuer: number, counter: number): void {
    const token = this.#tokens.get(keyOf(issuer, counter))
    if (token === undefined) return
    this.#take(token)
    this.#tokens.delete(keyOf(issuer, counter))
  }

  /**
   * The counters of so many ready tokens of an issuer, or of all where there are fewer, and changes none of them. Each
   * selection, and each order of it, is as likely as any other: what was offered before is not offered again sooner
   * than the rest, by which two requests could be known to come from one wallet.
   */
  draw(issuer: number, count: number): readonly number[] {
    const shelf = this.#shelves.get(issuer)
    if (shelf === undefined) return []
    const { ready } = shelf
    const drawn = Math.min(count, ready.length)
    // The first steps of a Fisher-Yates shuffle.
    for (let at = 0; at < drawn; at++) swap(shelf, at, randomInt(at, ready.length))
    return ready.slice(0, drawn)
  }

  #put({ issuer, counter, state }: WalletToken): void {
    let shelf = this.#shelves.get(issuer)
    if (shelf === undefined) {
      shelf = { counts: { ...NONE }, ready: [], places: new Map() }
      this.#shelves.set(issuer, shelf)
    }
    shelf.counts[state] += 1
    if (state === 'ready') shelf.places.set(counter, shelf.ready.push(counter) - 1)
  }

  #take({ issuer, counter, state }: WalletToken): void {
    const shelf = this.#shelves.get(issuer)
    if (shelf === undefined) return
    shelf.counts[state] -= 1
    const place = shelf.places.get(counter)
    if (place === undefined) return
    swap(shelf, place, shelf.ready.length - 1)
    shelf.ready.pop()
    shelf.places.delete(counter)
  }
}

const NONE: Readonly<Record<TokenPhase, number>> = { requested: 0, ready: 0, spending: 0 }

const keyOf = (issuer: number, counter: number): string => `${issuer}/${counter}`

function swap({ ready, places }: Shelf, one: number, other: number): void {
  const [first, second] = [ready[one], ready[other]]
  if (first === undefined || second === undefined || one === other) return
  ready[one] = second
  ready[other] = first
  places.set(second, one).set(first, other)
}
