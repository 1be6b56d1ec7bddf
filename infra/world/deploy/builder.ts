import {
  type Abi,
  type Address,
  decodeFunctionResult,
  encodeDeployData,
  encodeFunctionData,
  getContractAddress,
  type Hex,
  numberToHex,
} from 'viem'
import { WorldTransactionError } from '../errors.ts'
import type { Rpc } from '../rpc.ts'
import { type Artifact, linkArtifact } from './artifact.ts'

type Outgoing = { label: string; from: Address; to?: Address; data: Hex; value: bigint; nonce: number }

/** Enough for the largest of them (Aave's Pool, 5 million), so that nothing has to be estimated. */
const GAS_LIMIT = 16_000_000n
const GAS_PRICE = 2_000_000_000n

/**
 * Collects transactions and sends them many at a time.
 *
 * Addresses of contracts are known before they exist (they follow from deployer and nonce), so a later
 * constructor can name an earlier contract without waiting for it. Nothing is estimated, and receipts are checked
 * once per block: this is what makes a cold build take seconds.
 */
export type WorldBuilder = {
  /** Queues the creation of a contract and returns its address to be. */
  deploy(
    from: Address,
    artifact: Artifact,
    parameters?: readonly unknown[],
    libraries?: Readonly<Record<string, Address>>,
  ): Address
  /** Queues a call. */
  call(
    from: Address,
    target: { address: Address; abi: Abi },
    functionName: string,
    parameters?: readonly unknown[],
    value?: bigint,
  ): void
  /**
   * Mines what is queued into one block.
   *
   * @throws {WorldTransactionError} when any of it reverted or was left out.
   */
  mine(): Promise<void>
  /** Reads from a contract as of the last mined block. */
  read<Result>(
    target: { address: Address; abi: Abi },
    functionName: string,
    parameters?: readonly unknown[],
  ): Promise<Result>
  readonly rpc: Rpc
}

/**
 * @param rpc a fresh anvil with `--no-mining`, a block gas limit above everything that is mined at once
 * @param clock gives the timestamp of each block, in seconds
 */
export function createWorldBuilder(rpc: Rpc, clock: () => bigint): WorldBuilder {
  const nonces = new Map<Address, number>()
  let queue: Outgoing[] = []

  const push = (from: Address, rest: Omit<Outgoing, 'from' | 'nonce'>): number => {
    const nonce = nonces.get(from) ?? 0
    nonces.set(from, nonce + 1)
    queue.push({ from, nonce, ...rest })
    return nonce
  }

  return {
    rpc,
    deploy(from, artifact, parameters = [], libraries = {}) {
      const bytecode = linkArtifact(artifact, libraries)
      const data = encodeDeployData({ abi: artifact.abi, bytecode, args: parameters })
      const nonce = push(from, { label: `deploy ${artifact.name}`, data, value: 0n })
      return getContractAddress({ from, nonce: BigInt(nonce) })
    },
    call(from, { address, abi }, functionName, parameters = [], value = 0n) {
      const data = encodeFunctionData({ abi, functionName, args: parameters })
      push(from, { label: functionName, to: address, data, value })
    },
    async mine() {
      const batch = queue
      queue = []
      const hashes = await Promise.all(
        batch.map(({ label: _, ...transaction }, index) =>
          rpc<Hex>('eth_sendTransaction', {
            ...transaction,
            value: numberToHex(transaction.value),
            nonce: numberToHex(transaction.nonce),
            gas: numberToHex(GAS_LIMIT),
            // Falling bids keep the order of the queue in the block, whatever order they arrive in.
            gasPrice: numberToHex(GAS_PRICE + BigInt(batch.length - index)),
          }),
        ),
      )
      await rpc('anvil_setNextBlockBaseFeePerGas', numberToHex(GAS_PRICE / 2n))
      await rpc('evm_mine', { timestamp: numberToHex(clock()) })
      const receipts = await Promise.all(
        hashes.map((hash) => rpc<{ status: Hex } | null>('eth_getTransactionReceipt', hash)),
      )
      receipts.forEach((receipt, index) => {
        const { label, from, nonce, to } = batch[index] ?? { label: '?' }
        if (receipt?.status !== '0x1')
          throw new WorldTransactionError(label, { from, nonce, to, status: receipt?.status ?? 'not mined' })
      })
    },
    async read<Result>(
      { address, abi }: { address: Address; abi: Abi },
      functionName: string,
      args: readonly unknown[] = [],
    ) {
      const data = await rpc<Hex>(
        'eth_call',
        { to: address, data: encodeFunctionData({ abi, functionName, args }) },
        'latest',
      )
      return decodeFunctionResult({ abi, functionName, data }) as Result
    },
  }
}
