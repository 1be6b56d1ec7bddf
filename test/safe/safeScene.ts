import { readFileSync } from 'node:fs'
import { type Address, type Hex, parseEther } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createRpc } from '../../infra/chain/rpc.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { checkRole, type RoleCheck } from '../../infra/safe/checkRole.ts'
import { compileProtectorRole, compileRole } from '../../infra/safe/compileRole.ts'
import type { Role, SafeAccount } from '../../infra/safe/role.ts'
import { safeTransactionOf } from '../../infra/safe/safeTransaction.ts'
import { sendSafeTransaction } from '../../infra/safe/sendSafeTransaction.ts'
import { worldAccounts } from '../../infra/world/accounts.ts'
import { type TestWorld, testWorld } from '../../infra/world/testWorld.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import { type Policy, type PolicyFile, parsePolicy } from '../../runtime/guards/policy.ts'
import { protectorPolicy } from '../../runtime/guards/protector.ts'
import { deploySafe, deploySafeContracts, roleKeyOf, type SafeContracts } from './deploySafe.ts'

/** A policy that allows everything there is, small enough to be used up in a test. */
export const wholePolicyFile = (changes: Partial<PolicyFile> = {}): PolicyFile => ({
  ...(JSON.parse(
    readFileSync(new URL('policies/lending-guardian.json', packageRootUrl), 'utf8'),
  ) as PolicyFile),
  name: 'whole',
  intents: ['supply', 'withdraw', 'borrow', 'repay', 'deleverage', 'swap', 'transfer', 'liquidate'],
  contracts: {
    'erc20:WETH': ['approve', 'transfer'],
    'erc20:USDC': ['approve', 'transfer'],
    'aave-v3.aToken:WETH': ['approve'],
    'aave-v3.aToken:USDC': ['approve'],
    'aave-v3.pool': ['supply', 'withdraw', 'borrow', 'repay', 'liquidationCall'],
    'uniswap-v3.router': ['exactInputSingle'],
    'rialto.flashRepay': ['flashRepay'],
    'rialto.assert': ['minHealthFactor', 'minBalance', 'maxBalance', 'zeroAllowance', 'notAfter'],
  },
  recipients: [worldAccounts.treasury.address],
  allowances: { WETH: '2', USDC: '5000', native: '1' },
  protector: 'none',
  ...changes,
})

const packageRootUrl = new URL(`file://${packageRoot(import.meta.url)}/`)

export const wholePolicy = (changes: Partial<PolicyFile> = {}): Policy =>
  parsePolicy(wholePolicyFile(changes))

/** A Safe of one owner with a modifier, on the real protocols, and an agent that holds nothing but its own gas. */
export type SafeScene = {
  readonly world: TestWorld
  readonly contracts: SafeContracts
  readonly owner: ReturnType<typeof privateKeyToAccount>
  readonly agent: ReturnType<typeof privateKeyToAccount>
  readonly account: SafeAccount & { readonly sender: Address }
  readonly rpc: ReturnType<typeof createRpc>
  /** Whoever protects the Safe, by another key. */
  readonly protector: ReturnType<typeof privateKeyToAccount>
  role(policy: Policy): Role
  /** The role of the protector that the policy comes to. */
  protectorRole(policy: Policy): Role
  check(role: Role, protector?: Role): Promise<RoleCheck>
  /** Makes the chain what the roles say, as the owner, in one transaction. */
  apply(role: Role, protector?: Role): Promise<Hash>
  /** Acts as the Safe, past the role: what its owners could sign. */
  asSafe(to: Address, data: Hex): Promise<void>
}

export async function safeScene(): Promise<SafeScene> {
  const world = await testWorld()
  const { client } = world
  const owner = privateKeyToAccount(generatePrivateKey())
  const agent = privateKeyToAccount(generatePrivateKey())
  const protector = privateKeyToAccount(generatePrivateKey())
  for (const { address } of [owner, agent, protector])
    await client.setBalance({ address, value: parseEther('10') })
  const contracts = await deploySafeContracts(world, worldAccounts.deployer)
  const deployed = await deploySafe(world, contracts, worldAccounts.deployer, { owners: [owner.address] })
  const account = {
    ...deployed,
    roleKey: roleKeyOf('guardian'),
    multiSend: contracts.multiSendCallOnly,
    sender: agent.address,
  }
  const rpc = createRpc({ url: new URL(world.url), timeout: 10_000, retries: 0 })
  const book = world.addressBook
  const check = (role: Role, second: Role | null = null) => checkRole({ rpc, role, protector: second, book })
  return {
    world,
    contracts,
    owner,
    agent,
    account,
    rpc,
    protector,
    role: (policy) => compileRole(policy, book, account),
    protectorRole: (policy) =>
      compileProtectorRole(protectorPolicy(policy), book, {
        ...account,
        ...{ roleKey: roleKeyOf('guardian-protector'), sender: protector.address },
      }),
    check,
    async apply(role, second) {
      const { differences, safe: state } = await check(role, second)
      const changes = differences.flatMap(({ change }) => (change === null ? [] : [change]))
      const transaction = safeTransactionOf(changes, account.multiSend, state.nonce)
      const { safe } = account
      return sendSafeTransaction({
        rpc,
        chainId: world.chainId,
        safe,
        state,
        transaction,
        owner,
        nextCommand: 'rialto policy check',
      })
    },
    async asSafe(to, data) {
      await client.impersonateAccount({ address: account.safe })
      // A Safe has no coins to pay gas with.
      await client.setNextBlockBaseFeePerGas({ baseFeePerGas: 0n })
      const hash = await client.request({
        method: 'eth_sendTransaction',
        params: [
          { from: account.safe, to, data, gas: '0x1e8480', maxFeePerGas: '0x0', maxPriorityFeePerGas: '0x0' },
        ],
      } as never)
      const { status } = await client.waitForTransactionReceipt({ hash: hash as Hex })
      if (status !== 'success') throw new InvariantError('The Safe could not do it.')
    },
  }
}

/** MultiSend of Safe 1.3.0, which is on every public chain and not in the world. */
export const MULTI_SEND_1_3_0: Address = '0xA238CBeb142c10Ef7Ad8442C6D1f9E89e07e7761'

const there = <Item>(item: Item | undefined): Item => {
  if (item === undefined) throw new InvariantError('The world has both reserves, a pool and our contracts.')
  return item
}

/** The contracts of a world that a test speaks of. */
export function sceneContracts({ addressBook: book }: TestWorld) {
  const weth = book.wrappedNative
  const usdc = there(book.tokens.find(({ symbol }) => symbol === 'USDC')).address
  const reserveOf = (token: Address) => there(book.aaveV3.reserves.find(({ asset }) => asset === token))
  return {
    weth,
    usdc,
    wethReserve: reserveOf(weth),
    usdcReserve: reserveOf(usdc),
    pool: book.aaveV3.pool,
    router: book.uniswapV3.swapRouter,
    uniswapPool: there(book.uniswapV3.pools[0]),
    rialto: there(book.rialto),
  }
}
