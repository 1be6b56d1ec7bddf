import { parseAbi } from 'viem'

/** What Rialto sends to Aave's Pool (3.0.x). */
export const aavePoolActionsAbi = parseAbi([
  'function supply(address asset, uint256 amount, address onBehalfOf, uint16 referralCode)',
  'function withdraw(address asset, uint256 amount, address to) returns (uint256)',
  'function borrow(address asset, uint256 amount, uint256 interestRateMode, uint16 referralCode, address onBehalfOf)',
  'function repay(address asset, uint256 amount, uint256 interestRateMode, address onBehalfOf) returns (uint256)',
  'function liquidationCall(address collateralAsset, address debtAsset, address user, uint256 debtToCover, bool receiveAToken)',
])

export const aavePoolReadsAbi = parseAbi([
  'struct ReserveData { uint256 configuration; uint128 liquidityIndex; uint128 currentLiquidityRate; uint128 variableBorrowIndex; uint128 currentVariableBorrowRate; uint128 currentStableBorrowRate; uint40 lastUpdateTimestamp; uint16 id; address aTokenAddress; address stableDebtTokenAddress; address variableDebtTokenAddress; address interestRateStrategyAddress; uint128 accruedToTreasury; uint128 unbacked; uint128 isolationModeTotalDebt; }',
  'function getReserveData(address asset) view returns (ReserveData)',
  'function getUserConfiguration(address user) view returns (uint256)',
  'function getUserEMode(address user) view returns (uint256)',
  'function getUserAccountData(address user) view returns (uint256 totalCollateralBase, uint256 totalDebtBase, uint256 availableBorrowsBase, uint256 currentLiquidationThreshold, uint256 ltv, uint256 healthFactor)',
  'function getReserveNormalizedIncome(address asset) view returns (uint256)',
  'function getReserveNormalizedVariableDebt(address asset) view returns (uint256)',
])

export const aavePoolEventsAbi = parseAbi([
  'event Supply(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount, uint16 indexed referralCode)',
  'event Withdraw(address indexed reserve, address indexed user, address indexed to, uint256 amount)',
  'event Borrow(address indexed reserve, address user, address indexed onBehalfOf, uint256 amount, uint8 interestRateMode, uint256 borrowRate, uint16 indexed referralCode)',
  'event Repay(address indexed reserve, address indexed user, address indexed repayer, uint256 amount, bool useATokens)',
  'event LiquidationCall(address indexed collateralAsset, address indexed debtAsset, address indexed user, uint256 debtToCover, uint256 liquidatedCollateralAmount, address liquidator, bool receiveAToken)',
])

/** aTokens and debt tokens. */
export const aaveTokenReadsAbi = parseAbi([
  'function scaledBalanceOf(address user) view returns (uint256)',
  'function scaledTotalSupply() view returns (uint256)',
])

export const aaveOracleReadsAbi = parseAbi(['function getAssetPrice(address asset) view returns (uint256)'])

/** Aave's code for a variable rate. The stable one is not used. */
export const VARIABLE_RATE = 2n

/** What the numeric strings mean that Aave 3.0.x reverts with; those that our calls can meet. */
export const aaveErrorReasons: Readonly<Record<string, string>> = {
  '26': 'the amount is zero',
  '27': 'the reserve is not active',
  '28': 'the reserve is frozen',
  '29': 'the reserve is paused',
  '30': 'borrowing is not enabled for the reserve',
  '32': 'more than the available balance',
  '34': 'there is no collateral',
  '35': 'the health factor would fall under the liquidation threshold',
  '36': 'the collateral does not cover the new borrow',
  '39': 'there is no debt of that kind',
  '45': 'the health factor is not under the liquidation threshold',
  '46': 'the collateral cannot be liquidated',
  '47': 'the user does not owe that asset',
  '50': 'the borrow cap is exceeded',
  '51': 'the supply cap is exceeded',
  '57': 'a collateral with no loan to value has to be withdrawn first',
}
