import { createHash } from 'node:crypto'
import * as nodeFs from 'node:fs'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { type Address, type Hex, keccak256, numberToHex } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AttemptId, Hash, IntentId } from '../../runtime/core/ids.ts'
import { planHash } from '../../runtime/core/lifecycle.ts'
import { dearer, planOf, requestOf } from '../../test/conformance/signerFixture.ts'
import { buildTransaction } from './buildTransaction.ts'
import type { LedgerEntry } from './createSigner.ts'
import { type LedgerFs, openLedger } from './ledger.ts'

const ACCOUNT: Address = '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'
const scope = { chainId: 31_337, genesisHash: `0x${'aa'.repeat(32)}` as Hash }

let folder: string
let path: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-ledger-'))
  path = join(folder, 'ledger.jsonl')
})
afterEach(() => rmSync(folder, { recursive: true }))

const signedEntry = (n: number): LedgerEntry & { kind: 'signed' } => {
  const raw: Hex = `0x02${'ab'.repeat(100)}${numberToHex(n, { size: 4 }).slice(2)}`
  return {
    kind: 'signed',
    account: ACCOUNT,
    nonce: BigInt(n),
    noncesUsed: 1,
    planHash: keccak256(numberToHex(n)),
    plan: planOf(ACCOUNT, { intentId: `intent-${n}` as IntentId }),
    signedAt: 1_700_000_000n + BigInt(n),
    moved: [{ token: 'USDC', amount: BigInt(n) }],
    attemptId: `intent-${n}.1` as AttemptId,
    fence: BigInt(n),
    raw,
    hash: keccak256(raw),
  }
}

/** Writes entries and closes. */
function fill(count: number): void {
  const ledger = openLedger(path, scope)
  for (let n = 1; n <= count; n++) ledger.append(signedEntry(n))
  ledger.close()
}

const known = (n: number, within = scope) => {
  const ledger = openLedger(path, within)
  ledger.close()
  return ledger.history.find(ACCOUNT, `intent-${n}.1` as AttemptId)
}

describe('openLedger', () => {
  test('remembers what was given up, on the chain that it was given up on alone', () => {
    const ledger = openLedger(path, scope)
    const attemptId = 'intent-1.1' as AttemptId
    ledger.append({ kind: 'abandoned', account: ACCOUNT, attemptId })
    ledger.close()
    const isAbandoned = (within = scope) => {
      const reopened = openLedger(path, within)
      reopened.close()
      return reopened.history.isAbandoned(ACCOUNT, attemptId)
    }
    expect(isAbandoned()).toBe(true)
    expect(isAbandoned({ ...scope, chainId: 1 })).toBe(false)
  })

  test('remembers the last standing of an account, on its own chain, and none where none was recorded', () => {
    fill(1)
    const standingOf = (within = scope) => {
      const ledger = openLedger(path, within)
      ledger.close()
      return ledger.history.standingOf(ACCOUNT)
    }
    // A ledger from before standings were kept.
    expect(standingOf()).toBe(0n)
    const ledger = openLedger(path, scope)
    ledger.append({ kind: 'standing', account: ACCOUNT, seconds: 604_800n, denial: null })
    expect(standingOf()).toBe(604_800n)
    expect(standingOf({ ...scope, chainId: 1 })).toBe(0n)
    ledger.append({ kind: 'standing', account: ACCOUNT, seconds: 0n, denial: 'ALLOWANCE' })
    ledger.close()
    expect(standingOf()).toBe(0n)
    expect(known(1)).not.toBeNull()
  })

  test('gives back what was appended, and only its owner may read the file', () => {
    fill(3)
    const { kind: _kind, ...record } = signedEntry(2)
    expect(known(2)).toEqual(record)
    expect(known(4)).toBeNull()
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const ledger = openLedger(path, scope)
    expect(ledger).toMatchObject({ entries: 3, tornBytes: 0 })
    expect(ledger.history.fenceOf(ACCOUNT)).toBe(3n)
    ledger.append({ kind: 'fence', account: ACCOUNT, fence: 9n })
    ledger.close()
    const again = openLedger(path, scope)
    again.close()
    expect(again.history.fenceOf(ACCOUNT)).toBe(9n)
  })

  test('gives back whole plans, letter by letter, and what moved and when', () => {
    const via = {
      kind: 'roles',
      modifier: ACCOUNT.toLowerCase() as Address,
      multiSend: ACCOUNT,
      roleKey: `0x${'Ab'.repeat(32)}`,
      sender: ACCOUNT,
    } as const
    const entry = { ...signedEntry(1), fence: 'protector' as const }
    const plan = { ...entry.plan, delegateTo: null, via }
    const { kind: _kind, ...record } = { ...entry, plan }
    const ledger = openLedger(path, scope)
    ledger.append({ ...entry, plan })
    ledger.close()
    const again = openLedger(path, scope)
    again.close()
    expect(again.history.signedFrom(ACCOUNT, 0n)).toEqual([record])
    expect(again.history.fenceOf(ACCOUNT)).toBeNull()
    expect(again.history.latest()).toBe(record.signedAt)
    const asked = { nonce: 9n, signedAt: record.signedAt, moved: [] }
    expect(again.history.totalWith(ACCOUNT, 100, asked, 'USDC')).toBe(1n)
  })

  test('reads entries from before plans were kept, and makes of their bytes what can be made', async () => {
    const plan = planOf(ACCOUNT)
    const key = privateKeyToAccount(`0x${'4c'.repeat(32)}`)
    const { raw, hash } = await buildTransaction(key, plan, 7n)
    const old = {
      kind: 'signed',
      ...scope,
      account: ACCOUNT,
      fence: '3',
      nonce: '7',
      noncesUsed: 2,
      planHash: planHash(plan),
      intentId: plan.intentId,
      attemptId: 'intent-1.1',
      raw,
      hash,
    }
    const json = JSON.stringify(old)
    const digest = createHash('sha256').update('0'.repeat(64)).update(json).digest('hex')
    writeFileSync(path, `{"sha256":"${digest}","entry":${json}}\n`, { mode: 0o600 })
    const ledger = openLedger(path, scope)
    const [attempt] = ledger.history.signedFrom(ACCOUNT, 0n)
    expect(attempt).toMatchObject({
      raw,
      planHash: planHash(plan),
      signedAt: 0n,
      moved: [],
      plan: {
        intentId: plan.intentId,
        calls: plan.calls,
        delegateTo: plan.delegateTo,
        gasLimit: plan.gasLimit,
        maxFeePerGas: plan.maxFeePerGas,
        lastValidBlock: plan.lastValidBlock,
        policyVersion: '',
      },
    })
    // It answers the same request with the same bytes, and holds nonce and intent as every other.
    expect(ledger.history.replay(requestOf(plan, { fence: 3n }))?.raw).toBe(raw)
    const other = requestOf(planOf(ACCOUNT, dearer(plan)), { attemptId: 'b' as AttemptId, fence: 3n })
    expect(() => ledger.history.admit({ ...other, nonce: 9n }, 'other')).toThrow('on nonce 7')
    expect(() => ledger.history.admit(other, 'other')).not.toThrow()
    ledger.append(signedEntry(9))
    ledger.close()
    expect(known(9)).not.toBeNull()
  })

  test('is one JSON object a line', () => {
    fill(2)
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).entry)).toMatchObject([{ nonce: '1' }, { nonce: '2' }])
  })

  test('keeps chains apart that share an id', () => {
    fill(2)
    const other = { ...scope, genesisHash: `0x${'bb'.repeat(32)}` as Hash }
    expect(known(1, other)).toBeNull()
    expect(known(1, { ...scope, chainId: 1 })).toBeNull()
    const ledger = openLedger(path, other)
    expect(ledger.entries).toBe(2)
    ledger.append({ ...signedEntry(1), fence: 50n })
    ledger.close()
    expect(known(1)?.fence).toBe(1n)
    expect(known(1, other)?.fence).toBe(50n)
  })

  test('cuts off an entry that a crash left torn, wherever it was torn, and goes on', () => {
    fill(3)
    const whole = readFileSync(path)
    const lastLine = whole.lastIndexOf(10, whole.length - 2) + 1
    fc.assert(
      fc.property(fc.integer({ min: lastLine + 1, max: whole.length - 1 }), (cut) => {
        writeFileSync(path, whole.subarray(0, cut))
        const ledger = openLedger(path, scope)
        expect(ledger).toMatchObject({ entries: 2, tornBytes: cut - lastLine })
        ledger.append(signedEntry(3))
        ledger.close()
        expect(readFileSync(path)).toEqual(whole)
      }),
      { numRuns: 30 },
    )
  })

  test('also when the torn end is what an unwritten block holds', () => {
    fill(2)
    appendFileSync(path, Buffer.alloc(4096))
    const ledger = openLedger(path, scope)
    expect(ledger).toMatchObject({ entries: 2, tornBytes: 4096 })
    ledger.close()
  })

  test('refuses to start when any whole line was changed, removed, repeated or moved', () => {
    fill(4)
    const text = readFileSync(path, 'utf8')
    const lines = text.trimEnd().split('\n')
    const [a, b, c, d] = lines as [string, string, string, string]
    const damaged = [
      [a, b.replace('"nonce":"2"', '"nonce":"3"'), c, d],
      [a, b, c, d.replace('"nonce":"4"', '"nonce":"5"')],
      [a, c, d],
      [b, c, d],
      [a, c, b, d],
      [a, b, b, c, d],
      [a, 'not json', c, d],
      [a, '', b, c, d],
      ['{}', ...lines],
    ]
    for (const version of damaged) {
      writeFileSync(path, `${version.join('\n')}\n`)
      expect(() => openLedger(path, scope)).toThrow(expect.objectContaining({ code: 'LEDGER_CORRUPT' }))
    }
    writeFileSync(path, text)
    expect(known(4)).not.toBeNull()
  })

  test('any flipped bit in a whole line is found', () => {
    fill(3)
    const whole = readFileSync(path)
    fc.assert(
      fc.property(fc.nat(whole.length - 2), fc.nat(7), (at, bit) => {
        const damaged = Buffer.from(whole)
        damaged.writeUInt8(damaged.readUInt8(at) ^ (1 << bit), at)
        writeFileSync(path, damaged)
        expect(() => openLedger(path, scope)).toThrow(expect.objectContaining({ code: 'LEDGER_CORRUPT' }))
      }),
      { numRuns: 60 },
    )
  })
})

describe('append', () => {
  const failing = (changes: Partial<LedgerFs>): LedgerFs => ({ ...nodeFs, ...changes })
  const full = () => {
    throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
  }

  test('signs nothing when the disk is full, says so, and goes on when there is room again', () => {
    let room = 0
    const fs = failing({
      // As a disk does: takes what fits, then nothing.
      writeSync: ((fd: number, data: Buffer, offset: number, length: number) => {
        if (room === 0) return full()
        const part = Math.min(room, length)
        room -= part
        return nodeFs.writeSync(fd, data, offset, part)
      }) as LedgerFs['writeSync'],
    })
    const ledger = openLedger(path, scope, fs)
    room = 10_000
    ledger.append(signedEntry(1))
    const size = statSync(path).size
    room = 100
    expect(() => ledger.append(signedEntry(2))).toThrow(
      expect.objectContaining({ code: 'LEDGER_UNWRITABLE', message: expect.stringContaining('ENOSPC') }),
    )
    expect(statSync(path).size).toBe(size)
    room = 10_000
    ledger.append(signedEntry(2))
    ledger.close()
    expect(known(2)).not.toBeNull()
  })

  test('writes on when the system takes an entry in parts', () => {
    const fs = failing({
      writeSync: ((fd: number, data: Buffer, offset: number, length: number) =>
        nodeFs.writeSync(fd, data, offset, Math.min(7, length))) as LedgerFs['writeSync'],
    })
    const ledger = openLedger(path, scope, fs)
    ledger.append(signedEntry(1))
    ledger.close()
    expect(known(1)).not.toBeNull()
  })

  test('stops for good when what a failed write left cannot be removed', () => {
    let fails = true
    const fs = failing({
      writeSync: ((fd: number, data: Buffer, offset: number, length: number) => {
        if (!fails) return nodeFs.writeSync(fd, data, offset, length)
        nodeFs.writeSync(fd, data, offset, 20)
        return full()
      }) as LedgerFs['writeSync'],
      ftruncateSync: full as LedgerFs['ftruncateSync'],
    })
    const ledger = openLedger(path, scope, fs)
    expect(() => ledger.append(signedEntry(1))).toThrow(
      expect.objectContaining({ code: 'LEDGER_UNWRITABLE' }),
    )
    fails = false
    expect(() => ledger.append(signedEntry(1))).toThrow(
      expect.objectContaining({ code: 'LEDGER_UNWRITABLE' }),
    )
    ledger.close()
    // The next start removes it.
    expect(known(1)).toBeNull()
    fill(1)
    expect(known(1)).not.toBeNull()
  })

  test('stops for good when a sync fails: what is on the disk is not known', () => {
    let fails = true
    const fs = failing({
      fdatasyncSync: (fd: number) => (fails ? full() : nodeFs.fdatasyncSync(fd)),
    })
    const ledger = openLedger(path, scope, fs)
    expect(() => ledger.append(signedEntry(1))).toThrow(
      expect.objectContaining({ code: 'LEDGER_UNWRITABLE' }),
    )
    fails = false
    expect(() => ledger.append(signedEntry(2))).toThrow(
      expect.objectContaining({ message: expect.stringContaining('sync failed') }),
    )
    ledger.close()
  })

  test('syncs before it returns', () => {
    const order: string[] = []
    const fs = failing({
      writeSync: ((fd: number, data: Buffer, offset: number, length: number) => {
        order.push('write')
        return nodeFs.writeSync(fd, data, offset, length)
      }) as LedgerFs['writeSync'],
      fdatasyncSync: (fd: number) => {
        order.push('sync')
        nodeFs.fdatasyncSync(fd)
      },
    })
    const ledger = openLedger(path, scope, fs)
    ledger.append(signedEntry(1))
    ledger.close()
    expect(order).toEqual(['write', 'sync'])
  })

  test('refuses when somebody else writes to the file', () => {
    const ledger = openLedger(path, scope)
    const other = openLedger(path, scope)
    other.append(signedEntry(1))
    expect(() => ledger.append(signedEntry(1))).toThrow(
      expect.objectContaining({ message: expect.stringContaining('another process wrote to it') }),
    )
    ledger.close()
    other.close()
  })

  test('says what to do when the folder cannot be written', () => {
    expect(() => openLedger(join(folder, 'nowhere', 'ledger.jsonl'), scope)).toThrow(
      expect.objectContaining({ code: 'LEDGER_UNWRITABLE', message: expect.stringContaining('ENOENT') }),
    )
  })
})
