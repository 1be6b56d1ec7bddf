import { systemClock } from '../../../runtime/core/clock.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { Chain } from '../../../runtime/core/ports.ts'
import type { ChainNode } from './chainNode.ts'
import { createHealth } from './health.ts'
import { unlimited } from './limiter.ts'
import type { Timer } from './timer.ts'

/** Time in which everything that is not stuck has happened already. */
export const hurriedTimer: Timer = {
  ...systemClock,
  sleep: () => new Promise((resolve) => setImmediate(resolve)),
}

/** A chain of which only these methods are expected to be called. */
export const partialChain = (methods: Partial<Chain>): Chain =>
  new Proxy(methods as Chain, {
    get(target, name) {
      const method = Reflect.get(target, name)
      if (method === undefined) throw new InvariantError(`The test did not expect ${String(name)}.`)
      return method
    },
  })

/** A healthy node that shows a chain of the test's making. */
export const fakeNode = (host: string, chain: Chain, timer: Timer = hurriedTimer): ChainNode => {
  const health = createHealth(timer)
  return {
    host,
    chain,
    health,
    limiter: unlimited,
    state: () => (health.sound() ? 'healthy' : 'resting'),
    trouble: () => null,
    simulates: () => true,
    prove: () => Promise.resolve(),
    upkeep: () => Promise.resolve(),
  }
}
