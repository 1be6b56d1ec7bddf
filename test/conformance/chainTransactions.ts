import { type Address, type Hex, keccak256 } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { expect } from 'vitest'
import { BlockGoneError, RouteMissingError, TransactionRefusedError } from '../../runtime/core/chainErrors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import { type ChainBench, FEES, UNKNOWN_HASH } from './chainBench.ts'

const COUNTER: Address = '0x00000000000000000000000000000000c0ffee00'

/** What a `Chain` must do with transactions: send, refuse, follow, and tell which one used a nonce. */
export function chainTransactions({ world, open, test, freshAccount, reorganise }: ChainBench): void {
  const { client } = world

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
        ...FEES,
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
      ...FEES,
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
      ...FEES,
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
      ...FEES,
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
          ...FEES,
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
        ...FEES,
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

  test('what is to go privately never goes publicly', async () => {
    const chain = await open()
    const account = await freshAccount()
    const raw = await account.signTransaction({
      chainId: chain.chainId,
      type: 'eip1559',
      to: COUNTER,
      nonce: 0,
      ...FEES,
      gas: 60_000n,
    })
    await expect(chain.sendRaw(raw, 'private')).rejects.toThrow(RouteMissingError)
    expect(await chain.transaction(keccak256(raw))).toBeNull()
  })
}
