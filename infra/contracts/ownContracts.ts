import {
  type Address,
  concatHex,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  multicall3Abi,
} from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { assertArtifact } from './artifacts/Assert.ts'
import { batchAccountArtifact } from './artifacts/BatchAccount.ts'
import { flashRepayArtifact } from './artifacts/FlashRepay.ts'

/** A contract of ours, by its name in an address book. */
export type OwnContractName = keyof NonNullable<AddressBook['rialto']>

/** A contract of ours, as this version has it. */
export type OwnContract = {
  readonly name: OwnContractName
  /** keccak256 of the code that has to be at its address. */
  readonly runtimeHash: Hex
  readonly creationCode: Hex
}

const own = (
  name: OwnContractName,
  { runtimeHash, bytecode }: { readonly runtimeHash: Hex; readonly bytecode: Hex },
): OwnContract => ({ name, runtimeHash, creationCode: bytecode })

/** Every contract of ours that a plan needs. */
export const ownContracts: readonly OwnContract[] = [
  own('batchAccount', batchAccountArtifact),
  own('flashRepay', flashRepayArtifact),
  own('assert', assertArtifact),
]

/**
 * [A proxy](https://github.com/Arachnid/deterministic-deployment-proxy) that deploys whatever it is sent by CREATE2. It is
 * at this address on nearly every chain: it was deployed by a transaction without an owner.
 */
export const CREATE2_DEPLOYER: Address = '0x4e59b44847b379578588920cA78FbF26c0B4956C'

const SALT: Hex = `0x${'00'.repeat(32)}`

/**
 * Where a contract of ours is on every chain, whoever deploys it: the address follows from its code alone, so that nobody
 * can put other code there.
 */
export const ownAddress = ({ creationCode }: OwnContract): Address =>
  getContractAddress({ opcode: 'CREATE2', from: CREATE2_DEPLOYER, salt: SALT, bytecode: creationCode })

/** One transaction that deploys contracts of ours, all or none. Anybody may send it. */
export const encodeDeployment = (
  contracts: readonly OwnContract[],
  multicall3: Address,
): { readonly to: Address; readonly data: Hex } => ({
  to: multicall3,
  data: encodeFunctionData({
    abi: multicall3Abi,
    functionName: 'aggregate3',
    args: [
      contracts.map(({ creationCode }) => ({
        target: CREATE2_DEPLOYER,
        allowFailure: false,
        callData: concatHex([SALT, creationCode]),
      })),
    ],
  }),
})
