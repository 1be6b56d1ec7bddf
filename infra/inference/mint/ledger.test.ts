import { randomBytes } from 'node:crypto'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openLedger, purchaseDigest } from './ledger.ts'
import { newFolder } from './mint.fixture.ts'

const hex = () => randomBytes(32).toString('hex')
const digest = () => randomBytes(16).toString('base64url')
const [ACCOUNT, KEY, ENDED] = [hex(), hex(), hex()]

const open = (path: string, parameters: { now?: () => number; ended?: readonly string[] } = {}) =>
  openLedger({
    path,
    now: parameters.now ?? Date.now,
    isListed: (key) => parameters.ended?.includes(key) !== true,
  })

describe('a ledger', () => {
  it('holds after a restart what it held before, whatever happened', async () => {
    const path = join(newFolder(), 'ledger.log')
    const accounts = Array.from({ length: 4 }, hex)
    const step = fc.oneof(
      fc.record({ kind: fc.constant('credit' as const), who: fc.nat(3), tokens: fc.nat(50) }),
      fc.record({
        kind: fc.constant('charge' as const),
        who: fc.nat(3),
        tokens: fc.integer({ min: 1, max: 20 }),
      }),
      fc.record({ kind: fc.constant('restart' as const), who: fc.nat(3), tokens: fc.nat(1) }),
    )
    const expected = new Map<string, number>()
    const signed: string[] = []
    let ledger = await open(path)
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        for (const { kind, who, tokens } of steps) {
          const account = accounts[who] ?? ACCOUNT
          const has = expected.get(account)
          if (kind === 'credit') {
            ledger.credit(account, tokens, tokens % 2 === 0 ? 'configured' : 'faucet')
            expected.set(account, (has ?? 0) + tokens)
          } else if (kind === 'charge') {
            const purchases = Array.from({ length: tokens }, (_, at) => ({
              digest: digest(),
              key: at % 2 === 0 ? KEY : ENDED,
            }))
            if ((has ?? 0) < tokens) expect(() => ledger.charge(account, purchases)).toThrow()
            else {
              ledger.charge(account, purchases)
              expected.set(account, (has ?? 0) - tokens)
              signed.push(...purchases.map((one) => one.digest))
            }
          } else {
            await ledger.close()
            ledger = await open(path)
          }
          for (const each of accounts) expect(ledger.balance(each)).toBe(expected.get(each))
        }
        for (const each of signed) expect([KEY, ENDED]).toContain(ledger.keyOf(each))
      }),
      { numRuns: 60 },
    )
    await ledger.close()
  })

  it('knows a purchase by account, key byte and blinded message, each of them', () => {
    const request = randomBytes(259)
    const other = Buffer.from(request)
    other.writeUInt8((other[258] ?? 0) ^ 1, 258)
    const digests = [
      purchaseDigest(ACCOUNT, request),
      purchaseDigest(KEY, request),
      purchaseDigest(ACCOUNT, other),
      purchaseDigest(ACCOUNT, request.subarray(1)),
    ]
    expect(new Set(digests).size).toBe(4)
    expect(purchaseDigest(ACCOUNT, Buffer.from(request))).toBe(digests[0])
  })

  it('is written anew when most of it is of keys that have ended, and loses nothing else', async () => {
    const path = join(newFolder(), 'ledger.log')
    let time = 1_900_000_000_000
    const now = () => time
    const ledger = await open(path, { now })
    const other = hex()
    ledger.credit(ACCOUNT, 30_000, 'configured')
    ledger.credit(other, 10, 'faucet')
    const kept = Array.from({ length: 1_000 }, digest)
    for (const [key, digests] of [
      [ENDED, Array.from({ length: 20_000 }, digest)],
      [KEY, kept],
    ] as const)
      for (let at = 0; at < digests.length; at += 250)
        ledger.charge(
          ACCOUNT,
          digests.slice(at, at + 250).map((one) => ({ digest: one, key })),
        )
    await ledger.close()
    const before = statSync(path).size
    time += 60_000
    for (let round = 0; round < 3; round++) {
      const again = await open(path, { now, ended: [ENDED] })
      expect(statSync(path).size).toBeLessThan(before / 10)
      expect(statSync(path).mode & 0o077).toBe(0)
      expect(again.balance(ACCOUNT)).toBe(9_000 - round)
      expect([again.balance(other), again.configured(ACCOUNT), again.faucetAccounts(3_600_000)]).toEqual([
        10, 30_000, 1,
      ])
      for (const one of kept) expect(again.keyOf(one)).toBe(KEY)
      again.charge(ACCOUNT, [{ digest: digest(), key: KEY }])
      await again.recorded()
      await again.close()
    }
  })

  it('keeps all before a last line that a crash tore, at whichever byte', async () => {
    const path = join(newFolder(), 'ledger.log')
    const ledger = await open(path)
    ledger.credit(ACCOUNT, 10, 'configured')
    await ledger.recorded()
    const whole = statSync(path).size
    const paid = digest()
    ledger.charge(ACCOUNT, [{ digest: paid, key: KEY }])
    await ledger.close()
    const content = readFileSync(path)
    for (let cut = whole; cut < content.length; cut += 7) {
      writeFileSync(path, content.subarray(0, cut))
      const again = await open(path)
      expect([again.balance(ACCOUNT), again.keyOf(paid)]).toEqual([10, undefined])
      await again.close()
    }
    writeFileSync(path, content)
    const last = await open(path)
    expect([last.balance(ACCOUNT), last.keyOf(paid)]).toEqual([9, KEY])
    await last.close()
  })

  it('forgets what was signed with a key that has ended, and not that it was paid', async () => {
    const ledger = await open(join(newFolder(), 'ledger.log'))
    ledger.credit(ACCOUNT, 10, 'configured')
    const [first, second] = [digest(), digest()]
    ledger.charge(ACCOUNT, [
      { digest: first, key: ENDED },
      { digest: second, key: KEY },
    ])
    ledger.forget(ENDED)
    expect([ledger.keyOf(first), ledger.keyOf(second), ledger.balance(ACCOUNT)]).toEqual([undefined, KEY, 8])
    await ledger.close()
  })
})
