import type { ChainNode } from '../../infra/chain/quorum/chainNode.ts'
import { composeChain } from '../../infra/chain/quorum/composeChain.ts'
import { createHealth } from '../../infra/chain/quorum/health.ts'
import { unlimited } from '../../infra/chain/quorum/limiter.ts'
import type { Timer } from '../../infra/chain/quorum/timer.ts'
import type { Chain, Logger } from '../../runtime/core/ports.ts'
import { book } from './scene.ts'
import type { Scheduler } from './scheduler.ts'

/** What a process sends privately through. */
type PrivateSender = Pick<Chain, 'sendRaw'>

/** Several nodes are one chain by the rules of the real quorum, in virtual time. */
export function asOneChain(
  nodes: readonly Chain[],
  relay: PrivateSender | null,
  scheduler: Scheduler,
  logger: Logger,
): Chain {
  const [only] = nodes
  if (nodes.length === 1 && only !== undefined) return relay === null ? only : withRelay(only, relay)
  const timer: Timer = {
    now: () => scheduler.now(),
    sleep: (milliseconds, signal) =>
      new Promise((resolve) => {
        scheduler.at(scheduler.now() + milliseconds, resolve)
        signal?.addEventListener('abort', () => resolve(), { once: true })
      }),
  }
  return composeChain({
    nodes: nodes.map((node, index) => chainNode(`node-${index}`, node, timer)),
    quorum: Math.floor(nodes.length / 2) + 1,
    chainId: book.chainId,
    privateRoute:
      relay === null ? null : { host: 'relay.twin', send: (raw) => relay.sendRaw(raw, 'private') },
    logger,
    timer,
  })
}

function withRelay(node: Chain, relay: PrivateSender): Chain {
  const sendRaw: Chain['sendRaw'] = (raw, route) => (route === 'private' ? relay : node).sendRaw(raw, route)
  return new Proxy(node, { get: (target, key) => (key === 'sendRaw' ? sendRaw : Reflect.get(target, key)) })
}

/** A node that was found fit before; its port is a twin's. */
function chainNode(host: string, chain: Chain, timer: Timer): ChainNode {
  const health = createHealth(timer)
  return {
    host,
    chain,
    health,
    limiter: unlimited,
    state: () => 'healthy',
    trouble: () => null,
    simulates: () => true,
    prove: async () => undefined,
    upkeep: async () => undefined,
  }
}
