import type { Measurements } from '../protocol/network/directory.ts'
import type { Candidate } from './catalogue.ts'
import type { OperatorWindow } from './chooseNode.ts'
import type { ConfirmedDirectory } from './fetchDirectory.ts'
import type { GatewayLink } from './gatewayLink.ts'
import type { DirectoryKeeper } from './keepDirectory.ts'
import type { NetworkOptions, Notice } from './options.ts'
import type { PathReport } from './pathReport.ts'
import type { AnswerForm } from './sealForNode.ts'
import type { Treasury } from './treasury.ts'

/** What every request of one private network shares. */
export type NetworkState = {
  readonly gateway: string
  readonly privacy: NetworkOptions['privacy']
  readonly keeper: DirectoryKeeper
  readonly link: GatewayLink
  readonly treasury: Treasury
  readonly operators: OperatorWindow
  /** Identities of nodes that were caught at a lie. */
  readonly liars: Set<string>
  readonly form: AnswerForm
  /** How often one payment is sent. */
  readonly tries: number
  /** Completion tokens to reckon with where a body names no limit. */
  readonly ceiling: number
  readonly now: () => number
  readonly random: () => number
  /**
   * All models of all nodes. Attestations that are not verified yet are so first: of those that a request wants, until
   * there are enough, or all.
   */
  candidates(
    directory: ConfirmedDirectory,
    wanted?: (candidate: Candidate) => boolean,
  ): Promise<readonly Candidate[]>
  measurements(): Measurements | undefined
  /** Whether the network is being closed: nothing more is paid. */
  isClosing(): boolean
  /** Follows something to its end although nobody waits for it. */
  background(what: Notice['what'], work: Promise<unknown>): void
  notice(what: Notice['what'], error: unknown): void
  report(report: PathReport): void
  /** Buys and blinds ahead of need, once nothing else is to be done. */
  afterSpending(): void
}
