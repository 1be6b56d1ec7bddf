import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { privateKeyToAccount } from 'viem/accounts'
import { expect, it } from 'vitest'
import { holdRuns } from '../../infra/approvals/holdRuns.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { createCheckpointer } from '../../infra/store/createCheckpointer.ts'
import { openStore } from '../../infra/store/openStore.ts'
import { readWorldFile } from '../../infra/world/worldFile.ts'
import { finished, rialto, scratchFolder } from './rialto.ts'

// What README.md tells a newcomer to try, on the local world whose clock is years behind; and a kill in the middle.

const POLICIES = join(packageRoot(import.meta.url), 'policies')
const PASSPHRASE = 'a passphrase for this test'
const ownerKey = `0x${'11'.repeat(32)}` as const
const owner = privateKeyToAccount(ownerKey)

/** The shipped configuration, but the guardian asks one owner, whose key is in the folder's keystore. */
function setUp() {
  const folder = scratchFolder()
  const keystore = openKeystore(join(folder, 'keystore'), Buffer.from(PASSPHRASE))
  keystore.store({ label: 'me', privateKey: ownerKey, cost: SCRYPT_COST.local })
  keystore.close()
  const passphrase = join(folder, 'passphrase')
  writeFileSync(passphrase, `${PASSPHRASE}\n`, { mode: 0o600 })
  const shipped = JSON.parse(readFileSync(join(POLICIES, 'lending-guardian.json'), 'utf8')) as {
    approvals: object
  }
  const approvals = { ...shipped.approvals, owners: [owner.address] }
  writeFileSync(join(folder, 'policy.json'), JSON.stringify({ ...shipped, mode: 'propose', approvals }))
  const config = join(folder, 'rialto.config.json')
  const guardian = { id: 'guardian', role: 'lending-guardian', policy: 'policy.json' }
  const liquidator = { id: 'liquidator', role: 'liquidator', policy: join(POLICIES, 'liquidator.json') }
  writeFileSync(config, JSON.stringify({ chain: { kind: 'world' }, agents: [guardian, liquidator] }))
  const run = (...argv: string[]) => rialto([...argv, '--config', config], { folder })
  return {
    folder,
    passphrase,
    start: () => run('start', '--port', '0'),
    async approvals(...argv: string[]) {
      const done = await finished(run('approvals', ...argv))
      expect(done.code, done.stderr).toBe(0)
      return done.stdout
    },
  }
}

it('lets the world stand still for an owner, over a kill, and sends what he signed', {
  timeout: 240_000,
}, async () => {
  const { folder, passphrase, start, approvals } = setUp()
  const first = start()
  await first.untilNoted(/The world stands still/)
  const [asked] = JSON.parse(await approvals('list', '--json')).approvals
  expect(asked).toMatchObject({ status: 'pending', needed: 1, owners: [owner.address], agent: 'guardian' })
  // Seconds as everybody's wall has them, and not those of the chain.
  expect(Math.abs(asked.requestedAt - Date.now() / 1_000)).toBeLessThan(3_600)
  first.child.kill('SIGKILL')
  await first.exit

  // What the checkpointer holds the run for is what the journal asks.
  const store = await openStore({ directory: folder })
  try {
    const world = (await readWorldFile(folder)) ?? expect.unreachable()
    const journal = await store.journals.open(world.chainId, world.genesisHash)
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
  await second.untilNoted(/The world stands still/)
  expect(second.stderr()).toMatch(/took up the play at block \d+ of 96/)
  expect(await approvals('show', asked.id.slice(0, 12))).toMatch(
    /rialto\.flashRepay\.flashRepay\n[\s\S]*health factor: 1\.\d+, then 1\.3\d+\n/,
  )
  expect(await approvals('approve', asked.id, '--key', 'me', '--passphrase-file', passphrase)).toContain(
    'Enough owners have signed',
  )
  await second.untilNoted(/→ deleverage done in block/)
  expect(JSON.parse(await approvals('list', '--all', '--json')).approvals[0]).toMatchObject({
    id: asked.id,
    status: 'approved',
    intent: 'done',
    signedBy: [{ signer: owner.address }],
  })
  second.child.kill('SIGINT')
  expect(await second.exit).toBe(1)
  expect(second.stderr()).toMatch(/interrupted at block \d+ of 96/)
})
