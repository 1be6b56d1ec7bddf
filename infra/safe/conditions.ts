import {
  type Address,
  concatHex,
  encodePacked,
  getContractAddress,
  type Hex,
  keccak256,
  numberToHex,
  pad,
  size,
  zeroHash,
} from 'viem'
import { ZODIAC } from './addresses.ts'
import { ConditionTooLargeError } from './errors.ts'

/** What is asked of one parameter of a call, or of all of them. Parameters are of static types: words. */
export type Condition =
  | { readonly is: 'anything' }
  /** The Safe itself. */
  | { readonly is: 'account' }
  /** This very word. */
  | { readonly is: 'equal'; readonly word: Hex }
  /** Taken from an allowance of the modifier, which refuses what is not left. */
  | { readonly is: 'within'; readonly allowance: Hex }
  | { readonly is: 'oneOf'; readonly of: readonly Condition[] }
  | { readonly is: 'not'; readonly of: Condition }
  /** A struct of static fields. */
  | { readonly is: 'struct'; readonly fields: readonly Condition[] }
  /** The whole call, parameter by parameter. */
  | { readonly is: 'call'; readonly parameters: readonly Condition[] }

/** `ConditionFlat` of the modifier: a node of the tree, breadth first, that names its parent by index. */
export type ConditionFlat = {
  readonly parent: number
  readonly paramType: number
  readonly operator: number
  readonly compValue: Hex
}

const AbiType = { none: 0, static: 1, tuple: 3, calldata: 5 } as const
const Operator = {
  pass: 0,
  or: 2,
  nor: 3,
  matches: 5,
  equalToAvatar: 15,
  equalTo: 16,
  withinAllowance: 28,
} as const

/** A node names its parent in one byte. */
const MAX_NODES = 256

const childrenOf = (condition: Condition): readonly Condition[] => {
  switch (condition.is) {
    case 'oneOf':
      return condition.of
    case 'not':
      return [condition.of]
    case 'struct':
      return condition.fields
    case 'call':
      return condition.parameters
    default:
      return []
  }
}

function node(condition: Condition): Omit<ConditionFlat, 'parent'> {
  switch (condition.is) {
    case 'anything':
      return { paramType: AbiType.static, operator: Operator.pass, compValue: '0x' }
    case 'account':
      return { paramType: AbiType.static, operator: Operator.equalToAvatar, compValue: '0x' }
    case 'equal':
      return { paramType: AbiType.static, operator: Operator.equalTo, compValue: condition.word }
    case 'within':
      return { paramType: AbiType.static, operator: Operator.withinAllowance, compValue: condition.allowance }
    case 'oneOf':
      return { paramType: AbiType.none, operator: Operator.or, compValue: '0x' }
    case 'not':
      return { paramType: AbiType.none, operator: Operator.nor, compValue: '0x' }
    case 'struct':
      return { paramType: AbiType.tuple, operator: Operator.matches, compValue: '0x' }
    case 'call':
      return { paramType: AbiType.calldata, operator: Operator.matches, compValue: '0x' }
  }
}

/**
 * The tree as the modifier takes it: breadth first, the root its own parent.
 *
 * @throws {ConditionTooLargeError} for more nodes than the modifier can number.
 */
export function flatten(root: Condition): readonly ConditionFlat[] {
  const flat: ConditionFlat[] = []
  const queue: { readonly condition: Condition; readonly parent: number }[] = [{ condition: root, parent: 0 }]
  for (let at = 0; at < queue.length; at += 1) {
    const next = queue[at]
    if (next === undefined) break
    flat.push({ parent: next.parent, ...node(next.condition) })
    for (const child of childrenOf(next.condition)) queue.push({ condition: child, parent: at })
  }
  if (flat.length > MAX_NODES) throw new ConditionTooLargeError(flat.length, MAX_NODES)
  return flat
}

/**
 * What the modifier keeps of a condition (`Packer.sol`): two bytes a node (parent; type in 3 bits, operator in 5), then
 * a word for each that compares, which of `EqualTo` is the hash of its value.
 */
const pack = (flat: readonly ConditionFlat[]): Hex =>
  concatHex([
    ...flat.map(({ parent, paramType, operator }) =>
      encodePacked(['uint8', 'uint8'], [parent, (paramType << 5) | operator]),
    ),
    ...flat
      .filter(({ operator }) => operator >= Operator.equalTo)
      .map(({ operator, compValue }) => (operator === Operator.equalTo ? keccak256(compValue) : compValue)),
  ])

/** Where the modifier keeps a condition (`WriteOnce.sol`): the address of a contract whose code it is. */
function pointerTo(packed: Hex): Address {
  // PUSH4 size · DUP1 · PUSH1 14 · PUSH1 0 · CODECOPY · PUSH1 0 · RETURN · STOP and the data
  const bytecode = concatHex([
    '0x63',
    numberToHex(size(packed) + 1, { size: 4 }),
    '0x80600e6000396000f300',
    packed,
  ])
  return getContractAddress({ opcode: 'CREATE2', from: ZODIAC.singletonFactory, salt: zeroHash, bytecode })
}

/**
 * The word that the modifier's storage holds for a function with this condition, which may neither take native coins
 * nor be delegated to (`BufferPacker.sol`): number of nodes, options, and the address that follows from the nodes. So
 * whoever reads this word from storage has read the whole condition.
 */
export function conditionHeader(flat: readonly ConditionFlat[]): Hex {
  const count = numberToHex(flat.length, { size: 2 })
  return concatHex([count, pad('0x', { size: 10 }), pointerTo(pack(flat)).toLowerCase() as Hex])
}
