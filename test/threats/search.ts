import type { Recording } from './network.ts'
import type { Observed } from './observe.ts'
import { readExchanges, restOf } from './readHttp.ts'

/** Everything that a role has, to look through, and what was looked for already. */
export type View = { readonly bytes: Buffer; readonly found: Map<string, boolean> }

/** Documents that everybody is given alike: they name all models and nodes, and say nothing of any request. */
const isPublic = (path: string): boolean =>
  /\/(directory|description|directories\/.*)$/.test(path) || path.endsWith('.jwt')

/**
 * Collects a view: who connected, every message on its connections and what was left of them, what its keys opened,
 * its files and its logs.
 */
export function viewOf({ connections, files, logs }: Recording, { opened }: Observed): View {
  const parts: (Uint8Array | string)[] = [...logs, ...opened]
  for (const connection of connections) {
    parts.push(connection.from, restOf(connection))
    for (const { request, response } of readExchanges(connection)) {
      if (isPublic(request.start.split(' ')[1] ?? '')) continue
      for (const { start, headers, body } of [request, response])
        parts.push(start, JSON.stringify([...headers]), body)
    }
  }
  for (const [path, content] of files) if (!isPublic(path)) parts.push(path, content)
  const between = Buffer.from('\n\0\n')
  return {
    bytes: Buffer.concat(parts.flatMap((part) => [Buffer.from(part as Uint8Array), between])),
    found: new Map(),
  }
}

/** Whether a value is in a view: as it is, in hex, or in base64 of either alphabet wherever it may begin there. */
export function mentions({ bytes, found }: View, needle: string | Uint8Array): boolean {
  const sought = Buffer.from(needle as Uint8Array)
  const name = sought.toString('latin1')
  const known = found.get(name)
  if (known !== undefined) return known
  const is = formsOf(sought).some((form) => bytes.includes(form))
  found.set(name, is)
  return is
}

function formsOf(bytes: Buffer): readonly Buffer[] {
  const texts = [bytes.toString('hex'), bytes.toString('hex').toUpperCase()]
  for (const before of [0, 1, 2]) {
    // The characters at either end depend on what stands beside: they are left out.
    const padded = Buffer.concat([Buffer.alloc(before), bytes])
    const whole = padded.subarray(0, padded.length - (padded.length % 3)).toString('base64')
    const inner = whole.slice(before === 0 ? 0 : 4)
    if (inner.length >= 12) texts.push(inner, inner.replaceAll('+', '-').replaceAll('/', '_'))
  }
  return [bytes, ...texts.map((text) => Buffer.from(text))]
}
