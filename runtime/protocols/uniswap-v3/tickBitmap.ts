// Uniswap v3 keeps a bit for every usable tick (a multiple of the pool's spacing), 256 to a word.

const WORD = 256

/** The index of a tick among the usable ones, rounded down. */
export const compress = (tick: number, tickSpacing: number): number => Math.floor(tick / tickSpacing)

/** The word that holds the bit of a tick. */
export const wordOf = (tick: number, tickSpacing: number): number =>
  Math.floor(compress(tick, tickSpacing) / WORD)

/** The lowest tick of a word. */
export const wordStart = (word: number, tickSpacing: number): number => word * WORD * tickSpacing
/** The highest tick of a word. */
export const wordEnd = (word: number, tickSpacing: number): number => (word * WORD + WORD - 1) * tickSpacing

/**
 * The ticks whose bits are set in a word, ascending.
 *
 * @example ticksInWord(0b101n, 0, 10) // [0, 20]
 */
export function ticksInWord(bits: bigint, word: number, tickSpacing: number): readonly number[] {
  const ticks: number[] = []
  for (let bit = 0; bit < WORD; bit++)
    if ((bits >> BigInt(bit)) & 1n) ticks.push((word * WORD + bit) * tickSpacing)
  return ticks
}

/**
 * Where a swap's next step ends at the latest: the next initialised tick in its direction, or the last tick of
 * the word if there is none in it. `TickBitmap.nextInitializedTickWithinOneWord`.
 *
 * The word's edge matters to the wei: a step that ends there rounds there.
 *
 * @param initialized initialised ticks, ascending
 * @param lte towards lower ticks (token0 goes in), the current one included
 */
export function nextTickWithinWord(
  initialized: readonly number[],
  tick: number,
  tickSpacing: number,
  lte: boolean,
): { readonly tick: number; readonly isInitialized: boolean } {
  const compressed = compress(tick, tickSpacing)
  if (lte) {
    const edge = wordStart(Math.floor(compressed / WORD), tickSpacing)
    const found = initialized.findLast((candidate) => candidate <= compressed * tickSpacing)
    return found !== undefined && found >= edge
      ? { tick: found, isInitialized: true }
      : { tick: edge, isInitialized: false }
  }
  const start = compressed + 1
  const edge = wordEnd(Math.floor(start / WORD), tickSpacing)
  const found = initialized.find((candidate) => candidate >= start * tickSpacing)
  return found !== undefined && found <= edge
    ? { tick: found, isInitialized: true }
    : { tick: edge, isInitialized: false }
}
