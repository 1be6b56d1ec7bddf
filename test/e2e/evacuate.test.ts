import { readFileSync, unlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type Address,
  concatHex,
  encodeFunctionData,
  erc20Abi,
  getAddress,
  type Hex,
  numberToHex,
  pad,
  parseAbi,
  parseEther,
  parseUnits,
} from 'viem'
import { generatePrivateKey } from 'viem/accounts'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createChain } from '../../infra/chain/createChain.ts'
import { prepareDrill } from '../../infra/drill/prepareDrill.ts'
import { openOrders } from '../../infra/orders/ownerOrders.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import {
  encodeSafeExecution,
  safeTransactionHash,
  safeTransactionOf,
} from '../../infra/safe/safeTransaction.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { addressOf, worldAccounts } from '../../infra/world/accounts.ts'
import { createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { createRpc } from '../../infra/world/rpc.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import type { Call } from '../../runtime/core/lifecycle.ts'
import { tokenAmount, usd, wei } from '../../runtime/core/units.ts'
import { aaveDebtTokenActionsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { borrowAllowance, userAccountData } from '../../runtime/protocols/aave-v3/read.ts'
import { allowance, balanceOf, nativeBalanceOf } from '../../runtime/protocols/erc20/read.ts'
import { readAll } from '../../runtime/protocols/read.ts'
import { startRpcProxy } from '../proxy/rpcProxy.ts'
import { deploySafe, deploySafeContracts } from '../safe/deploySafe.ts'
import { type Command, finished, rialto, scratchFolder } from './rialto.ts'

const OWNER: Address = '0x000000000000000000000000000000000000bEEF'
const STRANGER = getAddress('0x000000000000000000000000000000000000bad5')
const OUTSIDER = getAddress('0x000000000000000000000000000000000000fee5')
const POLICY = join(packageRoot(import.meta.url), 'policies/lending-guardian.json')

/** A position on a chain of its own, whose configuration says where to evacuate it to. */
async function stage(evacuateTo: string | null = OWNER) {
  const drill = await prepareDrill(POLICY)
  onTestFinished(() => drill.close())
  const config = JSON.parse(readFileSync(drill.configPath, 'utf8'))
  config.agents[0] = { ...config.agents[0], ...(evacuateTo === null ? {} : { evacuateTo }) }
  writeFileSync(drill.configPath, JSON.stringify(config))
  const book = drill.world.addressBook
  const chain = await createChain({
    rpcUrl: drill.world.url,
    chainId: drill.world.chainId,
    multicall3: book.multicall3,
  })
  const actors = createActors(drill.world)
  const weth = book.wrappedNative
  const debtToken = book.aaveV3.reserves.find(({ asset }) => asset !== weth)?.variableDebtToken
  if (debtToken === undefined) throw new TypeError('the book has a reserve besides WETH')
  const rpc = createRpc(drill.world.url)
  return {
    ...drill,
    actors,
    chain,
    book,
    debtToken,
    /** The same configuration, but for the node. */
    configThrough(rpcUrl: string): string {
      const path = join(dirname(drill.configPath), 'through.config.json')
      writeFileSync(path, JSON.stringify({ ...config, chain: { ...config.chain, rpcUrl } }))
      return path
    },
    /** Has the account send something from another wallet with its key, to be mined with the next block. */
    async sendOwn(to: Address, data: Hex) {
      const from = drill.account
      await rpc('anvil_impersonateAccount', from)
      const fees = { gas: '0x186a0', maxFeePerGas: '0x174876e800', maxPriorityFeePerGas: '0x1' }
      await rpc('eth_sendTransaction', { from, to, data, ...fees })
      await rpc('anvil_stopImpersonatingAccount', from)
    },
    run: (...argv: readonly string[]) =>
      rialto(['evacuate', ...(argv.includes('--config') ? [] : ['--config', drill.configPath]), ...argv], {
        folder: drill.directory,
      }),
    async look() {
      const head = await chain.head()
      return readAll(chain, head.hash, {
        position: userAccountData(book.aaveV3.pool, drill.account),
        weth: balanceOf(weth, OWNER),
        left: balanceOf(weth, drill.account),
        native: nativeBalanceOf(book.multicall3, OWNER),
        stranger: allowance(weth, drill.account, STRANGER),
        credit: borrowAllowance(debtToken, drill.account, STRANGER),
      })
    },
  }
}

/** Mines a block whenever the command has said what it did about the last one, until it ends. */
async function mineAlong(command: Command, actors: ReturnType<typeof createActors>): Promise<void> {
  let isOver = false
  const over = command.exit.then(() => {
    isOver = true
  })
  for (let block = 0; !isOver && block < 60; block++) {
    const seen = command.stderr().match(/^ {2}block \d+ /gm)?.length ?? 0
    await Promise.race([over, untilMore(command, seen)])
    if (!isOver) await actors.mineBlock({ baseFeePerGas: wei(20n * 10n ** 9n) })
  }
  await over
}

const untilMore = (command: Command, seen: number): Promise<void> =>
  new Promise((resolve) => {
    const look = () => {
      if ((command.stderr().match(/^ {2}block \d+ /gm)?.length ?? 0) <= seen) return
      command.child.stderr?.off('data', look)
      resolve()
    }
    command.child.stderr?.on('data', look)
    look()
  })

const world = await testWorld()
const contracts = await deploySafeContracts(world, worldAccounts.deployer)

/** Two Safes with a position each: one of three owners, of whom two sign, and one of an owner whose key is here. */
async function safes() {
  const folder = scratchFolder()
  const { addressBook: book, client } = world
  const passphrase = 'a passphrase for this test'
  writeFileSync(join(folder, 'passphrase'), `${passphrase}\n`, { mode: 0o600 })
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify(book))
  const keystore = openKeystore(join(folder, 'keystore'), Buffer.from(passphrase))
  const key = { label: 'owner', privateKey: generatePrivateKey(), cost: SCRYPT_COST.local }
  const { address: owner } = keystore.store(key)
  keystore.close()
  await client.setBalance({ address: owner, value: parseEther('2') })
  const owners = [addressOf('oracle'), addressOf('treasury'), addressOf('whale')]
  const shared = await deploySafe(world, contracts, worldAccounts.deployer, {
    owners,
    threshold: 2,
    salt: 1n,
  })
  const single = await deploySafe(world, contracts, worldAccounts.deployer, { owners: [owner], salt: 2n })
  const entry = (id: string, { safe, modifier }: typeof shared, more: object = {}) => ({
    ...{ id, role: 'lending-guardian', policy: POLICY, ...more },
    account: { safe, modifier, roleKey: id, multiSend: contracts.multiSendCallOnly },
  })
  const file = join(folder, 'rialto.config.json')
  writeFileSync(
    file,
    JSON.stringify({
      signer: { passphrase: { kind: 'file', path: 'passphrase' } },
      chain: { kind: 'rpc', rpcUrl: world.url, chainId: world.chainId, addressBook: 'addresses.json' },
      agents: [entry('shared', shared), entry('single', single, { evacuateTo: OWNER })],
    }),
  )
  const holdings = { collateral: tokenAmount(parseEther('40')), debt: tokenAmount(parseUnits('50769', 6)) }
  const wallet = { walletUsdc: tokenAmount(parseUnits('30', 6)), walletEth: wei(parseEther('1')) }
  await openPositions(
    world,
    [shared, single].map(({ safe: account }) => ({ account, ...holdings, ...wallet })),
  )
  await client.setAutomine(true)
  const chain = await createChain({ rpcUrl: world.url, chainId: world.chainId, multicall3: book.multicall3 })
  return {
    ...{ folder, owners, owner, shared: shared.safe, single: single.safe },
    run: (...argv: readonly string[]) =>
      finished(rialto(['evacuate', ...argv, '--config', file], { folder })),
    /** Has somebody send something, whose key nobody here has. */
    async sendAs(from: Address, to: Address, data: Hex) {
      await client.impersonateAccount({ address: from })
      const hash = await client.request({
        method: 'eth_sendTransaction',
        params: [{ from, to, data, gas: '0x7a1200', maxFeePerGas: '0x0', maxPriorityFeePerGas: '0x0' }],
      } as never)
      await client.stopImpersonatingAccount({ address: from })
      const { status } = await client.waitForTransactionReceipt({ hash: hash as Hex })
      expect(status).toBe('success')
    },
    async look(account: Address) {
      const head = await chain.head()
      const [usdcReserve] = book.aaveV3.reserves.filter(({ asset }) => asset !== book.wrappedNative)
      return readAll(chain, head.hash, {
        position: userAccountData(book.aaveV3.pool, account),
        weth: balanceOf(book.wrappedNative, account),
        native: nativeBalanceOf(book.multicall3, account),
        stranger: allowance(book.wrappedNative, account, STRANGER),
        credit: borrowAllowance(usdcReserve?.variableDebtToken ?? account, account, STRANGER),
      })
    },
  }
}

describe('rialto evacuate of a Safe', { timeout: 120_000 }, () => {
  it('is one transaction of its owners: written for several, sent for one', async () => {
    const scene = await safes()
    const { addressBook: book, client } = world
    const debtToken = book.aaveV3.reserves.find(
      ({ asset }) => asset !== book.wrappedNative,
    )?.variableDebtToken
    for (const safe of [scene.shared, scene.single]) {
      await client.setNextBlockBaseFeePerGas({ baseFeePerGas: 0n })
      const approve = { abi: erc20Abi, functionName: 'approve', args: [STRANGER, 5n] } as const
      await scene.sendAs(safe, book.wrappedNative, encodeFunctionData(approve))
      await client.setNextBlockBaseFeePerGas({ baseFeePerGas: 0n })
      const delegation = { abi: aaveDebtTokenActionsAbi, functionName: 'approveDelegation' } as const
      const data = encodeFunctionData({ ...delegation, args: [STRANGER, 9n] })
      await scene.sendAs(safe, debtToken as Address, data)
      expect(await scene.look(safe)).toMatchObject({ stranger: 5n, credit: 9n })
    }

    const aimless = await scene.run('--agent', 'shared')
    expect(aimless.code).toBe(2)
    expect(aimless.stderr).toMatch(/^rialto: A Safe is evacuated by its owners\. .*--out.*--owner-label/)
    expect(openOrders(scene.folder).list()).toEqual([])

    // What comes to nothing leaves no order behind.
    const out = join(scene.folder, 'evacuation.json')
    writeFileSync(out, '')
    for (const [why, ...argv] of [
      [/evacuation\.json: it exists/, '--agent', 'shared', '--out', out],
      [/asks for 2 signatures/, '--agent', 'shared', '--owner-label', 'owner', '--yes'],
    ] as const) {
      const refused = await scene.run(...argv)
      expect(refused.code).toBe(2)
      expect(refused.stderr).toMatch(why)
      expect(openOrders(scene.folder).list()).toEqual([])
    }
    unlinkSync(out)

    const written = await scene.run('--agent', 'shared', '--out', out, '--json')
    expect(written.code, written.stderr).toBe(0)
    // Whoever reduces risk may go on until the owners have signed, and that is said.
    expect(written.stderr).toMatch(/ordered to reduce risk only, .*"rialto resume --agent shared" lifts it/)
    expect(openOrders(scene.folder).stateFor({ agent: 'shared' })).toBe('reducing')
    const [told] = JSON.parse(written.stdout)
    expect(told).toMatchObject({ safe: scene.shared, threshold: 2, stopped: null, remains: [], sent: null })
    const file = JSON.parse(readFileSync(out, 'utf8'))
    expect(file.meta.createdFromSafeAddress).toBe(scene.shared)
    expect(file.transactions.map(({ to, data }: Call) => ({ to, data }))).toEqual(
      told.transactions.map(({ to, data }: Call) => ({ to, data })),
    )
    // As two owners would carry it out in the Safe's own app, some blocks later.
    const batch = file.transactions.map(({ to, value, data }: Call) => ({
      to,
      value: wei(BigInt(value)),
      data,
    }))
    const transaction = safeTransactionOf(batch, contracts.multiSendCallOnly, 0n)
    expect(safeTransactionHash(scene.shared, world.chainId, transaction)).toBe(told.transactionHash)
    await client.mine({ blocks: 20 })
    const signers = scene.owners.slice(0, 2).toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
    for (const from of signers) {
      await client.setNextBlockBaseFeePerGas({ baseFeePerGas: 0n })
      const abi = parseAbi(['function approveHash(bytes32 hash)'])
      const data = encodeFunctionData({ abi, functionName: 'approveHash', args: [told.transactionHash] })
      await scene.sendAs(from, scene.shared, data)
    }
    const approved = signers.map((owner) => concatHex([pad(owner), numberToHex(0, { size: 32 }), '0x01']))
    await client.setNextBlockBaseFeePerGas({ baseFeePerGas: 0n })
    await scene.sendAs(OUTSIDER, scene.shared, encodeSafeExecution(transaction, concatHex(approved)))
    const shared = await scene.look(scene.shared)
    expect(shared).toMatchObject({ stranger: 0n, credit: 0n, native: parseEther('1') })
    expect(shared.position).toMatchObject({ totalDebt: 0n, totalCollateral: 0n })
    const weth = told.changes.find(({ name }: { name: string }) => name === 'WETH')
    // What it was shown to be, up to twenty blocks of interest.
    expect(shared.weth).toBeGreaterThan((BigInt(weth.change) * 9_999n) / 10_000n)

    const sent = await scene.run('--agent', 'single', '--owner-label', 'owner', '--yes')
    expect(sent.code, sent.stderr).toBe(0)
    expect(sent.stderr).toMatch(/ordered to reduce risk only, .*"rialto resume --agent single" lifts it/)
    expect(sent.stdout).toMatch(/measured at 0x\w+: .*\+[\d.]+ WETH/)
    const single = await scene.look(scene.single)
    expect(single).toMatchObject({ stranger: 0n, credit: 0n, native: 0n, weth: 0n })
    expect(single.position).toMatchObject({ totalDebt: 0n, totalCollateral: 0n })
    const arrived = await scene.look(OWNER)
    expect(arrived.native).toBe(parseEther('1'))
    expect(arrived.weth).toBeGreaterThan(parseEther('10'))

    // Done: run again, it finds nothing to do.
    const again = await scene.run('--agent', 'single', '--owner-label', 'owner', '--yes')
    expect(again.code, again.stderr).toBe(0)
    expect(again.stdout).toContain('there is nothing to sign')
  })
})

describe('rialto evacuate', { timeout: 240_000 }, () => {
  it('shows what it would do, does it, is killed in the middle, and goes on', async () => {
    const scene = await stage()
    await scene.actors.pushPrice(usd(1_580n * 10n ** 8n))
    await scene.actors.arbitrageTo(usd(1_580n * 10n ** 8n))
    const approve = { abi: erc20Abi, functionName: 'approve', args: [STRANGER, 5n] } as const
    await scene.sendOwn(scene.book.wrappedNative, encodeFunctionData(approve))
    const delegation = { abi: aaveDebtTokenActionsAbi, functionName: 'approveDelegation' } as const
    await scene.sendOwn(scene.debtToken, encodeFunctionData({ ...delegation, args: [STRANGER, 9n] }))
    await scene.actors.mineBlock({ baseFeePerGas: wei(20n * 10n ** 9n) })
    expect(await scene.look()).toMatchObject({ stranger: 5n, credit: 9n })

    // A node that serves no logs: everything is planned, and that nobody looked is said, by the exit code too.
    const proxy = await startRpcProxy(scene.world.url)
    onTestFinished(() => proxy.close())
    proxy.on({ method: 'eth_getLogs', fault: { kind: 'error', code: -32601, message: 'no logs here' } })
    const blind = await finished(scene.run('--plan', '--config', scene.configThrough(proxy.url)))
    expect(blind.code, blind.stderr).toBe(3)
    expect(blind.stdout).toMatch(/not looked at: who was let .* from block 0 to \d+ \(.*no logs here/)
    expect(blind.stdout).not.toContain('take back')

    const planned = await finished(scene.run('--plan', '--json'))
    expect(planned.code, planned.stderr).toBe(0)
    const [plan] = JSON.parse(planned.stdout)
    expect(plan.unsearched).toBeNull()
    expect(plan.steps.map(({ kind }: { kind: string }) => kind)).toEqual([
      'repay',
      'deleverage',
      'revoke',
      'revoke',
      'withdraw',
      'transfer',
      'sweep',
    ])
    // Every step says what it changes, as measured.
    expect(plan.steps[0].changes).toContainEqual(expect.objectContaining({ name: 'USDC of debt' }))
    expect(plan.steps[4].changes.map(({ name }: { name: string }) => name)).toEqual([
      'WETH',
      'WETH of collateral',
    ])
    expect(plan.stopped).toBeNull()
    expect(openOrders(scene.directory).list()).toEqual([])

    const first = scene.run('--yes')
    await first.untilNoted(/block \d+ {2}guardian: acted, repay/)
    first.child.kill('SIGKILL')
    await first.exit
    expect(openOrders(scene.directory).stateFor({ agent: 'guardian' })).toBe('halted')

    // And once more in the middle of the revokes, of which one is signed.
    const between = scene.run('--yes')
    const mining = mineAlong(between, scene.actors)
    await between.untilNoted(/block \d+ {2}guardian: acted, take back/)
    between.child.kill('SIGKILL')
    await mining

    const second = scene.run('--yes', '--json')
    await mineAlong(second, scene.actors)
    expect(await second.exit, second.stderr()).toBe(0)
    const [end] = JSON.parse(second.stdout())
    expect(end).toMatchObject({
      agent: 'guardian',
      account: scene.account,
      destination: OWNER,
      stopped: null,
    })
    expect(end.remains.filter(({ isOfValue }: { isOfValue: boolean }) => isOfValue)).toEqual([])
    const { position, weth, left, native, stranger, credit } = await scene.look()
    expect(position.totalDebt).toBe(0n)
    expect(left).toBe(0n)
    expect({ stranger, credit }).toEqual({ stranger: 0n, credit: 0n })
    expect(end.unsearched).toBeNull()
    expect(end.arrived).toMatchObject([
      { symbol: 'WETH', amount: weth.toString() },
      { token: null, amount: native.toString() },
    ])
    const [plannedNative] = plan.arrives.filter(({ token }: { token: string | null }) => token === null)
    expect(native).toBeGreaterThanOrEqual(BigInt(plannedNative.amount))
    // What came is what was planned, up to interest.
    const [plannedWeth] = plan.arrives.flatMap((one: { symbol: string; amount: string }) =>
      one.symbol === 'WETH' ? [BigInt(one.amount)] : [],
    )
    expect(weth * 1_000n).toBeGreaterThan(plannedWeth * 999n)
  })

  it('says in one line why it cannot', async () => {
    const scene = await stage(null)
    const nowhere = await finished(scene.run('--yes'))
    expect(nowhere.code).toBe(2)
    expect(nowhere.stderr.trim()).toMatch(
      /^rialto: Agent "guardian" cannot be evacuated: .*evacuateTo[^\n]*$/,
    )
    const nobody = await finished(scene.run('--agent', 'nobody', '--yes'))
    expect(nobody.code).toBe(2)
    expect(nobody.stderr).toMatch(/Name one of guardian/)
    expect(openOrders(scene.directory).list()).toEqual([])

    // Ordered, and then nothing can be done: whoever is halted by it has to be known.
    const { configPath, directory } = await stage()
    const config = JSON.parse(readFileSync(configPath, 'utf8'))
    const deaf = join(dirname(configPath), 'deaf.config.json')
    writeFileSync(
      deaf,
      JSON.stringify({ ...config, chain: { ...config.chain, rpcUrl: 'http://127.0.0.1:1' } }),
    )
    const argv = ['evacuate', '--config', deaf, '--agent', 'guardian', '--yes']
    const unheard = await finished(rialto(argv, { folder: directory }))
    expect(unheard.code).not.toBe(0)
    expect(unheard.stderr).toMatch(/Agent guardian stays halted, .*"rialto resume --agent guardian"/)
    expect(openOrders(directory).stateFor({ agent: 'guardian' })).toBe('halted')
  })
})
