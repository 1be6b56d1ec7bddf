import {
  type Address,
  concatHex,
  encodeAbiParameters,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  isAddressEqual,
  keccak256,
  multicall3Abi,
  pad,
  parseAbi,
  zeroAddress,
} from 'viem'
import { encodePacked } from 'viem/utils'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import { WrongChainError } from '../chain/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import { askQuantity } from '../chain/sendFromOwner.ts'
import { openStateReader, type StateReader } from '../chain/stateReader.ts'
import { rolesReadsAbi } from './abi.ts'
import { minimalProxyCode, ZODIAC } from './addresses.ts'
import { NotPublishedError, SafeNotCreatedError } from './errors.ts'
import { readSafe } from './readSafe.ts'
import { SAFE_RELEASES, type SafeRelease } from './releases.ts'

const safeFactoryAbi = parseAbi([
  'function proxyCreationCode() view returns (bytes)',
  'function createProxyWithNonce(address singleton, bytes initializer, uint256 saltNonce) returns (address proxy)',
])
const safeSetupAbi = parseAbi([
  'function setup(address[] owners, uint256 threshold, address to, bytes data, address fallbackHandler, address paymentToken, uint256 payment, address paymentReceiver)',
])
const moduleFactoryAbi = parseAbi([
  'function deployModule(address masterCopy, bytes initializer, uint256 saltNonce) returns (address proxy)',
])
const rolesSetupAbi = parseAbi(['function setUp(bytes initParams)'])

/** Ethereum's own, where a Safe is a proxy of another singleton than elsewhere. */
const ETHEREUM = 1
/** The head of a Safe's list of owners, which is no owner. */
const SENTINEL = 1n
/** What creates a minimal proxy of 45 bytes (EIP-1167), before its code. */
const CREATES_MINIMAL = '0x602d8060093d393df3'

export type NewSafeParameters = {
  readonly rpc: Rpc
  readonly chainId: number
  readonly multicall3: Address
  /** In the order in which the Safe will have them: another order is another Safe. */
  readonly owners: readonly Address[]
  /** How many of them have to sign. */
  readonly threshold: number
  /** Tells Safes of the same owners from each other. */
  readonly saltNonce: bigint
}

/** A part of what is made, and whether it is there. */
export type NewContract = { readonly address: Address; readonly isThere: boolean; readonly words: string }

/** A Safe and its Roles modifier: where they are, or will be. */
export type NewSafe = {
  readonly release: SafeRelease
  readonly safe: NewContract
  readonly modifier: NewContract
  /** Makes what is missing, all or nothing; null when nothing is. Anybody may send it. */
  readonly transaction: { readonly to: Address; readonly data: Hex } | null
}

/**
 * Finds out where a Safe with a Zodiac Roles modifier that belongs to it will be, and what makes it. Both addresses follow
 * from the owners, the threshold and the salt nonce alone (CREATE2), whoever sends it and however often: nobody else can
 * put anything there. They are computed from code that is checked against what Safe publishes, so no node can name others.
 *
 * @throws {InvalidInputError} for owners or a threshold that no Safe takes.
 * @throws {NotPublishedError} naming what is not on this chain.
 * @throws {WrongChainError} when the RPC serves another chain.
 */
export async function planSafe(parameters: NewSafeParameters): Promise<NewSafe> {
  requireOwners(parameters)
  const { rpc, chainId, owners, threshold, saltNonce, multicall3 } = parameters
  const actual = await askQuantity(rpc, 'eth_chainId', [])
  if (actual !== BigInt(chainId)) throw new WrongChainError(rpc.host, chainId, Number(actual))

  const reader = await openStateReader(rpc)
  const release = await findRelease(reader, chainId, multicall3)
  const singleton = singletonOf(release, chainId)
  const initializer = encodeFunctionData({
    abi: safeSetupAbi,
    functionName: 'setup',
    args: [
      owners,
      BigInt(threshold),
      zeroAddress,
      '0x',
      release.fallbackHandler,
      zeroAddress,
      0n,
      zeroAddress,
    ],
  })
  const safe = getContractAddress({
    opcode: 'CREATE2',
    from: release.proxyFactory,
    salt: saltOf(initializer, saltNonce),
    bytecode: concatHex([await proxyCode(reader, release), pad(singleton)]),
  })
  const parties = [{ type: 'address' }, { type: 'address' }, { type: 'address' }] as const
  const setUp = encodeFunctionData({
    abi: rolesSetupAbi,
    functionName: 'setUp',
    // Owner, avatar and target: who may change it, for whom it acts, and through whom.
    args: [encodeAbiParameters(parties, [safe, safe, safe])],
  })
  const modifier = getContractAddress({
    opcode: 'CREATE2',
    from: ZODIAC.moduleFactory,
    salt: saltOf(setUp, saltNonce),
    bytecode: concatHex([CREATES_MINIMAL, minimalProxyCode(ZODIAC.rolesMastercopy)]),
  })
  const isThere = async (address: Address) => (await reader.code(address)) !== '0x'
  const [safeIsThere, modifierIsThere] = await Promise.all([isThere(safe), isThere(modifier)])
  const calls = [
    ...(safeIsThere
      ? []
      : [
          {
            target: release.proxyFactory,
            callData: encodeFunctionData({
              abi: safeFactoryAbi,
              functionName: 'createProxyWithNonce',
              args: [singleton, initializer, saltNonce],
            }),
          },
        ]),
    ...(modifierIsThere
      ? []
      : [
          {
            target: ZODIAC.moduleFactory,
            callData: encodeFunctionData({
              abi: moduleFactoryAbi,
              functionName: 'deployModule',
              args: [ZODIAC.rolesMastercopy, setUp, saltNonce],
            }),
          },
        ]),
  ]
  return {
    release,
    safe: {
      address: safe,
      isThere: safeIsThere,
      words: await describeSafe(reader, release, safe, safeIsThere ? null : { owners, threshold }),
    },
    modifier: {
      address: modifier,
      isThere: modifierIsThere,
      words: modifierIsThere
        ? `a Roles modifier 2.1.0, whose owner is ${await reader.read(modifier, rolesReadsAbi, 'owner', [])}`
        : `a Roles modifier 2.1.0, whose owner is ${safe}, and which allows nothing yet`,
    },
    transaction: calls.length === 0 ? null : { to: multicall3, data: aggregate(calls) },
  }
}

/** @param planned null: as it is now, which its owners may have changed since it was made */
async function describeSafe(
  reader: StateReader,
  { version }: SafeRelease,
  safe: Address,
  planned: Pick<NewSafeParameters, 'owners' | 'threshold'> | null,
): Promise<string> {
  const { owners, threshold } = planned ?? (await readSafe(reader, safe))
  return `a Safe ${version}, for which ${threshold} of ${owners.length} owners sign: ${owners.join(', ')}`
}

const aggregate = (calls: readonly { readonly target: Address; readonly callData: Hex }[]): Hex =>
  encodeFunctionData({
    abi: multicall3Abi,
    functionName: 'aggregate3',
    args: [calls.map((call) => ({ ...call, allowFailure: false }))],
  })

/** As both factories make it. */
const saltOf = (initializer: Hex, saltNonce: bigint): Hex =>
  keccak256(encodePacked(['bytes32', 'uint256'], [keccak256(initializer), saltNonce]))

const singletonOf = (release: SafeRelease, chainId: number): Address =>
  chainId === ETHEREUM ? release.singleton : release.singletonL2

/** @throws {InvalidInputError} where `Safe.setup` would revert, and for what it should not take. */
function requireOwners({ owners, threshold }: NewSafeParameters): void {
  const wrong = (message: string, fix: string) => new InvalidInputError(message, { code: 'SAFE_OWNERS', fix })
  const several = owners.find(
    (owner, index) => owners.findIndex((each) => isAddressEqual(each, owner)) !== index,
  )
  if (several !== undefined) throw wrong(`${several} is named as an owner twice.`, 'Name it once.')
  const none = owners.find((owner) => BigInt(owner) <= SENTINEL)
  if (none !== undefined)
    throw wrong(`${none} is nobody's address.`, 'Name addresses whose keys the owners have.')
  if (owners.length === 0) throw wrong('A Safe has at least one owner.', 'Name the owners.')
  if (!Number.isSafeInteger(threshold) || threshold < 1 || threshold > owners.length)
    throw wrong(
      `${threshold} of ${owners.length} owners cannot sign.`,
      `Let it be from 1 to ${owners.length}, or name more owners.`,
    )
}

/** The first version of Safe that is on the chain, with all that it and the role need. */
async function findRelease(reader: StateReader, chainId: number, multicall3: Address): Promise<SafeRelease> {
  const missingOf = async (needed: Readonly<Record<string, Address>>) => {
    const found = await Promise.all(
      Object.entries(needed).map(async ([name, address]) =>
        (await reader.code(address)) === '0x' ? [`${address} (${name})`] : [],
      ),
    )
    return found.flat()
  }
  const missing = await missingOf({
    'ERC-2470 factory': ZODIAC.singletonFactory,
    ModuleProxyFactory: ZODIAC.moduleFactory,
    'Roles 2.1.0': ZODIAC.rolesMastercopy,
    MultiSendUnwrapper: ZODIAC.multiSendUnwrapper,
    'Multicall3 of the address book': multicall3,
  })
  let first: readonly string[] = []
  for (const release of SAFE_RELEASES) {
    const { version } = release
    const lacking = await missingOf({
      [`SafeProxyFactory ${version}`]: release.proxyFactory,
      [`Safe ${version}`]: singletonOf(release, chainId),
      [`CompatibilityFallbackHandler ${version}`]: release.fallbackHandler,
      [`MultiSendCallOnly ${version}`]: release.multiSendCallOnly,
    })
    if (lacking.length > 0) {
      if (first.length === 0) first = lacking
      continue
    }
    if (missing.length === 0) return release
    throw new NotPublishedError(chainId, missing)
  }
  throw new NotPublishedError(chainId, [...missing, ...first])
}

/** What a proxy is made by. The factory gives it, and it is not taken on trust: the address rests on it. */
async function proxyCode(
  reader: StateReader,
  { proxyFactory, proxyCodeHash, version }: SafeRelease,
): Promise<Hex> {
  const code = await reader.read(proxyFactory, safeFactoryAbi, 'proxyCreationCode', [])
  if (keccak256(code) === proxyCodeHash) return code
  throw new SafeNotCreatedError(
    `what the RPC at ${reader.host} gives for the code of SafeProxyFactory ${version} is not what Safe publishes`,
    'Ask another RPC.',
  )
}
