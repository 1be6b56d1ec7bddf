/** The part of the OpenAI chat-completions API that the reference analyst speaks: its requests, answers and errors. */
import { z } from 'zod'
import { RialtoError } from '../../../runtime/core/errors.ts'

const contentSchema = z.union([
  z.string(),
  z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
])

const toolSchema = z.looseObject({
  type: z.literal('function'),
  function: z.looseObject({
    name: z.string().min(1),
    parameters: z.record(z.string(), z.unknown()).optional(),
  }),
})

/** A chat completion as asked for. Sampling parameters are accepted and change nothing: there is no sampling. */
const chatRequestSchema = z.looseObject({
  model: z.string(),
  messages: z.array(z.looseObject({ role: z.string(), content: contentSchema.nullish() })).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
  n: z.literal(1, { error: 'Only one choice is given: the second would be the first again.' }).nullish(),
  max_tokens: z.number().int().min(1).nullish(),
  max_completion_tokens: z.number().int().min(1).nullish(),
  response_format: z
    .discriminatedUnion('type', [
      z.looseObject({ type: z.literal('text') }),
      z.looseObject({ type: z.literal('json_object') }),
      z.looseObject({
        type: z.literal('json_schema'),
        json_schema: z.looseObject({
          name: z.string(),
          schema: z.record(z.string(), z.unknown()).optional(),
        }),
      }),
    ])
    .nullish(),
  tools: z.array(toolSchema).nullish(),
  tool_choice: z
    .union([
      z.enum(['none', 'auto', 'required']),
      z.looseObject({ type: z.literal('function'), function: z.looseObject({ name: z.string() }) }),
    ])
    .nullish(),
})

export type ChatRequest = z.infer<typeof chatRequestSchema>

export type FinishReason = 'stop' | 'length' | 'tool_calls'

/** What the assistant says: text, a refusal, or a call of a tool. Exactly one of them. */
export type Reply =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'refusal'; readonly text: string }
  | { readonly kind: 'tool'; readonly name: string; readonly arguments: string }

export type Usage = {
  readonly prompt_tokens: number
  readonly completion_tokens: number
  readonly total_tokens: number
}

/** A request that the API refuses, as the status and body that OpenAI's clients understand. */
export class ApiError extends RialtoError {
  override readonly name = 'ApiError'
  readonly status: 400 | 404 | 405 | 413 | 500
  readonly type: string
  readonly param: string | null
  readonly apiCode: string | null

  constructor(
    status: ApiError['status'],
    message: string,
    { param = null, code = null }: { param?: string | null; code?: string | null } = {},
  ) {
    super('INFERENCE_REQUEST_REFUSED', message)
    this.status = status
    this.type = status >= 500 ? 'server_error' : 'invalid_request_error'
    this.param = param
    this.apiCode = code
  }

  /** @example { error: { message: '…', type: 'invalid_request_error', param: 'model', code: 'model_not_found' } } */
  toBody() {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.apiCode } }
  }
}

/**
 * A chat request out of a body.
 *
 * @throws {ApiError} 400, naming the parameter and never quoting its value.
 */
export function parseChatRequest(body: string): ChatRequest {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch {
    // The parser's own message quotes the body.
    throw new ApiError(400, 'We could not parse the JSON body of your request.', { code: 'invalid_json' })
  }
  const result = chatRequestSchema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const param = issue?.path.join('.') || null
  const missing = issue !== undefined && param !== null && !hasPath(value, issue.path)
  throw new ApiError(
    400,
    missing
      ? `Missing required parameter: '${param}'.`
      : `Invalid value for '${param ?? 'body'}': ${issue?.message ?? 'invalid'}`,
    { param, code: missing ? 'missing_required_parameter' : 'invalid_value' },
  )
}

function hasPath(value: unknown, path: readonly PropertyKey[]): boolean {
  let at = value
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !(key in at)) return false
    at = (at as Record<PropertyKey, unknown>)[key]
  }
  return true
}

/** The text of a message, its parts joined. */
export function textOf(content: ChatRequest['messages'][number]['content']): string {
  if (content === null || content === undefined) return ''
  if (typeof content === 'string') return content
  return content.map((part) => part.text ?? '').join('\n')
}

/**
 * How many tokens a text counts as: a quarter of its UTF-8 bytes, rounded up. An estimate, since a formula has
 * no tokenizer; it is the usual rule of thumb for English.
 */
export const countTokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / 4)

/** How many characters of a reply those tokens allow, without splitting a character. */
export function cutToTokens(text: string, tokens: number): string {
  const bytes = Buffer.from(text)
  if (bytes.length <= tokens * 4) return text
  return new TextDecoder().decode(bytes.subarray(0, tokens * 4), { stream: true })
}
