import { isUtf8 } from 'node:buffer'
import { affordableCompletion, costOf } from '../protocol/network/price.ts'
import { RefusedError } from './errors.ts'
import { editMembers, type Member, membersOf } from './jsonMembers.ts'
import type { NodeModelOptions } from './options.ts'
import { estimatePrompt } from './tokens.ts'

/** What the node serves. */
export type Kind = NodeModelOptions['serves'][number]

/** How a request goes to the upstream, and how its answer comes back. */
export type Plan = {
  readonly model: NodeModelOptions
  /** For the upstream. */
  readonly body: Uint8Array
  /** Prompt tokens as estimated, for an upstream that does not say. */
  readonly prompt: number
  /** Whether the usage in a stream was asked for by the node, and not by the client. */
  readonly dropUsage: boolean
}

/** Members that name or mark the asker. An outside provider does not get them. */
const identifying = ['user', 'metadata', 'store', 'safety_identifier', 'prompt_cache_key'] as const
/** Members that decide what runs and what it costs. */
const deciding = ['model', 'n', 'stream', 'stream_options', 'max_tokens', 'max_completion_tokens'] as const

/**
 * Makes of a client's body the one that the upstream gets. Nothing changes but these members, and every other byte
 * stays as it is:
 *
 * - `model` becomes the upstream's name;
 * - `max_tokens` or `max_completion_tokens` is lowered to what the ceiling pays for, or set where it is absent;
 * - `stream_options.include_usage` is set in a stream;
 * - of a decisive member that is there twice, the last stays;
 * - towards an outside provider, what identifies the asker is removed, `"store": false` excepted.
 *
 * @param ceiling in payment tokens
 * @throws RefusedError
 */
export function planRequest(
  body: Uint8Array,
  {
    kind,
    models,
    ceiling,
  }: {
    readonly kind: Kind
    readonly models: ReadonlyMap<string, NodeModelOptions>
    readonly ceiling: number
  },
): Plan {
  const { value, members } = parseBody(body)
  const name = typeof value.model === 'string' ? value.model : ''
  const refuse = (status: number, code: string, message: string, limit?: Record<string, number>) =>
    new RefusedError({ status, code, message, ...(limit === undefined ? {} : { limit }) }, name)

  const model = models.get(name)
  if (model === undefined || !model.serves.includes(kind))
    throw refuse(404, 'model_unknown', 'This node does not serve that model in that way.')

  const guarded: readonly string[] = model.privacy === 'anonymized' ? [...deciding, ...identifying] : deciding
  // Go's decoder takes `MAX_TOKENS` for `max_tokens`, others do not: who is right must not decide what is paid.
  if (members.some((member) => !guarded.includes(member.name) && guarded.includes(fold(member.name))))
    throw refuse(400, 'malformed', 'The body has a member whose name differs from a known one in case only.')

  const edits = new Map<string, string | undefined>()
  for (const twice of repeated(members))
    if (guarded.includes(twice)) edits.set(twice, lastOf(body, members, twice))
  if (model.upstreamModel !== undefined && model.upstreamModel !== name)
    edits.set('model', JSON.stringify(model.upstreamModel))
  if (model.privacy === 'anonymized')
    for (const each of identifying)
      if (each in value && !(each === 'store' && value[each] === false)) edits.set(each, undefined)

  const prompt = estimatePrompt(value, model.context)
  let dropUsage = false
  if (kind === 'chat') {
    const choices = value.n ?? 1
    if (!Number.isSafeInteger(choices) || (choices as number) < 1)
      throw refuse(400, 'malformed', 'The member `n` is no whole number from 1 on.')
    if (typeof (value.stream ?? false) !== 'boolean')
      throw refuse(400, 'malformed', 'The member `stream` is neither true nor false.')
    const affordable = Math.floor(
      affordableCompletion(model.price, { ceiling, prompt }) / (choices as number),
    )
    if (affordable < 1) throw tooLittle(refuse, model, { ceiling, prompt, completion: choices as number })
    for (const [field, most] of limitCompletion(value, model, affordable, prompt)) edits.set(field, most)
    if (value.stream === true) {
      const options = askForUsage(body, members, value.stream_options)
      if (options !== undefined) {
        edits.set('stream_options', options)
        dropUsage = true
      }
    }
  } else if (affordableCompletion(model.price, { ceiling, prompt }) < 0)
    throw tooLittle(refuse, model, { ceiling, prompt, completion: 0 })

  return { model, body: editMembers(body, members, edits), prompt, dropUsage }
}

type Refuse = (status: number, code: string, message: string, limit?: Record<string, number>) => RefusedError

function tooLittle(
  refuse: Refuse,
  { price }: NodeModelOptions,
  { ceiling, prompt, completion }: { ceiling: number; prompt: number; completion: number },
): RefusedError {
  return refuse(402, 'ceiling_too_low', 'The prompt alone costs more than was paid.', {
    ceiling,
    needed: costOf(price, { prompt, completion }),
    prompt_tokens: prompt,
  })
}

/** The body as a value, to decide on, and its members, to edit. @throws RefusedError */
function parseBody(body: Uint8Array) {
  let value: unknown
  try {
    // What is no UTF-8 would be read by each decoder in its own way.
    if (isUtf8(body))
      value = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.length).toString('utf8'))
  } catch {
    // The parser's own error quotes the body.
  }
  const members = isObject(value) ? membersOf(body) : undefined
  if (!isObject(value) || members === undefined)
    throw new RefusedError({ status: 400, code: 'malformed', message: 'The body is no JSON object.' })
  return { value, members }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A name as decoders that ignore case compare it: by simple folding, which also knows `ſ` and the Kelvin sign. */
const fold = (name: string) => name.toUpperCase().toLowerCase()

function repeated(members: readonly Member[]): Set<string> {
  const seen = new Set<string>()
  return new Set(members.map(({ name }) => name).filter((name) => seen.has(name) || !seen.add(name)))
}

function lastOf(body: Uint8Array, members: readonly Member[], name: string): string | undefined {
  const last = members.findLast((member) => member.name === name)
  return last === undefined
    ? undefined
    : Buffer.from(body.subarray(last.valueStart, last.valueEnd)).toString('utf8')
}

/**
 * What to set so that no choice has more tokens than are paid for: nothing where it cannot have more anyway, since
 * servers refuse a limit that does not fit in their context beside the prompt.
 */
function* limitCompletion(
  value: Record<string, unknown>,
  model: NodeModelOptions,
  affordable: number,
  prompt: number,
): Generator<[string, string | undefined]> {
  const fields = (['max_completion_tokens', 'max_tokens'] as const).filter((field) => field in value)
  const asked = fields
    .map((field) => value[field])
    .filter((most): most is number => Number.isSafeInteger(most) && (most as number) > 0)
  // A server may mind either of two fields, or neither when one is none that it understands.
  const bound =
    asked.length > 0 && asked.length === fields.length ? Math.max(...asked) : Number.POSITIVE_INFINITY
  // The prompt may be half of what it was taken for: all that then is left may be filled.
  const room = Math.min(
    model.context - Math.floor(prompt / 2),
    model.maxCompletion ?? Number.POSITIVE_INFINITY,
  )
  if (affordable >= Math.min(bound, room)) return
  // Or all of it: the limit should fit beside it, and leave something to say where the estimate was too high.
  const fits = Math.max(model.context - prompt, Math.ceil(model.context / 8))
  const most = Math.min(affordable, fits, ...asked)
  const used: readonly string[] =
    model.limitField !== undefined ? [model.limitField] : fields.length > 0 ? fields : ['max_tokens']
  for (const field of fields) if (!used.includes(field)) yield [field, undefined]
  for (const field of used) yield [field, String(most)]
}

/** `stream_options` with `include_usage`; undefined when the client asks for it already. */
function askForUsage(body: Uint8Array, members: readonly Member[], options: unknown): string | undefined {
  if (!isObject(options)) return '{"include_usage":true}'
  if (options.include_usage === true) return undefined
  const at = members.findLast(({ name }) => name === 'stream_options')
  const inner = at === undefined ? undefined : body.subarray(at.valueStart, at.valueEnd)
  const innerMembers = inner === undefined ? undefined : membersOf(inner)
  if (inner === undefined || innerMembers === undefined) return '{"include_usage":true}'
  return Buffer.from(editMembers(inner, innerMembers, new Map([['include_usage', 'true']]))).toString('utf8')
}
