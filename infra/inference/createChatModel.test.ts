import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { REFERENCE_ANALYST } from './analyst/reply.ts'
import { startReferenceAnalyst } from './analyst/server.ts'
import { createChatModel } from './createChatModel.ts'

const closers: (() => Promise<void>)[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const close of closers.splice(0)) await close()
})

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  closers.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  )
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
}
const serving = (...ids: string[]) =>
  serve((_, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ object: 'list', data: ids.map((id) => ({ id, object: 'model' })) }))
  })
const answering = (status: number, body = '') =>
  serve((_, response) => {
    response.statusCode = status
    response.end(body)
  })

describe('createChatModel', () => {
  it('finds the only model and can talk to it', async () => {
    const analyst = await startReferenceAnalyst()
    closers.push(analyst.close)
    const { model, name } = await createChatModel({ url: `${analyst.url}/` })
    expect(name).toBe(REFERENCE_ANALYST)
    expect((await model.invoke('Who are you?')).text).toContain('a formula')
  })

  it('takes a model that is served, also under the name that Ollama shortens', async () => {
    const url = await serving('llama3:latest', 'qwen3:8b')
    expect((await createChatModel({ url, model: 'qwen3:8b' })).name).toBe('qwen3:8b')
    expect((await createChatModel({ url, model: 'llama3' })).name).toBe('llama3')
  })

  it('sends its own key or a placeholder, and nothing of the environment', async () => {
    for (const name of ['OPENAI_API_KEY', 'OPENAI_ORG_ID', 'OPENAI_ORGANIZATION', 'OPENAI_PROJECT_ID'])
      vi.stubEnv(name, `secret-${name}`)
    vi.stubEnv('OPENAI_BASE_URL', 'http://127.0.0.1:1')
    const headers: string[] = []
    const url = await serve((request, response) => {
      headers.push(JSON.stringify(request.headers))
      response.setHeader('content-type', 'application/json')
      response.end(
        request.url === '/v1/models'
          ? '{"data":[{"id":"m"}]}'
          : '{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}',
      )
    })
    await (await createChatModel({ url })).model.invoke('Hello?')
    await (await createChatModel({ url, apiKey: 'sk-mine' })).model.invoke('Hello?')
    expect(headers).toHaveLength(4)
    expect(headers.join()).not.toContain('secret')
    expect(headers.map((header) => /Bearer [^"]+/.exec(header)?.[0])).toEqual([
      'Bearer none',
      'Bearer none',
      'Bearer sk-mine',
      'Bearer sk-mine',
    ])
  })

  it('prints nothing of a conversation, whatever the environment asks for', async () => {
    vi.stubEnv('OPENAI_LOG', 'debug')
    vi.stubEnv('LANGCHAIN_VERBOSE', 'true')
    const printed = (['log', 'debug', 'info', 'warn', 'error'] as const).map((method) =>
      vi.spyOn(console, method).mockImplementation(() => {}),
    )
    const analyst = await startReferenceAnalyst()
    closers.push(analyst.close)
    const { model } = await createChatModel({ url: analyst.url })
    await model.invoke('My secret plan.')
    for (const spy of printed) {
      expect(spy).not.toHaveBeenCalled()
      spy.mockRestore()
    }
  })

  it('carries every request by the fetch that it is handed', async () => {
    const analyst = await startReferenceAnalyst()
    closers.push(analyst.close)
    const paths: string[] = []
    const { model } = await createChatModel({
      url: 'http://private.invalid/v1',
      fetch: (input, init) => {
        const url = new URL(input instanceof Request ? input.url : input)
        paths.push(url.pathname)
        return fetch(new URL(url.pathname, analyst.url), init)
      },
    })
    await model.invoke('Who are you?')
    expect(paths).toEqual(['/v1/models', '/v1/chat/completions'])
  })

  it('asks once more, and not twice, when a connection breaks before there is an answer', async () => {
    let breaks = 0
    const url = await serve((request, response) => {
      if (request.url !== '/v1/models' && breaks-- > 0) return request.socket.destroy()
      response.setHeader('content-type', 'application/json')
      return response.end(
        request.url === '/v1/models'
          ? '{"data":[{"id":"m"}]}'
          : '{"choices":[{"index":0,"message":{"role":"assistant","content":"Hello."},"finish_reason":"stop"}]}',
      )
    })
    const { model } = await createChatModel({ url })
    breaks = 1
    expect((await model.invoke('Hello?')).text).toBe('Hello.')
    breaks = 2
    await expect(model.invoke('Hello?')).rejects.toThrow('Connection error')
    expect(breaks).toBe(0)
  })

  it('does not follow a redirect with a prompt', async () => {
    const stolen: string[] = []
    const thief = await serve((request, response) => {
      stolen.push(request.url ?? '')
      response.end('{}')
    })
    const url = await serve((request, response) => {
      if (request.url === '/v1/models') return response.end('{"data":[{"id":"m"}]}')
      return response.writeHead(307, { location: `${thief}/chat/completions` }).end()
    })
    const { model } = await createChatModel({ url })
    await expect(model.invoke('My secret plan.')).rejects.toThrow()
    expect(stolen).toEqual([])
  })
})

describe('what it says when something is wrong', () => {
  const errorOf = async (options: Parameters<typeof createChatModel>[0]) => {
    const error = await createChatModel(options).then(
      () => undefined,
      (thrown: unknown) => thrown as { code: string; message: string; retryable: boolean; toLine(): string },
    )
    if (error === undefined) throw new RangeError('nothing was thrown')
    expect(error.toLine()).not.toContain('\n')
    return error
  }

  it('nobody is there', async () => {
    const url = await serving('m')
    for (const close of closers.splice(0)) await close()
    const error = await errorOf({ url })
    expect(error).toMatchObject({ code: 'INFERENCE_UNREACHABLE', retryable: true })
    expect(error.toLine()).toBe(
      `No answer from the inference server at ${url}. Start it, or correct RIALTO_INFERENCE_URL; unset it to use the reference analyst.`,
    )
  })

  it('it does not answer in time', async () => {
    const url = await serve(() => {})
    expect(await errorOf({ url, probeTimeout: 20 })).toMatchObject({ code: 'INFERENCE_UNREACHABLE' })
  })

  it('the model is not served', async () => {
    const url = await serving('a', 'b\u001b[31m')
    const error = await errorOf({ url, model: 'gpt-5' })
    expect(error.code).toBe('INFERENCE_MODEL')
    expect(error.toLine()).toBe(
      `The inference server at ${url} does not serve the model "gpt-5". Set RIALTO_INFERENCE_MODEL to one of: a, b?[31m.`,
    )
  })

  it('no model is named and there are several, or none', async () => {
    expect((await errorOf({ url: await serving('a', 'b') })).message).toContain(
      'serves 2 models and none is named',
    )
    expect((await errorOf({ url: await serving() })).toLine()).toContain('Load a model into it first.')
  })

  it.each([
    [401, '', 'refuses the key'],
    [403, '', 'refuses the key'],
    [404, 'not found', 'answers 404 when asked for its models'],
    [503, 'loading', 'fails with status 503'],
    [200, '<html>', 'does not list its models'],
    [200, '{"models":[]}', 'does not list its models'],
  ])('status %d with %j', async (status, body, problem) => {
    const error = await errorOf({ url: await answering(status, body) })
    expect(error).toMatchObject({ code: 'INFERENCE_PROBE', retryable: status === 503 })
    expect(error.message).toContain(problem)
  })

  it.each([
    ['localhost', 'is not a URL'],
    ['ftp://localhost/v1', 'is not http or https'],
    ['http://user:hunter2@localhost/v1', 'holds credentials'],
    ['http://localhost/v1?key=hunter2', 'has a query'],
  ])('the URL %s', async (url, problem) => {
    const error = await errorOf({ url })
    expect(error.code).toBe('INFERENCE_URL')
    expect(error.message).toContain(problem)
    expect(error.toLine()).not.toContain('hunter2')
  })
})
