import { createHash, randomUUID } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import type { Hex } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { assertArtifact } from '../contracts/artifacts/Assert.ts'
import { batchAccountArtifact } from '../contracts/artifacts/BatchAccount.ts'
import { flashRepayArtifact } from '../contracts/artifacts/FlashRepay.ts'
import { testTokenArtifact } from '../contracts/artifacts/TestToken.ts'
import { packageRoot } from '../process/packageRoot.ts'
import { startAnvil } from './anvil.ts'
import { latestBlock } from './block.ts'
import { packageFolder } from './deploy/artifact.ts'
import { deployWorld, WORLD_START } from './deploy/deployWorld.ts'
import { WorldCacheError } from './errors.ts'
import { createRpc } from './rpc.ts'

/** A world that is built and lies on the disk, ready to be loaded. */
export type WorldState = {
  /** For anvil's `--load-state`. */
  readonly stateFile: string
  readonly addressBook: AddressBook
  /** The number of the last block that building it took; a started world begins there. */
  readonly blockNumber: bigint
  readonly blockHash: Hex
  /** That block's timestamp, in seconds since 1970. */
  readonly timestamp: bigint
  /** Whether it was there already. */
  readonly cached: boolean
}

/** The packages whose bytes the state is made of, the chain that made it included. */
const SOURCE_PACKAGES = [
  '@aave/core-v3',
  '@foundry-rs/anvil',
  '@uniswap/v3-core',
  '@uniswap/v3-periphery',
  'canonical-weth',
  'chainlink-contracts-v0.1',
  'viem',
]
const CHAIN_ID = 31337
const BLOCK_GAS_LIMIT = 36_000_000
const BASE_FEE = 1_000_000_000
const STATE_FILE = 'state.json'
const MANIFEST_FILE = 'world.json'

type Manifest = {
  stateHash: string
  addressBook: AddressBook
  blockNumber: number
  blockHash: Hex
  timestamp: number
}

/**
 * The state of a fresh world: from the cache, or else built (two or three seconds) and cached.
 *
 * The cache is a folder named after what went into the state: the versions of the protocols' packages, our
 * artifacts, and the text of the deploying code. A build is written aside and renamed into place, so that readers
 * never see half of one and simultaneous builders do not disturb each other; a damaged one is built again.
 *
 * @param cacheFolder `RIALTO_CACHE_DIR`, or `.cache` in the package's root, when absent
 * @throws {WorldCacheError} when the folder cannot be written.
 * @throws {AnvilMissingError | AnvilStartError | WorldTransactionError} when building fails.
 * @example
 * const { stateFile, addressBook } = await worldState()
 */
export async function worldState(cacheFolder?: string): Promise<WorldState> {
  const root = cacheFolder ?? process.env.RIALTO_CACHE_DIR ?? join(packageRoot(import.meta.url), '.cache')
  const folder = join(root, 'world', fingerprint())
  const cached = readCached(folder)
  if (cached !== undefined) return { ...cached, cached: true }

  const building = `${folder}.${randomUUID()}`
  try {
    mkdirSync(building, { recursive: true })
  } catch (cause) {
    throw new WorldCacheError(root, cause)
  }
  try {
    const { dump, addressBook, blockHash } = await build()
    const manifest: Manifest = {
      stateHash: sha256(dump.json),
      addressBook,
      blockNumber: dump.blockNumber,
      blockHash,
      timestamp: Number(WORLD_START),
    }
    install(building, folder, dump.json, manifest, root)
  } finally {
    rmSync(building, { recursive: true, force: true })
  }
  const built = readCached(folder)
  if (built === undefined)
    throw new InvariantError('The world that was just built cannot be read.', { folder })
  return { ...built, cached: false }
}

function install(building: string, folder: string, state: string, manifest: Manifest, root: string): void {
  try {
    writeFileSync(join(building, STATE_FILE), state)
    writeFileSync(join(building, MANIFEST_FILE), JSON.stringify(manifest))
    // Another builder may have been faster. If what lies there is whole, it is as good as ours.
    if (readCached(folder) !== undefined) return
    rmSync(folder, { recursive: true, force: true })
    renameSync(building, folder)
  } catch (cause) {
    if (readCached(folder) === undefined) throw new WorldCacheError(root, cause)
  }
}

/** What lies in the folder, or `undefined` when nothing whole does. */
function readCached(folder: string): Omit<WorldState, 'cached'> | undefined {
  const stateFile = join(folder, STATE_FILE)
  let manifest: Manifest
  let state: string
  try {
    manifest = JSON.parse(readFileSync(join(folder, MANIFEST_FILE), 'utf8')) as Manifest
    state = readFileSync(stateFile, 'utf8')
  } catch {
    return undefined
  }
  if (sha256(state) !== manifest.stateHash) return undefined
  const { addressBook, blockNumber, blockHash, timestamp } = manifest
  return { stateFile, addressBook, blockNumber: BigInt(blockNumber), blockHash, timestamp: BigInt(timestamp) }
}

async function build() {
  // No --gas-limit per block to speak of while building, so that whole stages fit into one block.
  const anvil = await startAnvil({
    chainId: CHAIN_ID,
    noMining: true,
    timestamp: Number(WORLD_START) - 3_600,
    args: ['--gas-limit', '10000000000'],
  })
  try {
    const rpc = createRpc(anvil.url)
    const addressBook = await deployWorld(rpc, CHAIN_ID)
    const { hash } = await latestBlock(rpc)
    return { dump: slim(await rpc<Hex>('anvil_dumpState')), addressBook, blockHash: hash }
  } finally {
    await anvil.stop()
  }
}

type Dump = {
  block: { number: Hex; gas_limit: number; basefee: number }
  blocks: { header: { number: Hex } }[]
  transactions: unknown[]
}

/**
 * A dump without its history: state and the last block only. It loads in a tenth of a second, and leaves block 0
 * to the node that loads it (see `startWorld`).
 */
function slim(dump: Hex): { json: string; blockNumber: number } {
  const state = JSON.parse(gunzipSync(Buffer.from(dump.slice(2), 'hex')).toString('utf8')) as Dump
  const last = state.blocks.filter(({ header }) => Number(header.number) === Number(state.block.number))
  if (last.length !== 1)
    throw new InvariantError('The dump does not hold its last block.', { found: last.length })
  const json = JSON.stringify({
    ...state,
    block: { ...state.block, gas_limit: BLOCK_GAS_LIMIT, basefee: BASE_FEE },
    blocks: last,
    transactions: [],
  })
  return { json, blockNumber: Number(state.block.number) }
}

/** A name for everything that the state follows from. */
function fingerprint(): string {
  const hash = createHash('sha256')
  for (const name of SOURCE_PACKAGES) {
    const { version } = JSON.parse(readFileSync(join(packageFolder(name), 'package.json'), 'utf8')) as {
      version: string
    }
    hash.update(`${name}@${version}\n`)
  }
  for (const { sourceHash } of [assertArtifact, batchAccountArtifact, flashRepayArtifact, testTokenArtifact])
    hash.update(`${sourceHash}\n`)
  const here = dirname(fileURLToPath(import.meta.url))
  const own = readdirSync(join(here, 'deploy')).filter((file) => /(?<!\.test|\.d)\.[jt]s$/.test(file))
  for (const file of ['accounts', 'price', 'worldState'].map((name) => ownFile(here, name)))
    hash.update(readFileSync(file))
  for (const file of own.sort()) hash.update(readFileSync(join(here, 'deploy', file)))
  return hash.digest('hex').slice(0, 32)
}

/** A module beside this one, as source or as built. */
const ownFile = (folder: string, name: string): string =>
  join(folder, `${name}${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`)

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
