import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseEther, parseUnits } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { holdRuns } from '../../infra/approvals/holdRuns.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { createCheckpointer } from '../../infra/store/createCheckpointer.ts'
import { openStore } from '../../infra/store/openStore.ts'
import { createActors } from '../../infra/world/actors.ts'
import { openPositions } from '../../infra/world/openPositions.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { tokenAmount, usd, wei } from '../../runtime/core/units.ts'
import { finished, rialto, scratchFolder } from './rialto.ts'

const POLICY = join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
const PASSPHRASE = 'a passphrase for this test'
const owner = privateKeyToAccount(`0x${'11'.repeat(32)}`)
const baseFeePerGas = wei(20n * 10n ** 9n)

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

/** A chain as of now, with a position that has to be rescued, and an agent that asks one owner. */
async function setUp(): Promise<{ folder: string; config: string; mine(): Promise<bigint> }> {
  const folder = scratchFolder()
  const keystore = openKeystore(join(folder, 'keystore'), Buffer.from(PASSPHRASE))
  const { address: account } = keystore.store({
    label: 'guardian',
    privateKey: `0x${'22'.repeat(32)}`,
    cost: SCRYPT_COST.local,
  })
  keystore.close()
  const shipped = JSON.parse(readFileSync(POLICY, 'utf8')) as object
  const approvals = { personAboveUsd: 'none', owners: [owner.address], threshold: 1, expirySeconds: 3_600 }
  writeFileSync(join(folder, 'policy.json'), JSON.stringify({ ...shipped, mode: 'propose', approvals }))
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify(world.addressBook))
  writeFileSync(join(folder, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  const config = join(folder, 'rialto.config.json')
  writeFileSync(
    config,
    JSON.stringify({
      signer: { passphrase: { kind: 'file', path: 'passphrase' } },
      chain: { kind: 'rpc', rpcUrl: world.url, chainId: 31337, addressBook: 'addresses.json' },
      agents: [{ id: 'guardian', role: 'lending-guardian', policy: 'policy.json' }],
    }),
  )
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
  // The signer goes by the clock of its machine: a chain's time is that, too.
  await actors.mineBlock({ timestamp: BigInt(Math.floor(Date.now() / 1_000)) - 60n })
  const usdc = world.addressBook.tokens.find(({ symbol }) => symbol === 'USDC')
  await actors.pushPrice(usd(10n ** 8n), usdc?.address)
  await actors.mineBlock()
  const price = usd(1_750n * 10n ** 8n)
  await actors.pushPrice(price)
  await actors.arbitrageTo(price)
  await actors.mineBlock({ baseFeePerGas })
  return { folder, config, mine: async () => (await actors.mineBlock({ baseFeePerGas })).number }
}

it('holds a run for its owner over a kill, and sends it once he has signed', {
  timeout: 240_000,
}, async () => {
  const { folder, config, mine } = await setUp()
  const start = () => rialto(['start', '--port', '0', '--config', config], { folder })
  const approvals = async (...argv: string[]) => {
    const done = await finished(rialto(['approvals', ...argv, '--json', '--config', config], { folder }))
    expect(done.code, done.stderr).toBe(0)
    return JSON.parse(done.stdout)
  }

  const first = start()
  await first.untilNoted(/block \d+ {2}guardian: deleverage/)
  expect(first.stderr()).toMatch(
    /guardian acts with its full limits from the first block \(graduation "none"\), in mode propose/,
  )
  const [asked] = (await approvals('list')).approvals
  expect(asked).toMatchObject({ status: 'pending', needed: 1, owners: [owner.address] })
  first.child.kill('SIGKILL')
  await first.exit

  // What the checkpointer holds the run for is what the journal asks.
  const store = await openStore({ directory: folder })
  try {
    const journal = await store.journals.open(31337, world.genesisHash)
    const record = await journal.approval(asked.id)
    const runs = holdRuns({
      journal,
      checkpointer: await createCheckpointer(store.database),
      logger: { warn: () => expect.unreachable() },
    })
    expect(await runs.heldFor(record?.intentId ?? expect.unreachable())).toMatchObject({
      planHash: asked.id,
      agent: 'guardian',
    })
  } finally {
    await store.close()
  }

  const second = start()
  await second.untilNoted(/block \d+ {2}guardian:/)
  const shown = await approvals('show', asked.id)
  expect(shown).toMatchObject({ id: asked.id, status: 'pending' })
  const printed = await approvals('approve', asked.id, '--print-typed-data')
  const signature = await owner.signTypedData(printed)
  expect(await approvals('approve', asked.id, '--signature', signature)).toMatchObject({
    status: 'approved',
    changed: true,
  })
  for (let block = 0; block < 3; block += 1) await second.untilNoted(new RegExp(`block ${await mine()} `))
  expect((await approvals('list', '--all')).approvals).toMatchObject([
    { id: asked.id, status: 'approved', intent: 'done' },
  ])
  second.child.kill('SIGINT')
  expect(await second.exit).toBe(0)
})
