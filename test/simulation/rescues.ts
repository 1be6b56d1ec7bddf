import type { SignRequest } from '../../runtime/core/ports.ts'
import { formatWad } from '../../runtime/core/units.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { Protection } from '../../runtime/protector/createProtector.ts'
import { WETH } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import type { Block } from '../twins/chain/execution.ts'
import { accountIn, nonceIn, priceIn } from '../twins/chain/marketState.ts'
import type { MemoryChain } from '../twins/memoryChain.ts'
import { ACCOUNT, book } from './scene.ts'
import type { SignerHost } from './signerHost.ts'

/** What a protector made of the last block that it saw, and what it asked the signer for in this life. */
export type Watched = {
  readonly kind: Protection['kind'] | null
  readonly asked: readonly Asked[]
}

/** What the protector wanted a signature for, and what that cost at most, at the price of then. */
export type Asked = Pick<SignRequest, 'nonce'> & {
  /** Seconds since 1970. */
  readonly at: bigint
  /** Dollars, 8 decimals. */
  readonly cost: bigint
}

/** What gas costs by a block's price: `wei` in dollars of 8 decimals. */
export const dollarsOf = (wei: bigint, { state }: Pick<Block, 'state'>): bigint =>
  (wei * priceIn(state, WETH)) / 10n ** 18n

export type RescueParameters = {
  readonly chain: MemoryChain
  readonly signer: Pick<SignerHost, 'signed'>
  /** As it was written, whatever the product makes of it. */
  readonly policy: Policy
  /** Null where no protector runs. */
  readonly graceBlocks: bigint | null
  readonly watched: () => Watched
}

/** More gas than any rescue of these scenes is given. */
const MOST_GAS = 600_000n
const BPS = 10_000n

/**
 * Whether a position under the hard floor is left there without need: what holds at rest, when agents want nothing any
 * more and the chain is calm. That the protector says it was refused excuses it only where the refusal is due, and that
 * is seen from the policy as it was written, from the chain and from what was asked of the signer:
 * - the policy wants a person asked about everything;
 * - the fee that the next block or a replacement takes is above the cap for rescues;
 * - one more rescue would come over a spending cap.
 *
 * That there is nothing to do for it excuses nothing: the account can always repay or deleverage here.
 *
 * @returns what is wrong, or null
 */
export function unrescued({ chain, signer, policy, graceBlocks, watched }: RescueParameters): string | null {
  const head = chain.head()
  const { healthFactor } = accountIn(head.state, book, ACCOUNT)
  if (graceBlocks === null || healthFactor >= policy.healthFactor.floor) return null
  const { kind } = watched()
  if (kind === 'denied' && mayBeDenied()) return null
  return `the health factor is ${formatWad(healthFactor)}, and the protector says ${kind ?? 'nothing'}`

  function mayBeDenied(): boolean {
    const { spend, gas } = policy.riskReducing
    const nonce = nonceIn(head.state, ACCOUNT)
    const fee = feeOn(nonce)
    const cost = dollarsOf(MOST_GAS * fee, head)
    return (
      policy.mode === 'propose' ||
      fee > gas.maxFeePerGas ||
      cost > spend.perTransaction ||
      spentBeside(nonce) + cost > spend.rolling
    )
  }

  /** The least that a transaction on a nonce has to bid to be taken, were the base fee to rise for as long as it may. */
  function feeOn(nonce: bigint): bigint {
    const rises = 9n ** BigInt(policy.lastValidBlocks)
    const wanted = (head.baseFeePerGas * rises) / 8n ** BigInt(policy.lastValidBlocks)
    const { bump } = policy.replacement
    const rivals = signer.signed.filter((one) => one.nonce === nonce)
    const bids = rivals.map(({ plan }) => (plan.maxFeePerGas * (BPS + bump)) / BPS + 1n)
    return [wanted + 3n * 10n ** 9n, ...bids].reduce((most, one) => (one > most ? one : most))
  }

  /** What its own rescues of the window may cost: of all on one nonce at most one is mined, and the last is the dearest. */
  function spentBeside(nonce: bigint): bigint {
    const since = head.timestamp - BigInt(policy.spend.windowSeconds)
    const { asked } = watched()
    const last = new Map(asked.filter(({ at }) => at >= since).map((one) => [one.nonce, one.cost]))
    last.delete(nonce)
    return [...last.values()].reduce((sum, cost) => sum + cost, 0n)
  }
}
