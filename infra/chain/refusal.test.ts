import { describe, expect, test } from 'vitest'
import { judgeRefusal } from './refusal.ts'

// The words of real nodes: geth core/txpool/errors.go and core/error.go, anvil 1.7.1, Nethermind AcceptTxResult,
// Besu TransactionInvalidReason.
describe('judgeRefusal', () => {
  test.each([
    [-32000, 'already known', 'known'],
    [-32000, 'transaction already imported', 'known'],
    [-32010, 'AlreadyKnown', 'known'],
    [-32000, 'Known transaction', 'known'],
    [-32010, 'Transaction with the same hash was already imported.', 'known'],
    [-32000, 'nonce too low: next nonce 5, tx nonce 4', 'NONCE_TOO_LOW'],
    [-32003, 'nonce too low', 'NONCE_TOO_LOW'],
    [-32010, 'OldNonce, Current nonce: 5, nonce of rejected tx: 4', 'NONCE_TOO_LOW'],
    [-32001, 'Nonce too low', 'NONCE_TOO_LOW'],
    [-32000, 'nonce too high', 'NONCE_TOO_HIGH'],
    [-32010, 'NonceGap, Future nonce. Expected nonce: 3', 'NONCE_TOO_HIGH'],
    [
      -32000,
      'insufficient funds for gas * price + value: balance 0, tx cost 1, overshot 1',
      'INSUFFICIENT_FUNDS',
    ],
    [-32003, 'Insufficient funds for gas * price + value', 'INSUFFICIENT_FUNDS'],
    [-32010, 'InsufficientFunds, Balance is zero, cannot pay gas', 'INSUFFICIENT_FUNDS'],
    [-32004, 'Upfront cost exceeds account balance', 'INSUFFICIENT_FUNDS'],
    [
      -32000,
      'max fee per gas less than block base fee: address 0xabc, maxFeePerGas: 1, baseFee: 7',
      'FEE_TOO_LOW',
    ],
    [-32000, 'transaction underpriced: tip needed 1, tip permitted 0', 'FEE_TOO_LOW'],
    [-32000, 'replacement transaction underpriced', 'REPLACEMENT_UNDERPRICED'],
    [-32010, 'ReplacementNotAllowed', 'REPLACEMENT_UNDERPRICED'],
    [-32000, 'max priority fee per gas higher than max fee per gas', 'TIP_ABOVE_FEE_CAP'],
    [-32000, 'intrinsic gas too low: gas 21000, minimum cost 25000', 'GAS_TOO_LOW'],
    [-32000, 'insufficient gas for floor data gas cost: gas 21000, minimum needed 25000', 'GAS_TOO_LOW'],
    [-32000, 'exceeds block gas limit', 'GAS_TOO_HIGH'],
    [-32010, 'GasLimitExceeded, Gas limit: 30000000', 'GAS_TOO_HIGH'],
    [-32000, 'txpool is full', 'POOL_FULL'],
    [-32000, 'in-flight transaction limit reached for delegated accounts', 'ACCOUNT_BUSY'],
    [-32000, 'gapped-nonce tx from delegated accounts', 'ACCOUNT_BUSY'],
    [-32000, 'authority already reserved', 'ACCOUNT_BUSY'],
    [-32601, 'the method eth_sendRawTransaction does not exist/is not available', 'UNSUPPORTED'],
    [-32000, 'transaction type not supported', 'UNSUPPORTED'],
    [-32602, 'Failed to decode transaction', 'MALFORMED'],
    [-32000, 'invalid sender', 'MALFORMED'],
    [-32000, 'invalid chain id for signer: have 1 want 31337', 'MALFORMED'],
  ])('%i "%s" means %s', (code, said, expected) => {
    expect(judgeRefusal(code, said)).toBe(expected)
  })

  test.each([
    [-32603, 'internal error'],
    [-32603, 'upstream said: nonce too low'],
    [-32005, 'rate limit: fee too low for your plan'],
    [-32000, 'context deadline exceeded'],
    [-32000, 'something that no node has said before'],
  ])('nothing certain follows from %i "%s"', (code, said) => {
    expect(judgeRefusal(code, said)).toBeNull()
  })
})
