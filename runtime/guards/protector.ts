import { isRiskReducing } from '../core/intent.ts'
import { type Usd, usd } from '../core/units.ts'
import { NEEDED } from './contradictions.ts'
import { type Policy, type PolicyLimits, policyVersion } from './policy.ts'

/**
 * The limits of the protector of a Safe, which has a key, a role and a reserve of its own: derived from the agent's
 * policy and nothing else, so that guards, signer and role come to the same without a word between them.
 *
 * - It may do what the policy allows of `supply`, `repay` and `deleverage`, by the functions that these take.
 * - It moves what is reserved for it, and its rescues may lose what is reserved for them: `allowances` and the rolling
 *   caps are those of `policy.protector`, which nobody else draws on.
 * - All else is as the policy says, its mode too: only where the agent may act by itself, a protector does. It needs no
 *   standing, so it has no steps.
 *
 * @param policy the whole policy of the agent, not that of a step
 * @returns null where nothing is reserved
 * @example protectorPolicy(policy)?.allowances // { WETH: '40', USDC: '60000', native: '4' }
 */
export function protectorPolicy({ version: _version, protector, ...limits }: Policy): Policy | null {
  if (protector === 'none') return null
  const { spend, riskReducing } = limits
  const intents = limits.intents.filter((kind) => isRiskReducing({ kind }))
  const atMost = (amount: Usd): Usd => usd(amount < protector.rolling ? amount : protector.rolling)
  const derived: PolicyLimits = {
    ...limits,
    name: `${limits.name.slice(0, 53)}-protector`,
    intents,
    contracts: contractsFor(intents, limits.contracts),
    recipients: [],
    spend: { ...spend, perTransaction: atMost(spend.perTransaction), rolling: atMost(spend.rolling) },
    allowances: protector.allowances,
    protector: 'none',
    graduation: 'none',
    riskReducing: { ...riskReducing, spend: { ...riskReducing.spend, rolling: protector.rolling } },
  }
  return Object.freeze({ ...derived, version: policyVersion(derived) })
}

/** Of the functions that a policy names, those that some kinds of intent take. */
function contractsFor(
  intents: PolicyLimits['intents'],
  contracts: PolicyLimits['contracts'],
): PolicyLimits['contracts'] {
  const needed = intents.flatMap((kind) => NEEDED[kind])
  return Object.fromEntries(
    Object.entries(contracts).flatMap(([name, functions]) => {
      const [role] = name.split(':', 1)
      const kept = functions.filter((each) =>
        needed.some(([of, names]) => of === role && names.includes(each)),
      )
      return kept.length === 0 ? [] : [[name, kept] as const]
    }),
  )
}
