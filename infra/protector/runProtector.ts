import { createRule } from '../../agents/lending-guardian/rule.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { describeError, type RialtoError } from '../../runtime/core/errors.ts'
import type { AgentId } from '../../runtime/core/ids.ts'
import type { Chain, Logger, Signer } from '../../runtime/core/ports.ts'
import { strictest } from '../../runtime/core/verdict.ts'
import { createProtector, type Protection } from '../../runtime/protector/createProtector.ts'
import { decodeRevert } from '../chain/decodeRevert.ts'
import { watchHeads } from '../chain/watchHeads.ts'
import { guardianOptions } from '../createAgent.ts'
import type { OwnerOrders } from '../orders/ownerOrders.ts'
import type { Guarded } from './findGuarded.ts'

export type RunProtectorOptions = {
  readonly chain: Chain
  readonly signer: Pick<Signer, 'sign' | 'signedFrom'>
  readonly orders: OwnerOrders
  readonly book: AddressBook
  readonly guarded: readonly Guarded[]
  readonly blockSeconds: number
  /** Blocks under the hard floor that the agent has before the protector acts. */
  readonly graceBlocks: bigint
  readonly logger: Logger
  readonly signal: AbortSignal
  /** Told of every block and what was done about it. */
  onBlock?(block: bigint, agent: AgentId, protection: Protection): void
  /** Told of what keeps it from looking; it goes on. */
  onError?(error: RialtoError): void
}

/**
 * Protects positions block by block until the signal aborts. One that cannot be looked at is said and looked at again
 * in the next block; it keeps none of the others waiting.
 *
 * @throws {RialtoError} whatever the chain says that is not retryable.
 */
export async function runProtector(options: RunProtectorOptions): Promise<void> {
  const { chain, logger, orders, book, blockSeconds } = options
  const watched = options.guarded.map(({ config, account, policy, route }) => {
    const parts = guardianOptions({ config, account, book, blockSeconds })
    const acting = route === null ? [account] : [account, route.sender]
    const { assets, pools, wrappedNative } = parts
    return {
      id: config.id,
      protector: createProtector({
        chain,
        signer: options.signer,
        logger,
        book,
        guarded: {
          id: config.id,
          account,
          watch: () => ({ positions: [account], assets: [...new Set([...assets, wrappedNative])], pools }),
        },
        policy,
        rule: createRule(parts),
        orders: () => strictest(acting.map((one) => orders.stateFor({ agent: config.id, account: one }))),
        blockSeconds: BigInt(blockSeconds),
        graceBlocks: options.graceBlocks,
        routeOf: () => route,
        explainRevert: decodeRevert,
      }),
    }
  })
  const heads = watchHeads(chain, {
    signal: options.signal,
    pollInterval: Math.min(blockSeconds * 250, 2_000),
    onError: (error) => {
      logger.warn({ error: error.toLine() }, 'the protector cannot see the chain')
      options.onError?.(error)
    },
  })
  for await (const { head } of heads)
    await Promise.all(
      watched.map(async ({ id, protector }) => {
        try {
          const protection = await protector.atHead(head)
          tell(logger, head.number, id, protection)
          options.onBlock?.(head.number, id, protection)
        } catch (error) {
          logger.error(
            { agent: id, block: head.number.toString(), error: describeError(error) },
            'not protected in this block',
          )
        }
      }),
    )
}

const LEVEL = {
  well: 'debug',
  waiting: 'warn',
  halted: 'warn',
  resent: 'warn',
  acted: 'warn',
  denied: 'error',
  helpless: 'error',
} as const satisfies Record<Protection['kind'], keyof Logger>

function tell(logger: Logger, block: bigint, agent: AgentId, { kind, reason, hash }: Protection): void {
  logger[LEVEL[kind]]({ agent, block: block.toString(), kind, reason, hash }, 'protector')
}
