/** Chains that everybody runs for himself and that hold nothing of value: those of geth's `--dev` and of anvil. */
export const developmentChains: readonly number[] = [1_337, 31_337]

/**
 * Whether a chain may hold something of value: then agents begin by asking, whatever their policies say. A fork of such
 * a chain under its own id counts as one, because nobody can tell the two apart by it.
 *
 * @example isRealChain(8_453) // true
 * @example isRealChain(31_337) // false
 */
export const isRealChain = (chainId: number): boolean => !developmentChains.includes(chainId)
