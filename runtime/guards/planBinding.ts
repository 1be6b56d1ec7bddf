import { isAddressEqual } from 'viem'
import { planHash } from '../core/lifecycle.ts'
import { allow, deny, type EffectGuard } from './guard.ts'

/**
 * The plan belongs to what judges it: same account, chain, block and policy, and its hash is its own. A limit that
 * is checked against another block's prices, or an older policy, was not checked.
 */
export const planBinding: EffectGuard = ({ policy, book, snapshot, account }, _intent, plan) => {
  const pairs: readonly (readonly [what: string, limit: string, observed: string, same: boolean])[] = [
    ['account', account, plan.account, isAddressEqual(account, plan.account)],
    ['wallet', account, snapshot.wallet.account, isAddressEqual(account, snapshot.wallet.account)],
    ['chain', String(book.chainId), String(plan.chainId), book.chainId === plan.chainId],
    ['chain', String(book.chainId), String(snapshot.chainId), book.chainId === snapshot.chainId],
    ['block', snapshot.block.hash, plan.block.hash, snapshot.block.hash === plan.block.hash],
    [
      'block',
      String(snapshot.block.number),
      String(plan.block.number),
      snapshot.block.number === plan.block.number,
    ],
    ['policy', policy.version, plan.policyVersion, policy.version === plan.policyVersion],
    ['hash', planHash(plan), plan.hash, planHash(plan) === plan.hash],
  ]
  for (const [what, limit, observed, same] of pairs)
    if (!same)
      return deny('PLAN_MISMATCH', {
        limit,
        observed,
        message: `The plan is for another ${what}: ${observed}.`,
      })
  return allow({ limit: plan.hash, observed: plan.hash, message: 'The plan belongs to this judgement.' })
}
