import { InvariantError, RialtoError } from '../../../runtime/core/errors.ts'
import { type AttemptId, intentId } from '../../../runtime/core/ids.ts'
import { type Action, InvalidIntentError, parseIntent } from '../../../runtime/core/intent.ts'
import type { SimulatedPlan } from '../../../runtime/core/lifecycle.ts'
import { denials } from '../../../runtime/core/verdict.ts'
import { type GuardContext, judgeEffect, judgeIntent } from '../../../runtime/guards/index.ts'
import type { Policy } from '../../../runtime/guards/policy.ts'
import { decide } from '../../../runtime/pipeline.ts'
import { guardContext } from '../../../runtime/stages/guard.ts'
import { simulate } from '../../../runtime/stages/simulate.ts'
import { memorySigner } from '../../twins/memorySigner.ts'
import type { Honest } from './deeds.ts'
import type { Moment, Scene } from './scene.ts'

/** One policy's guards and signer, and an honest rescue that both of them let through. */
export type Layers = {
  readonly honest: Honest
  /** What the guards on intents say to a proposal, which need not be one: codes, or none. */
  proposal(value: object): readonly string[]
  /** What the guards on effects say to a plan under the honest intent's cover. */
  plan(plan: SimulatedPlan): readonly string[]
  /** What the signer says to a plan that nobody judged: a code, or null and it is signed. */
  sign(plan: SimulatedPlan): Promise<string | null>
}

/** The layers behind the model, under a policy, at a moment that calls for a rescue. */
export async function openLayers(scene: Scene, moment: Moment, policy: Policy): Promise<Layers> {
  const runtime = { ...(await scene.fresh()), policyOf: () => policy }
  const { agent } = scene.engine
  const run = await decide(runtime, agent, moment.head)
  const intent = await runtime.journal.intent(intentId(run.id))
  if (intent === null) throw new InvariantError('The rule proposes nothing, where it must rescue.')
  const context: GuardContext = await guardContext(runtime, agent, policy, moment.snapshot)
  const simulation = await simulate(runtime, intent, moment.snapshot, policy)
  if (!simulation.ok) throw new InvariantError('The honest rescue does not run.', { why: simulation.reason })
  const signerOf = () =>
    memorySigner({
      book: runtime.book,
      accounts: [{ label: 'guardian', key: { kind: 'derived', seed: '1' }, policies: [policy] }],
    })
  return {
    honest: { intent: intent.action, plan: simulation.plan, book: runtime.book },
    proposal(value) {
      let action: Action
      try {
        const parsed = parseIntent(value)
        if (parsed.kind === 'nothing') return ['NOTHING']
        action = parsed
      } catch (error) {
        if (error instanceof InvalidIntentError) return [error.code]
        throw error
      }
      return denials(judgeIntent(context, action)).map(({ code }) => code ?? 'NO_CODE')
    },
    plan: (plan) => denials(judgeEffect(context, intent.action, plan)).map(({ code }) => code ?? 'NO_CODE'),
    async sign(plan) {
      try {
        await signerOf().sign({
          attemptId: `${plan.intentId}.1` as AttemptId,
          plan,
          planHash: plan.hash,
          nonce: 7n,
          fence: 1n,
        })
        return null
      } catch (error) {
        if (!(error instanceof RialtoError)) throw error
        return String(error.details.denial ?? error.code)
      }
    },
  }
}
