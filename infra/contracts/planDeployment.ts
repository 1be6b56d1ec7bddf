import { type Address, isAddressEqual, keccak256 } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { InvalidInputError } from '../../runtime/core/errors.ts'
import { WrongChainError } from '../chain/errors.ts'
import type { Rpc } from '../chain/rpc.ts'
import { askQuantity } from '../chain/sendFromOwner.ts'
import { openStateReader } from '../chain/stateReader.ts'
import {
  CREATE2_DEPLOYER,
  encodeDeployment,
  type OwnContractName,
  ownAddress,
  ownContracts,
} from './ownContracts.ts'

/** The contracts of ours on one chain. */
export type Deployment = {
  readonly contracts: readonly {
    readonly name: OwnContractName
    readonly address: Address
    readonly isThere: boolean
    /** Whether the address book names it. */
    readonly isInBook: boolean
  }[]
  /** Deploys what is missing, all or nothing; null when nothing is. Anybody may send it. */
  readonly transaction: { readonly to: Address; readonly data: `0x${string}` } | null
}

/**
 * Finds out which contracts of ours are on a chain, at the addresses that follow from their code, and what deploys the
 * rest.
 *
 * @throws {WrongChainError} when the RPC serves another chain.
 * @throws {InvalidInputError} `NO_DEPLOYER` where the chain lacks what deploys by CREATE2.
 * @example (await planDeployment(rpc, book)).contracts[0] // { name: 'batchAccount', address: '0x…', isThere: false, … }
 */
export async function planDeployment(rpc: Rpc, book: AddressBook): Promise<Deployment> {
  const actual = await askQuantity(rpc, 'eth_chainId', [])
  if (actual !== BigInt(book.chainId)) throw new WrongChainError(rpc.host, book.chainId, Number(actual))
  const reader = await openStateReader(rpc)
  const looked = await Promise.all(
    ownContracts.map(async (contract) => {
      const address = ownAddress(contract)
      const isThere = keccak256(await reader.code(address)) === contract.runtimeHash
      const named = book.rialto?.[contract.name]
      return { contract, address, isThere, isInBook: named !== undefined && isAddressEqual(named, address) }
    }),
  )
  const missing = looked.filter(({ isThere }) => !isThere).map(({ contract }) => contract)
  if (missing.length > 0 && (await reader.code(CREATE2_DEPLOYER)) === '0x')
    throw new InvalidInputError(`Chain ${book.chainId} has no code at ${CREATE2_DEPLOYER}.`, {
      code: 'NO_DEPLOYER',
      fix: 'Have the deterministic deployment proxy deployed there first: github.com/Arachnid/deterministic-deployment-proxy.',
    })
  return {
    contracts: looked.map(({ contract: { name }, address, isThere, isInBook }) => ({
      ...{ name, address, isThere, isInBook },
    })),
    transaction: missing.length === 0 ? null : encodeDeployment(missing, book.multicall3),
  }
}
