/** What the parts of the bench's network call each other. */
export const names = { gateway: 'bench', mint: 'bench-mint', node: 'bench-node', operator: 'bench' } as const

/**
 * The models of its node. A chat of at most {@link completion}.asked tokens with `priced` pays four tokens, and what
 * the upstream then answers costs one; `cheap` costs next to nothing, however long.
 */
export const models = {
  priced: { id: 'bench-priced', price: { prompt: 0, completion: 62_500 } },
  cheap: { id: 'bench-cheap', price: { prompt: 0, completion: 1 } },
} as const
export const completion = { asked: 64, given: 16, paid: 4, used: 1 } as const
export const CONTEXT = 1_000_000
