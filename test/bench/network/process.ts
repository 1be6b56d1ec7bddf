import { pathToFileURL } from 'node:url'
import { describeError, InvariantError } from '../../../runtime/core/errors.ts'
import type { FromPart, Memory, Part, StartPart, ToPart, Usage } from './part.ts'

/*
 * One part of the bench, in a process of its own, told by messages what to do:
 *
 *     node --import tsx process.ts <module> <export>
 */

const [module = '', name = ''] = process.argv.slice(2)
const starting = import(pathToFileURL(module).href) as Promise<Readonly<Record<string, StartPart>>>
let part: Part | undefined

const calls: Record<string, (argument: never) => Promise<unknown>> = {
  async start(argument) {
    const start = (await starting)[name]
    if (start === undefined) throw new InvariantError('There is no such part.', { module, name })
    part = await start(argument)
    return part.url
  },
  async usage(): Promise<Usage> {
    const { user, system } = process.cpuUsage()
    return { cpu: user + system }
  },
  async memory(): Promise<Memory> {
    globalThis.gc?.()
    const { rss, heapUsed, external } = process.memoryUsage()
    return { resident: rss, held: heapUsed + external }
  },
  async close() {
    await part?.close()
    // In a turn of its own, so that the answer goes out.
    setImmediate(() => process.disconnect())
  },
}

async function answer({ id, call, argument }: ToPart): Promise<FromPart> {
  try {
    const run = calls[call] ?? part?.calls?.[call]
    if (run === undefined) throw new InvariantError('The part has no such call.', { call })
    return { id, value: await run(argument as never) }
  } catch (error) {
    return { id, error: describeError(error) }
  }
}

process.on('message', async (message: ToPart) => {
  process.send?.(await answer(message))
})
// Also when the bench is gone: nothing of it stays behind. `exit` writes a profile that was asked for.
process.once('disconnect', () => process.exit())
