import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, expect, it, onTestFinished } from 'vitest'
import { book, policyFile } from '../../../runtime/guards/guardScene.fixture.ts'
import { GENESIS, policy } from '../../../test/conformance/signerFixture.ts'
import { createSignerProcess } from '../../signer/createSignerProcess.ts'
import { holderOf } from '../../signer/lock.ts'
import { protectCommand } from './protect.ts'

const ACCOUNT = '0x00000000000000000000000000000000000000A1'

let folder: string
let directory: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-protect-'))
  directory = join(folder, 'state')
  mkdirSync(directory)
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
})

/** Nobody listens on the chain's port. */
function configure(...agents: readonly object[]): void {
  const put = (name: string, value: unknown) => writeFileSync(join(folder, name), JSON.stringify(value))
  put('policy.json', policyFile)
  put('book.json', book)
  put('rialto.config.json', {
    directory: 'state',
    chain: {
      kind: 'rpc',
      rpcUrl: 'http://127.0.0.1:9',
      chainId: book.chainId,
      addressBook: 'book.json',
    },
    agents: agents.map((agent) => ({ role: 'lending-guardian', policy: 'policy.json', ...agent })),
  })
}

async function protect(...argv: readonly string[]) {
  const notes: string[] = []
  const terminal = {
    out: () => undefined,
    note: (line: string) => void notes.push(line),
    step: expect.unreachable,
  }
  const command = protectCommand(terminal).exitOverride()
  const error: unknown = await command
    .parseAsync([...argv, '--config', join(folder, 'rialto.config.json')], { from: 'user' })
    .then(
      () => null,
      (thrown: unknown) => thrown,
    )
  return { error, notes }
}

/** What the log says, by line. */
const logged = (): readonly { msg: string; agent?: string; error?: string }[] =>
  readFileSync(join(directory, 'rialto.log'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))

it('leaves the protector that runs alone until it knows that it can run itself', async () => {
  configure({ id: 'guardian', account: ACCOUNT })
  const holder = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1_000)'], { stdio: 'ignore' })
  const ended = once(holder, 'exit')
  onTestFinished(async () => {
    holder.kill('SIGKILL')
    await ended
  })
  const path = join(directory, 'protector.lock')
  writeFileSync(path, `${holder.pid} -\n`)

  expect((await protect()).error).toMatchObject({ code: 'PROTECTOR_RUNS' })
  expect((await protect('--take-over')).error).toMatchObject({ code: 'SIGNER_GONE' })
  expect(holderOf(path)).toBe(holder.pid)

  const signer = await createSignerProcess({
    directory,
    chainId: book.chainId,
    genesisHash: GENESIS,
    book,
    accounts: [{ label: 'guardian', key: { kind: 'derived', seed: '1' }, policies: [policy] }],
  })
  onTestFinished(() => signer.close())
  const { error } = await protect('--take-over')
  expect(error).toMatchObject({ retryable: true })
  expect(error).not.toMatchObject({ code: 'SIGNER_GONE' })
  expect(holderOf(path)).toBe(holder.pid)
  expect(logged().filter(({ msg }) => msg === 'the protector ends')).toHaveLength(3)
})

it('protects whom it can, and says and logs whom it cannot', async () => {
  const keyless = { id: 'keyless', key: { kind: 'kms', keyId: 'alias/own' } }
  configure(keyless, { id: 'guardian', account: ACCOUNT })
  const { error, notes } = await protect()
  // It came as far as the signer, which does not run.
  expect(error).toMatchObject({ code: 'SIGNER_GONE' })
  const line = expect.stringMatching(/There is no key for "keyless"\. Name its address in key\.address\./)
  expect(notes).toEqual([line])
  expect(logged()).toMatchObject([
    { msg: 'not protected', agent: 'keyless', error: line },
    { msg: 'the protector ends' },
  ])

  configure(keyless)
  expect((await protect()).error).toMatchObject({ code: 'NO_KEY' })
  expect(logged().at(-1)).toMatchObject({ msg: 'the protector ends', error: line })

  writeFileSync(join(folder, 'policy.json'), '{}')
  expect((await protect()).error).toMatchObject({ name: 'PolicyError' })
  expect(logged().at(-1)).toMatchObject({ error: expect.stringContaining('policy.json') })
})
