/** What a signature lets move at most: a token's symbol (or `native`, for gas at its cap) and its smallest units. */
export type Movement = { readonly token: string; readonly amount: bigint }

/** One signature, as far as allowances are concerned. */
export type Moving = {
  readonly nonce: bigint
  /** Seconds since 1970; never before that of a signature that was counted earlier. */
  readonly signedAt: bigint
  readonly moved: readonly Movement[]
}

/**
 * What the signatures of one account let move within the last seconds. Of all on one nonce at most one is ever mined,
 * so the highest of each token counts, from the last of them on.
 */
export type SpendWindow = {
  add(signature: Moving): void
  /** What would count of a token if this were signed too: all within the window, and of its own nonce the highest. */
  totalWith(signature: Moving, token: string): bigint
}

type Group = { readonly signedAt: bigint; readonly moved: ReadonlyMap<string, bigint> }

/** @param seconds length of the window: what was signed exactly so long ago no longer counts */
export function createSpendWindow(seconds: number): SpendWindow {
  // In the order of their last signature: a Map keeps the order in which keys were put in.
  const groups = new Map<bigint, Group>()
  const totals = new Map<string, bigint>()
  const change = (token: string, by: bigint) => totals.set(token, (totals.get(token) ?? 0n) + by)

  function remove(nonce: bigint, { moved }: Group): void {
    for (const [token, amount] of moved) change(token, -amount)
    groups.delete(nonce)
  }

  function forget(now: bigint): void {
    for (const [nonce, group] of groups) {
      if (group.signedAt > now - BigInt(seconds)) return
      remove(nonce, group)
    }
  }

  return {
    add({ nonce, signedAt, moved }) {
      forget(signedAt)
      const before = groups.get(nonce)
      if (before !== undefined) remove(nonce, before)
      const highest = new Map(before?.moved)
      for (const { token, amount } of moved) highest.set(token, max(amount, highest.get(token) ?? 0n))
      for (const [token, amount] of highest) change(token, amount)
      groups.set(nonce, { signedAt, moved: highest })
    },
    totalWith({ nonce, signedAt, moved }, token) {
      forget(signedAt)
      const own = groups.get(nonce)?.moved.get(token) ?? 0n
      const asked = moved.reduce((sum, one) => (one.token === token ? sum + one.amount : sum), 0n)
      return (totals.get(token) ?? 0n) - own + max(own, asked)
    },
  }
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)
