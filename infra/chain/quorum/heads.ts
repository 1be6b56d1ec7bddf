import { BlockGoneError, NoQuorumError } from '../../../runtime/core/chainErrors.ts'
import type { Chain } from '../../../runtime/core/ports.ts'
import type { BlockRef } from '../../../runtime/core/snapshot.ts'
import type { ChainNode } from './chainNode.ts'
import { blockQuestion } from './questions.ts'
import type { Standing } from './standing.ts'
import type { Timer } from './timer.ts'
import { absentees, askNode, rounds, type Said, tellOf, vote } from './votes.ts'

export type HeadsParameters = {
  readonly nodes: readonly ChainNode[]
  readonly quorum: number
  readonly standing: Standing
  readonly timer: Timer
  /** How long to wait for the others once a quorum has said what its newest block is, in milliseconds. */
  readonly grace: number
}

/** The deepest disagreement about the newest blocks that is looked through, in blocks. */
const DEEPEST_SPLIT = 16n

/** What several nodes together have. */
export type Heads = {
  /**
   * The newest block that a quorum of nodes has: nodes that are ahead are asked for its number. It falls back only
   * when a quorum no longer has the block that was the newest before.
   *
   * @throws {NoQuorumError} when too few answer, or agree on none of the last sixteen blocks.
   */
  head(): Promise<BlockRef>
  /**
   * The newest block that a quorum of nodes calls final; null when a quorum knows no such thing.
   *
   * @throws {NoQuorumError} when too few answer or agree.
   */
  finalized(): Promise<BlockRef | null>
}

/** @example const { number } = await createHeads({ nodes, quorum: 2, standing, timer, grace: 1_000 }).head() */
export function createHeads({ nodes, quorum, standing, timer, grace }: HeadsParameters): Heads {
  let last: BlockRef | null = null

  /**
   * Everybody's answer, but for those who take much longer than a quorum.
   *
   * @param settled whether some answers decide, so that the others need not be waited for
   */
  async function hear<T>(
    method: string,
    ask: (chain: Chain) => Promise<T>,
    settled: (answers: readonly Told<T>[]) => boolean = () => false,
    note: (answer: Told<T>) => void = () => {},
  ): Promise<readonly Told<T>[]> {
    const said: Said<T>[] = []
    const asked: ChainNode[] = []
    for (const round of rounds(nodes)) {
      if (round.length === 0) continue
      asked.push(...round)
      const wanted = quorum - told(said).length
      const answering = round.map((node) => askNode(node, ask))
      standing.await(answering)
      said.push(
        ...(await untilEnough(answering, {
          isEnough: (answers) => answers.length >= wanted,
          settled: (answers) => settled([...told(said), ...answers]),
          note,
          grace,
          timer,
        })),
      )
      if (told(said).length >= quorum) return told(said)
    }
    throw new NoQuorumError(method, quorum, [
      ...said.map((one) => `${one.node.host}: ${one.kind === 'value' ? 'answers' : tellOf(silent, one)}`),
      ...absentees(nodes, asked),
    ])
  }

  /** The newest block from `top` down that a quorum of the nodes has. */
  async function common(top: bigint, known: ReadonlyMap<Chain, BlockRef>): Promise<BlockRef> {
    for (let number = top; ; number--) {
      const block = blockQuestion(number)
      const ask = (chain: Chain) => {
        const own = known.get(chain)
        return own?.number === number ? Promise.resolve(own) : block.ask(chain)
      }
      try {
        return await vote(nodes, quorum, { ...block, ask, goneIsNoAnswer: true }, standing)
      } catch (error) {
        const split = error instanceof NoQuorumError
        if (!split || number === 0n || top - number >= DEEPEST_SPLIT) throw error
      }
    }
  }

  const newestInCommon = (heard: readonly Told<BlockRef>[]): Promise<BlockRef> =>
    common(
      nthHighest(
        heard.map(({ value }) => value.number),
        quorum,
      ),
      new Map(heard.map(({ node, value }) => [node.chain, value])),
    )

  /** Whether a quorum still has a block. */
  const isThere = ({ number, hash }: BlockRef): Promise<boolean> =>
    vote(
      nodes,
      quorum,
      {
        method: 'whether the last block is still there',
        ask: (chain) =>
          chain.block(number).then(
            (block) => block.hash === hash,
            (error: unknown) => {
              if (error instanceof BlockGoneError) return false
              throw error
            },
          ),
        key: String,
        tell: (there) => (there ? 'it is there' : 'it is gone'),
      },
      standing,
    )

  /**
   * The block that a quorum has told; null when none has. Where the quorum is a majority, the others cannot make it a
   * newer one, so that they need not be waited for.
   */
  function toldByQuorum(answers: readonly Told<BlockRef>[]): BlockRef | null {
    if (2 * quorum <= nodes.length) return null
    const { key } = blockQuestion(0n)
    const keys = answers.map(({ value }) => key(value))
    const found = answers.find((_, index) => keys.filter((other) => other === keys[index]).length >= quorum)
    return found?.value ?? null
  }

  return {
    async head() {
      const heard = await hear(
        'the newest block',
        (chain) => chain.head(),
        (answers) => toldByQuorum(answers) !== null,
        ({ node, value }) => standing.sawHead(node, value),
      )
      const found = toldByQuorum(heard) ?? (await newestInCommon(heard))
      if (last !== null && found.number < last.number && (await isThere(last))) return last
      last = found
      standing.agreedOn(found)
      return found
    },

    async finalized() {
      const heard = await hear('the final block', (chain) => chain.finalized())
      const final = heard.flatMap(({ value }) => (value === null ? [] : [value]))
      if (heard.length - final.length >= quorum) return null
      if (final.length < quorum)
        throw new NoQuorumError(
          'the final block',
          quorum,
          heard.map(
            ({ node, value }) => `${node.host}: ${value === null ? 'none' : `block ${value.number}`}`,
          ),
        )
      const known = new Map(heard.flatMap(({ node, value }) => (value === null ? [] : [[node.chain, value]])))
      // A block with final ones on top of it is final. Which one it is, those may say too that call it final later.
      return common(
        nthHighest(
          final.map(({ number }) => number),
          quorum,
        ),
        known,
      )
    },
  }
}

type Told<T> = Extract<Said<T>, { kind: 'value' }>

const told = <T>(said: readonly Said<T>[]): readonly Told<T>[] =>
  said.filter((one): one is Told<T> => one.kind === 'value')

/** For what was not answered only. */
const silent = { method: '', ask: () => Promise.resolve(null), key: String, tell: String }

const nthHighest = (numbers: readonly bigint[], n: number): bigint =>
  numbers.toSorted((a, b) => (a < b ? 1 : a > b ? -1 : 0))[n - 1] ?? 0n

type Enough<T> = {
  /** Whether these answers would do, if no more came. */
  readonly isEnough: (answers: readonly Told<T>[]) => boolean
  /** Whether these answers decide. */
  readonly settled: (answers: readonly Told<T>[]) => boolean
  /** Told of every answer, those too that come too late. */
  readonly note: (answer: Told<T>) => void
  readonly grace: number
  readonly timer: Timer
}

/** All answers, or those that came until they decided, or within `grace` after there were enough. */
function untilEnough<T>(
  asked: readonly Promise<Said<T>>[],
  { isEnough, settled, note, grace, timer }: Enough<T>,
): Promise<readonly Said<T>[]> {
  return new Promise((resolve, reject) => {
    const answers: Said<T>[] = []
    const done = new AbortController()
    let waiting = false
    // A copy: what comes later must not change what was decided on.
    const finish = () => {
      done.abort()
      resolve([...answers])
    }
    for (const answer of asked)
      answer.then((said) => {
        if (said.kind === 'value') note(said)
        answers.push(said)
        if (answers.length === asked.length || settled(told(answers))) return finish()
        if (waiting || !isEnough(told(answers))) return
        waiting = true
        timer.sleep(grace, done.signal).then(finish, reject)
      }, reject)
  })
}
