import { type Hex, keccak256 } from 'viem'
import { OutcomeUnknownError, TransactionRefusedError } from '../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import { judgeRefusal } from './refusal.ts'
import { type Rpc, RpcAnswer, RpcSilence } from './rpc.ts'

/** How bytes are handed over. */
export type SendMethod = {
  readonly name: string
  params(raw: Hex): readonly unknown[]
  /** Whether the bytes are in a block or a pool already; may throw what makes the answer unknown. */
  knows(hash: Hash): Promise<boolean>
}

/** To everybody, as every node takes it. */
export const publicly = (rpc: Rpc): SendMethod => ({
  name: 'eth_sendRawTransaction',
  params: (raw) => [raw],
  knows: async (hash) => (await rpc.call('eth_getTransactionByHash', [hash])) !== null,
})

/**
 * Hands signed bytes to a node, once, and says what is certain then.
 *
 * @returns the transaction's hash, also when the node had the bytes already
 * @throws {TransactionRefusedError} when the node clearly does not hold them.
 * @throws {OutcomeUnknownError} when it may hold them.
 * @throws {RpcUnreachableError} when they never left this machine.
 */
export async function sendRaw(rpc: Rpc, raw: Hex, method: SendMethod = publicly(rpc)): Promise<Hash> {
  const { host } = rpc
  const hash = keccak256(raw) as Hash
  try {
    const answer = await rpc.call(method.name, method.params(raw), { once: true })
    if (typeof answer === 'string' && answer.toLowerCase() === hash) return hash
    throw new OutcomeUnknownError(hash, host, 'the RPC did not answer with the hash of the bytes')
  } catch (error) {
    if (error instanceof RpcSilence && error.sent) throw new OutcomeUnknownError(hash, host, error.reason)
    if (!(error instanceof RpcAnswer)) throw error
    const verdict = judgeRefusal(error.rpcCode, error.said)
    if (verdict === 'known') return hash
    if (verdict === null) throw new OutcomeUnknownError(hash, host, error.said)
    // These very bytes may be what used the nonce up, or what holds its place.
    if (
      (verdict === 'NONCE_TOO_LOW' || verdict === 'REPLACEMENT_UNDERPRICED') &&
      (await knows(method, hash, host))
    )
      return hash
    throw new TransactionRefusedError(verdict, hash, host, error.said)
  }
}

async function knows(method: SendMethod, hash: Hash, host: string): Promise<boolean> {
  try {
    return await method.knows(hash)
  } catch (error) {
    if (error instanceof RialtoError)
      throw new OutcomeUnknownError(hash, host, `it used up its nonce or is pending, and ${error.message}`)
    throw error
  }
}
