import {
  type Address,
  encodeDeployData,
  encodeFunctionData,
  erc20Abi,
  type Hex,
  hexToBigInt,
  keccak256,
  parseEther,
  stringToHex,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect } from 'vitest'
import { watchHeads } from '../../infra/chain/watchHeads.ts'
import { assertArtifact } from '../../infra/contracts/artifacts/Assert.ts'
import { batchAccountArtifact } from '../../infra/contracts/artifacts/BatchAccount.ts'
import { worldAccounts } from '../../infra/world/accounts.ts'
import { BlockGoneError } from '../../runtime/core/chainErrors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import { wei } from '../../runtime/core/units.ts'
import { type ChainBench, FEES, UNKNOWN_HASH } from './chainBench.ts'

const COUNTER: Address = '0x00000000000000000000000000000000c0ffee00'

/** What a `Chain` must do when it is asked: blocks, reads of a state, simulation. */
export function chainReads({ world, open, test, freshAccount, reorganise }: ChainBench): void {
  const { client } = world

  test('head and block agree with each other, and link up by hash', async () => {
    const chain = await open()
    await client.mine({ blocks: 2 })
    const head = await chain.head()
    expect(await chain.block(head.number)).toEqual(head)
    const parent = await chain.block(head.number - 1n)
    expect(parent.hash).toBe(head.parentHash)
    expect(parent.timestamp).toBeLessThan(head.timestamp)
  })

  test('the genesis hash is that of block 0', async () => {
    const chain = await open()
    expect(await chain.genesisHash()).toBe(world.genesisHash)
    expect((await chain.block(0n)).hash).toBe(world.genesisHash)
  })

  test('a block that is not there yet is an error, not a guess', async () => {
    const chain = await open()
    const { number } = await chain.head()
    await expect(chain.block(number + 1000n)).rejects.toThrow(BlockGoneError)
  })

  test('reads are answered from the state of exactly the block that is named', async () => {
    const chain = await open()
    const account = await freshAccount()
    const weth = world.addressBook.wrappedNative
    const balanceOf = encodeFunctionData({
      abi: erc20Abi,
      functionName: 'balanceOf',
      args: [account.address],
    })
    const before = await chain.balance(weth, (await chain.head()).hash)
    const blocks: Hash[] = []
    for (let deposit = 0; deposit < 3; deposit++) {
      // Plain ether to WETH9 is a deposit.
      await world.wallet(account).sendTransaction({ to: weth, value: 1n, ...FEES, gas: 60_000n })
      await client.mine({ blocks: 1 })
      blocks.push((await chain.head()).hash)
    }
    for (const [index, hash] of blocks.entries()) {
      const deposits = BigInt(index + 1)
      const [read] = await chain.read([{ target: weth, data: balanceOf }], hash)
      expect(read?.success).toBe(true)
      expect(hexToBigInt(read?.data ?? '0x')).toBe(deposits)
      expect(await chain.nonce(account.address, hash)).toBe(deposits)
      expect(await chain.balance(weth, hash)).toBe(before + deposits)
    }
  })

  test('a block that was reorganised away is gone, and the heads say so', async () => {
    const chain = await open()
    await client.mine({ blocks: 2 })
    const stop = new AbortController()
    const onError = (error: unknown) => expect.unreachable(String(error))
    const heads = watchHeads(chain, { signal: stop.signal, pollInterval: 5, onError })
    await heads.next()
    await client.mine({ blocks: 1 })
    const old = (await heads.next()).value?.head
    await reorganise()
    const change = (await heads.next()).value
    stop.abort()
    expect(change?.head.number).toBe(old?.number)
    expect(change?.dropped).toEqual([old])
    expect(change?.added).toEqual([change?.head])
    await expect(chain.code(world.addressBook.multicall3, old?.hash as Hash)).rejects.toThrow(BlockGoneError)
  })

  test('every read throws when the block is not there', async () => {
    const chain = await open()
    const head = await chain.head()
    const { addressBook: book } = world
    const attempts = [
      () => chain.read([{ target: book.wrappedNative, data: '0x' }], UNKNOWN_HASH),
      () => chain.code(book.wrappedNative, UNKNOWN_HASH),
      () => chain.balance(book.wrappedNative, UNKNOWN_HASH),
      () => chain.nonce(book.wrappedNative, UNKNOWN_HASH),
      () =>
        chain.simulate({
          on: { ...head, hash: UNKNOWN_HASH },
          timestamp: head.timestamp + 12n,
          baseFeePerGas: head.baseFeePerGas,
          code: [],
          calls: [],
        }),
    ]
    for (const attempt of attempts) await expect(attempt()).rejects.toThrow(BlockGoneError)
  })

  test('read keeps the order of its calls, and failures to themselves', async () => {
    const chain = await open()
    const { hash } = await chain.head()
    const { tokens, wrappedNative } = world.addressBook
    const decimals = encodeFunctionData({ abi: erc20Abi, functionName: 'decimals' })
    const results = await chain.read(
      [
        ...tokens.map(({ address }) => ({ target: address, data: decimals })),
        {
          target: wrappedNative,
          data: encodeFunctionData({ abi: erc20Abi, functionName: 'transfer', args: [COUNTER, 1n] }),
        },
      ],
      hash,
    )
    expect(results.slice(0, -1).map(({ data }) => hexToBigInt(data))).toEqual(
      tokens.map((token) => BigInt(token.decimals)),
    )
    expect(results.at(-1)?.success).toBe(false)
    expect(await chain.read([], hash)).toEqual([])
  })

  test('code is that of the account, and empty where there is none', async () => {
    const chain = await open()
    const { hash } = await chain.head()
    expect((await chain.code(world.addressBook.wrappedNative, hash)).length).toBeGreaterThan(100)
    expect(await chain.code(privateKeyToAccount(generatePrivateKey()).address, hash)).toBe('0x')
  })

  test('simulate runs the calls in turn in the imagined block, with code that is not there', async () => {
    const chain = await open()
    const on = await chain.head()
    const account = await freshAccount()
    const hash = await world.wallet(worldAccounts.deployer).deployContract({
      ...batchAccountArtifact,
      args: [],
    } as never)
    await client.mine({ blocks: 1 })
    const implementation = (await client.getTransactionReceipt({ hash })).contractAddress as Address
    const head = await chain.head()
    // TIMESTAMP and NUMBER.
    const TELL_TIME: Hex = '0x42600052436020526040 6000f3'.replace(' ', '') as Hex
    const teller: Address = '0x00000000000000000000000000000000c0ffee01'
    const supports = encodeFunctionData({
      abi: batchAccountArtifact.abi,
      functionName: 'supportsExecutionMode',
      args: [`0x01${'00'.repeat(31)}`],
    })
    const [told, delegated, transferred, failed] = await chain.simulate({
      on: head,
      timestamp: head.timestamp + 7n,
      baseFeePerGas: wei(5n),
      code: [
        { address: teller, code: TELL_TIME },
        { address: account.address, code: `0xef0100${implementation.slice(2)}` as Hex },
      ],
      calls: [
        { from: account.address, to: teller, value: wei(0n), data: '0x' },
        { from: account.address, to: account.address, value: wei(0n), data: supports, gas: 100_000n },
        {
          from: account.address,
          to: world.addressBook.wrappedNative,
          value: wei(parseEther('1')),
          data: keccak256(stringToHex('deposit()')).slice(0, 10) as Hex,
        },
        {
          from: account.address,
          to: world.addressBook.wrappedNative,
          value: wei(0n),
          data: encodeFunctionData({
            abi: erc20Abi,
            functionName: 'transfer',
            args: [teller, parseEther('2')],
          }),
        },
      ],
    })
    expect(on.number).toBeLessThan(head.number)
    expect(told?.returnData).toBe(
      `0x${[head.timestamp + 7n, head.number + 1n].map((n) => n.toString(16).padStart(64, '0')).join('')}`,
    )
    expect(hexToBigInt(delegated?.returnData ?? '0x')).toBe(1n)
    expect(transferred?.status).toBe('success')
    expect(transferred?.logs).toHaveLength(1)
    expect(transferred?.gasUsed).toBeGreaterThan(21_000n)
    expect(failed?.status).toBe('reverted')
    // Nothing of it happened.
    expect(await chain.balance(account.address, (await chain.head()).hash)).toBe(parseEther('10'))
  })

  test('a simulated revert carries its data', async () => {
    const chain = await open()
    const head = await chain.head()
    const creation = encodeDeployData({ abi: assertArtifact.abi, bytecode: assertArtifact.bytecode })
    const code = await world.rpc<Hex>('eth_call', { data: creation }, 'latest')
    const data = encodeFunctionData({
      abi: assertArtifact.abi,
      functionName: 'notAfter',
      args: [head.number],
    })
    const [late] = await chain.simulate({
      on: head,
      timestamp: head.timestamp + 1n,
      baseFeePerGas: wei(0n),
      code: [{ address: COUNTER, code }],
      calls: [{ from: COUNTER, to: COUNTER, value: wei(0n), data }],
    })
    expect(late?.status).toBe('reverted')
    expect(late?.returnData).toHaveLength(2 + 8 + 128)
  })

  test('the final block is one of the chain, behind its head, and moves with it', async () => {
    const chain = await open()
    await client.mine({ blocks: 100 })
    const final = await chain.finalized()
    const head = await chain.head()
    expect(final).toEqual(await chain.block(final?.number ?? -1n))
    expect(final?.number).toBeLessThan(head.number)
    await client.mine({ blocks: 10 })
    expect((await chain.finalized())?.number).toBe((final?.number ?? 0n) + 10n)
  })
}
