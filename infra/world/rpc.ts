import { WorldRpcError } from './errors.ts'

/** Sends one JSON-RPC request to the world's node and returns its result. */
export type Rpc = <Result>(method: string, ...params: readonly unknown[]) => Promise<Result>

type Answer = { result?: unknown; error?: { code: number; message: string } }

/**
 * A bare JSON-RPC client for building and moving a world, where the requests are many and simple.
 *
 * @throws {WorldRpcError} (the returned function) when the node answers with an error or, retryable, not at all.
 * @example const blockNumber = BigInt(await createRpc(url)<Hex>('eth_blockNumber'))
 */
export function createRpc(url: string, timeoutMs = 30_000): Rpc {
  return async <Result>(method: string, ...params: readonly unknown[]): Promise<Result> => {
    let answer: Answer
    try {
      const response = await fetch(url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
        signal: AbortSignal.timeout(timeoutMs),
      })
      answer = (await response.json()) as Answer
    } catch (cause) {
      throw new WorldRpcError(method, `no answer from ${url}`, { retryable: true, cause })
    }
    if (answer.error !== undefined)
      throw new WorldRpcError(method, answer.error.message, { code: answer.error.code })
    return answer.result as Result
  }
}
