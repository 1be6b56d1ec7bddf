import { BlockGoneError, NoQuorumError } from '../../../runtime/core/chainErrors.ts'
import { RialtoError } from '../../../runtime/core/errors.ts'
import type { Chain } from '../../../runtime/core/ports.ts'
import { RpcMalformedError } from '../errors.ts'
import type { ChainNode } from './chainNode.ts'
import { phraseOf } from './health.ts'
import type { Standing } from './standing.ts'

/** What one node said. A block that it does not know is an answer too; a failure is none. */
export type Said<T> =
  | { readonly node: ChainNode; readonly kind: 'value'; readonly value: T }
  | { readonly node: ChainNode; readonly kind: 'gone'; readonly error: BlockGoneError }
  | { readonly node: ChainNode; readonly kind: 'failed'; readonly phrase: string }

/** A question that nodes vote on. */
export type Question<T> = {
  /** Names it in errors and in the log. */
  readonly method: string
  ask(chain: Chain): Promise<T>
  /** Equal for equal answers, and different for all others. */
  key(value: T): string
  /** An answer as one short phrase. */
  tell(value: T): string
  /** Whether "there is no such block" is no answer, rather than one that can be agreed on. */
  readonly goneIsNoAnswer?: boolean
  /** Where all have answered and none has a quorum: what they support together all the same, if anything. */
  settle?(values: readonly T[], quorum: number): { readonly value: T } | null
}

/** What an answer is counted under; null when it is none. */
export function keyOf<T>({ key, goneIsNoAnswer }: Question<T>, said: Said<T>): string | null {
  if (said.kind === 'value') return `= ${key(said.value)}`
  return said.kind === 'gone' && goneIsNoAnswer !== true ? 'gone' : null
}

export const tellOf = <T>({ tell }: Question<T>, said: Said<T>): string =>
  said.kind === 'value' ? tell(said.value) : said.kind === 'gone' ? 'it has no such block' : said.phrase

/** Asks one node. Only what is no error of ours is thrown. */
export async function askNode<T>(node: ChainNode, ask: (chain: Chain) => Promise<T>): Promise<Said<T>> {
  try {
    return { node, kind: 'value', value: await ask(node.chain) }
  } catch (error) {
    if (error instanceof BlockGoneError) return { node, kind: 'gone', error }
    if (!(error instanceof RialtoError)) throw error
    // A malformed answer is a fault that only shows once it is read.
    if (error instanceof RpcMalformedError) node.health.failed(error)
    return { node, kind: 'failed', phrase: phraseOf(error) }
  }
}

/** The nodes that can be asked at all, those first that should be: the rest only when these are not enough. */
export function rounds(nodes: readonly ChainNode[]): readonly (readonly ChainNode[])[] {
  const usable = nodes.filter((node) => node.state() === 'healthy' || node.state() === 'resting')
  const admitted = usable.filter(({ health }) => health.admit())
  return [admitted, usable.filter((node) => !admitted.includes(node))]
}

/** What the nodes that were not asked would have to say for themselves. */
export const absentees = (nodes: readonly ChainNode[], asked: readonly ChainNode[]): readonly string[] =>
  nodes
    .filter((node) => !asked.includes(node))
    .map((node) => `${node.host}: ${node.state()}${node.trouble() === null ? '' : `, ${node.trouble()}`}`)

/**
 * Asks all nodes at once and answers as soon as `quorum` of them say the same. So it takes `quorum` liars to make a
 * lie of it, and `quorum` honest nodes that answer to make an answer.
 *
 * Nodes that rest are asked too when the others do not suffice: a slow answer is better than none. Those whose answer
 * comes late, or is outvoted, are remembered by `standing`.
 *
 * @throws {BlockGoneError} when that is what a quorum says.
 * @throws {NoQuorumError} when too few agree, naming what each said.
 */
export async function vote<T>(
  nodes: readonly ChainNode[],
  quorum: number,
  question: Question<T>,
  standing: Standing,
): Promise<T> {
  const answers: Said<T>[] = []
  const tally = new Map<string, number>()
  let agreed: Said<T> | null = null

  /** @returns the answer that has just got its quorum. */
  function count(said: Said<T>): Said<T> | null {
    answers.push(said)
    if (agreed !== null) {
      standing.judge(question, said, agreed)
      return null
    }
    const key = keyOf(question, said)
    if (key === null) return null
    const votes = (tally.get(key) ?? 0) + 1
    tally.set(key, votes)
    if (votes < quorum) return null
    agreed = said
    for (const other of answers) standing.judge(question, other, said)
    return said
  }

  const asked: ChainNode[] = []
  for (const round of rounds(nodes)) {
    if (round.length === 0) continue
    asked.push(...round)
    const answering = round.map((node) => askNode(node, question.ask))
    standing.await(answering)
    const said = await firstAgreed(answering, count)
    if (said !== null) {
      if (said.kind === 'gone') throw said.error
      if (said.kind === 'value') return said.value
    }
  }
  const values = answers.flatMap((said) => (said.kind === 'value' ? [said.value] : []))
  const settled = question.settle?.(values, quorum) ?? null
  if (settled !== null) return settled.value
  throw new NoQuorumError(question.method, quorum, [
    ...answers.map((said) => `${said.node.host}: ${tellOf(question, said)}`),
    ...absentees(nodes, asked),
  ])
}

/** Resolves with what `count` makes of the first answer that settles it, or null when all have come to nothing. */
function firstAgreed<T>(
  asked: readonly Promise<Said<T>>[],
  count: (said: Said<T>) => Said<T> | null,
): Promise<Said<T> | null> {
  return new Promise((resolve, reject) => {
    let left = asked.length
    for (const answer of asked)
      answer.then((said) => {
        const agreed = count(said)
        left -= 1
        if (agreed !== null) resolve(agreed)
        else if (left === 0) resolve(null)
      }, reject)
  })
}
