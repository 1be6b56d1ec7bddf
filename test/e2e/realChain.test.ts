import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEther, parseUnits } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { createRpc } from '../../infra/world/rpc.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { tokenAmount, usd, wei } from '../../runtime/core/units.ts'
import { finished, rialto, scratchFolder } from './rialto.ts'

const POLICY = join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
const PASSPHRASE = 'a passphrase for this test'
const REAL = 8_453
const owner = privateKeyToAccount(`0x${'11'.repeat(32)}`)
const baseFeePerGas = wei(20n * 10n ** 9n)

// A world that says it is a chain where things have value: nothing but the id tells the two apart.
let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

/** A folder with the shipped policy, changed, for that chain. */
function configure(changes: object): { folder: string; policy: string; argv: string[] } {
  const folder = scratchFolder()
  const keystore = openKeystore(join(folder, 'keystore'), Buffer.from(PASSPHRASE))
  keystore.store({ label: 'guardian', privateKey: `0x${'22'.repeat(32)}`, cost: SCRYPT_COST.local })
  keystore.close()
  const shipped = JSON.parse(readFileSync(POLICY, 'utf8')) as object
  const policy = join(folder, 'policy.json')
  writeFileSync(policy, JSON.stringify({ ...shipped, ...changes }))
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify({ ...world.addressBook, chainId: REAL }))
  writeFileSync(join(folder, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  const config = join(folder, 'rialto.config.json')
  writeFileSync(
    config,
    JSON.stringify({
      signer: { passphrase: { kind: 'file', path: 'passphrase' } },
      chain: { kind: 'rpc', rpcUrl: world.url, chainId: REAL, addressBook: 'addresses.json' },
      agents: [{ id: 'guardian', role: 'lending-guardian', policy: 'policy.json' }],
    }),
  )
  return { folder, policy, argv: ['--config', config] }
}

const approvals = { personAboveUsd: 'none', owners: [owner.address], threshold: 1, expirySeconds: 3_600 }
it('asks on a real chain, whatever the mode of the policy, and acts once a person has signed', {
  timeout: 120_000,
}, async () => {
  // Its keys are made while it still is a development chain: openPositions signs for it.
  const account = privateKeyToAccount(`0x${'22'.repeat(32)}`).address
  await openPositions(world, [
    {
      account,
      collateral: tokenAmount(parseEther('40')),
      debt: tokenAmount(parseUnits('50769', 6)),
      walletUsdc: tokenAmount(0n),
      walletEth: wei(parseEther('1')),
    },
  ])
  const actors = createActors(world)
  await actors.mineBlock({ timestamp: BigInt(Math.floor(Date.now() / 1_000)) - 60n })
  const usdc = world.addressBook.tokens.find(({ symbol }) => symbol === 'USDC')
  await actors.pushPrice(usd(10n ** 8n), usdc?.address)
  await actors.mineBlock()
  const price = usd(1_750n * 10n ** 8n)
  await actors.pushPrice(price)
  await actors.arbitrageTo(price)
  await actors.mineBlock({ baseFeePerGas })
  await createRpc(world.url)('anvil_setChainId', REAL)

  const { folder, policy, argv } = configure({ approvals })
  const running = rialto(['start', '--port', '0', '--no-protector', ...argv], { folder })
  await running.untilNoted(/block \d+ {2}guardian: deleverage/)
  const lines = running.stderr().split('\n')
  expect(lines.filter((line) => line.includes('guardian proposes'))).toEqual([
    `  guardian proposes, and never acts by itself: chain 8453 is real, and its policy states no steps by which it could rise. To have it rise, write "graduation": [{ "days": 0, "mode": "propose", "partBps": 1000 }, { "days": 7, "mode": "execute", "partBps": 2500 }, { "days": 30, "mode": "execute", "partBps": 10000 }] in ${policy}.`,
  ])
  const ask = async (...words: string[]) => {
    const done = await finished(rialto(['approvals', ...words, '--json', ...argv], { folder }))
    expect(done.code, done.stderr).toBe(0)
    return JSON.parse(done.stdout)
  }
  const [asked] = (await ask('list')).approvals
  const typedData = await ask('approve', asked.id, '--print-typed-data')
  expect(typedData.domain.chainId).toBe(REAL)
  await ask('approve', asked.id, '--signature', await owner.signTypedData(typedData))
  const next = await actors.mineBlock({ baseFeePerGas })
  await running.untilNoted(new RegExp(`block ${next.number} `))
  expect((await actors.mineBlock({ baseFeePerGas })).transactions).toHaveLength(1)
  running.child.kill('SIGINT')
  expect(await running.exit).toBe(0)
})
