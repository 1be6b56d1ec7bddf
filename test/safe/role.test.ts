import {
  type Abi,
  type Address,
  encodeFunctionData,
  type Hex,
  parseAbi,
  parseEther,
  zeroAddress,
  zeroHash,
} from 'viem'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Rpc, RpcAnswer, RpcSilence } from '../../infra/chain/rpc.ts'
import { checkRole } from '../../infra/safe/checkRole.ts'
import { balanceAt } from '../../infra/safe/compareRole.ts'
import { requireRole } from '../../infra/safe/requireRole.ts'
import { addressOf } from '../../infra/world/accounts.ts'
import { tokenAmount } from '../../runtime/core/units.ts'
import { encodeApprove } from '../../runtime/protocols/erc20/encode.ts'
import { encodeRolesExecution } from '../../runtime/protocols/safe/encode.ts'
import { attempt } from './asMember.ts'
import { MULTI_SEND_1_3_0, safeScene, sceneContracts, wholePolicy } from './safeScene.ts'

const scene = await safeScene()
const { world, account, agent, contracts } = scene
const { client } = world
const { modifier, roleKey, safe } = account
const { weth, usdcReserve, pool } = sceneContracts(world)
const policy = wholePolicy()
const role = scene.role(policy)
const stranger: Address = addressOf('treasury')
const ONE = parseEther('1')

const linesOf = async (of = role) => (await scene.check(of)).differences.map(({ line }) => line)

describe('a role on a real modifier', () => {
  it('differs in everything before it is applied, in nothing after, and then there is nothing to do', async () => {
    const before = await scene.check(role)
    expect(new Set(before.differences.map(({ code }) => code))).toEqual(
      new Set(['UNWRAPPER', 'ALLOWANCE', 'FUNCTION', 'TARGET', 'MEMBER', 'MODULE']),
    )
    expect(before.differences.every(({ change }) => change !== null)).toBe(true)
    await scene.apply(role)
    expect(await linesOf()).toEqual([])
  })

  it('reads the same from a node that serves few blocks at once', async () => {
    const spans: bigint[] = []
    const few = narrowed(scene.rpc, (from, to) => {
      spans.push(to - from + 1n)
      return to - from < 5n
    })
    const { differences } = await checkRole({ rpc: few, role, book: world.addressBook })
    expect(differences).toEqual([])
    expect(spans.filter((span) => span <= 5n).length).toBeGreaterThan(1)
  })

  it('asks for the first block where a node serves few blocks and no old state', async () => {
    const rpc = narrowed(scene.rpc, (from, to) => to - from < 5n, 'without old state')
    const check = (firstBlock: bigint | null) => checkRole({ rpc, role, book: world.addressBook, firstBlock })
    await expect(check(null)).rejects.toMatchObject({ code: 'FIRST_BLOCK_UNKNOWN' })
    expect((await check(world.start.blockNumber)).differences).toEqual([])
  })

  it('says nothing on the word of a node that keeps no logs', async () => {
    const head = await client.getBlockNumber()
    await expect(
      checkRole({ rpc: scene.rpc, role, book: world.addressBook, firstBlock: head }),
    ).rejects.toMatchObject({ code: 'LOGS_MISSING' })
  })

  it('is known by the word of every node: one that hides a grant does not hide it alone', async () => {
    const snapshot = await client.snapshot()
    const allowTarget = parseAbi(['function allowTarget(bytes32, address, uint8)'])
    const args = [roleKey, stranger, 3] as const
    await scene.asSafe(modifier, encodeFunctionData({ abi: allowTarget, functionName: 'allowTarget', args }))
    const hiding: Rpc = {
      ...scene.rpc,
      async call(method, params, options) {
        const answer = await scene.rpc.call(method, params, options)
        return method === 'eth_getLogs' ? (answer as unknown[]).slice(0, -1) : answer
      },
    }
    const dead: Rpc = {
      ...scene.rpc,
      call: async (method) => {
        throw new RpcSilence(method, 'dead', 'ECONNREFUSED', false)
      },
    }
    const ask = (rpcs: readonly Rpc[], quorum: number) =>
      requireRole('guardian', { rpcs, quorum, role, book: world.addressBook, firstBlock: null })
    expect((await ask([hiding], 1)).differences).toEqual([])
    await expect(ask([hiding, scene.rpc], 2)).rejects.toMatchObject({
      code: 'ROLE_MISMATCH',
      differences: [`${stranger} may be called with anything, which the policy does not say`],
    })
    expect((await ask([dead, hiding], 1)).hosts).toHaveLength(1)
    await expect(ask([dead, hiding], 2)).rejects.toMatchObject({ code: 'RPC_UNREACHABLE' })
    await client.revert({ id: snapshot })
  })

  it('is refused on another chain', async () => {
    await expect(scene.check({ ...role, chainId: 1 })).rejects.toMatchObject({ code: 'WRONG_CHAIN' })
  })

  it('is refused where there is no modifier', async () => {
    const elsewhere = { ...role, account: { ...account, modifier: stranger } }
    await expect(scene.check(elsewhere)).rejects.toMatchObject({ code: 'READ_FAILED' })
  })
})

/** A node that refuses to serve logs of more blocks than it likes. */
function narrowed(
  rpc: Rpc,
  serves: (from: bigint, to: bigint) => boolean,
  state: 'with old state' | 'without old state' = 'with old state',
): Rpc {
  return {
    ...rpc,
    async call(method, params, options) {
      const [first, second] = params as [{ fromBlock: Hex; toBlock: Hex }, unknown]
      if (method === 'eth_getLogs' && !serves(BigInt(first.fromBlock), BigInt(first.toBlock)))
        throw new RpcAnswer(method, rpc.host, -32005, 'query exceeds max block range', undefined)
      if (method === 'eth_getCode' && typeof second === 'string' && state === 'without old state')
        throw new RpcAnswer(method, rpc.host, -32000, 'missing trie node', undefined)
      return rpc.call(method, params, options)
    },
  }
}

describe('what somebody changed', () => {
  let snapshot: Hex
  beforeEach(async () => {
    snapshot = await client.snapshot()
  })
  afterEach(async () => {
    await client.revert({ id: snapshot })
  })

  const owner = parseAbi([
    'struct ConditionFlat { uint8 parent; uint8 paramType; uint8 operator; bytes compValue; }',
    'function allowTarget(bytes32, address, uint8)',
    'function allowFunction(bytes32, address, bytes4, uint8)',
    'function scopeFunction(bytes32, address, bytes4, ConditionFlat[], uint8)',
    'function scopeTarget(bytes32, address)',
    'function revokeTarget(bytes32, address)',
    'function revokeFunction(bytes32, address, bytes4)',
    'function setAllowance(bytes32, uint128, uint128, uint128, uint64, uint64)',
    'function assignRoles(address, bytes32[], bool[])',
    'function setTransactionUnwrapper(address, bytes4, address)',
    'function disableModule(address, address)',
    'function setAvatar(address)',
    'function setTarget(address)',
    'function transferOwnership(address)',
  ])
  const own = parseAbi([
    'function enableModule(address)',
    'function addOwnerWithThreshold(address, uint256)',
    'function setFallbackHandler(address)',
    'function setGuard(address)',
    'function approve(address, uint256)',
    'function approveDelegation(address, uint256)',
  ])
  const does = (abi: Abi, to: Address, functionName: string, args: readonly unknown[]) => () =>
    scene.asSafe(to, encodeFunctionData({ abi, functionName, args }))
  const sets = (functionName: string, ...args: readonly unknown[]) =>
    does(owner, modifier, functionName, args)
  const acts = (to: Address, functionName: string, ...args: readonly unknown[]) =>
    does(own, to, functionName, args)
  const key = (name: string) =>
    role.allowances.find((each) => `${each.kind}:${each.token.symbol}` === name)?.key
  const transfer = '0xa9059cbb'
  const other = `0x${'22'.repeat(32)}`
  const anything = [
    { parent: 0, paramType: 5, operator: 5, compValue: '0x' },
    { parent: 0, paramType: 1, operator: 0, compValue: '0x' },
  ]

  it.each([
    [
      'a contract that may be called with anything',
      sets('allowTarget', roleKey, stranger, 3),
      `${stranger} may be called with anything, which the policy does not say`,
    ],
    [
      'a contract of the policy that may be called with anything',
      sets('allowTarget', roleKey, weth, 3),
      'erc20:WETH may be called with anything',
    ],
    [
      'a function without conditions',
      sets('allowFunction', roleKey, weth, transfer, 0),
      'erc20:WETH.transfer may be called under other conditions',
    ],
    [
      'a function with other conditions',
      sets('scopeFunction', roleKey, weth, transfer, anything, 0),
      'erc20:WETH.transfer may be called under other conditions',
    ],
    [
      'a function that the policy does not name',
      sets('allowFunction', roleKey, weth, '0x23b872dd', 0),
      '0x23b872dd of erc20:WETH may be called, which the policy does not say',
    ],
    [
      'a function that is gone',
      sets('revokeFunction', roleKey, weth, transfer),
      'erc20:WETH.transfer may not be called',
    ],
    ['a contract that is gone', sets('revokeTarget', roleKey, weth), 'erc20:WETH may not be called'],
    [
      'a higher allowance',
      sets('setAllowance', key('moves:WETH'), 2n * ONE, 4n * ONE, 4n * ONE, 86_400n, 0n),
      'The moves of WETH are 4 WETH every 24 h, up to 4 WETH, with 2 WETH left, not 2 WETH every 24 h',
    ],
    [
      'an allowance that was topped up',
      sets('setAllowance', key('moves:WETH'), 9n * ONE, 2n * ONE, 2n * ONE, 86_400n, 0n),
      'with 9 WETH left',
    ],
    [
      'an allowance that is full again too soon',
      sets('setAllowance', key('moves:WETH'), ONE, 2n * ONE, 2n * ONE, 60n, 0n),
      'every 60 s',
    ],
    [
      'another member',
      sets('assignRoles', stranger, [roleKey], [true]),
      `${stranger} is a member of the role`,
    ],
    [
      'a member that is gone',
      sets('assignRoles', agent.address, [roleKey], [false]),
      `${agent.address} is no member of the role`,
    ],
    [
      'a member that the modifier does not let in',
      sets('disableModule', '0x0000000000000000000000000000000000000001', agent.address),
      `${agent.address} is no member of the role`,
    ],
    [
      'another role of the member',
      sets('assignRoles', agent.address, [other], [true]),
      `${agent.address} is also a member of the role ${other}`,
    ],
    [
      'a member of a role that nobody names',
      sets('assignRoles', stranger, [other], [true]),
      `${stranger} is a member of the role ${other} of the same modifier, which the configuration does not name`,
    ],
    [
      'an adapter that hides calls',
      sets('setTransactionUnwrapper', stranger, '0x12345678', stranger),
      `Calls of 0x12345678 of ${stranger} are read by ${stranger}`,
    ],
    [
      'another adapter for batches',
      sets('setTransactionUnwrapper', account.multiSend, '0x8d80ff0a', stranger),
      `are read by ${stranger}, not by Zodiac's MultiSendUnwrapper`,
    ],
    [
      'no adapter for batches',
      sets('setTransactionUnwrapper', account.multiSend, '0x8d80ff0a', zeroAddress),
      'are read by nobody',
    ],
  ])('%s is found, and mended', async (_what, change, line) => {
    await change()
    expect(await linesOf()).toEqual([expect.stringContaining(line)])
    await scene.apply(role)
    expect(await linesOf()).toEqual([])
  })

  it.each([
    [
      'another owner of the modifier',
      sets('transferOwnership', stranger),
      `The modifier belongs to ${stranger}`,
    ],
    [
      'another account for the conditions',
      sets('setAvatar', stranger),
      `The modifier takes ${stranger} for the account`,
    ],
    [
      'another account to act for',
      sets('setTarget', stranger),
      `The modifier passes transactions on to ${stranger}`,
    ],
    ['another module', acts(safe, 'enableModule', stranger), `The Safe has another module, ${stranger}`],
    [
      'the member among the owners',
      acts(safe, 'addOwnerWithThreshold', agent.address, 1n),
      `${agent.address} is an owner of the Safe (1 of 2 sign)`,
    ],
    [
      'a token for a fallback handler',
      acts(safe, 'setFallbackHandler', weth),
      `fallback handler ${weth} is none that Safe publishes`,
    ],
    [
      'a standing approval of the member',
      acts(weth, 'approve', agent.address, 5n),
      `${agent.address} may take 5 of erc20:WETH`,
    ],
    [
      'credit that is delegated to the member',
      acts(usdcReserve.variableDebtToken, 'approveDelegation', agent.address, 5n),
      `${agent.address} may borrow on its account 5 of aave-v3.variableDebtToken:USDC`,
    ],
  ])('%s is found, and left to a person', async (_what, change, line) => {
    await change()
    const { differences } = await scene.check(role)
    expect(differences.map((each) => each.line)).toEqual([expect.stringContaining(line)])
    expect(differences.map((each) => each.change)).toEqual([null])
  })

  it('the same adapter for another published MultiSend, and an agent who used his allowance, are no differences', async () => {
    await sets('setTransactionUnwrapper', MULTI_SEND_1_3_0, '0x8d80ff0a', contracts.unwrapper)()
    const approval = encodeRolesExecution([encodeApprove(weth, pool, tokenAmount(ONE))], account)
    expect(await attempt(scene, agent, modifier, approval.data)).toBe('done')
    expect(await linesOf()).toEqual([])
  })

  it('a modifier that is no proxy of the published one is found', async () => {
    const code = await client.getCode({ address: contracts.rolesMastercopy })
    await client.setCode({ address: modifier, bytecode: code ?? '0x' })
    expect(await linesOf()).toEqual([expect.stringContaining('is not that of Zodiac Roles 2.1.0')])
  })

  it('a limit that the policy lowers or raises keeps what was used up', async () => {
    const approval = encodeRolesExecution([encodeApprove(weth, pool, tokenAmount(ONE / 2n))], account)
    expect(await attempt(scene, agent, modifier, approval.data)).toBe('done')
    const left = async (limit: string) => {
      const changed = scene.role(wholePolicy({ allowances: { WETH: limit, USDC: '5000', native: '1' } }))
      await scene.apply(changed)
      const { role: state, differences, block } = await scene.check(changed)
      expect(differences).toEqual([])
      const found = state.allowances.get(key('approvals:WETH') ?? zeroHash)
      return found === undefined ? null : balanceAt(found, block.timestamp)
    }
    expect(await left('3')).toBe((5n * ONE) / 2n)
    expect(await left('1')).toBe(ONE / 2n)
    expect(await left('0.25')).toBe(0n)
  })

  it('an approval of a stranger can be taken back, and not given, where the policy allows to revoke', async () => {
    const revoking = scene.role(wholePolicy({ intents: [...policy.intents, 'revoke'] }))
    await scene.apply(revoking)
    expect(await linesOf(revoking)).toEqual([])
    await acts(weth, 'approve', stranger, 5n)()
    const approve = (amount: bigint) =>
      encodeRolesExecution([encodeApprove(weth, stranger, tokenAmount(amount))], account).data
    expect(await attempt(scene, agent, modifier, approve(1n))).toBe('OrViolation')
    expect(await attempt(scene, agent, modifier, approve(0n))).toBe('done')
  })

  it('a token that the policy no longer names can no longer be moved', async () => {
    const narrower = scene.role(wholePolicy({ allowances: { USDC: '5000', native: '1' } }))
    await scene.apply(narrower)
    expect(await linesOf(narrower)).toEqual([])
    const approval = encodeRolesExecution([encodeApprove(weth, pool, tokenAmount(1n))], account)
    expect(await attempt(scene, agent, modifier, approval.data)).toBe('TargetAddressNotAllowed')
  })
})
