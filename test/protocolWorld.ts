import {
  type Abi,
  type Address,
  decodeFunctionResult,
  encodeFunctionData,
  getAddress,
  type Hex,
  numberToHex,
  parseEther,
  parseUnits,
} from 'viem'
import { createChain } from '../infra/chain/createChain.ts'
import { type Actors, createActors } from '../infra/world/actors.ts'
import { type FundingRequest, fundAccounts } from '../infra/world/fundAccounts.ts'
import { type TestWorld, testWorld } from '../infra/world/testWorld.ts'
import type { AddressBook } from '../runtime/core/addressBook.ts'
import { InvariantError } from '../runtime/core/errors.ts'
import type { Call } from '../runtime/core/lifecycle.ts'
import type { Chain } from '../runtime/core/ports.ts'
import type { BlockRef, ReserveState, Snapshot, WatchList } from '../runtime/core/snapshot.ts'
import { type TokenAmount, tokenAmount, type Usd, usd, type Wad, wad, wei } from '../runtime/core/units.ts'
import { readSnapshot } from '../runtime/protocols/readSnapshot.ts'

/** For tests only: a world with the real contracts, and hands to move it. */
export type ProtocolWorld = {
  readonly world: TestWorld
  readonly book: AddressBook
  readonly chain: Chain
  readonly actors: Actors
  readonly weth: Address
  readonly usdc: Address
  readonly pool: Address
  head(): Promise<BlockRef>
  /** Lets the pool, the feed of WETH, or both have a price, in a new block. */
  setPrice(prices: { readonly oracle?: Usd; readonly pool?: Usd }): Promise<void>
  snapshot(account: Address, watch?: Partial<WatchList>): Promise<Snapshot>
  fund(request: FundingRequest): Promise<void>
  /** Sends a call in somebody's name, in a block of its own; says whether it succeeded. */
  send(from: Address, call: Pick<Call, 'to' | 'data'>, timestamp?: bigint): Promise<boolean>
  /** Asks a function that need not be a view; null when it reverts. */
  ask(to: Address, abi: Abi, functionName: string, args: readonly unknown[]): Promise<unknown | null>
  /** Runs something and takes the chain back to where it was. */
  undone<T>(work: () => Promise<T>): Promise<T>
}

const GAS = numberToHex(6_000_000n)

export async function protocolWorld(): Promise<ProtocolWorld> {
  const world = await testWorld({ automine: false })
  const { addressBook: book, rpc } = world
  const chain = await createChain({ rpcUrl: world.url, chainId: world.chainId, multicall3: book.multicall3 })
  const usdc = book.tokens.find(({ symbol }) => symbol === 'USDC')?.address
  const pool = book.uniswapV3.pools[0]?.address
  if (usdc === undefined || pool === undefined) throw new InvariantError('The book is not that of a world.')
  const weth = book.wrappedNative
  const actors = createActors(world)
  return {
    world,
    book,
    chain,
    actors,
    weth,
    usdc,
    pool,
    head: () => chain.head(),
    async setPrice({ oracle, pool: market }) {
      if (oracle !== undefined) await actors.pushPrice(oracle)
      if (market !== undefined) await actors.arbitrageTo(market)
      await actors.mineBlock()
    },
    snapshot: async (account, watch = {}) =>
      await readSnapshot(chain, await chain.head(), book, account, {
        positions: watch.positions ?? [account],
        assets: watch.assets ?? [weth, usdc],
        pools: watch.pools ?? [pool],
      }),
    fund: async (request) => {
      await fundAccounts(world, [{ eth: wei(parseEther('1000')), ...request }])
    },
    async send(from, { to, data }, timestamp) {
      await rpc('anvil_impersonateAccount', from)
      const fees = { maxFeePerGas: numberToHex(100_000_000_000n), maxPriorityFeePerGas: '0x0' }
      const hash = await rpc<Hex>('eth_sendTransaction', { from, to, data, gas: GAS, ...fees })
      await actors.mineBlock(timestamp === undefined ? {} : { timestamp })
      const receipt = await rpc<{ status: Hex } | null>('eth_getTransactionReceipt', hash)
      if (receipt === null) throw new InvariantError('The transaction was not mined.')
      return receipt.status === '0x1'
    },
    async ask(to, abi, functionName, args) {
      const data = encodeFunctionData({ abi, functionName, args })
      const answer = await rpc<Hex>('eth_call', { to, data }, 'latest').catch(() => null)
      return answer === null ? null : decodeFunctionResult({ abi, functionName, data: answer })
    },
    async undone(work) {
      const id = await rpc<Hex>('evm_snapshot')
      try {
        return await work()
      } finally {
        await rpc('evm_revert', id)
      }
    },
  }
}

/** An address that nobody has a key for. @example someone(1) */
export const someone = (n: number): Address =>
  getAddress(`0x${(0xabcd0000 + n).toString(16).padStart(40, '0')}`)

export const ether = (text: string): TokenAmount => tokenAmount(parseEther(text))
export const dollars = (text: string): TokenAmount => tokenAmount(parseUnits(text, 6))
export const price = (text: string) => usd(parseUnits(text, 8))
export const fixed18 = (text: string): Wad => wad(parseUnits(text, 18))

/** The reserve of an asset in a snapshot, for tests that know it to be there. */
export function reserveIn(snapshot: Pick<Snapshot, 'reserves'>, asset: Address): ReserveState {
  const reserve = snapshot.reserves.find((candidate) => candidate.asset === asset)
  if (reserve === undefined) throw new InvariantError('The snapshot lacks a reserve.', { asset })
  return reserve
}
