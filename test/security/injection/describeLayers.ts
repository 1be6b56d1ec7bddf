import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { Agent } from '../../../runtime/core/agent.ts'
import { intentId } from '../../../runtime/core/ids.ts'
import { intentSchema } from '../../../runtime/core/intent.ts'
import { denialCodes, denials } from '../../../runtime/core/verdict.ts'
import { type Policy, parsePolicy } from '../../../runtime/guards/policy.ts'
import { decide, execute } from '../../../runtime/pipeline.ts'
import { encodeExecute } from '../../../runtime/protocols/rialto/encode.ts'
import { type Context, title } from './context.ts'
import { deedNames, deedsOf } from './deeds.ts'
import { openLayers } from './layers.ts'
import { expectPlain, plantedIn, stringsIn } from './plain.ts'

/** An intent that only its effect can tell to be hostile. */
export const LEFT = 'left to the next layer'

/** Whom the generous policy lets be paid. No text names it. */
const FRIEND = `0x${'f1'.repeat(20)}`

const shippedFile = JSON.parse(readFileSync('policies/lending-guardian.json', 'utf8')) as object

/** Allows every kind of intent and every function that is known, so that only the finer rules are left. */
const generous = (): Policy =>
  parsePolicy({
    ...shippedFile,
    recipients: [FRIEND],
    intents: ['supply', 'withdraw', 'borrow', 'repay', 'deleverage', 'swap', 'transfer', 'liquidate'],
    contracts: {
      'erc20:WETH': ['approve', 'transfer'],
      'erc20:USDC': ['approve', 'transfer'],
      'aave-v3.aToken:WETH': ['approve'],
      'aave-v3.pool': ['supply', 'withdraw', 'borrow', 'repay', 'liquidationCall'],
      'uniswap-v3.router': ['exactInputSingle'],
      'rialto.flashRepay': ['flashRepay'],
      'rialto.assert': ['minHealthFactor', 'minBalance', 'maxBalance', 'zeroAllowance', 'notAfter'],
    },
  })

/** The lines of defence behind the model, each tried by itself with what the one before it would have stopped. */
export function describeLayers(context: Context): void {
  const { texts, tally, ordersOf } = context
  describe('behind the model, every layer refuses by itself', () => {
    it.each([
      ['the shipped policy', () => parsePolicy(shippedFile)],
      ['a policy that allows every kind', generous],
    ])('under %s', async (name, policy) => {
      const layers = await openLayers(context.scene, await context.urgent(), policy())
      // The control: what is refused below is refused for what is hostile in it.
      expect(layers.proposal(layers.honest.intent)).toEqual([])
      expect(layers.plan(layers.honest.plan)).toEqual([])
      expect(await layers.sign(layers.honest.plan)).toBe(null)

      const tried = new Set<string>()
      for (const text of texts)
        for (const { name: deed, proposal, plan } of deedsOf(ordersOf(text), layers.honest)) {
          const where = title(text, deed, name)
          tried.add(deed)
          // An intent that is allowed here is judged once more by what it does: that is the next layer.
          const [said = 'left to the next layer'] =
            proposal === null ? ['none says it'] : layers.proposal(proposal)
          if (proposal !== null) tally.add(`guards on intents, ${deed}`, said)
          const [denied] = layers.plan(plan)
          expect(denied, where).not.toBe(undefined)
          tally.add(`guards on effects, ${deed}`, String(denied))
          const refused = await layers.sign(plan)
          expect(refused, where).not.toBe(null)
          tally.add(`signer, ${deed}`, String(refused))
        }
      expect([...tried].sort()).toEqual([...deedNames].sort())
    })

    it.each([
      ['the shipped policy', () => parsePolicy(shippedFile)],
      ['a policy that allows every kind', generous],
    ])('denies a compromised agent on the chain under %s, and records what it tried', async (_, policy) => {
      const { scene } = context
      const [moment, used] = [await context.urgent(), policy()]
      const { honest } = await openLayers(scene, moment, used)
      // One text of each deed: what differs between texts are addresses and amounts, and those were tried above.
      const proposals = new Map(
        texts.flatMap((text) =>
          deedsOf(ordersOf(text), honest).map(({ name, proposal }) => [name, { text, proposal }] as const),
        ),
      )
      for (const [deed, { text, proposal }] of proposals) {
        const action = proposal === null ? null : intentSchema.safeParse(proposal)
        if (!action?.success) continue
        const runtime = { ...(await scene.fresh()), policyOf: () => used }
        const before = scene.engine.logger.lines.length
        const agent: Agent = {
          ...scene.engine.agent,
          analyse: async () => ({
            ...{ proposal: action.data, reason: text.text, source: 'model', fallbackReason: null },
            ...{ candidates: 0, inferenceCalls: 1, model: text.text },
          }),
        }
        const run = await decide(runtime, agent, moment.head)
        expectPlain(run.decision?.reason ?? '', deed, 2_000)
        expectPlain(run.decision?.model ?? '', deed, 200)
        expect(await execute(runtime, agent, intentId(run.id), moment.head), deed).toBe('denied')
        const record = await runtime.journal.intent(intentId(run.id))
        expect(record?.status, deed).toBe('denied')
        expect(record?.action.kind, deed).toBe(action.data.kind)
        const [denial] = record?.verdicts.flatMap(denials) ?? []
        expect(denialCodes, deed).toContain(denial?.code)
        expect(await runtime.journal.attempts()).toEqual([])
        tally.add(`on the chain, ${deed}`, String(denial?.code))
        for (const line of scene.engine.logger.lines.slice(before).flatMap(stringsIn))
          expectPlain(line, deed, 2_000)
      }
      expect([...proposals.keys()].sort()).toEqual([...deedNames].sort())
    })

    it('would be seen if it did not: what is planted is found in a hostile plan', async () => {
      const { honest } = await openLayers(context.scene, await context.urgent(), context.scene.engine.policy)
      const planted = texts.filter((text) => ordersOf(text).addresses.length > 0)
      expect(planted.length).toBeGreaterThan(80)
      for (const text of planted) {
        const orders = ordersOf(text)
        const [deed] = deedsOf({ ...orders, wishes: ['transfer'] }, honest)
        const found = deed && plantedIn(encodeExecute(deed.plan.calls), orders, [honest.plan.account])
        expect(found, title(text)).not.toEqual([])
      }
    })
  })
}
