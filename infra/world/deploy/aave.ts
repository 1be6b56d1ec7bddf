import { type Address, zeroAddress } from 'viem'
import { RAY } from '../../../runtime/core/units.ts'
import { addressOf } from '../accounts.ts'
import { type Artifact, readArtifact } from './artifact.ts'
import type { WorldBuilder } from './builder.ts'
import type { WorldToken } from './tokens.ts'

/** A market's parameters; fractions in basis points. */
export type Listing = {
  readonly token: WorldToken
  readonly feed: Address
  readonly ltv: bigint
  readonly liquidationThreshold: bigint
  /** What a liquidator gets on top. */
  readonly liquidationBonus: bigint
  /** Aave's share of that bonus. */
  readonly liquidationProtocolFee: bigint
  readonly reserveFactor: bigint
  readonly rates: { readonly optimalUsage: bigint; readonly slope1: bigint; readonly slope2: bigint }
}

export type WorldAave = {
  readonly poolAddressesProvider: Address
  readonly oracle: Address
  readonly dataProvider: Address
}
export type WorldAaveProxies = { readonly pool: Address; readonly configurator: Address }

const LIBRARIES = [
  'BorrowLogic',
  'BridgeLogic',
  'EModeLogic',
  'LiquidationLogic',
  'PoolLogic',
  'SupplyLogic',
  'ConfiguratorLogic',
  'FlashLoanLogic', // is linked against BorrowLogic, so it comes last
] as const

const aave = (path: string): Artifact => {
  const name = path.replace(/^.*\//, '')
  return readArtifact('@aave/core-v3', `artifacts/contracts/${path}.sol/${name}.json`)
}
const ray = (bps: bigint): bigint => (bps * RAY) / 10_000n

const providerArtifact = () => aave('protocol/configuration/PoolAddressesProvider')
export const aavePoolArtifact = () => aave('protocol/pool/Pool')
export const dataProviderArtifact = () => aave('misc/AaveProtocolDataProvider')
const configuratorArtifact = () => aave('protocol/pool/PoolConfigurator')

/** Queues Aave v3 up to its Pool and PoolConfigurator, which the provider creates as proxies. */
export function deployAave(builder: WorldBuilder, listings: readonly Listing[]): WorldAave {
  const deployer = addressOf('deployer')
  const poolAddressesProvider = builder.deploy(deployer, providerArtifact(), [
    'Rialto Local Market',
    deployer,
  ])
  const provider = { address: poolAddressesProvider, abi: providerArtifact().abi }

  const libraries: Record<string, Address> = {}
  for (const name of LIBRARIES)
    libraries[name] = builder.deploy(deployer, aave(`protocol/libraries/logic/${name}`), [], libraries)

  // The ACLManager's constructor reads the admin from the provider.
  builder.call(deployer, provider, 'setACLAdmin', [deployer])
  const aclArtifact = aave('protocol/configuration/ACLManager')
  const aclManager = builder.deploy(deployer, aclArtifact, [poolAddressesProvider])
  builder.call(deployer, provider, 'setACLManager', [aclManager])
  for (const grant of ['addPoolAdmin', 'addEmergencyAdmin', 'addRiskAdmin', 'addAssetListingAdmin'])
    builder.call(deployer, { address: aclManager, abi: aclArtifact.abi }, grant, [deployer])

  const pool = builder.deploy(deployer, aavePoolArtifact(), [poolAddressesProvider], libraries)
  builder.call(deployer, provider, 'setPoolImpl', [pool])
  const configurator = builder.deploy(deployer, configuratorArtifact(), [], libraries)
  builder.call(deployer, provider, 'setPoolConfiguratorImpl', [configurator])
  const dataProvider = builder.deploy(deployer, dataProviderArtifact(), [poolAddressesProvider])
  builder.call(deployer, provider, 'setPoolDataProvider', [dataProvider])
  const oracle = builder.deploy(deployer, aave('misc/AaveOracle'), [
    poolAddressesProvider,
    listings.map((listing) => listing.token.address),
    listings.map((listing) => listing.feed),
    zeroAddress, // no fallback oracle
    zeroAddress, // base currency: US dollars,
    10n ** 8n, // with 8 decimals
  ])
  builder.call(deployer, provider, 'setPriceOracle', [oracle])
  return { poolAddressesProvider, oracle, dataProvider }
}

/** The proxies that the provider made; to be read after {@link deployAave} is mined. */
export async function readAaveProxies(builder: WorldBuilder, { poolAddressesProvider }: WorldAave) {
  const provider = { address: poolAddressesProvider, abi: providerArtifact().abi }
  return {
    pool: await builder.read<Address>(provider, 'getPool'),
    configurator: await builder.read<Address>(provider, 'getPoolConfigurator'),
  } satisfies WorldAaveProxies
}

/** Queues the listing of markets. aToken and debt tokens are bound to the Pool's proxy, not its implementation. */
export function listReserves(
  builder: WorldBuilder,
  { poolAddressesProvider }: WorldAave,
  { pool, configurator }: WorldAaveProxies,
  listings: readonly Listing[],
): void {
  const deployer = addressOf('deployer')
  const configuration = { address: configurator, abi: configuratorArtifact().abi }
  const configure = (functionName: string, ...parameters: unknown[]) =>
    builder.call(deployer, configuration, functionName, parameters)

  const tokenization = (name: string) =>
    builder.deploy(deployer, aave(`protocol/tokenization/${name}`), [pool])
  const aTokenImpl = tokenization('AToken')
  const stableDebtTokenImpl = tokenization('StableDebtToken') // must be there, though nothing borrows at it
  const variableDebtTokenImpl = tokenization('VariableDebtToken')

  const inputs = listings.map(({ token, rates }) => ({
    aTokenImpl,
    stableDebtTokenImpl,
    variableDebtTokenImpl,
    underlyingAssetDecimals: token.decimals,
    interestRateStrategyAddress: builder.deploy(
      deployer,
      aave('protocol/pool/DefaultReserveInterestRateStrategy'),
      [
        poolAddressesProvider,
        ray(rates.optimalUsage),
        ...[0n, ray(rates.slope1), ray(rates.slope2)],
        ...[0n, 0n, 0n, 0n, 0n], // stable rates, which are off
      ],
    ),
    underlyingAsset: token.address,
    treasury: addressOf('treasury'),
    incentivesController: zeroAddress,
    aTokenName: `Aave Local ${token.symbol}`,
    aTokenSymbol: `aLoc${token.symbol}`,
    variableDebtTokenName: `Aave Local Variable Debt ${token.symbol}`,
    variableDebtTokenSymbol: `variableDebtLoc${token.symbol}`,
    stableDebtTokenName: `Aave Local Stable Debt ${token.symbol}`,
    stableDebtTokenSymbol: `stableDebtLoc${token.symbol}`,
    params: '0x10',
  }))
  configure('initReserves', inputs)
  for (const listing of listings) {
    const asset = listing.token.address
    const bonus = 10_000n + listing.liquidationBonus
    configure('configureReserveAsCollateral', asset, listing.ltv, listing.liquidationThreshold, bonus)
    configure('setReserveBorrowing', asset, true)
    configure('setReserveFactor', asset, listing.reserveFactor)
    configure('setReserveFlashLoaning', asset, true)
    configure('setLiquidationProtocolFee', asset, listing.liquidationProtocolFee)
  }
  configure('updateFlashloanPremiumTotal', 5n)
}
