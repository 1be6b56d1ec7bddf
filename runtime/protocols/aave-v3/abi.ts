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

/** What Rialto sends to a variable debt token: only ever to take a delegation back. */
export const aaveDebtTokenActionsAbi = parseAbi([
  'function approveDelegation(address delegatee, uint256 amount)',
])

/** What others may borrow in an account's name. A debt token has no `allowance`: it reverts. */
export const aaveDebtTokenReadsAbi = parseAbi([
  'function borrowAllowance(address fromUser, address toUser) view returns (uint256)',
])

export const aaveDebtTokenEventsAbi = parseAbi([
  'event BorrowAllowanceDelegated(address indexed fromUser, address indexed toUser, address indexed asset, uint256 amount)',
])

/** aTokens and debt tokens. */
export const aaveTokenReadsAbi = parseAbi([
  'function scaledBalanceOf(address user) view returns (uint256)',
  'function scaledTotalSupply() view returns (uint256)',
])

export const aaveOracleReadsAbi = parseAbi(['function getAssetPrice(address asset) view returns (uint256)'])

/** Aave's code for a variable rate. The stable one is not used. */
export const VARIABLE_RATE = 2n
