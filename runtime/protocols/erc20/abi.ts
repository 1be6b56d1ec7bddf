import { parseAbi } from 'viem'

/** What Rialto sends to a token. */
export const erc20ActionsAbi = parseAbi([
  'function approve(address spender, uint256 amount) returns (bool)',
  'function transfer(address to, uint256 amount) returns (bool)',
])

export const erc20ReadsAbi = parseAbi([
  'function balanceOf(address account) view returns (uint256)',
  'function allowance(address owner, address spender) view returns (uint256)',
])

/** The part of Multicall3 that answers a native balance in the same batch as everything else. */
export const multicall3ReadsAbi = parseAbi(['function getEthBalance(address addr) view returns (uint256)'])
