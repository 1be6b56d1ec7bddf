import type { Logger } from '../../../runtime/core/ports.ts'
import type { BlockRef } from '../../../runtime/core/snapshot.ts'
import type { ChainNode } from './chainNode.ts'
import { keyOf, type Question, type Said, tellOf } from './votes.ts'

/** How a node stands to what a quorum says. */
export type NodeStanding = {
  /** The newest block that it said it has; null before its first answer. */
  readonly head: bigint | null
  /** Times it said something else than a quorum. */
  readonly differed: number
  /** What it differs in now, and how; null when it agrees with the others. */
  readonly difference: string | null
}

/** Remembers how nodes stand, and logs changes, each once. */
export type Standing = {
  of(node: ChainNode): NodeStanding
  /** Holds an answer against the one that got its quorum. A failure to answer is not a difference. */
  judge<T>(question: Question<T>, said: Said<T>, agreed: Said<T>): void
  /** Notes what a node says its newest block is. */
  sawHead(node: ChainNode, head: BlockRef): void
  /** Notes the newest block that a quorum has. */
  agreedOn(head: BlockRef): void
  /** Notes answers that are on their way. */
  await(answers: readonly Promise<unknown>[]): void
  /** Resolves when all answers have come, those too that came too late to matter. */
  allHeard(): Promise<void>
}

/**
 * Answers in a row that lack what a quorum has, before they are a difference: a node gets a new block a little later
 * than another one, and nothing is wrong with that.
 */
const PATIENCE = 3

/** Blocks behind the others at which a node lags, and at which it has caught up again. */
const LAGS = 4n
const CAUGHT_UP = 1n

/** What is remembered of one node. */
type Memory = {
  head: bigint | null
  differed: number
  /** By method: what it said when a quorum said something else. */
  readonly differences: Map<string, string>
  /** By method: how often in a row it lacked what a quorum has. */
  readonly lacking: Map<string, number>
  lags: boolean
}

/** @example const standing = createStanding(logger); standing.of(node).difference // null */
export function createStanding(logger: Logger): Standing {
  const memories = new Map<ChainNode, Memory>()
  const expected = new Set<Promise<unknown>>()

  function memoryOf(node: ChainNode): Memory {
    const known = memories.get(node)
    if (known !== undefined) return known
    const memory = { head: null, differed: 0, differences: new Map(), lacking: new Map(), lags: false }
    memories.set(node, memory)
    return memory
  }

  return {
    of(node) {
      const { head, differed, differences, lags } = memoryOf(node)
      const [difference] = differences
      return {
        head,
        differed,
        difference:
          difference === undefined ? (lags ? 'lags behind the others' : null) : difference.join(': '),
      }
    },

    judge(question, said, agreed) {
      const key = keyOf(question, said)
      if (key === null) return
      const { method } = question
      const { host } = said.node
      const memory = memoryOf(said.node)
      if (key === keyOf(question, agreed)) {
        memory.lacking.delete(method)
        if (memory.differences.delete(method))
          logger.info({ host, method }, 'An RPC agrees with the others again')
        return
      }
      if (lacks(said)) {
        const times = (memory.lacking.get(method) ?? 0) + 1
        memory.lacking.set(method, times)
        if (times < PATIENCE) return
      }
      memory.differed += 1
      const difference = `said ${tellOf(question, said)} where ${tellOf(question, agreed)} has a quorum`
      if (!memory.differences.has(method))
        logger.warn({ host, method, difference }, 'An RPC says something else than a quorum')
      memory.differences.set(method, difference)
    },

    await(answers) {
      for (const answer of answers) {
        expected.add(answer)
        // Whoever asked hears of a failure: here it only ends the wait.
        const over = () => void expected.delete(answer)
        answer.then(over, over)
      }
    },

    async allHeard() {
      while (expected.size > 0) await Promise.allSettled(expected)
    },

    sawHead(node, head) {
      memoryOf(node).head = head.number
    },

    agreedOn(head) {
      for (const [{ host }, memory] of memories) {
        if (memory.head === null) continue
        const behind = head.number - memory.head
        if (!memory.lags && behind >= LAGS) {
          memory.lags = true
          logger.warn({ host, behind: Number(behind) }, 'An RPC lags behind the others')
        } else if (memory.lags && behind <= CAUGHT_UP) {
          memory.lags = false
          logger.info({ host }, 'An RPC has caught up with the others')
        }
      }
    },
  }
}

/** Whether an answer is the absence of something, as of a node that is a little late. */
const lacks = (said: Said<unknown>): boolean =>
  said.kind === 'gone' || (said.kind === 'value' && said.value === null)
