import type { Address } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { describeError, RialtoError } from '../../runtime/core/errors.ts'
import type { Chain, Logger, Signer } from '../../runtime/core/ports.ts'
import type { ApprovalSearch } from '../../runtime/evacuation/approvalSearch.ts'
import {
  createEvacuation,
  type EvacuationOptions,
  type EvacuationProgress,
} from '../../runtime/evacuation/createEvacuation.ts'
import type { Remainder } from '../../runtime/evacuation/nextStep.ts'
import { evacuationPolicy } from '../../runtime/guards/evacuation.ts'
import { decodeRevert } from '../chain/decodeRevert.ts'
import { watchHeads } from '../chain/watchHeads.ts'
import type { AgentConfig } from '../config/loadConfig.ts'
import type { OwnerOrders } from '../orders/ownerOrders.ts'
import { SignerError } from '../signer/errors.ts'
import type { RunningSearch, Unsearched } from './searchApprovals.ts'

/** An account to evacuate: whose agent's it is, and where everything goes. */
export type Evacuee = {
  readonly config: AgentConfig
  readonly account: Address
  readonly destination: Address
}

/** How the evacuation of an account ended. */
export type EvacuationEnd = {
  readonly evacuee: Evacuee
  /** Null: nothing of value is left. Else why it stopped before that. */
  readonly stopped: string | null
  readonly remains: readonly Remainder[]
  /** Where nobody looked for those who may take something; null: everywhere was looked. */
  readonly unsearched: Unsearched | null
}

export type RunEvacuationOptions = {
  readonly chain: Chain
  readonly signer: Pick<Signer, 'sign' | 'signedFrom'>
  readonly orders: Pick<OwnerOrders, 'evacuates'>
  readonly book: AddressBook
  readonly evacuees: readonly Evacuee[]
  readonly blockSeconds: number
  /** Blocks in which an account makes no progress before it is given up. */
  readonly patience: number
  readonly logger: Logger
  readonly signal: AbortSignal
  /** Begins to look for those who may take something of an account. It is not waited for before the debt is repaid. */
  searchFor(evacuee: Evacuee): RunningSearch
  onProgress?(block: bigint, evacuee: Evacuee, progress: EvacuationProgress): void
  /** Told of what keeps it from looking; it goes on. */
  onError?(error: RialtoError): void
}

/** What the evacuation of an account goes by, but for what only acting needs. */
export const evacuationOf = (
  { config, account, destination }: Evacuee,
  { chain, book, blockSeconds }: Pick<RunEvacuationOptions, 'chain' | 'book' | 'blockSeconds'>,
  search: ApprovalSearch,
): Omit<EvacuationOptions, 'signer' | 'isOrdered' | 'logger'> => ({
  chain,
  book,
  agent: config.id,
  account,
  policy: evacuationPolicy(config.policy, book, destination),
  search,
  blockSeconds: BigInt(blockSeconds),
  explainRevert: decodeRevert,
})

/**
 * Evacuates accounts block by block, until each has nothing of value left, makes no progress any more, or the signal
 * aborts. An account that cannot be looked at is said and looked at again in the next block; it keeps none waiting. What
 * cannot pass by itself ends the evacuation of that account, and of no other.
 *
 * @throws {RialtoError} whatever the chain says of its heads that is not retryable.
 */
export async function runEvacuation(options: RunEvacuationOptions): Promise<readonly EvacuationEnd[]> {
  const { chain, logger, signer } = options
  const open = new Map(
    options.evacuees.map((evacuee) => {
      const { config, account } = evacuee
      const isOrdered = () => options.orders.evacuates({ agent: config.id, account })
      const search = options.searchFor(evacuee)
      const settings = evacuationOf(evacuee, options, search)
      const evacuation = createEvacuation({ ...settings, signer, logger, isOrdered })
      const state = { evacuation, search, idle: 0 }
      return [evacuee, state] as const
    }),
  )
  const ends: EvacuationEnd[] = []
  const end = async (evacuee: Evacuee, stopped: string | null, remains: readonly Remainder[]) => {
    if (stopped !== null) open.get(evacuee)?.search.cancel()
    const unsearched = (await open.get(evacuee)?.search.end) ?? null
    open.delete(evacuee)
    ends.push({ evacuee, stopped, remains, unsearched })
  }
  const heads = watchHeads(chain, {
    signal: options.signal,
    pollInterval: Math.min(options.blockSeconds * 250, 2_000),
    onError: (error) => {
      logger.warn({ error: error.toLine() }, 'the evacuation cannot see the chain')
      options.onError?.(error)
    },
  })
  for await (const { head } of heads) {
    for (const [evacuee, state] of [...open]) {
      let idle: string
      let remains: readonly Remainder[] = []
      try {
        const progress = await state.evacuation.atHead(head)
        logger.warn({ ...told(evacuee, progress), block: head.number.toString() }, 'evacuation')
        options.onProgress?.(head.number, evacuee, progress)
        if (progress.kind === 'ended') await end(evacuee, 'the order to evacuate does not hold any more', [])
        else if (progress.kind === 'done') await end(evacuee, null, progress.remains)
        else if (progress.kind === 'denied' && progress.codes.includes('GAS_UNAFFORDABLE'))
          await end(evacuee, `${progress.reason} Send it some, and run this again`, [])
        else if (progress.kind === 'denied' && progress.codes.includes('PLAN_MISMATCH'))
          await end(evacuee, OTHER_CONFIGURATION, [])
        const isIdle = progress.kind === 'denied' || progress.kind === 'waiting'
        state.idle = isIdle ? state.idle + 1 : 0
        idle = progress.kind === 'denied' ? progress.reason : 'nothing more can be done for now'
        if (progress.kind === 'waiting') remains = progress.remains
      } catch (error) {
        idle = describeError(error)
        logger.error({ agent: evacuee.config.id, error: idle }, 'no step in this block')
        if (error instanceof RialtoError && error.retryable) {
          options.onError?.(error)
          state.idle += 1
        } else await end(evacuee, isOfOtherSigner(error) ? `${OTHER_CONFIGURATION} (${idle})` : idle, remains)
      }
      if (open.has(evacuee) && state.idle > options.patience)
        await end(evacuee, `no progress in ${options.patience} blocks: ${idle}`, remains)
    }
    if (open.size === 0) return ends
  }
  for (const [evacuee] of [...open]) await end(evacuee, 'it was interrupted; run it again to go on', [])
  return ends
}

const OTHER_CONFIGURATION =
  'the signer that runs was started from another configuration: stop it, and run this again'

const isOfOtherSigner = (error: unknown): boolean =>
  error instanceof SignerError && error.code === 'UNKNOWN_ACCOUNT'

const told = ({ config, account }: Evacuee, progress: EvacuationProgress): object => ({
  agent: config.id,
  account,
  kind: progress.kind,
  ...('reason' in progress ? { reason: progress.reason } : {}),
  ...('hash' in progress ? { hash: progress.hash } : {}),
})
