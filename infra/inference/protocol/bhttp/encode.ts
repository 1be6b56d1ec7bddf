import { ByteWriter } from '../binary/byteWriter.ts'
import { UnencodableMessageError } from '../errors.ts'
import {
  type BinaryRequest,
  type BinaryResponse,
  type Field,
  framingIndicator,
  type InformationalResponse,
  type RequestControl,
} from './message.ts'
import { controlProblem, fieldProblem, statusProblem } from './rules.ts'

/** How to lay out a whole message. */
export type EncodeOptions = {
  /** `known` (the default) prefixes each section with its length, `indeterminate` ends each with a zero. */
  readonly framing?: 'known' | 'indeterminate'
  /** Leaves out empty sections at the end (RFC 9292, section 3.8). Off by default. */
  readonly truncate?: boolean
}

/**
 * Encodes a whole request (RFC 9292, sections 3.1 and 3.2).
 *
 *     Known-Length Request {
 *       Framing Indicator (i) = 0,
 *       Request Control Data (..),
 *       Known-Length Field Section (..),
 *       Known-Length Content (..),
 *       Known-Length Field Section (..),
 *       Padding (..),
 *     }
 *
 * @throws UnencodableMessageError if HTTP does not permit a part of it
 * @example
 * encodeRequest(
 *   { method: 'GET', scheme: 'https', authority: 'example.com', path: '/', headers: [], content: noBytes, trailers: [] },
 *   { truncate: true },
 * ) // 00 03474554 056874747073 0b6578616d706c652e636f6d 012f
 */
export function encodeRequest(request: BinaryRequest, options: EncodeOptions = {}): Uint8Array {
  const known = options.framing !== 'indeterminate'
  const writer = new ByteWriter().varint(
    known ? framingIndicator.knownRequest : framingIndicator.indeterminateRequest,
  )
  writeControl(writer, request)
  writeSections(writer, request, known, options.truncate === true)
  return writer.finish()
}

/**
 * Encodes a whole response (RFC 9292, sections 3.1 and 3.2).
 *
 *     Known-Length Response {
 *       Framing Indicator (i) = 1,
 *       Known-Length Informational Response (..) ...,
 *       Final Response Control Data (..),
 *       Known-Length Field Section (..),
 *       Known-Length Content (..),
 *       Known-Length Field Section (..),
 *       Padding (..),
 *     }
 *
 * @throws UnencodableMessageError if HTTP does not permit a part of it
 */
export function encodeResponse(response: BinaryResponse, options: EncodeOptions = {}): Uint8Array {
  const known = options.framing !== 'indeterminate'
  const writer = new ByteWriter().varint(
    known ? framingIndicator.knownResponse : framingIndicator.indeterminateResponse,
  )
  writeStatuses(writer, response, known)
  writeSections(writer, response, known, options.truncate === true)
  return writer.finish()
}

/**
 * Begins a streamed request: everything up to its content.
 *
 * Go on with {@link encodeContent}, end with {@link encodeEnd}.
 *
 *     Indeterminate-Length Request  {
 *       Framing Indicator (i) = 2,
 *       Request Control Data (..),
 *       Indeterminate-Length Field Section (..),
 *       Indeterminate-Length Content (..),
 *       Indeterminate-Length Field Section (..),
 *       Padding (..),
 *     }
 *
 * @throws UnencodableMessageError if HTTP does not permit a part of it
 */
export function encodeRequestHead(head: Omit<BinaryRequest, 'content' | 'trailers'>): Uint8Array {
  const writer = new ByteWriter().varint(framingIndicator.indeterminateRequest)
  writeControl(writer, head)
  writeFields(writer, head.headers, 'headers', false)
  return writer.finish()
}

/**
 * Begins a streamed response: everything up to its content.
 *
 * Go on with {@link encodeContent}, end with {@link encodeEnd}.
 *
 *     Indeterminate-Length Response  {
 *       Framing Indicator (i) = 3,
 *       Indeterminate-Length Informational Response (..) ...,
 *       Final Response Control Data (..),
 *       Indeterminate-Length Field Section (..),
 *       Indeterminate-Length Content (..),
 *       Indeterminate-Length Field Section (..),
 *       Padding (..),
 *     }
 *
 * @throws UnencodableMessageError if HTTP does not permit a part of it
 */
export function encodeResponseHead(head: Omit<BinaryResponse, 'content' | 'trailers'>): Uint8Array {
  const writer = new ByteWriter().varint(framingIndicator.indeterminateResponse)
  writeStatuses(writer, head, false)
  writeFields(writer, head.headers, 'headers', false)
  return writer.finish()
}

/**
 * A piece of a streamed message's content. No bytes give nothing, since an empty chunk would end the content.
 *
 *     Indeterminate-Length Content Chunk {
 *       Chunk Length (i) = 1..,
 *       Chunk (..),
 *     }
 */
export function encodeContent(content: Uint8Array): Uint8Array {
  return content.length === 0 ? content : new ByteWriter().prefixed(content).finish()
}

/**
 * Ends a streamed message: the terminator of its content, then its trailers.
 *
 * @throws UnencodableMessageError if HTTP does not permit a trailer
 */
export function encodeEnd(trailers: readonly Field[] = []): Uint8Array {
  const writer = new ByteWriter().varint(0)
  writeFields(writer, trailers, 'trailers', false)
  return writer.finish()
}

/**
 *     Request Control Data {
 *       Method Length (i),
 *       Method (..),
 *       Scheme Length (i),
 *       Scheme (..),
 *       Authority Length (i),
 *       Authority (..),
 *       Path Length (i),
 *       Path (..),
 *     }
 */
function writeControl(writer: ByteWriter, control: RequestControl): void {
  refuse(controlProblem(control))
  writer
    .prefixedText(control.method)
    .prefixedText(control.scheme)
    .prefixedText(control.authority)
    .prefixedText(control.path)
}

/**
 *     Known-Length Informational Response {
 *       Informational Response Control Data (..),
 *       Known-Length Field Section (..),
 *     }
 *
 *     Informational Response Control Data {
 *       Status Code (i) = 100..199,
 *     }
 *
 *     Final Response Control Data {
 *       Status Code (i) = 200..599,
 *     }
 */
function writeStatuses(
  writer: ByteWriter,
  response: { readonly informational: readonly InformationalResponse[]; readonly status: number },
  known: boolean,
): void {
  for (const { status, headers } of response.informational) {
    refuse(statusProblem(status, 'informational'))
    writer.varint(status)
    writeFields(writer, headers, 'headers', known)
  }
  refuse(statusProblem(response.status, 'final'))
  writer.varint(response.status)
}

function writeSections(
  writer: ByteWriter,
  message: Pick<BinaryRequest, 'headers' | 'content' | 'trailers'>,
  known: boolean,
  truncate: boolean,
): void {
  const { headers, content, trailers } = message
  const lastSection = trailers.length > 0 ? 3 : content.length > 0 ? 2 : headers.length > 0 ? 1 : 0
  const sections = truncate ? lastSection : 3
  if (sections >= 1) writeFields(writer, headers, 'headers', known)
  if (sections >= 2) {
    // Known: `Content Length (i), Content (..)`. Indeterminate: one chunk, then `Content Terminator (i) = 0`.
    if (known || content.length > 0) writer.prefixed(content)
    if (!known) writer.varint(0)
  }
  if (sections >= 3) writeFields(writer, trailers, 'trailers', known)
}

/**
 *     Known-Length Field Section {        Indeterminate-Length Field Section {
 *       Length (i),                         Field Line (..) ...,
 *       Field Line (..) ...,                Content Terminator (i) = 0,
 *     }                                   }
 *
 *     Field Line {
 *       Name Length (i) = 1..,
 *       Name (..),
 *       Value Length (i),
 *       Value (..),
 *     }
 */
function writeFields(
  writer: ByteWriter,
  fields: readonly Field[],
  section: 'headers' | 'trailers',
  known: boolean,
): void {
  refuse(fieldProblem(fields, section))
  const lines = known ? new ByteWriter() : writer
  for (const [name, value] of fields) lines.prefixedText(name.toLowerCase()).prefixedText(value)
  if (known) writer.prefixed(lines.finish())
  else writer.varint(0)
}

function refuse(problem: string | undefined): void {
  if (problem !== undefined) throw new UnencodableMessageError(problem)
}
