import { writeSync } from 'node:fs'
import { Queue, QueueEvents, Worker } from 'bullmq'
import { openQueueServer } from './openQueueServer.ts'

/*
 * A process with an embedded queue server, for `openQueueServer.process.test.ts`: it says the port of the server and
 * what came of a job, and then ends as it is told to.
 *
 *     node --import tsx testProcess.ts close|exit|stay
 */

const [end] = process.argv.slice(2)
const { connection, close } = await openQueueServer()
const parts = [
  new Queue('test', { connection }),
  new QueueEvents('test', { connection }),
  new Worker('test', async ({ data }) => data.n * 2, { connection }),
] as const
const [queue, events] = parts
await events.waitUntilReady()
const job = await queue.add('double', { n: 21 })
writeSync(1, `${connection.port} ${await job.waitUntilFinished(events)}\n`)

if (end === 'exit') process.exit(0)
if (end === 'close') {
  for (const part of parts.toReversed()) await part.close()
  await close()
}
