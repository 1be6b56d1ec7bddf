import { decodeRequest } from '../protocol/bhttp/decode.ts'
import type { BinaryRequest } from '../protocol/bhttp/message.ts'
import { headers } from '../protocol/network/routes.ts'
import { RefusedError } from './errors.ts'
import type { Kind } from './planRequest.ts'

/** How an answer is to be cut and timed. */
export type Shape = {
  /** Bytes of a cell; absent, it is not cut into cells. */
  readonly cells?: number
  /** Milliseconds between cells; absent, they go out as they are filled. */
  readonly cadence?: number
}

/** What a client asks of the node. */
export type InnerRequest = { readonly kind: Kind; readonly shape: Shape; readonly body: Uint8Array }

/** Sizes of cells that are made, in bytes. */
export const cellSizes = { least: 64, most: 16_384 } as const
/** Times between cells that are kept, in milliseconds. */
export const cadences = { least: 5, most: 10_000 } as const

const kinds: ReadonlyMap<string, Kind> = new Map([
  ['/v1/chat/completions', 'chat'],
  ['/v1/embeddings', 'embeddings'],
])

/**
 * Reads what was sealed.
 *
 * @param plaintext a Binary HTTP request
 * @throws RefusedError
 */
export function readInnerRequest(plaintext: Uint8Array): InnerRequest {
  const { method, path, headers: fields, content } = decode(plaintext)
  const kind = kinds.get(path)
  if (method !== 'POST' || kind === undefined)
    throw malformed('Nodes answer POST /v1/chat/completions and POST /v1/embeddings.')
  const field = (name: string) => fields.find(([each]) => each.toLowerCase() === name)?.[1]
  const cells = numberIn(field(headers.cells), cellSizes, headers.cells)
  const cadenceText = field(headers.cadence)
  const cadence = cadenceText === 'off' ? undefined : numberIn(cadenceText, cadences, headers.cadence)
  if (cadence !== undefined && cells === undefined)
    throw malformed(`The header ${headers.cadence} goes with ${headers.cells} only.`)
  return {
    kind,
    body: content,
    shape: { ...(cells === undefined ? {} : { cells }), ...(cadence === undefined ? {} : { cadence }) },
  }
}

function decode(plaintext: Uint8Array): BinaryRequest {
  try {
    return decodeRequest(plaintext)
  } catch {
    throw malformed('What was sealed is no Binary HTTP request.')
  }
}

function numberIn(
  text: string | undefined,
  { least, most }: { readonly least: number; readonly most: number },
  name: string,
): number | undefined {
  if (text === undefined) return undefined
  const value = /^[0-9]{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least && value <= most))
    throw new RefusedError({
      status: 400,
      code: 'malformed',
      message: `The header ${name} is no whole number from ${least} to ${most}.`,
      limit: { least, most },
    })
  return value
}

const malformed = (message: string) => new RefusedError({ status: 400, code: 'malformed', message })
