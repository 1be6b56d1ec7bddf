import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Abi,
  type Account,
  type Address,
  concatHex,
  encodeAbiParameters,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  pad,
  parseAbi,
  parseEventLogs,
  zeroAddress,
  zeroHash,
} from 'viem'
import { packageFolder, readArtifact } from '../../infra/world/deploy/artifact.ts'
import type { TestWorld } from '../../infra/world/testWorld.ts'
import { InvariantError } from '../../runtime/core/errors.ts'

/** ERC-2470, through which Zodiac's contracts are at the same address on every chain. */
const SINGLETON_FACTORY: Address = '0xce0042B868300000d44A59004Da54A005ffdcf9f'
const SINGLETON_FACTORY_CODE: Hex =
  '0x6080604052348015600f57600080fd5b506004361060285760003560e01c80634af63f0214602d575b600080fd5b60cf60048036036040811015604157600080fd5b810190602081018135640100000000811115605b57600080fd5b820183602082011115606c57600080fd5b80359060200191846001830284011164010000000083111715608d57600080fd5b91908080601f016020809104026020016040519081016040528093929190818152602001838380828437600092019190915250929550509135925060eb915050565b604080516001600160a01b039092168252519081900360200190f35b6000818351602085016000f5939250505056fea26469706673582212206b44f8a82cb6b156bfcc3dc6aadd6df4eefd204bc928a4397fd15dacf6d5320564736f6c63430006020033'
/** Safe's own, which takes a salt and then creation code. */
const SAFE_FACTORY: Address = '0x914d7Fec6aaC8cd542e72Bca78B30650d45643d7'
const SAFE_FACTORY_CODE: Hex =
  '0x7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe03601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3'
/**
 * What the published modifier is linked to. Their published creation code is in no package: the same libraries, built
 * by the SDK, are put in their places.
 */
const LINKED = {
  Integrity: '0x6a6Af4b16458Bc39817e4019fB02BD3b26d41049',
  Packer: '0x61C5B1bE435391fDd7BC6703F3740C0d11728a8C',
} as const satisfies Record<string, Address>

const safeSetup = parseAbi([
  'function setup(address[] owners, uint256 threshold, address to, bytes data, address fallbackHandler, address paymentToken, uint256 payment, address paymentReceiver)',
])
const safeFactory = parseAbi([
  'function createProxyWithNonce(address singleton, bytes initializer, uint256 saltNonce) returns (address proxy)',
  'event ProxyCreation(address indexed proxy, address singleton)',
])
const singletonFactory = parseAbi(['function deploy(bytes initCode, bytes32 salt) returns (address)'])
const moduleFactory = parseAbi([
  'function deployModule(address masterCopy, bytes initializer, uint256 saltNonce) returns (address proxy)',
  'event ModuleProxyCreation(address indexed proxy, address indexed masterCopy)',
])
const rolesSetup = parseAbi(['function setUp(bytes initParams)'])

/** The contracts that Safe and Zodiac publish, at the addresses that they have on public chains. */
export type SafeContracts = {
  readonly singleton: Address
  readonly singletonL2: Address
  readonly proxyFactory: Address
  readonly multiSend: Address
  readonly multiSendCallOnly: Address
  readonly fallbackHandler: Address
  readonly rolesMastercopy: Address
  readonly moduleFactory: Address
  readonly unwrapper: Address
}

const safeArtifact = (path: string): Hex => {
  const { bytecode } = readArtifact(
    '@safe-global/safe-smart-account',
    `build/artifacts/contracts/${path}.json`,
  )
  return `0x${bytecode}`
}

const firstHex = (text: string, from: number): Hex => {
  const found = /"(0x6[0-9a-fA-F]+)"/.exec(text.slice(from))?.[1]
  if (found === undefined) throw new InvariantError('The package holds no creation code there.')
  return found as Hex
}

/** Creation code in `@gnosis.pm/zodiac`. Read and not imported: its index wants ethers. */
const zodiacCode = (name: string): Hex =>
  firstHex(readFileSync(join(packageFolder('@gnosis.pm/zodiac'), `dist/cjs/initData/${name}.js`), 'utf8'), 0)

/** The salt with which Zodiac published its factory. */
const MODULE_FACTORY_SALT: Hex = '0xb8db55294bb8fea809aee38a26aad7ce1ab40d019486aa51af3a3de7e7434530'

/** Creation code in `zodiac-roles-sdk`, likewise. */
function rolesSdkCode(name: string): Hex {
  const folder = join(packageFolder('zodiac-roles-sdk'), 'build')
  const entry = readFileSync(join(folder, 'typechain.mjs'), 'utf8')
  const file = /"\.\/(typechain-[^"]+\.mjs)"/.exec(entry)?.[1] ?? 'typechain.mjs'
  const text = readFileSync(join(folder, file), 'utf8')
  const region = text.indexOf(`/${name}__factory.ts`)
  return firstHex(text, text.indexOf('_bytecode', region))
}

/** Puts the published contracts of Safe 1.5.0 and Zodiac Roles 2.1.0 onto a world. */
export async function deploySafeContracts(world: TestWorld, deployer: Account): Promise<SafeContracts> {
  const { client } = world
  const wallet = world.wallet(deployer)
  await client.setCode({ address: SINGLETON_FACTORY, bytecode: SINGLETON_FACTORY_CODE })
  await client.setCode({ address: SAFE_FACTORY, bytecode: SAFE_FACTORY_CODE })

  const create2 = async (from: Address, bytecode: Hex, salt: Hex = zeroHash): Promise<Address> => {
    const data =
      from === SAFE_FACTORY
        ? concatHex([salt, bytecode])
        : encodeFunctionData({ abi: singletonFactory, functionName: 'deploy', args: [bytecode, salt] })
    const hash = await wallet.sendTransaction({ to: from, data, gas: 12_000_000n })
    await client.waitForTransactionReceipt({ hash })
    const address = getContractAddress({ opcode: 'CREATE2', from, salt, bytecode })
    if ((await client.getCode({ address })) === undefined)
      throw new InvariantError(`No code came to be at ${address}.`)
    return address
  }
  const safe = (path: string) => create2(SAFE_FACTORY, safeArtifact(path))
  const zodiac = (code: Hex, salt?: Hex) => create2(SINGLETON_FACTORY, code, salt)

  for (const [name, address] of Object.entries(LINKED)) {
    const built = await zodiac(rolesSdkCode(name))
    await client.setCode({ address, bytecode: (await client.getCode({ address: built })) ?? '0x' })
  }
  return {
    singleton: await safe('Safe.sol/Safe'),
    singletonL2: await safe('SafeL2.sol/SafeL2'),
    proxyFactory: await safe('proxies/SafeProxyFactory.sol/SafeProxyFactory'),
    multiSend: await safe('libraries/MultiSend.sol/MultiSend'),
    multiSendCallOnly: await safe('libraries/MultiSendCallOnly.sol/MultiSendCallOnly'),
    fallbackHandler: await safe('handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler'),
    rolesMastercopy: await zodiac(zodiacCode('RolesV2')),
    moduleFactory: await zodiac(zodiacCode('ModuleProxyFactory'), MODULE_FACTORY_SALT),
    unwrapper: await zodiac(rolesSdkCode('MultiSendUnwrapper')),
  }
}

/** A Safe with a Roles modifier that belongs to it, which is not enabled yet and allows nothing. */
export async function deploySafe(
  world: TestWorld,
  contracts: SafeContracts,
  deployer: Account,
  options: { readonly owners: readonly Address[]; readonly threshold?: number; readonly salt?: bigint },
): Promise<{ readonly safe: Address; readonly modifier: Address }> {
  const { owners, threshold = 1, salt = 0n } = options
  const created = async (address: Address, abi: Abi, functionName: string, args: readonly unknown[]) => {
    const hash = await world
      .wallet(deployer)
      .sendTransaction({ to: address, data: encodeFunctionData({ abi, functionName, args }) })
    const { logs } = await world.client.waitForTransactionReceipt({ hash })
    const [log] = parseEventLogs({ abi: [...safeFactory, ...moduleFactory], logs })
    if (log === undefined) throw new InvariantError(`${functionName} made nothing.`)
    return log.args.proxy
  }
  const setup = encodeFunctionData({
    abi: safeSetup,
    functionName: 'setup',
    args: [
      owners,
      BigInt(threshold),
      zeroAddress,
      '0x',
      contracts.fallbackHandler,
      zeroAddress,
      0n,
      zeroAddress,
    ],
  })
  const safe = await created(contracts.proxyFactory, safeFactory, 'createProxyWithNonce', [
    contracts.singleton,
    setup,
    salt,
  ])
  const parties = [{ type: 'address' }, { type: 'address' }, { type: 'address' }] as const
  const initializer = encodeFunctionData({
    abi: rolesSetup,
    functionName: 'setUp',
    args: [encodeAbiParameters(parties, [safe, safe, safe])],
  })
  const modifier = await created(contracts.moduleFactory, moduleFactory, 'deployModule', [
    contracts.rolesMastercopy,
    initializer,
    salt,
  ])
  return { safe, modifier }
}

/** A short text as the key of a role. @example roleKeyOf('guardian') */
export const roleKeyOf = (text: string): Hex =>
  pad(`0x${Buffer.from(text).toString('hex')}`, { dir: 'right', size: 32 })
