import {
  type Address,
  decodeFunctionData,
  encodeFunctionData,
  type Hex,
  multicall3Abi,
  parseAbi,
  parseEther,
  zeroAddress,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createRpc, type Rpc } from '../../infra/chain/rpc.ts'
import { openStateReader } from '../../infra/chain/stateReader.ts'
import { rolesReadsAbi } from '../../infra/safe/abi.ts'
import { ZODIAC } from '../../infra/safe/addresses.ts'
import { createSafe, tryCreation } from '../../infra/safe/createSafe.ts'
import { type NewSafe, type NewSafeParameters, planSafe } from '../../infra/safe/planSafe.ts'
import { readSafe } from '../../infra/safe/readSafe.ts'
import { SAFE_RELEASES } from '../../infra/safe/releases.ts'
import { safeTransactionOf } from '../../infra/safe/safeTransaction.ts'
import { sendSafeTransaction } from '../../infra/safe/sendSafeTransaction.ts'
import { addressOf, worldAccounts } from '../../infra/world/accounts.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { wei } from '../../runtime/core/units.ts'
import { deploySafeContracts } from './deploySafe.ts'

const world = await testWorld()
const { client, chainId } = world
const contracts = await deploySafeContracts(world, worldAccounts.deployer)
const rpc = createRpc({ url: new URL(world.url), timeout: 10_000, retries: 0 })
const owner = privateKeyToAccount(generatePrivateKey())
const second = addressOf('treasury')

const parameters = (changes: Partial<NewSafeParameters> = {}): NewSafeParameters => ({
  ...{ rpc, chainId, multicall3: world.addressBook.multicall3 },
  ...{ owners: [owner.address, second], threshold: 1, saltNonce: 7n },
  ...changes,
})
const transactionOf = ({ transaction }: NewSafe) => {
  if (transaction === null) throw new InvariantError('There is nothing to make.')
  return transaction
}
const create = (planned: NewSafe, payer = owner) =>
  createSafe({ rpc, chainId, planned, transaction: transactionOf(planned), payer })

/** What becomes of every test is thrown away. */
let snapshot: Hex
beforeEach(async () => {
  snapshot = await client.snapshot()
  await client.setBalance({ address: owner.address, value: parseEther('1') })
})
afterEach(() => client.revert({ id: snapshot }))

describe('a new Safe', () => {
  it('is of contracts at the addresses that their published code comes to', () => {
    expect(SAFE_RELEASES.find(({ version }) => version === '1.5.0')).toMatchObject({
      singleton: contracts.singleton,
      singletonL2: contracts.singletonL2,
      proxyFactory: contracts.proxyFactory,
      fallbackHandler: contracts.fallbackHandler,
      multiSendCallOnly: contracts.multiSendCallOnly,
    })
    expect(ZODIAC).toMatchObject({
      moduleFactory: contracts.moduleFactory,
      rolesMastercopy: contracts.rolesMastercopy,
      multiSendUnwrapper: contracts.unwrapper,
    })
  })

  it('comes to be where it was said, with its modifier, for no more than was said, and is there the next time', async () => {
    const planned = await planSafe(parameters({ threshold: 2 }))
    expect([planned.safe.isThere, planned.modifier.isThere]).toEqual([false, false])
    const { most } = await tryCreation(rpc, planned, transactionOf(planned), owner.address)
    const before = await client.getBalance(owner)
    await create(planned)
    const spent = before - (await client.getBalance(owner))
    expect(spent).toBeGreaterThan(0n)
    expect(spent).toBeLessThanOrEqual(most)

    const [safe, modifier] = [planned.safe.address, planned.modifier.address]
    const reader = await openStateReader(rpc)
    expect(await readSafe(reader, safe)).toEqual({
      ...{ version: '1.5.0', nonce: 0n, owners: [owner.address, second], threshold: 2 },
      ...{ modules: [], fallbackHandler: contracts.fallbackHandler, guard: null, moduleGuard: null },
    })
    const parties = ['owner', 'avatar', 'target'] as const
    for (const party of parties) expect(await reader.read(modifier, rolesReadsAbi, party, [])).toBe(safe)
    const again = await planSafe(parameters({ threshold: 2 }))
    expect(again).toMatchObject({
      safe: { address: safe, isThere: true, words: expect.stringContaining('2 of 2 owners sign') },
      modifier: { address: modifier, isThere: true, words: expect.stringContaining(safe) },
      transaction: null,
    })
  })

  it('is another one for other owners, another order, another threshold or another salt nonce', async () => {
    const plans = await Promise.all(
      [
        {},
        { owners: [owner.address] },
        { owners: [second, owner.address] },
        { threshold: 2 },
        { saltNonce: 8n },
      ].map((changes) => planSafe(parameters(changes))),
    )
    expect(new Set(plans.flatMap(({ safe, modifier }) => [safe.address, modifier.address])).size).toBe(10)
  })

  it('is told with the owners that it has by now', async () => {
    const planned = await planSafe(parameters({ owners: [owner.address] }))
    await create(planned)
    const safe = planned.safe.address
    const data = encodeFunctionData({
      abi: parseAbi(['function addOwnerWithThreshold(address owner, uint256 threshold)']),
      args: [second, 2n],
    })
    const state = await readSafe(await openStateReader(rpc), safe)
    const transaction = safeTransactionOf(
      [{ to: safe, value: wei(0n), data, words: '' }],
      contracts.multiSend,
      0n,
    )
    await sendSafeTransaction({
      rpc,
      chainId,
      safe,
      state,
      transaction,
      owner,
      nextCommand: 'rialto policy check',
    })
    const { words } = (await planSafe(parameters({ owners: [owner.address] }))).safe
    expect(words).toBe(`a Safe 1.5.0, for which 2 of 2 owners sign: ${second}, ${owner.address}`)
  })
})

describe('broken off or overtaken', () => {
  it('sends nothing while what was sent may still be mined, and finds it there when it is', async () => {
    const planned = await planSafe(parameters())
    await client.setAutomine(false)
    try {
      const first = create(planned)
      await expect.poll(async () => (await client.getTxpoolStatus()).pending).toBe(1)
      // As after a kill: the same command once more.
      const { transaction, safe } = await planSafe(parameters())
      expect({ transaction, safe }).toEqual({ transaction: planned.transaction, safe: planned.safe })
      await expect(create(planned)).rejects.toMatchObject({
        code: 'OWNER_BUSY',
        message: expect.stringContaining('not mined yet'),
      })
      expect((await client.getTxpoolStatus()).pending).toBe(1)
      await client.mine({ blocks: 1 })
      await first
    } finally {
      await client.setAutomine(true)
    }
    expect((await planSafe(parameters())).transaction).toBeNull()
  })

  it('makes what is missing where somebody else has made the Safe, and nothing where all of it', async () => {
    const planned = await planSafe(parameters())
    const stranger = world.wallet(worldAccounts.treasury)
    for (const half of callsIn(transactionOf(planned).data).slice(0, 1))
      await client.waitForTransactionReceipt({ hash: await stranger.sendTransaction(half) })
    const rest = await planSafe(parameters())
    expect(rest).toMatchObject({
      safe: { address: planned.safe.address, isThere: true },
      modifier: { address: planned.modifier.address, isThere: false },
    })
    await create(rest)
    // Who looked before that would now fail: it is tried before it is signed.
    const before = await client.getBalance(owner)
    for (const late of [planned, rest])
      await expect(create(late)).rejects.toMatchObject({ code: 'SAFE_NOT_CREATED' })
    expect(await client.getBalance(owner)).toBe(before)
    expect((await planSafe(parameters())).transaction).toBeNull()
  })

  it('says how much is missing, and sends nothing', async () => {
    await client.setBalance({ address: owner.address, value: 5n })
    const planned = await planSafe(parameters())
    await expect(create(planned)).rejects.toMatchObject({ code: 'NO_COINS', details: { balance: 5n } })
    expect((await planSafe(parameters())).transaction).toEqual(planned.transaction)
  })
})

describe('what is refused', () => {
  it.each<[string, Partial<NewSafeParameters>]>([
    ['0 of 2 owners cannot sign.', { threshold: 0 }],
    ['3 of 2 owners cannot sign.', { threshold: 3 }],
    ['A Safe has at least one owner.', { owners: [] }],
    [`${second} is named as an owner twice.`, { owners: [second, second] }],
    [`${zeroAddress} is nobody's address.`, { owners: [zeroAddress] }],
    [`0x${'0'.repeat(39)}1 is nobody's address.`, { owners: [`0x${'0'.repeat(39)}1`] }],
  ])('%s', async (message, changes) => {
    await expect(planSafe(parameters(changes))).rejects.toMatchObject({ code: 'SAFE_OWNERS', message })
  })

  it('a chain that has not what Safe and Zodiac publish, by what is missing', async () => {
    await client.setCode({ address: contracts.moduleFactory, bytecode: '0x' })
    await expect(planSafe(parameters())).rejects.toMatchObject({
      code: 'NOT_PUBLISHED',
      message: `Chain ${chainId} has no code at ${contracts.moduleFactory} (ModuleProxyFactory).`,
    })
    await client.setCode({ address: contracts.singletonL2, bytecode: '0x' })
    await expect(planSafe(parameters())).rejects.toMatchObject({
      details: {
        missing: expect.arrayContaining([
          `${contracts.moduleFactory} (ModuleProxyFactory)`,
          '0x29fcB43b46531BcA003ddC8FCB67FFE91900C762 (Safe 1.4.1)',
        ]),
      },
    })
  })

  it('a node of another chain, and one that gives other code to compute the address from', async () => {
    const other = altered((method) => (method === 'eth_chainId' ? '0x1' : null))
    await expect(planSafe(parameters({ rpc: other }))).rejects.toMatchObject({ code: 'WRONG_CHAIN' })
    const liar = altered((method, [call]) =>
      method === 'eth_call' && (call as { to: Address }).to === contracts.proxyFactory
        ? `0x${'20'.padStart(64, '0')}${'1'.padStart(64, '0')}${'ff'.padEnd(64, '0')}`
        : null,
    )
    await expect(planSafe(parameters({ rpc: liar }))).rejects.toMatchObject({
      code: 'SAFE_NOT_CREATED',
      message: expect.stringContaining('is not what Safe publishes'),
    })
  })

  it('what would come to be elsewhere, before anything is signed', async () => {
    const [planned, elsewhere] = [await planSafe(parameters()), await planSafe(parameters({ saltNonce: 8n }))]
    await expect(create({ ...planned, transaction: elsewhere.transaction })).rejects.toMatchObject({
      code: 'SAFE_NOT_CREATED',
      message: expect.stringContaining(
        `it would be at ${elsewhere.safe.address}, not at ${planned.safe.address}`,
      ),
    })
    expect(await client.getTransactionCount(owner)).toBe(0)
  })
})

/** The calls of a batch, as transactions of their own. */
function callsIn(data: Hex): readonly { readonly to: Address; readonly data: Hex }[] {
  const { args } = decodeFunctionData({ abi: multicall3Abi, data })
  return (args[0] as readonly { target: Address; callData: Hex }[]).map(({ target, callData }) => ({
    ...{ to: target, data: callData },
  }))
}

/** The node, with other answers where one is given. */
const altered = (answer: (method: string, params: readonly unknown[]) => unknown): Rpc => ({
  ...rpc,
  call: async (method, params, options) => answer(method, params) ?? rpc.call(method, params, options),
})
