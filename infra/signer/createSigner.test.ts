import { type Address, parseUnits } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { describe, expect, test } from 'vitest'
import { approvalTypedData } from '../../runtime/core/approvals.ts'
import type { AttemptId, IntentId } from '../../runtime/core/ids.ts'
import { type Plan, planHash, type SignedApproval } from '../../runtime/core/lifecycle.ts'
import type { Signer, SignRequest } from '../../runtime/core/ports.ts'
import { tokenAmount, wei } from '../../runtime/core/units.ts'
import type { TradingState } from '../../runtime/core/verdict.ts'
import type { PolicyFile } from '../../runtime/guards/policy.ts'
import { encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import { encodeNotAfter } from '../../runtime/protocols/rialto/encode.ts'
import {
  book,
  dearer,
  emptyOf,
  FRIEND,
  honestCalls,
  names,
  planOf,
  policyOf,
  requestOf,
} from '../../test/conformance/signerFixture.ts'
import { memorySigner } from '../../test/twins/memorySigner.ts'
import { OrdersError } from '../orders/errors.ts'
import type { CreateSignerParameters } from './createSigner.ts'
import { createSigningHistory } from './signingHistory.ts'

const START = 1_800_000_000n
const DAY = 86_400n

/** A signer under one policy, with a clock that the test turns and a past that outlives it. */
async function setUp(limits: Partial<PolicyFile> = {}, orders?: CreateSignerParameters['orders']) {
  const policy = policyOf(limits)
  const clock = { now: START, uptime: 0 }
  const history = createSigningHistory()
  const start = (): Signer =>
    memorySigner({
      book,
      accounts: [{ label: 'one', key: { kind: 'derived', seed: '1' }, policies: [policy] }],
      now: () => clock.now,
      uptime: () => clock.uptime,
      history,
      ...(orders === undefined ? {} : { orders }),
    })
  const [account] = (await start().accounts()) as [Address]
  let next = 0n
  /** Another intent on the next nonce, unless told otherwise. */
  const ask = (changes: Partial<Plan>, more: Partial<SignRequest> = {}): SignRequest => {
    next += 1n
    const plan = planOf(account, {
      intentId: `intent-${next}` as IntentId,
      delegateTo: null,
      policyVersion: policy.version,
      ...changes,
    })
    return requestOf(plan, { nonce: next, attemptId: `attempt-${next}` as AttemptId, ...more })
  }
  return { policy, clock, start, account, ask }
}

const refusal = (code: string, details: object = {}) =>
  expect.objectContaining({ code, details: expect.objectContaining(details) })
const overAllowance = refusal('PLAN_REFUSED', { denial: 'ALLOWANCE' })
const transfer = (units: string) => ({
  calls: [
    encodeTransfer(names.USDC, FRIEND, tokenAmount(parseUnits(units, 6))),
    encodeNotAfter(names.assert, 103n),
  ],
})

describe('allowances', () => {
  test('hold over the window, by the signer’s own count, over restarts', async () => {
    const { clock, start, ask } = await setUp({ allowances: { USDC: '10', native: '100' } })
    const signer = start()
    await signer.sign(ask(transfer('4')))
    clock.now += DAY / 2n
    await signer.sign(ask(transfer('6')))
    await expect(signer.sign(ask(transfer('0.000001')))).rejects.toEqual(overAllowance)
    const again = start()
    await expect(again.sign(ask(transfer('0.000001')))).rejects.toEqual(overAllowance)
    clock.now = START + DAY - 1n
    await expect(again.sign(ask(transfer('4')))).rejects.toEqual(overAllowance)
    clock.now = START + DAY
    await again.sign(ask(transfer('4')))
    await expect(again.sign(ask(transfer('0.000001')))).rejects.toEqual(overAllowance)
  })

  test('are not freed by a clock that is put back, nor by one that was ahead for a moment', async () => {
    const { clock, start, ask } = await setUp({ allowances: { USDC: '10', native: '100' } })
    const signer = start()
    await signer.sign(ask(transfer('10')))
    clock.now = 0n
    await expect(start().sign(ask(transfer('1')))).rejects.toEqual(overAllowance)
    clock.now = START - 10n * DAY
    await expect(signer.sign(ask(transfer('1')))).rejects.toEqual(overAllowance)
    clock.now = START + DAY
    await signer.sign(ask(transfer('10')))
    clock.now = START + 1n
    await expect(signer.sign(ask(transfer('1')))).rejects.toEqual(overAllowance)
    clock.now = START + 2n * DAY - 1n
    await expect(signer.sign(ask(transfer('1')))).rejects.toEqual(overAllowance)
  })

  test('are not held for ever by one that was years ahead: what the process runs counts from there', async () => {
    const { clock, start, ask } = await setUp({ allowances: { USDC: '10', native: '100' } })
    clock.now = START + 10_000n * DAY
    await start().sign(ask(transfer('10')))
    clock.now = START
    const signer = start()
    await expect(signer.sign(ask(transfer('1')))).rejects.toEqual(overAllowance)
    clock.uptime += Number(DAY) * 1_000 - 1
    await expect(signer.sign(ask(transfer('1')))).rejects.toEqual(overAllowance)
    clock.uptime += 1
    await signer.sign(ask(transfer('10')))
    await expect(signer.sign(ask(transfer('1')))).rejects.toEqual(overAllowance)
  })

  test('count of all on one nonce the highest only', async () => {
    const { start, ask } = await setUp({ allowances: { USDC: '10', WETH: '1', native: '100' } })
    const signer = start()
    const first = ask(transfer('10'))
    await signer.sign(first)
    const replacement = { ...first.plan, ...dearer(first.plan) }
    await signer.sign(requestOf(replacement, { nonce: first.nonce, attemptId: 'again' as AttemptId }))
    // The cancel does not give it back: whichever is mined counts, and nobody here can know which.
    const cancel = { ...replacement, ...dearer(replacement), calls: [], gasLimit: 21_000n }
    await signer.sign(requestOf(cancel, { nonce: first.nonce, attemptId: 'cancel' as AttemptId }))
    await expect(signer.sign(ask(transfer('0.000001')))).rejects.toEqual(overAllowance)
  })

  test('count gas at its cap as the native coin, of empty transactions too', async () => {
    const gwei = 10n ** 9n
    const { start, ask } = await setUp({ allowances: { USDC: '10', native: '0.05' } })
    const signer = start()
    const half = { gasLimit: 500_000n, maxFeePerGas: wei(50n * gwei) }
    await signer.sign(ask({ ...transfer('1'), ...half }))
    await expect(signer.sign(ask({ ...transfer('1'), ...half, gasLimit: 500_001n }))).rejects.toEqual(
      overAllowance,
    )
    await signer.sign(ask({ ...transfer('1'), ...half, gasLimit: 479_000n }))
    await signer.sign(ask({ calls: [], gasLimit: 21_000n, maxFeePerGas: wei(50n * gwei) }))
    await expect(
      signer.sign(ask({ calls: [], gasLimit: 21_000n, maxFeePerGas: wei(50n * gwei) })),
    ).rejects.toEqual(overAllowance)
  })

  test('let nothing move that they do not name, and are cut off below the smallest unit', async () => {
    const { start, ask, account } = await setUp({ allowances: { USDC: '1.0000009', native: '100' } })
    const signer = start()
    const supply = { calls: honestCalls(account).supply }
    await expect(signer.sign(ask(supply))).rejects.toEqual(overAllowance)
    await expect(signer.sign(ask(transfer('1.000001')))).rejects.toEqual(overAllowance)
    await expect(signer.sign(ask(transfer('1')))).resolves.toBeDefined()
  })

  test('what was refused counts nothing', async () => {
    const { start, ask } = await setUp({ allowances: { USDC: '10', native: '100' } })
    const signer = start()
    await expect(signer.sign(ask(transfer('11')))).rejects.toEqual(overAllowance)
    await expect(signer.sign(ask(transfer('10'), { fence: 5n }))).resolves.toBeDefined()
  })
})

describe('approvals', () => {
  const [alice, bob, mallory] = [1, 2, 3].map((n) => privateKeyToAccount(`0x${`0${n}`.repeat(32)}`)) as [
    ReturnType<typeof privateKeyToAccount>,
    ReturnType<typeof privateKeyToAccount>,
    ReturnType<typeof privateKeyToAccount>,
  ]
  const owners = [alice.address, bob.address]
  const approvals = { owners, threshold: 2, expirySeconds: 600, personAboveUsd: 'none' as const }
  const proposing: Partial<PolicyFile> = { mode: 'propose', approvals }

  async function approve(
    plan: Plan,
    by: readonly (typeof alice)[] = [alice, bob],
    changes: Partial<SignedApproval> = {},
  ): Promise<SignedApproval> {
    const approval = {
      planHash: planHash(plan),
      effectsHash: `0x${'ee'.repeat(32)}` as const,
      policyVersion: plan.policyVersion,
      expiresAt: START + 600n,
      ...changes,
    }
    const typedData = approvalTypedData(plan, approval)
    const signatures = await Promise.all(by.map((owner) => owner.signTypedData(typedData)))
    return { signatures, ...approval }
  }

  test('in propose, everything that moves anything needs one', async () => {
    const { start, ask, account } = await setUp(proposing)
    const signer = start()
    for (const calls of Object.values(honestCalls(account)))
      await expect(signer.sign(ask({ calls }))).rejects.toEqual(refusal('APPROVAL_MISSING'))
    await expect(signer.sign(ask({ calls: [], gasLimit: 21_000n }))).resolves.toBeDefined()
    const request = ask(transfer('1'))
    const approval = await approve(request.plan)
    await expect(signer.sign({ ...request, approval })).resolves.toBeDefined()
  })

  test('where the policy asks above some dollars, everything but what reduces risk needs one', async () => {
    const { start, ask, account } = await setUp({ approvals: { ...approvals, personAboveUsd: '5000' } })
    const signer = start()
    for (const [kind, calls] of Object.entries(honestCalls(account))) {
      const asked = signer.sign(ask({ calls }))
      if (['supply', 'repay', 'deleverage'].includes(kind)) await expect(asked).resolves.toBeDefined()
      else await expect(asked, kind).rejects.toEqual(refusal('APPROVAL_MISSING'))
    }
  })

  test('hold for one plan, for a time, by different owners', async () => {
    const { clock, start, ask } = await setUp(proposing)
    const signer = start()
    const request = ask(transfer('1'))
    const other = ask(transfer('2'))
    const cases: [why: string, approval: SignedApproval][] = [
      ['it is for another plan', await approve(other.plan)],
      ['it is for another policy', await approve(request.plan, [alice, bob], { policyVersion: 'x' })],
      ['it has 1 valid', await approve(request.plan, [alice, alice])],
      ['it has 1 valid', await approve(request.plan, [alice, mallory])],
      ['it has 0 valid', { ...(await approve(request.plan)), effectsHash: `0x${'ef'.repeat(32)}` }],
      ['it expires 1 seconds', await approve(request.plan, [alice, bob], { expiresAt: START + 601n })],
      ['it expired 0 seconds', await approve(request.plan, [alice, bob], { expiresAt: START })],
    ]
    for (const [why, approval] of cases)
      await expect(signer.sign({ ...request, approval }), why).rejects.toEqual(
        refusal('APPROVAL_INVALID', { why: expect.stringContaining(why) }),
      )
    const approval = await approve(request.plan)
    clock.now = START + 600n
    await expect(signer.sign({ ...request, approval })).rejects.toEqual(refusal('APPROVAL_INVALID'))
    // A clock that is put back revives nothing, as long as the signer lives or has signed since.
    clock.now = START
    await expect(signer.sign({ ...request, approval })).rejects.toEqual(refusal('APPROVAL_INVALID'))
  })

  test('hold by the time that the signer tells, which goes on from a clock that was ahead when something was signed', async () => {
    const { clock, start, ask } = await setUp({ approvals })
    const signer = start()
    clock.now = START + 1_200n
    expect(await signer.time()).toBe(START + 1_200n)
    clock.now = START
    // Nothing was signed by it.
    expect(await signer.time()).toBe(START)
    clock.now = START + 1_200n
    await signer.sign(ask(transfer('1')))
    clock.now = START
    for (const each of [signer, start()]) {
      clock.uptime += 1_500
      const time = await each.time()
      expect(time).toBe(START + 1_200n + BigInt(Math.floor(clock.uptime / 1_000)))
      const { plan, ...rest } = ask(transfer('1'))
      const sign = async (expiresAt: bigint) =>
        each.sign({ ...rest, plan, approval: await approve(plan, [alice, bob], { expiresAt }) })
      for (const expiresAt of [START + 600n, time, time + 601n])
        await expect(sign(expiresAt)).rejects.toEqual(refusal('APPROVAL_INVALID'))
      await expect(sign(time + 600n)).resolves.toBeDefined()
    }
    const again = start()
    clock.uptime += 60_000
    // It goes on while nothing is signed, too: what was asked ends.
    expect(await again.time()).toBe(START + 1_203n + 60n)
  })

  test('one that does not hold is refused even where none is needed', async () => {
    const { start, ask } = await setUp({ approvals })
    const request = ask(transfer('1'))
    const approval = await approve(request.plan, [mallory])
    await expect(start().sign({ ...request, approval })).rejects.toEqual(refusal('APPROVAL_INVALID'))
    await expect(start().sign(request)).resolves.toBeDefined()
  })

  test('lift neither policy nor allowance', async () => {
    const { start, ask } = await setUp({ ...proposing, allowances: { USDC: '1', native: '100' } })
    const signer = start()
    for (const [denial, changes] of [
      ['ALLOWANCE', transfer('2')],
      ['CONTRACT_NOT_ALLOWED', { delegateTo: FRIEND }],
      ['GAS_CAP', { gasLimit: 4_000_000n }],
    ] as const) {
      const request = ask({ ...transfer('1'), ...changes })
      const approval = await approve(request.plan)
      await expect(signer.sign({ ...request, approval })).rejects.toEqual(refusal('PLAN_REFUSED', { denial }))
    }
  })

  test('give a plan time: its last valid block may lie as many blocks further ahead as the approval seconds', async () => {
    const { start, ask, account } = await setUp(proposing)
    const signer = start()
    const until = (lastBlock: bigint) => ({
      calls: [encodeTransfer(names.USDC, FRIEND, tokenAmount(1n)), encodeNotAfter(names.assert, lastBlock)],
      lastValidBlock: lastBlock,
    })
    const far = ask(until(704n))
    await expect(signer.sign({ ...far, approval: await approve(far.plan) })).rejects.toEqual(
      refusal('PLAN_REFUSED', { denial: 'EXPIRY_TOO_FAR' }),
    )
    const near = ask(until(703n))
    await expect(signer.sign({ ...near, approval: await approve(near.plan) })).resolves.toBeDefined()
    // Higher fees for the very same need no new one; anything else does.
    const dear = dearer(near.plan)
    const replace = (changes: Partial<Plan>) =>
      signer.sign(
        requestOf(
          { ...near.plan, ...dear, ...changes },
          { nonce: near.nonce, attemptId: 'again' as AttemptId },
        ),
      )
    for (const change of [transfer('2'), until(702n)])
      await expect(replace(change)).rejects.toEqual(refusal('PLAN_REFUSED', { denial: 'EXPIRY_TOO_FAR' }))
    await expect(replace({ calls: honestCalls(account).transfer, lastValidBlock: 103n })).rejects.toEqual(
      refusal('APPROVAL_MISSING'),
    )
    await expect(replace({})).resolves.toBeDefined()
  })

  test('nobody counts where the policy names no owner', async () => {
    const { start, ask } = await setUp({ approvals: { ...approvals, owners: [], threshold: 1 } })
    const request = ask(transfer('1'))
    await expect(start().sign({ ...request, approval: await approve(request.plan) })).rejects.toEqual(
      refusal('APPROVAL_INVALID'),
    )
  })
})

test('an empty plan cancels under a policy that asks a person, and costs its gas alone', async () => {
  const { start, ask, account, policy } = await setUp({
    mode: 'propose',
    approvals: { personAboveUsd: 'none', owners: [FRIEND], threshold: 1, expirySeconds: 60 },
  })
  const plan = emptyOf(account, { policyVersion: policy.version, intentId: 'fill' as IntentId })
  await expect(start().sign(requestOf(plan, { nonce: 40n }))).resolves.toMatchObject({ noncesUsed: 1 })
  expect(ask({}).nonce).toBe(1n)
})

describe('orders of the owner', () => {
  const ordered = async (state: TradingState) => {
    const asked: unknown[] = []
    const orders = {
      stateFor(target: unknown) {
        asked.push(target)
        return state
      },
      evacuates: () => false,
    }
    const scene = await setUp({}, orders)
    return { ...scene, asked, signer: scene.start() }
  }

  test('halt whatever a worker believes, by the agent’s name and the account', async () => {
    const { signer, ask, asked, account } = await ordered('halted')
    const { repay } = honestCalls(account)
    await expect(signer.sign(ask({ calls: repay }))).rejects.toEqual(
      refusal('PLAN_REFUSED', { denial: 'TRADING_HALTED' }),
    )
    expect(asked).toEqual([{ agent: 'one', account }])
  })

  test('let what takes back pass, and only rescues while risk may be reduced', async () => {
    const halted = await ordered('halted')
    await halted.signer.sign(halted.ask({ calls: [], gasLimit: 50_000n }))
    const { signer, ask, account } = await ordered('reducing')
    await expect(signer.sign(ask(transfer('1')))).rejects.toEqual(
      refusal('PLAN_REFUSED', { denial: 'TRADING_REDUCING' }),
    )
    await signer.sign(ask({ calls: honestCalls(account).repay }))
  })

  test('that cannot be read let nothing pass', async () => {
    const { start, ask, account } = await setUp(
      {},
      {
        stateFor() {
          throw new OrdersError('ORDERS_CORRUPT', 'orders.jsonl', 'line 1')
        },
        evacuates: () => false,
      },
    )
    await expect(start().sign(ask({ calls: honestCalls(account).repay }))).rejects.toMatchObject({
      code: 'ORDERS_CORRUPT',
    })
  })

  test('take back nothing that was signed: the same request has the same bytes', async () => {
    let state: TradingState = 'active'
    const { start, ask, account } = await setUp({}, { stateFor: () => state, evacuates: () => false })
    const signer = start()
    const request = ask({ calls: honestCalls(account).repay })
    const { raw } = await signer.sign(request)
    state = 'halted'
    expect((await signer.sign(request)).raw).toBe(raw)
  })
})
