import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join, sep } from 'node:path'
import { promisify } from 'node:util'
import { chromium } from 'playwright-core'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import type * as page from './page.ts'

type Page = typeof page

/** A page in a real browser that has loaded `page.ts`. */
export type BrowserPage = {
  /** Calls a function that `page.ts` exports. Arguments and result pass as JSON. */
  call<Name extends keyof Page>(
    name: Name,
    ...parameters: Parameters<Page[Name]>
  ): Promise<Awaited<ReturnType<Page[Name]>>>
  /** The origins that the page has asked anything of. */
  readonly origins: ReadonlySet<string>
  close(): Promise<void>
}

/** Answers what is no module of the page; whether it did. */
type Route = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>

/**
 * Compiles `page.ts` with the compiler of this repository, serves it on loopback (which is a secure context, as
 * WebCrypto asks for), and opens it.
 *
 * @param executablePath the browser
 */
export async function openPage(executablePath: string, route: Route): Promise<BrowserPage> {
  const modules = await compile()
  // In a container the tests run as root, and chromium's sandbox does not; it opens nothing but our own page.
  const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] })
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => response.destroy(asError(error)))
  })
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const module = modules.get(request.url ?? '')
    if (module !== undefined) {
      response.writeHead(200, { 'content-type': 'text/javascript' }).end(module)
    } else if (request.url === '/') {
      response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Rialto</title>')
    } else if (!(await route(request, response))) {
      response.writeHead(404).end()
    }
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || address === null) throw new TypeError('the server listens on a port')

  const tab = await browser.newPage()
  const origins = new Set<string>()
  tab.on('request', (request) => origins.add(new URL(request.url()).origin))
  await tab.goto(`http://127.0.0.1:${address.port}/`)
  return {
    // As text: vitest would rewrite the import within a function.
    call: (name, ...parameters) =>
      tab.evaluate(
        `import('/test/browser/page.js').then((page) => page.${name}(...${JSON.stringify(parameters)}))`,
      ),
    origins,
    async close() {
      await browser.close()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** The modules of the page as JavaScript, by their path. */
async function compile(): Promise<ReadonlyMap<string, string>> {
  const root = packageRoot(import.meta.url)
  const out = await mkdtemp(join(tmpdir(), 'rialto-page-'))
  try {
    await promisify(execFile)(process.execPath, [
      join(root, 'node_modules/typescript/bin/tsc'),
      '--project',
      join(root, 'test/browser'),
      '--outDir',
      out,
    ])
    const names = (await readdir(out, { recursive: true })).filter((name) => name.endsWith('.js'))
    return new Map(
      await Promise.all(
        names.map(
          async (name) => [`/${name.split(sep).join('/')}`, await readFile(join(out, name), 'utf8')] as const,
        ),
      ),
    )
  } finally {
    await rm(out, { recursive: true })
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new TypeError(String(error)))
