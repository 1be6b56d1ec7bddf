import { parseAbi } from 'viem'

/** `FlashRepay.sol`: repays debt out of collateral in one step. */
export const flashRepayActionsAbi = parseAbi([
  'struct Order { address aave; address pool; address debtAsset; address collateralAsset; address aToken; uint256 repayAmount; uint256 maxCollateral; }',
  'function flashRepay(Order order) returns (uint256 spent)',
])

export const flashRepayErrorsAbi = parseAbi([
  'error Busy()',
  'error BadAmount(uint256 amount)',
  'error UnexpectedCallback(address caller)',
  'error CallbackMissing()',
  'error PartialFill(uint256 actual, uint256 expected)',
  'error TooMuchCollateral(uint256 actual, uint256 maximum)',
])

/** `Assert.sol`: views that revert unless the outcome is as promised. */
export const assertActionsAbi = parseAbi([
  'function minHealthFactor(address pool, address account, uint256 minimum) view',
  'function minBalance(address token, address account, uint256 minimum) view',
  'function maxBalance(address token, address account, uint256 maximum) view',
  'function zeroAllowance(address token, address owner, address spender) view',
  'function notAfter(uint256 lastBlock) view',
])

export const assertErrorsAbi = parseAbi([
  'error HealthFactorTooLow(address account, uint256 actual, uint256 minimum)',
  'error BalanceTooLow(address token, address account, uint256 actual, uint256 minimum)',
  'error BalanceTooHigh(address token, address account, uint256 actual, uint256 maximum)',
  'error AllowanceLeft(address token, address owner, address spender, uint256 actual)',
  'error TooLate(uint256 actual, uint256 lastBlock)',
])

/** `BatchAccount.sol`: ERC-7821. */
export const batchAccountActionsAbi = parseAbi([
  'function execute(bytes32 mode, bytes executionData) payable',
])

export const batchAccountErrorsAbi = parseAbi([
  'error UnsupportedExecutionMode()',
  'error AccountUnauthorized(address sender)',
])

/** ERC-7821's mode "one batch, revert on any failure, no operational data". */
export const BATCH_MODE = '0x0100000000000000000000000000000000000000000000000000000000000000'

/** ERC-7821's execution data: an ABI-encoded array of calls. */
export const batchParameters = [
  {
    type: 'tuple[]',
    name: 'calls',
    components: [
      { type: 'address', name: 'to' },
      { type: 'uint256', name: 'value' },
      { type: 'bytes', name: 'data' },
    ],
  },
] as const
