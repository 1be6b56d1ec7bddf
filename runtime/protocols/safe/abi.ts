import { parseAbi } from 'viem'

/** What a member of a role sends to a Zodiac Roles modifier (v2). */
export const rolesExecutionAbi = parseAbi([
  'function execTransactionWithRole(address to, uint256 value, bytes data, uint8 operation, bytes32 roleKey, bool shouldRevert) returns (bool success)',
])

/** `MultiSend.sol` and `MultiSendCallOnly.sol` of Safe: a batch in one packed byte string. */
export const multiSendAbi = parseAbi(['function multiSend(bytes transactions) payable'])

/** How a Safe carries out a transaction: `Enum.Operation` of its contracts. */
export const Operation = { call: 0, delegateCall: 1 } as const
