import type { Address } from 'viem'
import { RialtoError } from '../core/errors.ts'
import type { AgentId, IntentId } from '../core/ids.ts'

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
  constructor(account: Address, mined: bigint, next: bigint) {
    super('NONCE_GAP', `The chain counts ${mined} transactions of ${account}, and the journal ${next}.`, {
      retryable: true,
      fix: 'What was reorganised away was broadcast again. If it stays so, another wallet has used a nonce of this account: send one more transaction from it, and leave the account to Rialto alone.',
      details: { account, mined, next },
    })
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
