import { parseAbi } from 'viem'

/** What the owner of a Zodiac Roles modifier (2.1.0) sends to it. */
export const rolesOwnerAbi = parseAbi([
  'struct ConditionFlat { uint8 parent; uint8 paramType; uint8 operator; bytes compValue; }',
  'function assignRoles(address module, bytes32[] roleKeys, bool[] memberOf)',
  'function scopeTarget(bytes32 roleKey, address targetAddress)',
  'function revokeTarget(bytes32 roleKey, address targetAddress)',
  'function scopeFunction(bytes32 roleKey, address targetAddress, bytes4 selector, ConditionFlat[] conditions, uint8 options)',
  'function revokeFunction(bytes32 roleKey, address targetAddress, bytes4 selector)',
  'function setAllowance(bytes32 key, uint128 balance, uint128 maxRefill, uint128 refill, uint64 period, uint64 timestamp)',
  'function setTransactionUnwrapper(address to, bytes4 selector, address adapter)',
])

export const rolesReadsAbi = parseAbi([
  'function owner() view returns (address)',
  'function avatar() view returns (address)',
  'function target() view returns (address)',
  'function isModuleEnabled(address module) view returns (bool)',
  'function allowances(bytes32 key) view returns (uint128 refill, uint128 maxRefill, uint64 period, uint128 balance, uint64 timestamp)',
  'function unwrappers(bytes32 key) view returns (address)',
])

/** Everything that names a key of the modifier's mappings, which cannot be listed by themselves. */
export const rolesEventsAbi = parseAbi([
  'struct ConditionFlat { uint8 parent; uint8 paramType; uint8 operator; bytes compValue; }',
  'event RolesModSetup(address indexed initiator, address indexed owner, address indexed avatar, address target)',
  'event AssignRoles(address module, bytes32[] roleKeys, bool[] memberOf)',
  'event AllowTarget(bytes32 roleKey, address targetAddress, uint8 options)',
  'event RevokeTarget(bytes32 roleKey, address targetAddress)',
  'event ScopeTarget(bytes32 roleKey, address targetAddress)',
  'event AllowFunction(bytes32 roleKey, address targetAddress, bytes4 selector, uint8 options)',
  'event RevokeFunction(bytes32 roleKey, address targetAddress, bytes4 selector)',
  'event ScopeFunction(bytes32 roleKey, address targetAddress, bytes4 selector, ConditionFlat[] conditions, uint8 options)',
  'event SetUnwrapAdapter(address to, bytes4 selector, address adapter)',
])

/** A Safe, 1.3.0 and later. */
export const safeAbi = parseAbi([
  'function VERSION() view returns (string)',
  'function nonce() view returns (uint256)',
  'function getOwners() view returns (address[])',
  'function getThreshold() view returns (uint256)',
  'function getModulesPaginated(address start, uint256 pageSize) view returns (address[] array, address next)',
  'function enableModule(address module)',
  'function execTransaction(address to, uint256 value, bytes data, uint8 operation, uint256 safeTxGas, uint256 baseGas, uint256 gasPrice, address gasToken, address refundReceiver, bytes signatures) payable returns (bool success)',
])
