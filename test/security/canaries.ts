import { randomBytes } from 'node:crypto'
import { InvariantError } from '../../runtime/core/errors.ts'

/** Something that must not be found. */
export type Canary = { readonly name: string; readonly bytes: Buffer }

/** Where one was found, and how it was written. */
export type Find = { readonly canary: string; readonly as: string; readonly at: number }

const ALPHABET = 'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'
/** Characters of a canary's text: 190 bits. */
const LENGTH = 32
/** Bytes of what is looked for. What is cut off anywhere, or split in two, still holds one such window. */
const WINDOW = 12
const STRIDE = 6

/** A text that occurs nowhere else. Letters and digits only, so that JSON and URLs leave it as it is. */
export const randomText = (): string =>
  Array.from(randomBytes(LENGTH), (byte) => ALPHABET[byte % ALPHABET.length]).join('')

export const canaryOf = (name: string, content: string | Uint8Array): Canary => ({
  name,
  bytes: Buffer.from(content),
})

/** The windows of a canary: all of one that is short. */
function windowsOf({ name, bytes }: Canary): readonly Buffer[] {
  if (bytes.length < 8) throw new InvariantError('A canary so short is found anywhere.', { name })
  if (bytes.length <= WINDOW) return [bytes]
  const windows: Buffer[] = []
  for (let at = 0; at + WINDOW < bytes.length; at += STRIDE) windows.push(bytes.subarray(at, at + WINDOW))
  windows.push(bytes.subarray(bytes.length - WINDOW))
  return windows
}

/** Base64 of bytes that begin so many bytes behind a multiple of three, without the characters they share with others. */
function base64At(bytes: Buffer, behind: number, encoding: 'base64' | 'base64url'): string {
  const text = Buffer.concat([Buffer.alloc(behind), bytes])
    .toString(encoding)
    .replaceAll('=', '')
  const whole = Math.floor(((behind + bytes.length) * 8) / 6)
  return text.slice(Math.ceil((behind * 8) / 6), whole)
}

const hexOf = (bytes: Buffer, before: string, between = ''): string =>
  [...bytes].map((byte) => before + byte.toString(16).padStart(2, '0')).join(between)

/** Every way in which bytes are likely to be written down. */
function encodingsOf(bytes: Buffer): readonly (readonly [as: string, needle: Buffer])[] {
  const texts: [string, string][] = [
    ['hex', hexOf(bytes, '')],
    ['bytes in hex', hexOf(bytes, '', ' ')],
    ['percent', hexOf(bytes, '%')],
    ['json \\u', hexOf(bytes, '\\u00')],
    ['\\x', hexOf(bytes, '\\x')],
    ['decimals', [...bytes].join(',')],
    ['decimals, spaced', [...bytes].join(', ')],
  ]
  const utf16 = Buffer.from(bytes.toString('latin1'), 'utf16le')
  return [
    ['plain', bytes],
    ['utf-16le', utf16],
    ['utf-16be', Buffer.from(utf16).swap16()],
    ...texts.flatMap(([as, text]): [string, Buffer][] => [
      [as, Buffer.from(text)],
      // Digits may be written in either case, prefixes as `\x` in one only.
      [
        `${as}, upper case`,
        Buffer.from(text.toUpperCase().replaceAll('\\U', '\\u').replaceAll('\\X', '\\x')),
      ],
    ]),
    ...[0, 1, 2].flatMap((behind): [string, Buffer][] => [
      [`base64 at ${behind}`, Buffer.from(base64At(bytes, behind, 'base64'))],
      [`base64url at ${behind}`, Buffer.from(base64At(bytes, behind, 'base64url'))],
    ]),
  ]
}

type Needle = { readonly canary: string; readonly as: string; readonly bytes: Buffer }

/**
 * Makes a search for many canaries at once, in every encoding. One pass over the bytes however many there are: the
 * first four bytes of each needle are looked up, behind a bitmap that lets almost nothing else through.
 *
 * @example createSearch([canaryOf('prompt', text)])(Buffer.from(`…${btoa(text)}…`)) // [{ canary: 'prompt', as: 'base64 at 0', at: 3 }]
 */
export function createSearch(canaries: readonly Canary[]): (bytes: Uint8Array) => readonly Find[] {
  const byHead = new Map<number, Needle[]>()
  const isLikely = new Uint8Array(1 << 22)
  const slotOf = (head: number): number => Math.imul(head, 0x9e3779b1) >>> 10
  for (const canary of canaries)
    for (const window of windowsOf(canary))
      for (const [as, bytes] of encodingsOf(window)) {
        const head = bytes.readInt32BE(0)
        const needles = byHead.get(head) ?? []
        byHead.set(head, needles)
        if (needles.some((each) => each.bytes.equals(bytes))) continue
        needles.push({ canary: canary.name, as, bytes })
        isLikely[slotOf(head)] = 1
      }

  return (bytes) => {
    const hay = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    const found = new Map<string, Find>()
    let head = 0
    for (let end = 0; end < hay.length; end++) {
      head = (head << 8) | (hay[end] ?? 0)
      if (end < 3 || isLikely[slotOf(head)] === 0) continue
      const at = end - 3
      for (const { canary, as, bytes: needle } of byHead.get(head) ?? [])
        if (hay.subarray(at, at + needle.length).equals(needle) && !found.has(canary + as))
          found.set(canary + as, { canary, as, at })
    }
    return [...found.values()]
  }
}
