import { describeError } from '../../runtime/core/errors.ts'
import { type FaultProxy, type FaultProxyOptions, startFaultProxy } from './faultProxy.ts'

// The entry of a fault proxy in a process of its own: it does what its parent says over IPC, and ends with it.

/** A method of {@link FaultProxy} that the parent calls. */
export type Order = {
  readonly id: number
  readonly method: Exclude<keyof FaultProxy, 'url'>
  readonly parameters: readonly unknown[]
}

/** First the proxy's URL, then what became of each order. */
export type Answer =
  | { readonly url: string }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string }

const tell = (answer: Answer) => process.send?.(answer)

process.once('disconnect', () => process.exit(0))
process.once('message', async (options: FaultProxyOptions) => {
  const proxy = await startFaultProxy(options)
  process.on('message', async ({ id, method, parameters }: Order) => {
    try {
      const work = proxy[method] as (...args: readonly unknown[]) => Promise<unknown>
      tell({ id, result: await work(...parameters) })
    } catch (error) {
      tell({ id, error: describeError(error) })
    }
  })
  tell({ url: proxy.url })
})
