import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { tsxModule } from '../../process/entryPoint.ts'
import {
  hasMadePassphrase,
  madePassphrase,
  PASSPHRASE_VARIABLE,
  readPassphrase,
  requireLong,
  takePassphrase,
} from './passphrase.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-passphrase-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const keystoreError = (text: string) =>
  expect.objectContaining({ code: 'KEYSTORE', message: expect.stringContaining(text) })
function file(content: string | Buffer, mode = 0o600): string {
  const path = join(folder, 'secret')
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}
const read = async (path: string) => (await readPassphrase({ kind: 'file', path })).toString()

describe('a passphrase file', () => {
  test.each([
    ['secret', 'secret'],
    ['secret\n', 'secret'],
    ['secret\r\n', 'secret'],
    ['secret\n\n', 'secret\n'],
    [' two words ', ' two words '],
    ['schlüssel 🔑\n', 'schlüssel 🔑'],
  ])('of %j gives %j', async (content, passphrase) => {
    expect(await read(file(content))).toBe(passphrase)
  })

  test.each<[string, () => string, string]>([
    ['is empty', () => file(''), 'it is empty'],
    ['holds a line break alone', () => file('\n'), 'it is empty'],
    ['is long', () => file(Buffer.alloc(5000, 97)), 'too long'],
    ['may be read by others', () => file('secret', 0o640), 'Others than its owner'],
    ['is not there', () => join(folder, 'none'), 'ENOENT'],
    ['is a folder', () => folder, 'EISDIR'],
  ])('that %s is refused', async (_what, path, message) => {
    await expect(read(path())).rejects.toThrow(keystoreError(message))
  })
})

describe('a file descriptor', () => {
  const script = `
    import { fstatSync } from 'node:fs'
    import { readPassphrase } from ${JSON.stringify(new URL('./passphrase.ts', import.meta.url).href)}
    const answers = []
    for (const fd of process.argv.slice(2).map(Number)) {
      const said = await readPassphrase({ kind: 'fd', fd }).then(String, (error) => error.message)
      let open = true
      try { fstatSync(fd) } catch { open = false }
      answers.push({ said, open })
    }
    console.log(JSON.stringify(answers))`
  const run = (fds: string, redirect = '') => {
    const path = join(folder, 'read.mjs')
    writeFileSync(path, script)
    writeFileSync(join(folder, 'secret'), 'from a file\n')
    const node = `"${process.execPath}" --import "${tsxModule('dist/loader.mjs').href}" "${path}"`
    const { stdout, stderr } = spawnSync('bash', ['-c', `${node} ${fds} ${redirect}`], {
      encoding: 'utf8',
      cwd: folder,
    })
    expect(stderr).toBe('')
    return JSON.parse(stdout) as { said: string; open: boolean }[]
  }

  test.each([
    ['a pipe', '5< <(printf "from a pipe\\n")', 'from a pipe'],
    ['a pipe that is written to slowly', '5< <(printf fr; printf om; printf " two parts")', 'from two parts'],
    ['a file', '5< secret', 'from a file'],
  ])('that is %s is read to its end and closed', (_what, redirect, passphrase) => {
    expect(run('5', redirect)).toEqual([{ said: passphrase, open: false }])
  })

  test('that is nothing, or none that was inherited, is refused', () => {
    expect(run('77')[0]?.said).toBe('File descriptor 77 is not open.')
    expect(run('5', '5< /dev/null')[0]?.said).toBe('File descriptor 5 is neither a pipe nor a file.')
    expect(run('5', '5< <(:)')[0]?.said).toMatch(/it is empty/)
  })

  test.runIf(existsSync('/proc/self/fd'))("that is the runtime's own is refused, and nothing hangs", () => {
    const fds = Array.from({ length: 25 }, (_, at) => at + 3)
    for (const { said } of run(fds.join(' ')))
      expect(said).toMatch(/is not open|was not inherited|neither a pipe nor a file/)
  })
})

test('the environment gives it once', () => {
  const variables = { [PASSPHRASE_VARIABLE]: 'secret', PATH: '/bin' }
  expect(takePassphrase(variables)?.toString()).toBe('secret')
  expect(variables).toEqual({ PATH: '/bin' })
  expect(takePassphrase(variables)).toBeNull()
  expect(() => takePassphrase({ [PASSPHRASE_VARIABLE]: '' })).toThrow(keystoreError('empty'))
})

describe('the passphrase beside the keys', () => {
  test('is made once, random and for its owner alone', () => {
    expect(hasMadePassphrase(folder)).toBe(false)
    const made = madePassphrase(folder, true).toString()
    expect(made).toMatch(/^[\w-]{43}$/)
    expect(hasMadePassphrase(folder)).toBe(true)
    expect(statSync(join(folder, 'passphrase')).mode & 0o777).toBe(0o600)
    expect(madePassphrase(folder, false).toString()).toBe(made)
    expect(readFileSync(join(folder, 'passphrase'), 'utf8')).toBe(`${made}\n`)
  })

  test('is refused when it is missing, empty or readable by others', () => {
    expect(() => madePassphrase(folder, false)).toThrow(keystoreError('is missing'))
    const path = join(folder, 'passphrase')
    writeFileSync(path, '\n', { mode: 0o600 })
    expect(() => madePassphrase(folder, true)).toThrow(keystoreError('is empty'))
    writeFileSync(path, 'x\n')
    chmodSync(path, 0o644)
    expect(() => madePassphrase(folder, true)).toThrow(keystoreError('Others than its owner'))
  })
})

test.each([
  ['elevenchars', false],
  ['twelve chars', true],
  ['ééééééééééé', false],
  ['🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑🔑', true],
])('a new passphrase of %s is long enough: %s', (text, isLong) => {
  const check = () => requireLong(Buffer.from(text))
  if (isLong) expect(check).not.toThrow()
  else expect(check).toThrow(keystoreError('at least 12 characters'))
})
