import { erc20Abi, type Hex, hashMessage, parseEther, parseSignature, parseUnits } from 'viem'
import { encodeExecuteData } from 'viem/experimental/erc7821'
import { describe, expect, it } from 'vitest'
import { readBalance } from '../world/readBalance.ts'
import { batchAccountArtifact } from './artifacts/BatchAccount.ts'
import { testTokenArtifact } from './artifacts/TestToken.ts'
import { call, contractScene, wethAbi } from './test/scene.ts'

const scene = await contractScene()
const { client, rpc, weth, usdc, ours } = scene
const stranger = await scene.person('stranger')
const receiver = (await scene.person('receiver', '0')).address
const etherSender = await scene.deployFixture('Senders', 'EtherSender')
const safeNft = await scene.deployFixture('Senders', 'SafeNft')
const code = (address: Hex) => client.getCode({ address })

const BATCH_MODE = `0x01${'00'.repeat(31)}`
const pay = (value: bigint) => ({ to: receiver, value })
const execute = (calls: Parameters<typeof encodeExecuteData>[0]['calls']) => encodeExecuteData({ calls })
const delegated = async (name: string) => {
  const account = await scene.person(name)
  expect(await scene.runBatch(account, [])).toMatchObject({ status: 'success' })
  expect(await code(account.address)).toBe(`0xef0100${ours.batchAccount.slice(2).toLowerCase()}`)
  return account
}

describe('a batch', () => {
  it('is executed by its owner, calls in order, value and all', async () => {
    const owner = await delegated('batch owner')
    const before = await client.getBalance({ address: receiver })
    const deposit = { ...call(weth, wethAbi, 'deposit'), value: parseEther('2') }
    const transfer = call(weth, erc20Abi, 'transfer', [receiver, parseEther('1')])
    const { status } = await scene.run(owner, {
      to: owner.address,
      data: execute([deposit, transfer, pay(5n)]),
    })
    expect(status).toBe('success')
    expect(await readBalance(rpc, weth, owner.address)).toBe(parseEther('1'))
    expect((await client.getBalance({ address: receiver })) - before).toBe(5n)
  })

  it('is all or nothing, and says why', async () => {
    const owner = await delegated('atomic owner')
    const before = await client.getBalance({ address: receiver })
    const late = scene.assertion('notAfter', 0n)
    expect(await scene.run(owner, { to: owner.address, data: execute([pay(7n), late]) })).toMatchObject({
      status: 'reverted',
      revert: 'TooLate',
    })
    expect(await client.getBalance({ address: receiver })).toBe(before)
  })

  it.each([
    ['tries on after a failure', `0x0101${'00'.repeat(30)}`],
    ['carries operational data', `0x01000000000078210001${'00'.repeat(22)}`],
    ['is a single call', `0x${'00'.repeat(32)}`],
    ['delegates', `0xff${'00'.repeat(31)}`],
  ])('is refused in a mode that %s', async (_, mode) => {
    const owner = await delegated('mode owner')
    const data = execute([pay(1n)]).replace(BATCH_MODE.slice(2), mode.slice(2)) as Hex
    expect(data).toContain(mode.slice(2))
    expect(await scene.run(owner, { to: owner.address, data })).toMatchObject({
      revert: 'UnsupportedExecutionMode',
    })
  })
})

describe('a stranger', () => {
  it('cannot execute on the account', async () => {
    const owner = await delegated('guarded owner')
    const result = await scene.run(stranger, { to: owner.address, data: execute([pay(1n)]) })
    expect(result).toMatchObject({ status: 'reverted', revert: 'AccountUnauthorized' })
  })

  it('cannot execute on the implementation, nor make a delegate of his own do it', async () => {
    const data = execute([pay(0n)])
    expect(await scene.run(stranger, { to: ours.batchAccount, data })).toMatchObject({
      revert: 'AccountUnauthorized',
    })
    const owner = await delegated('target of a batch')
    const inner = { to: owner.address, data }
    expect(await scene.runBatch(stranger, [inner])).toMatchObject({ revert: 'AccountUnauthorized' })
  })

  it('can only pay the account, ask it about a signature, or show it a token', async () => {
    const names = batchAccountArtifact.abi
      .filter(({ type }) => type === 'function')
      .map((item) => 'name' in item && item.name)
    expect(names.sort()).toEqual(['execute', 'isValidSignature', 'onERC721Received', 'supportsExecutionMode'])
    const owner = await delegated('unmoved owner')
    const unknown = { to: owner.address, data: '0xdeadbeef' as Hex }
    expect(await scene.run(stranger, unknown)).toMatchObject({ status: 'reverted' })
  })
})

describe('a delegated account', () => {
  it('takes ether from a person, from a contract with all its gas and with 2,300, and from WETH', async () => {
    const owner = await delegated('payee')
    const value = parseEther('1')
    const before = await client.getBalance({ address: owner.address })
    expect(await scene.run(stranger, { to: owner.address, value })).toMatchObject({ status: 'success' })
    for (const way of ['viaCall', 'withStipend']) {
      const payment = { ...call(etherSender.address, etherSender.abi, way, [owner.address]), value }
      expect(await scene.run(stranger, payment), way).toMatchObject({ status: 'success' })
    }
    expect((await client.getBalance({ address: owner.address })) - before).toBe(3n * value)
    const wrapAndBack = [
      { ...call(weth, wethAbi, 'deposit'), value },
      call(weth, wethAbi, 'withdraw', [value]),
    ]
    expect(await scene.runBatch(owner, wrapAndBack)).toMatchObject({ status: 'success' })
    expect(await readBalance(rpc, weth, owner.address)).toBe(0n)
  })

  it('takes tokens that ask whether it can hold them', async () => {
    const owner = await delegated('collector')
    const mint = call(safeNft.address, safeNft.abi, 'safeMint', [owner.address])
    expect(await scene.run(stranger, mint)).toMatchObject({ status: 'success' })
    expect(await readBalance(rpc, safeNft.address, owner.address)).toBe(1n)
  })

  it("answers for its own key's signatures, and for no others", async () => {
    const owner = await delegated('signatory')
    const hash = hashMessage('pay the bearer')
    const answer = (signature: Hex) =>
      client.readContract({
        ...{ address: owner.address, abi: batchAccountArtifact.abi, functionName: 'isValidSignature' },
        args: [hash, signature],
      })
    const own = await owner.signMessage({ message: 'pay the bearer' })
    expect(await answer(own)).toBe('0x1626ba7e')
    const { r, s, yParity } = parseSignature(own)
    const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n
    const mirrored = (order - BigInt(s)).toString(16).padStart(64, '0')
    for (const wrong of [
      await stranger.signMessage({ message: 'pay the bearer' }),
      await owner.signMessage({ message: 'pay the barber' }),
      own.slice(0, -2) as Hex,
      `${own}00` as Hex,
      `${r}${mirrored}${yParity === 0 ? '1c' : '1b'}` as Hex, // the same signature, malleated
      `0x${'00'.repeat(65)}` as Hex,
      '0x' as Hex,
    ])
      expect(await answer(wrong)).toBe('0xffffffff')
  })

  it('still permits with a plain signature', async () => {
    const owner = await delegated('permitter')
    const deadline = 2n ** 64n
    const signature = await owner.signTypedData({
      domain: { name: 'USD Coin', version: '1', chainId: 31337, verifyingContract: usdc },
      types: {
        Permit: [
          { name: 'owner', type: 'address' },
          { name: 'spender', type: 'address' },
          { name: 'value', type: 'uint256' },
          { name: 'nonce', type: 'uint256' },
          { name: 'deadline', type: 'uint256' },
        ],
      },
      primaryType: 'Permit',
      message: { owner: owner.address, spender: receiver, value: 5n, nonce: 0n, deadline },
    })
    const { r, s, v } = parseSignature(signature)
    const permit = call(usdc, testTokenArtifact.abi, 'permit', [
      owner.address,
      receiver,
      5n,
      deadline,
      Number(v),
      r,
      s,
    ])
    expect(await scene.run(stranger, permit)).toMatchObject({ status: 'success' })
    expect(await scene.allowance(usdc, owner.address, receiver)).toBe(5n)
  })

  it('is a plain account again after it delegates to nobody', async () => {
    const owner = await delegated('leaver')
    const nonce = await scene.nonceOf(owner)
    const leave = await scene.authorize(owner, nonce + 1, `0x${'00'.repeat(20)}`)
    expect(await scene.run(owner, { to: owner.address }, { authorizations: [leave] })).toMatchObject({
      status: 'success',
    })
    expect(await code(owner.address)).toBeUndefined()
  })
})

describe('an authorisation', () => {
  it('that is stale succeeds in silence, and shows only in that nothing happened', async () => {
    const owner = await scene.person('stale')
    const nonce = await scene.nonceOf(owner)
    const stale = await scene.authorize(owner, nonce)
    const plan = {
      to: owner.address,
      data: execute([{ ...call(weth, wethAbi, 'deposit'), value: parseEther('1') }]),
    }
    const request = { account: owner.address, ...plan, authorizationList: [stale] }
    // Every way of asking beforehand says success, too.
    await expect(client.call(request)).resolves.toEqual({ data: undefined })
    await expect(client.estimateGas(request)).resolves.toBeTypeOf('bigint')

    const { status, logs } = await scene.run(owner, plan, { authorizations: [stale] })
    expect({ status, logs }).toEqual({ status: 'success', logs: [] })
    expect(await code(owner.address)).toBeUndefined()
    expect(await readBalance(rpc, weth, owner.address)).toBe(0n)

    const good = await scene.runBatch(owner, [{ ...call(weth, wethAbi, 'deposit'), value: parseEther('1') }])
    expect(good.logs).toHaveLength(1)
  })

  it('is installed by a transaction that reverts, which uses two nonces', async () => {
    const owner = await scene.person('reverted')
    const nonce = await scene.nonceOf(owner)
    expect(await scene.runBatch(owner, [scene.assertion('notAfter', 0n)])).toMatchObject({
      status: 'reverted',
    })
    expect(await scene.nonceOf(owner)).toBe(nonce + 2)
    expect(await code(owner.address)).toMatch(/^0xef0100/)
  })

  it('lives on when only its transaction is cancelled: anybody may apply it', async () => {
    const owner = await scene.person('canceller')
    const nonce = await scene.nonceOf(owner)
    const { call: plan, authorizations } = await scene.batch(owner, [pay(1n)])
    await scene.send(owner, plan, { authorizations, nonce })
    const cancel = await scene.send(owner, { to: owner.address }, { nonce, maxFeePerGas: 60_000_000_000n })
    await scene.actors.mineBlock()
    expect(await scene.outcome(cancel)).toMatchObject({ status: 'success' })
    expect(await code(owner.address)).toBeUndefined()

    await scene.run(stranger, { to: stranger.address }, { authorizations })
    expect(await code(owner.address)).toBe(`0xef0100${ours.batchAccount.slice(2).toLowerCase()}`)
    // That is all he gets: the plan itself was never his to send.
    expect(await scene.run(stranger, plan)).toMatchObject({ revert: 'AccountUnauthorized' })
  })

  it('is dead when the cancel uses up its nonce as well', async () => {
    const owner = await scene.person('thorough canceller')
    const nonce = await scene.nonceOf(owner)
    const { call: plan, authorizations } = await scene.batch(owner, [pay(1n)])
    await scene.send(owner, plan, { authorizations, nonce })
    for (const used of [nonce, nonce + 1])
      await scene.send(owner, { to: owner.address }, { nonce: used, maxFeePerGas: 60_000_000_000n })
    await scene.actors.mineBlock()
    expect(await scene.nonceOf(owner)).toBe(nonce + 2)
    await scene.run(stranger, { to: stranger.address }, { authorizations })
    expect(await code(owner.address)).toBeUndefined()
  })

  it('does not move an account by being replayed', async () => {
    const owner = await delegated('replayed')
    const before = { nonce: await scene.nonceOf(owner), balance: await client.getBalance(owner) }
    const old = await scene.authorize(owner, 1)
    await scene.run(stranger, { to: stranger.address, value: parseUnits('1', 0) }, { authorizations: [old] })
    expect({ nonce: await scene.nonceOf(owner), balance: await client.getBalance(owner) }).toEqual(before)
  })
})
