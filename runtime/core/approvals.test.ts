import { type Address, type Hex, hashTypedData } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { describe, expect, test } from 'vitest'
import {
  type ApprovalRules,
  approvalFault,
  approvalTypedData,
  countValidSignatures,
  effectsHash,
} from './approvals.ts'
import type { IntentId } from './ids.ts'
import { type Effects, type Plan, planHash, type SignedApproval } from './lifecycle.ts'
import { bps, usd, wad, wei } from './units.ts'

const [alice, bob, carol] = [1, 2, 3].map((n) => privateKeyToAccount(`0x${`0${n}`.repeat(32)}`)) as [
  ReturnType<typeof privateKeyToAccount>,
  ReturnType<typeof privateKeyToAccount>,
  ReturnType<typeof privateKeyToAccount>,
]
const stranger = privateKeyToAccount(`0x${'09'.repeat(32)}`)
const account: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const NOW = 1_800_000_000n

const plan: Plan = {
  intentId: 'intent-1' as IntentId,
  chainId: 31_337,
  account,
  calls: [{ to: account, value: wei(0n), data: '0x1234' }],
  delegateTo: null,
  gasLimit: 500_000n,
  maxFeePerGas: wei(2n),
  maxPriorityFeePerGas: wei(1n),
  block: { number: 100n, hash: `0x${'bb'.repeat(32)}` },
  lastValidBlock: 103n,
  policyVersion: 'abcd',
}
const rules: ApprovalRules = {
  owners: [alice.address, bob.address, carol.address.toLowerCase() as Address],
  threshold: 2,
  expirySeconds: 600,
}
const unsigned = {
  planHash: planHash(plan),
  effectsHash: `0x${'ee'.repeat(32)}`,
  policyVersion: plan.policyVersion,
  expiresAt: NOW + 600n,
} as const

async function approvedBy(
  owners: readonly (typeof alice)[],
  changes: Partial<SignedApproval> = {},
  of: Pick<Plan, 'chainId' | 'account'> = plan,
): Promise<SignedApproval> {
  const approval = { ...unsigned, ...changes }
  const typedData = approvalTypedData(of, approval)
  const signatures = await Promise.all(owners.map((owner) => owner.signTypedData(typedData)))
  return { signatures, ...approval }
}

describe('approvalTypedData', () => {
  test('is what EIP-712 makes of it, the same on every machine', () => {
    const typedData = approvalTypedData(plan, { ...unsigned, planHash: `0x${'aa'.repeat(32)}` })
    expect(typedData.domain).toEqual({
      name: 'Rialto',
      version: '1',
      chainId: 31_337,
      verifyingContract: account,
    })
    // Fixed: an owner's signature must hold over releases.
    expect(hashTypedData(typedData)).toMatchInlineSnapshot(
      `"0x68f56bca066ccd653575c2bd6bd1194072656be2f23b8f3da47e161b8525e5e3"`,
    )
  })
})

describe('effectsHash', () => {
  const position = {
    totalCollateral: usd(1n),
    totalDebt: usd(1n),
    availableBorrows: usd(1n),
    liquidationThreshold: bps(1n),
    ltv: bps(1n),
    healthFactor: wad(1n),
  }
  const effects = {
    gasUsed: 1n,
    balances: [{ account, token: null, before: 2n, after: 1n }],
    allowances: [],
    position: { before: position, after: position },
    equity: { before: 5n, after: -4n },
    logCount: 3,
  } as unknown as Effects

  test('changes with every effect, and not with the spelling of an address', () => {
    const lower = {
      ...effects,
      balances: effects.balances.map((one) => ({ ...one, account: account.toLowerCase() })),
    }
    expect(effectsHash(lower as Effects)).toBe(effectsHash(effects))
    for (const change of [
      { gasUsed: 2n },
      { logCount: 4 },
      { balances: [] },
      { equity: { before: 5n, after: 4n } },
    ])
      expect(effectsHash({ ...effects, ...change })).not.toBe(effectsHash(effects))
  })
})

describe('countValidSignatures', () => {
  test('counts owners, each once, in whatever order', async () => {
    const { owners } = rules
    const count = async (approval: SignedApproval) => countValidSignatures(plan, approval, owners)
    expect(await count(await approvedBy([]))).toBe(0)
    expect(await count(await approvedBy([carol, alice]))).toBe(2)
    expect(await count(await approvedBy([alice, alice, alice]))).toBe(1)
    expect(await count(await approvedBy([stranger, bob]))).toBe(1)
  })

  test('counts nothing that is over something else, or no signature', async () => {
    const { owners } = rules
    const good = await approvedBy([alice, bob])
    for (const change of [
      { planHash: `0x${'01'.repeat(32)}` },
      { effectsHash: `0x${'01'.repeat(32)}` },
      { policyVersion: 'abce' },
      { expiresAt: NOW + 599n },
    ] as const)
      expect(await countValidSignatures(plan, { ...good, ...change }, owners)).toBe(0)
    expect(await countValidSignatures({ ...plan, chainId: 1 }, good, owners)).toBe(0)
    expect(await countValidSignatures({ ...plan, account: stranger.address }, good, owners)).toBe(0)
    const [signature = '0x'] = good.signatures
    const odd: readonly Hex[] = [
      '0x',
      '0x00',
      `${signature}00`,
      `0x${'00'.repeat(65)}`,
      `0x${'ff'.repeat(65)}`,
    ]
    expect(await countValidSignatures(plan, { ...good, signatures: odd }, owners)).toBe(0)
    expect(
      await countValidSignatures(plan, { ...good, signatures: [...odd, signature, signature] }, owners),
    ).toBe(1)
  })
})

describe('approvalFault', () => {
  test('finds none where enough owners signed this plan, under this policy, for long enough', async () => {
    expect(await approvalFault(plan, await approvedBy([alice, carol]), rules, NOW)).toBeNull()
    expect(await approvalFault(plan, await approvedBy([alice, bob, carol]), rules, NOW + 599n)).toBeNull()
  })

  test('says what is wrong', async () => {
    const fault = async (approval: SignedApproval, now = NOW, of = plan) =>
      approvalFault(of, approval, rules, now)
    const good = await approvedBy([alice, bob])
    expect(await fault(good, NOW, { ...plan, gasLimit: 1n })).toBe('it is for another plan')
    expect(await fault(await approvedBy([alice, bob], { policyVersion: 'x' }))).toBe(
      'it is for another policy',
    )
    expect(await fault(good, NOW + 600n)).toBe('it expired 0 seconds ago')
    expect(await fault(good, NOW - 1n)).toBe('it expires 1 seconds too late')
    expect(await fault(await approvedBy([alice, alice]))).toBe(
      'it has 1 valid signatures of owners, and the policy asks for 2',
    )
    expect(await approvalFault(plan, good, { ...rules, owners: [] }, NOW)).toMatch('it has 0 valid')
  })
})
