import {
  type Abi,
  type Address,
  type BaseError,
  decodeErrorResult,
  encodeDeployData,
  encodeFunctionData,
  erc20Abi,
  getContractAddress,
  type Hex,
  keccak256,
  parseAbi,
  parseEther,
  parseGwei,
  parseUnits,
  toHex,
} from 'viem'
import { type HDAccount, type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { encodeExecuteData } from 'viem/experimental/erc7821'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { tokenAmount, type Usd, usd, wei } from '../../../runtime/core/units.ts'
import { worldAccounts } from '../../world/accounts.ts'
import { createActors } from '../../world/actors.ts'
import { fundAccounts } from '../../world/fundAccounts.ts'
import { openPositions } from '../../world/openPositions.ts'
import { readBalance } from '../../world/readBalance.ts'
import { testWorld } from '../../world/testWorld.ts'
import { assertArtifact } from '../artifacts/Assert.ts'
import { batchAccountArtifact } from '../artifacts/BatchAccount.ts'
import { flashRepayArtifact } from '../artifacts/FlashRepay.ts'
import { testTokenArtifact } from '../artifacts/TestToken.ts'
import { type CompiledContract, compileContract } from '../compile.ts'

export type Call = { readonly to: Address; readonly data?: Hex; readonly value?: bigint }
type Sender = PrivateKeyAccount | HDAccount
export type SendOptions = {
  /** A delegation to install, or to attempt, with the transaction. */
  readonly authorizations?: Awaited<ReturnType<PrivateKeyAccount['signAuthorization']>>[]
  readonly gas?: bigint
  readonly maxFeePerGas?: bigint
  readonly nonce?: number
}

const aaveAbi = parseAbi([
  'function getUserAccountData(address) view returns (uint256, uint256, uint256, uint256, uint256, uint256 healthFactor)',
])
const quoterAbi = parseAbi([
  'struct Quote { address tokenIn; address tokenOut; uint256 amount; uint24 fee; uint160 sqrtPriceLimitX96; }',
  'function quoteExactOutputSingle(Quote) returns (uint256 amountIn, uint160, uint32, uint256)',
])
export const wethAbi = parseAbi(['function deposit() payable', 'function withdraw(uint256)'])

export const call = (
  to: Address,
  abi: Abi | readonly unknown[],
  functionName: string,
  args: readonly unknown[] = [],
): Call => ({ to, data: encodeFunctionData({ abi: abi as Abi, functionName, args }) })

/** A world at 1,876 dollars, and what the contracts' tests do in it. Blocks are mined when told to. */
export async function contractScene() {
  const world = await testWorld({ automine: false })
  const { client, rpc, addressBook: book } = world
  const actors = createActors(world)
  const weth = book.wrappedNative
  const usdc = book.tokens[1]?.address
  const [wethReserve, usdcReserve] = book.aaveV3.reserves
  const [pool] = book.uniswapV3.pools
  const ours = book.rialto
  if (!usdc || !wethReserve || !usdcReserve || !pool || !ours) throw new InvariantError('This is no world.')
  const aave = book.aaveV3.pool

  /** An account with ether and nothing else, the same in every run. */
  const person = async (name: string, eth = '100'): Promise<PrivateKeyAccount> => {
    const account = privateKeyToAccount(keccak256(toHex(`rialto contract tests: ${name}`)))
    await fundAccounts(world, [{ account: account.address, eth: wei(parseEther(eth)) }])
    return account
  }
  /** Someone with 10 WETH supplied and 15,000 USDC borrowed and spent: a health factor of 1.10 at 2,000 dollars. */
  const borrower = async (name: string): Promise<PrivateKeyAccount> => {
    const account = await person(name)
    await openPositions(world, [
      {
        account: account.address,
        collateral: tokenAmount(parseEther('10')),
        debt: tokenAmount(parseUnits('15000', 6)),
        walletUsdc: tokenAmount(0n),
        walletEth: wei(parseEther('100')),
      },
    ])
    return account
  }

  const send = (account: Sender, { to, data, value }: Call, options: SendOptions = {}): Promise<Hex> =>
    world.wallet(account).sendTransaction({
      to,
      ...(data === undefined ? {} : { data }),
      value: value ?? 0n,
      gas: options.gas ?? 2_000_000n,
      maxFeePerGas: options.maxFeePerGas ?? parseGwei('50'),
      maxPriorityFeePerGas: 1n,
      ...(options.nonce === undefined ? {} : { nonce: options.nonce }),
      ...(options.authorizations === undefined ? {} : { authorizationList: options.authorizations }),
      chain: world.chain,
    } as Parameters<ReturnType<typeof world.wallet>['sendTransaction']>[0])

  const outcome = async (hash: Hex) => {
    const { status, gasUsed, logs } = await client.getTransactionReceipt({ hash })
    return { status, gasUsed, logs, revert: status === 'success' ? undefined : await revertOf(hash) }
  }
  /** Sends, mines and tells what became of it; for a revert, its decoded error. */
  const run = async (account: Sender, what: Call, options: SendOptions = {}) => {
    const hash = await send(account, what, options)
    await actors.mineBlock()
    return await outcome(hash)
  }

  const errors = [
    ...[assertArtifact, batchAccountArtifact, flashRepayArtifact, testTokenArtifact].flatMap(({ abi }) =>
      (abi as Abi).filter((item) => item.type === 'error'),
    ),
    ...parseAbi(['error Error(string)', 'error Panic(uint256)']),
  ]
  const decode = (data: Hex): { name: string; args: string } => {
    const { errorName, args = [] } = decodeErrorResult({ abi: errors, data })
    return { name: errorName === 'Error' ? String(args[0]) : errorName, args: args.map(String).join(', ') }
  }
  /** What a refused `eth_call` gives as its reason, with its values. */
  const errorOf = (error: unknown): string => {
    const carrier = (error as BaseError).walk(
      (cause) => typeof (cause as { data?: unknown }).data === 'string',
    )
    const data = (carrier as { data?: Hex } | null)?.data
    if (data === undefined || data === '0x') return 'reverts'
    const { name, args } = decode(data)
    return `${name}(${args})`
  }
  /** A replay on the parent block may succeed (the cause can lie in the same block), so the mined one is traced. */
  const revertOf = async (hash: Hex): Promise<string> => {
    const trace = await rpc<{ output?: Hex; error?: string }>('debug_traceTransaction', hash, {
      tracer: 'callTracer',
    })
    if (trace.output === undefined || trace.output === '0x') return trace.error ?? 'no reason'
    return decode(trace.output).name
  }

  /** Signs a delegation of an account to a contract, BatchAccount when none is named. */
  const authorize = async (account: PrivateKeyAccount, nonce: number, contract = ours.batchAccount) =>
    await account.signAuthorization({ address: contract, chainId: world.chainId, nonce })
  const nonceOf = (account: PrivateKeyAccount) => client.getTransactionCount({ address: account.address })
  /** A batch that an account sends itself, delegating with the same transaction. */
  const batch = async (account: PrivateKeyAccount, calls: readonly Call[]) => ({
    call: { to: account.address, data: encodeExecuteData({ calls }) },
    authorizations: [await authorize(account, (await nonceOf(account)) + 1)],
  })
  const runBatch = async (account: PrivateKeyAccount, calls: readonly Call[], options: SendOptions = {}) => {
    const { call: what, authorizations } = await batch(account, calls)
    return await run(account, what, { authorizations, ...options })
  }

  const healthFactor = async (account: Address): Promise<bigint> =>
    (
      await client.readContract({
        address: aave,
        abi: aaveAbi,
        functionName: 'getUserAccountData',
        args: [account],
      })
    )[5]
  /** Everything of an account that a plan may change. */
  const holdings = async ({ address }: { address: Address }) => ({
    weth: await readBalance(rpc, weth, address),
    usdc: await readBalance(rpc, usdc, address),
    aWeth: await readBalance(rpc, wethReserve.aToken, address),
    aUsdc: await readBalance(rpc, usdcReserve.aToken, address),
    wethDebt: await readBalance(rpc, wethReserve.variableDebtToken, address),
    usdcDebt: await readBalance(rpc, usdcReserve.variableDebtToken, address),
  })
  const allowance = (token: Address, owner: Address, spender: Address) =>
    client.readContract({ address: token, abi: erc20Abi, functionName: 'allowance', args: [owner, spender] })
  /** What buying an amount of USDC costs in WETH, to the unit. */
  const quoteUsdc = async (amount: bigint): Promise<bigint> => {
    const { result } = await client.simulateContract({
      ...{ address: book.uniswapV3.quoter, abi: quoterAbi, functionName: 'quoteExactOutputSingle' },
      args: [{ tokenIn: weth, tokenOut: usdc, amount, fee: pool.fee, sqrtPriceLimitX96: 0n }],
    })
    return result[0]
  }

  const order = (repayAmount: bigint, maxCollateral: bigint) => ({
    ...{ aave, pool: pool.address, debtAsset: usdc, collateralAsset: weth, aToken: wethReserve.aToken },
    ...{ repayAmount, maxCollateral },
  })
  const flashRepay = (parameters: Record<string, unknown>): Call =>
    call(ours.flashRepay, flashRepayArtifact.abi, 'flashRepay', [parameters])
  const approve = (token: Address, spender: Address, amount: bigint): Call =>
    call(token, erc20Abi, 'approve', [spender, amount])
  /** The two calls of a deleverage. */
  const deleverage = (repayAmount: bigint, maxCollateral: bigint): Call[] => [
    approve(wethReserve.aToken, ours.flashRepay, maxCollateral),
    flashRepay(order(repayAmount, maxCollateral)),
  ]
  const assertion = (functionName: string, ...args: unknown[]): Call =>
    call(ours.assert, assertArtifact.abi, functionName, args)

  const deploy = async (contract: CompiledContract, args: readonly unknown[] = []): Promise<Address> => {
    const from = worldAccounts.deployer
    const nonce = await client.getTransactionCount({ address: from.address })
    const data = encodeDeployData({ abi: contract.abi, bytecode: contract.bytecode, args })
    await world.wallet(from).sendTransaction({
      ...{
        data,
        gas: 8_000_000n,
        maxFeePerGas: parseGwei('50'),
        maxPriorityFeePerGas: 1n,
        chain: world.chain,
      },
    })
    await actors.mineBlock()
    return getContractAddress({ from: from.address, nonce: BigInt(nonce) })
  }
  /** Compiles and deploys a contract that is there for tests only. */
  const deployFixture = async (file: string, name: string) => {
    const contract = compileContract(`infra/contracts/test/${file}.sol`, name)
    return { address: await deploy(contract), abi: contract.abi }
  }

  /** A token of an account's own making, of which it lets FlashRepay take what it likes. */
  const ownToken = async (account: PrivateKeyAccount): Promise<Address> => {
    const token = await deploy({ ...testTokenArtifact, runtimeHash: undefined }, ['Own', 'OWN', 18])
    await run(
      worldAccounts.deployer,
      call(token, testTokenArtifact.abi, 'mint', [account.address, parseEther('1000')]),
    )
    await run(account, approve(token, ours.flashRepay, parseEther('1000')))
    return token
  }

  /** Moves oracle and pool. */
  const setPrice = async (price: Usd): Promise<void> => {
    await actors.pushPrice(price)
    await actors.arbitrageTo(price)
    await actors.mineBlock()
  }

  return {
    ...{ world, client, rpc, book, actors, weth, usdc, wethReserve, usdcReserve, pool, aave, ours },
    ...{ person, borrower, send, outcome, run, revertOf, errorOf, authorize, nonceOf, batch, runBatch },
    ...{ healthFactor, holdings, allowance, quoteUsdc, order, flashRepay, approve, deleverage, assertion },
    ...{ deploy, deployFixture, ownToken, setPrice },
  }
}

export const dollars = (value: number): Usd => usd(BigInt(Math.round(value * 100)) * 10n ** 6n)
