import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Hex } from 'viem'
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openStore } from '../../infra/store/openStore.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { type ApprovalRecord, approvalOf, signedApproval } from '../../runtime/core/approvalRecords.ts'
import { approvalTypedData } from '../../runtime/core/approvals.ts'
import { manualClock, unixSeconds } from '../../runtime/core/clock.ts'
import { attemptId, intentId } from '../../runtime/core/ids.ts'
import type { Intent } from '../../runtime/core/intent.ts'
import type { SignedApproval } from '../../runtime/core/lifecycle.ts'
import type { BlockRef, Snapshot } from '../../runtime/core/snapshot.ts'
import { tokenAmount, wad, wei } from '../../runtime/core/units.ts'
import { denials } from '../../runtime/core/verdict.ts'
import { type Policy, policyVersion, withMode } from '../../runtime/guards/policy.ts'
import { decide, execute } from '../../runtime/pipeline.ts'
import { guardContext } from '../../runtime/stages/guard.ts'
import { observe } from '../../runtime/stages/observe.ts'
import { createEngine, dollars, type Engine } from './engine.fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HUNGRY = dollars(1_750)
const EXPIRY_SECONDS = 600

const [ann, bob, cat, stranger] = [1, 2, 3, 4].map((n) =>
  privateKeyToAccount(`0x${String(n).repeat(64)}`),
) as [PrivateKeyAccount, PrivateKeyAccount, PrivateKeyAccount, PrivateKeyAccount]

type Limits = Omit<Policy, 'version'>
const change = ({ version: _version, ...limits }: Policy, changes: Partial<Limits>): Policy => {
  const changed = { ...limits, ...changes }
  return { ...changed, version: policyVersion(changed) }
}
const approvals = (personAbove: Policy['approvals']['personAbove'] = null): Policy['approvals'] => ({
  personAbove,
  owners: [ann.address, bob.address, cat.address],
  threshold: 2,
  expirySeconds: EXPIRY_SECONDS,
})

/** What the clock on the wall says. The chain's own time is years behind it, and nobody looks at it. */
const NOON = 1_800_000_000n

/** An engine that asks two of three owners, on a machine whose clock stands until it is moved. */
async function createAsking(
  policy: (shipped: Policy) => Policy = (shipped) =>
    withMode(change(shipped, { approvals: approvals() }), 'propose'),
  journal?: Engine['runtime']['journal'],
  propose?: (snapshot: Snapshot) => Intent,
): Promise<Engine & { readonly clock: ReturnType<typeof manualClock> }> {
  const clock = manualClock(Number(NOON) * 1_000)
  const engine = await createEngine(world, {
    policy,
    clock,
    ...(journal === undefined ? {} : { journal }),
    ...(propose === undefined ? {} : { propose }),
  })
  return { ...engine, clock }
}

const signBy = (owner: PrivateKeyAccount, request: ApprovalRecord): Promise<Hex> =>
  owner.signTypedData(approvalTypedData(request.plan, approvalOf(request)))

async function hold(engine: Engine, head: BlockRef): Promise<ApprovalRecord> {
  expect((await engine.act(head, engine.runtime)).outcome).toBe('held')
  const requests = await engine.runtime.journal.approvals('waiting')
  expect(requests).toHaveLength(1)
  return requests[0] as ApprovalRecord
}

async function approve(
  engine: Engine,
  request: ApprovalRecord,
  owners = [ann, cat],
): Promise<ApprovalRecord> {
  const { journal, clock } = engine.runtime
  let record = request
  for (const owner of owners)
    record = await journal.addApproval(request.id, await signBy(owner, request), unixSeconds(clock))
  return record
}

/** What the engine does at a head with what waits. */
const takeUp = (engine: Engine, request: ApprovalRecord, head: BlockRef, runtime = engine.runtime) =>
  execute(runtime, engine.agent, request.intentId, head)

describe('a plan that a person is asked about', () => {
  it('is signed and mined exactly as it was shown, once enough owners said yes', async () => {
    const engine = await createAsking()
    const { runtime, agent } = engine
    const { journal } = runtime
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    expect(request).toMatchObject({ threshold: 2, account: agent.account, status: 'pending' })
    expect(request.effects.position.after.healthFactor).toBeGreaterThan(
      request.effects.position.before.healthFactor,
    )
    // Its last block reaches as far as the approval does.
    expect(request.plan.lastValidBlock).toBe(
      request.plan.block.number + BigInt(engine.policy.lastValidBlocks) + BigInt(EXPIRY_SECONDS) / 12n,
    )

    // Far beyond the blocks that an unasked plan would have had.
    for (let block = 0; block < 15; block += 1) await engine.mine()
    expect(await takeUp(engine, request, await engine.mine())).toBe('held')
    expect((await approve(engine, request, [ann])).status).toBe('pending')
    expect(await takeUp(engine, request, await engine.mine())).toBe('held')
    expect((await approve(engine, request, [bob])).status).toBe('approved')

    expect(await takeUp(engine, request, await engine.mine())).toBe('submitted')
    const [attempt] = await journal.inFlight()
    expect(attempt).toMatchObject({ planHash: request.id, plan: request.plan })
    await engine.follow(await engine.mine(), runtime)
    expect((await journal.intent(request.intentId))?.status).toBe('done')
    expect(await journal.approval(request.id)).toMatchObject({ status: 'approved', reason: null })
    expect(await journal.approvals('waiting')).toEqual([])
  })

  it('is asked about once, and holds up what would be asked next', async () => {
    const engine = await createAsking()
    const { journal } = engine.runtime
    const head = await engine.moveTo(HUNGRY)
    const request = await hold(engine, head)
    expect(await takeUp(engine, request, head)).toBe('held')
    const next = await engine.act(await engine.mine(), engine.runtime)
    expect(next.outcome).toBe('denied')
    const verdict = (await journal.intent(next.id))?.verdicts.at(-1)
    expect(verdict === undefined ? [] : denials(verdict).map(({ code }) => code)).toEqual([
      'ATTEMPT_IN_FLIGHT',
    ])
    expect(await journal.approvals()).toHaveLength(1)
  })

  it('is never signed when a person says no', async () => {
    const engine = await createAsking()
    const { journal } = engine.runtime
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request)
    await journal.endApproval(request.id, 'rejected', 'not today')
    expect(await takeUp(engine, request, await engine.mine())).toBe('done')
    expect((await journal.intent(request.intentId))?.status).toBe('denied')
    expect(await journal.attempts()).toEqual([])
    // The next run asks anew.
    expect((await hold(engine, await engine.mine())).id).not.toBe(request.id)
  })

  it('expires by the clock of its owners, whatever time it is on the chain', async () => {
    const engine = await createAsking()
    const { clock } = engine
    const { journal, chain } = engine.runtime
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    expect(request).toMatchObject({ requestedAt: NOON, expiresAt: NOON + BigInt(EXPIRY_SECONDS) - 30n })
    const { timestamp } = await chain.head()
    await engine.actors.mineBlock({ timestamp: timestamp + 10n * BigInt(EXPIRY_SECONDS) })
    expect(await takeUp(engine, request, await chain.head())).toBe('held')

    clock.advance((EXPIRY_SECONDS - 31) * 1_000)
    await approve(engine, request, [ann])
    expect(await takeUp(engine, request, await engine.mine())).toBe('held')
    clock.advance(1_000)
    await expect(approve(engine, request, [bob])).rejects.toMatchObject({ code: 'APPROVAL_CLOSED' })
    expect(await takeUp(engine, request, await chain.head())).toBe('expired')
    expect(await journal.approval(request.id)).toMatchObject({
      status: 'expired',
      reason: '1 of 2 owners had signed when its time was over',
    })
    expect((await journal.intent(request.intentId))?.status).toBe('expired')
  })

  it('has its whole time where the signer once signed by a clock that was ahead, and was put right', async () => {
    const engine = await createAsking()
    const { runtime, history } = engine
    const { journal, signer } = runtime
    const early = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, early)
    const ahead = 2n * BigInt(EXPIRY_SECONDS)
    const { id: planHash, plan } = early
    // Something of another account of the signer's, while the clock of the machine was wrong.
    history.addSigned({
      ...{ account: stranger.address, attemptId: attemptId(early.intentId, 9), plan, planHash, nonce: 0n },
      ...{ raw: '0x', hash: planHash, noncesUsed: 1, fence: 1n, moved: [], signedAt: NOON + ahead },
    })
    expect(await signer.time()).toBe(NOON + ahead)
    expect(await takeUp(engine, early, await engine.mine())).toBe('expired')

    const asked = await hold(engine, await engine.mine())
    const expiresAt = NOON + ahead + BigInt(EXPIRY_SECONDS) - 30n
    expect(asked).toMatchObject({ requestedAt: NOON, expiresAt })
    await approve(engine, asked)
    expect(await takeUp(engine, asked, await engine.mine())).toBe('submitted')
    await engine.follow(await engine.mine(), runtime)
    expect((await journal.intent(asked.intentId))?.status).toBe('done')
  })

  it('expires with the last block that may hold it, too, however early that comes', async () => {
    const engine = await createAsking()
    const { journal } = engine.runtime
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request, [ann])
    const head = await engine.mine()
    const last = request.plan.lastValidBlock
    expect(await takeUp(engine, request, { ...head, number: last - 1n })).toBe('held')
    expect(await takeUp(engine, request, { ...head, number: last })).toBe('expired')
    expect((await journal.approval(request.id))?.reason).toBe(
      `1 of 2 owners had signed when block ${last} was there, the last that may hold it`,
    )
  })

  it.each([
    ['the price fell', dollars(1_690), /health factor|does not run|guards deny|loses/],
    ['the price recovered so that it is no rescue', dollars(2_100), /guards deny|loses|does not run/],
  ])('is void, approved or not, when %s', async (_what, price, reason) => {
    const engine = await createAsking()
    const { journal } = engine.runtime
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request)
    expect(await takeUp(engine, request, await engine.moveTo(price))).toBe('void')
    const ended = await journal.approval(request.id)
    expect(ended).toMatchObject({ status: 'void', reason: expect.stringMatching(reason) })
    expect((await journal.intent(request.intentId))?.status).toBe('expired')
    expect(await journal.attempts()).toEqual([])
    await expect(journal.addApproval(request.id, await signBy(bob, request), 0n)).rejects.toMatchObject({
      code: 'APPROVAL_CLOSED',
    })
  })

  it('is void when the policy changed', async () => {
    const engine = await createAsking()
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request)
    const other = change(engine.policy, { cooldownSeconds: engine.policy.cooldownSeconds + 1 })
    const runtime = { ...engine.runtime, policyOf: () => other }
    expect(await takeUp(engine, request, await engine.mine(), runtime)).toBe('void')
    expect((await engine.runtime.journal.approval(request.id))?.reason).toBe('the policy changed')
  })

  it('waits, approved, for a halt to end and a base fee to fall', async () => {
    const engine = await createAsking()
    const { runtime } = engine
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request)
    const halted = {
      ...runtime,
      journal: { ...runtime.journal, tradingState: async () => 'halted' as const },
    }
    expect(await takeUp(engine, request, await engine.mine(), halted)).toBe('held')
    const dear = await engine.mine({ baseFee: wei(request.plan.maxFeePerGas + 1n) })
    expect(await takeUp(engine, request, dear)).toBe('held')
    expect(await takeUp(engine, request, await engine.mine())).toBe('submitted')
    await engine.follow(await engine.mine(), runtime)
  })

  it('is signed with its approval when the process died before the signer answered', async () => {
    const engine = await createAsking()
    const { runtime } = engine
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request)
    const dying = {
      ...runtime,
      signer: {
        ...runtime.signer,
        sign: async () => {
          throw Object.assign(new TypeError('killed'), { retryable: true })
        },
      },
    }
    await expect(takeUp(engine, request, await engine.mine(), dying)).rejects.toThrow('killed')
    expect(await runtime.journal.inFlight()).toMatchObject([{ status: 'prepared', planHash: request.id }])
    await engine.follow(await engine.mine(), runtime)
    await engine.follow(await engine.mine(), runtime)
    expect((await runtime.journal.intent(request.intentId))?.status).toBe('done')
  })
})

describe('what was approved, once it is on its way', () => {
  it('is replaced with higher fees like any other, and nobody is asked again', async () => {
    const engine = await createAsking()
    const { runtime } = engine
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request)
    expect(await takeUp(engine, request, await engine.mine())).toBe('submitted')
    for (let block = 0; block <= engine.policy.replacement.afterBlocks; block += 1)
      await engine.pass({ runtime, drop: true })
    const attempts = await runtime.journal.attempts()
    expect(attempts.map(({ purpose, nonce }) => [purpose, nonce])).toEqual([
      ['act', attempts[0]?.nonce],
      ['act', attempts[0]?.nonce],
    ])
    expect(attempts[1]?.plan).toMatchObject({
      calls: request.plan.calls,
      lastValidBlock: request.plan.lastValidBlock,
    })
    await engine.follow(await engine.mine(), runtime)
    expect((await runtime.journal.intent(request.intentId))?.status).toBe('done')
    expect((await runtime.journal.approvals()).map(({ id }) => id)).toEqual([request.id])
  })
})

describe('the signer, whatever a worker hands it', () => {
  it('takes nothing but signatures of enough owners over this very plan and these very effects', async () => {
    const engine = await createAsking()
    const { runtime, agent } = engine
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    const record = await approve(engine, request)
    const genuine = signedApproval(record)
    const lease = await runtime.journal.acquireLease(agent.account, 'worker', 60)
    const ask = (approval?: SignedApproval) =>
      runtime.signer.sign({
        attemptId: attemptId(request.intentId, 1),
        plan: request.plan,
        planHash: request.id,
        nonce: 0n,
        fence: lease?.token ?? 0n,
        ...(approval === undefined ? {} : { approval }),
      })
    const [first, second] = genuine.signatures as [Hex, Hex]
    const wrong: Record<string, SignedApproval> = {
      'one signature': { ...genuine, signatures: [first] },
      'one signature twice': { ...genuine, signatures: [first, first] },
      'a forged signature': { ...genuine, signatures: [first, `${second.slice(0, -4)}ff1b` as Hex] },
      'somebody who is no owner': { ...genuine, signatures: [first, await signBy(stranger, request)] },
      'another plan': { ...genuine, planHash: `0x${'ab'.repeat(32)}` },
      'other effects': { ...genuine, effectsHash: `0x${'ab'.repeat(32)}` },
      'a later end': { ...genuine, expiresAt: genuine.expiresAt + 1n },
      'another policy': { ...genuine, policyVersion: 'another' },
    }
    // Nobody's word for it: then it may not even last this long.
    await expect(ask()).rejects.toMatchObject({ details: { denial: 'EXPIRY_TOO_FAR' } })
    for (const [what, approval] of Object.entries(wrong))
      await expect(ask(approval), what).rejects.toMatchObject({ code: 'APPROVAL_INVALID' })
    expect((await ask(genuine)).noncesUsed).toBe(2)
  })
})

describe('a policy that asks from some loss on', () => {
  const asksAbove = (dollarsLost: number) => (shipped: Policy) =>
    change(shipped, { approvals: approvals(dollars(dollarsLost)) })

  it('lets a rescue below it go by itself', async () => {
    const engine = await createAsking(asksAbove(1_000))
    const { outcome } = await engine.act(await engine.moveTo(HUNGRY), engine.runtime)
    expect(outcome).toBe('submitted')
    await engine.follow(await engine.mine(), engine.runtime)
  })

  it('asks about one above it, with time to answer', async () => {
    const engine = await createAsking(asksAbove(1))
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    const { before, after } = request.effects.equity
    expect(before - after).toBeGreaterThan(dollars(1))
    await approve(engine, request)
    for (let block = 0; block < 8; block += 1) await engine.mine()
    expect(await takeUp(engine, request, await engine.mine())).toBe('submitted')
    await engine.follow(await engine.mine(), engine.runtime)
    expect((await engine.runtime.journal.intent(request.intentId))?.status).toBe('done')
  })
})

describe('what waits for a person', () => {
  /** A policy that lets its agent swap, but asks about it; and a rescue goes by itself. */
  const maySwap = (shipped: Policy) =>
    change(shipped, {
      approvals: approvals(dollars(1_000)),
      intents: [...shipped.intents, 'swap'],
      contracts: { ...shipped.contracts, 'uniswap-v3.router': ['exactInputSingle'] },
      healthFactor: { ...shipped.healthFactor, minAfter: wad(10n ** 18n) },
    })

  it('counts against the caps on spend, and holds up no rescue that needs nobody', async () => {
    const { tokens, wrappedNative, uniswapV3 } = world.addressBook
    const pool = uniswapV3.pools[0]?.address ?? expect.unreachable()
    const usdc = tokens.find(({ symbol }) => symbol === 'USDC')?.address ?? expect.unreachable()
    const engine = await createAsking(maySwap, undefined, ({ block }) => ({
      kind: 'swap',
      tokenIn: usdc,
      tokenOut: wrappedNative,
      pool,
      amountIn: tokenAmount(100_000_000n),
      minAmountOut: tokenAmount(57n * 10n ** 15n),
      expiresAtBlock: block.number + 5n,
    }))
    const { runtime, agent, policy } = engine
    const head = await engine.moveTo(HUNGRY)
    const request = await hold(engine, head)
    expect(request.reserved).toBeGreaterThan(0n)

    const snapshot = await observe(runtime, agent, head)
    const spentFor = async (about?: Parameters<typeof guardContext>[4]) =>
      (await guardContext(runtime, agent, policy, snapshot, about)).history
    expect(await spentFor()).toMatchObject({ spent: request.reserved, inFlight: 1, inert: 1 })
    expect(await spentFor({ isAsked: true })).toMatchObject({ inFlight: 1, inert: 0 })
    // Its own turn: it does not wait for itself, and is counted once.
    expect(await spentFor({ request })).toMatchObject({ spent: 0n, inFlight: 0, inert: 0 })

    const next = await engine.mine()
    const run = await decide(runtime, engine.guardian, next)
    expect(run.decision?.intent).toBe('deleverage')
    expect(await execute(runtime, engine.guardian, intentId(run.id), next)).toBe('submitted')
    await engine.follow(await engine.mine(), runtime)
  })

  it('is nothing in mode observe: nobody is asked', async () => {
    const engine = await createAsking((shipped) => withMode(shipped, 'observe'))
    const { outcome } = await engine.act(await engine.moveTo(HUNGRY), engine.runtime)
    expect(outcome).toBe('held')
    expect(await engine.runtime.journal.approvals()).toEqual([])
  })
})

describe('a restart in the middle', () => {
  it('finds the request, and what was signed of it, in the store', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'rialto-approvals-'))
    onTestFinished(() => rmSync(directory, { recursive: true }))
    const first = await openStore({ directory })
    const opened = await first.journals.open(world.chainId, world.genesisHash)
    const engine = await createAsking(undefined, opened)
    const request = await hold(engine, await engine.moveTo(HUNGRY))
    await approve(engine, request, [ann])
    await first.close()

    const second = await openStore({ directory })
    onTestFinished(() => second.close())
    const journal = await second.journals.open(world.chainId, world.genesisHash)
    const again: Engine = { ...engine, runtime: { ...engine.runtime, journal, holder: 'second' } }
    const [found] = await journal.approvals('waiting')
    expect(found).toEqual(await journal.approval(request.id))
    expect(found?.plan).toEqual(request.plan)
    await approve(again, request, [bob])
    expect(await takeUp(again, request, await again.mine())).toBe('submitted')
    await again.follow(await again.mine(), again.runtime)
    expect((await journal.intent(request.intentId))?.status).toBe('done')
  })
})
