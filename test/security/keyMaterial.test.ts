import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import { generatePrivateKey } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { entryPoint } from '../../infra/process/entryPoint.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { findIn, findInFiles, findInMemory, tracesOf } from './findSecrets.ts'

// Starts a signer on a keystore in every way in which a passphrase can be given, and looks for the key and the
// passphrase in everything that the process which started it has: memory, environment, arguments, output, files.

let scene: string
let directory: string
let passphrase: Buffer
let key: `0x${string}`
let running: ChildProcess[]
beforeEach(() => {
  scene = mkdtempSync(join(tmpdir(), 'rialto-keys-'))
  directory = join(scene, 'rialto')
  mkdirSync(directory, { mode: 0o700 })
  passphrase = Buffer.from(randomBytes(24).toString('base64url'))
  key = generatePrivateKey()
  const keystore = openKeystore(join(directory, 'keystore'), Buffer.from(passphrase))
  keystore.store({ label: 'one', privateKey: key, cost: SCRYPT_COST.local })
  running = []
})
afterEach(async () => {
  for (const child of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    const exit = once(child, 'close')
    child.kill('SIGKILL')
    await exit
  }
  rmSync(scene, { recursive: true })
})

const keyTraces = () => tracesOf('the key', Buffer.from(key.slice(2), 'hex'))
const passphraseTraces = () => tracesOf('the passphrase', passphrase)
const allTraces = () => [...keyTraces(), ...passphraseTraces()]

type Scene = {
  readonly parent: number
  readonly signer: number
  readonly child: ChildProcess
  output(): string
}

/** Starts a parent, and returns once its signer has signed. */
async function start(
  how: string,
  where: string,
  options: { command?: string[]; fd?: 'pipe' | number } = {},
): Promise<Scene> {
  const { path, execArgv } = entryPoint(import.meta.url, './keyParent')
  const argv = [process.execPath, ...execArgv, path, directory, how, where]
  const [command = '', ...rest] =
    options.command?.flatMap((part) => (part === '…' ? [quote(argv)] : [part])) ?? argv
  const child = spawn(command, rest, {
    stdio: ['pipe', 'pipe', 'pipe', 'ignore', ...(options.fd === undefined ? [] : [options.fd])],
    env: { PATH: process.env.PATH },
  })
  running.push(child)
  let output = ''
  const told = new Promise<{ parent: number; signer: number }>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr] as Readable[])
      stream.setEncoding('utf8').on('data', (text: string) => {
        // Typed only when it was asked for: what is typed before is shown by the terminal.
        if (how === 'prompt' && !output.includes('Passphrase') && (output + text).includes('Passphrase'))
          child.stdin?.write(Buffer.concat([passphrase, Buffer.from('\r')]))
        output += text
        const line = /^\{"parent".*\}/m.exec(output)?.[0]
        if (line !== undefined) resolve(JSON.parse(line))
      })
    child.once('exit', (code) => reject(new Error(`the parent ended with ${code}: ${output}`)))
  })
  if (options.fd === 'pipe') (child.stdio[4] as Writable).end(passphrase)
  return { ...(await told), child, output: () => output }
}

const quote = (argv: readonly string[]): string =>
  argv.map((part) => `'${part.replaceAll("'", "'\\''")}'`).join(' ')

function passphraseFile(): string {
  const path = join(scene, 'passphrase')
  writeFileSync(path, Buffer.concat([passphrase, Buffer.from('\n')]), { mode: 0o600 })
  return path
}

/** What of some traces is in the memory of a parent, by looking into it or by having it write down its heap. */
async function inMemoryOf(
  { parent, child }: Scene,
  traces: ReturnType<typeof allTraces>,
): Promise<readonly string[]> {
  const found = findInMemory(parent, traces)
  if (found !== null) return found
  const written = once(child.stdout as Readable, 'data')
  process.kill(parent, 'SIGUSR2')
  await written
  return findIn(readFileSync(join(scene, 'parent.heapsnapshot')), traces)
}

const canType = existsSync('/usr/bin/script')
const ways: [string, boolean, () => Promise<Scene>][] = [
  ['in a file', true, () => start('file', passphraseFile())],
  ['by an inherited pipe', true, () => start('fd', '4', { fd: 'pipe' })],
  [
    'by an inherited file',
    true,
    () => {
      const fd = openSync(passphraseFile(), 'r')
      const started = start('fd', '4', { fd })
      closeSync(fd)
      return started
    },
  ],
  [
    canType ? 'on a terminal' : 'on a terminal (left out: /usr/bin/script, which makes one, is not there)',
    canType,
    () => start('prompt', '', { command: ['/usr/bin/script', '-qefc', '…', '/dev/null'] }),
  ],
]

describe.each(ways)('a passphrase that is given %s', (_how, isPossible, open) => {
  test.runIf(isPossible)('is nowhere afterwards, and neither is the key', async () => {
    const started = await open()
    expect(await inMemoryOf(started, allTraces())).toEqual([])
    // Not even the signer keeps the passphrase: opening the keys was all that it was for.
    expect(findInMemory(started.signer, passphraseTraces()) ?? []).toEqual([])
    if (existsSync('/proc/self/environ'))
      for (const pid of [started.parent, started.signer])
        for (const file of ['environ', 'cmdline'])
          expect(findIn(readFileSync(`/proc/${pid}/${file}`), allTraces())).toEqual([])
    const files = readdirSync(join(directory, 'keystore')).map((name) => join(directory, 'keystore', name))
    expect(files).toHaveLength(1)
    const log = readFileSync(join(directory, 'rialto.log'), 'utf8')
    expect(log.match(/"msg":"(?:signed|refused)"/g)).toEqual([
      '"msg":"signed"',
      ...Array(2).fill('"msg":"refused"'),
    ])
    expect(findInFiles(directory, allTraces(), [])).toEqual([])
    expect(findIn(Buffer.from(started.output()), allTraces())).toEqual([])
  })
})

describe('the search finds', () => {
  test.runIf(existsSync('/proc/self/mem'))(
    'the key in the memory of the signer, where it has to be',
    async () => {
      const started = await start('file', passphraseFile())
      expect(findInMemory(started.signer, keyTraces())).toContain('the key in hex')
      // Opening the keys was all that it needed the passphrase for.
      expect(findInMemory(started.signer, passphraseTraces())).toEqual([])
    },
  )

  test('key and passphrase in a parent that opens the keystore itself', async () => {
    const started = await start('careless', passphraseFile())
    const found = await inMemoryOf(started, allTraces())
    expect(found).toContain('the key in hex')
    expect(found).toContain('the passphrase as bytes')
  })

  test('every form of a secret in a file, and says which', () => {
    const path = join(directory, 'planted')
    for (const trace of allTraces()) {
      writeFileSync(path, Buffer.concat([randomBytes(100), trace.bytes, randomBytes(100)]))
      expect(findInFiles(directory, allTraces(), [])).toContain(`${trace.name}: ${path}`)
    }
  })
})
