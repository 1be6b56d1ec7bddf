/**
 * Uniswap v3's revert strings of a few letters, spelt out. The pool keeps them short to stay under the size limit
 * of a contract; the periphery's longer ones ("Too much requested") speak for themselves.
 *
 * Source: `UniswapV3Pool.sol` and `libraries/` of v3-core 1.0.1, `TransferHelper.sol` of v3-periphery 1.4.4.
 */
export const uniswapErrors: Readonly<Record<string, string>> = {
  AI: 'the pool is initialised already',
  AS: 'the amount specified is zero',
  F0: 'the flash loan of token0 was not paid back',
  F1: 'the flash loan of token1 was not paid back',
  I: 'the pool is not initialised',
  IIA: 'the pool was not paid what the swap costs',
  L: 'the pool has no liquidity in range',
  LA: 'liquidity overflows',
  LO: 'too much liquidity on one tick',
  LOK: 'the pool is locked: not initialised, or re-entered',
  LS: 'more liquidity taken than there is',
  M0: 'the pool was not paid token0 for the liquidity',
  M1: 'the pool was not paid token1 for the liquidity',
  NP: 'the position has no liquidity',
  OLD: 'the oracle does not reach back that far',
  R: 'the square root price is out of range',
  SPL: 'the price limit is on the wrong side of the price, or out of range',
  SA: 'the token refused an approval',
  ST: 'the token refused a transfer',
  STE: 'the native coin could not be transferred',
  STF: 'the token refused a transfer from the payer: balance or allowance too low',
  T: 'the tick is out of range',
  TF: 'the token refused a transfer',
  TLM: 'the lower tick is too low',
  TLU: 'the lower tick is not below the upper one',
  TUM: 'the upper tick is too high',
}
