import { type Address, concatHex, formatEther, isAddressEqual } from 'viem'
import type { AgentId } from '../core/ids.ts'
import { unaidedIntentId } from '../core/ids.ts'
import type { Call, Plan } from '../core/lifecycle.ts'
import { findPosition, type Snapshot } from '../core/snapshot.ts'
import { MAX_UINT256, type Usd, usd, type Wei, wad, wei } from '../core/units.ts'
import { hasDebt } from '../protocols/aave-v3/healthFactor.ts'
import { rialtoOf } from '../protocols/book.ts'
import { nativeBalanceOf } from '../protocols/erc20/read.ts'
import { encodeExecute, encodeMinHealthFactor, encodeNotAfter } from '../protocols/rialto/encode.ts'
import { emptyFees, type Fees, outbidWithin } from '../stages/fees.ts'
import { gasValue } from '../stages/measure.ts'
import type { EvacuationOptions } from './createEvacuation.ts'
import { LEAST_VALUE } from './nextStep.ts'

/** The last step of an evacuation: the native coin that is not needed for gas any more. */
export type Sweep =
  | {
      readonly kind: 'prepared'
      readonly plan: Plan
      readonly amount: Wei
      /** Gas at its limit and fee cap: what is not used of it stays. */
      readonly mostGas: Wei
      /** The same, in dollars. */
      readonly reserved: Usd
    }
  /** Why the native coin stays, as the end of a sentence that begins with it. */
  | { readonly kind: 'stays'; readonly why: string }

export type SweepOptions = Pick<
  EvacuationOptions,
  'chain' | 'book' | 'agent' | 'account' | 'policy' | 'blockSeconds' | 'explainRevert'
> & {
  /** Under whose name the plan is made. */
  readonly name: AgentId
}

/** Gas that is assumed until it is measured. Whether it was enough the simulation tells. */
const ASSUMED_GAS = 200_000n
/** As for any plan: it may turn out higher than measured; and what a first delegation costs on top. */
const limitOf = (gasUsed: bigint, delegates: boolean): bigint =>
  ((gasUsed + (delegates ? 12_500n : 0n)) * 13n) / 10n

/**
 * Sends the native coin of an account to the destination of its evacuation, but for the gas of doing so at its cap. No
 * guard and no policy of an agent lets the native coin go: this is the one plan that does, and the signer holds it to its
 * form: to the destination and nobody else, and only where the chain itself finds no debt left. For while there is a
 * debt, whoever takes the coin for gas from a rescue gains by the liquidation.
 *
 * @param spendable what of the native balance may go: all of it, in earnest
 * @param earlier fees that are on the nonce already
 * @throws {RialtoError} when the chain cannot be read.
 */
export async function prepareSweep(
  options: SweepOptions,
  snapshot: Snapshot,
  spendable: Wei,
  earlier: readonly Fees[] = [],
): Promise<Sweep> {
  const { policy, book, account, blockSeconds } = options
  const { block, wallet } = snapshot
  const [destination] = policy.recipients
  const stays = (why: string): Sweep => ({ kind: 'stays', why })
  if (destination === undefined) return stays('nobody is named to send it to')
  const position = findPosition(snapshot, account)
  if (position === undefined || hasDebt(position) || position.account.totalDebt > 0n)
    return stays('a debt is left, and it pays for the gas to repay it')
  const cap = policy.riskReducing.gas.maxFeePerGas
  const fees = outbidWithin(emptyFees(block, policy), earlier, policy.replacement.bump, cap)
  if (fees === null || fees.maxFeePerGas < block.baseFeePerGas + fees.maxPriorityFeePerGas)
    return stays('gas costs more than the policy allows')

  const { batchAccount, assert } = rialtoOf(book)
  const isDelegated = wallet.delegation !== null && isAddressEqual(wallet.delegation, batchAccount)
  const lastValidBlock = block.number + BigInt(policy.lastValidBlocks)
  const leftAfter = (gasLimit: bigint): bigint => spendable - gasLimit * fees.maxFeePerGas
  const callsFor = (amount: bigint): readonly Call[] => [
    { to: destination, value: wei(amount), data: '0x' },
    encodeMinHealthFactor(assert, book.aaveV3.pool, account, wad(MAX_UINT256)),
    encodeNotAfter(assert, lastValidBlock),
  ]
  /** Runs it between two readings of what the destination holds. */
  const run = async (amount: bigint) => {
    const calls = callsFor(amount)
    const { target: to, data, decode } = nativeBalanceOf(book.multicall3, destination)
    const reading = { from: account, to, value: wei(0n), data }
    const [before, middle, after] = await options.chain.simulate({
      on: block,
      timestamp: block.timestamp + blockSeconds,
      baseFeePerGas: block.baseFeePerGas,
      code: isDelegated ? [] : [{ address: account, code: concatHex(['0xef0100', batchAccount]) }],
      calls: [reading, { from: account, to: account, value: wei(0n), data: encodeExecute(calls) }, reading],
    })
    if (middle?.status !== 'success' || before?.status !== 'success' || after?.status !== 'success')
      return options.explainRevert(middle?.returnData ?? '0x')
    const arrived = decode(after.returnData) - decode(before.returnData)
    return arrived === amount
      ? { calls, gasUsed: middle.gasUsed }
      : `${formatEther(arrived)} of it would arrive`
  }

  const first = leftAfter(ASSUMED_GAS)
  if (first <= 0n) return stays('it is no more than what sending it may cost')
  const measured = await run(first)
  if (typeof measured === 'string') return stays(`it cannot be sent: ${measured}`)
  const gasLimit = limitOf(measured.gasUsed, !isDelegated)
  const mostGas = wei(gasLimit * fees.maxFeePerGas)
  const amount = leftAfter(gasLimit)
  // What is kept back and not used must not be worth another one, or there would be no end.
  if (amount <= mostGas || gasValue(wei(amount), snapshot, book) < LEAST_VALUE)
    return stays('it is worth less than the gas to send it')
  const reserved = gasValue(mostGas, snapshot, book)
  if (reserved > policy.gas.maxCost) return stays('the gas to send it costs more than the policy allows')
  const exact = await run(amount)
  if (typeof exact === 'string') return stays(`it cannot be sent: ${exact}`)
  return {
    kind: 'prepared',
    amount: wei(amount),
    mostGas,
    reserved: usd(reserved),
    plan: {
      intentId: unaidedIntentId(options.name, options, block.hash),
      chainId: snapshot.chainId,
      account,
      calls: exact.calls,
      delegateTo: isDelegated ? null : batchAccount,
      gasLimit,
      ...fees,
      block: { number: block.number, hash: block.hash },
      lastValidBlock,
      policyVersion: policy.version,
    },
  }
}

/** What a sweep sends, by its plan; null for any other plan. */
export function sweptBy({
  calls,
}: Pick<Plan, 'calls'>): { readonly to: Address; readonly amount: Wei } | null {
  const [first] = calls
  return first === undefined || first.value === 0n ? null : { to: first.to, amount: first.value }
}
