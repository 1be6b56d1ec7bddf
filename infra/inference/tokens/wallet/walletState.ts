import { z } from 'zod'
import { InvariantError } from '../../../../runtime/core/errors.ts'
import { TokenBook, type WalletToken } from './tokenBook.ts'

/*
 * What a wallet knows, and every step by which it changes. Pure: the file holds steps, and reading it is applying
 * them.
 *
 *     requested ──ready──► ready ──spending──► spending ──spent──► (forgotten)
 *         │                  ▲                     │
 *         └──abandoned──►    └──────released───────┘
 */

const text = z.string()
const counter = z.int().nonnegative()
const signed = z.array(z.tuple([counter, text]))
const range = z.strictObject({ issuer: counter, from: counter, count: counter })
const reference = z.tuple([counter, counter])
const spend = z.strictObject({
  id: counter,
  /** Issuer and counter of each token, in the order they are sent. */
  tokens: z.array(reference),
  innerRequestHash: text,
  change: range,
})

const walletState = z.strictObject({
  kind: z.literal('state'),
  /** Hexadecimal; null when the wallet is opened with it. */
  seed: text.nullable(),
  issuers: z.array(
    z.strictObject({
      spki: text,
      challenge: text,
      /** The first counter that was never used. */
      next: counter,
      /** How many tokens were spent. */
      spent: counter,
    }),
  ),
  tokens: z.array(
    z.strictObject({
      issuer: counter,
      counter,
      state: z.enum(['requested', 'ready', 'spending']),
      /** Base64; null while it is requested. */
      authenticator: text.nullable(),
      /** The spend that it is paid in, or that it is to be the change of. */
      spend: counter.nullable(),
    }),
  ),
  spends: z.array(spend),
  nextSpend: counter,
})
type StoredState = z.output<typeof walletState>

/** One step. Everything that a step decides is in it, so that it has the same effect whenever it is applied. */
export const walletEntry = z.discriminatedUnion('kind', [
  walletState,
  z.strictObject({ kind: z.literal('issuer'), spki: text, challenge: text }),
  z.strictObject({ kind: z.literal('requested'), ...range.shape }),
  z.strictObject({ kind: z.literal('ready'), issuer: counter, tokens: signed }),
  z.strictObject({ kind: z.literal('abandoned'), issuer: counter, counters: z.array(counter) }),
  z.strictObject({ kind: z.literal('spending'), ...spend.shape }),
  z.strictObject({ kind: z.literal('spent'), spend: counter, change: signed }),
  z.strictObject({ kind: z.literal('released'), spend: counter }),
  z.strictObject({
    kind: z.literal('recovered'),
    issuer: counter,
    next: counter,
    spent: counter,
    tokens: signed,
  }),
])
export type WalletEntry = z.output<typeof walletEntry>

export type StoredSpend = StoredState['spends'][number]
export type WalletState = {
  seed: string | null
  readonly issuers: StoredState['issuers']
  readonly tokens: TokenBook
  readonly spends: Map<number, StoredSpend>
  nextSpend: number
}

export const emptyState = (seed: string | null): WalletState => ({
  seed,
  issuers: [],
  tokens: new TokenBook(),
  spends: new Map(),
  nextSpend: 0,
})

/** All of a state as one step, which a file begins with. */
export const snapshotOf = (state: WalletState): WalletEntry => ({
  kind: 'state',
  seed: state.seed,
  issuers: state.issuers,
  tokens: [...state.tokens.all()],
  spends: [...state.spends.values()],
  nextSpend: state.nextSpend,
})

/**
 * Applies a step.
 *
 * @throws {InvariantError} when the state has no such step, which then did nothing: a defect, or a file that no
 * wallet wrote.
 */
export function applyEntry(state: WalletState, entry: WalletEntry): void {
  switch (entry.kind) {
    case 'state': {
      if (state.issuers.length > 0) throw impossible(entry)
      state.seed = entry.seed
      state.issuers.push(...entry.issuers)
      for (const token of entry.tokens) state.tokens.add(token)
      for (const each of entry.spends) state.spends.set(each.id, each)
      state.nextSpend = entry.nextSpend
      return
    }
    case 'issuer':
      state.issuers.push({ spki: entry.spki, challenge: entry.challenge, next: 0, spent: 0 })
      return
    case 'requested':
      request(state, entry, null)
      return
    case 'ready': {
      for (const [each] of entry.tokens) requireToken(state, entry, entry.issuer, each, 'requested')
      makeReady(state, entry.issuer, entry.tokens)
      return
    }
    case 'abandoned': {
      for (const each of entry.counters) requireToken(state, entry, entry.issuer, each, 'requested')
      for (const each of entry.counters) state.tokens.delete(entry.issuer, each)
      return
    }
    case 'spending': {
      const { kind: _, ...stored } = entry
      for (const [issuer, each] of entry.tokens) requireToken(state, entry, issuer, each, 'ready')
      if (entry.id !== state.nextSpend) throw impossible(entry)
      request(state, entry.change, entry.id)
      for (const [issuer, each] of entry.tokens)
        state.tokens.change(issuer, each, { state: 'spending', spend: entry.id })
      state.spends.set(entry.id, stored)
      state.nextSpend += 1
      return
    }
    case 'spent': {
      const { tokens, change } = findSpend(state, entry, entry.spend)
      for (const [each] of entry.change) requireToken(state, entry, change.issuer, each, 'requested')
      makeReady(state, change.issuer, entry.change)
      dropRequested(state, entry.spend, change)
      for (const [issuer, each] of tokens) {
        state.tokens.delete(issuer, each)
        issuerOf(state, entry, issuer).spent += 1
      }
      state.spends.delete(entry.spend)
      return
    }
    case 'released': {
      const { tokens, change } = findSpend(state, entry, entry.spend)
      for (const [issuer, each] of tokens) {
        requireToken(state, entry, issuer, each, 'spending')
        state.tokens.change(issuer, each, { state: 'ready', spend: null })
      }
      dropRequested(state, entry.spend, change)
      state.spends.delete(entry.spend)
      return
    }
    case 'recovered': {
      const issuer = issuerOf(state, entry, entry.issuer)
      if (entry.next < issuer.next) throw impossible(entry)
      issuer.next = entry.next
      issuer.spent = entry.spent
      for (const [each, authenticator] of entry.tokens)
        state.tokens.add({
          issuer: entry.issuer,
          counter: each,
          state: 'ready',
          authenticator,
          spend: null,
        })
      return
    }
  }
}

function request(
  state: WalletState,
  { issuer, from, count }: z.output<typeof range>,
  spend: number | null,
): void {
  const known = state.issuers[issuer]
  if (known === undefined || known.next !== from)
    throw new InvariantError('A counter of a wallet is used once.')
  known.next += count
  for (let each = from; each < from + count; each++)
    state.tokens.add({
      issuer,
      counter: each,
      state: 'requested',
      authenticator: null,
      spend,
    })
}

function makeReady(state: WalletState, issuer: number, tokens: z.output<typeof signed>): void {
  for (const [counter, authenticator] of tokens)
    state.tokens.change(issuer, counter, { state: 'ready', authenticator, spend: null })
}

/** Forgets what a spend asked for as change and did not get. */
function dropRequested(
  state: WalletState,
  spend: number,
  { issuer, from, count }: z.output<typeof range>,
): void {
  for (let each = from; each < from + count; each++) {
    const token = state.tokens.get(issuer, each)
    if (token?.state === 'requested' && token.spend === spend) state.tokens.delete(issuer, each)
  }
}

function requireToken(
  state: WalletState,
  entry: WalletEntry,
  issuer: number,
  counter: number,
  expected: WalletToken['state'],
): void {
  if (state.tokens.get(issuer, counter)?.state !== expected) throw impossible(entry)
}

function findSpend(state: WalletState, entry: WalletEntry, id: number): StoredSpend {
  const found = state.spends.get(id)
  if (found === undefined) throw impossible(entry)
  return found
}

function issuerOf(state: WalletState, entry: WalletEntry, index: number) {
  const found = state.issuers[index]
  if (found === undefined) throw impossible(entry)
  return found
}

const impossible = (entry: WalletEntry): InvariantError =>
  new InvariantError('A wallet has no such step from where it is.', { step: entry.kind })
