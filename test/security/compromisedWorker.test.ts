import { parseTransaction } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import type { AttemptId } from '../../runtime/core/ids.ts'
import type { Call, Plan, SignedApproval } from '../../runtime/core/lifecycle.ts'
import type { SignedTransaction, SignRequest } from '../../runtime/core/ports.ts'
import { tokenAmount, wad, wei } from '../../runtime/core/units.ts'
import {
  encodeBorrow,
  encodeRepay,
  encodeSupply,
  encodeWithdraw,
} from '../../runtime/protocols/aave-v3/encode.ts'
import { encodeApprove, encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import {
  encodeExecute,
  encodeMinBalance,
  encodeMinHealthFactor,
  encodeNotAfter,
  encodeZeroAllowance,
} from '../../runtime/protocols/rialto/encode.ts'
import {
  book,
  dearer,
  FRIEND,
  honestCalls,
  names,
  requestOf,
  STRANGER,
} from '../conformance/signerFixture.ts'
import {
  agent,
  approvedBy,
  ask,
  dollars,
  executing,
  generous,
  healthy,
  inTime,
  MILLION,
  openWorkerScene,
  owners,
  proposing,
  signed,
  swapTo,
  thief,
  throughRole,
  type WorkerScene,
  why,
} from './workerScene.ts'

// A worker that was taken over: it holds the signer's pipe, a lease, every fencing token it likes, the journal, and
// all that the runtime knows; it can hash what it makes up. It does not hold a key, and it did not start the signer.

const [alice, bob] = owners as [(typeof owners)[number], (typeof owners)[number]]

let scene: WorkerScene
beforeAll(async () => {
  scene = await openWorkerScene()
})
afterAll(() => scene.close())

const sign = (request: unknown) => scene.pipe.ask('sign', request)
const signs = async (request: SignRequest): Promise<SignedTransaction> => signed(await sign(request))

describe('a worker that was taken over', () => {
  test('(the control) gets signed what the policy allows', async () => {
    const account = scene.anAccount()
    for (const calls of Object.values(honestCalls(account))) {
      const request = ask(account, { calls })
      const { raw } = await signs(request)
      expect(parseTransaction(raw)).toMatchObject({ to: account.toLowerCase(), data: encodeExecute(calls) })
    }
    expect(scene.signedFor(account)).toHaveLength(7)
  })

  test('sends money to nobody else', async () => {
    const account = scene.anAccount()
    const { supply, repay, swap } = honestCalls(account)
    const cases: readonly (readonly Call[])[] = [
      [encodeTransfer(names.USDC, STRANGER, MILLION), inTime],
      [encodeTransfer(names.USDC, thief.address, tokenAmount(1n)), inTime],
      [encodeWithdraw(names.pool, names.WETH, MILLION, STRANGER), healthy(account), inTime],
      [encodeBorrow(names.pool, names.USDC, MILLION, STRANGER), healthy(account), inTime],
      repay.with(1, encodeRepay(names.pool, names.USDC, MILLION, STRANGER)),
      supply.with(1, encodeSupply(names.pool, names.WETH, MILLION, STRANGER)),
      swap.with(1, swapTo(STRANGER)),
      swap.with(1, swapTo(names.pool)),
      [{ to: STRANGER, value: wei(1n), data: '0x' }, inTime],
    ]
    for (const calls of cases)
      expect(['RECIPIENT_NOT_ALLOWED', 'CONTRACT_NOT_ALLOWED']).toContain(
        why(await sign(ask(account, { calls }))),
      )
    expect(scene.signedFor(account)).toEqual([])
  })

  test('approves nobody for more than the plan itself uses up', async () => {
    const account = scene.anAccount()
    const { repay } = honestCalls(account)
    const unlimited = tokenAmount(2n ** 256n - 1n)
    const cases: [string, readonly Call[]][] = [
      ['APPROVAL_UNLIMITED', repay.with(0, encodeApprove(names.USDC, names.pool, unlimited))],
      ['APPROVAL_UNLIMITED', repay.with(0, encodeApprove(names.USDC, names.pool, tokenAmount(MILLION + 1n)))],
      ['RECIPIENT_NOT_ALLOWED', repay.with(0, encodeApprove(names.USDC, STRANGER, MILLION))],
      ['RECIPIENT_NOT_ALLOWED', [encodeApprove(names.USDC, thief.address, MILLION), ...repay]],
      ['RECIPIENT_NOT_ALLOWED', [encodeApprove(names.WETH, names.pool, MILLION), ...repay]],
      [
        'ASSERTION_MISSING',
        repay.filter(
          (call) => call.data !== encodeZeroAllowance(names.assert, names.USDC, account, names.pool).data,
        ),
      ],
    ]
    for (const [denial, calls] of cases) expect(why(await sign(ask(account, { calls })))).toBe(denial)
    expect(scene.signedFor(account)).toEqual([])
  })

  test('calls no other contract, no other function, and nothing besides', async () => {
    const account = scene.anAccount()
    const { repay, transfer } = honestCalls(account)
    const [pay] = transfer
    const act = repay[1] as Call
    const cases: [string, Partial<Plan>][] = [
      ['CONTRACT_NOT_ALLOWED', { calls: repay.with(1, { ...act, to: STRANGER }) }],
      ['CONTRACT_NOT_ALLOWED', { calls: repay.with(1, { ...act, to: account }) }],
      ['CALLDATA_UNREADABLE', { calls: repay.with(1, { ...act, to: book.aaveV3.oracle }) }],
      ['CALLDATA_UNREADABLE', { calls: repay.with(1, { ...act, data: `0x23b872dd${act.data.slice(10)}` }) }],
      ['CALLDATA_UNREADABLE', { calls: repay.with(1, { ...act, data: `${act.data}00` }) }],
      ['SELECTOR_NOT_ALLOWED', { calls: repay.with(1, encodeTransfer(names.A_WETH, FRIEND, MILLION)) }],
      ['EFFECT_UNEXPECTED', { calls: [pay as Call, ...repay] }],
      ['EFFECT_UNEXPECTED', { calls: [...repay, pay as Call, inTime] }],
      ['CONTRACT_NOT_ALLOWED', { delegateTo: STRANGER }],
      ['CONTRACT_NOT_ALLOWED', { delegateTo: names.flashRepay }],
      ['CONTRACT_NOT_ALLOWED', { calls: [], gasLimit: 21_000n, delegateTo: names.batchAccount }],
      ['PLAN_MISMATCH', { chainId: 1 }],
      ['GAS_CAP', { maxFeePerGas: wei(10n ** 15n) }],
      ['GAS_CAP', { gasLimit: 30_000_000n }],
      ['GAS_CAP', { calls: [], gasLimit: 3_000_000n }],
    ]
    for (const [denial, changes] of cases) expect(why(await sign(ask(account, changes)))).toBe(denial)
    expect(scene.signedFor(account)).toEqual([])
  })

  test('acts through no modifier, for no Safe that the signer does not know', async () => {
    const account = scene.anAccount()
    const via = {
      kind: 'roles',
      modifier: STRANGER,
      multiSend: STRANGER,
      roleKey: `0x${'12'.repeat(32)}`,
      sender: account,
    } as const
    expect(why(await sign(ask(account, { via })))).toBe('CONTRACT_NOT_ALLOWED')
    expect(why(await sign(ask(STRANGER, { via, calls: honestCalls(STRANGER).repay })))).toBe(
      'CONTRACT_NOT_ALLOWED',
    )
    expect(why(await sign(ask(account, { via: { ...via, sender: STRANGER } })))).toBe('UNKNOWN_ACCOUNT')
    expect(scene.signedFor(account)).toEqual([])
  })

  test('leaves out no assertion, weakens none, and gives a plan no more time', async () => {
    const account = scene.anAccount()
    const { borrow, repay, swap, deleverage } = honestCalls(account)
    const weak = encodeMinHealthFactor(names.assert, names.pool, account, wad(1n))
    const cases: [string, Partial<Plan>][] = [
      ['ASSERTION_MISSING', { calls: borrow.toSpliced(1, 1) }],
      ['ASSERTION_MISSING', { calls: borrow.with(1, weak) }],
      ['ASSERTION_MISSING', { calls: borrow.with(1, healthy(STRANGER)) }],
      ['ASSERTION_MISSING', { calls: swap.toSpliced(2, 1) }],
      [
        'ASSERTION_MISSING',
        { calls: swap.with(2, encodeMinBalance(names.assert, names.WETH, STRANGER, MILLION)) },
      ],
      ['ASSERTION_MISSING', { calls: deleverage.toSpliced(2, 1) }],
      ['ASSERTION_MISSING', { calls: repay.slice(0, -1) }],
      ['ASSERTION_MISSING', { calls: repay.with(-1, encodeNotAfter(names.assert, 10_000n)) }],
      ['EFFECT_UNEXPECTED', { calls: [...borrow.slice(1), borrow[0] as Call] }],
      [
        'EXPIRY_TOO_FAR',
        { calls: repay.with(-1, encodeNotAfter(names.assert, 10_000n)), lastValidBlock: 10_000n },
      ],
    ]
    for (const [denial, changes] of cases) expect(why(await sign(ask(account, changes)))).toBe(denial)
    expect(scene.signedFor(account)).toEqual([])
  })

  test('is believed nothing about simulation, verdict, policy or approval', async () => {
    const account = scene.anAccount()
    const steal = ask(account, { calls: [encodeTransfer(names.USDC, STRANGER, MILLION), inTime] })
    const forged: unknown[] = [
      { ...steal, plan: { ...steal.plan, effects: { gasUsed: 1n, balances: [], logCount: 9 } } },
      { ...steal, plan: { ...steal.plan, verdict: { allowed: true, findings: [] } } },
      { ...steal, plan: { ...steal.plan, hash: steal.planHash, approval: { by: 'policy' } } },
      { ...steal, approval: { by: 'policy' } },
      { ...steal, policy: generous },
      { ...steal, simulated: true },
      { ...steal, now: 0n },
    ]
    for (const request of forged) expect(why(await sign(request))).toBe('SIGNER_REQUEST')
    // Another plan under the hash of an honest one.
    const honest = ask(account)
    expect(why(await sign({ ...honest, plan: steal.plan }))).toBe('PLAN_HASH_MISMATCH')
    expect(scene.signedFor(account)).toEqual([])
  })

  test('borrows no policy of another agent, and makes up none', async () => {
    const account = scene.anAccount()
    const calls = [encodeTransfer(names.USDC, STRANGER, MILLION), inTime]
    for (const policyVersion of [generous.version, proposing.version, 'forged', ''])
      expect(why(await sign(ask(account, { calls, policyVersion })))).toBe('PLAN_MISMATCH')
    // The control: under it the other agent may.
    await signs(ask(scene.accountOf('other'), { calls, policyVersion: generous.version }))
    expect(scene.signedFor(account)).toEqual([])
  })

  test('gets no more out by many small steps than by one', async () => {
    const account = scene.anAccount()
    const pay = (amount: string, more: Partial<SignRequest> = { fence: 100n }) =>
      sign(ask(account, { calls: [encodeTransfer(names.USDC, FRIEND, dollars(amount)), inTime] }, more))
    expect(why(await pay('10.000001'))).toBe('ALLOWANCE')
    const steps = []
    for (let n = 0; n < 12; n++) steps.push(why(await pay('0.9', { fence: BigInt(n + 1) })))
    expect(steps).toEqual([...Array(11).fill('SIGNED'), 'ALLOWANCE'])
    expect(why(await pay('0.100001'))).toBe('ALLOWANCE')
    // Other ways to move the same token count the same.
    const { borrow, repay } = honestCalls(account)
    for (const calls of [borrow, repay])
      expect(why(await sign(ask(account, { calls }, { fence: 100n })))).toBe('ALLOWANCE')
    expect(why(await pay('0.1'))).toBe('SIGNED')
    expect(scene.signedFor(account)).toHaveLength(12)
  })

  test('burns no more gas than the allowance of the native coin, not even by empty transactions', async () => {
    const account = scene.anAccount()
    // 0.04 of the coin each, and 10 of them is all there is.
    const burn = () =>
      sign(ask(account, { calls: [], gasLimit: 100_000n, maxFeePerGas: wei(400n * 10n ** 9n) }))
    const outcomes = []
    for (let n = 0; n < 252; n++) outcomes.push(why(await burn()))
    expect(outcomes).toEqual([...Array(250).fill('SIGNED'), 'ALLOWANCE', 'ALLOWANCE'])
  })

  test('has no intent on two nonces, no two intents on one, and no signature that a node would not replace', async () => {
    const account = scene.anAccount()
    const { withdraw } = honestCalls(account)
    const first = ask(account, { calls: withdraw })
    const bytes = await signs(first)
    const attempt = (name: string) => ({
      attemptId: `${first.attemptId}.${name}` as AttemptId,
      nonce: first.nonce,
    })
    const dear = dearer(first.plan)
    const cases: [string, SignRequest][] = [
      ['INTENT_SIGNED', { ...first, nonce: first.nonce + 500n }],
      ['INTENT_SIGNED', requestOf(first.plan, { ...attempt('a'), nonce: first.nonce + 500n })],
      [
        'INTENT_SIGNED',
        requestOf({ ...first.plan, ...dear }, { ...attempt('a'), nonce: first.nonce + 500n }),
      ],
      ['REPLACEMENT_UNDERPRICED', requestOf(first.plan, attempt('a'))],
      [
        'REPLACEMENT_UNDERPRICED',
        requestOf({ ...first.plan, maxFeePerGas: dear.maxFeePerGas }, attempt('a')),
      ],
      ['NONCE_SIGNED', ask(account, { ...dear, calls: withdraw }, { nonce: first.nonce })],
      ['NONCE_SIGNED', ask(account, { ...dear, calls: honestCalls(account).borrow }, { nonce: first.nonce })],
      [
        'NONCE_SIGNED',
        requestOf({ ...first.plan, ...dear, calls: honestCalls(account).repay }, attempt('a')),
      ],
    ]
    for (const [code, request] of cases) expect(why(await sign(request)), code).toBe(code)
    // All at once, it is one.
    const crossing = ask(account, { calls: withdraw })
    const outcomes = await Promise.all(
      ['a', 'b', 'c'].map((name, index) =>
        sign({ ...crossing, attemptId: name as AttemptId, nonce: crossing.nonce + BigInt(index) * 1_000n }),
      ),
    )
    expect(outcomes.map(why)).toEqual(['SIGNED', 'INTENT_SIGNED', 'INTENT_SIGNED'])
    expect(await signs(first)).toEqual(bytes)
    expect(scene.signedFor(account)).toHaveLength(2)
  })

  test('gets nothing by fencing tokens: lower ones are refused, and the highest of all locks itself out of nothing else', async () => {
    const account = scene.anAccount()
    await signs(ask(account, {}, { fence: 10n }))
    expect(why(await sign(ask(account, {}, { fence: 9n })))).toBe('FENCED')
    for (const fence of [-1n, 2n ** 256n, '10', 10, null, 'owner'])
      expect(why(await sign({ ...ask(account), fence }))).toBe('SIGNER_REQUEST')
    const highest = 2n ** 256n - 1n
    const { withdraw } = honestCalls(account)
    expect(
      why(
        await sign(ask(account, { calls: [{ ...(withdraw[0] as Call), to: STRANGER }] }, { fence: highest })),
      ),
    ).toBe('CONTRACT_NOT_ALLOWED')
    // What was refused raised nothing.
    await signs(ask(account, {}, { fence: 10n }))
    // A token that is absurdly high stops other workers, which is noticed at once; it signs nothing that is not allowed.
    await signs(ask(account, {}, { fence: highest }))
    expect(why(await sign(ask(account, {}, { fence: 11n })))).toBe('FENCED')
    // The protector, whom no lease binds, still rescues; and only that.
    await signs(ask(account, {}, { fence: 'protector' }))
    for (const kind of ['withdraw', 'borrow', 'swap', 'transfer'] as const)
      expect(
        why(await sign(ask(account, { calls: honestCalls(account)[kind] }, { fence: 'protector' }))),
      ).toBe('TRADING_REDUCING')
    expect(scene.signedFor(account)).toHaveLength(4)
  })

  test('has nothing signed by the key of a Safe’s protector, nor the protector’s rescues by the agent’s', async () => {
    const [member, protector] = [scene.accountOf('member'), scene.accountOf('member-protector')]
    const safe = throughRole(member).account ?? expect.unreachable()
    const calls = honestCalls(safe)
    for (const kind of ['repay', 'borrow', 'withdraw', 'swap'] as const)
      for (const fence of ['protector', 1n, 2n ** 255n] as const) {
        const request = ask(safe, { ...throughRole(protector), calls: calls[kind] }, { fence })
        expect((await sign(request)).error?.code).toBe('SIGNER_REQUEST')
      }
    const empty = ask(safe, { ...throughRole(protector), calls: [], gasLimit: 21_000n }, { fence: 1n })
    expect((await sign(empty)).error?.code).toBe('SIGNER_REQUEST')
    const given = { account: protector, attempt: 'what it is about to ask for' }
    expect((await scene.pipe.ask('abandon', given)).error?.code).toBe('SIGNER_REQUEST')
    const unaided = ask(safe, { ...throughRole(member), calls: calls.repay }, { fence: 'protector' })
    expect(why(await sign(unaided))).toBe('TRADING_REDUCING')
    await signs(ask(safe, { ...throughRole(member), calls: calls.repay }, { fence: 1n }))
    expect(scene.signedFor(protector)).toEqual([])
  })

  test('approves nothing in a person’s stead', async () => {
    const account = scene.accountOf('proposer')
    const propose = (changes: Partial<Plan> = {}) =>
      ask(account, { policyVersion: proposing.version, calls: honestCalls(account).transfer, ...changes })
    const now = BigInt(Math.floor(Date.now() / 1_000))
    const approve = (
      { plan }: SignRequest,
      by = [alice, bob],
      changes: Partial<SignedApproval> = {},
      of?: Pick<Plan, 'chainId' | 'account'>,
    ) => approvedBy(by, plan, { expiresAt: now + 300n, ...changes }, of)
    const request = propose()
    const approved = await approve(propose())
    const agentKey = privateKeyToAccount(deriveKey({ label: 'proposer', seed: '1' }))
    const cases: [string, SignedApproval | undefined][] = [
      ['APPROVAL_MISSING', undefined],
      ['APPROVAL_INVALID', approved],
      ['APPROVAL_INVALID', { ...approved, planHash: request.planHash }],
      ['APPROVAL_INVALID', await approve(request, [alice])],
      ['APPROVAL_INVALID', await approve(request, [alice, alice])],
      ['APPROVAL_INVALID', await approve(request, [alice, thief])],
      ['APPROVAL_INVALID', await approve(request, [alice, agentKey])],
      ['APPROVAL_INVALID', { ...(await approve(request)), effectsHash: `0x${'00'.repeat(32)}` }],
      ['APPROVAL_INVALID', await approve(request, [alice, bob], { expiresAt: now - 1n })],
      ['APPROVAL_INVALID', await approve(request, [alice, bob], { expiresAt: now + 86_400n })],
      [
        'APPROVAL_INVALID',
        { ...(await approve(request, [alice, bob], { expiresAt: now - 1n })), expiresAt: now + 300n },
      ],
      ['APPROVAL_INVALID', await approve(request, [alice, bob], { policyVersion: executing.version })],
      ['APPROVAL_INVALID', await approve(request, [alice, bob], {}, { chainId: 1, account })],
      [
        'APPROVAL_INVALID',
        await approve(request, [alice, bob], {}, { chainId: book.chainId, account: STRANGER }),
      ],
      ['APPROVAL_INVALID', { ...(await approve(request)), signatures: ['0x', `0x${'00'.repeat(65)}`] }],
    ]
    for (const [code, approval] of cases)
      expect(why(await sign(approval === undefined ? request : { ...request, approval }))).toBe(code)
    // Not even as a rescue, or as the protector.
    const rescue = propose({ calls: honestCalls(account).repay })
    expect(why(await sign(rescue))).toBe('APPROVAL_MISSING')
    expect(why(await sign({ ...rescue, fence: 'protector' }))).toBe('APPROVAL_MISSING')
    expect(scene.signedFor(account)).toEqual([])

    // The control; and the approval of what is signed is of no further use.
    const approval = await approve(request)
    const bytes = await signs({ ...request, approval })
    expect(await signs({ ...request, approval })).toEqual(bytes)
    const again = { ...request, approval, attemptId: 'again' as AttemptId, nonce: request.nonce + 500n }
    expect(why(await sign(again))).toBe('INTENT_SIGNED')
    expect(scene.signedFor(account)).toHaveLength(1)
  })

  test('gets nothing by messages that are none, nor by starting the signer again', async () => {
    const account = scene.anAccount()
    const honest = ask(account)
    const malformed: unknown[] = [
      null,
      [],
      'sign',
      { ...honest, nonce: 7 },
      { ...honest, nonce: -1n },
      { ...honest, plan: { ...honest.plan, account: '0x1' } },
      { ...honest, plan: { ...honest.plan, calls: Array(65).fill(honest.plan.calls[0]) } },
      { ...honest, plan: { ...honest.plan, calls: [{ ...honest.plan.calls[0], data: '0x1' }] } },
      { ...honest, plan: { ...honest.plan, calls: [{ ...honest.plan.calls[0], operation: 1 }] } },
      { ...honest, plan: { ...honest.plan, gasLimit: 2n ** 256n } },
      { ...honest, attemptId: '' },
      { ...honest, attemptId: 'x'.repeat(201) },
      { ...honest, policies: [generous] },
    ]
    for (const request of malformed) expect(why(await sign(request))).toBe('SIGNER_REQUEST')
    scene.pipe.send('{"id":1,"method":"sign","params":{"__proto__":{"nonce":1}}}\n')
    scene.pipe.send('no json\n')
    const loose = { ...scene.start, accounts: [agent('proposer', generous)] }
    expect(why(await scene.pipe.ask('start', loose))).toBe('SIGNER_REQUEST')
    for (const method of ['export', 'keys', 'setPolicy', 'eval'])
      expect(why(await scene.pipe.ask(method as never, {}))).toBe('SIGNER_REQUEST')
    expect(scene.signedFor(account)).toEqual([])
    await signs(honest)
    // And on its streams, where logs are made, it said nothing of all this.
    expect(scene.pipe.output()).toBe('')
  })
})
