import { type Address, encodeFunctionData, erc20Abi, type Hex, isAddressEqual } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { addressOf } from '../../infra/world/accounts.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { OutcomeUnknownError } from '../../runtime/core/chainErrors.ts'
import { InvariantError, RialtoError } from '../../runtime/core/errors.ts'
import { intentId } from '../../runtime/core/ids.ts'
import type { AttemptRecord, RunRecord } from '../../runtime/core/journal.ts'
import type { AllowedPlan } from '../../runtime/core/lifecycle.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { decide, execute } from '../../runtime/pipeline.ts'
import { guardContext } from '../../runtime/stages/guard.ts'
import { observe } from '../../runtime/stages/observe.ts'
import type { Runtime } from '../../runtime/stages/runtime.ts'
import { sign } from '../../runtime/stages/sign.ts'
import { simulate } from '../../runtime/stages/simulate.ts'
import { createEngine, dollars, type Engine, gwei, settle, withMode } from './engine.fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HUNGRY = dollars(1_750)

/** Decides and executes on a head, and returns what the journal holds. */
async function act(engine: Engine, head: BlockRef, runtime: Runtime = engine.runtime) {
  const run: RunRecord = await decide(runtime, engine.agent, head)
  const id = intentId(run.id)
  const outcome = await execute(runtime, engine.agent, id, head)
  const [attempt] = await runtime.journal.inFlight()
  return { run, id, outcome, attempt: attempt as AttemptRecord }
}

describe('the spine, on real contracts', () => {
  it('leaves a healthy position alone', async () => {
    const engine = await createEngine(world)
    const head = await engine.moveTo(dollars(2_000))
    const run = await decide(engine.runtime, engine.agent, head)
    expect(run.decision).toMatchObject({ intent: 'nothing', source: 'quiet' })
    expect(await engine.runtime.journal.openIntents()).toEqual([])
  })

  it('rescues a position, and what happens is what was promised', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const { outcome, attempt, id } = await act(engine, head)
    expect(outcome).toBe('submitted')
    expect(attempt.status).toBe('broadcast')
    expect(attempt.noncesUsed).toBe(2)

    const settled = await settle(runtime, agent, attempt, await engine.mine())
    expect(settled).toMatchObject({ status: 'confirmed', failure: null })
    const { expected, actual } = settled as AttemptRecord
    // Nothing else moved in between, so the promise is kept to the last unit, interest included.
    expect(actual?.healthFactor).toBe(expected?.healthFactor)
    expect(actual?.totalDebt).toBe(expected?.totalDebt)
    // What changed since the block before holds its interest as well: a few units of debt, nothing more.
    for (const { token, change } of expected?.balanceChanges ?? []) {
      const happened =
        actual?.balanceChanges.find((other) => isAddressEqual(other.token, token))?.change ?? 0n
      expect(Number(happened - change)).toBeGreaterThanOrEqual(0)
      expect(Number(happened - change)).toBeLessThan(10)
    }
    expect((await runtime.journal.intent(id))?.status).toBe('done')
    // The second rescue finds the account delegated: one nonce, and less gas.
    const again = await act(engine, await engine.moveTo(dollars(1_450)))
    expect(again.attempt.noncesUsed).toBe(1)
    expect(again.attempt.nonce).toBe(attempt.nonce + 2n)
    await settle(runtime, agent, again.attempt, await engine.mine())
  })

  it('does everything once, however often its jobs are delivered', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const first = await act(engine, head)
    const second = await act(engine, head)
    expect(second.run).toEqual(first.run)
    expect(second.outcome).toBe('done')
    expect(await runtime.journal.attempts()).toHaveLength(1)
    const next = await engine.mine()
    await settle(runtime, agent, first.attempt, next)
    const [attempt] = await runtime.journal.attempts()
    expect(await settle(runtime, agent, attempt as AttemptRecord, next)).toEqual(attempt)
  })

  it('records why it was denied, and signs nothing, when it is halted', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    await runtime.journal.freeze(agent.id, 'test')
    // Frozen agents may still reduce risk.
    const run = await decide(runtime, agent, head)
    const halted: Runtime = engine.with({
      journal: { ...runtime.journal, tradingState: async () => 'halted' },
    })
    expect(await execute(halted, agent, intentId(run.id), head)).toBe('denied')
    const intent = await runtime.journal.intent(intentId(run.id))
    expect(intent?.status).toBe('denied')
    expect(intent?.verdicts.at(-1)?.findings.find(({ allowed }) => !allowed)?.code).toBe('TRADING_HALTED')
    expect(await runtime.journal.attempts()).toEqual([])
  })

  it('denies what does not run in the simulation, and says why it reverts', async () => {
    const engine = await createEngine(world, {
      propose: ({ block }) => ({
        kind: 'repay',
        asset: world.addressBook.aaveV3.reserves.find(
          ({ asset }) => asset !== world.addressBook.wrappedNative,
        )?.asset as `0x${string}`,
        amount: 1_000_000n as never,
        // Nobody reaches this by repaying one dollar: the on-chain assertion reverts.
        minHealthFactor: (10n ** 19n) as never,
        expiresAtBlock: block.number + 5n,
      }),
    })
    const head = await engine.moveTo(HUNGRY)
    const { outcome, id } = await act(engine, head)
    expect(outcome).toBe('denied')
    const denial = (await engine.runtime.journal.intent(id))?.verdicts
      .at(-1)
      ?.findings.find(({ allowed }) => !allowed)
    expect(denial?.code).toBe('SIMULATION_REVERTED')
    expect(denial?.message).toMatch(/HealthFactorTooLow/)
  })

  it('holds a plan back in the modes that ask a person', async () => {
    const engine = await createEngine(world, { policy: (policy) => withMode(policy, 'propose') })
    const { outcome, id } = await act(engine, await engine.moveTo(HUNGRY))
    expect(outcome).toBe('held')
    expect((await engine.runtime.journal.intent(id))?.status).toBe('proposed')
    expect(await engine.runtime.journal.attempts()).toEqual([])
  })

  it('lets an intent expire rather than execute it late', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const run = await decide(runtime, agent, head)
    const late = { ...head, number: head.number + 1_000n }
    expect(await execute(runtime, agent, intentId(run.id), late)).toBe('expired')
    expect((await runtime.journal.intent(intentId(run.id)))?.status).toBe('expired')
  })

  it('signs nothing that was not simulated and allowed, whatever a cast says', async () => {
    const engine = await createEngine(world)
    const { runtime, agent, policy } = engine
    const head = await engine.moveTo(HUNGRY)
    const snapshot = await observe(runtime, agent, head)
    const run = await decide(runtime, agent, head)
    const intent = await runtime.journal.intent(intentId(run.id))
    if (intent === null) throw new InvariantError('there is an intent')
    const simulation = await simulate(runtime, intent, snapshot, policy)
    if (!simulation.ok) throw new InvariantError('it simulates')
    const forged = { ...simulation.plan, verdict: {}, approval: { by: 'policy' } } as unknown as AllowedPlan
    const lease = { account: agent.account, holder: 'test', token: 1n }
    await expect(sign(runtime, lease, intent, forged, snapshot)).rejects.toThrow(InvariantError)
    expect(await runtime.journal.attempts()).toEqual([])
  })
})

describe('cut off anywhere, it neither loses nor repeats', () => {
  it('after the nonce was claimed and before the signer answered', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const silent = engine.with({
      signer: {
        ...runtime.signer,
        sign: async () => {
          throw new RialtoError('CRASH', 'the process dies here', { retryable: true })
        },
      },
    })
    await expect(act(engine, head, silent)).rejects.toThrow('dies here')
    const [prepared] = await runtime.journal.inFlight()
    expect(prepared).toMatchObject({ status: 'prepared', raw: null })
    // The restart asks for the same again.
    await settle(runtime, agent, prepared as AttemptRecord, head)
    const [attempt] = await runtime.journal.inFlight()
    expect(attempt).toMatchObject({ id: prepared?.id, status: 'broadcast', nonce: prepared?.nonce })
    expect(await settle(runtime, agent, attempt as AttemptRecord, await engine.mine())).toMatchObject({
      status: 'confirmed',
    })
    expect(await runtime.journal.attempts()).toHaveLength(1)
  })

  it('after the signer signed and before the journal had the bytes', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const forgetful = engine.with({
      journal: {
        ...runtime.journal,
        sign: async () => {
          throw new RialtoError('CRASH', 'the process dies here', { retryable: true })
        },
      },
    })
    await expect(act(engine, head, forgetful)).rejects.toThrow('dies here')
    const [prepared] = await runtime.journal.inFlight()
    const signed = await runtime.signer.lookup(agent.account, prepared?.id as never)
    expect(signed).not.toBeNull()
    await settle(runtime, agent, prepared as AttemptRecord, head)
    const [attempt] = await runtime.journal.inFlight()
    expect(attempt?.raw).toBe(signed?.raw)
    expect(await settle(runtime, agent, attempt as AttemptRecord, await engine.mine())).toMatchObject({
      status: 'confirmed',
    })
  })

  it('never signed, and its time is over: the nonce is free again', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const silent = engine.with({
      signer: {
        ...runtime.signer,
        sign: async () => {
          throw new RialtoError('CRASH', 'the process dies here', { retryable: true })
        },
      },
    })
    await expect(act(engine, head, silent)).rejects.toThrow('dies here')
    for (let block = 0; block < 4; block += 1) await engine.mine()
    const [prepared] = await runtime.journal.inFlight()
    const late = await runtime.chain.head()
    expect(await settle(runtime, agent, prepared as AttemptRecord, late)).toMatchObject({ status: 'dropped' })
    const again = await act(engine, late)
    expect(again.outcome).toBe('submitted')
    expect(again.attempt.nonce).toBe(prepared?.nonce)
    await settle(runtime, agent, again.attempt, await engine.mine())
  })

  it('an outcome that the node leaves open keeps its nonce, and the same bytes are sent again', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const lost = engine.with({
      chain: {
        ...runtime.chain,
        sendRaw: async () => {
          throw new OutcomeUnknownError('0x00', 'localhost', 'the answer was lost')
        },
      },
    })
    const { attempt } = await act(engine, head, lost)
    expect(attempt).toMatchObject({
      status: 'unknown',
      failure: expect.stringContaining('the answer was lost'),
    })
    // Nothing else may start while it is open.
    const next = await engine.mine()
    expect((await act(engine, next)).outcome).toBe('denied')
    expect(await settle(runtime, agent, attempt as AttemptRecord, next)).toBeNull()
    const mined = await engine.mine()
    const [sent] = await runtime.journal.inFlight()
    expect(sent?.raw).toBe(attempt?.raw)
    expect(await settle(runtime, agent, sent as AttemptRecord, mined)).toMatchObject({ status: 'confirmed' })
  })

  it('a nonce that somebody else used is reported, and never taken twice', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const { attempt } = await act(engine, head)
    const blind = engine.with({
      chain: { ...runtime.chain, receipt: async () => null },
    })
    expect(await settle(blind, agent, attempt, await engine.mine())).toBeNull()
    const [unknown] = await runtime.journal.inFlight()
    expect(unknown?.status).toBe('unknown')
    // A node that tells the truth later ends the doubt.
    expect(await settle(runtime, agent, unknown as AttemptRecord, await runtime.chain.head())).toMatchObject({
      status: 'confirmed',
    })
  })
})

describe('what happened otherwise than promised', () => {
  it('a rescue that the pool turned against reverts, and the reason is recorded', async () => {
    const engine = await createEngine(world)
    const { runtime, agent } = engine
    const head = await engine.moveTo(HUNGRY)
    const { attempt, id } = await act(engine, head)
    // Ahead of it in the same block, the pool falls by more than the owner lets a rescue slip.
    const settled = await settle(runtime, agent, attempt, await engine.moveTo(dollars(1_600)))
    expect(settled).toMatchObject({ status: 'failed' })
    expect(settled?.failure).toMatch(/TooMuchCollateral/)
    expect(settled?.actual?.totalDebt).toBeGreaterThanOrEqual(attempt.expected?.totalDebt ?? 0n)
    expect((await runtime.journal.intent(id))?.status).toBe('reverted')
    // Gas was spent for nothing, and it counts.
    expect(settled?.spent).toBeGreaterThan(0n)
  })

  it.each([
    ['worse than promised beyond the bound freezes the agent', false],
    [
      'what a protector with a key of its own may have cost the account in the same block freezes nobody',
      true,
    ],
  ])('%s', async (_what, isProtected) => {
    const engine = await createEngine(world, {
      policy: (policy) => ({ ...policy, maxDeviation: 1n as never }),
    })
    const { agent } = engine
    // The arbitrageur stands for it: he has something in the block as well.
    const protectorOf = () => (isProtected ? addressOf('arbitrageur') : null)
    const runtime: Runtime = { ...engine.runtime, protectorOf }
    const head = await engine.moveTo(HUNGRY)
    const { attempt, id } = await act(engine, head)
    // The pool alone falls by 2 %: within what a rescue may slip, so it executes, but worse than promised.
    await engine.actors.arbitrageTo(dollars(1_715))
    await engine.actors.mineBlock({ baseFeePerGas: gwei(20n) })
    expect(await settle(runtime, agent, attempt, await runtime.chain.head())).toMatchObject({
      status: 'confirmed',
    })
    expect((await runtime.journal.intent(id))?.status).toBe(isProtected ? 'done' : 'deviated')
    expect(await runtime.journal.tradingState(agent.id, agent.account)).toBe(
      isProtected ? 'active' : 'reducing',
    )
    expect(
      engine.logger.lines.some(({ level, message }) => level === 'error' && message.startsWith('deviation')),
    ).toBe(!isProtected)
  })

  it.each([
    { who: 'a stranger', tenths: 6n, isProtected: false, forgiven: null },
    { who: 'its protector', tenths: 6n, isProtected: true, forgiven: 'the rest' },
    { who: 'its protector, and more than a rescue may', tenths: 12n, isProtected: true, forgiven: 'most' },
  ])('what $who took in the same block is forgiven: $forgiven', async ({ tenths, isProtected, forgiven }) => {
    const engine = await createEngine(world)
    const { agent, policy, rpc, actors, logger } = engine
    const { account } = agent
    const other = addressOf('arbitrageur')
    const runtime: Runtime = { ...engine.runtime, protectorOf: () => (isProtected ? other : null) }
    const collateral = world.addressBook.aaveV3.reserves.find(({ asset }) =>
      isAddressEqual(asset, world.addressBook.wrappedNative),
    )
    const sendAs = async (from: Address, data: Hex) => {
      const fees = { maxFeePerGas: '0x5d21dba00', maxPriorityFeePerGas: '0x1' }
      await rpc('anvil_impersonateAccount', from)
      await rpc('eth_sendTransaction', { from, to: collateral?.aToken, data, gas: '0x7a120', ...fees })
      await rpc('anvil_stopImpersonatingAccount', from)
    }
    const amount = (tenths * 10n ** 18n) / 10n
    const approval = { abi: erc20Abi, functionName: 'approve', args: [other, amount] } as const
    await sendAs(account, encodeFunctionData(approval))
    const { attempt } = await act(engine, await engine.moveTo(HUNGRY))
    const taking = { abi: erc20Abi, functionName: 'transferFrom', args: [account, other, amount] } as const
    await sendAs(other, encodeFunctionData(taking))
    await actors.mineBlock({ baseFeePerGas: gwei(20n) })
    const settled = await settle(runtime, agent, attempt, await runtime.chain.head())
    expect(settled).toMatchObject({ status: 'confirmed' })

    const spent = settled?.spent ?? expect.unreachable()
    const line = logger.lines.find(({ message }) => message.startsWith('its protector'))
    const said = line?.fields as { forgivenUsd8: string } | undefined
    const most = policy.riskReducing.spend.perTransaction
    expect(said === undefined ? null : BigInt(said.forgivenUsd8) === most ? 'most' : 'the rest').toBe(
      forgiven,
    )
    if (forgiven === 'the rest') expect(spent).toBe(attempt.reserved)
    else expect(spent).toBeGreaterThan(attempt.reserved)
    const deviation = logger.lines.find(({ message }) => message.startsWith('deviation'))
    if (forgiven === 'the rest') expect(deviation).toBeUndefined()
    else expect(deviation?.fields).toMatchObject({ forgivenUsd8: said?.forgivenUsd8 ?? '0' })
    // Whatever is forgiven, nothing is lost: what the account lost is what it took, and what was forgiven besides.
    const taken = dollars(1_750 * (Number(tenths) / 10))
    expect(spent + BigInt(said?.forgivenUsd8 ?? 0)).toBeGreaterThan(taken)
    const { history } = await guardContext(
      runtime,
      agent,
      policy,
      await observe(runtime, agent, await runtime.chain.head()),
    )
    expect(history.spent).toBe(spent)
  })
})
