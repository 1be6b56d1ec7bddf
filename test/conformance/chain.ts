import {
  type Address,
  encodeDeployData,
  encodeFunctionData,
  erc20Abi,
  type Hex,
  hexToBigInt,
  keccak256,
  parseEther,
  parseGwei,
  stringToHex,
} from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect, test as vitestTest } from 'vitest'
import { watchHeads } from '../../infra/chain/watchHeads.ts'
import { assertArtifact } from '../../infra/contracts/artifacts/Assert.ts'
import { batchAccountArtifact } from '../../infra/contracts/artifacts/BatchAccount.ts'
import { worldAccounts } from '../../infra/world/accounts.ts'
import type { TestWorld } from '../../infra/world/testWorld.ts'
import { BlockGoneError, RouteMissingError, TransactionRefusedError } from '../../runtime/core/chainErrors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import { wei } from '../../runtime/core/units.ts'

const UNKNOWN_HASH: Hash = `0x${'12'.repeat(32)}`
const COUNTER: Address = '0x00000000000000000000000000000000c0ffee00'

/**
 * What every implementation of the `Chain` port must do, shown on a world.
 *
 * @param world mines when it is told to
 * @param open opens the implementation on that world; called once per test
 * @param without tests that do not concern the implementation, by name, each with the reason
 */
export function chainConformance(
  world: TestWorld,
  open: () => Promise<Chain>,
  without: Readonly<Record<string, string>> = {},
): void {
  const { client } = world
  const test = (name: string, work: () => Promise<void>) =>
    name in without ? vitestTest.skip(`${name} (${without[name]})`) : vitestTest(name, work)

  /** A new account with ether and no history. */
  async function freshAccount() {
    const account = privateKeyToAccount(generatePrivateKey())
    await client.setBalance({ address: account.address, value: parseEther('10') })
    await client.mine({ blocks: 1 })
    return account
  }

  /** Replaces the head by another block, without its transactions. An equal one would have the same hash. */
  async function reorganise() {
    await client.setCoinbase({ address: privateKeyToAccount(generatePrivateKey()).address })
    await world.rpc('anvil_reorg', 1, [])
  }
  const fees = { maxFeePerGas: parseGwei('100'), maxPriorityFeePerGas: 0n, gas: 21_000n } as const

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
      await world.wallet(account).sendTransaction({ to: weth, value: 1n, ...fees, gas: 60_000n })
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

  test('sendRaw returns the hash, and bytes that the node knows already succeed, mined or not', async () => {
    const chain = await open()
    const account = await freshAccount()
    const sign = (nonce: number) =>
      account.signTransaction({
        chainId: chain.chainId,
        type: 'eip1559',
        to: COUNTER,
        value: 1n,
        nonce,
        ...fees,
        gas: 60_000n,
      })
    const raw = await sign(0)
    expect(await chain.sendRaw(raw)).toBe(keccak256(raw))
    await client.mine({ blocks: 1 })
    expect((await chain.receipt(keccak256(raw)))?.status).toBe('success')
    // Mined: the node says "nonce too low".
    expect(await chain.sendRaw(raw)).toBe(keccak256(raw))
    const pending = await sign(1)
    expect(await chain.sendRaw(pending)).toBe(keccak256(pending))
    // Pending: the node says "already known".
    expect(await chain.sendRaw(pending)).toBe(keccak256(pending))
    expect(await chain.receipt(keccak256(pending))).toBeNull()
    await client.mine({ blocks: 1 })
    expect((await chain.receipt(keccak256(pending)))?.block).toEqual({
      number: (await chain.head()).number,
      hash: (await chain.head()).hash,
    })
  })

  test('a clear refusal says why', async () => {
    const chain = await open()
    const rich = await freshAccount()
    const poor = privateKeyToAccount(generatePrivateKey())
    const transaction = {
      chainId: chain.chainId,
      type: 'eip1559',
      to: COUNTER,
      nonce: 0,
      ...fees,
      gas: 60_000n,
    } as const
    await chain.sendRaw(await rich.signTransaction(transaction))
    await client.mine({ blocks: 1 })
    const refused: [string, Promise<Hex>][] = [
      ['NONCE_TOO_LOW', rich.signTransaction({ ...transaction, value: 7n })],
      ['INSUFFICIENT_FUNDS', poor.signTransaction(transaction)],
      ['GAS_TOO_LOW', rich.signTransaction({ ...transaction, nonce: 1, gas: 20_000n })],
      ['FEE_TOO_LOW', rich.signTransaction({ ...transaction, nonce: 1, maxFeePerGas: 0n })],
    ]
    for (const [reason, signed] of refused) {
      const outcome = await chain.sendRaw(await signed).catch((error: unknown) => error)
      expect(outcome, reason).toBeInstanceOf(TransactionRefusedError)
      expect(outcome).toMatchObject({ reason, code: 'TRANSACTION_REFUSED' })
    }
    await expect(chain.sendRaw('0x02ff')).rejects.toMatchObject({ reason: 'MALFORMED' })
  })

  test('a mined revert is explained', async () => {
    const chain = await open()
    const account = await freshAccount()
    const raw = await account.signTransaction({
      chainId: chain.chainId,
      type: 'eip1559',
      to: world.addressBook.aaveV3.pool,
      // supply(asset, 0, to, 0): "26" is INVALID_AMOUNT.
      data: `0x617ba037${[world.addressBook.wrappedNative, '0x0', account.address, '0x0'].map((word) => word.slice(2).toLowerCase().padStart(64, '0')).join('')}`,
      nonce: 0,
      ...fees,
      gas: 300_000n,
    })
    const hash = await chain.sendRaw(raw)
    await client.mine({ blocks: 1 })
    const receipt = await chain.receipt(hash)
    expect(receipt?.status).toBe('reverted')
    expect(await chain.revertReason(hash)).toBe('26 INVALID_AMOUNT')
  })

  test('a transaction is nowhere, then in a pool, then in a block, and after a reorganisation no more', async () => {
    const chain = await open()
    const account = await freshAccount()
    const raw = await account.signTransaction({
      chainId: chain.chainId,
      type: 'eip1559',
      to: COUNTER,
      nonce: 0,
      ...fees,
      gas: 60_000n,
    })
    const hash = keccak256(raw)
    expect(await chain.transaction(hash)).toBeNull()
    await chain.sendRaw(raw)
    expect(await chain.transaction(hash)).toEqual({ block: null })
    await client.mine({ blocks: 1 })
    const { number, hash: block } = await chain.head()
    expect(await chain.transaction(hash)).toEqual({ block: { number, hash: block } })
    await reorganise()
    expect((await chain.transaction(hash))?.block?.hash).not.toBe(block)
    expect(await chain.receipt(hash)).toBeNull()
  })

  test('the transaction that used a nonce is found, however many blocks ago', async () => {
    const chain = await open()
    const account = await freshAccount()
    const mined: { hash: Hash; block: { number: bigint; hash: Hash } }[] = []
    const before = await chain.head()
    // Two in one block, then one each after gaps of several lengths.
    for (const [nonce, gap] of [0, 1, 2, 7, 40].entries()) {
      if (gap > 1) await client.mine({ blocks: gap - 1 })
      const hash = await chain.sendRaw(
        await account.signTransaction({
          chainId: chain.chainId,
          type: 'eip1559',
          to: COUNTER,
          nonce,
          ...fees,
          gas: 60_000n,
        }),
      )
      if (nonce === 0) {
        mined.push({ hash, block: { number: 0n, hash: UNKNOWN_HASH } })
        continue
      }
      await client.mine({ blocks: 1 })
      const { number, hash: block } = await chain.head()
      mined.push({ hash, block: { number, hash: block } })
    }
    mined[0] = { hash: mined[0]?.hash as Hash, block: mined[1]?.block as { number: bigint; hash: Hash } }
    await client.mine({ blocks: 3 })
    const at = await chain.head()
    for (const [nonce, expected] of mined.entries())
      expect(await chain.transactionAt(account.address, BigInt(nonce), at), `nonce ${nonce}`).toEqual(
        expected,
      )
    expect(await chain.transactionAt(account.address, BigInt(mined.length), at)).toBeNull()
    expect(await chain.transactionAt(account.address, 0n, before)).toBeNull()
    // At the very block, and not at its parent.
    const last = mined.at(-1)
    const itsBlock = await chain.block(last?.block.number as bigint)
    expect(await chain.transactionAt(account.address, 4n, itsBlock)).toEqual(last)
    expect(await chain.transactionAt(account.address, 4n, await chain.block(itsBlock.number - 1n))).toBeNull()
    expect(await chain.transactionAt(account.address.toLowerCase() as Address, 4n, at)).toEqual(last)
  })

  test('a nonce that an EIP-7702 authorisation used has no transaction', async () => {
    const chain = await open()
    const account = await freshAccount()
    const authorization = await account.signAuthorization({
      contractAddress: COUNTER,
      chainId: chain.chainId,
      nonce: 1,
    })
    const hash = await chain.sendRaw(
      await account.signTransaction({
        chainId: chain.chainId,
        type: 'eip7702',
        to: account.address,
        nonce: 0,
        ...fees,
        gas: 100_000n,
        authorizationList: [authorization],
      }),
    )
    await client.mine({ blocks: 2 })
    const at = await chain.head()
    expect(await chain.nonce(account.address, at.hash)).toBe(2n)
    expect((await chain.transactionAt(account.address, 0n, at))?.hash).toBe(hash)
    expect(await chain.transactionAt(account.address, 1n, at)).toBeNull()
  })

  test('a nonce at a block that was reorganised away has no answer', async () => {
    const chain = await open()
    const account = await freshAccount()
    await client.mine({ blocks: 1 })
    const gone = await chain.head()
    await reorganise()
    await expect(chain.transactionAt(account.address, 0n, gone)).rejects.toThrow(BlockGoneError)
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

  test('what is to go privately never goes publicly', async () => {
    const chain = await open()
    const account = await freshAccount()
    const raw = await account.signTransaction({
      chainId: chain.chainId,
      type: 'eip1559',
      to: COUNTER,
      nonce: 0,
      ...fees,
      gas: 60_000n,
    })
    await expect(chain.sendRaw(raw, 'private')).rejects.toThrow(RouteMissingError)
    expect(await chain.transaction(keccak256(raw))).toBeNull()
  })
}
