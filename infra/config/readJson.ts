import { InvalidInputError } from '../../runtime/core/errors.ts'

/** Text that is no JSON, and where. Lines and columns count from 1. */
export class JsonSyntaxError extends InvalidInputError {
  override readonly name = 'JsonSyntaxError'
  readonly line: number
  readonly column: number
  /** What was found instead of what, without the place. */
  readonly reason: string
  constructor(reason: string, line: number, column: number) {
    super(`Line ${line}, column ${column}: ${reason}.`, {
      code: 'JSON_SYNTAX',
      fix: 'Correct the JSON there.',
      details: { line, column },
    })
    this.reason = reason
    this.line = line
    this.column = column
  }
}

/** A value, and the line of each of its parts. */
export type LocatedJson = {
  readonly value: unknown
  /** The line of the value at a path, or of the nearest part of the path that is there. */
  lineOf(path: readonly (string | number)[]): number
}

/** Deeper than any configuration, and shallow enough for the stack. */
const MAX_DEPTH = 64

type Node = { readonly line: number; readonly children: ReadonlyMap<string | number, Node> }

/**
 * Reads JSON (RFC 8259) and remembers where everything stood, so that an error about a value can name its line.
 * Unlike `JSON.parse` it refuses a key that an object has twice: in a configuration, one of the two was not meant.
 *
 * @throws {JsonSyntaxError} with line and column.
 * @example readJson('{\n  "a": 1\n}').lineOf(['a']) // 2
 */
export function readJson(text: string): LocatedJson {
  let index = 0

  const fail = (reason: string, at = index): never => {
    const before = text.slice(0, at)
    throw new JsonSyntaxError(reason, lineAt(before), before.length - before.lastIndexOf('\n'))
  }
  const found = (): string => {
    const character = text.codePointAt(index)
    return character === undefined ? 'the end of the file' : JSON.stringify(String.fromCodePoint(character))
  }
  const skipSpace = (): void => {
    while (index < text.length && ' \t\n\r'.includes(text.charAt(index))) index += 1
  }
  const take = (character: string): boolean => {
    if (text.charAt(index) !== character) return false
    index += 1
    return true
  }
  const match = (shape: RegExp): string | undefined => {
    shape.lastIndex = index
    const matched = shape.exec(text)?.[0]
    index += matched?.length ?? 0
    return matched
  }

  const readString = (): string => {
    const start = index
    const matched = match(STRING)
    if (matched === undefined) return fail('a string is not closed')
    try {
      return JSON.parse(matched)
    } catch {
      // What it complains about is always one of these two, and it would not say where.
      return fail('a string holds a line break, a control character or a bad escape', start)
    }
  }

  const readObject = (depth: number): [unknown, Node['children']] => {
    const members = new Map<string, unknown>()
    const children = new Map<string | number, Node>()
    skipSpace()
    if (take('}')) return [{}, children]
    do {
      skipSpace()
      const start = index
      if (text.charAt(index) !== '"') fail(`a key in double quotes was expected, not ${found()}`)
      const key = readString()
      if (members.has(key)) fail(`the key ${JSON.stringify(key)} is there twice`, start)
      skipSpace()
      if (!take(':')) fail(`":" was expected, not ${found()}`)
      const [value, node] = readValue(depth)
      members.set(key, value)
      children.set(key, node)
      skipSpace()
    } while (take(','))
    if (!take('}')) fail(`"," or "}" was expected, not ${found()}`)
    return [Object.fromEntries(members), children]
  }

  const readArray = (depth: number): [unknown, Node['children']] => {
    const items: unknown[] = []
    const children = new Map<string | number, Node>()
    skipSpace()
    if (take(']')) return [items, children]
    do {
      const [value, node] = readValue(depth)
      children.set(items.length, node)
      items.push(value)
      skipSpace()
    } while (take(','))
    if (!take(']')) fail(`"," or "]" was expected, not ${found()}`)
    return [items, children]
  }

  const readValue = (depth: number): [unknown, Node] => {
    skipSpace()
    const line = lineAt(text.slice(0, index))
    if (depth > MAX_DEPTH) fail(`it is nested more than ${MAX_DEPTH} deep`)
    if (text.charAt(index) === '"') return [readString(), { line, children: NO_CHILDREN }]
    if (take('{')) {
      const [value, children] = readObject(depth + 1)
      return [value, { line, children }]
    }
    if (take('[')) {
      const [value, children] = readArray(depth + 1)
      return [value, { line, children }]
    }
    const matched = match(NUMBER) ?? match(WORD)
    return matched === undefined
      ? fail(`a value was expected, not ${found()}`)
      : [JSON.parse(matched), { line, children: NO_CHILDREN }]
  }

  const [value, root] = readValue(0)
  skipSpace()
  if (index < text.length) fail(`the end of the file was expected, not ${found()}`)
  return { value, lineOf: (path) => lineIn(root, path) }
}

const STRING = /"(?:[^"\\]|\\.)*"/sy
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const WORD = /(?:true|false|null)/y
const NO_CHILDREN: Node['children'] = new Map()

const lineAt = (before: string): number => before.split('\n').length

function lineIn(root: Node, path: readonly (string | number)[]): number {
  let node = root
  for (const key of path) {
    const child = node.children.get(key)
    if (child === undefined) break
    node = child
  }
  return node.line
}
