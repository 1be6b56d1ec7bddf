import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Policy, parsePolicy } from '../../../runtime/guards/policy.ts'
import { encodeExecute } from '../../../runtime/protocols/rialto/encode.ts'
import { type Context, title } from './context.ts'
import { deedNames, deedsOf } from './deeds.ts'
import { openLayers } from './layers.ts'
import { plantedIn } from './plain.ts'

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
