import { parseAbi } from 'viem'

/** What a Zodiac Roles modifier (2.1.0) refuses a member with. */
export const rolesErrorsAbi = parseAbi([
  'error NotAuthorized(address unacceptedAddress)',
  'error NoMembership()',
  'error FunctionSignatureTooShort()',
  'error MalformedMultiEntrypoint()',
  'error ModuleTransactionFailed()',
  'error ConditionViolation(uint8 status, bytes32 info)',
  'error CalldataOutOfBounds()',
])

/** `Status` of the modifier's `ConditionViolation`, in its order. */
export const violations = [
  'Ok',
  'DelegateCallNotAllowed',
  'TargetAddressNotAllowed',
  'FunctionNotAllowed',
  'SendNotAllowed',
  'OrViolation',
  'NorViolation',
  'ParameterNotAllowed',
  'ParameterLessThanAllowed',
  'ParameterGreaterThanAllowed',
  'ParameterNotAMatch',
  'NotEveryArrayElementPasses',
  'NoArrayElementPasses',
  'ParameterNotSubsetOfAllowed',
  'BitmaskOverflow',
  'BitmaskNotAllowed',
  'CustomConditionViolation',
  'AllowanceExceeded',
  'CallAllowanceExceeded',
  'EtherAllowanceExceeded',
] as const
