import type { Address } from 'viem'
import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'

/** A function's condition has more parts than the modifier can hold. */
export class ConditionTooLargeError extends InvalidInputError {
  override readonly name = 'ConditionTooLargeError'
  constructor(actual: number, limit: number) {
    super(`A function's condition has ${actual} parts, and a Roles modifier holds at most ${limit}.`, {
      code: 'CONDITION_TOO_LARGE',
      fix: 'Name fewer tokens, pools or recipients in the policy, or split it into two roles.',
      details: { actual, limit },
    })
  }
}

/** The node keeps no logs of a modifier that is there, so nothing can be said of what it allows. */
export class LogsMissingError extends RialtoError {
  override readonly name = 'LogsMissingError'
  constructor(modifier: Address, host: string) {
    super('LOGS_MISSING', `The RPC at ${host} has no log of how the modifier ${modifier} was set up.`, {
      fix: 'Use a node that keeps all logs, and see that account.firstBlock is not too late.',
      details: { modifier, host },
    })
  }
}

/** What is on-chain is not what the policy says. */
export class RoleMismatchError extends RialtoError {
  override readonly name = 'RoleMismatchError'
  /** One line each. */
  readonly differences: readonly string[]
  constructor(agent: string, differences: readonly string[]) {
    super(
      'ROLE_MISMATCH',
      `What is on-chain is not what the policy of ${agent} says: ${differences.join(' · ')}.`,
      {
        fix: 'Look at it with "rialto policy check", and mend it with "rialto policy apply".',
        details: { agent, differences },
      },
    )
    this.differences = differences
  }
}

/** A Safe did not carry out what its owner signed. */
export class SafeTransactionFailedError extends RialtoError {
  override readonly name = 'SafeTransactionFailedError'
  /** @param why the node's words, one line */
  constructor(safe: Address, why: string) {
    super('SAFE_TRANSACTION_FAILED', `The Safe ${safe} does not carry out the transaction: ${why}.`, {
      fix: 'Nothing was changed. See that the owner can pay the gas, and that the modifier belongs to the Safe.',
      details: { safe },
    })
  }
}

/** A Safe cannot be made, or was not. */
export class SafeNotCreatedError extends RialtoError {
  override readonly name = 'SafeNotCreatedError'
  /** @param why one line */
  constructor(why: string, fix: string) {
    super('SAFE_NOT_CREATED', `The Safe cannot be made: ${why}.`, { fix })
  }
}

/** What Safe and Zodiac publish is not on a chain. */
export class NotPublishedError extends InvalidInputError {
  override readonly name = 'NotPublishedError'
  /** @param missing what has no code, by name and address */
  constructor(chainId: number, missing: readonly string[]) {
    super(`Chain ${chainId} has no code at ${missing.join(', ')}.`, {
      code: 'NOT_PUBLISHED',
      fix: 'Have the contracts that Safe and Zodiac publish deployed there first, at these addresses, or take another chain.',
      details: { chainId, missing },
    })
  }
}
