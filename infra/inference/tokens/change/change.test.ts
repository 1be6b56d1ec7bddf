import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { generateTokenKey } from '../blindRsa/keys.ts'
import type { TokenRequest } from '../privacyPass/issuance.ts'
import { changeDigest } from './changeDigest.ts'
import { changeDue, requireChangeRequests, signChange } from './signChange.ts'
import { bindSpend, judgeSpend, mayRedeliver, requireSpend, type Spend } from './spend.ts'

const code = (value: string) => expect.objectContaining({ code: value })
const spend = (count: number): Spend => ({
  nullifiers: Array.from({ length: count }, () => randomBytes(32)),
  binding: randomBytes(32),
})

describe('bindSpend', () => {
  const parameters = { innerRequestHash: new Uint8Array(32), blindedMessages: [new Uint8Array(256)] }

  it('gives the same for the same, and another value for any other', () => {
    const base = bindSpend(parameters)
    expect(bindSpend(parameters)).toEqual(base)
    const [first] = parameters.blindedMessages
    const others = [
      { ...parameters, innerRequestHash: new Uint8Array(32).fill(1) },
      { ...parameters, blindedMessages: [] },
      { ...parameters, blindedMessages: [first, first] as Uint8Array[] },
      { ...parameters, blindedMessages: [new Uint8Array(256).fill(1)] },
    ].map(bindSpend)
    expect(new Set([base, ...others].map((each) => Buffer.from(each).toString('hex'))).size).toBe(5)
  })

  it('heeds the order of the blinded messages, since the first ones are signed', () => {
    const [a, b] = [randomBytes(256), randomBytes(256)]
    const bind = (blindedMessages: Uint8Array[]) => bindSpend({ ...parameters, blindedMessages })
    expect(bind([a, b])).not.toEqual(bind([b, a]))
  })

  it('is SHA-256 over the bytes that its description names', () => {
    // python3: sha256(b"rialto spend v1\0" + bytes(32) + b"\0\1" + bytes(256))
    expect(Buffer.from(bindSpend(parameters)).toString('hex')).toBe(
      'f11e56d73486a9751257219e3f90bee55edf7ec24e10ff540c59c016d7b83dea',
    )
  })

  it('refuses what has another length', () => {
    expect(() => bindSpend({ ...parameters, innerRequestHash: new Uint8Array(31) })).toThrow(
      code('TOKEN_FORMAT'),
    )
    expect(() => bindSpend({ ...parameters, blindedMessages: [new Uint8Array(255)] })).toThrow(
      code('TOKEN_FORMAT'),
    )
  })
})

describe('judgeSpend', () => {
  const held = spend(2)

  it('tells new, repeated and stolen apart', () => {
    expect(judgeSpend([undefined, undefined], held)).toBe('fresh')
    expect(judgeSpend([held, held], { ...held, nullifiers: held.nullifiers.toReversed() })).toBe('repeated')
    const refused: [(Spend | undefined)[], Spend][] = [
      [[held, held], { ...held, binding: randomBytes(32) }],
      [[held, undefined], held],
      [[undefined, held], held],
      [[held, spend(2)], held],
      [[held], { ...held, nullifiers: held.nullifiers.slice(0, 1) }],
    ]
    for (const [previous, given] of refused)
      expect(() => judgeSpend(previous, given)).toThrow(code('NULLIFIER_SPENT'))
  })

  it('takes no spend that names nothing or one token twice', () => {
    const [first = randomBytes(32)] = held.nullifiers
    for (const nullifiers of [[], [first, first], [first, Buffer.from(first)]])
      expect(() => requireSpend({ ...held, nullifiers })).toThrow(code('NULLIFIER_TWICE'))
    expect(() => requireSpend({ ...held, binding: randomBytes(31) })).toThrow(code('TOKEN_FORMAT'))
    expect(() => requireSpend({ ...held, nullifiers: [randomBytes(33)] })).toThrow(code('TOKEN_FORMAT'))
  })

  it('delivers again for sixty seconds', () => {
    expect(mayRedeliver({ answeredAt: 1_000, now: 60_999 })).toBe(true)
    expect(mayRedeliver({ answeredAt: 1_000, now: 61_000 })).toBe(false)
  })
})

describe('changeDigest', () => {
  it('is the beginning of the SHA-256 of a blinded message', () => {
    // python3: sha256(bytes(256)).hexdigest()[:32]
    expect(Buffer.from(changeDigest(new Uint8Array(256))).toString('hex')).toBe(
      '5341e6b2646979a70e57653007a1f310',
    )
    expect(() => changeDigest(new Uint8Array(255))).toThrow(code('TOKEN_FORMAT'))
  })
})

describe('change', async () => {
  const pair = await generateTokenKey()
  const truncatedTokenKeyId = pair.publicKey.id[31] ?? 0
  const message = () => Buffer.concat([Uint8Array.of(1), randomBytes(255)])
  const requests = Array.from(
    { length: 4 },
    (): TokenRequest => ({ truncatedTokenKeyId, blindedMessage: message() }),
  )
  const request = { keys: [pair], requests, paid: 4 }

  it('is never more than was paid, and all of it without a signed usage', () => {
    fc.assert(
      fc.property(fc.nat(16), fc.option(fc.nat(40)), (paid, used) => {
        const due = changeDue({ paid, used })
        expect(due).toBe(used === null ? paid : paid > used ? paid - used : 0)
      }),
    )
    for (const used of [-1, 0.5, Number.NaN])
      expect(() => changeDue({ paid: 4, used })).toThrow(code('INVARIANT'))
  })

  it('is signed for the first requests, and the same again', () => {
    const once = signChange({ ...request, due: 3 })
    expect(once).toHaveLength(3)
    expect(signChange({ ...request, due: 3 })).toEqual(once)
    expect(signChange({ ...request, due: 4 }).slice(0, 3)).toEqual(once)
    expect(signChange({ ...request, due: 0 })).toEqual([])
  })

  it('cannot be asked for beyond what was paid, or twice on one message', () => {
    const [first = requests[0]] = requests
    const twice = [first, first, first, first] as TokenRequest[]
    expect(() => requireChangeRequests({ ...request, paid: 3 })).toThrow(code('CHANGE_REQUEST'))
    expect(() => requireChangeRequests({ ...request, paid: 5 })).toThrow(code('CHANGE_REQUEST'))
    expect(() => requireChangeRequests({ ...request, requests: twice })).toThrow(code('CHANGE_REQUEST'))
    expect(() => signChange({ ...request, due: 5 })).toThrow(code('INVARIANT'))
  })

  it('is refused before the payment when it could not be signed after', () => {
    const withFirst = (blindedMessage: Uint8Array, id = truncatedTokenKeyId) => ({
      ...request,
      requests: [{ truncatedTokenKeyId: id, blindedMessage }, ...requests.slice(1)],
    })
    expect(() => requireChangeRequests(withFirst(new Uint8Array(256).fill(255)))).toThrow(
      code('BLINDED_MESSAGE'),
    )
    expect(() => requireChangeRequests(withFirst(message(), truncatedTokenKeyId ^ 1))).toThrow(
      code('TOKEN_KEY_UNKNOWN'),
    )
  })
})
