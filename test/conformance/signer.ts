import {
  type Address,
  decodeFunctionData,
  keccak256,
  parseTransaction,
  recoverTransactionAddress,
  serializeTransaction,
} from 'viem'
import { recoverAuthorizationAddress } from 'viem/utils'
import { expect, test } from 'vitest'
import { batchAccountArtifact } from '../../infra/contracts/artifacts/BatchAccount.ts'
import type { AttemptId, IntentId } from '../../runtime/core/ids.ts'
import { type Plan, planHash } from '../../runtime/core/lifecycle.ts'
import type { Signer } from '../../runtime/core/ports.ts'
import { tokenAmount, wei } from '../../runtime/core/units.ts'
import { encodeApprove, encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import { decodeBatch } from '../../runtime/protocols/rialto/decodeBatch.ts'
import { encodeNotAfter } from '../../runtime/protocols/rialto/encode.ts'
import { refusal } from './signerBench.ts'
import { dearer, honestCalls, names, planOf, requestOf, STRANGER } from './signerFixture.ts'

import { signerNonces } from './signerNonces.ts'

/**
 * What every implementation of the `Signer` port must do.
 *
 * @param open gives a signer with no past, started with the fixture's policy and book and two accounts; called once
 * per test
 */
export function signerConformance(open: () => Promise<Signer>): void {
  const setUp = async () => {
    const signer = await open()
    const [account, other] = (await signer.accounts()) as [Address, Address]
    return { signer, account, other }
  }

  test('signs a batch that the account sends itself, with the delegation that it needs', async () => {
    const { signer, account } = await setUp()
    const plan = planOf(account)
    const { raw, hash, noncesUsed } = await signer.sign(requestOf(plan))
    expect(hash).toBe(keccak256(raw))
    expect(noncesUsed).toBe(2)
    const transaction = parseTransaction(raw)
    expect(transaction).toMatchObject({
      type: 'eip7702',
      chainId: plan.chainId,
      nonce: 7,
      to: account.toLowerCase(),
      gas: plan.gasLimit,
      maxFeePerGas: plan.maxFeePerGas,
      maxPriorityFeePerGas: plan.maxPriorityFeePerGas,
    })
    expect(transaction.value ?? 0n).toBe(0n)
    expect(await recoverTransactionAddress({ serializedTransaction: raw as `0x04${string}` })).toBe(account)
    const [authorization] = transaction.authorizationList ?? []
    expect(authorization).toMatchObject({
      address: names.batchAccount.toLowerCase(),
      chainId: plan.chainId,
      nonce: 8,
    })
    if (authorization === undefined) expect.unreachable()
    expect(await recoverAuthorizationAddress({ authorization })).toBe(account)
    const data = transaction.data ?? '0x'
    expect(decodeFunctionData({ abi: batchAccountArtifact.abi, data }).functionName).toBe('execute')
    expect(decodeBatch(data)).toEqual(plan.calls)
  })

  test('signs without an authorisation when the account delegates already', async () => {
    const { signer, account } = await setUp()
    const { raw, noncesUsed } = await signer.sign(requestOf(planOf(account, { delegateTo: null })))
    expect(noncesUsed).toBe(1)
    const transaction = parseTransaction(raw)
    expect(transaction.type).toBe('eip1559')
    expect(transaction.to).toBe(account.toLowerCase())
    expect(serializeTransaction(transaction as never)).toBe(raw)
  })

  test.each(['supply', 'withdraw', 'borrow', 'repay', 'deleverage', 'swap', 'transfer'] as const)(
    'signs an honest %s',
    async (kind) => {
      const { signer, account } = await setUp()
      const plan = planOf(account, { calls: honestCalls(account)[kind] })
      await expect(signer.sign(requestOf(plan))).resolves.toMatchObject({ noncesUsed: 2 })
    },
  )

  test('the same request again gives the same bytes, also to a newer holder of the lease', async () => {
    const { signer, account } = await setUp()
    const request = requestOf(planOf(account))
    const signed = await signer.sign(request)
    expect(await signer.sign(request)).toEqual(signed)
    expect(await signer.sign({ ...request, fence: 5n })).toEqual(signed)
    await expect(signer.sign({ ...request, fence: 4n })).rejects.toEqual(refusal('FENCED'))
  })

  test('tells what was signed for an attempt', async () => {
    const { signer, account, other } = await setUp()
    const request = requestOf(planOf(account))
    expect(await signer.lookup(account, request.attemptId)).toBeNull()
    const signed = await signer.sign(request)
    expect(await signer.lookup(account, request.attemptId)).toEqual(signed)
    expect(await signer.lookup(account.toLowerCase() as Address, request.attemptId)).toEqual(signed)
    expect(await signer.lookup(other, request.attemptId)).toBeNull()
    await expect(signer.lookup(STRANGER, request.attemptId)).rejects.toEqual(refusal('UNKNOWN_ACCOUNT'))
  })

  test('an attempt that was abandoned is never signed, and its nonce is free', async () => {
    const { signer, account, other } = await setUp()
    const request = requestOf(planOf(account))
    expect(await signer.abandon(account, request.attemptId)).toBeNull()
    expect(await signer.abandon(account.toLowerCase() as Address, request.attemptId)).toBeNull()
    await expect(signer.sign(request)).rejects.toEqual(refusal('ATTEMPT_ABANDONED'))
    expect(await signer.lookup(account, request.attemptId)).toBeNull()
    const next = requestOf(planOf(account, { intentId: 'intent-2' as IntentId }))
    const signed = await signer.sign(next)
    // What was signed is told, and cannot be taken back.
    expect(await signer.abandon(account, next.attemptId)).toEqual(signed)
    expect(await signer.sign(next)).toEqual(signed)
    await expect(signer.sign(requestOf(planOf(other)))).resolves.toBeDefined()
    await expect(signer.abandon(STRANGER, next.attemptId)).rejects.toEqual(refusal('UNKNOWN_ACCOUNT'))
  })

  test('a signature and the giving up of its attempt that cross do not both happen', async () => {
    const { signer, account } = await setUp()
    const request = requestOf(planOf(account))
    const [abandoned, signed] = await Promise.allSettled([
      signer.abandon(account, request.attemptId),
      signer.sign(request),
    ])
    expect(abandoned).toEqual({ status: 'fulfilled', value: null })
    expect(signed).toMatchObject({ status: 'rejected', reason: { code: 'ATTEMPT_ABANDONED' } })
  })

  test('tells everything that it signed from a nonce on, in order, with the plans', async () => {
    const { signer, account, other } = await setUp()
    const plans = [7n, 9n, 11n].map((nonce) => ({
      nonce,
      plan: planOf(account, { intentId: `intent-${nonce}` as IntentId }),
    }))
    const requests = plans.map(({ plan, nonce }) => requestOf(plan, { nonce, fence: nonce }))
    for (const request of requests) await signer.sign(request)
    const [, ninth, eleventh] = requests
    if (ninth === undefined || eleventh === undefined) expect.unreachable()
    const again = requestOf(
      { ...ninth.plan, ...dearer(ninth.plan) },
      {
        nonce: 9n,
        attemptId: 'again' as AttemptId,
        fence: 'protector',
      },
    )
    await signer.sign(again)
    const told = await signer.signedFrom(account.toLowerCase() as Address, 9n)
    expect(told).toMatchObject([ninth, eleventh, again])
    for (const attempt of told) {
      expect(attempt.hash).toBe(keccak256(attempt.raw))
      expect(planHash(attempt.plan)).toBe(attempt.planHash)
      expect(attempt.signedAt).toBeGreaterThan(1_600_000_000n)
    }
    expect(await signer.signedFrom(account, 12n)).toEqual([])
    expect(await signer.signedFrom(other, 0n)).toEqual([])
    await expect(signer.signedFrom(STRANGER, 0n)).rejects.toEqual(refusal('UNKNOWN_ACCOUNT'))
  })

  test('counts no standing where the policy has no steps, and none of an account that it does not know', async () => {
    const { signer, account } = await setUp()
    await signer.sign(requestOf(planOf(account)))
    expect(await signer.goodFor(account.toLowerCase() as Address)).toBe(0n)
    await expect(signer.goodFor(STRANGER)).rejects.toEqual(refusal('UNKNOWN_ACCOUNT'))
  })

  test('tells the time, which is never before what it has signed', async () => {
    const { signer, account } = await setUp()
    const before = await signer.time()
    expect(before).toBeGreaterThan(1_600_000_000n)
    await signer.sign(requestOf(planOf(account)))
    const [signed] = await signer.signedFrom(account, 0n)
    expect(signed?.signedAt).toBeGreaterThanOrEqual(before)
    expect(await signer.time()).toBeGreaterThanOrEqual(signed?.signedAt ?? 2n ** 64n)
  })

  test('a request that was refused leaves nothing behind', async () => {
    const { signer, account } = await setUp()
    const bad = planOf(account, { calls: [encodeTransfer(names.USDC, STRANGER, tokenAmount(1n))] })
    await expect(signer.sign(requestOf(bad, { fence: 99n }))).rejects.toEqual(refusal('PLAN_REFUSED'))
    expect(await signer.lookup(account, requestOf(bad).attemptId)).toBeNull()
    await expect(signer.sign(requestOf(planOf(account)))).resolves.toBeDefined()
  })

  test('refuses a plan that is not the one its hash is of', async () => {
    const { signer, account } = await setUp()
    const honest = requestOf(planOf(account))
    const changes: Partial<Plan>[] = [
      { calls: honestCalls(account).supply },
      { gasLimit: 500_001n },
      { maxFeePerGas: wei(1n) },
      { lastValidBlock: 102n },
      { delegateTo: null },
      { block: { number: 100n, hash: `0x${'bc'.repeat(32)}` } },
    ]
    for (const change of changes)
      await expect(signer.sign({ ...honest, plan: { ...honest.plan, ...change } })).rejects.toEqual(
        refusal('PLAN_HASH_MISMATCH'),
      )
  })

  test('refuses an account whose key it does not hold', async () => {
    const { signer } = await setUp()
    await expect(signer.sign(requestOf(planOf(STRANGER)))).rejects.toEqual(refusal('UNKNOWN_ACCOUNT'))
  })

  // Each is hashed truly: a compromised caller can hash what it likes.
  test('refuses what its own policy does not allow', async () => {
    const { signer, account } = await setUp()
    const { repay } = honestCalls(account)
    const [approve, act, reset, ...closing] = repay
    if (approve === undefined || act === undefined || reset === undefined) expect.unreachable()
    const cases: [denial: string, change: Partial<Plan>][] = [
      ['CONTRACT_NOT_ALLOWED', { calls: [{ ...act, to: STRANGER }] }],
      ['CONTRACT_NOT_ALLOWED', { delegateTo: STRANGER }],
      ['CALLDATA_UNREADABLE', { calls: [{ ...act, data: `${act.data}00` }] }],
      ['RECIPIENT_NOT_ALLOWED', { calls: [{ ...act, value: wei(1n) }] }],
      [
        'RECIPIENT_NOT_ALLOWED',
        { calls: [encodeTransfer(names.USDC, STRANGER, tokenAmount(1n)), ...closing] },
      ],
      [
        'APPROVAL_UNLIMITED',
        { calls: [encodeApprove(names.USDC, names.pool, tokenAmount(2n ** 256n - 1n)), act, ...closing] },
      ],
      ['ASSERTION_MISSING', { calls: [approve, act, ...closing.slice(-1)] }],
      ['ASSERTION_MISSING', { calls: [...repay.slice(0, -1), encodeNotAfter(names.assert, 10_000n)] }],
      ['PLAN_MISMATCH', { chainId: 1 }],
      ['PLAN_MISMATCH', { policyVersion: 'forged' }],
      ['GAS_CAP', { maxFeePerGas: wei(401n * 10n ** 9n) }],
      ['GAS_CAP', { gasLimit: 30_000_000n }],
      ['EXPIRY_TOO_FAR', { lastValidBlock: 104n }],
    ]
    for (const [denial, change] of cases)
      await expect(signer.sign(requestOf(planOf(account, change))), denial).rejects.toEqual(
        refusal('PLAN_REFUSED', { denial }),
      )
  })

  signerNonces(setUp)
}
