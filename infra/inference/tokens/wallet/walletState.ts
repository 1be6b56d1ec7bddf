import { z } from 'zod'
import { InvariantError } from '../../../../runtime/core/errors.ts'

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

export type WalletToken = StoredState['tokens'][number]
export type StoredSpend = StoredState['spends'][number]
export type WalletState = {
  seed: string | null
  readonly issuers: StoredState['issuers']
  /** By {@link keyOf}, in the order they were requested. */
  readonly tokens: Map<string, WalletToken>
  readonly spends: Map<number, StoredSpend>
  nextSpend: number
}

export const keyOf = (issuer: number, counter: number): string => `${issuer}/${counter}`

export const emptyState = (seed: string | null): WalletState => ({
  seed,
  issuers: [],
  tokens: new Map(),
  spends: new Map(),
  nextSpend: 0,
})

/** All of a state as one step, which a file begins with. */
export const snapshotOf = (state: WalletState): WalletEntry => ({
  kind: 'state',
  seed: state.seed,
  issuers: state.issuers,
  tokens: [...state.tokens.values()],
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
      for (const token of entry.tokens) state.tokens.set(keyOf(token.issuer, token.counter), token)
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
      const tokens = entry.tokens.map(([each]) => find(state, entry, entry.issuer, each, 'requested'))
      tokens.forEach((token, index) => {
        makeReady(token, entry.tokens[index]?.[1] ?? null)
      })
      return
    }
    case 'abandoned': {
      for (const each of entry.counters) find(state, entry, entry.issuer, each, 'requested')
      for (const each of entry.counters) state.tokens.delete(keyOf(entry.issuer, each))
      return
    }
    case 'spending': {
      const { kind: _, ...stored } = entry
      const tokens = entry.tokens.map(([issuer, each]) => find(state, entry, issuer, each, 'ready'))
      if (entry.id !== state.nextSpend) throw impossible(entry)
      request(state, entry.change, entry.id)
      for (const token of tokens) Object.assign(token, { state: 'spending', spend: entry.id })
      state.spends.set(entry.id, stored)
      state.nextSpend += 1
      return
    }
    case 'spent': {
      const { tokens, change } = findSpend(state, entry, entry.spend)
      const ready = entry.change.map(([each]) => find(state, entry, change.issuer, each, 'requested'))
      ready.forEach((token, index) => {
        makeReady(token, entry.change[index]?.[1] ?? null)
      })
      dropRequested(state, entry.spend)
      for (const [issuer, each] of tokens) {
        state.tokens.delete(keyOf(issuer, each))
        issuerOf(state, entry, issuer).spent += 1
      }
      state.spends.delete(entry.spend)
      return
    }
    case 'released': {
      const { tokens } = findSpend(state, entry, entry.spend)
      for (const [issuer, each] of tokens)
        Object.assign(find(state, entry, issuer, each, 'spending'), { state: 'ready', spend: null })
      dropRequested(state, entry.spend)
      state.spends.delete(entry.spend)
      return
    }
    case 'recovered': {
      const issuer = issuerOf(state, entry, entry.issuer)
      if (entry.next < issuer.next) throw impossible(entry)
      issuer.next = entry.next
      issuer.spent = entry.spent
      for (const [each, authenticator] of entry.tokens)
        state.tokens.set(keyOf(entry.issuer, each), {
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
    state.tokens.set(keyOf(issuer, each), {
      issuer,
      counter: each,
      state: 'requested',
      authenticator: null,
      spend,
    })
}

function makeReady(token: WalletToken, authenticator: string | null): void {
  Object.assign(token, { state: 'ready', authenticator, spend: null })
}

function dropRequested(state: WalletState, spend: number): void {
  for (const [key, token] of state.tokens)
    if (token.state === 'requested' && token.spend === spend) state.tokens.delete(key)
}

function find(
  state: WalletState,
  entry: WalletEntry,
  issuer: number,
  counter: number,
  expected: WalletToken['state'],
): WalletToken {
  const token = state.tokens.get(keyOf(issuer, counter))
  if (token?.state !== expected) throw impossible(entry)
  return token
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
