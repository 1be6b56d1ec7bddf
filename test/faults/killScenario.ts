import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseGwei } from 'viem'
import { type DrillStage, prepareDrill } from '../../infra/drill/prepareDrill.ts'
import { openStore } from '../../infra/store/openStore.ts'
import { createActors } from '../../infra/world/actors.ts'
import { createRpc } from '../../infra/world/rpc.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { usd, wei } from '../../runtime/core/units.ts'
import { type Command, rialto } from '../e2e/rialto.ts'
import { type ProxiedRequest, startRpcProxy } from '../proxy/rpcProxy.ts'
import { type Holdings, holdingsOf, minedOf } from './truth.ts'

/** When the runtime is killed: at the n-th request of a method since the block came, or since it was started again. */
export type Kill = {
  /** Counted from 0. */
  readonly block: number
  readonly method: string
  readonly nth: number
  /** `before`: the node never gets the request. `after`: it has done what it was asked, and nobody hears of it. */
  readonly when: 'before' | 'after'
  /** What the next start must say that it found and did; null when it is killed again before it can. */
  readonly finds: RegExp | null
}

export type Played = {
  readonly holdings: Holdings
  /** As `kind status`, in the order they were decided, with the block each was decided in, counted from 0. */
  readonly intents: readonly string[]
  /** Transactions of the account: the block and how each ended. */
  readonly mined: readonly string[]
  /** Kills, and what the start after each said. */
  readonly kills: readonly { readonly kill: Kill; readonly said: string }[]
}

/** US dollars per ETH in each of the sixteen blocks: falls, three of which call for a rescue, and a rebound. */
export const PRICES = [
  2_000, 1_850, 1_740, 1_745, 1_750, 1_660, 1_665, 1_600, 1_605, 1_610, 1_540, 1_545, 1_550, 1_600, 1_650,
  1_700,
] as const

const BASE_FEE = wei(parseGwei('20'))
const ARGV = ['start', '--no-protector', '--port', '0']

/** The policy that ships, with limits that let it act several times in sixteen blocks. */
function writePolicy(folder: string): string {
  const shipped = JSON.parse(readFileSync('policies/lending-guardian.json', 'utf8'))
  const path = join(folder, 'policy.json')
  const policy = {
    ...shipped,
    cooldownSeconds: 0,
    drawdownStopBps: 9_000,
    healthFactor: { ...shipped.healthFactor, minAfter: '1.16', target: '1.20' },
    protector: 'none',
    riskReducing: {
      ...shipped.riskReducing,
      spend: { perTransactionUsd: '5000.00', rollingUsd: '50000.00' },
    },
  }
  writeFileSync(path, JSON.stringify(policy))
  return path
}

/** A model that is there and never answers anything of use, so that the guardian decides by its rule. */
async function startMuteModel(): Promise<{ readonly url: string; close(): Promise<void> }> {
  const server = createServer((request, response) => {
    const isList = request.url?.endsWith('/models') === true
    response
      .writeHead(isList ? 200 : 503, { 'content-type': 'application/json' })
      .end(isList ? JSON.stringify({ object: 'list', data: [{ id: 'mute', object: 'model' }] }) : '{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/**
 * Plays sixteen blocks with `rialto start` as a process of its own, killed with SIGKILL at each of the points and started
 * again. The next block is mined when the runtime is through with this one, so that a kill takes no time of the chain's,
 * and the state at the end has to be the same.
 *
 * @throws {InvariantError} when a point was never reached.
 */
export async function playKilled(kills: readonly Kill[]): Promise<Played> {
  const folder = mkdtempSync(join(tmpdir(), 'rialto-killed-'))
  const model = await startMuteModel()
  const stage = await prepareDrill(writePolicy(folder))
  const rpc = createRpc(stage.world.url)
  const begin = BigInt(await rpc<string>('eth_blockNumber'))
  const waiting = [...kills]
  let counts: Record<string, number> = {}
  let block = -1
  let run: Command | null = null
  /** Requests that the node answers and nobody hears of. */
  const fatal = new WeakSet<ProxiedRequest>()

  const isDue = ({ method }: ProxiedRequest): Kill | null => {
    const [next] = waiting
    const nth = counts[method] ?? 0
    return next?.block === block && next.method === method && next.nth === nth ? next : null
  }
  const proxy = await startRpcProxy(stage.world.url, {
    decide(request) {
      counts[request.method] = (counts[request.method] ?? 0) + 1
      const kill = isDue(request)
      if (kill === null) return null
      if (kill.when === 'after') {
        fatal.add(request)
        return null
      }
      run?.child.kill('SIGKILL')
      return { kind: 'refuse' }
    },
    async answer(request, forward) {
      const reply = await forward(request)
      if (fatal.has(request)) run?.child.kill('SIGKILL')
      return reply
    },
  })
  pointAt(stage, proxy.url, model.url)
  const actors = createActors(stage.world)
  const lives: { readonly kill: Kill; readonly next: Command }[] = []
  const start = () => rialto([...ARGV, '--config', stage.configPath], { folder: stage.directory })

  try {
    run = start()
    for (const price of PRICES) {
      await actors.pushPrice(usd(BigInt(price) * 10n ** 8n))
      await actors.arbitrageTo(usd(BigInt(price) * 10n ** 8n))
      block += 1
      counts = {}
      const { number } = await actors.mineBlock({ baseFeePerGas: BASE_FEE })
      const through = new RegExp(`^ {2}block ${number} `, 'm')
      for (;;) {
        const [kill] = waiting
        if (await reached(run, through)) break
        if (kill === undefined || kill.block !== block)
          throw new InvariantError(`The runtime ended by itself in block ${block}: ${run.stderr()}`)
        waiting.shift()
        counts = {}
        const next = start()
        run = next
        lives.push({ kill, next })
      }
      if (waiting[0]?.block === block)
        throw new InvariantError('A point to be killed at was never reached.', { ...waiting[0] })
    }
    run.child.kill('SIGTERM')
    await run.exit
    return {
      ...(await endOf(stage, begin)),
      kills: lives.map(({ kill, next }) => ({ kill, said: next.stderr() })),
    }
  } finally {
    run?.child.kill('SIGKILL')
    await run?.exit
    await proxy.close()
    await model.close()
    await stage.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Whether it got through with the block; false when it was killed before. */
async function reached(run: Command, through: RegExp): Promise<boolean> {
  return Promise.race([
    run.untilNoted(through).then(
      () => true,
      () => false,
    ),
    run.exit.then(() => through.test(run.stderr())),
  ])
}

function pointAt({ configPath }: DrillStage, rpcUrl: string, model: string): void {
  const config = JSON.parse(readFileSync(configPath, 'utf8'))
  const changed = {
    ...config,
    inference: { url: model, model: 'mute' },
    chain: { ...config.chain, rpcUrl, blockSeconds: 1 },
  }
  writeFileSync(configPath, JSON.stringify(changed))
}

async function endOf(
  { world, account, directory }: DrillStage,
  begin: bigint,
): Promise<Pick<Played, 'holdings' | 'intents' | 'mined'>> {
  const rpc = createRpc(world.url)
  const store = await openStore({ directory })
  try {
    const journal = await store.journals.open(world.chainId, world.genesisHash)
    const intents = await journal.intents()
    const mined = await minedOf(rpc, account, begin)
    return {
      holdings: await holdingsOf(rpc, world.addressBook, account),
      intents: intents.map(
        ({ action, status, decidedOnBlock }) =>
          `${action.kind} of block ${decidedOnBlock - begin - 1n}: ${status}`,
      ),
      mined: mined.map(({ nonce, status }) => `${nonce}: ${status}`),
    }
  } finally {
    await store.close()
  }
}
