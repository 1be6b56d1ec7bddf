import type { Address } from 'viem'
import { RialtoError } from '../core/errors.ts'
import type { AgentId, AttemptId, IntentId } from '../core/ids.ts'

/** Our own contracts are not known on the chain, so no plan can be atomic there. */
export class ContractsMissingError extends RialtoError {
  override readonly name = 'ContractsMissingError'
  constructor(chainId: number) {
    super('CONTRACTS_MISSING', `BatchAccount, FlashRepay and Assert are not known on chain ${chainId}.`, {
      fix: 'Deploy them and name them in the address book, or run the agent in mode "observe".',
      details: { chainId },
    })
  }
}

/** An agent did not answer although its time was over: it breaks a must of its port. */
export class AnalysisOverdueError extends RialtoError {
  override readonly name = 'AnalysisOverdueError'
  constructor(agent: AgentId) {
    super('ANALYSIS_OVERDUE', `Agent "${agent}" did not answer after it was told to come to an end.`, {
      fix: 'This is a defect in the agent: when its signal aborts it has to answer by its rule.',
      details: { agent },
    })
  }
}

/** Another process writes the account's nonces. */
export class LeaseHeldError extends RialtoError {
  override readonly name = 'LeaseHeldError'
  constructor(account: Address) {
    super('LEASE_HELD', `Another process holds the lease on ${account}.`, {
      retryable: true,
      fix: 'Wait until its lease ends, or stop that process.',
      details: { account },
    })
  }
}

/** Nonces lie between what the chain counts and what is free: a transaction behind them would never be mined. */
export class NonceGapError extends RialtoError {
  override readonly name = 'NonceGapError'
  constructor(account: Address, gaps: readonly bigint[]) {
    super('NONCE_GAP', `Nothing will use nonce ${gaps.join(', ')} of ${account} as things stand.`, {
      retryable: true,
      fix: 'It is filled at the next head, or as soon as it is proven what became of the one before.',
      details: { account, gaps },
    })
  }
}

/** The policy waits for finality, and the chain has no such notion. */
export class FinalityMissingError extends RialtoError {
  override readonly name = 'FinalityMissingError'
  constructor(chainId: number) {
    super('FINALITY_MISSING', `Chain ${chainId} does not say which of its blocks are final.`, {
      fix: 'Set confirmations in the policy to a number of blocks.',
      details: { chainId },
    })
  }
}

/** Bytes that the signer gave for an attempt are of another nonce: they are not taken for it. */
export class BytesMismatchError extends RialtoError {
  override readonly name = 'BytesMismatchError'
  constructor(attempt: AttemptId, nonce: bigint) {
    super(
      'BYTES_MISMATCH',
      `What the signer holds for attempt ${attempt} is not a transaction on nonce ${nonce}.`,
      {
        fix: 'Check that journal and signer belong to the same chain; the ledger’s own nonce is followed.',
        details: { attempt, nonce },
      },
    )
  }
}

/** The chain moved on, or the policy changed, between simulation and signing. */
export class PlanStaleError extends RialtoError {
  override readonly name = 'PlanStaleError'
  constructor(intentId: IntentId, why: string) {
    super('PLAN_STALE', `The plan for intent ${intentId} is stale: ${why}.`, {
      retryable: true,
      fix: 'It is simulated again on the newest block.',
      details: { intentId },
    })
  }
}

/** A job names an agent that this runtime does not run. */
export class UnknownAgentError extends RialtoError {
  override readonly name = 'UnknownAgentError'
  constructor(agent: AgentId) {
    super('UNKNOWN_AGENT', `There is no agent "${agent}" in this runtime.`, {
      fix: 'Add it to the configuration, or remove its jobs from the queue.',
      details: { agent },
    })
  }
}

/** A job names an intent that the journal does not hold. */
export class UnknownIntentError extends RialtoError {
  override readonly name = 'UnknownIntentError'
  constructor(intentId: IntentId) {
    super('UNKNOWN_INTENT', `The journal holds no intent ${intentId}.`, {
      fix: 'Check that queue and journal belong together.',
      details: { intentId },
    })
  }
}
