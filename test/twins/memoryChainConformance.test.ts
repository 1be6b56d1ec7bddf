import type { Account, Address } from 'viem'
import { describe } from 'vitest'
import type { TestWorld } from '../../infra/world/testWorld.ts'
import { sampleBook } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import { chainConformance } from '../conformance/chain.ts'
import { memoryChain } from './memoryChain.ts'

const chain = memoryChain({
  chainId: sampleBook.chainId,
  book: sampleBook,
  seed: 'conformance',
  begin: () => undefined,
  finality: 64,
  baseFeePerGas: 1_000n,
})
const [node] = chain.nodes
if (node === undefined) throw new TypeError('a network has a node')
const { port } = node

/** Balances that a test has set, which the next block has. */
let gifts: { readonly address: Address; readonly value: bigint }[] = []

function mine(blocks: number): void {
  for (let n = 0; n < blocks; n++)
    chain.mine({
      change(state) {
        for (const { address, value } of gifts) state.native.set(address.toLowerCase(), value)
        gifts = []
      },
    })
}

/** As much of a test world as the suite asks of one that has no EVM. */
const world = {
  chainId: chain.chainId,
  genesisHash: chain.genesis().hash,
  addressBook: sampleBook,
  client: {
    setBalance: async (gift: { address: Address; value: bigint }) => void gifts.push(gift),
    setCoinbase: async () => undefined,
    mine: async ({ blocks }: { blocks: number }) => mine(blocks),
  },
  wallet: (account: Account) => ({
    async sendTransaction(transaction: object) {
      const raw = await account.signTransaction?.({
        chainId: chain.chainId,
        type: 'eip1559',
        nonce: Number(await port.nonce(account.address, chain.head().hash)),
        ...transaction,
      } as never)
      return port.sendRaw(raw ?? '0x')
    },
  }),
  async rpc() {
    chain.reorg({ depth: 1, length: 1 })
  },
}

const NO_EVM = 'the twin runs a model of the contracts, and no bytecode'

describe('Chain in memory', () => {
  chainConformance(world as unknown as TestWorld, async () => port, {
    'simulate runs the calls in turn in the imagined block, with code that is not there': NO_EVM,
    'a simulated revert carries its data': NO_EVM,
    'a mined revert is explained':
      'the twin hands out the revert data as it is: decoding it is the adapter’s',
  })
})
