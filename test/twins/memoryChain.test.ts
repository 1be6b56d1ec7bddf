import { parseGwei } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { describe, expect, it } from 'vitest'
import { sampleBook } from '../../runtime/protocols/sampleSnapshot.fixture.ts'
import { nonceIn } from './chain/marketState.ts'
import { cheapKeyHolder, cheapRecovery, readTransaction } from './chain/transactions.ts'
import { type MemoryChain, memoryChain } from './memoryChain.ts'

const FEES = { maxFeePerGas: parseGwei('100'), maxPriorityFeePerGas: parseGwei('1'), gas: 60_000n }

function scene(nodes = 1) {
  const account = privateKeyToAccount(generatePrivateKey())
  const chain = memoryChain({
    chainId: 31_337,
    book: sampleBook,
    seed: 'test',
    nodes,
    begin: (state) => void state.native.set(account.address.toLowerCase(), 10n ** 19n),
  })
  const sign = (nonce: number, fees: Partial<typeof FEES> = {}) =>
    account.signTransaction({
      chainId: 31_337,
      type: 'eip1559',
      to: account.address,
      nonce,
      ...FEES,
      ...fees,
    })
  return { chain, account, sign }
}

const send = (chain: MemoryChain, raw: `0x${string}`, node = 0) => chain.nodes[node]?.port.sendRaw(raw)

describe('memoryChain', () => {
  it('takes a replacement only when both fees are a tenth higher, and mines it instead', async () => {
    const { chain, sign } = scene()
    await send(chain, await sign(0))
    const cheap = await sign(0, { maxFeePerGas: parseGwei('110') })
    await expect(send(chain, cheap)).rejects.toMatchObject({ reason: 'REPLACEMENT_UNDERPRICED' })
    const bumped = await sign(0, {
      maxFeePerGas: parseGwei('110'),
      maxPriorityFeePerGas: parseGwei('1.1'),
    })
    const hash = await send(chain, bumped)
    chain.mine()
    expect(chain.minedOf((await chain.read(bumped)).from).map((one) => one.transaction.hash)).toEqual([hash])
  })

  it('does not mine behind a gap', async () => {
    const { chain, account, sign } = scene()
    await send(chain, await sign(1))
    chain.mine()
    expect(chain.minedOf(account.address)).toEqual([])
    await send(chain, await sign(0))
    chain.mine()
    expect(chain.minedOf(account.address)).toHaveLength(2)
  })

  it('a reorganisation takes transactions back and can put another on the nonce', async () => {
    const { chain, account, sign } = scene()
    const first = await sign(0)
    await send(chain, first)
    const old = chain.mine()
    chain.mine()
    const rival = await chain.read(await sign(0, { maxFeePerGas: parseGwei('200') }))
    const dropped = chain.reorg({ depth: 2, fill: (_, n) => (n === 1 ? [rival] : []) })
    expect(dropped[0]).toBe(old)
    expect(chain.find((await chain.read(first)).hash)).toBeNull()
    expect(chain.find(rival.hash)?.block.number).toBe(old.number + 1n)
    expect(nonceIn(chain.head().state, account.address)).toBe(1n)
    await expect(chain.nodes[0]?.port.nonce(account.address, old.hash)).rejects.toMatchObject({
      code: 'BLOCK_GONE',
    })
  })

  it('nodes lag on their own', async () => {
    const { chain, account, sign } = scene(2)
    const raw = await sign(0)
    await send(chain, raw)
    const block = chain.mine({ reaches: (node) => node.host.startsWith('node-0') })
    const { hash } = await chain.read(raw)
    expect((await chain.nodes[0]?.port.receipt(hash))?.block.hash).toBe(block.hash)
    expect(await chain.nodes[1]?.port.receipt(hash)).toBeNull()
    chain.nodes[1]?.follow(block)
    expect(await chain.nodes[1]?.port.nonce(account.address, block.hash)).toBe(1n)
  })

  it('an authorisation of the sender uses a second nonce, and one that is stale does nothing', async () => {
    const { chain, account } = scene()
    const delegate = sampleBook.rialto?.batchAccount ?? account.address
    const authorization = await account.signAuthorization({ address: delegate, chainId: 31_337, nonce: 1 })
    const raw = await account.signTransaction({
      chainId: 31_337,
      type: 'eip7702',
      to: account.address,
      nonce: 0,
      authorizationList: [authorization],
      ...FEES,
    })
    await send(chain, raw)
    const { state } = chain.mine()
    expect(nonceIn(state, account.address)).toBe(2n)
    expect(state.code.get(account.address.toLowerCase())).toBe(`0xef0100${delegate.slice(2).toLowerCase()}`)
    const [node] = chain.nodes
    if (node === undefined) return expect.unreachable()
    const at = await node.port.head()
    expect(await node.port.transactionAt(account.address, 1n, at)).toBeNull()
    expect((await node.port.transactionAt(account.address, 0n, at))?.hash).toBe((await chain.read(raw)).hash)
  })

  it('believes cheap signatures where it is told to, and reads the same transaction', async () => {
    const { account } = scene()
    const holder = cheapKeyHolder(account.address)
    const raw = await holder.signTransaction({
      chainId: 31_337,
      type: 'eip1559',
      to: account.address,
      nonce: 7,
      ...FEES,
    })
    const read = await readTransaction(raw, cheapRecovery)
    expect(read).toMatchObject({ from: account.address, nonce: 7n, gas: FEES.gas, authorizations: [] })
  })
})
