import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Address, parseEther } from 'viem'
import { expect, it } from 'vitest'
import { ownAddress, ownContracts } from '../../infra/contracts/ownContracts.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { testWorld } from '../../infra/world/testWorld.ts'
import { finished, rialto, scratchFolder } from './rialto.ts'

const world = await testWorld()
const SOMEBODY = '0x00000000000000000000000000000000000ca11e'

it('deploys what a plan needs, at the addresses of its code, and a start then accepts them', {
  timeout: 180_000,
}, async () => {
  const folder = scratchFolder()
  const { rialto: _deployed, ...book } = world.addressBook
  writeFileSync(join(folder, 'book.json'), JSON.stringify(book))
  writeFileSync(join(folder, 'passphrase'), 'a passphrase for this test\n', { mode: 0o600 })
  const config = join(folder, 'rialto.config.json')
  writeFileSync(
    config,
    JSON.stringify({
      signer: { passphrase: { kind: 'file', path: 'passphrase' } },
      chain: { kind: 'rpc', rpcUrl: world.url, chainId: world.chainId, addressBook: 'book.json' },
      agents: [
        {
          ...{ id: 'guardian', role: 'lending-guardian', account: SOMEBODY, mode: 'observe' },
          policy: join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json'),
        },
      ],
    }),
  )
  const run = (...argv: string[]) => finished(rialto([...argv, '--config', config], { folder }))
  const lastLine = (text: string) => text.trim().split('\n').at(-1)

  const looked = await run('contracts')
  expect(looked.code, looked.stderr).toBe(0)
  for (const contract of ownContracts)
    expect(looked.stdout).toContain(`${ownAddress(contract)} is not deployed yet`)
  expect(lastLine(looked.stderr)).toBe('Nothing was sent. Deploy with --send --label <label>.')

  expect(await run('contracts', '--send')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('--label'),
  })
  const nobody = await run('contracts', '--send', '--label', 'nobody')
  expect(nobody).toMatchObject({ code: 2, stderr: expect.stringContaining('no key labelled "nobody"') })

  const made = await run('wallet', 'create', '--label', 'payer', '--json')
  const payer = (JSON.parse(made.stdout) as { address: Address }).address
  const poor = await run('contracts', '--send', '--label', 'payer')
  expect(poor).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/has 0 coins, and to deploy takes up to 0\.\d+/),
  })

  await world.client.setBalance({ address: payer, value: parseEther('1') })
  const sent = await run('contracts', '--send', '--label', 'payer', '--json')
  expect(sent.code, sent.stderr).toBe(0)
  const answer = JSON.parse(sent.stdout)
  expect(answer).toMatchObject({
    transaction: null,
    transactionHash: expect.stringMatching(/^0x[0-9a-f]{64}$/),
  })
  const deployed = ownContracts.map((contract) => [contract.name, ownAddress(contract)] as const)
  expect(answer.contracts).toEqual(
    deployed.map(([name, address]) => ({ name, address, isThere: true, isInBook: false })),
  )

  // Once more: it is there, and costs nothing.
  const again = await run('contracts', '--send', '--label', 'payer')
  expect(again.code, again.stderr).toBe(0)
  expect(again.stdout.match(/is there/g)).toHaveLength(ownContracts.length)
  expect(await world.client.getTransactionCount({ address: payer })).toBe(1)

  writeFileSync(join(folder, 'book.json'), JSON.stringify({ ...book, rialto: Object.fromEntries(deployed) }))
  const doctor = await run('doctor')
  expect(doctor.stdout).toContain('everything is where the address book says')
})
