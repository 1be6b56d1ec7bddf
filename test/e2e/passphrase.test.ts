import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { generatePrivateKey } from 'viem/accounts'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { madePassphrase } from '../../infra/signer/keystore/passphrase.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { findIn, findInFiles, findInMemory, tracesOf } from '../security/findSecrets.ts'
import { finished, rialto, rialtoOnTerminal, scratchFolder } from './rialto.ts'

const POLICY = join(packageRoot(import.meta.url), 'policies', 'lending-guardian.json')
const PASSPHRASE = 'correct-horse-battery-staple'
/** Nothing answers there. */
const NOWHERE = 'http://127.0.0.1:9'

let world: World
let folder: string
let key: `0x${string}`
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())
beforeEach(() => {
  folder = scratchFolder()
  key = generatePrivateKey()
})

/** Stores a key as `rialto wallet` or an earlier start did. */
const store = (label: string, passphrase: Buffer, privateKey = key) =>
  openKeystore(join(folder, 'keystore'), passphrase).store({ label, privateKey, cost: SCRYPT_COST.local })

/** The passphrase that the local world makes, and a key of it. */
function playWorld(): void {
  openKeystore(join(folder, 'keystore'), Buffer.alloc(0))
  const made = madePassphrase(join(folder, 'keystore'), true)
  store('guardian.1', made, generatePrivateKey())
}

/** The command that starts a guardian on a chain. */
function start(rpcUrl: string, signer?: object): string[] {
  writeFileSync(join(folder, 'addresses.json'), JSON.stringify(world.addressBook))
  const file = join(folder, 'rialto.config.json')
  const chain = { kind: 'rpc', rpcUrl, chainId: 31337, addressBook: 'addresses.json' }
  const agents = [{ id: 'guardian', role: 'lending-guardian', policy: POLICY }]
  writeFileSync(file, JSON.stringify({ chain, agents, ...(signer === undefined ? {} : { signer }) }))
  return ['start', '--port', '0', '--config', file]
}

function secret(content: string, mode = 0o600): string {
  const path = join(folder, 'secret')
  writeFileSync(path, `${content}\n`)
  chmodSync(path, mode)
  return path
}

const lastLine = (text: string) => text.trim().split('\n').at(-1)
const keyFiles = () =>
  existsSync(join(folder, 'keystore'))
    ? readdirSync(join(folder, 'keystore')).filter((name) => name.endsWith('.json'))
    : []

describe('before anything is started on a real chain', { timeout: 60_000 }, () => {
  it.each<[string, () => void]>([
    ['there is no keystore', () => undefined],
    ['the keystore is the local world’s', playWorld],
  ])('says how to make a key when %s', async (_what, prepare) => {
    prepare()
    const before = keyFiles()
    const { code, stderr } = await finished(rialto(start(NOWHERE), { folder }))
    expect(code).toBe(2)
    expect(lastLine(stderr)).toMatch(
      /^rialto: There is no key for "guardian"\..*wallet create --label guardian/,
    )
    expect(keyFiles()).toEqual(before)
  })

  it('says how to give the passphrase when there is nobody to ask', async () => {
    store('guardian', Buffer.from(PASSPHRASE))
    const { code, stderr } = await finished(rialto(start(NOWHERE), { folder }))
    expect(code).toBe(2)
    expect(lastLine(stderr)).toMatch(/no terminal.*--passphrase-file.*--passphrase-fd.*signer\.passphrase/)
  })

  it('refuses a passphrase in the environment, on a real chain and on the local world', async () => {
    const env = { RIALTO_KEYSTORE_PASSPHRASE: PASSPHRASE }
    for (const argv of [start(NOWHERE), ['start', '--once']]) {
      const { code, stderr } = await finished(rialto(argv, { folder, env }))
      expect(code).toBe(2)
      expect(stderr).toMatch(/^rialto: RIALTO_KEYSTORE_PASSPHRASE is set, .*Unset it.*\n$/)
      expect(stderr).not.toContain(PASSPHRASE)
    }
  })

  it('refuses a passphrase for the local world, which has no use for it', async () => {
    const argv = ['start', '--once', '--passphrase-file', secret(PASSPHRASE)]
    const { code, stderr } = await finished(rialto(argv, { folder }))
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/^rialto: The local world makes keys of its own/),
    ])
  })

  it('refuses a file that others may read, and a pipe that is not there', async () => {
    const open = ['--passphrase-file', secret(PASSPHRASE, 0o640)]
    const readable = await finished(rialto([...start(NOWHERE), ...open], { folder }))
    expect([readable.code, lastLine(readable.stderr)]).toEqual([
      2,
      expect.stringMatching(/Others than its owner/),
    ])
    const pipe = await finished(rialto([...start(NOWHERE), '--passphrase-fd', '99'], { folder }))
    expect([pipe.code, lastLine(pipe.stderr)]).toEqual([
      2,
      expect.stringMatching(/descriptor 99 is not open/),
    ])
  })
})

describe('on a real chain', { timeout: 120_000 }, () => {
  it('says in one line when the passphrase is wrong', async () => {
    store('guardian', Buffer.from(PASSPHRASE))
    secret('correct-horse-battery-stable')
    const argv = start(world.url, { passphrase: { kind: 'file', path: 'secret' } })
    const { code, stderr } = await finished(rialto([...argv, '--once'], { folder }))
    expect(code).toBe(1)
    expect(lastLine(stderr)).toMatch(/^rialto: The passphrase does not open the key file of 0x/)
  })

  it('goes on with a passphrase that an earlier version put beside the keys, and says what that means', async () => {
    playWorld()
    const { address } = store('guardian', madePassphrase(join(folder, 'keystore'), false))
    const { code, stderr } = await finished(rialto([...start(world.url), '--once'], { folder }))
    expect(code, stderr).toBe(0)
    expect(stderr).toContain(`guardian ${address}`)
    expect(stderr).toMatch(
      /! The passphrase of the keys lies beside them.*whoever can read the folder.*wallet backup/,
    )
  })

  it.runIf(existsSync('/usr/bin/script'))(
    'asks on the terminal, and keeps nothing of the answer',
    async () => {
      // The local world was played in the same folder before: its passphrase is not that of the keys.
      playWorld()
      const { address } = store('guardian', Buffer.from(PASSPHRASE))
      const command = rialtoOnTerminal(start(world.url), { folder })
      await command.answer(/Passphrase of the keystore: $/, `${PASSPHRASE}\r`)
      await command.answer(/status at/, '')
      const { pid } = JSON.parse(readFileSync(join(folder, 'runtime.json'), 'utf8')) as { pid: number }
      const traces = [
        ...tracesOf('the key', Buffer.from(key.slice(2), 'hex')),
        ...tracesOf('the passphrase', Buffer.from(PASSPHRASE)),
      ]
      // Where its memory cannot be read, the test of the signer's parent has it write its heap down.
      expect(findInMemory(pid, traces, false) ?? []).toEqual([])
      await command.answer(/block \d+/, '\u0003')
      expect(await command.exit).toBe(0)
      expect(command.output()).toContain(`guardian ${address}`)
      expect(findIn(Buffer.from(command.output()), traces)).toEqual([])
      expect(findInFiles(folder, traces, [])).toEqual([])
    },
  )
})
