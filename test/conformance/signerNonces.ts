import { parseTransaction } from 'viem'
import { expect, test } from 'vitest'
import type { AttemptId, IntentId } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import { wei } from '../../runtime/core/units.ts'
import { encodeNotAfter } from '../../runtime/protocols/rialto/encode.ts'
import { refusal, type SignerBench } from './signerBench.ts'
import { dearer, emptyOf, honestCalls, names, planOf, requestOf } from './signerFixture.ts'

/** What a `Signer` must do about nonces: who may have one, who may take it over, and by which fencing token. */
export function signerNonces(setUp: () => Promise<SignerBench>): void {
  test('refuses another plan on a nonce that it has signed, or that an authorisation uses', async () => {
    const { signer, account } = await setUp()
    await signer.sign(requestOf(planOf(account)))
    const calls = honestCalls(account).withdraw
    const other = planOf(account, { intentId: 'intent-2' as IntentId, calls, ...dearer(planOf(account)) })
    for (const nonce of [6n, 7n, 8n])
      await expect(signer.sign(requestOf(other, { nonce }))).rejects.toEqual(refusal('NONCE_SIGNED'))
    const delegated = { ...other, delegateTo: null }
    await expect(signer.sign(requestOf(delegated, { nonce: 8n }))).rejects.toEqual(refusal('NONCE_SIGNED'))
    await expect(signer.sign(requestOf(delegated, { nonce: 6n }))).resolves.toBeDefined()
    await expect(
      signer.sign(requestOf(planOf(account, { intentId: 'i3' as IntentId }), { nonce: 9n })),
    ).resolves.toBeDefined()
  })

  test('replaces what it has signed by the same with fees that are a tenth higher, and by no other', async () => {
    const { signer, account } = await setUp()
    const first = planOf(account, { calls: honestCalls(account).withdraw, delegateTo: null })
    await signer.sign(requestOf(first))
    const again = (changes: Partial<Plan>, attempt: string) =>
      signer.sign(requestOf({ ...first, ...changes }, { attemptId: attempt as AttemptId }))
    const enough = dearer(first)
    await expect(again({ ...enough, maxFeePerGas: wei(enough.maxFeePerGas - 1n) }, '2')).rejects.toEqual(
      refusal('REPLACEMENT_UNDERPRICED', enough),
    )
    await expect(
      again({ ...enough, maxPriorityFeePerGas: wei(enough.maxPriorityFeePerGas - 1n) }, '2'),
    ).rejects.toEqual(refusal('REPLACEMENT_UNDERPRICED', enough))
    const [withdraw, healthy] = first.calls
    if (withdraw === undefined || healthy === undefined) expect.unreachable()
    const earlier = encodeNotAfter(names.assert, 102n)
    for (const other of [
      { calls: [withdraw, healthy, healthy, ...first.calls.slice(2)] },
      { calls: [withdraw, healthy, earlier] },
      { calls: [withdraw, healthy, earlier], lastValidBlock: 102n },
      { delegateTo: names.batchAccount },
      { calls: honestCalls(account).supply },
    ])
      await expect(again({ ...enough, ...other }, '2')).rejects.toEqual(refusal('NONCE_SIGNED'))
    // Where it was simulated and how much gas it may take do not change what it does.
    const block = { number: 101n, hash: `0x${'bc'.repeat(32)}` } as const
    await expect(again({ ...enough, block, gasLimit: 600_000n }, '2')).resolves.toMatchObject({
      noncesUsed: 1,
    })
    // Of all before, not of the last.
    await expect(again(enough, '3')).rejects.toEqual(
      refusal('REPLACEMENT_UNDERPRICED', dearer({ ...first, ...enough })),
    )
  })

  test('cancels by an empty transaction of the sender to itself, after which only the same may follow', async () => {
    const { signer, account } = await setUp()
    const first = planOf(account, { calls: honestCalls(account).withdraw })
    await signer.sign(requestOf(first))
    const attempt = (name: string) => ({ attemptId: name as AttemptId })
    const cancel = emptyOf(account, dearer(first))
    const { raw, noncesUsed } = await signer.sign(requestOf(cancel, attempt('cancel')))
    const transaction = parseTransaction(raw)
    expect(noncesUsed).toBe(1)
    expect(transaction).toMatchObject({ type: 'eip1559', nonce: 7, to: account.toLowerCase(), gas: 21_000n })
    expect([transaction.value ?? 0n, transaction.data ?? '0x']).toEqual([0n, '0x'])
    const other = { ...dearer(cancel), intentId: 'intent-2' as IntentId }
    await expect(signer.sign(requestOf({ ...first, ...other }, attempt('2')))).rejects.toEqual(
      refusal('NONCE_SIGNED'),
    )
    await expect(signer.sign(requestOf({ ...first, ...dearer(cancel) }, attempt('3')))).resolves.toBeDefined()
  })

  test('lets a nonce that only an authorisation may use be filled, or rescued on, and nothing else', async () => {
    const { signer, account } = await setUp()
    await signer.sign(requestOf(planOf(account)))
    const ordinary = {
      intentId: 'intent-2' as IntentId,
      delegateTo: null,
      calls: honestCalls(account).withdraw,
    }
    await expect(signer.sign(requestOf(planOf(account, ordinary), { nonce: 8n }))).rejects.toEqual(
      refusal('NONCE_SIGNED'),
    )
    const fill = emptyOf(account, { intentId: 'fill-8' as IntentId })
    await expect(signer.sign(requestOf(fill, { nonce: 8n }))).resolves.toMatchObject({ noncesUsed: 1 })
    const rescue = planOf(account, {
      intentId: 'rescue-8' as IntentId,
      delegateTo: null,
      calls: honestCalls(account).deleverage,
      ...dearer(fill),
    })
    await expect(
      signer.sign(requestOf(rescue, { nonce: 8n, attemptId: 'rescue' as AttemptId })),
    ).resolves.toMatchObject({ noncesUsed: 1 })
    // The first transaction may use it as before, and no other may begin to.
    const again = planOf(account, dearer(planOf(account)))
    await expect(signer.sign(requestOf(again, { attemptId: '2' as AttemptId }))).resolves.toMatchObject({
      noncesUsed: 2,
    })
  })

  test('lets something that reduces risk take a nonce over, once an intent', async () => {
    const { signer, account } = await setUp()
    const first = planOf(account, { calls: honestCalls(account).borrow, delegateTo: null })
    await signer.sign(requestOf(first))
    const rescue = planOf(account, {
      ...dearer(first),
      intentId: 'rescue' as IntentId,
      calls: honestCalls(account).deleverage,
      delegateTo: null,
    })
    await expect(signer.sign(requestOf(rescue))).resolves.toBeDefined()
    const changed = { ...rescue, ...dearer(rescue), calls: honestCalls(account).repay }
    await expect(signer.sign(requestOf(changed, { attemptId: '2' as AttemptId }))).rejects.toEqual(
      refusal('NONCE_SIGNED'),
    )
    await expect(
      signer.sign(requestOf({ ...rescue, ...dearer(rescue) }, { nonce: 8n, attemptId: '2' as AttemptId })),
    ).rejects.toEqual(refusal('INTENT_SIGNED'))
  })

  test('the protector needs no fencing token, and gets nothing but what reduces risk', async () => {
    const { signer, account } = await setUp()
    const first = planOf(account, { calls: honestCalls(account).borrow, delegateTo: null })
    await signer.sign(requestOf(first, { fence: 50n }))
    const fence = 'protector' as const
    const rescue = { ...dearer(first), intentId: 'rescue' as IntentId, delegateTo: null }
    const reducing = refusal('PLAN_REFUSED', { denial: 'TRADING_REDUCING' })
    for (const kind of ['withdraw', 'borrow', 'swap', 'transfer'] as const) {
      const calls = honestCalls(account)[kind]
      await expect(signer.sign(requestOf(planOf(account, { ...rescue, calls }), { fence }))).rejects.toEqual(
        reducing,
      )
    }
    await expect(
      signer.sign(requestOf(emptyOf(account, dearer(first)), { fence, attemptId: 'c' as AttemptId })),
    ).rejects.toEqual(reducing)
    await expect(signer.sign(requestOf(planOf(account, rescue), { fence }))).resolves.toBeDefined()
    // It neither raises nor lowers what others need.
    const next = planOf(account, { intentId: 'intent-2' as IntentId, delegateTo: null })
    await expect(signer.sign(requestOf(next, { nonce: 8n, fence: 49n }))).rejects.toEqual(refusal('FENCED'))
    await expect(signer.sign(requestOf(next, { nonce: 8n, fence: 50n }))).resolves.toBeDefined()
  })

  test('nonces of one account are none of another', async () => {
    const { signer, account, other } = await setUp()
    await signer.sign(requestOf(planOf(account)))
    await expect(signer.sign(requestOf(planOf(other)))).resolves.toBeDefined()
  })

  test('an intent has signatures on one nonce only, whatever the attempt or the plan, and an attempt has one', async () => {
    const { signer, account } = await setUp()
    const plan = planOf(account)
    await signer.sign(requestOf(plan))
    const attemptId = 'intent-1.2' as AttemptId
    const again = [
      requestOf(plan, { nonce: 20n }),
      requestOf(plan, { nonce: 20n, attemptId }),
      requestOf(planOf(account, { gasLimit: 400_000n })),
      requestOf(emptyOf(account), { nonce: 20n, attemptId }),
    ]
    for (const request of again) await expect(signer.sign(request)).rejects.toEqual(refusal('INTENT_SIGNED'))
  })

  test('two requests that cross on a nonce do not both get it', async () => {
    const { signer, account } = await setUp()
    const requests = ['intent-1', 'intent-2', 'intent-3'].map((intentId) =>
      requestOf(planOf(account, { intentId: intentId as IntentId })),
    )
    const outcomes = await Promise.allSettled(requests.map((request) => signer.sign(request)))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected'])
  })

  test('refuses a fencing token lower than one that it has seen', async () => {
    const { signer, account, other } = await setUp()
    await signer.sign(requestOf(planOf(account), { fence: 10n }))
    const next = planOf(account, { intentId: 'intent-2' as IntentId })
    await expect(signer.sign(requestOf(next, { nonce: 9n, fence: 9n }))).rejects.toEqual(refusal('FENCED'))
    await expect(signer.sign(requestOf(next, { nonce: 9n, fence: 10n }))).resolves.toBeDefined()
    await expect(signer.sign(requestOf(planOf(other), { fence: 1n }))).resolves.toBeDefined()
  })
}
