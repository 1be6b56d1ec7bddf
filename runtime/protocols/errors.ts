import type { Address } from 'viem'
import { RialtoError } from '../core/errors.ts'

/** Why a read did not give a value. */
export type ReadFailure = 'no contract at the address' | 'the call reverted' | 'the answer does not decode'

/** A contract call that had to be answered was not. */
export class ReadFailedError extends RialtoError {
  override readonly name = 'ReadFailedError'
  /** @param what the read in words, like `aave-v3 account data of 0x…` */
  constructor(what: string, target: Address, failure: ReadFailure, cause?: unknown) {
    super('READ_FAILED', `Could not read ${what}: ${failure}.`, {
      fix: `Check that ${target} in the address book is the right contract on this chain.`,
      details: { what, target, failure },
      ...(cause === undefined ? {} : { cause }),
    })
  }
}

/** Something was asked of a contract, token or pool that is not in the address book. */
export class NotInAddressBookError extends RialtoError {
  override readonly name = 'NotInAddressBookError'
  /** @param role what was looked for, like `token` or `Aave reserve` */
  constructor(role: string, address: Address | string, chainId: number) {
    super('NOT_IN_ADDRESS_BOOK', `No ${role} ${address} is known on chain ${chainId}.`, {
      fix: 'Add it to the address book, or leave it out of the watch list.',
      details: { role, address, chainId },
    })
  }
}

/** A snapshot lacks what a computation needs: the watch list was too short. */
export class NotInSnapshotError extends RialtoError {
  override readonly name = 'NotInSnapshotError'
  constructor(role: string, address: Address) {
    super('NOT_IN_SNAPSHOT', `The snapshot holds no ${role} ${address}.`, {
      fix: 'Add it to the watch list of the agent.',
      details: { role, address },
    })
  }
}

/** The protocol would refuse the action in the state at hand. */
export class InfeasibleActionError extends RialtoError {
  override readonly name = 'InfeasibleActionError'
  constructor(action: string, reason: string, details: Readonly<Record<string, unknown>> = {}) {
    super('INFEASIBLE_ACTION', `Cannot ${action}: ${reason}.`, { details })
  }
}

/** A position uses a feature of the protocol that the mathematics here does not model, so it is not guessed at. */
export class UnsupportedPositionError extends RialtoError {
  override readonly name = 'UnsupportedPositionError'
  constructor(user: Address, feature: string) {
    super('UNSUPPORTED_POSITION', `The position of ${user} uses ${feature}, which Rialto does not model.`, {
      fix: 'Leave that feature, or watch the position without acting on it.',
      details: { user, feature },
    })
  }
}
