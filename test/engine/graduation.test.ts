import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startWorld, type World } from '../../infra/world/world.ts'
import { attemptId } from '../../runtime/core/ids.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import type { BlockRef } from '../../runtime/core/snapshot.ts'
import { bps } from '../../runtime/core/units.ts'
import { denials } from '../../runtime/core/verdict.ts'
import { graduatedPolicies } from '../../runtime/guards/graduation.ts'
import { type Policy, policyVersion } from '../../runtime/guards/policy.ts'
import { createStandings, describeGraduation } from '../../runtime/live/standings.ts'
import { decide, execute } from '../../runtime/pipeline.ts'
import { createEngine, dollars, type Engine, gwei } from './engine.fixture.ts'
import { protectorOf } from './protector.fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const HEALTHY = dollars(2_000)
const HUNGRY = dollars(1_750)
const DAY = 86_400n

/** A week of asking, then a month with a quarter of the limits, then all of them. */
const withSteps = ({ version: _version, ...limits }: Policy): Policy => {
  const changed = {
    ...limits,
    graduation: [
      { days: 0, mode: 'propose' as const, part: bps(1_000n) },
      { days: 7, mode: 'execute' as const, part: bps(2_500n) },
      { days: 30, mode: 'execute' as const, part: bps(10_000n) },
    ],
  }
  return { ...changed, version: policyVersion(changed) }
}

/** The engine as it runs on a real chain: by the policy of the step that its agent stands on. */
async function createRising() {
  /** Milliseconds for which the signer runs. */
  const machine = { uptime: 0 }
  const engine = await createEngine(world, { policy: withSteps, uptime: () => machine.uptime })
  const { chain, journal, logger } = engine.runtime
  let { signer } = engine.runtime
  const standings = createStandings({
    chain,
    journal,
    signer: { goodFor: (account) => signer.goodFor(account) },
    logger,
    agents: [{ agent: engine.agent, policy: engine.policy }],
  })
  const runtime = engine.with({ policyOf: standings.policyOf })
  /** A signer that knows nothing of what was before. */
  function forget(): Engine['runtime'] {
    signer = engine.newSigner()
    return engine.with({ policyOf: standings.policyOf, signer })
  }
  const graduation = () => standings.graduationOf(engine.agent.id)
  /** Time passes, and with it new prices come. */
  async function pass(days: bigint, price = HEALTHY, baseFee = gwei(20n)): Promise<BlockRef> {
    const { timestamp } = await chain.head()
    machine.uptime += Number(days * DAY) * 1_000
    await engine.actors.mineBlock({ timestamp: timestamp + days * DAY })
    const usdc = world.addressBook.tokens.find(({ symbol }) => symbol === 'USDC')
    await engine.actors.pushPrice(dollars(1), usdc?.address)
    await engine.actors.mineBlock()
    const head = await engine.moveTo(price, { baseFee })
    await standings.refresh(head)
    return head
  }
  return { engine, runtime, standings, graduation, pass, forget }
}

const settleAll = async (engine: Engine, runtime: Engine['runtime']) => {
  await engine.follow(await engine.mine(), runtime)
  expect(await runtime.journal.inFlight()).toEqual([])
}

describe('an agent on a real chain', () => {
  it('begins by asking, rises with time, and is thrown back by a denial', async () => {
    const { engine, runtime, graduation, standings, pass } = await createRising()
    const { agent } = engine
    const first = await engine.moveTo(HEALTHY)
    await standings.refresh(first)
    expect(graduation()).toEqual({
      step: 0,
      of: 3,
      goodSince: null,
      mode: 'propose',
      nextInDays: 7,
      signerDays: null,
    })
    await decide(runtime, agent, first)

    const asking = await pass(1n, HUNGRY)
    expect(graduation()).toMatchObject({ step: 0, goodSince: first.timestamp, nextInDays: 6 })
    const held = await engine.act(asking, runtime)
    expect(held.outcome).toBe('held')
    const [request] = await runtime.journal.approvals('waiting')
    expect(request?.policyVersion).toBe(graduatedPolicies(engine.policy)[0].version)
    expect(await runtime.journal.attempts()).toEqual([])

    // A week later it acts by itself, and waits for nobody who was asked before.
    const acting = await pass(7n, HUNGRY)
    expect(graduation()).toMatchObject({ step: 1, mode: 'execute', nextInDays: 22 })
    expect(standings.policyOf(agent.id).spend.rolling).toBe((engine.policy.spend.rolling * 2_500n) / 10_000n)
    expect((await engine.act(acting, runtime)).outcome).toBe('submitted')
    expect(await execute(runtime, agent, held.id, acting)).toBe('void')
    await settleAll(engine, runtime)

    // Gas beyond its cap: what is denied for that is a fault of its own.
    const dear = await pass(1n, dollars(1_450), gwei(900n))
    const denied = await engine.act(dear, runtime)
    expect(denied.outcome).toBe('denied')
    const verdict = (await runtime.journal.intent(denied.id))?.verdicts.at(-1)
    expect(verdict === undefined ? [] : denials(verdict).map(({ code }) => code)).toContain('GAS_CAP')
    const next = await engine.mine()
    expect(await standings.refresh(next)).toMatchObject([{ from: 1, to: { step: 0, mode: 'propose' } }])
    expect(graduation()).toMatchObject({ goodSince: dear.timestamp, nextInDays: 7 })
    expect((await engine.act(next, runtime)).outcome).toBe('held')
  })

  it('has nothing signed under any policy but those of its steps', async () => {
    const { engine, runtime, pass } = await createRising()
    await decide(runtime, engine.agent, await engine.moveTo(HEALTHY))
    const { outcome } = await engine.act(await pass(31n, HUNGRY), runtime)
    expect(outcome).toBe('submitted')
    const [attempt] = await runtime.journal.inFlight()
    const { plan } = attempt ?? expect.unreachable()
    expect(plan.policyVersion).toBe(engine.policy.version)
    const { version: _version, ...limits } = engine.policy
    const other = { ...plan, policyVersion: policyVersion({ ...limits, cooldownSeconds: 1 }) }
    const lease = await runtime.journal.acquireLease(engine.agent.account, runtime.holder, 60)
    await expect(
      runtime.signer.sign({
        attemptId: attemptId(plan.intentId, 2),
        plan: other,
        planHash: planHash(other),
        nonce: 0n,
        fence: lease?.token ?? 0n,
      }),
    ).rejects.toMatchObject({ details: { denial: 'PLAN_MISMATCH' } })
    await settleAll(engine, runtime)
  })

  it('acts under no higher step than the signer counts, and falls back by itself where its ledger is lost', async () => {
    const { engine, runtime, graduation, standings, pass, forget } = await createRising()
    await decide(runtime, engine.agent, await engine.moveTo(HEALTHY))
    const acting = await pass(31n, HUNGRY)
    expect(graduation()).toMatchObject({ step: 2, signerDays: null })

    // Its ledger is lost after the engine looked: what the engine asks for is refused, and given up.
    const begun = forget()
    expect((await engine.act(acting, begun)).outcome).toBe('refused')
    expect((await runtime.journal.attempts()).at(-1)).toMatchObject({
      status: 'dropped',
      failure: expect.stringContaining('NOT_GRADUATED'),
    })
    const next = await engine.mine()
    expect(await standings.refresh(next)).toMatchObject([{ from: 2, to: { step: 0 } }])
    const at = graduation()
    expect(at).toMatchObject({ mode: 'propose', nextInDays: 7, signerDays: 0 })
    expect(describeGraduation(engine.agent.id, engine.policy, at)).toContain(
      "The signer's own count is what holds it there: 0 days, since its ledger began or it last refused a plan.",
    )
    expect((await engine.act(next, begun)).outcome).toBe('held')
    // And it rises again from there.
    await pass(7n, HUNGRY)
    expect(graduation()).toMatchObject({ step: 1, nextInDays: 23, signerDays: 7 })
  })

  it('is rescued under the hard floor from its first day on, by the whole policy', async () => {
    const { engine, runtime, graduation, standings } = await createRising()
    const head = await engine.moveTo(dollars(1_580))
    await standings.refresh(head)
    expect(graduation()).toMatchObject({ step: 0, mode: 'propose' })
    expect(await protectorOf(engine).atHead(head)).toMatchObject({ kind: 'acted' })
    const [rescue] = await runtime.signer.signedFrom(engine.agent.account, 0n)
    expect(rescue?.plan.policyVersion).toBe(engine.policy.version)
    await settleAll(engine, runtime)
  })
})
