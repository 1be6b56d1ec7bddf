import { BlockGoneError, NoQuorumError } from '../../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../../runtime/core/errors.ts'
import type { Chain } from '../../../runtime/core/ports.ts'
import { RpcMalformedError } from '../errors.ts'
import type { ChainNode } from './chainNode.ts'
import type { Timer } from './timer.ts'
import { absentees } from './votes.ts'

export type FailOverOptions = {
  readonly timer: Timer
  /** After how many milliseconds without an answer the next node is asked as well. */
  readonly patience: number
}

/**
 * Asks one node after another until one answers: the next one when a node fails, does not know the block, or is slow.
 * Whoever answers first is believed.
 *
 * @param order the nodes, best first
 * @throws {BlockGoneError} when no node answers and one says that the block is gone.
 * @throws {RialtoError} otherwise what the first one failed with.
 */
export function failOver<T>(
  order: readonly ChainNode[],
  ask: (chain: Chain) => Promise<T>,
  { timer, patience }: FailOverOptions,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const failures: RialtoError[] = []
    const done = new AbortController()
    let next = 0

    function launch(): void {
      const node = order[next]
      if (node === undefined || done.signal.aborted) return
      next += 1
      const answered = new AbortController()
      ask(node.chain).then(
        (answer) => {
          done.abort()
          answered.abort()
          resolve(answer)
        },
        (error: unknown) => {
          answered.abort()
          if (!(error instanceof RialtoError)) {
            done.abort()
            reject(error)
            return
          }
          if (error instanceof RpcMalformedError) node.health.failed(error)
          failures.push(error)
          if (failures.length < order.length) return launch()
          done.abort()
          reject(failures.find((failure) => failure instanceof BlockGoneError) ?? failures[0])
        },
      )
      if (next < order.length)
        timer.sleep(patience, AbortSignal.any([answered.signal, done.signal])).then(() => {
          if (!answered.signal.aborted) launch()
        }, reject)
    }
    launch()
  })
}

/**
 * The nodes in the order in which a read should try them: those that are sound, have the block and need not wait under
 * their limit, as configured; then the rest.
 *
 * @param lacks whether a node is known not to have the block yet
 * @throws {NoQuorumError} when no node can be asked at all.
 */
export function readingOrder(
  nodes: readonly ChainNode[],
  method: string,
  lacks: (node: ChainNode) => boolean,
): readonly ChainNode[] {
  const usable = nodes.filter((node) => node.state() === 'healthy' || node.state() === 'resting')
  if (usable.length === 0) throw new NoQuorumError(method, 1, absentees(nodes, []))
  const rank = (node: ChainNode) =>
    (node.health.sound() ? 0 : 4) + (lacks(node) ? 2 : 0) + (node.limiter.delay() > 0 ? 1 : 0)
  return usable
    .map((node, index) => ({ node, index, rank: rank(node) }))
    .toSorted((a, b) => a.rank - b.rank || a.index - b.index)
    .map(({ node }) => node)
}
