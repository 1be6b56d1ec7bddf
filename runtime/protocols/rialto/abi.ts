import { parseAbi } from 'viem'

/** `FlashRepay.sol`: repays debt out of collateral in one step. */
export const flashRepayActionsAbi = parseAbi([
  'struct Order { address aave; address pool; address debtAsset; address collateralAsset; address aToken; uint256 repayAmount; uint256 maxCollateral; }',
  'function flashRepay(Order order) returns (uint256 spent)',
])

/** `Assert.sol`: views that revert unless the outcome is as promised. */
export const assertActionsAbi = parseAbi([
  'function minHealthFactor(address pool, address account, uint256 minimum) view',
  'function minBalance(address token, address account, uint256 minimum) view',
  'function maxBalance(address token, address account, uint256 maximum) view',
  'function zeroAllowance(address token, address owner, address spender) view',
  'function notAfter(uint256 lastBlock) view',
])

/** `BatchAccount.sol`: ERC-7821. */
export const batchAccountActionsAbi = parseAbi([
  'function execute(bytes32 mode, bytes executionData) payable',
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
