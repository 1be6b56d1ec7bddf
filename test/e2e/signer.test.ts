import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { finished, rialto, scratchFolder } from './rialto.ts'

const POLICY = join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
const PASSPHRASE = 'four words of a person'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

/** A folder with a key, and a configuration that says nothing of its passphrase. */
async function configure(agent: Readonly<Record<string, unknown>> = {}) {
  const folder = scratchFolder()
  const config = join(folder, 'rialto.config.json')
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify(world.addressBook))
  writeFileSync(join(folder, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 })
  const write = (changes: Readonly<Record<string, unknown>>) =>
    writeFileSync(
      config,
      JSON.stringify({
        chain: { kind: 'rpc', rpcUrl: world.url, chainId: 31337, addressBook: 'addresses.json' },
        agents: [{ id: 'guardian', role: 'lending-guardian', policy: POLICY, ...agent, ...changes }],
      }),
    )
  write({})
  const created = await finished(
    rialto(
      [
        'wallet',
        'create',
        '--label',
        'guardian',
        '--config',
        config,
        '--passphrase-file',
        join(folder, 'passphrase'),
        '--json',
      ],
      { folder },
    ),
  )
  expect(created.code, created.stderr).toBe(0)
  const start = ['start', '--once', '--port', '0', '--config', config]
  return { folder, config, write, start, address: JSON.parse(created.stdout).address as string }
}

describe('rialto signer', { timeout: 120_000 }, () => {
  it('keeps the keys open for a runtime that is given no passphrase, and ends with Ctrl-C', async () => {
    const { folder, config, start, address, write } = await configure()
    const alone = await finished(rialto(start, { folder }))
    expect(alone.code).toBe(2)

    const env = { RIALTO_KEYSTORE_PASSPHRASE: PASSPHRASE }
    const signer = rialto(['signer', '--config', config], { folder, env })
    await signer.untilNoted(new RegExp(`signing for guardian ${address} on chain 31337`))
    expect(signer.stderr()).not.toContain(PASSPHRASE)
    for (let run = 0; run < 2; run++) {
      const started = await finished(rialto(start, { folder }))
      expect(started.code, started.stderr).toBe(0)
      expect(started.stderr).toContain(`guardian ${address}`)
    }

    // Another policy is another signer: the one that runs is ended, and nobody can start its successor.
    write({ mode: 'propose' })
    const other = await finished(rialto(start, { folder }))
    expect(other.code).toBe(2)
    expect(other.stderr).toMatch(/was started from another configuration, and was ended.*rialto signer/)
    expect(await signer.exit).toBe(1)
    expect(signer.stderr().trim().split('\n').at(-1)).toMatch(/No signer runs for .*rialto signer/)

    const next = rialto(['signer', '--config', config, '--json'], { folder, env })
    await expect.poll(next.stdout, { timeout: 60_000 }).toContain(address)
    next.child.kill('SIGINT')
    expect(await next.exit).toBe(0)
  })

  it.each([
    ['the local world', { chain: { kind: 'world' } }, {}, /The local world has a signer of its own/],
    [
      'a wrong passphrase',
      {},
      { RIALTO_KEYSTORE_PASSPHRASE: 'not the words of it' },
      /passphrase does not open/,
    ],
  ])('says in one line what is wrong with %s', async (_what, changes, env, line) => {
    const { folder, config, write } = await configure()
    write({})
    if ('chain' in changes)
      writeFileSync(
        config,
        JSON.stringify({
          ...changes,
          agents: [{ id: 'guardian', role: 'lending-guardian', policy: POLICY }],
        }),
      )
    const { code, stderr } = await finished(rialto(['signer', '--config', config], { folder, env }))
    expect([1, 2]).toContain(code)
    expect(stderr.trim().split('\n').at(-1)).toMatch(line)
  })

  it('puts a remote signer behind its judgement, and says when that has no such key', async () => {
    const { folder, config, write, address } = await configure()
    write({ key: { kind: 'remote', url: 'http://127.0.0.1:9', address } })
    const silent = await finished(rialto(['signer', '--config', config], { folder }))
    expect(silent.code).toBe(1)
    expect(silent.stderr.trim().split('\n').at(-1)).toMatch(/The remote signer at 127\.0\.0\.1:9/)
    write({ key: { kind: 'remote', url: 'http://signer.example.org', address } })
    const clear = await finished(rialto(['signer', '--config', config], { folder }))
    expect(clear.stderr.trim().split('\n').at(-1)).toMatch(/signer\.example\.org|https/)
    expect([1, 2]).toContain(clear.code)
  })
})
