import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Address, parseEther, parseUnits } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { addressOf, worldAccounts } from '../../infra/world/accounts.ts'
import { createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { tokenAmount, usd, wei } from '../../runtime/core/units.ts'
import { aavePoolReadsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { deploySafeContracts } from '../safe/deploySafe.ts'
import { finished, rialto, scratchFolder } from './rialto.ts'

const POLICY = join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
const world = await testWorld()
const contracts = await deploySafeContracts(world, worldAccounts.deployer)

const PASSPHRASE = 'a passphrase for this test'

/** A folder with a configuration, as a user would write it, and keys that are quickly opened. */
function begin() {
  const folder = scratchFolder()
  writeFileSync(join(folder, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify(world.addressBook))
  const file = join(folder, 'rialto.config.json')
  const configure = (agent: object) =>
    writeFileSync(
      file,
      JSON.stringify({
        signer: { passphrase: { kind: 'file', path: 'passphrase' } },
        chain: { kind: 'rpc', rpcUrl: world.url, chainId: world.chainId, addressBook: 'addresses.json' },
        agents: [{ id: 'guardian', role: 'lending-guardian', policy: POLICY, ...agent }],
      }),
    )
  const run = (...argv: readonly string[]) => finished(rialto([...argv, '--config', file], { folder }))
  const keyOf = async (label: string): Promise<Address> => {
    const keystore = openKeystore(join(folder, 'keystore'), Buffer.from(PASSPHRASE))
    const { address } = keystore.store({ label, privateKey: generatePrivateKey(), cost: SCRYPT_COST.local })
    keystore.close()
    await world.client.setBalance({ address, value: parseEther('2') })
    return address
  }
  /** The shipped policy, but somebody is asked before anything is signed. */
  const askingPolicy = (owners: readonly Address[], threshold: number): string => {
    const shipped = JSON.parse(readFileSync(POLICY, 'utf8')) as { approvals: object }
    const approvals = { ...shipped.approvals, owners, threshold }
    writeFileSync(join(folder, 'asking.json'), JSON.stringify({ ...shipped, mode: 'propose', approvals }))
    return 'asking.json'
  }
  return { folder, file, run, configure, keyOf, askingPolicy }
}

const health = async (account: Address) =>
  (
    await world.client.readContract({
      address: world.addressBook.aaveV3.pool,
      abi: aavePoolReadsAbi,
      functionName: 'getUserAccountData',
      args: [account],
    })
  )[5]

describe('an agent that acts for a Safe', { timeout: 240_000 }, () => {
  it('starts when its role is what its policy says, and rescues the Safe through it: by itself, asked, and unaided', async () => {
    const { run, configure, keyOf, askingPolicy, folder, file } = begin()
    const owner = await keyOf('owner')
    const agent = await keyOf('guardian')
    configure({})
    const create = ['safe', 'create', '--owner-label', 'owner'] as const
    const planned = await run(...create, '--json')
    expect(planned.code, planned.stderr).toBe(0)
    expect(planned.stderr).toContain('Nothing was sent.')
    const made = await run(...create, '--json', '--send')
    expect(made.code, made.stderr).toBe(0)
    const { account, transactionHash } = JSON.parse(made.stdout)
    const { blockNumber } = await world.client.getTransactionReceipt({ hash: transactionHash })
    expect(account).toEqual({ ...JSON.parse(planned.stdout).account, firstBlock: Number(blockNumber) })
    const { safe, modifier } = account as Readonly<Record<'safe' | 'modifier', Address>>
    configure({ account })
    const again = await run(...create, '--send')
    expect(again.code, again.stderr).toBe(0)
    expect(again.stderr).toContain('It is there already.')
    expect(again.stdout).toContain(`${safe} is a Safe 1.5.0, for which 1 of 1 owners sign: ${owner}`)

    const lacking = await run('start', '--once', '--port', '0')
    expect(lacking.code, lacking.stderr).toBe(2)
    expect(lacking.stderr.trim().split('\n').at(-1)).toMatch(
      /^rialto: There is no key for "guardian-protector", by which the protector of guardian acts .*wallet create/,
    )
    const protectorKey = await keyOf('guardian-protector')
    const refused = await run('start', '--once', '--port', '0')
    expect(refused.code, refused.stderr).toBe(1)
    expect(refused.stderr.trim().split('\n').at(-1)).toMatch(
      /^rialto: What is on-chain is not what the policy of guardian says: .*"rialto policy apply"/,
    )
    const out = join(folder, 'transactions.json')
    const printed = await run('policy', 'apply', '--out', out)
    expect(printed.code, printed.stderr).toBe(0)
    expect(printed.stdout).toContain(`make ${agent} a member of the role\n  to   ${modifier}`)
    expect(printed.stdout).toContain(`the protector's role: make ${protectorKey} a member of the role\n`)
    expect(JSON.parse(readFileSync(out, 'utf8'))).toMatchObject({
      chainId: String(world.chainId),
      meta: { createdFromSafeAddress: safe },
      transactions: expect.arrayContaining([expect.objectContaining({ to: safe, value: '0' })]),
    })
    const sent = await run('policy', 'apply', '--send', '--owner-label', 'owner')
    expect(sent.code, sent.stderr).toBe(0)
    expect(sent.stderr).toContain('The chain is what the policy says.')
    const checked = await run('policy', 'check')
    expect([checked.code, checked.stdout]).toEqual([0, expect.stringContaining('so is its protector’s')])

    await openPositions(world, [
      {
        ...{ account: safe, collateral: tokenAmount(parseEther('40')) },
        ...{ debt: tokenAmount(parseUnits('50769', 6)), walletUsdc: tokenAmount(0n), walletEth: wei(0n) },
      },
    ])
    await world.client.setAutomine(false)
    const actors = createActors(world)
    const mine = (gwei = 20n) => actors.mineBlock({ baseFeePerGas: wei(gwei * 10n ** 9n) })
    const fallTo = async (dollars: bigint) => {
      const price = usd(dollars * 10n ** 8n)
      await actors.pushPrice(price)
      await actors.arbitrageTo(price)
      await mine()
    }
    /** The one transaction that is sent for the Safe, mined. */
    const mineOnly = async (from: Address, status: 'success' | 'reverted', gwei?: bigint) => {
      const { transactions } = await mine(gwei)
      expect(transactions).toHaveLength(1)
      const [hash] = transactions as readonly [`0x${string}`]
      const mined = await world.client.getTransactionReceipt({ hash })
      expect(mined).toMatchObject({ status, from: from.toLowerCase(), to: modifier.toLowerCase() })
      return mined.blockNumber
    }
    const mineRescue = () => mineOnly(agent, 'success')
    await fallTo(1_750n)
    const before = await health(safe)
    const started = await run('start', '--once', '--port', '0')
    expect(started.code, started.stderr).toBe(0)
    expect(started.stderr).toMatch(
      new RegExp(
        `role +guardian for the Safe 0x\\w+, protected by ${protectorKey}, as its policy says at block`,
      ),
    )
    for (const whose of ['its', "its protector's"])
      expect(started.stderr).toMatch(
        new RegExp(`thief of ${whose} key could take of the Safe 0x\\w+, in any 24 h, at most \\$[\\d,.]+:`),
      )
    expect(started.stderr).toMatch(/A thief of both keys could take at most \$[\d,.]+ in any 24 h/)
    expect(started.stderr).toContain('and its protector $3,000.00 more: $8,000.00 in any 24 h.')
    expect(started.stderr).toMatch(/guardian: deleverage, Deleverage through a swap/)
    await mineRescue()
    expect(await health(safe)).toBeGreaterThan(before)

    // The same role, under a policy that asks two of three people, none of whom owns the Safe.
    const [ann, bob] = [generatePrivateKey(), generatePrivateKey()].map((key) => privateKeyToAccount(key))
    const cat = await keyOf('cat')
    if (ann === undefined || bob === undefined) return expect.unreachable()
    configure({ account, policy: askingPolicy([ann.address, bob.address, cat], 2) })
    await fallTo(1_560n)
    const runtime = rialto(['start', '--port', '0', '--config', file], { folder })
    await runtime.untilNoted(/guardian asks for 2 of its owners/)
    const approvals = async (...argv: readonly string[]) => {
      const { code, stdout, stderr } = await run('approvals', ...argv)
      expect(code, stderr).toBe(0)
      return stdout
    }
    const [asked] = JSON.parse(await approvals('list', '--json')).approvals
    expect(asked).toMatchObject({ status: 'pending', account: safe, needed: 2, signedBy: [] })
    const shown = await approvals('show', asked.id)
    expect(shown).toContain(`guardian for ${safe} on chain ${world.chainId}`)
    expect(shown).toContain(`${agent} sends it for the Safe, through the role modifier ${modifier}.`)
    expect(shown).toMatch(new RegExp(`the account itself \\(${safe}\\): -[\\d.]+ USDC owed to Aave`))
    expect(shown).toMatch(/health factor: 1\.\d+, then 1\.3\d+/)
    expect(shown).not.toContain('CANNOT BE READ')

    const typedData = JSON.parse(await approvals('approve', asked.id, '--print-typed-data'))
    expect(typedData.domain).toMatchObject({ verifyingContract: safe })
    const byBob = await bob.signTypedData(typedData)
    const onAgent = await bob.signTypedData({
      ...typedData,
      domain: { ...typedData.domain, verifyingContract: agent },
    })
    const wrong = await run('approvals', 'approve', asked.id, '--signature', onAgent)
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('who is no owner')])
    expect(await approvals('approve', asked.id, '--signature', byBob)).toContain('1 more of the owners')
    // One of two is not enough, however many blocks pass.
    for (let block = 0; block < 2; block += 1) {
      const { number, transactions } = await mine()
      expect(transactions).toEqual([])
      await runtime.untilNoted(new RegExp(`block ${number} `))
    }
    const byCat = await approvals('approve', asked.id, '--key', 'cat')
    expect(byCat).toContain('Enough owners have signed')
    const low = await health(safe)
    const { number } = await mine()
    await runtime.untilNoted(new RegExp(`block ${number} `))
    await mineRescue()
    expect(await health(safe)).toBeGreaterThan(low)
    await runtime.untilNoted(new RegExp(`block ${number + 1n} `))
    expect(JSON.parse(await approvals('list', '--all', '--json')).approvals).toMatchObject([
      { id: asked.id, intent: 'done', signedBy: [{ signer: bob.address }, { signer: cat }] },
    ])
    runtime.child.kill('SIGINT')
    expect(await runtime.exit).toBe(0)

    // Nobody is asked, and the runtime is gone once more, with a rescue on its way that nobody mines: its fees are too low
    // for the blocks that follow. Signer and protector alone rescue the Safe by another key, nonce, role and budget.
    configure({ account })
    await fallTo(1_200n)
    const under = await health(safe)
    expect(under).toBeLessThan(parseEther('1.05'))
    const left = await run('start', '--once', '--no-protector', '--port', '0')
    expect(left.code, left.stderr).toBe(0)
    expect(left.stderr).toMatch(/guardian: deleverage, .*/)
    const { transactions: none } = await mine(150n)
    expect(none).toEqual([])
    const signer = rialto(['signer', '--config', file], { folder })
    await signer.untilNoted(/signing for guardian/)
    const protector = rialto(['protect', '--grace', '0', '--json', '--config', file], { folder })
    await protector.untilNoted(new RegExp(`protecting ${safe} .*, by ${protectorKey}`))
    await expect.poll(protector.stdout, { timeout: 60_000 }).toContain('"kind":"acted"')
    await mineOnly(protectorKey, 'success', 150n)
    const rescued = await health(safe)
    expect(rescued).toBeGreaterThan(parseEther('1.25'))

    // What the agent had signed is mined after all, in time: it finds the collateral sold already, and does nothing. Anvil
    // has forgotten it meanwhile, as other pools need not.
    const stale = readFileSync(join(folder, 'signer', 'ledger.jsonl'), 'utf8')
      .split('\n')
      .flatMap((line) => (line === '' ? [] : [JSON.parse(line).entry]))
      .findLast(({ kind, account: signer }) => kind === 'signed' && signer === agent)
    await world.client.setNextBlockBaseFeePerGas({ baseFeePerGas: 20n * 10n ** 9n })
    await world.client.sendRawTransaction({ serializedTransaction: stale.raw })
    const late = await mineOnly(agent, 'reverted')
    expect(BigInt(stale.plan.lastValidBlock)).toBeGreaterThanOrEqual(late)
    expect(await health(safe)).toBeGreaterThanOrEqual(rescued - parseEther('0.0001'))
    for (const { child, exit } of [protector, signer]) {
      child.kill('SIGTERM')
      expect(await exit).toBe(0)
    }

    // The runtime takes up what another key did for its Safe: no stranger, and no deviation.
    const back = await run('start', '--once', '--no-protector', '--port', '0')
    expect(back.code, back.stderr).toBe(0)
    expect(back.stderr).toMatch(new RegExp(`on nonce 0 of ${protectorKey}: .* now confirmed`))
    expect(back.stderr).toMatch(new RegExp(`of ${agent}: .* now failed`))
    const log = readFileSync(join(folder, 'rialto.log'), 'utf8')
    expect(log).not.toMatch(/that Rialto did not make|deviation: the agent may only reduce risk/)
    await world.client.setAutomine(true)
  })

  it.each([
    ['whose key does not exist', [], /There is no key for "guardian"/],
    ['with a member that is no address', ['--member', '0x12'], /must be an address with the right checksum/],
    ['that is none', ['--agent', 'nobody'], /There is no agent "nobody"/],
  ])('says what to do about an agent %s', async (_what, argv, line) => {
    const { run, configure } = begin()
    const account = { safe: addressOf('whale'), modifier: addressOf('oracle'), roleKey: 'guardian' }
    configure({ account: { ...account, multiSend: contracts.multiSendCallOnly } })
    const { code, stderr } = await run('policy', 'apply', ...argv)
    expect(code).toBe(2)
    expect(stderr).toMatch(line)
  })

  it('says what to do about an agent without a Safe, and explains what its key is worth', async () => {
    const { run, configure } = begin()
    configure({})
    const { code, stderr } = await run('policy', 'check')
    expect(code).toBe(2)
    expect(stderr).toMatch(/No agent of the configuration has a Safe/)
    const explained = await run('policy', 'explain')
    expect(explained.code, explained.stderr).toBe(0)
    expect(explained.stdout).toContain(
      'A thief of its key could take all that its account holds and can borrow.',
    )
  })
})
