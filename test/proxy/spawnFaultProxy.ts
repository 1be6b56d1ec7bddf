import { fork } from 'node:child_process'
import { once } from 'node:events'
import { entryPoint } from '../../infra/process/entryPoint.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { FaultProxy, FaultProxyOptions } from './faultProxy.ts'
import type { Answer, Order } from './faultProxyProcess.ts'

/**
 * A fault proxy in a process of its own, so that what it is used by can be stopped, killed or starved without it. It
 * ends with the process that started it.
 *
 * @example
 * const proxy = await spawnFaultProxy({ upstream: world.url, seed: 1 })
 * await proxy.schedule([{ method: 'eth_sendRawTransaction', count: 1, fault: { kind: 'drop' } }])
 */
export async function spawnFaultProxy(
  options: FaultProxyOptions,
): Promise<FaultProxy & { readonly pid: number }> {
  const { path, execArgv } = entryPoint(import.meta.url, './faultProxyProcess')
  const child = fork(path, { execArgv: [...execArgv], stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  const waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>()
  const gone = once(child, 'exit')
  const url = new Promise<string>((resolve, reject) => {
    child.on('message', (answer: Answer) => {
      if ('url' in answer) return resolve(answer.url)
      const order = waiting.get(answer.id)
      waiting.delete(answer.id)
      if ('error' in answer) order?.reject(new InvariantError(`The fault proxy failed: ${answer.error}`))
      else order?.resolve(answer.result)
    })
    child.once('exit', (code) => {
      const error = new InvariantError(`The fault proxy ended with ${code}.`)
      reject(error)
      for (const order of waiting.values()) order.reject(error)
    })
  })
  child.send(options)
  let last = 0
  const order = <Method extends Order['method']>(
    method: Method,
    ...parameters: Parameters<FaultProxy[Method]>
  ): ReturnType<FaultProxy[Method]> => {
    last += 1
    const id = last
    return new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject })
      child.send({ id, method, parameters } satisfies Order)
    }) as ReturnType<FaultProxy[Method]>
  }
  return {
    url: await url,
    pid: child.pid ?? 0,
    schedule: (entries) => order('schedule', entries),
    behave: (manners) => order('behave', manners),
    evict: (hash) => order('evict', hash),
    reorganise: (depth, how) => order('reorganise', depth, ...(how === undefined ? [] : [how])),
    record: () => order('record'),
    async close() {
      child.disconnect()
      await gone
    },
  }
}
