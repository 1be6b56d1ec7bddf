import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { InvalidInputError } from '../../../runtime/core/errors.ts'

/** A text that an attacker wrote, and where it stands. */
export type HostileText = {
  /** The folder: by which way such a text would come in. */
  readonly kind: string
  /** The file's name without its ending. */
  readonly name: string
  readonly text: string
  /** For a model's answer that is more than its content: the members of the message, as they are. */
  readonly message: Readonly<Record<string, unknown>> | null
}

const note = z.string().optional()
const file = z.union([
  z.strictObject({
    text: z.string().min(1),
    /** How often the text is repeated, for what would be too large a file. */
    times: z.int().min(1).max(100_000).optional(),
    before: z.string().optional(),
    after: z.string().optional(),
    note,
  }),
  z.strictObject({ message: z.record(z.string(), z.unknown()), note }),
])

/**
 * Reads a folder of hostile texts: `<kind>/<name>.txt` is a text as it stands, without its last line break, and
 * `<kind>/<name>.json` one that needs escapes, repetition or a whole message (see the README beside this file).
 *
 * @throws {InvalidInputError} naming the file that is none of these.
 * @example const texts = loadCorpus(new URL('texts', import.meta.url).pathname)
 */
export function loadCorpus(folder: string): readonly HostileText[] {
  const entries = (path: string) =>
    readdirSync(path, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1))
  return entries(folder).flatMap((kind) => {
    if (!kind.isDirectory()) throw wrong(kind.name, 'lies outside of a kind')
    return entries(join(folder, kind.name)).map((entry) =>
      readOne(folder, kind.name, entry.name, entry.isFile()),
    )
  })
}

function readOne(folder: string, kind: string, fileName: string, isFile: boolean): HostileText {
  const path = `${kind}/${fileName}`
  const [, name, ending] = /^([a-z0-9-]+)\.(txt|json)$/.exec(fileName) ?? []
  if (!isFile || name === undefined) throw wrong(path, 'is no <name>.txt or <name>.json')
  const content = readFileSync(join(folder, kind, fileName), 'utf8')
  if (ending === 'txt') {
    const text = content.replace(/\n$/, '')
    if (text === '') throw wrong(path, 'is empty')
    return { kind, name, text, message: null }
  }
  const parsed = file.safeParse(parseJson(path, content))
  if (!parsed.success) throw wrong(path, 'holds neither a text nor a message')
  const { data } = parsed
  if ('message' in data) return { kind, name, text: JSON.stringify(data.message), message: data.message }
  const { before = '', text, times = 1, after = '' } = data
  return { kind, name, text: before + text.repeat(times) + after, message: null }
}

function parseJson(path: string, content: string): unknown {
  try {
    return JSON.parse(content)
  } catch {
    throw wrong(path, 'is no JSON')
  }
}

const wrong = (path: string, what: string): InvalidInputError =>
  new InvalidInputError(`The hostile text ${path} ${what}.`, {
    code: 'CORPUS',
    fix: 'See test/security/injection/README.md for what such a file holds.',
    details: { path },
  })
