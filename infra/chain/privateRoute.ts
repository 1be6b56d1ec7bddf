import { type Hex, numberToHex } from 'viem'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import { parseRpcUrl } from './parseRpcUrl.ts'
import { createRelayIdentity } from './relayIdentity.ts'
import { createRpc, type Requester } from './rpc.ts'
import { sendRaw } from './sendRaw.ts'

/**
 * How a private route takes transactions. `send-private`: by `eth_sendPrivateTransaction`, as block builders and
 * relays do, signed by a {@link createRelayIdentity | key that is nobody's}. `protected-rpc`: by plain `eth_sendRawTransaction` at an endpoint that keeps them to itself.
 */
export type PrivateRouteKind = 'send-private' | 'protected-rpc'

export type PrivateRouteParameters = {
  /** `http:` or `https:`. May hold a key: only its host is ever shown. */
  readonly url: string
  readonly kind: PrivateRouteKind
  /**
   * `send-private` only: how many blocks may pass before the operator drops the transaction. Left out: as many as
   * the operator keeps it for.
   */
  readonly maxBlocks?: number
  /** Another way to the operator than HTTP. */
  readonly requester?: Requester
  /** Milliseconds for one request. Default 10,000. */
  readonly timeout?: number
}

/** A way to get transactions mined that not everybody sees before they are. Its operator does see them. */
export type PrivateRoute = {
  readonly host: string
  /**
   * Hands bytes to the operator, once.
   *
   * @param chain tells what is mined: an operator that calls a nonce used up may have mined these very bytes
   * @throws {TransactionRefusedError} when the operator clearly does not hold the bytes.
   * @throws {OutcomeUnknownError} when it may.
   * @throws {RpcUnreachableError} when they never left this machine.
   */
  send(raw: Hex, chain: Pick<Chain, 'head' | 'transaction'>): Promise<Hash>
}

/**
 * Names a private route. Nothing is asked of its operator before the first transaction: what could be asked would
 * tell it who is about to send one.
 *
 * @throws {InvalidInputError} when the URL is none.
 * @example openPrivateRoute({ url: 'https://rpc.example.org', kind: 'protected-rpc' }).host // 'rpc.example.org'
 */
export function openPrivateRoute(parameters: PrivateRouteParameters): PrivateRoute {
  const { kind, maxBlocks, requester, timeout = 10_000 } = parameters
  const url = parseRpcUrl(parameters.url, requester !== undefined)
  const rpc = createRpc({
    url,
    timeout,
    retries: 0,
    ...(requester === undefined ? {} : { requester }),
    // A protected RPC takes transactions from whoever comes, and needs to know nobody.
    ...(kind === 'send-private' ? { headersFor: createRelayIdentity() } : {}),
  })
  return {
    host: rpc.host,
    async send(raw, chain) {
      const last =
        kind === 'send-private' && maxBlocks !== undefined
          ? { maxBlockNumber: numberToHex((await chain.head()).number + BigInt(maxBlocks)) }
          : {}
      return sendRaw(rpc, raw, {
        ...(kind === 'send-private'
          ? { name: 'eth_sendPrivateTransaction', params: (tx) => [{ tx, ...last }] }
          : { name: 'eth_sendRawTransaction', params: (tx) => [tx] }),
        knows: async (hash) => (await chain.transaction(hash)) !== null,
      })
    },
  }
}
