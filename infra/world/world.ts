import { randomInt } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type Hex, numberToHex } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { startAnvil } from './anvil.ts'
import { BLOCK_SECONDS } from './block.ts'
import { AnvilStartError, WorldGoneError, WorldMismatchError } from './errors.ts'
import { createRpc, type Rpc } from './rpc.ts'
import { type WorldState, worldState } from './worldState.ts'

export { BLOCK_SECONDS } from './block.ts'

/** What has to be remembered to find a world again. */
export type WorldHandle = {
  readonly pid: number
  readonly url: string
  /** Hash of block 0: the identity of this world, other than that of every world before and after. */
  readonly genesisHash: Hex
}

/** A running local chain with the real protocols on it. */
export type World = WorldHandle & {
  readonly chainId: number
  readonly addressBook: AddressBook
  /** The last block of the world when it was fresh. */
  readonly start: { readonly blockNumber: bigint; readonly timestamp: bigint }
  /** Lets a detached world outlive this process from now on, now that it is remembered. */
  release(): void
  /** Ends the chain and returns when it is gone. Harmless when it is gone already. */
  stop(): Promise<void>
}

export type WorldOptions = {
  /** The port on loopback; a free one when absent. */
  readonly port?: number
  /** The world outlives this process once it is released; {@link attachWorld} finds it again. */
  readonly detached?: boolean
  /** Mine a block for every transaction. Otherwise blocks are mined only when told to. */
  readonly automine?: boolean
  /** Where the world's state is cached; see {@link worldState}. */
  readonly cacheFolder?: string
}

/**
 * Starts a fresh world.
 *
 * *Time* is the world's own: it begins at `WORLD_START`, whenever that is by the clock on the wall, and a block
 * is {@link BLOCK_SECONDS} after the last unless whoever mines it says otherwise. So interest accrues alike on
 * every machine.
 *
 * *Identity.* All worlds begin with the same last block, so that the same seed gives the same blocks, addresses
 * and calldata. What tells them apart is block 0: the cached state does not hold it, anvil 1.7.1 makes one of its
 * own from `--timestamp`, and that gets a random past second. It stays the same as long as the process lives.
 * (So block *hashes* may repeat from one world to the next: name things by genesis and hash.)
 *
 * *Order* within a block is anvil's `--order fees`: by `maxFeePerGas` (not the tip), highest first, then by
 * arrival, and a sender's own by nonce. The oracle outbids the arbitrageur, who outbids everybody else: see
 * `WORLD_FEES` in actors.ts.
 *
 * @throws {WorldCacheError | AnvilMissingError | PortTakenError | AnvilStartError}
 * @example
 * const world = await startWorld()
 * await world.stop()
 */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const state = await worldState(options.cacheFolder)
  const genesisTime = randomInt(1, Number(state.timestamp))
  const anvil = await startAnvil({
    chainId: state.addressBook.chainId,
    noMining: options.automine !== true,
    timestamp: genesisTime,
    loadState: state.stateFile,
    args: ['--order', 'fees'],
    detached: options.detached ?? false,
    ...(options.port === undefined ? {} : { port: options.port }),
  })
  try {
    const rpc = createRpc(anvil.url)
    const genesis = await genesisOf(rpc)
    // Were another chain to answer on our port, this would show it.
    if (Number(genesis.timestamp) !== genesisTime)
      throw new AnvilStartError('another chain answers on its port', '')
    // The clock of a node that loads a state begins at its own genesis: set it to the state's.
    await rpc('anvil_setNextBlockTimestamp', Number(state.timestamp) + BLOCK_SECONDS)
    await rpc('anvil_setBlockTimestampInterval', BLOCK_SECONDS)
    return {
      pid: anvil.pid,
      url: anvil.url,
      genesisHash: genesis.hash,
      ...worldFacts(state),
      release: anvil.release,
      stop: anvil.stop,
    }
  } catch (error) {
    await anvil.stop()
    throw error
  }
}

/**
 * Finds a world that an earlier process left running.
 *
 * @throws {WorldGoneError} when the process does not live or nothing answers.
 * @throws {WorldMismatchError} when another chain answers at that address, or a world of another version.
 * @throws {WorldCacheError | AnvilMissingError} when the address book has to be made anew and cannot.
 * @example
 * const world = await attachWorld(JSON.parse(readFileSync('.rialto/world.json', 'utf8')))
 */
export async function attachWorld(handle: WorldHandle, cacheFolder?: string): Promise<World> {
  const { pid, url, genesisHash } = handle
  if (!isAlive(pid)) throw new WorldGoneError(pid, url)
  const rpc = createRpc(url, 5_000)
  let actual: Hex
  try {
    actual = (await genesisOf(rpc)).hash
  } catch (cause) {
    throw new WorldGoneError(pid, url, cause)
  }
  if (actual !== genesisHash) throw new WorldMismatchError(url, genesisHash, actual)
  // A newer version of Rialto may build another world, of which this one's addresses are not.
  const state = await worldState(cacheFolder)
  const start = await rpc<Block | null>('eth_getBlockByNumber', numberToHex(state.blockNumber), false)
  if (start?.hash !== state.blockHash)
    throw new WorldMismatchError(url, state.blockHash, start?.hash ?? 'no such block')
  return {
    pid,
    url,
    genesisHash,
    ...worldFacts(state),
    release: () => undefined,
    stop: () => stopWorld(handle),
  }
}

/**
 * Ends a world that this process did not start. Nothing happens when it is gone already, or when another chain
 * answers in its place: process ids are used again.
 */
export async function stopWorld(handle: WorldHandle): Promise<void> {
  const deadline = performance.now() + 2_000
  while (await answers(handle)) {
    signal(handle.pid, performance.now() > deadline ? 'SIGKILL' : 'SIGTERM')
    await delay(10)
  }
}

/** Not whether there is such a process: where nobody collects the dead, their ids stay. */
async function answers({ url, genesisHash }: WorldHandle): Promise<boolean> {
  const genesis = await genesisOf(createRpc(url, 5_000)).catch(() => undefined)
  return genesis?.hash === genesisHash
}

const worldFacts = ({ addressBook, blockNumber, timestamp }: WorldState) => ({
  chainId: addressBook.chainId,
  addressBook,
  start: { blockNumber, timestamp },
})

type Block = { readonly hash: Hex; readonly timestamp: Hex }

const genesisOf = (rpc: Rpc): Promise<Block> => rpc('eth_getBlockByNumber', '0x0', false)

const isAlive = (pid: number): boolean => signal(pid, 0)

/** Whether there was such a process to signal. */
function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name)
  } catch (error) {
    // EPERM: it lives, but is somebody else's.
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
