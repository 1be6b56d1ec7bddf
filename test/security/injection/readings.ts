/** Everything that a text can be read as by a reader who wants to understand it: hidden, encoded and disguised text. */

/** How often what was decoded is decoded again. */
const DEPTH = 3
/** How much of a text is read. */
const MOST = 4_000

/** Letters of other scripts that are drawn like Latin ones. */
const LOOKALIKES: Readonly<Record<string, string>> = Object.fromEntries(
  [...'аaеeоoрpсcхxуyіiѕsјjԁdһhЅSАAВBЕEКKМMНHОOРPСCТTХXԜWѡwɡgοoΟOαaΑA'].flatMap((letter, index, all) =>
    index % 2 === 0 ? [[letter, all[index + 1] ?? '']] : [],
  ),
)
const LEET: Readonly<Record<string, string>> = { '0': 'o', '1': 'i', '3': 'e', '4': 'a', '5': 's', '7': 't' }

const isReadable = (text: string): boolean => text.length >= 4 && /^[\x20-\x7e\s]+$/.test(text)

/** Each gives what a text may also be read as. */
const decoders: readonly ((text: string) => readonly string[])[] = [
  // What is drawn alike, and what is not drawn at all.
  (text) => [text.normalize('NFKC').replaceAll(/\p{Default_Ignorable_Code_Point}|\u{2800}/gu, '')],
  (text) => [[...text].map((letter) => LOOKALIKES[letter] ?? letter).join('')],
  // Tags and variation selectors that carry bytes.
  (text) => [between(text, 0xe0020, 0xe007e, 0xe0000)],
  (text) => [
    [...text]
      .map((letter) => letter.codePointAt(0) ?? 0)
      .flatMap((point) =>
        point >= 0xfe00 && point <= 0xfe0f
          ? [point - 0xfe00]
          : point >= 0xe0100 && point <= 0xe01ef
            ? [point - 0xe0100 + 16]
            : [],
      )
      .map((byte) => String.fromCharCode(byte))
      .join(''),
  ],
  (text) =>
    [...text.replaceAll(/\s+/g, '').matchAll(/[A-Za-z0-9+/]{16,}={0,2}/g)].map(([chunk]) =>
      Buffer.from(chunk, 'base64').toString('latin1'),
    ),
  (text) =>
    [...text.matchAll(/[A-Za-z0-9+/]{16,}={0,2}/g)].map(([chunk]) =>
      Buffer.from(chunk, 'base64').toString('latin1'),
    ),
  (text) =>
    [...text.matchAll(/(?:[0-9a-f]{2}){8,}/gi)].map(([chunk]) =>
      Buffer.from(chunk, 'hex').toString('latin1'),
    ),
  (text) => [
    text
      .replaceAll(/\\x([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)))
      .replaceAll(/\\u([0-9a-f]{4})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    text.replaceAll(/%([0-9a-f]{2})/gi, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    text.replaceAll(/&#(\d{1,6});/g, (_, point) => String.fromCodePoint(Number(point) % 0x10000)),
  ],
  (text) =>
    /rot13/i.test(text)
      ? [
          text.replaceAll(/[a-z]/gi, (letter) => {
            const base = letter <= 'Z' ? 65 : 97
            return String.fromCharCode(((letter.charCodeAt(0) - base + 13) % 26) + base)
          }),
        ]
      : [],
  (text) => (/backwards|\u202e/i.test(text) ? [[...text].reverse().join('')] : []),
  // Letters apart, digits for letters, and words in parts.
  (text) => [text.replaceAll(/\b(\w) (?=\w\b)/g, '$1')],
  (text) =>
    /[a-z][013457]|[013457][a-z]/i.test(text)
      ? [text.replaceAll(/[013457]/g, (digit) => LEET[digit] ?? digit)]
      : [],
  (text) => (/part/i.test(text) ? [[...text.matchAll(/"([^"]*)"/g)].map(([, part]) => part).join('')] : []),
]

function between(text: string, first: number, last: number, base: number): string {
  return [...text]
    .map((letter) => letter.codePointAt(0) ?? 0)
    .filter((point) => point >= first && point <= last)
    .map((point) => String.fromCharCode(point - base))
    .join('')
}

/** All readings of a text, itself first, each once. */
export function readingsOf(text: string): readonly string[] {
  const known = new Set([text.slice(0, MOST)])
  let latest = [...known]
  for (let depth = 0; depth < DEPTH; depth += 1) {
    const found = latest
      .flatMap((reading) => decoders.flatMap((decode) => decode(reading)))
      .filter((reading) => reading !== '' && !known.has(reading))
      .filter((reading, index, all) => all.indexOf(reading) === index)
      // Bytes that are no text are no reading; what was text before stays one.
      .filter((reading) => isReadable(reading) || /\p{L}{2}/u.test(reading))
    for (const reading of found) known.add(reading)
    latest = found
  }
  return [...known]
}
