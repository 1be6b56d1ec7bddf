import type { Address } from 'viem'
import { createRule } from '../../agents/lending-guardian/rule.ts'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { describeError, type RialtoError } from '../../runtime/core/errors.ts'
import type { AgentId } from '../../runtime/core/ids.ts'
import type { RolesRoute } from '../../runtime/core/lifecycle.ts'
import type { Chain, Logger, Signer } from '../../runtime/core/ports.ts'
import { createProtector, type Protection } from '../../runtime/protector/createProtector.ts'
import { decodeRevert } from '../chain/decodeRevert.ts'
import { watchHeads } from '../chain/watchHeads.ts'
import type { AgentConfig } from '../config/loadConfig.ts'
import { guardianOptions } from '../createAgent.ts'
import type { OwnerOrders } from '../orders/ownerOrders.ts'

/** A position to protect: whose it is, and the configuration of the agent that guards it. */
export type Guarded = {
  readonly config: AgentConfig
  readonly account: Address
  /** Through what it acts where the account is a Safe; null otherwise. */
  readonly route: RolesRoute | null
}

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
  const watched = options.guarded.map(({ config, account, route }) => {
    const parts = guardianOptions({ config, account, book, blockSeconds })
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
        policy: config.policy,
        rule: createRule(parts),
        orders: () => orders.stateFor({ agent: config.id, account }),
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
