import { writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { benchCodecs } from './codecs.ts'
import { benchDecision } from './decision.ts'
import { type Result, table } from './measure.ts'
import { benchNetwork } from './network/benchNetwork.ts'
import { benchQueue } from './queue.ts'
import { openRedis } from './redis.ts'
import { openScene } from './scene.ts'

/** `npm run bench`: ratios against a floor of the same run, printed and written to `bench.json`. */
/** Half of them by the bare script and half by Rialto, the first of each to warm up: a hundred and one decisions. */
const BORROWERS = 204

async function run(where: string, redisUrl: string | null): Promise<Result[]> {
  const scene = await openScene(BORROWERS, redisUrl)
  try {
    return [...(await benchDecision(scene, where)), await benchQueue(scene, where)]
  } finally {
    await scene.close()
  }
}

const results = await benchCodecs()
results.push(...(await benchNetwork()))
results.push(...(await run('embedded queue', null)))
const redis = await openRedis()
if (redis === null)
  process.stderr.write(
    'No redis-server is installed and TEST_REDIS_URL is not set: the Redis leg is left out.\n',
  )
else {
  results.push(...(await run('Redis', redis.url)))
  await redis.close()
}
process.stdout.write(`${table(results)}\n`)
await writeFile(
  'bench.json',
  `${JSON.stringify({ node: process.version, cores: cpus().length, cpu: cpus()[0]?.model, results }, null, 2)}\n`,
)
