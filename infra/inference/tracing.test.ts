import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { entryPoint } from '../process/entryPoint.ts'
import { type ReferenceAnalyst, startReferenceAnalyst } from './analyst/server.ts'

// LangSmith's client comes with LangChain and sends every prompt and completion away where the environment says so.
// Here the environment says so in every way it knows, and points at a server that records who calls. The guardian
// runs in a process of its own, as it does in earnest.

let analyst: ReferenceAnalyst
let folder: string
let configFile: string
const recorder = {
  url: '',
  connections: 0,
  requests: [] as { path: string; body: string }[],
  close: () => {},
}
beforeAll(async () => {
  analyst = await startReferenceAnalyst()
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    recorder.requests.push({ path: request.url ?? '', body: Buffer.concat(chunks).toString('latin1') })
    response.setHeader('content-type', 'application/json')
    response.end('{}')
  })
  server.on('connection', () => {
    recorder.connections++
  })
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  recorder.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  folder = await mkdtemp(join(tmpdir(), 'rialto-tracing-'))
  configFile = join(folder, 'config.json')
  const profile = { api_url: recorder.url, api_key: 'ls-key' }
  await writeFile(configFile, JSON.stringify({ profiles: { default: profile } }))
  recorder.close = () => {
    server.close()
    server.closeAllConnections()
  }
})
beforeEach(() => {
  recorder.connections = 0
  recorder.requests.length = 0
})
afterAll(async () => {
  recorder.close()
  await analyst.close()
  await rm(folder, { recursive: true })
})

/** In bytes that can be searched, and at once. */
const READABLE = {
  LANGSMITH_DISABLE_RUN_COMPRESSION: 'true',
  LANGCHAIN_CALLBACKS_BACKGROUND: 'false',
  LANGSMITH_TRACING_BACKGROUND: 'false',
}
const SWITCHES = {
  LANGSMITH_TRACING: 'true',
  LANGSMITH_TRACING_V2: 'true',
  LANGCHAIN_TRACING: 'true',
  LANGCHAIN_TRACING_V2: 'true',
  LANGCHAIN_VERBOSE: 'true',
}
const KEYS = { LANGSMITH_API_KEY: 'ls-key', LANGCHAIN_API_KEY: 'ls-key' }
const environments = () => {
  const { url } = recorder
  return {
    'LANGSMITH_ENDPOINT and LANGCHAIN_ENDPOINT': {
      ...SWITCHES,
      ...KEYS,
      LANGSMITH_ENDPOINT: url,
      LANGCHAIN_ENDPOINT: url,
    },
    'LangChain’s own names alone': {
      LANGCHAIN_TRACING_V2: 'true',
      LANGCHAIN_API_KEY: 'ls-key',
      LANGCHAIN_ENDPOINT: url,
    },
    LANGSMITH_CONFIG_FILE: { LANGSMITH_TRACING: 'true', ...KEYS, LANGSMITH_CONFIG_FILE: configFile },
    LANGSMITH_RUNS_ENDPOINTS: {
      ...SWITCHES,
      ...KEYS,
      // Where the client looks for what the server can do, since no endpoint may be named beside these.
      LANGSMITH_CONFIG_FILE: configFile,
      LANGSMITH_RUNS_ENDPOINTS: JSON.stringify([{ api_url: url, api_key: 'ls-key', project_name: 'p' }]),
    },
    'the background and compression as they are by default': {
      LANGSMITH_TRACING: 'true',
      LANGSMITH_API_KEY: 'ls-key',
      LANGSMITH_ENDPOINT: url,
      LANGSMITH_DISABLE_RUN_COMPRESSION: '',
      LANGCHAIN_CALLBACKS_BACKGROUND: '',
      LANGSMITH_TRACING_BACKGROUND: '',
    },
  }
}
type Variant = keyof ReturnType<typeof environments>

type Ended = { readonly outcome: string; readonly connected: readonly string[]; readonly stderr: string }

/** Runs `testTracing.ts` with nothing in its environment but that, until it ends by itself. */
function run(environment: Record<string, string>, ...args: string[]): Promise<Ended> {
  const { path, execArgv } = entryPoint(import.meta.url, './testTracing')
  const child = spawn(process.execPath, [...execArgv, path, ...args], {
    env: { PATH: process.env.PATH, HOME: '/nonexistent', ...READABLE, ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [stdout, stderr]: [string[], string[]] = [[], []]
  child.stdout.setEncoding('utf8').on('data', (text: string) => stdout.push(text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => stderr.push(text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', () => {
      // With verbose mode on, LangChain prints before the report.
      const report = stdout.join('').replace(/^[\s\S]*(?=\{"outcome":)/, '')
      if (report === '') reject(new RangeError(`The process reported nothing: ${stderr.join('')}`))
      else
        resolve({
          ...(JSON.parse(report) as Ended),
          stderr: stdout.join('').replace(report, '') + stderr.join(''),
        })
    })
  })
}

const hostOf = (url: string): string => new URL(url).host

describe('a guardian whose environment turns LangSmith on', () => {
  it.each<Variant>([
    'LANGSMITH_ENDPOINT and LANGCHAIN_ENDPOINT',
    'LangChain’s own names alone',
    'LANGSMITH_CONFIG_FILE',
    'LANGSMITH_RUNS_ENDPOINTS',
    'the background and compression as they are by default',
  ])('by %s sends nothing there, and would have', async (variant) => {
    const environment = environments()[variant]
    const guarded = await run(environment, 'guardian', analyst.url)
    expect(guarded).toEqual({ outcome: 'model', connected: [hostOf(analyst.url)], stderr: '' })
    expect(recorder).toMatchObject({ connections: 0, requests: [] })

    // The same question, asked by a program that leaves LangChain to its environment: the recorder hears it.
    const control = await run(environment, 'model', analyst.url)
    expect(control.outcome).toBe('answered')
    expect(control.connected).toEqual([hostOf(analyst.url), hostOf(recorder.url)].sort())
    expect(recorder.connections).toBeGreaterThan(0)
    expect(recorder.requests.length).toBeGreaterThan(0)
    if (!variant.startsWith('the background'))
      expect(recorder.requests.map(({ body }) => body).join()).toContain(
        'You guard a leveraged lending position',
      )
  })

  it('by OpenTelemetry sends nothing there', async () => {
    // Without a provider set up by the program, which there is none of here, LangSmith's OpenTelemetry mode sends
    // nothing by itself, so there is nothing to compare with.
    for (const mode of [
      { OTEL_ENABLED: 'true', LANGSMITH_OTEL_ENABLED: 'true' },
      { LANGSMITH_TRACING_MODE: 'otel' },
    ]) {
      const guarded = await run(
        {
          ...SWITCHES,
          ...KEYS,
          ...mode,
          LANGSMITH_ENDPOINT: recorder.url,
          OTEL_EXPORTER_OTLP_ENDPOINT: recorder.url,
          OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: `${recorder.url}/v1/traces`,
          OTEL_EXPORTER_OTLP_HEADERS: 'x-api-key=ls-key',
          OTEL_TRACES_EXPORTER: 'otlp',
        },
        'guardian',
        analyst.url,
      )
      expect(guarded).toEqual({ outcome: 'model', connected: [hostOf(analyst.url)], stderr: '' })
    }
    expect(recorder).toMatchObject({ connections: 0, requests: [] })
  })

  it('by LANGSMITH_GATEWAY is not led there with its questions, and would have been', async () => {
    const environment = {
      ...KEYS,
      LANGSMITH_GATEWAY: recorder.url,
      LANGSMITH_GATEWAY_API_KEY: 'ls-key',
      LANGCHAIN_BASE_URL: recorder.url,
    }
    const guarded = await run(environment, 'guardian', analyst.url)
    expect(guarded).toEqual({ outcome: 'model', connected: [hostOf(analyst.url)], stderr: '' })
    expect(recorder).toMatchObject({ connections: 0, requests: [] })

    const control = await run(environment, 'defaults')
    expect(control.connected).toEqual([hostOf(recorder.url)])
    expect(recorder.requests.map(({ path }) => path)).toEqual(['/openai/v1/chat/completions'])
    expect(recorder.requests[0]?.body).toContain('You guard a leveraged lending position')
  })
})
