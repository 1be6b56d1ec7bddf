import { type Address, encodeFunctionData, erc20Abi, getAddress, type Hex, isAddressEqual } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { decodeRevert } from '../../infra/chain/decodeRevert.ts'
import { createRpc } from '../../infra/chain/rpc.ts'
import type { AgentConfig } from '../../infra/config/loadConfig.ts'
import { readArrivals } from '../../infra/evacuation/readArrivals.ts'
import { searchApprovals } from '../../infra/evacuation/searchApprovals.ts'
import { SignerError } from '../../infra/signer/errors.ts'
import { STARTING_PRICE } from '../../infra/world/scenarios/scenario.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { agentId, attemptId, type Hash, intentId, runId } from '../../runtime/core/ids.ts'
import type { Action } from '../../runtime/core/intent.ts'
import { type Call, type Plan, planHash } from '../../runtime/core/lifecycle.ts'
import { bps, MAX_UINT256, tokenAmount, WAD, wad, wei } from '../../runtime/core/units.ts'
import { noSearch } from '../../runtime/evacuation/approvalSearch.ts'
import {
  createEvacuation,
  type EvacuationOptions,
  type EvacuationProgress,
} from '../../runtime/evacuation/createEvacuation.ts'
import { isOfValue } from '../../runtime/evacuation/nextStep.ts'
import { observeEvacuee } from '../../runtime/evacuation/observeEvacuee.ts'
import { readAllowances } from '../../runtime/evacuation/readAllowances.ts'
import { rehearse } from '../../runtime/evacuation/rehearse.ts'
import { evacuationPolicy } from '../../runtime/guards/evacuation.ts'
import { type Policy, policyVersion } from '../../runtime/guards/policy.ts'
import { decide, execute } from '../../runtime/pipeline.ts'
import { preparePlan } from '../../runtime/protector/preparePlan.ts'
import { aaveDebtTokenActionsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { userAccountData } from '../../runtime/protocols/aave-v3/read.ts'
import { encodeApprove, encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import { balanceOf } from '../../runtime/protocols/erc20/read.ts'
import { listReads, readAll } from '../../runtime/protocols/read.ts'
import { encodeMinHealthFactor, encodeNotAfter } from '../../runtime/protocols/rialto/encode.ts'
import { createEngine, dollars, type Engine } from './engine.fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

let destinations = 0
/** A destination of its own for each test: what arrives is what it holds. */
const newDestination = (): Address =>
  getAddress(`0x${(0xdead0000 + ++destinations).toString(16).padStart(40, '0')}`)

type Scene = {
  readonly engine: Engine
  readonly to: Address
  readonly account: Address
  options(changes?: Partial<EvacuationOptions>): EvacuationOptions
  order(state: 'active' | 'halted' | 'evacuating'): void
}

async function setUp(policyOf?: (policy: Policy) => Policy): Promise<Scene> {
  const to = newDestination()
  let ordered: 'active' | 'halted' | 'evacuating' = 'evacuating'
  const orders = {
    stateFor: () => (ordered === 'active' ? ('active' as const) : ('halted' as const)),
    evacuates: () => ordered === 'evacuating',
  }
  const engine = await createEngine(world, {
    evacuateTo: to,
    orders,
    ...(policyOf === undefined ? {} : { policy: policyOf }),
  })
  const { runtime, agent, policy } = engine
  const { chain, signer, logger, book, blockSeconds } = runtime
  return {
    engine,
    to,
    account: agent.account,
    order: (state) => {
      ordered = state
    },
    options: (changes = {}) => ({
      chain,
      signer,
      logger,
      book,
      agent: agent.id,
      account: agent.account,
      policy: evacuationPolicy(policy, book, to),
      search: noSearch,
      isOrdered: orders.evacuates,
      blockSeconds,
      explainRevert: decodeRevert,
      ...changes,
    }),
  }
}

/** Steps and blocks, until it is over. */
async function run(
  { engine, options }: Scene,
  evacuation = createEvacuation(options()),
): Promise<readonly EvacuationProgress[]> {
  const seen: EvacuationProgress[] = []
  for (let block = 0; block < 30; block++) {
    const progress = await evacuation.atHead(await engine.runtime.chain.head())
    seen.push(progress)
    if (progress.kind !== 'acted' && progress.kind !== 'resent') return seen
    await engine.mine()
  }
  return seen
}

const held = async ({ engine }: Scene, of: Address) => {
  const { chain, book } = engine.runtime
  const head = await chain.head()
  const { balances } = await readAll(chain, head.hash, {
    balances: listReads(book.tokens.map(({ address }) => balanceOf(address, of))),
  })
  return Object.fromEntries(book.tokens.map(({ symbol }, index) => [symbol, balances[index] ?? 0n]))
}

const standing = async ({ engine, account }: Scene) => {
  const { chain, book } = engine.runtime
  const head = await chain.head()
  const { position } = await readAll(chain, head.hash, {
    position: userAccountData(book.aaveV3.pool, account),
  })
  return { position, allowances: await readAllowances(chain, head.hash, book, account, []) }
}

/** Lets somebody take something, with the account's own key. */
async function approve(
  { engine, account }: Scene,
  token: Address,
  spender: Address,
  amount: bigint,
): Promise<void> {
  const data = encodeFunctionData({ abi: erc20Abi, functionName: 'approve', args: [spender, amount] })
  await sendAs(engine, account, token, data)
}

/** Has an account send something, and holds that it happened. */
async function sendAs(engine: Engine, from: Address, to: Address, data: Hex): Promise<void> {
  const fees = { gas: '0x186a0', maxFeePerGas: '0x2e90edd000', maxPriorityFeePerGas: '0x1' }
  await engine.rpc('anvil_impersonateAccount', from)
  const hash = (await engine.rpc('eth_sendTransaction', { from, to, data, ...fees })) as Hash
  await engine.rpc('anvil_stopImpersonatingAccount', from)
  await engine.mine()
  expect(await engine.runtime.chain.receipt(hash)).toMatchObject({ status: 'success' })
}

/** Lets somebody borrow in the account's name, with its own key. */
async function delegate(
  { engine, account }: Scene,
  debtToken: Address,
  delegatee: Address,
  amount: bigint,
): Promise<void> {
  const data = encodeFunctionData({
    abi: aaveDebtTokenActionsAbi,
    functionName: 'approveDelegation',
    args: [delegatee, amount],
  })
  await sendAs(engine, account, debtToken, data)
}

const nodeOf = ({ url }: Pick<World, 'url'>) => createRpc({ url: new URL(url), timeout: 10_000, retries: 0 })

describe('an evacuation', () => {
  it('moves everything to the destination at a falling price, the native coin last, and lets nobody take or borrow anything any more', async () => {
    const scene = await setUp()
    const { engine, account, to } = scene
    const { book } = engine.runtime
    const [reserve] = book.aaveV3.reserves
    await approve(scene, book.wrappedNative, book.uniswapV3.swapRouter, MAX_UINT256)
    await approve(scene, reserve?.aToken as Address, book.aaveV3.pool, 5n)
    // Strangers, whom nothing names but the chain's logs. One has used up what it was given.
    const [stranger, borrower, former] = [newDestination(), newDestination(), newDestination()] as const
    await approve(scene, book.wrappedNative, stranger, 7n)
    await approve(scene, book.wrappedNative, former, 7n)
    await approve(scene, book.wrappedNative, former, 0n)
    const debtTokens = book.aaveV3.reserves.map(({ variableDebtToken }) => variableDebtToken)
    for (const token of debtTokens) await delegate(scene, token, borrower, MAX_UINT256)
    const head = await engine.moveTo(dollars(1_580))
    const before = await engine.runtime.chain.balance(account, head.hash)
    const search = searchApprovals({
      nodes: [nodeOf(world)],
      quorum: 1,
      book,
      account,
      head: head.number,
      first: 0n,
    })
    expect(await search.end).toBeNull()
    expect(search.found()).toEqual(
      expect.arrayContaining([
        { token: getAddress(book.wrappedNative), spender: stranger },
        { token: getAddress(book.wrappedNative), spender: former },
        ...debtTokens.map((token) => ({ token: getAddress(token), spender: borrower })),
      ]),
    )
    const seen = await run(scene, createEvacuation(scene.options({ search })))
    const reasons = seen.flatMap((progress) => (progress.kind === 'acted' ? [progress.reason] : []))
    expect(reasons.some((reason) => reason.includes(former))).toBe(false)
    expect(reasons.filter((reason) => reason.includes('in its name (without a limit)'))).toHaveLength(
      debtTokens.length,
    )
    expect(reasons.at(-1)).toMatch(/^send \d+\.\d+ of the native coin to /)
    expect(
      seen.at(-1),
      JSON.stringify(seen, (_, v) => (typeof v === 'bigint' ? String(v) : v), 1),
    ).toMatchObject({ kind: 'done' })
    const { position, allowances } = await standing(scene)
    expect(position.totalDebt).toBe(0n)
    expect(position.totalCollateral).toBeLessThan(dollars(1))
    expect(allowances).toEqual([])
    const now = await engine.runtime.chain.head()
    expect(await readAllowances(engine.runtime.chain, now.hash, book, account, search.found())).toEqual([])
    // Nearly all of the native coin: what is left was kept back for gas.
    const native = await engine.runtime.chain.balance(to, now.hash)
    expect(native * 100n).toBeGreaterThan(before * 97n)
    expect(
      await readArrivals(
        { config: { policy: engine.policy } as AgentConfig, account, destination: to },
        { ...engine.runtime, book },
      ),
    ).toContainEqual({ token: null, amount: native })
    const arrived = await held(scene, to)
    // 40 WETH less what 48,739 dollars of debt cost at 1,580 and at most 3 % of slippage.
    expect(arrived.WETH).toBeGreaterThan(8n * 10n ** 18n)
    const left = await held(scene, account)
    expect(left.WETH).toBe(0n)
    const last = seen.at(-1)
    expect(last?.kind === 'done' && last.remains.filter(isOfValue)).toEqual([])
    expect(isAddressEqual(to, account)).toBe(false)
  })

  it('goes on when it is killed after every single block, and signs no step twice', async () => {
    const scene = await setUp()
    const { engine, account, to } = scene
    await engine.moveTo(dollars(1_700))
    let last: EvacuationProgress = { kind: 'ended' }
    for (let block = 0; block < 20 && last.kind !== 'done'; block++) {
      const head = await engine.runtime.chain.head()
      last = await createEvacuation(scene.options()).atHead(head)
      // Killed, and started again on the very same block.
      if (last.kind === 'acted')
        expect(await createEvacuation(scene.options()).atHead(head)).toMatchObject({
          kind: 'resent',
          hash: last.hash,
        })
      await engine.mine()
    }
    expect(last.kind).toBe('done')
    const signed = await engine.runtime.signer.signedFrom(account, 0n)
    expect(new Set(signed.map(({ nonce }) => nonce)).size).toBe(signed.length)
    expect((await held(scene, to)).WETH).toBeGreaterThan(10n ** 18n)
  })

  it('outbids at once what a worker has in the pool on the lowest nonce', async () => {
    const scene = await setUp()
    const { engine, account } = scene
    const { runtime, agent } = engine
    scene.order('active')
    const head = await engine.moveTo(dollars(1_580))
    const decided = await decide(runtime, agent, head)
    await execute(runtime, agent, intentId(decided.id), head)
    scene.order('evacuating')
    const [rival] = await runtime.signer.signedFrom(account, 0n)
    expect(rival?.plan.policyVersion).toBe(engine.policy.version)

    const evacuation = createEvacuation(scene.options())
    const acted = await evacuation.atHead(head)
    expect(acted).toMatchObject({ kind: 'acted' })
    const [, own] = await runtime.signer.signedFrom(account, 0n)
    expect(own?.nonce).toBe(rival?.nonce)
    await engine.mine()
    expect(await runtime.chain.receipt(own?.hash as Hash)).toMatchObject({ status: 'success' })
    expect(await runtime.chain.receipt(rival?.hash as Hash)).toBeNull()
    const seen = await run(scene, evacuation)
    expect(seen.at(-1)?.kind).toBe('done')
  })

  it('outbids its own step when that is stuck', async () => {
    const scene = await setUp()
    const { engine, account } = scene
    await engine.moveTo(dollars(1_900))
    const evacuation = createEvacuation(scene.options())
    expect(await evacuation.atHead(await engine.runtime.chain.head())).toMatchObject({ kind: 'acted' })
    const kinds: string[] = []
    for (let block = 0; block < 3; block++) {
      await engine.rpc('anvil_dropAllTransactions')
      const progress = await evacuation.atHead(await engine.mine())
      kinds.push(progress.kind)
    }
    expect(kinds).toContain('acted')
    const [first, second] = await engine.runtime.signer.signedFrom(account, 0n)
    expect(second?.nonce).toBe(first?.nonce)
    for (const fee of ['maxFeePerGas', 'maxPriorityFeePerGas'] as const)
      expect((second?.plan[fee] ?? 0n) * 10n).toBeGreaterThanOrEqual((first?.plan[fee] ?? 0n) * 11n)
    expect((await run(scene, evacuation)).at(-1)?.kind).toBe('done')
  })

  it('halts the workers meanwhile, and ends when its owner resumes them', async () => {
    const scene = await setUp()
    const { engine } = scene
    const { runtime, agent } = engine
    const head = await engine.moveTo(dollars(1_580))
    const decided = await decide(runtime, agent, head)
    expect(await execute(runtime, agent, intentId(decided.id), head)).toBe('refused')
    expect(await runtime.signer.signedFrom(agent.account, 0n)).toEqual([])
    scene.order('active')
    expect(await createEvacuation(scene.options()).atHead(head)).toEqual({ kind: 'ended' })
  })

  it('says that it cannot pay its gas, and signs nothing', async () => {
    const scene = await setUp()
    const { engine, account } = scene
    await engine.rpc('anvil_setBalance', account, '0x38d7ea4c68000')
    const head = await engine.mine()
    const progress = await createEvacuation(scene.options()).atHead(head)
    expect(progress).toMatchObject({ kind: 'denied', codes: ['GAS_UNAFFORDABLE'] })
    expect(progress).toHaveProperty('reason', expect.stringMatching(/holds 0\.001/))
    expect(await engine.runtime.signer.signedFrom(account, 0n)).toEqual([])
  })

  it('withdraws nothing past an allowance because one simulation failed or the signer refused, and says one that stays', async () => {
    const scene = await setUp()
    const { engine, account } = scene
    const { chain, signer, book } = engine.runtime
    const thief = newDestination()
    await approve(scene, book.wrappedNative, thief, MAX_UINT256)
    const collateral = async () => (await standing(scene)).position.totalCollateral
    let trouble: 'signer' | 'simulation' | null = null
    const takesBack = (data: Hex) =>
      data.toLowerCase().includes(`095ea7b3${thief.slice(2).padStart(64, '0')}`.toLowerCase())
    const search = { found: () => [{ token: book.wrappedNative, spender: thief }], isOver: () => true }
    const options = scene.options({
      search,
      chain: {
        ...chain,
        simulate: async (request) =>
          (await chain.simulate(request)).map((call, index) =>
            trouble === 'simulation' && takesBack(request.calls[index]?.data ?? '0x')
              ? { ...call, status: 'reverted', returnData: '0x' }
              : call,
          ),
      },
      signer: {
        signedFrom: (...of) => signer.signedFrom(...of),
        sign: (request) => {
          if (trouble === 'signer' && request.plan.calls.some(({ data }) => takesBack(data)))
            throw new SignerError('LEDGER_UNWRITABLE', 'the disk is full')
          return signer.sign(request)
        },
      },
    })
    const evacuation = createEvacuation(options)
    const step = async () => {
      const progress = await evacuation.atHead(await chain.head())
      await engine.mine()
      return progress
    }
    trouble = 'signer'
    let first = await step()
    while (first.kind === 'acted') first = await step()
    const supplied = await collateral()
    expect(supplied).toBeGreaterThan(dollars(1))
    for (const by of [
      'signer',
      'simulation',
      'signer',
      'signer',
      'signer',
      'simulation',
      'simulation',
    ] as const) {
      trouble = by
      expect(await step()).toMatchObject({ kind: 'denied', by, reason: expect.stringContaining(thief) })
    }
    // Two blocks in a row are not enough; told the truth again, it takes back what the thief may take.
    expect(await collateral()).toBeGreaterThanOrEqual(supplied)
    trouble = null
    expect(await step()).toMatchObject({
      kind: 'acted',
      reason: expect.stringContaining(`take back what ${thief}`),
    })
    expect(await readAllowances(chain, (await chain.head()).hash, book, account, search.found())).toEqual([])

    // A token that always refuses keeps nothing else where it is, and what stays is said to the end.
    await approve(scene, book.wrappedNative, thief, 7n)
    const stubborn = createEvacuation(options)
    trouble = 'simulation'
    const seen = await run(scene, {
      atHead: async (head) => {
        const progress = await stubborn.atHead(head)
        return progress.kind === 'denied'
          ? { kind: 'acted', reason: `denied: ${progress.reason}`, hash: head.hash }
          : progress
      },
    })
    const told = seen.map((progress) =>
      'reason' in progress ? progress.reason.split(' ')[0] : progress.kind,
    )
    expect(told).toEqual(['denied:', 'denied:', 'denied:', 'withdraw', 'transfer', 'waiting'])
    const last = seen.at(-1)
    expect(last?.kind === 'waiting' && last.remains.filter(isOfValue)).toMatchObject([
      { what: 'allowance', why: expect.stringContaining('cannot be taken back') },
    ])
  })

  it('is planned beforehand on one block as it is then carried out', async () => {
    const scene = await setUp()
    const { engine, to } = scene
    const head = await engine.moveTo(dollars(1_600))
    const planned = await rehearse(scene.options(), head)
    expect(planned.stopped).toBeNull()
    expect(await engine.runtime.signer.signedFrom(scene.account, 0n)).toEqual([])
    const seen = await run(scene)
    expect(seen.filter(({ kind }) => kind === 'acted')).toHaveLength(planned.steps.length)
    const weth = planned.steps.flatMap(({ sends }) =>
      sends?.token != null && isAddressEqual(sends.token, world.addressBook.wrappedNative)
        ? [sends.amount]
        : [],
    )
    const arrived = (await held(scene, to)).WETH ?? 0n
    const difference = arrived - (weth[0] ?? 0n)
    expect(difference < 0n ? -difference : difference).toBeLessThan(10n ** 15n)
  })

  it('takes several steps where the pool is too thin for one, and stops honestly while it gives nothing', async () => {
    // A fraction of the slippage that the shipped policy allows: no pool here gives so much at once.
    const scene = await setUp(({ version: _version, ...limits }) => {
      const slippage = { oracle: bps(12n), pool: bps(12n) }
      const strict = { ...limits, riskReducing: { ...limits.riskReducing, slippage } }
      return { ...strict, version: policyVersion(strict) }
    })
    const { engine, to } = scene
    const evacuation = createEvacuation(scene.options())
    let levers = 0
    let waited = 0
    let last: EvacuationProgress = { kind: 'ended' }
    for (let block = 0; block < 60 && last.kind !== 'done'; block++) {
      last = await evacuation.atHead(await engine.runtime.chain.head())
      if (last.kind === 'acted' && last.reason.includes('out of')) levers += 1
      if (last.kind === 'waiting') {
        waited += 1
        expect(last.remains.map(({ what }) => what)).toContain('debt')
        await engine.actors.arbitrageTo(STARTING_PRICE)
      }
      await engine.mine()
    }
    expect(
      last.kind,
      JSON.stringify(last, (_key, value) => (typeof value === 'bigint' ? `${value}` : value)),
    ).toBe('done')
    expect(levers).toBeGreaterThan(1)
    expect(waited).toBeGreaterThan(0)
    expect((await held(scene, to)).WETH).toBeGreaterThan(10n * 10n ** 18n)
  })
})

describe('a compromised worker', () => {
  /** A transfer to somebody, made and judged as the evacuation's would be. */
  async function theft(scene: Scene, policy: Policy, to: Address) {
    const { engine, account } = scene
    const head = await engine.mine()
    const options = scene.options({ policy })
    const { snapshot } = await observeEvacuee(options, head)
    const usdc = engine.runtime.book.tokens.find(({ symbol }) => symbol === 'USDC')?.address as Address
    const action: Action = {
      kind: 'transfer',
      asset: usdc,
      to,
      amount: tokenAmount(1_000_000n),
      expiresAtBlock: head.number + 5n,
    }
    const prepared = await preparePlan(
      { ...options, name: agentId('worker'), tradingState: 'active' },
      snapshot,
      action,
    )
    if (prepared.kind === 'denied') throw new TypeError(prepared.reason)
    const { hash: _hash, effects: _effects, ...plan } = prepared.plan
    return engine.runtime.signer.sign({
      attemptId: attemptId(prepared.intentId, 1),
      plan,
      planHash: planHash(plan),
      nonce: await engine.runtime.chain.nonce(account, head.hash),
      fence: 7n,
    })
  }
  const refused = (denial: string) => ({ code: 'PLAN_REFUSED', details: { denial } })

  it('cannot evacuate without the owner’s order', async () => {
    const scene = await setUp()
    scene.order('active')
    const { policy, runtime } = scene.engine
    const evacuation = evacuationPolicy(policy, runtime.book, scene.to)
    await expect(theft(scene, evacuation, scene.to)).rejects.toMatchObject(refused('TRADING_HALTED'))
    scene.order('halted')
    await expect(theft(scene, evacuation, scene.to)).rejects.toMatchObject(refused('TRADING_HALTED'))
    scene.order('evacuating')
    await expect(theft(scene, evacuation, scene.to)).resolves.toHaveProperty('raw')
  })

  it('cannot choose where to, not even while one is ordered', async () => {
    const scene = await setUp()
    const thief = newDestination()
    const { policy, runtime } = scene.engine
    const own = evacuationPolicy(policy, runtime.book, thief)
    await expect(theft(scene, own, thief)).rejects.toMatchObject(refused('PLAN_MISMATCH'))
    // Under the version that the signer knows, with another recipient.
    const known = evacuationPolicy(policy, runtime.book, scene.to)
    await expect(theft(scene, { ...own, version: known.version }, thief)).rejects.toMatchObject(
      refused('RECIPIENT_NOT_ALLOWED'),
    )
  })

  /** What it asks to be signed under the policy of the evacuation, of its own making. */
  async function ask({ engine, account, to }: Scene, calls: readonly Call[], more: Partial<Plan> = {}) {
    const { chain, book, signer } = engine.runtime
    const head = await engine.mine()
    const notAfter = encodeNotAfter(book.rialto?.assert as Address, head.number + 3n)
    const plan: Plan = {
      intentId: intentId(runId(agentId('worker'), head.hash)),
      chainId: book.chainId,
      account,
      calls: [...calls, notAfter],
      delegateTo: book.rialto?.batchAccount ?? null,
      gasLimit: 400_000n,
      maxFeePerGas: wei(60n * 10n ** 9n),
      maxPriorityFeePerGas: wei(10n ** 9n),
      block: { number: head.number, hash: head.hash },
      lastValidBlock: head.number + 3n,
      policyVersion: evacuationPolicy(engine.policy, book, to).version,
      ...more,
    }
    return signer.sign({
      attemptId: attemptId(plan.intentId, 1),
      plan,
      planHash: planHash(plan),
      nonce: await chain.nonce(account, head.hash),
      fence: 7n,
    })
  }

  it('gets the native coin of an evacuation nowhere else, and not while there is a debt to rescue', async () => {
    const scene = await setUp()
    const { engine, to, account } = scene
    const { book, chain } = engine.runtime
    const thief = newDestination()
    const send = (whom: Address, data: Hex = '0x'): Call => ({ to: whom, value: wei(10n ** 18n), data })
    const free = encodeMinHealthFactor(
      book.rialto?.assert as Address,
      book.aaveV3.pool,
      account,
      wad(MAX_UINT256),
    )
    const healthy = encodeMinHealthFactor(book.rialto?.assert as Address, book.aaveV3.pool, account, WAD)
    const transfer = encodeTransfer(book.wrappedNative, to, tokenAmount(1n))
    for (const [calls, denial] of [
      [[send(thief), free], 'RECIPIENT_NOT_ALLOWED'],
      [[send(to), send(thief), free], 'RECIPIENT_NOT_ALLOWED'],
      [[send(to, '0x12345678'), free], 'CALLDATA_UNREADABLE'],
      [[send(to)], 'ASSERTION_MISSING'],
      [[send(to), healthy], 'ASSERTION_MISSING'],
      [[send(to), transfer, free], 'EFFECT_UNEXPECTED'],
      [[transfer, send(to), free], 'RECIPIENT_NOT_ALLOWED'],
    ] as const)
      await expect(ask(scene, calls), denial).rejects.toMatchObject(refused(denial))
    const { version: policyVersion } = engine.policy
    await expect(ask(scene, [send(to), free], { policyVersion })).rejects.toMatchObject({
      code: 'PLAN_REFUSED',
    })
    scene.order('halted')
    await expect(ask(scene, [send(to), free])).rejects.toMatchObject(refused('TRADING_HALTED'))

    // In its proper form it is signed, and the chain itself refuses it: there is a debt.
    scene.order('evacuating')
    const { raw, hash } = await ask(scene, [send(to), free])
    await chain.sendRaw(raw)
    const head = await engine.mine()
    expect(await chain.receipt(hash)).toMatchObject({ status: 'reverted' })
    expect(await chain.balance(to, head.hash)).toBe(0n)
  })

  it('lets nobody take or borrow anything in the name of an evacuation', async () => {
    const scene = await setUp()
    const { book } = scene.engine.runtime
    const thief = newDestination()
    const debtToken = book.aaveV3.reserves[0]?.variableDebtToken as Address
    const delegating = (amount: bigint): Call => ({
      to: debtToken,
      value: wei(0n),
      data: encodeFunctionData({
        abi: aaveDebtTokenActionsAbi,
        functionName: 'approveDelegation',
        args: [thief, amount],
      }),
    })
    for (const amount of [1n, MAX_UINT256]) {
      await expect(ask(scene, [delegating(amount)])).rejects.toMatchObject(refused('NOT_JUDGEABLE'))
      const approving = encodeApprove(book.wrappedNative, thief, tokenAmount(amount))
      await expect(ask(scene, [approving])).rejects.toMatchObject({ code: 'PLAN_REFUSED' })
    }
    await expect(ask(scene, [delegating(0n)])).resolves.toHaveProperty('raw')
  })
})
