/**
 * Editing the members of a JSON object where they stand, so that everything else stays as it was written, byte for
 * byte: a number of thirty digits, a key that is there twice, an image of two megabytes.
 */

/** Where one member of an object is. Offsets are in bytes. */
export type Member = {
  readonly name: string
  /** Of the quote before its name. */
  readonly start: number
  readonly valueStart: number
  readonly valueEnd: number
}

const quote = 0x22
const backslash = 0x5c
const opens = (byte: number | undefined) => byte === 0x7b || byte === 0x5b
const closes = (byte: number | undefined) => byte === 0x7d || byte === 0x5d
const isBlank = (byte: number | undefined) => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
const endsScalar = (byte: number | undefined) => byte === 0x2c || closes(byte) || isBlank(byte)

/**
 * The members of the object that begins at an offset (blanks may precede it), in their order.
 *
 * @param json UTF-8. What is no JSON gives `undefined`, or members that mean nothing: parse it first where it matters
 */
export function membersOf(json: Uint8Array, from = 0): Member[] | undefined {
  const members: Member[] = []
  let at = skipBlanks(json, from)
  if (json[at] !== 0x7b) return undefined
  at = skipBlanks(json, at + 1)
  if (json[at] === 0x7d) return members
  for (;;) {
    const start = at
    const nameEnd = skipString(json, start)
    if (nameEnd === undefined) return undefined
    const name = readString(json, start, nameEnd)
    at = skipBlanks(json, nameEnd)
    if (name === undefined || json[at] !== 0x3a) return undefined
    const valueStart = skipBlanks(json, at + 1)
    const valueEnd = skipValue(json, valueStart)
    if (valueEnd === undefined) return undefined
    members.push({ name, start, valueStart, valueEnd })
    at = skipBlanks(json, valueEnd)
    if (json[at] === 0x7d) return members
    if (json[at] !== 0x2c) return undefined
    at = skipBlanks(json, at + 1)
  }
}

/**
 * An object with some of its members set or removed.
 *
 * Of a name that is there twice, the last place is kept and the others go: parsers do not agree on which of them
 * counts. A new name comes last.
 *
 * @param members of {@link membersOf}
 * @param edits JSON text for a name, or `undefined` to remove it
 */
export function editMembers(
  json: Uint8Array,
  members: readonly Member[],
  edits: ReadonlyMap<string, string | undefined>,
): Uint8Array {
  if (edits.size === 0) return json
  const last = new Map(members.map(({ name }, index) => [name, index]))
  const parts: Uint8Array[] = []
  const add = (...pieces: readonly Uint8Array[]) => {
    parts.push(parts.length === 0 ? brace : comma, ...pieces)
  }
  for (const [index, { name, start, valueStart, valueEnd }] of members.entries()) {
    if (!edits.has(name)) add(json.subarray(start, valueEnd))
    else if (last.get(name) === index) {
      const value = edits.get(name)
      if (value !== undefined) add(json.subarray(start, valueStart), Buffer.from(value))
    }
  }
  for (const [name, value] of edits)
    if (value !== undefined && !last.has(name)) add(Buffer.from(`${JSON.stringify(name)}:${value}`))
  if (parts.length === 0) parts.push(brace)
  parts.push(endBrace)
  return Buffer.concat(parts)
}

const brace = Buffer.from('{')
const comma = Buffer.from(',')
const endBrace = Buffer.from('}')

/** The text of the string between two offsets, its quotes included. */
export function readString(json: Uint8Array, start: number, end: number): string | undefined {
  const text = Buffer.from(json.buffer, json.byteOffset + start, end - start).toString('utf8')
  if (!text.includes('\\')) return text.slice(1, -1)
  try {
    return JSON.parse(text) as string
  } catch {
    return undefined
  }
}

function skipBlanks(json: Uint8Array, from: number): number {
  let at = from
  while (isBlank(json[at])) at++
  return at
}

/** Where the string ends that begins here. Strings can be long, so its quote is searched for, not walked to. */
function skipString(json: Uint8Array, start: number): number | undefined {
  if (json[start] !== quote) return undefined
  for (let end = json.indexOf(quote, start + 1); end !== -1; end = json.indexOf(quote, end + 1)) {
    let before = end - 1
    while (json[before] === backslash) before--
    if ((end - before) % 2 === 1) return end + 1
  }
  return undefined
}

function skipValue(json: Uint8Array, start: number): number | undefined {
  if (json[start] === quote) return skipString(json, start)
  let at = start
  if (!opens(json[at])) {
    while (at < json.length && !endsScalar(json[at])) at++
    return at > start ? at : undefined
  }
  for (let depth = 0; at < json.length; ) {
    const byte = json[at]
    if (byte === quote) {
      const end = skipString(json, at)
      if (end === undefined) return undefined
      at = end
      continue
    }
    at++
    if (opens(byte)) depth++
    else if (closes(byte) && --depth === 0) return at
  }
  return undefined
}
