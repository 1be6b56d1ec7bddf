import { pathToFileURL } from 'node:url'
import { Worker, type WorkerOptions } from 'node:worker_threads'
import { entryPoint, tsxModule } from './entryPoint.ts'

/**
 * Starts a module of ours in a worker thread, from source as well as from `dist/`.
 *
 * From source a small bootstrap registers tsx inside the thread first: Node 20 does not hand `--import tsx` on
 * to the loader of a worker.
 *
 * @param moduleUrl the caller's `import.meta.url`
 * @param name the module's path, relative to the caller, without an extension
 * @throws {InvariantError} when there is no such module.
 * @example const worker = startWorker(import.meta.url, './worker', { workerData: { port: 0 } })
 */
export function startWorker(moduleUrl: string, name: string, options: WorkerOptions = {}): Worker {
  const { path } = entryPoint(moduleUrl, name)
  // Flags of the main thread (a test runner's, say) are no business of the worker.
  const execArgv = options.execArgv ?? []
  if (path.endsWith('.js')) return new Worker(path, { ...options, execArgv })
  const bootstrap = `import(${JSON.stringify(tsxModule('dist/esm/api/index.mjs').href)}).then(({ register }) => {
    register()
    return import(${JSON.stringify(pathToFileURL(path).href)})
  })`
  return new Worker(bootstrap, { ...options, execArgv, eval: true })
}
