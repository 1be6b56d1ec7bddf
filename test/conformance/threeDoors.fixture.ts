import { type Hex, keccak256, parseEther, parseGwei } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeEach, expect } from 'vitest'
import {
  type CreateQuorumChainParameters,
  createQuorumChain,
} from '../../infra/chain/quorum/createQuorumChain.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { RialtoError } from '../../runtime/core/errors.ts'
import { type RpcProxy, startRpcProxy } from '../proxy/rpcProxy.ts'

/** One chain behind three doors, each of which can be made to lie, lag, refuse or keep silent; all are honest at the start of a test. */
export async function threeDoors() {
  const world = await testWorld({ automine: false })
  const { client } = world
  const doors = await Promise.all([0, 1, 2].map(() => startRpcProxy(world.url)))
  const [a, b, c] = doors as [RpcProxy, RpcProxy, RpcProxy]
  afterAll(() => Promise.all(doors.map((door) => door.close())))
  beforeEach(() => {
    for (const door of doors) door.reset()
  })
  const hostOf = ({ url }: RpcProxy) => new URL(url).host

  /** Lines of the log that are worth reading. */
  function listen() {
    const lines: string[] = []
    const line = (fields: object, message: string) =>
      void lines.push(`${'host' in fields ? fields.host : ''} ${message}`)
    return { lines, logger: { debug() {}, info: line, warn: line, error: line } }
  }

  const open = (changes: Partial<CreateQuorumChainParameters> = {}) =>
    createQuorumChain({
      nodes: doors.map(({ url }) => ({ url })),
      chainId: world.chainId,
      multicall3: world.addressBook.multicall3,
      logger: listen().logger,
      timeout: 20_000,
      ...changes,
    })

  async function failureOf(promise: Promise<unknown>): Promise<RialtoError> {
    const outcome = await promise.catch((error: unknown) => error)
    expect(outcome).toBeInstanceOf(RialtoError)
    return outcome as RialtoError
  }

  async function signed(changes: object = {}): Promise<{ raw: Hex; hash: Hex }> {
    const account = privateKeyToAccount(generatePrivateKey())
    await client.setBalance({ address: account.address, value: parseEther('1') })
    const raw = await account.signTransaction({
      chainId: world.chainId,
      type: 'eip1559',
      to: account.address,
      nonce: 0,
      gas: 21_000n,
      maxFeePerGas: parseGwei('50'),
      maxPriorityFeePerGas: 0n,
      ...changes,
    } as never)
    return { raw, hash: keccak256(raw) }
  }
  const isKnown = async (hash: Hex) => (await world.rpc('eth_getTransactionByHash', hash)) !== null
  const asked = (door: RpcProxy, name: string) => door.requests.filter(({ method }) => method === name).length
  return { world, client, doors, a, b, c, hostOf, listen, open, failureOf, signed, isKnown, asked }
}
