import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { privateKeyToAccount } from 'viem/accounts'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { encryptKey, SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { builtEntry } from '../runner/builtEntry.ts'
import { rialtoOnTerminal, scratchFolder } from './rialto.ts'

const PASSPHRASE = 'correct horse battery staple'
const BACKUP = 'the passphrase of the backup'
const KEY = `0x${'4c'.repeat(32)}` as const
const { address: ADDRESS } = privateKeyToAccount(KEY)

let folder: string
let directory: string
beforeEach(() => {
  folder = scratchFolder()
  directory = join(folder, 'rialto')
})

function secret(name: string, content: string, mode = 0o600): string {
  const path = join(folder, name)
  writeFileSync(path, `${content}\n`)
  chmodSync(path, mode)
  return path
}

type Given = {
  readonly stdin?: string
  /** What comes down an inherited pipe, file descriptor 4. */
  readonly pipe?: string
  readonly env?: Readonly<Record<string, string>>
}

/** Runs `rialto wallet …` as a script does: no terminal anywhere. */
async function wallet(argv: readonly string[], { stdin, pipe, env }: Given = {}) {
  const child: ChildProcess = spawn(process.execPath, [...builtEntry('infra/cli/main'), 'wallet', ...argv], {
    cwd: folder,
    env: { PATH: process.env.PATH, NO_COLOR: '1', RIALTO_DIR: directory, ...env },
    stdio: ['pipe', 'pipe', 'pipe', 'ignore', 'pipe'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  let [stdout, stderr] = ['', '']
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // A command that refuses at once reads none of it.
  for (const [stream, text] of [
    [child.stdin, stdin],
    [child.stdio[4] as Writable, pipe],
  ] as const)
    stream?.on('error', () => undefined).end(text)
  const [code] = await once(child, 'close')
  expect(stdout + stderr).not.toMatch(/correct horse|of the backup$|(?:4c){32}/m)
  return { code: code as number, stdout, stderr, json: () => JSON.parse(stdout) }
}

const files = () => readdirSync(join(directory, 'keystore')).sort()
const withPassphrase = () => ['--passphrase-file', secret('passphrase', PASSPHRASE)]
const withBackupPassphrase = () => ['--backup-passphrase-file', secret('backup-passphrase', BACKUP)]

describe('rialto wallet', { timeout: 120_000 }, () => {
  it('makes keys, lists them, backs them up, and restores them elsewhere', async () => {
    const made = (await wallet(['create', '--label', 'guardian', '--json', ...withPassphrase()])).json()
    expect(made).toEqual({
      label: 'guardian',
      address: expect.stringMatching(/^0x[0-9a-fA-F]{40}$/),
      path: join(directory, 'keystore', `${made.address.toLowerCase()}.json`),
      derivationPath: null,
      next: [
        expect.stringContaining('rialto wallet backup'),
        expect.stringContaining(made.address),
        expect.stringContaining("id: 'guardian'"),
        expect.stringContaining('rialto start'),
      ],
    })
    expect(statSync(made.path).mode & 0o777).toBe(0o600)
    const second = await wallet(['create', '--label', 'liquidator', '--passphrase-fd', '4'], {
      pipe: `${PASSPHRASE}\n`,
    })
    expect(second.stdout).toMatch(
      /^liquidator {2}0x[0-9a-fA-F]{40}\n.*keystore.*\.json\nNext:\n {2}1\. back it up/,
    )

    const listed = (await wallet(['list', '--json'])).json()
    expect(listed.map(({ label }: { label: string }) => label)).toEqual(['guardian', 'liquidator'])
    const { next: _, ...entry } = made
    expect(listed[0]).toEqual(entry)
    expect((await wallet(['list'])).stdout).toContain(`guardian  ${made.address}`)

    const out = join(folder, 'backup.json')
    const backup = (
      await wallet(['backup', '--out', out, '--json', ...withPassphrase(), ...withBackupPassphrase()])
    ).json()
    const keys = listed.map(({ path: _, ...key }: { path: string }) => key)
    expect(backup).toEqual({ file: out, proven: true, keys })
    expect(statSync(out).mode & 0o777).toBe(0o600)

    directory = join(folder, 'elsewhere')
    const proof = await wallet([
      'restore',
      '--from',
      out,
      '--prove-only',
      '--json',
      ...withBackupPassphrase(),
    ])
    const outcome = (said: string) => keys.map((key: object) => ({ ...key, outcome: said }))
    expect(proof.json()).toEqual({ proveOnly: true, keys: outcome('new') })
    expect(existsSync(directory)).toBe(false)
    const restore = ['restore', '--from', out, '--json', '--passphrase-fd', '4', ...withBackupPassphrase()]
    const first = await wallet(restore, { pipe: 'another passphrase' })
    expect(first.json()).toEqual({ proveOnly: false, keys: outcome('new') })
    const again = await wallet(restore, { pipe: 'another passphrase' })
    expect(again.json()).toEqual({ proveOnly: false, keys: outcome('there already') })
    expect((await wallet(['list', '--json'])).json()).toHaveLength(2)
  })

  it('brings in a key of another tool, a private key and a mnemonic', async () => {
    const foreign = join(folder, 'UTC--2026-01-01T00-00-00Z--4c')
    writeFileSync(foreign, JSON.stringify(encryptKey(KEY, Buffer.from('short'), SCRYPT_COST.local)))
    const imported = await wallet(
      [
        'import',
        '--label',
        'a',
        '--json',
        '--keystore',
        foreign,
        '--keystore-passphrase-fd',
        '4',
        ...withPassphrase(),
      ],
      { pipe: 'short' },
    )
    expect(imported.json()).toMatchObject({ label: 'a', address: ADDRESS, derivationPath: null })
    const taken = await wallet(['import', '--label', 'b', '--private-key-stdin', ...withPassphrase()], {
      stdin: `${KEY}\n`,
    })
    expect(taken).toMatchObject({ code: 1, stderr: expect.stringContaining('there already, labelled "a"') })
    const mnemonic = await wallet(
      [
        'import',
        '--label',
        'c',
        '--mnemonic-stdin',
        '--path',
        "m/44'/60'/0'/0/1",
        '--json',
        ...withPassphrase(),
      ],
      { stdin: 'test test test test test test test test test test test junk\n' },
    )
    expect(mnemonic.json()).toMatchObject({
      address: '0x70997970C51812dc3A010C7d01b50e0d17dc79C8',
      derivationPath: "m/44'/60'/0'/0/1",
    })
    expect(files()).toHaveLength(2)
  })

  it.each<[string, string[], Given, number, RegExp]>([
    ['nobody to ask', ['create', '--label', 'a'], {}, 2, /no terminal to ask.*--passphrase-file/],
    ['no label', ['create'], {}, 2, /not clear whose key.*--label/],
    [
      'a short passphrase',
      ['create', '--label', 'a', '--passphrase-fd', '4'],
      { pipe: 'elevenchars' },
      2,
      /12 char/,
    ],
    [
      'a pipe that is not there',
      ['create', '--label', 'a', '--passphrase-fd', '77'],
      {},
      2,
      /77 is not open/,
    ],
    [
      'a passphrase in the environment',
      ['create', '--label', 'a'],
      { env: { RIALTO_KEYSTORE_PASSPHRASE: PASSPHRASE } },
      2,
      /RIALTO_KEYSTORE_PASSPHRASE is set.*Unset it/,
    ],
    ['nothing to import', ['import', '--label', 'a'], {}, 2, /not said where the key comes from/],
    ['no key', ['import', '--label', 'a', '--private-key-stdin'], { stdin: '0x12' }, 1, /no private key/],
    ['no mnemonic', ['import', '--label', 'a', '--mnemonic-stdin'], { stdin: 'a b c' }, 1, /3 words, not 12/],
    ['nothing to back up', ['backup', '--out', 'b.json'], {}, 2, /no key in/],
  ])('says in one line what is wrong with %s, and makes nothing', async (_what, argv, given, code, line) => {
    const said = await wallet(argv, given)
    expect(said).toMatchObject({ code, stdout: '', stderr: expect.stringMatching(line) })
    expect(said.stderr.trim().split('\n').length).toBeLessThanOrEqual(2)
    expect(existsSync(directory)).toBe(false)
  })

  it('touches nothing when the passphrase is wrong, the label taken, or a file open to others', async () => {
    await wallet(['create', '--label', 'a', ...withPassphrase()])
    const before = files()
    const wrong = ['--passphrase-file', secret('wrong', 'correct horse battery stable')]
    expect((await wallet(['create', '--label', 'b', ...wrong])).stderr).toMatch(
      /does not open the key that is there/,
    )
    expect((await wallet(['create', '--label', 'a', ...withPassphrase()])).stderr).toMatch(
      /label "a" is taken/,
    )
    const open = ['--passphrase-file', secret('open', PASSPHRASE, 0o644)]
    expect((await wallet(['create', '--label', 'b', ...open])).stderr).toMatch(
      /Others than its owner.*chmod go=/,
    )
    const backup = ['backup', '--out', join(folder, 'b.json'), ...withBackupPassphrase()]
    expect((await wallet([...backup, ...wrong])).stderr).toMatch(/does not open the key file/)
    expect(existsSync(join(folder, 'b.json'))).toBe(false)
    mkdirSync(join(folder, 'b.json'))
    expect((await wallet([...backup, ...withPassphrase()])).stderr).toMatch(/b\.json \(EEXIST\)/)
    expect(files()).toEqual(before)
  })

  it('leaves neither a key nor a part of one on a disk that is full', async () => {
    const flag = secret('full', '')
    const preload = join(packageRoot(import.meta.url), 'test', 'conformance', 'fullDisk.cjs')
    const env = { NODE_OPTIONS: `--require ${preload}`, RIALTO_TEST_FULL_DISK: flag }
    const full = await wallet(['create', '--label', 'a', ...withPassphrase()], { env })
    expect(full).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/\(ENOSPC\)\..*make room on the disk/i),
    })
    expect(files()).toEqual([])
    rmSync(flag)
    expect((await wallet(['create', '--label', 'a', ...withPassphrase()], { env })).code).toBe(0)
  })

  it('takes the agent that has no key, and says who has none', async () => {
    const config = join(folder, 'rialto.config.json')
    const agent = (id: string) => ({ id, role: 'lending-guardian', policy: 'none.json' })
    writeFileSync(config, JSON.stringify({ agents: [agent('one'), agent('two')] }))
    expect((await wallet(['create', ...withPassphrase()])).stderr).toMatch(/one and two have none/)
    await wallet(['create', '--label', 'two', ...withPassphrase()])
    const made = (await wallet(['create', '--json', ...withPassphrase()])).json()
    expect(made).toMatchObject({ label: 'one', next: { length: 3 } })
    expect((await wallet(['create', ...withPassphrase()])).stderr).toMatch(/Every agent.*has a key/)
  })
})

describe.runIf(existsSync('/usr/bin/script'))('on a terminal', { timeout: 120_000 }, () => {
  const create = ['wallet', 'create', '--label', 'a']

  it('asks twice, shows nothing of what is typed, and makes the key', async () => {
    const command = rialtoOnTerminal(create, { folder: directory })
    await command.answer(/New passphrase of the keystore: $/, `${PASSPHRASE}x\u007f\r`)
    await command.answer(/Once more: $/, `${PASSPHRASE}\r`)
    expect(await command.exit).toBe(0)
    expect(command.output()).toMatch(/a {2}0x[0-9a-fA-F]{40}/)
    expect(command.output()).not.toMatch(/correct|horse/)
    expect((await wallet(['create', '--label', 'b', ...withPassphrase()])).code).toBe(0)
    const known = rialtoOnTerminal(['wallet', 'create', '--label', 'c'], { folder: directory })
    await known.answer(/Passphrase of the keystore: $/, `${PASSPHRASE}\r`)
    expect(await known.exit).toBe(0)
    expect(files()).toHaveLength(3)
  })

  it.each<[string, string, RegExp]>([
    ['two answers that differ', `${PASSPHRASE}\rother\r`, /The two passphrases differ/],
    ['Ctrl-C', 'corr\u0003', /Interrupted: nothing was changed/],
    ['Ctrl-C at the second question', `${PASSPHRASE}\rcorr\u0003`, /Interrupted: nothing was changed/],
  ])('leaves nothing behind on %s, and a terminal that shows what is typed', async (_what, keys, line) => {
    const command = rialtoOnTerminal(create, { folder: directory, afterwards: 'stty -a' })
    await command.answer(/New passphrase of the keystore: $/, keys)
    await command.exit
    expect(command.output()).toMatch(line)
    // What the shell says of the terminal afterwards.
    expect(command.output()).toMatch(/[^-]icanon/)
    expect(command.output()).toMatch(/[^-]echo /)
    expect(command.output()).not.toMatch(/corr/)
    expect(existsSync(directory)).toBe(false)
  })

  it('does not show a private key that is typed', async () => {
    const command = rialtoOnTerminal(
      ['wallet', 'import', '--label', 'a', '--private-key-stdin', ...withPassphrase()],
      {
        folder: directory,
      },
    )
    await command.answer(/Private key: $/, `${KEY}\r`)
    expect(await command.exit).toBe(0)
    expect(command.output()).toContain(ADDRESS)
    expect(command.output()).not.toContain('4c4c4c')
    expect(readFileSync(join(directory, 'keystore', `${ADDRESS.toLowerCase()}.json`), 'utf8')).not.toContain(
      '4c4c4c4c',
    )
  })
})
