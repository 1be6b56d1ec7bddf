import type { Address } from 'viem'
import { describe, expect, test } from 'vitest'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import type { Signer, SignRequest } from '../../runtime/core/ports.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'
import { protectorPolicy } from '../../runtime/guards/protector.ts'
import {
  book,
  dearer,
  honestCalls,
  planOf,
  policyOf,
  requestOf,
} from '../../test/conformance/signerFixture.ts'
import { memorySigner } from '../../test/twins/memorySigner.ts'
import type { OrderTarget } from '../orders/ownerOrders.ts'

// The key by which the protector of a Safe acts, beside the agent's: each has its nonces, its budget and its use.

const SAFE: Address = '0x00000000000000000000000000000000000000A1'
const MODIFIER: Address = '0x00000000000000000000000000000000000000a2'
const MULTI_SEND: Address = '0x00000000000000000000000000000000000000A3'
const ROLE: Hash = `0x${'11'.repeat(32)}`
const PROTECTORS_ROLE: Hash = `0x${'22'.repeat(32)}`

/** Two repayments of one USDC each for the agent, three for its protector. */
const policy = policyOf({
  allowances: { USDC: '2', native: '1' },
  protector: { rollingUsd: '3000', allowances: { USDC: '3', WETH: '1', native: '1' } },
})
const derived = protectorPolicy(policy)
if (derived === null) throw new TypeError('Something is reserved.')
const calls = honestCalls(SAFE)

async function setUp(stateOf: (target: OrderTarget) => TradingState = () => 'active') {
  const safe = { account: SAFE, modifier: MODIFIER, multiSend: MULTI_SEND, roleKey: ROLE }
  const key = { kind: 'derived', seed: '1' } as const
  const signer: Signer = memorySigner({
    book,
    accounts: [
      { label: 'guardian', key, policies: [policy], safe },
      {
        ...{ label: 'guardian-protector', key, policies: [derived ?? policy] },
        ...{ safe: { ...safe, roleKey: PROTECTORS_ROLE }, protects: 'guardian' },
      },
    ],
    orders: { stateFor: stateOf, evacuates: () => false },
  })
  const [agent, protector] = (await signer.accounts()) as [Address, Address]
  let asked = 0
  const request = (
    sender: Address,
    roleKey: Hash,
    policyVersion: string,
    changes: Partial<Plan>,
    more: Partial<SignRequest>,
  ): SignRequest => {
    asked += 1
    const via = { kind: 'roles', modifier: MODIFIER, multiSend: MULTI_SEND, roleKey, sender } as const
    const intentId = `intent-${asked}` as IntentId
    const plan = planOf(SAFE, { intentId, delegateTo: null, via, policyVersion, ...changes })
    return requestOf(plan, { nonce: BigInt(asked), attemptId: `attempt-${asked}` as AttemptId, ...more })
  }
  return {
    signer,
    agent,
    protector,
    /** The agent asks under its lease. */
    byAgent: (changes: Partial<Plan> = {}, more: Partial<SignRequest> = {}) =>
      request(agent, ROLE, policy.version, changes, more),
    /** The protector asks without one. */
    byProtector: (changes: Partial<Plan> = {}, more: Partial<SignRequest> = {}) =>
      request(protector, PROTECTORS_ROLE, derived?.version ?? '', changes, {
        fence: 'protector',
        ...more,
      }),
  }
}

const refused = (denial: string) => ({ code: 'PLAN_REFUSED', details: { denial } })

describe('the key of a protector', () => {
  test('signs every kind of rescue on nonces of its own, whatever the agent has signed on the same', async () => {
    const { signer, agent, protector, byAgent, byProtector } = await setUp()
    await signer.sign(byAgent({}, { nonce: 7n }))
    for (const [index, kind] of (['repay', 'supply', 'deleverage'] as const).entries())
      await signer.sign(byProtector({ calls: calls[kind] }, { nonce: 7n + BigInt(index) }))
    expect((await signer.signedFrom(agent, 0n)).map(({ fence }) => fence)).toEqual([1n])
    const signed = await signer.signedFrom(protector, 0n)
    expect(signed.map(({ nonce, fence }) => [nonce, fence])).toEqual(
      [7n, 8n, 9n].map((nonce) => [nonce, 'protector']),
    )
  })

  test('signs nothing for whoever has a lease, and nothing but what reduces risk', async () => {
    const { signer, protector, byProtector } = await setUp()
    const cases: readonly (readonly [SignRequest, string])[] = [
      [byProtector({}, { fence: 1n }), 'TRADING_REDUCING'],
      [byProtector({}, { fence: 2n ** 64n }), 'TRADING_REDUCING'],
      [byProtector({ calls: calls.borrow }), 'SELECTOR_NOT_ALLOWED'],
      [byProtector({ calls: calls.withdraw }), 'SELECTOR_NOT_ALLOWED'],
      [byProtector({ calls: calls.transfer }), 'SELECTOR_NOT_ALLOWED'],
      [byProtector({ calls: calls.swap }), 'CONTRACT_NOT_ALLOWED'],
      [byProtector({ calls: [], gasLimit: 21_000n }), 'TRADING_REDUCING'],
      [byProtector({ policyVersion: policy.version }), 'PLAN_MISMATCH'],
    ]
    for (const [request, denial] of cases)
      await expect(signer.sign(request), denial).rejects.toMatchObject(refused(denial))
    expect(await signer.signedFrom(protector, 0n)).toEqual([])
  })

  test('acts by its own role alone, and the agent’s by its own', async () => {
    const { signer, agent, protector, byAgent, byProtector } = await setUp()
    const via = { kind: 'roles', modifier: MODIFIER, multiSend: MULTI_SEND } as const
    for (const request of [
      byProtector({ via: { ...via, roleKey: ROLE, sender: protector } }),
      byAgent({ via: { ...via, roleKey: PROTECTORS_ROLE, sender: agent } }),
    ])
      await expect(signer.sign(request)).rejects.toMatchObject(refused('CONTRACT_NOT_ALLOWED'))
  })

  test('is the only one of the Safe that signs without a lease', async () => {
    const { signer, byAgent } = await setUp()
    await expect(signer.sign(byAgent({}, { fence: 'protector' }))).rejects.toMatchObject(
      refused('TRADING_REDUCING'),
    )
    await signer.sign(byAgent())
  })

  test('draws on its own allowances, and neither can use up what the other has', async () => {
    const { signer, byAgent, byProtector } = await setUp()
    for (let times = 0; times < 2; times += 1) await signer.sign(byAgent())
    await expect(signer.sign(byAgent())).rejects.toMatchObject(refused('ALLOWANCE'))
    for (let times = 0; times < 3; times += 1) await signer.sign(byProtector())
    await expect(signer.sign(byProtector())).rejects.toMatchObject(refused('ALLOWANCE'))

    const other = await setUp()
    for (let times = 0; times < 3; times += 1) await other.signer.sign(other.byProtector())
    await expect(other.signer.sign(other.byProtector())).rejects.toMatchObject(refused('ALLOWANCE'))
    await other.signer.sign(other.byAgent())
  })

  test('outbids itself on its nonce, and gives nothing up for anybody', async () => {
    const { signer, protector, byProtector } = await setUp()
    const first = byProtector({}, { nonce: 5n })
    await signer.sign(first)
    await signer.sign(byProtector(dearer(first.plan), { nonce: 5n }))
    for (const attempt of [first.attemptId, 'attempt-to-come' as AttemptId])
      await expect(signer.abandon(protector, attempt)).rejects.toMatchObject({ code: 'SIGNER_REQUEST' })
    expect(await signer.signedFrom(protector, 5n)).toHaveLength(2)
  })

  test.each<[string, (target: OrderTarget, agent: Address, protector: Address) => boolean]>([
    ['the agent', (target) => target.agent === 'guardian'],
    ['the Safe', ({ account }) => account === SAFE],
    ['the agent’s key', ({ account }, agent) => account === agent],
    ['its own key', ({ account }, _agent, protector) => account === protector],
  ])(
    'obeys an order about %s: a halt stops it, and to reduce risk alone does not',
    async (_what, isMeant) => {
      let state: TradingState = 'active'
      const accounts: Address[] = []
      const scene = await setUp((target) => {
        const [agent, protector] = accounts as [Address, Address]
        return isMeant(target, agent, protector) ? state : 'active'
      })
      accounts.push(scene.agent, scene.protector)
      state = 'reducing'
      await scene.signer.sign(scene.byProtector())
      state = 'halted'
      await expect(scene.signer.sign(scene.byProtector())).rejects.toMatchObject(refused('TRADING_HALTED'))
      state = 'active'
      await scene.signer.sign(scene.byProtector())
    },
  )
})
