import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { entryPoint } from '../../infra/process/entryPoint.ts'
import { openStore, type Store } from '../../infra/store/openStore.ts'
import { agentId } from '../../runtime/core/ids.ts'
import { CHAIN_ID, fakeAddress, fakeHash } from './journalFixture.ts'

const GENESIS = fakeHash('writer')
const ACCOUNT = fakeAddress('writer')

let directory: string
let child: ChildProcess | null = null
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-faults-'))
})
afterEach(async () => {
  await kill()
  rmSync(directory, { recursive: true })
})

/** Starts a writer. `lines` are what it says, as they come. */
function startWriter(env: NodeJS.ProcessEnv = {}) {
  const { path, execArgv } = entryPoint(import.meta.url, './journalWriter')
  const writer = spawn(process.execPath, [...execArgv, path, directory], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  })
  child = writer
  return createInterface({ input: writer.stdout })[Symbol.asyncIterator]()
}

async function kill(): Promise<void> {
  if (child === null || child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

type Lines = ReturnType<typeof startWriter>

async function nextLine(lines: Lines): Promise<string> {
  const { value, done } = await lines.next()
  if (done === true) return expect.unreachable('the writer ended by itself')
  return value
}

/** Checks what a killed writer left against what it was told is done. */
async function examine(acknowledged: { signed: number; settled: number }): Promise<void> {
  const store = await openStore({ directory })
  try {
    const journal = await store.journals.open(CHAIN_ID, GENESIS)
    const attempts = await journal.attempts()
    const intents = new Map((await journal.intents()).map((intent) => [intent.id, intent]))
    expect(attempts.filter(({ raw }) => raw !== null).length).toBeGreaterThanOrEqual(acknowledged.signed)
    const settled = attempts.filter(({ status }) => status === 'confirmed')
    expect(settled.length).toBeGreaterThanOrEqual(acknowledged.settled)
    // Whole or not at all: the parts of each step are all there, whichever step was the last.
    for (const run of await journal.runs()) if (run.status === 'decided') expect(run.decision).not.toBeNull()
    for (const { id, intentId, status, actual, spent } of attempts) {
      expect((await journal.steps(id)).at(-1)?.to).toBe(status)
      if (intentId === null) expect.unreachable('the writer only acts')
      expect(intents.get(intentId)?.status).toBe(status === 'confirmed' ? 'done' : 'signed')
      expect(actual === null).toBe(status !== 'confirmed')
      expect(spent === null).toBe(status !== 'confirmed')
    }
    expect(await nonces(store)).toEqual(attempts.map(({ nonce }) => nonce))
    const last = attempts.at(-1)
    expect(await journal.nextNonce(ACCOUNT)).toBe(last === undefined ? null : last.nonce + 1n)
    expect((await journal.history(agentId('writer'), ACCOUNT, 0n)).inFlight).toBe(
      attempts.length - settled.length,
    )
  } finally {
    await store.close()
  }
}

async function nonces({ database }: Store): Promise<bigint[]> {
  const { rows } = await database.pool.query<{ nonce: string }>(
    'SELECT nonce FROM rialto.nonces ORDER BY nonce',
  )
  return rows.map(({ nonce }) => BigInt(nonce))
}

describe('a journal whose process is killed with SIGKILL', () => {
  it('has every acknowledged write and no half of one, again and again', async () => {
    const acknowledged = { signed: 0, settled: 0 }
    // Where it is killed differs in what is under way: right after the opening, early, and in full swing.
    for (const after of [0, 3, 25]) {
      const lines = startWriter()
      expect(await nextLine(lines)).toBe('open')
      for (let heard = 0; heard < after; heard += 1) {
        const [step, n] = (await nextLine(lines)).split(' ')
        expect(step).toMatch(/signed|settled/)
        acknowledged[step as 'signed' | 'settled'] += 1
        expect(Number(n)).toBeGreaterThan(0)
      }
      await kill()
      await examine(acknowledged)
    }
  }, 120_000)

  it('lets nobody else in while it lives, and the next one right after', async () => {
    const lines = startWriter()
    expect(await nextLine(lines)).toBe('open')
    await expect(openStore({ directory })).rejects.toMatchObject({
      code: 'DIRECTORY_IN_USE',
      message: expect.stringContaining(`process ${child?.pid}`),
    })
    await kill()
    await (await openStore({ directory })).close()
  })
})

describe('a journal whose disk is full', () => {
  const preload = fileURLToPath(new URL('./fullDisk.cjs', import.meta.url))
  const startOn = (flag: string) =>
    startWriter({ NODE_OPTIONS: `--require ${preload}`, RIALTO_TEST_FULL_DISK: flag })

  it('says so, and has lost nothing that it acknowledged when there is room again', async () => {
    const flag = join(directory, 'full')
    const lines = startOn(flag)
    const acknowledged = { signed: 0, settled: 0 }
    expect(await nextLine(lines)).toBe('open')
    let failure = ''
    while (failure === '') {
      const [step = '', code = ''] = (await nextLine(lines)).split(' ')
      if (step === 'failed') failure = code
      else acknowledged[step as 'signed' | 'settled'] += 1
      if (acknowledged.settled === 5) writeFileSync(flag, '')
    }
    expect(failure).toBe('DISK_FULL')
    // The process goes on, and every write says the same.
    for (let more = 0; more < 3; more += 1) expect(await nextLine(lines)).toBe('failed DISK_FULL')
    await kill()
    await examine(acknowledged)
  })

  it('does not open, new or not, and opens when there is room again', async () => {
    const flag = join(directory, 'full')
    for (const isNew of [true, false]) {
      writeFileSync(flag, '')
      expect(await nextLine(startOn(flag)), isNew ? 'new' : 'not new').toBe('failed DISK_FULL')
      rmSync(flag)
      const lines = startOn(flag)
      expect(await nextLine(lines)).toBe('open')
      await kill()
    }
  })
})
