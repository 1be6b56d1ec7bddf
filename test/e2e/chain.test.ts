import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEther, parseUnits } from 'viem'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { POSITION } from '../../infra/world/setStage.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { tokenAmount, usd, wei } from '../../runtime/core/units.ts'
import { startRpcProxy } from '../proxy/rpcProxy.ts'
import { finished, rialto, scratchFolder } from './rialto.ts'

const POLICY = join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
const SOMEBODY = '0x00000000000000000000000000000000000ca11e'

// A world stands in for a chain that was there before: the runtime knows it by URL and address book alone.
let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

/** A folder with a configuration for that chain, as a user would write it. */
function configure(
  agent: Readonly<Record<string, unknown>>,
  chain: Readonly<Record<string, unknown>> = {},
): { folder: string; argv: string[] } {
  const folder = scratchFolder()
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify(world.addressBook))
  writeFileSync(join(folder, 'passphrase'), 'a passphrase for this test\n', { mode: 0o600 })
  const config = {
    signer: { passphrase: { kind: 'file', path: 'passphrase' } },
    chain: { kind: 'rpc', rpcUrl: world.url, chainId: 31337, addressBook: 'addresses.json', ...chain },
    agents: [{ id: 'guardian', role: 'lending-guardian', policy: POLICY, ...agent }],
  }
  const file = join(folder, 'rialto.config.json')
  writeFileSync(file, JSON.stringify(config))
  return { folder, argv: ['start', '--once', '--port', '0', '--config', file] }
}

describe('on a chain that is there already', { timeout: 120_000 }, () => {
  it("watches somebody else's position without a key for it", async () => {
    await openPositions(world, [{ account: SOMEBODY, ...POSITION }])
    const { folder, argv } = configure({ account: SOMEBODY, mode: 'observe' })
    const { code, stderr } = await finished(rialto(argv, { folder }))
    expect(code, stderr).toBe(0)
    expect(stderr).toMatch(/block \d+ {2}guardian: nothing, All is well at a health factor of 1\.\d+/)
  })

  it('guards a position of its own, with a key that it made itself', async () => {
    const { folder, argv } = configure({})
    const first = await finished(rialto(argv, { folder }))
    const account = /guardian (0x[0-9a-fA-F]{40}) \(new: back up the keystore\)/.exec(first.stderr)?.[1]
    expect(account, first.stderr).toBeDefined()
    await openPositions(world, [
      {
        account: account as `0x${string}`,
        collateral: tokenAmount(parseEther('40')),
        debt: tokenAmount(parseUnits('50769', 6)),
        walletUsdc: tokenAmount(0n),
        walletEth: wei(parseEther('1')),
      },
    ])
    const actors = createActors(world)
    const price = usd(1_750n * 10n ** 8n)
    await actors.pushPrice(price)
    await actors.arbitrageTo(price)
    await actors.mineBlock({ baseFeePerGas: wei(20n * 10n ** 9n) })

    const second = await finished(rialto(argv, { folder }))
    expect(second.code, second.stderr).toBe(0)
    expect(second.stderr).toContain(`guardian ${account}`)
    expect(second.stderr).not.toContain('back up')
    expect(second.stderr).toMatch(/guardian: deleverage, Deleverage through a swap/)
    const mined = await actors.mineBlock({ baseFeePerGas: wei(20n * 10n ** 9n) })
    expect(mined.transactions).toHaveLength(1)
    // The next start finds what the last one sent.
    const third = await finished(rialto(argv, { folder }))
    expect(third.stderr).toMatch(/found and did:\n.*: broadcast when it was left, now confirmed/)
    const status = await finished(rialto(argv, { folder }))
    expect(status.stderr).toMatch(/^ {2}clean$/m)
  })

  it('refuses what only a play understands', async () => {
    const { folder, argv } = configure({ mode: 'observe' })
    const { code, stderr } = await finished(rialto([...argv, '--seed', '2', '--json'], { folder }))
    expect(code).toBe(2)
    expect(stderr).toMatch(/^rialto: --seed, --json can only be used on the local world/)
  })

  it('refuses an account that it has no key for, unless it only observes', async () => {
    const { folder, argv } = configure({ account: SOMEBODY })
    const { code, stderr } = await finished(rialto(argv, { folder }))
    expect(code).toBe(2)
    expect(stderr).toMatch(/There is no key for 0x0+ca11e.*"observe"/i)
  })

  it.each([
    ['is down', { rpcUrl: 'http://127.0.0.1:9' }, /No answer from the RPC|127\.0\.0\.1:9/],
    ['is of another chain', { chainId: 1 }, /address book is for chain 31337/],
  ])('says in one line when the RPC %s', async (_what, chain, line) => {
    const { folder, argv } = configure({}, chain)
    const { code, stderr } = await finished(rialto(argv, { folder }))
    expect([1, 2]).toContain(code)
    expect(stderr.trim().split('\n').at(-1)).toMatch(line)
  })

  it('has nothing to do with a contract that only stands where one of ours should', async () => {
    const { folder, argv } = configure({})
    // An account that delegated to it would be whoever's this contract is.
    const { rialto: ours, ...book } = world.addressBook
    const exchanged = { ...ours, batchAccount: ours?.assert, assert: ours?.batchAccount }
    writeFileSync(join(folder, 'addresses.json'), JSON.stringify({ ...book, rialto: exchanged }))
    const { code, stderr } = await finished(rialto(argv, { folder }))
    expect(code).toBe(2)
    expect(stderr.trim().split('\n').at(-1)).toMatch(
      /address book does not hold .*rialto\.batchAccount at 0x\w+ is other code than this version of Rialto has/,
    )
    expect(existsSync(join(folder, '.rialto', 'keystore'))).toBe(false)
  })

  it('says what to do when the RPC lies about its chain or cannot simulate', async () => {
    const proxy = await startRpcProxy(world.url)
    try {
      proxy.on({ method: 'eth_chainId', fault: { kind: 'result', result: '0x1' } })
      const lying = configure({}, { rpcUrl: proxy.url })
      const wrong = await finished(rialto(lying.argv, { folder: lying.folder }))
      expect(wrong.code).toBe(2)
      expect(wrong.stderr.trim().split('\n').at(-1)).toMatch(/chain 1\b.*31337|31337.*chain 1\b/)
    } finally {
      await proxy.close()
    }
    const old = await startRpcProxy(world.url)
    try {
      old.on({ method: 'eth_simulateV1', fault: { kind: 'hide' } })
      const { folder, argv } = configure({}, { rpcUrl: old.url })
      const { code, stderr } = await finished(rialto(argv, { folder }))
      expect(code).toBe(2)
      expect(stderr.trim().split('\n').at(-1)).toMatch(/eth_simulateV1/)
    } finally {
      await old.close()
    }
  })
})
