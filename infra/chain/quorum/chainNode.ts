import type { Address } from 'viem'
import type { Chain, Logger } from '../../../runtime/core/ports.ts'
import { SimulationUnsupportedError, WrongChainError } from '../errors.ts'
import { nodeChain } from '../nodeChain.ts'
import { parseRpcUrl } from '../parseRpcUrl.ts'
import { probe } from '../probe.ts'
import { createRpc, type Requester, type Rpc, RpcSilence } from '../rpc.ts'
import { parseAnswer, quantity } from '../wire.ts'
import { createHealth, type Health, isFault, type NodeState, phraseOf } from './health.ts'
import { createLimiter, type Limiter, unlimited } from './limiter.ts'
import type { Timer } from './timer.ts'

/** One node of several. */
export type ChainNode = {
  /** Its host and port: all of its URL that is ever shown, and unique among the nodes. */
  readonly host: string
  /** The chain as this node shows it. */
  readonly chain: Chain
  readonly health: Health
  readonly limiter: Limiter
  state(): NodeState
  /** Why it is expelled, or could not be proven yet; null when neither is so. */
  trouble(): string | null
  /** Whether it can run a plan before it is signed. */
  simulates(): boolean
  /**
   * Finds out whether it is fit: until then it is not asked for anything else.
   *
   * @throws {RpcUnreachableError} when it does not answer.
   * @throws {WrongChainError} when it serves another chain.
   * @throws {MulticallMissingError} when there is no code at `multicall3`.
   */
  prove(): Promise<void>
  /**
   * Does what is due: tries again to prove a node that was not fit, and asks from time to time whether it still serves
   * the same chain. Failures are logged and remembered.
   */
  upkeep(): Promise<void>
}

export type ChainNodeParameters = {
  readonly url: string
  /** Null: as often as wanted. */
  readonly requestsPerSecond: number | null
  readonly chainId: number
  readonly multicall3: Address
  /** Milliseconds for one request, retries and all. */
  readonly timeout: number
  /** Further tries of a read that got no answer. With other nodes to ask instead, none. */
  readonly retries: number
  readonly timer: Timer
  readonly logger: Logger
  readonly requester?: Requester
}

/** How often a proven node is asked for its chain id, in milliseconds. */
const CHECK_INTERVAL = 60_000

/**
 * A node that is not known to be fit yet: `upkeep` finds out. Its requests are timed, counted, and kept under its
 * limit, and its failures make it rest.
 *
 * @throws {InvalidInputError} when the URL is none.
 */
export function createChainNode(parameters: ChainNodeParameters): ChainNode {
  const { requestsPerSecond, chainId, multicall3, timeout, retries, timer, logger, requester } = parameters
  const health = createHealth(timer)
  const limiter = requestsPerSecond === null ? unlimited : createLimiter(requestsPerSecond, timer)
  const url = parseRpcUrl(parameters.url, requester !== undefined)
  const bare = createRpc({ url, timeout, retries, ...(requester === undefined ? {} : { requester }) })
  const rpc = guarded(bare, { health, limiter, timer, timeout })
  const { host } = rpc
  let state: 'proven' | 'unproven' | 'expelled' = 'unproven'
  let trouble: string | null = 'not asked yet'
  let simulates = true
  let checkedAt = timer.now()
  let busy: Promise<void> | null = null

  function expel(error: WrongChainError): void {
    state = 'expelled'
    trouble = `serves chain ${String(error.details.actual)}`
    logger.error({ host, ...error.details }, 'An RPC serves another chain and is not asked any more')
  }

  async function prove(): Promise<void> {
    try {
      await probe(rpc, { chainId, multicall3 })
    } catch (error) {
      // It can say what is on the chain all the same.
      if (!(error instanceof SimulationUnsupportedError)) throw error
      simulates = false
      logger.warn({ host, code: error.code }, 'An RPC cannot simulate: others have to')
    }
    state = 'proven'
    trouble = null
  }

  async function check(): Promise<void> {
    const method = 'eth_chainId'
    const actual = parseAnswer(quantity, await rpc.call(method, []), method, host)
    if (actual !== BigInt(chainId)) throw new WrongChainError(host, chainId, Number(actual))
  }

  async function maintain(): Promise<void> {
    checkedAt = timer.now()
    try {
      await (state === 'unproven' ? prove() : check())
    } catch (error) {
      if (error instanceof WrongChainError) return expel(error)
      if (state === 'unproven' && trouble !== phraseOf(error)) {
        trouble = phraseOf(error)
        logger.warn({ host, trouble }, 'An RPC is not fit to be used yet')
      }
    }
  }

  return {
    host,
    chain: nodeChain({ rpc, chainId, multicall3, privateRoute: null }),
    health,
    limiter,
    state: () => (state === 'proven' ? (health.sound() ? 'healthy' : 'resting') : state),
    trouble: () => trouble,
    simulates: () => simulates,
    prove,
    upkeep() {
      const due =
        (state === 'unproven' && health.admit()) ||
        (state === 'proven' && timer.now() - checkedAt >= CHECK_INTERVAL)
      if (due)
        busy ??= maintain().finally(() => {
          busy = null
        })
      return busy ?? Promise.resolve()
    },
  }
}

/** An {@link Rpc} that waits for its place under the limit, and tells `health` how it goes. */
function guarded(
  rpc: Rpc,
  {
    health,
    limiter,
    timer,
    timeout,
  }: Pick<ChainNode, 'health' | 'limiter'> & { timer: Timer; timeout: number },
): Rpc {
  const { host } = rpc
  return {
    host,
    async call(method, params, options) {
      // What is sent does not queue behind reads: it counts, and goes.
      const urgent = options?.once === true
      const wait = limiter.delay()
      if (!urgent && wait > timeout)
        throw new RpcSilence(method, host, 'its limit of requests per second leaves no room', false)
      limiter.take()
      if (!urgent && wait > 0) await timer.sleep(wait)
      const begin = timer.now()
      try {
        const answer = await rpc.call(method, params, options)
        health.succeeded(timer.now() - begin)
        return answer
      } catch (error) {
        if (isFault(error)) health.failed(error)
        else health.succeeded(timer.now() - begin)
        throw error
      }
    },
  }
}
