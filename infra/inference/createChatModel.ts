import { ChatOpenAI } from '@langchain/openai'
import { z } from 'zod'
import { silenceTracing } from '../../agents/lending-guardian/privacy.ts'
import {
  InferenceModelError,
  InferenceProbeError,
  InferenceUnreachableError,
  InferenceUrlError,
} from './errors.ts'

export type ChatModelOptions = {
  /** Base URL of an OpenAI-compatible API, with its `/v1`. */
  readonly url: string
  /** Absent: the only one that is served there. */
  readonly model?: string
  /** Sent as a bearer token. Absent: a placeholder, never another key of the environment. */
  readonly apiKey?: string
  /** How long one answer may take, in milliseconds. Default 60,000: an agent's own deadline comes first. */
  readonly timeout?: number
  /** How long the server may take to list its models, in milliseconds. */
  readonly probeTimeout?: number
  /** What carries the requests: the private network hands in its own. */
  readonly fetch?: typeof globalThis.fetch
}

/** A model that was found, and its name as the server knows it. */
export type ChatModel = { readonly model: ChatOpenAI; readonly name: string }

/**
 * A chat model behind an OpenAI-compatible API, once its server has said that it is there and serves it.
 *
 * Nothing of the conversation goes anywhere else: tracing and the client's own request log are off whatever the
 * environment says, a redirect is an error, and no organisation, project or key of the environment's is sent.
 *
 * @throws {InferenceUrlError} when the URL is none.
 * @throws {InferenceUnreachableError} when nobody answers there.
 * @throws {InferenceProbeError} when what answers is no such API, or refuses the key.
 * @throws {InferenceModelError} when the model is not served, or none is named and not exactly one is served.
 * @example
 * const { model, name } = await createChatModel({ url: 'http://127.0.0.1:11434/v1', model: 'qwen3:8b' })
 */
export async function createChatModel(options: ChatModelOptions): Promise<ChatModel> {
  const { apiKey = 'none', timeout = 60_000, fetch = fetchOnFreshConnection } = options
  const url = checkUrl(options.url)
  const name = chooseModel(url, options.model, await listModels(url, { ...options, apiKey, fetch }))
  silenceTracing()
  const model = new ChatOpenAI({
    model: name,
    apiKey,
    temperature: 0,
    timeout,
    // A retry would only eat the time that the deterministic rule needs.
    maxRetries: 0,
    useResponsesApi: false,
    configuration: {
      baseURL: url,
      fetch,
      fetchOptions: { redirect: 'error' },
      logLevel: 'off',
      organization: null,
      project: null,
    },
  })
  return { model, name }
}

/**
 * `fetch`, which asks once more when the connection broke before there was an answer. A server closes connections
 * that are idle, and a client whose event loop was busy just then learns of it by a request that fails; the second
 * one is on a new connection. Whatever else goes wrong is left as it is.
 */
const fetchOnFreshConnection: typeof globalThis.fetch = async (input, init) => {
  try {
    return await fetch(input, init)
  } catch (error) {
    const isRepeatable = typeof input !== 'object' || input instanceof URL
    const cause = error instanceof TypeError ? (error.cause as { code?: unknown } | undefined) : undefined
    if (!isRepeatable || (cause?.code !== 'ECONNRESET' && cause?.code !== 'UND_ERR_SOCKET')) throw error
    return fetch(input, init)
  }
}

/** The URL without a slash at its end. Its credentials and query are refused, since they would reach a log. */
function checkUrl(text: string): string {
  let url: URL
  try {
    url = new URL(text)
  } catch {
    // The parser's error quotes the text, and the text may hold a key.
    throw new InferenceUrlError('is not a URL')
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw new InferenceUrlError('is not http or https')
  if (url.username !== '' || url.password !== '')
    throw new InferenceUrlError('holds credentials: give them as RIALTO_INFERENCE_KEY')
  if (url.search !== '' || url.hash !== '') throw new InferenceUrlError('has a query or a fragment')
  return url.href.replace(/\/+$/, '')
}

const modelListSchema = z.object({ data: z.array(z.object({ id: z.string() })) })

async function listModels(
  url: string,
  options: { apiKey: string; probeTimeout?: number; fetch: typeof globalThis.fetch },
): Promise<readonly string[]> {
  const lookAtUrl = 'Correct RIALTO_INFERENCE_URL: it usually ends in /v1.'
  let status: number
  let body: string
  try {
    const response = await options.fetch(`${url}/models`, {
      headers: { authorization: `Bearer ${options.apiKey}`, accept: 'application/json' },
      redirect: 'error',
      signal: AbortSignal.timeout(options.probeTimeout ?? 5_000),
    })
    status = response.status
    body = await response.text()
  } catch (cause) {
    throw new InferenceUnreachableError(url, cause)
  }
  if (status === 401 || status === 403)
    throw new InferenceProbeError(
      url,
      'refuses the key',
      'Set RIALTO_INFERENCE_KEY to a key that it accepts.',
    )
  if (status >= 500)
    throw new InferenceProbeError(url, `fails with status ${status}`, "Look at the server's own log.", true)
  if (status !== 200)
    throw new InferenceProbeError(url, `answers ${status} when asked for its models`, lookAtUrl)
  const parsed = modelListSchema.safeParse(parseJson(body))
  if (!parsed.success)
    throw new InferenceProbeError(url, 'does not list its models as an OpenAI-compatible API does', lookAtUrl)
  // Names come from outside and end up on a terminal.
  return parsed.data.data.map(({ id }) => id.replaceAll(/[^\x20-\x7e]/g, '?').slice(0, 80))
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function chooseModel(url: string, asked: string | undefined, served: readonly string[]): string {
  if (asked === undefined) {
    const [only] = served
    if (only === undefined || served.length > 1) throw new InferenceModelError(url, asked, served)
    return only
  }
  // Ollama lists `llama3:latest` and answers to `llama3`.
  if (served.includes(asked) || served.includes(`${asked}:latest`)) return asked
  throw new InferenceModelError(url, asked, served)
}
