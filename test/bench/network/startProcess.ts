import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { entryPoint } from '../../../infra/process/entryPoint.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { FromPart, Memory, ToPart, Usage } from './part.ts'

/** A part that runs in a process of its own. */
export type Process = {
  readonly url: string
  /** Asks it for one of its own calls. @throws {InvariantError} what went wrong in there */
  call<Value>(name: string, argument?: unknown): Promise<Value>
  usage(): Promise<Usage>
  memory(): Promise<Memory>
  close(): Promise<void>
}

type Parts = Pick<typeof import('./roles.ts'), 'relay' | 'gateway' | 'node' | 'mint'> &
  Pick<typeof import('./floors.ts'), 'proxy' | 'payDesk'> &
  Pick<typeof import('./standIns.ts'), 'answeringNode' | 'answeringGateway'> &
  Pick<typeof import('./upstream.ts'), 'upstream'> &
  Pick<typeof import('./client.ts'), 'client'> &
  Pick<typeof import('./load.ts'), 'load'>

const modules: Record<keyof Parts, string> = {
  relay: './roles',
  gateway: './roles',
  node: './roles',
  mint: './roles',
  proxy: './floors',
  payDesk: './floors',
  answeringNode: './standIns',
  answeringGateway: './standIns',
  upstream: './upstream',
  client: './client',
  load: './load',
}

/** With this variable set to a folder, each process leaves profiles of its threads there, for Chrome's DevTools. */
const PROFILES = process.env.BENCH_PROFILES
let started = 0

/**
 * Starts a part in a process of its own.
 *
 * @param argument what it is given, by structured clone
 * @param flags of `node`
 * @throws {InvariantError} what went wrong in there
 */
export async function startProcess<Name extends keyof Parts>(
  name: Name,
  argument: Parameters<Parts[Name]>[0],
  flags: readonly string[] = [],
): Promise<Process> {
  const { path, execArgv } = entryPoint(import.meta.url, './process')
  started += 1
  const profiling =
    PROFILES === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${join(PROFILES, `${started}-${name}`)}`]
  const child = fork(path, [entryPoint(import.meta.url, modules[name]).path, name], {
    execArgv: [...execArgv, ...flags, ...profiling],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const exited = once(child, 'exit')
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: InvariantError): void }>()
  let lastId = 0
  child.on('message', ({ id, value, error }: FromPart) => {
    const caller = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) caller?.resolve(value)
    else caller?.reject(new InvariantError(`The bench's ${name} failed: ${error}`))
  })
  child.once('exit', (code) => {
    for (const { reject } of waiting.values())
      reject(new InvariantError(`The bench's ${name} ended.`, { code }))
    waiting.clear()
  })
  const call = <Value>(to: string, given?: unknown): Promise<Value> =>
    new Promise((resolve, reject) => {
      lastId += 1
      waiting.set(lastId, { resolve: (value) => resolve(value as Value), reject })
      child.send({ id: lastId, call: to, argument: given } satisfies ToPart)
    })
  const close = async () => {
    if (child.connected) await call('close')
    await exited
  }
  try {
    const url = await call<string>('start', argument)
    return { url, call, usage: () => call('usage'), memory: () => call('memory'), close }
  } catch (error) {
    child.kill()
    await exited
    throw error
  }
}

/** Closes what was opened, the last first, and goes on past what cannot be closed. */
export async function closeAll(opened: readonly Process[]): Promise<void> {
  for (const part of opened.toReversed()) await part.close()
}
