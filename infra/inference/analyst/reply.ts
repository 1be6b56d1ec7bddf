import { type Answer, SITUATION_SCHEMA_ID } from '../../../agents/lending-guardian/schema.ts'
import { analyse } from './analyse.ts'
import { ApiError, type ChatRequest, type Reply, textOf } from './openai.ts'
import { readSituation } from './readSituation.ts'

/** The name of the model that ships. */
export const REFERENCE_ANALYST = 'rialto-reference-analyst-1'

const WHAT_IT_IS =
  `This is ${REFERENCE_ANALYST}, a formula and not a language model: it has no weights and cannot converse. It reads ` +
  `one thing, a lending position described as JSON with "schema": "${SITUATION_SCHEMA_ID}" in the last user message, ` +
  `alone or in a fenced json block, and answers with {"candidate", "size", "reason"}: the candidate and size with the ` +
  `least expected cost, from an EWMA volatility, the first-passage probability of liquidation and the cost of each.`

/**
 * What the reference analyst says to a request. The same request always gets the same reply.
 *
 * @throws {ApiError} 400 when the request asks for a shape that no answer of the analyst can take.
 */
export function reply(request: ChatRequest): Reply {
  const last = request.messages.findLastIndex(({ role }) => role === 'user')
  const reading = readSituation(last < 0 ? '' : textOf(request.messages[last]?.content))
  // After a tool's result the answer has been given and used: calling the tool again would never end.
  const answered = request.messages.slice(last + 1).some(({ role }) => role === 'tool')
  const tool = answered ? undefined : chooseTool(request)
  const format = request.response_format ?? { type: 'text' }
  // Whoever insists on a structure cannot read talk, and gets a refusal, which clients know.
  const insists = format.type !== 'text' || (tool !== undefined && (request.tool_choice ?? 'auto') !== 'auto')

  if (reading.kind !== 'situation') {
    const text =
      reading.kind === 'none'
        ? WHAT_IT_IS
        : `${WHAT_IT_IS} What it was given is not one: ${reading.path || 'situation'}: ${reading.problem}`
    return { kind: insists ? 'refusal' : 'text', text }
  }

  const { answer } = analyse(reading.situation)
  if (tool !== undefined)
    return {
      kind: 'tool',
      name: tool.name,
      arguments: JSON.stringify(shape(answer, tool.parameters, 'tools')),
    }
  const schema = format.type === 'json_schema' ? format.json_schema.schema : undefined
  return { kind: 'text', text: JSON.stringify(shape(answer, schema, 'response_format')) }
}

type Tool = { readonly name: string; readonly parameters: Record<string, unknown> | undefined }

/** The tool that is to carry the answer; undefined where none should be called. */
function chooseTool(request: ChatRequest): Tool | undefined {
  const tools = (request.tools ?? []).map((tool) => tool.function)
  const choice = request.tool_choice ?? 'auto'
  if (typeof choice === 'object') {
    const named = tools.find(({ name }) => name === choice.function.name)
    if (named === undefined)
      throw new ApiError(400, 'The tool that tool_choice names is not among the tools.', {
        param: 'tool_choice',
      })
    return { name: named.name, parameters: named.parameters }
  }
  if (choice === 'none') return undefined
  const able = tools.find(({ parameters }) => misfit(parameters) === undefined)
  if (able === undefined && choice === 'required')
    throw new ApiError(400, `No tool takes what ${REFERENCE_ANALYST} answers: candidate, size and reason.`, {
      param: 'tools',
    })
  return able && { name: able.name, parameters: able.parameters }
}

const KEYS = ['candidate', 'size', 'reason'] as const

/** A property that a schema requires and the answer cannot give, or a choice that it has no place for. */
function misfit(schema: Record<string, unknown> | undefined): string | undefined {
  if (schema === undefined) return undefined
  const required = Array.isArray(schema.required) ? schema.required.map(String) : []
  const unknown = required.find((key) => !(KEYS as readonly string[]).includes(key))
  if (unknown !== undefined) return unknown
  const properties = schema.properties
  const known = typeof properties === 'object' && properties !== null ? Object.keys(properties) : []
  return known.includes('candidate') || known.length === 0 ? undefined : 'candidate'
}

/** The answer with the properties that the schema has a place for. */
function shape(answer: Answer, schema: Record<string, unknown> | undefined, param: string): Partial<Answer> {
  const problem = misfit(schema)
  if (problem !== undefined)
    throw new ApiError(
      400,
      `${REFERENCE_ANALYST} answers with candidate, size and reason; the schema does not fit at "${problem}".`,
      { param },
    )
  const properties = schema?.properties
  if (typeof properties !== 'object' || properties === null || schema?.additionalProperties !== false)
    return answer
  return Object.fromEntries(KEYS.filter((key) => key in properties).map((key) => [key, answer[key]]))
}
