import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Address } from 'viem'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { entryPoint } from '../../infra/process/entryPoint.ts'
import { type ConnectedSigner, connectSigner } from '../../infra/signer/connectSigner.ts'
import {
  type CreateSignerProcessParameters,
  createSignerProcess,
  type SignerProcess,
} from '../../infra/signer/createSignerProcess.ts'
import { decodeLine, encodeMessage, type Message } from '../../infra/signer/messages.ts'
import type { AttemptId, IntentId } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import type { SignRequest } from '../../runtime/core/ports.ts'
import { book, dearer, GENESIS, honestCalls, planOf, policy, policyOf, requestOf } from './signerFixture.ts'

// Derived keys open faster than stored ones.
const KEY = { kind: 'derived', seed: '1' } as const

let directory: string
let opened: { close(): Promise<void> }[]
let parents: ChildProcess[]
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-signer-'))
  opened = []
  parents = []
})
afterEach(async () => {
  for (const parent of parents) parent.kill('SIGKILL')
  for (const { close } of opened) await close()
  rmSync(directory, { recursive: true })
})

const parameters = (changes: Partial<CreateSignerProcessParameters> = {}) => ({
  directory,
  chainId: book.chainId,
  genesisHash: GENESIS,
  book,
  accounts: [{ label: 'one', key: KEY, policies: [policy] }],
  ...changes,
})

async function open(changes: Partial<CreateSignerProcessParameters> = {}): Promise<SignerProcess> {
  const signer = await createSignerProcess(parameters(changes))
  opened.push(signer)
  return signer
}

async function protect(): Promise<ConnectedSigner> {
  const signer = await connectSigner({ directory })
  opened.push(signer)
  return signer
}

/** A process that starts a signer with the same parameters as {@link open}. @returns the signer's pid */
async function startParent(): Promise<{ parent: ChildProcess; pid: number }> {
  const { path, execArgv } = entryPoint(import.meta.url, './signerParent')
  const parent = spawn(process.execPath, [...execArgv, path, directory, '', KEY.seed], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  parents.push(parent)
  const [line] = await once(parent.stdout, 'data')
  return { parent, pid: Number(String(line)) }
}

async function kill(parent: ChildProcess): Promise<void> {
  const exit = once(parent, 'exit')
  parent.kill('SIGKILL')
  await exit
}

/** A process whose parent was killed stays a zombie where nobody reaps. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'))
  } catch {
    return false
  }
}
const isGone = (pid: number) => vi.waitFor(() => expect(isRunning(pid)).toBe(false), 10_000)

const socketFile = () => join(directory, 'signer', 'socket.json')
const told = () => JSON.parse(readFileSync(socketFile(), 'utf8')) as { path: string; secret: string }

/** The socket itself, spoken to by whoever found it. */
async function openRaw(path = told().path) {
  const socket = connect(path)
  await once(socket, 'connect')
  let rest = ''
  const answers: { id: number; result?: unknown; error?: { code: string; message: string } }[] = []
  const waiting = new Map<number, (answer: (typeof answers)[number]) => void>()
  socket.on('data', (chunk: Buffer) => {
    const lines = (rest + chunk.toString()).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) {
      const answer = decodeLine(line) as (typeof answers)[number]
      answers.push(answer)
      waiting.get(answer.id)?.(answer)
    }
  })
  socket.on('error', () => {})
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  opened.push({ close: async () => void socket.destroy() })
  let id = 0
  return {
    closed,
    send: (text: string) => socket.write(text),
    ask: (method: Message['method'], params: unknown): Promise<(typeof answers)[number]> =>
      new Promise((resolve) => {
        id += 1
        waiting.set(id, resolve)
        socket.write(encodeMessage({ id, method, params }))
      }),
  }
}

let intents = 0
/** A rescue on a nonce of its own, as the protector asks for it. */
function rescue(account: Address, nonce: bigint, changes: Partial<Plan> = {}): SignRequest {
  intents += 1
  const plan = planOf(account, { intentId: `rescue-${intents}` as IntentId, delegateTo: null, ...changes })
  return requestOf(plan, { nonce, fence: 'protector' })
}

describe('a protector', () => {
  test('keeps the signer alive when its parent is killed, and a new parent takes it over', async () => {
    const { parent, pid } = await startParent()
    const protector = await protect()
    const [account] = (await protector.accounts()) as [Address]
    await kill(parent)
    const first = rescue(account, 0n)
    const signed = await protector.sign(first)
    expect(isRunning(pid)).toBe(true)

    const signer = await open()
    expect(signer.pid).toBe(pid)
    expect(signer.started.accounts).toEqual([{ label: 'one', address: account, created: false }])
    expect(await signer.signedFrom(account, 0n)).toMatchObject([{ ...signed, attemptId: first.attemptId }])
    // What either has had signed binds the other, and fencing tokens go on rising.
    const calls = honestCalls(account).withdraw
    const next = (nonce: bigint, fence: bigint) => ({ ...rescue(account, nonce, { calls }), fence })
    await expect(signer.sign(next(0n, 7n))).rejects.toMatchObject({ code: 'NONCE_SIGNED' })
    await signer.sign(next(1n, 7n))
    await expect(signer.sign(next(2n, 6n))).rejects.toMatchObject({ code: 'FENCED' })
    const other = next(1n, 7n)
    const over = rescue(account, 1n, dearer(other.plan))
    await expect(protector.sign(over)).resolves.toBeDefined()

    await signer.close()
    expect(isRunning(pid)).toBe(true)
    await expect(protector.lookup(account, first.attemptId)).resolves.toEqual(signed)
    await protector.close()
    await isGone(pid)
  })

  test('without one, the signer ends with its parent, and a new one is started', async () => {
    const { parent, pid } = await startParent()
    await kill(parent)
    const signer = await open()
    expect(signer.pid).not.toBe(pid)
    await isGone(pid)
  })

  test('is led to the next signer, when a parent with another policy replaces the one that it kept', async () => {
    const { parent, pid } = await startParent()
    const protector = await protect()
    const [account] = (await protector.accounts()) as [Address]
    await protector.sign(rescue(account, 0n))
    await kill(parent)
    const strict = policyOf({ cooldownSeconds: 1 })
    const accounts = [{ label: 'one', key: KEY, policies: [strict] }]
    const signer = await open({ accounts })
    expect(signer.pid).not.toBe(pid)
    await isGone(pid)
    await expect(protector.sign(rescue(account, 1n))).rejects.toMatchObject({
      code: 'PLAN_REFUSED',
      details: { denial: 'PLAN_MISMATCH' },
    })
    await expect(
      protector.sign(rescue(account, 1n, { policyVersion: strict.version })),
    ).resolves.toBeDefined()
    expect(await signer.signedFrom(account, 0n)).toHaveLength(2)
  })

  test('may ask for nothing but what reduces risk and what was signed', async () => {
    const signer = await open()
    const account = signer.addressOf('one')
    const protector = await protect()
    const lease = { ...rescue(account, 0n), fence: 1n }
    await expect(protector.sign(lease)).rejects.toMatchObject({ code: 'SIGNER_REQUEST' })
    const greedy = rescue(account, 0n, { calls: honestCalls(account).borrow })
    await expect(protector.sign(greedy)).rejects.toMatchObject({ details: { denial: 'TRADING_REDUCING' } })
    await expect(protector.abandon(account, 'a' as AttemptId)).rejects.toMatchObject({
      code: 'SIGNER_REQUEST',
    })
    const raw = await openRaw()
    await raw.ask('hello', { secret: told().secret, role: 'protector' })
    for (const method of ['end', 'abandon', 'start', 'hello'] as const)
      expect((await raw.ask(method, parameters())).error?.code).toBe('SIGNER_REQUEST')
    await expect(signer.sign(lease)).resolves.toBeDefined()
    expect(await protector.signedFrom(account, 0n)).toHaveLength(1)
  })

  test('is told clearly that no signer runs', async () => {
    await expect(connectSigner({ directory })).rejects.toMatchObject({
      code: 'SIGNER_GONE',
      retryable: true,
      message: `No signer runs for ${directory}.`,
      fix: 'Start it with "rialto start" or "rialto signer", and try again.',
    })
    const signer = await open()
    const protector = await protect()
    process.kill(signer.pid as number, 'SIGKILL')
    await vi.waitFor(() => expect(signer.pid).toBeNull())
    await expect(protector.accounts()).rejects.toMatchObject({ code: 'SIGNER_GONE', retryable: true })
    // The owner's next request starts it again, and then the protector has one too.
    const account = signer.addressOf('one')
    await signer.sign({ ...rescue(account, 0n), fence: 1n })
    expect(await protector.accounts()).toEqual([account])
    await protector.close()
    await expect(protector.accounts()).rejects.toMatchObject({ code: 'SIGNER_GONE' })
  })

  test('says what is wrong when the file that should tell of the socket is none', async () => {
    mkdirSync(join(directory, 'signer'), { recursive: true })
    writeFileSync(socketFile(), '{"path":"/nowhere"}')
    await expect(connectSigner({ directory })).rejects.toMatchObject({ code: 'SIGNER_CONFIGURATION' })
    await expect(open()).rejects.toMatchObject({ code: 'SIGNER_CONFIGURATION' })
  })
})

describe('the socket', () => {
  test('is its owner’s alone, and is gone with the signer', async () => {
    const signer = await open()
    const { path } = told()
    expect(path).toBe(join(directory, 'signer', 'socket'))
    expect(statSync(socketFile()).mode & 0o777).toBe(0o600)
    expect(statSync(join(directory, 'signer')).mode & 0o777).toBe(0o700)
    const { secret } = told()
    await signer.close()
    expect(() => statSync(path)).toThrow('ENOENT')
    expect(() => statSync(socketFile())).toThrow('ENOENT')
    // A secret holds for one start.
    await open()
    expect(told().secret).not.toBe(secret)
    const raw = await openRaw()
    expect((await raw.ask('hello', { secret, role: 'owner' })).error?.code).toBe('SIGNER_REQUEST')
    await raw.closed
  })

  test('is elsewhere where the folder’s path is too long for one', async () => {
    const deep = join(directory, 'a'.repeat(120))
    const signer = await open({ directory: deep })
    const { path } = JSON.parse(readFileSync(join(deep, 'signer', 'socket.json'), 'utf8')) as { path: string }
    expect(path.length).toBeLessThan(100)
    const folder = join(path, '..')
    expect(statSync(folder).mode & 0o777).toBe(0o700)
    const protector = await connectSigner({ directory: deep })
    expect(await protector.accounts()).toEqual([signer.addressOf('one')])
    await protector.close()
    await signer.close()
    expect(() => statSync(folder)).toThrow('ENOENT')
  })

  test('answers nobody who does not say who he is, and lives on', async () => {
    const signer = await open()
    const account = signer.addressOf('one')
    const { secret } = told()
    const attempts: [Message['method'], unknown][] = [
      ['accounts', {}],
      ['sign', rescue(account, 0n)],
      ['end', null],
      ['hello', { secret: '0'.repeat(64), role: 'protector' }],
      ['hello', { secret: secret.slice(1), role: 'protector' }],
      ['hello', { secret, role: 'admin' }],
      ['hello', { secret, role: 'protector', more: 1 }],
      ['start', parameters()],
    ]
    for (const [method, params] of attempts) {
      const raw = await openRaw()
      expect((await raw.ask(method, params)).error?.code).toBe('SIGNER_REQUEST')
      await raw.closed
    }
    for (const text of ['no json\n', 'x'.repeat(3 << 20)]) {
      const raw = await openRaw()
      raw.send(text)
      await raw.closed
    }
    await expect(signer.sign({ ...rescue(account, 0n), fence: 1n })).resolves.toBeDefined()
  })

  test('takes one owner at a time', async () => {
    await open()
    const raw = await openRaw()
    const { error } = await raw.ask('hello', { secret: told().secret, role: 'owner' })
    expect(error?.code).toBe('SIGNER_LOCKED')
    await raw.closed
    const protector = await openRaw()
    expect((await protector.ask('hello', { secret: told().secret, role: 'protector' })).error).toBeUndefined()
  })
})
