import type { Address } from 'viem'
import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'

/** The RPC serves another chain than the one that was configured. */
export class WrongChainError extends InvalidInputError {
  override readonly name = 'WrongChainError'
  constructor(host: string, expected: number, actual: number) {
    super(`The RPC at ${host} serves chain ${actual}, not chain ${expected}.`, {
      code: 'WRONG_CHAIN',
      fix: `Name an RPC of chain ${expected}, or configure chain ${actual}.`,
      details: { host, expected, actual },
    })
  }
}

/** The RPC cannot run a plan before it is signed. */
export class SimulationUnsupportedError extends InvalidInputError {
  override readonly name = 'SimulationUnsupportedError'
  constructor(host: string, reason: string) {
    super(`The RPC at ${host} cannot simulate: ${reason}.`, {
      code: 'SIMULATION_UNSUPPORTED',
      fix: 'Use a node or provider that serves eth_simulateV1 with state overrides: geth 1.14.9 or later does, and so do current Nethermind, reth and anvil.',
      details: { host, reason },
    })
  }
}

/** Reads are batched through Multicall3, and it is not where the address book says. */
export class MulticallMissingError extends InvalidInputError {
  override readonly name = 'MulticallMissingError'
  constructor(host: string, address: string) {
    super(`There is no Multicall3 at ${address} on the chain that the RPC at ${host} serves.`, {
      code: 'MULTICALL_MISSING',
      fix: "Correct `multicall3` in the chain's address book.",
      details: { host, address },
    })
  }
}

/** The address book is not true of the chain: whoever went by it could lose everything to a stranger's contract. */
export class AddressBookMismatchError extends InvalidInputError {
  override readonly name = 'AddressBookMismatchError'
  /** @param differences what is not as the book says, a line each */
  constructor(differences: readonly string[]) {
    super(`The address book does not hold on this chain: ${differences.join('; ')}.`, {
      code: 'ADDRESS_BOOK_MISMATCH',
      fix: "Correct the address book, or the RPC's URL if it is of another chain.",
      details: { differences },
    })
  }
}

/** The node answered with an error that is none of those with a class of their own. */
export class RpcRefusedError extends RialtoError {
  override readonly name = 'RpcRefusedError'
  /** The JSON-RPC error code. */
  readonly rpcCode: number
  /** What the node said: one line, redacted and shortened. */
  readonly said: string
  constructor(method: string, host: string, rpcCode: number, said: string, retryable: boolean) {
    super('RPC_REFUSED', `The RPC at ${host} answered ${method} with error ${rpcCode}: ${said}.`, {
      fix: retryable ? 'Try again later, or use another RPC.' : 'Check that the RPC serves this method.',
      retryable,
      details: { method, host, rpcCode },
    })
    this.rpcCode = rpcCode
    this.said = said
  }
}

/** The node answered with something that is no valid answer to the method. */
export class RpcMalformedError extends RialtoError {
  override readonly name = 'RpcMalformedError'
  constructor(method: string, host: string, what: string) {
    super('RPC_MALFORMED', `The RPC at ${host} gave no valid answer to ${method}: ${what}.`, {
      fix: 'Use another RPC: this one is broken or is no Ethereum node.',
      details: { method, host, what },
    })
  }
}

/** The block that was read is no longer one of the chain. */
export class ChainMovedError extends RialtoError {
  override readonly name = 'ChainMovedError'
  constructor(block: bigint, host: string) {
    super('CHAIN_MOVED', `Block ${block} was replaced while it was read from ${host}.`, {
      fix: 'Try again.',
      retryable: true,
      details: { block, host },
    })
  }
}

/** The node serves logs in pieces only, and cannot tell where to begin. */
export class FirstBlockUnknownError extends RialtoError {
  override readonly name = 'FirstBlockUnknownError'
  constructor(modifier: Address, host: string) {
    super(
      'FIRST_BLOCK_UNKNOWN',
      `The RPC at ${host} cannot tell in which block the modifier ${modifier} was made.`,
      {
        fix: 'Set account.firstBlock of the agent to that block, or use an archive node.',
        details: { modifier, host },
      },
    )
  }
}

/** Something of an owner's is not mined, and may be what is about to be sent. */
export class OwnerBusyError extends RialtoError {
  override readonly name = 'OwnerBusyError'
  /** @param nextCommand what that says what came of it */
  constructor(owner: Address, pending: bigint, nextCommand: string) {
    super(
      'OWNER_BUSY',
      `${owner} has sent what is not mined yet (${pending}), and this may be among it: nothing was sent now.`,
      {
        fix: `Wait until nothing is pending, then run "${nextCommand}".`,
        retryable: true,
        details: { owner, pending },
      },
    )
  }
}

/** A transaction of an owner may have been sent, and nobody saw it mined. */
export class OwnerTransactionUnknownError extends RialtoError {
  override readonly name = 'OwnerTransactionUnknownError'
  /** @param nextCommand what that says what came of it */
  /** @param trouble what kept it from being sent or seen for certain, one line; null when it was sent, and only late */
  constructor(hash: Hash, seconds: number, nextCommand: string, trouble: string | null) {
    const why = trouble === null ? '' : ` (${trouble})`
    super(
      'OWNER_TRANSACTION_UNKNOWN',
      `Transaction ${hash} ${trouble === null ? 'was' : 'may have been'} sent, and was not seen mined in ${seconds} s${why}.`,
      {
        fix: `It may still be: look for it before you send anything else, then run "${nextCommand}".`,
        details: { hash, trouble },
      },
    )
  }
}
