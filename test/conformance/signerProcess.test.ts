import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as Keystore from 'ox/Keystore'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { entryPoint } from '../../infra/process/entryPoint.ts'
import {
  type CreateSignerProcessParameters,
  createSignerProcess,
  type SignerProcess,
} from '../../infra/signer/createSignerProcess.ts'
import { deriveKey } from '../../infra/signer/deriveKey.ts'
import { encodeMessage, type SignerAccount } from '../../infra/signer/messages.ts'
import type { IntentId } from '../../runtime/core/ids.ts'
import type { SignedTransaction } from '../../runtime/core/ports.ts'
import { tokenAmount, wei } from '../../runtime/core/units.ts'
import { encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import { encodeNotAfter } from '../../runtime/protocols/rialto/encode.ts'
import { openRawSigner, type RawSigner } from './rawSigner.ts'
import {
  book,
  GENESIS,
  honestCalls,
  names,
  planOf,
  policy,
  policyOf,
  requestOf,
  STRANGER,
} from './signerFixture.ts'

const ACCOUNT: SignerAccount = { label: 'one', key: { kind: 'derived', seed: '1' }, policies: [policy] }
const KEY = deriveKey({ label: 'one', seed: '1' })
const address = privateKeyToAccount(KEY).address

let directory: string
let opened: { close(): Promise<void> }[]
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-signer-'))
  opened = []
})
afterEach(async () => {
  for (const { close } of opened) await close()
  rmSync(directory, { recursive: true })
})

const parameters = (changes: Partial<CreateSignerProcessParameters> = {}) => ({
  directory,
  chainId: book.chainId,
  genesisHash: GENESIS,
  book,
  accounts: [ACCOUNT],
  ...changes,
})

async function open(changes: Partial<CreateSignerProcessParameters> = {}): Promise<SignerProcess> {
  const signer = await createSignerProcess(parameters(changes))
  opened.push(signer)
  return signer
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

const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => null,
    (error: unknown) => error,
  )
const ledgerPath = () => join(directory, 'signer', 'ledger.jsonl')

/** The signer's process itself, spoken to as a parent that was taken over would. */
function openRaw(): RawSigner {
  const raw = openRawSigner()
  opened.push(raw)
  return raw
}

describe('crashes', () => {
  test('killed after the entry and before the answer: the same request gives the same bytes', async () => {
    const raw = openRaw()
    await raw.ask('start', parameters())
    const request = requestOf(planOf(address))
    // The answer is never read: to the parent the process died before it answered.
    const grown = new Promise<void>((resolve) => {
      const watcher = watch(ledgerPath(), () => {
        if (!readFileSync(ledgerPath(), 'utf8').endsWith('\n')) return
        watcher.close()
        resolve()
      })
    })
    raw.send(encodeMessage({ id: 1, method: 'sign', params: request }))
    await grown
    const exit = once(raw.child, 'exit')
    raw.child.kill('SIGKILL')
    await exit
    const recorded = JSON.parse(readFileSync(ledgerPath(), 'utf8')).entry.raw

    const signer = await open()
    expect(signer.started.ledger).toEqual({ entries: 1, tornBytes: 0 })
    expect((await signer.lookup(address, request.attemptId))?.raw).toBe(recorded)
    expect((await signer.sign(request)).raw).toBe(recorded)
    const calls = honestCalls(address).withdraw
    const other = requestOf(planOf(address, { intentId: 'intent-2' as IntentId, calls }))
    expect(await failure(signer.sign(other))).toMatchObject({ code: 'NONCE_SIGNED' })
    expect(readFileSync(ledgerPath(), 'utf8').trimEnd().split('\n')).toHaveLength(1)
  })

  test('what was asked of a process that dies is rejected at once, and the next request starts it again', async () => {
    const warnings: string[] = []
    const signer = await open({ logger: { warn: (_fields, message) => warnings.push(message) } })
    const request = requestOf(planOf(address))
    const signed = await signer.sign(request)
    const first = signer.pid as number
    const asked = signer.sign(
      requestOf(planOf(address, { intentId: 'intent-2' as IntentId }), { nonce: 20n }),
    )
    process.kill(first, 'SIGKILL')
    expect(await failure(asked)).toMatchObject({ code: 'SIGNER_GONE', retryable: true })
    expect(warnings).toHaveLength(1)
    expect(await signer.sign(request)).toEqual(signed)
    expect(signer.pid).not.toBe(first)
  })

  test('a torn last entry is cut off, and said', async () => {
    const before = await open()
    await before.sign(requestOf(planOf(address)))
    await before.close()
    const whole = readFileSync(ledgerPath())
    writeFileSync(ledgerPath(), Buffer.concat([whole, whole.subarray(0, 50)]))
    const warnings: object[] = []
    const signer = await open({ logger: { warn: (fields) => warnings.push(fields) } })
    expect(signer.started.ledger).toEqual({ entries: 1, tornBytes: 50 })
    expect(warnings).toEqual([{ tornBytes: 50 }])
    expect(readFileSync(ledgerPath())).toEqual(whole)
  })

  test('an edited ledger stops it', async () => {
    const before = await open()
    await before.sign(requestOf(planOf(address)))
    await before.close()
    writeFileSync(ledgerPath(), readFileSync(ledgerPath(), 'utf8').replace('"nonce":"7"', '"nonce":"8"'))
    expect(await failure(open())).toMatchObject({ code: 'LEDGER_CORRUPT' })
  })

  test('another genesis is another past', async () => {
    const request = requestOf(planOf(address))
    const before = await open()
    await before.sign(request)
    await before.close()
    const after = await open({ genesisHash: `0x${'bb'.repeat(32)}` })
    expect(await after.lookup(address, request.attemptId)).toBeNull()
    const other = requestOf(planOf(address, { intentId: 'intent-2' as IntentId }))
    await expect(after.sign(other)).resolves.toBeDefined()
  })

  test('it ends with its parent, however that one ends', async () => {
    const { path, execArgv } = entryPoint(import.meta.url, './signerParent')
    const parent = spawn(process.execPath, [...execArgv, path, directory], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(parent.stdout, 'data')
    const pid = Number(String(line))
    expect(() => process.kill(pid, 0)).not.toThrow()
    parent.kill('SIGKILL')
    // It lets go of the folder as the last thing it does; a second signer waits for that.
    const signer = await open()
    expect(signer.pid).not.toBe(pid)
    await vi.waitFor(() => expect(isRunning(pid)).toBe(false))
  })

  test('a second signer does not get the folder of one that runs', async () => {
    await open()
    expect(await failure(open())).toMatchObject({ code: 'SIGNER_LOCKED' })
  })

  test('a closed one answers nothing and leaves no process', async () => {
    const signer = await open()
    const pid = signer.pid as number
    await signer.close()
    expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    expect(existsSync(join(directory, 'signer', 'lock'))).toBe(false)
    expect(await failure(signer.sign(requestOf(planOf(address))))).toMatchObject({ code: 'SIGNER_GONE' })
  })

  test('Ctrl-C in a terminal does not end it before its parent does', async () => {
    const signer = await open()
    const pid = signer.pid as number
    process.kill(pid, 'SIGINT')
    process.kill(pid, 'SIGHUP')
    await signer.sign(requestOf(planOf(address)))
    expect(signer.pid).toBe(pid)
  })
})

describe('a parent that was taken over', () => {
  test('gets no plan signed that the policy does not allow, however it dresses it up', async () => {
    const { ask } = openRaw()
    await ask('start', parameters())
    const steal = planOf(address, {
      calls: [encodeTransfer(names.USDC, STRANGER, tokenAmount(1n)), encodeNotAfter(names.assert, 103n)],
    })
    const request = requestOf(steal)
    const attempts: unknown[] = [
      request,
      { ...request, policy: policyOf({ recipients: [STRANGER] }) },
      { ...request, plan: { ...steal, policy: policyOf({ recipients: [STRANGER] }) } },
      { ...request, plan: { ...steal, verdict: { allowed: true } } },
      requestOf({ ...steal, policyVersion: policyOf({ recipients: [STRANGER] }).version }),
      { ...request, plan: planOf(address) },
      { ...request, nonce: '7' },
      { ...request, nonce: -1n },
      { ...request, nonce: 2n ** 64n },
      { ...request, plan: null },
      requestOf(planOf(address, { calls: [{ to: STRANGER, value: wei(10n ** 18n), data: '0x' }] })),
      undefined,
    ]
    for (const attempt of attempts) {
      const { error, result } = await ask('sign', attempt)
      expect(result).toBeUndefined()
      expect(['PLAN_REFUSED', 'PLAN_HASH_MISMATCH', 'SIGNER_REQUEST']).toContain(error?.code)
    }
    expect(statSync(ledgerPath()).size).toBe(0)
  })

  test('cannot start it again with another policy, or ask it for anything else', async () => {
    const { ask, send } = openRaw()
    expect((await ask('sign', requestOf(planOf(address)))).error?.code).toBe('SIGNER_REQUEST')
    await ask('start', parameters())
    const loose = parameters({ accounts: [{ ...ACCOUNT, policies: [policyOf({ recipients: [STRANGER] })] }] })
    expect((await ask('start', loose)).error?.code).toBe('SIGNER_REQUEST')
    expect((await ask('export' as never, {})).error?.code).toBe('SIGNER_REQUEST')
    send('no json\n')
    await expect(ask('lookup', { account: address, attempt: 'a' })).resolves.toMatchObject({ result: null })
  })

  test('gets nothing but what it asked for, and never a key or a passphrase', async () => {
    const raw = openRaw()
    const answers = [
      await raw.ask('start', parameters()),
      await raw.ask('sign', requestOf(planOf(address))),
      await raw.ask('lookup', { account: address, attempt: 'intent-1.1' }),
      await raw.ask('sign', requestOf(planOf(STRANGER))),
    ]
    const passphrase = readFileSync(join(directory, 'keystore', 'passphrase'), 'utf8').trim()
    const told = `${JSON.stringify(answers, (_key, value) => (typeof value === 'bigint' ? `${value}` : value))}${raw.output()}`
    expect(told).not.toContain(KEY.slice(2))
    expect(told).not.toContain(passphrase)
    // And it is silent on the streams that end up in logs.
    expect(raw.output()).toBe('')
  })

  test('ends when it is sent a line without an end', async () => {
    const raw = openRaw()
    const exit = once(raw.child, 'exit')
    raw.send('x'.repeat(3 << 20))
    await exit
    expect(raw.output()).toBe('')
  })
})

test('what is wrong with the configuration crosses the pipe as it is', async () => {
  expect(await failure(open({ chainId: 1 }))).toMatchObject({
    code: 'SIGNER_CONFIGURATION',
    message: 'The address book is of chain 31337, and the signer is for chain 1.',
    fix: 'Correct the configuration and start again.',
  })
})

test('the memory of the parent holds no key and no passphrase', async () => {
  const { path, execArgv } = entryPoint(import.meta.url, './signerParent')
  const snapshot = join(directory, 'parent.heapsnapshot')
  const parent = spawn(process.execPath, [...execArgv, path, directory, snapshot], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(parent.stdout, 'data')
  const exit = once(parent, 'exit')
  parent.kill('SIGKILL')
  await exit
  const memory = readFileSync(snapshot, 'latin1')
  // It is the memory of who asked: what came back is there.
  const { raw } = JSON.parse(readFileSync(ledgerPath(), 'utf8')).entry as { raw: string }
  expect(memory).toContain(raw.slice(0, 400))

  const folder = join(directory, 'keystore')
  const passphrase = readFileSync(join(folder, 'passphrase'), 'utf8').trim()
  const name = readdirSync(folder).find((file) => file.endsWith('.json')) ?? expect.unreachable()
  const keystore = JSON.parse(readFileSync(join(folder, name), 'utf8'))
  const key = Keystore.decrypt(keystore, Keystore.toKey(keystore, { password: passphrase }))
  expect(`0x${name.slice(2, 42)}`).toBe(privateKeyToAccount(key).address.toLowerCase())
  for (const secret of [passphrase, key.slice(2), BigInt(key).toString()])
    expect(memory).not.toContain(secret)
})

describe.runIf(existsSync('/proc/self/environ'))('what the system shows of the processes', () => {
  test('no key, no passphrase, and an environment of nothing but PATH', async () => {
    process.env.RIALTO_TEST_SECRET = 'should-not-be-inherited'
    const signer = await open()
    delete process.env.RIALTO_TEST_SECRET
    const passphrase = readFileSync(join(directory, 'keystore', 'passphrase'), 'utf8').trim()
    const ofChild = readFileSync(`/proc/${signer.pid}/environ`, 'utf8')
    expect(ofChild.split('\0').filter((entry) => entry !== '' && !entry.startsWith('PATH='))).toEqual([])
    for (const pid of [signer.pid, process.pid])
      for (const file of ['environ', 'cmdline']) {
        const shown = readFileSync(`/proc/${pid}/${file}`, 'utf8')
        expect(shown).not.toContain(KEY.slice(2))
        expect(shown).not.toContain(passphrase)
      }
    const signed: SignedTransaction = await signer.sign(requestOf(planOf(address)))
    expect(Object.keys(signed).sort()).toEqual(['hash', 'noncesUsed', 'raw'])
  })
})
