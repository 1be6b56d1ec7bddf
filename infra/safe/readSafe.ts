import { type Address, getAddress, type Hex, keccak256, toHex } from 'viem'
import { addressIn, type StateReader } from '../chain/stateReader.ts'
import { safeAbi } from './abi.ts'

/** Who and what can act for a Safe, as of one block. */
export type SafeState = {
  readonly version: string
  readonly nonce: bigint
  readonly owners: readonly Address[]
  readonly threshold: number
  readonly modules: readonly Address[]
  /** Null where there is none; likewise below. */
  readonly fallbackHandler: Address | null
  readonly guard: Address | null
  readonly moduleGuard: Address | null
}

const slotOf = (name: string): Hex => keccak256(toHex(name))
const FALLBACK_HANDLER = slotOf('fallback_manager.handler.address')
const GUARD = slotOf('guard_manager.guard.address')
const MODULE_GUARD = slotOf('module_manager.module_guard.address')

/** The head of the list of modules, which every Safe has. */
const SENTINEL: Address = '0x0000000000000000000000000000000000000001'
const PAGE = 50n

/**
 * Reads who can act for a Safe.
 *
 * @throws {ReadFailedError} when there is no Safe at the address.
 */
export async function readSafe(reader: StateReader, safe: Address): Promise<SafeState> {
  const stored = async (slot: Hex): Promise<Address | null> => {
    const word = await reader.storage(safe, slot)
    return BigInt(word) === 0n ? null : getAddress(addressIn(word))
  }
  const [version, nonce, owners, threshold, modules, fallbackHandler, guard, moduleGuard] = await Promise.all(
    [
      reader.read(safe, safeAbi, 'VERSION', []),
      reader.read(safe, safeAbi, 'nonce', []),
      reader.read(safe, safeAbi, 'getOwners', []),
      reader.read(safe, safeAbi, 'getThreshold', []),
      modulesOf(reader, safe),
      stored(FALLBACK_HANDLER),
      stored(GUARD),
      stored(MODULE_GUARD),
    ],
  )
  return {
    version,
    nonce,
    owners,
    threshold: Number(threshold),
    modules,
    fallbackHandler,
    guard,
    moduleGuard,
  }
}

async function modulesOf(reader: StateReader, safe: Address): Promise<readonly Address[]> {
  const modules: Address[] = []
  for (let start: Address = SENTINEL; ; ) {
    const [page, next] = await reader.read(safe, safeAbi, 'getModulesPaginated', [start, PAGE])
    modules.push(...page)
    // The list ends where it began; before Safe 1.4 `next` is the first of the next page, from then on the last of this.
    if (BigInt(next) <= 1n || page.length === 0) return modules
    start = next
  }
}
