import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Chain } from '../../runtime/core/ports.ts'
import { formatWad, type Usd, usd, type Wad, wei } from '../../runtime/core/units.ts'
import { userAccountData } from '../../runtime/protocols/aave-v3/read.ts'
import { readAll } from '../../runtime/protocols/read.ts'
import { createChain } from '../chain/createChain.ts'
import { loadPolicy } from '../config/loadPolicy.ts'
import { entryPoint } from '../process/entryPoint.ts'
import { type ConnectedSigner, connectSigner } from '../signer/connectSigner.ts'
import { endHolder } from '../signer/lock.ts'
import { createActors } from '../world/actors.ts'
import { DrillError } from './errors.ts'
import { DRILL_BLOCK_SECONDS, type DrillStage, prepareDrill } from './prepareDrill.ts'
import type { DrillAnswer, DrillTarget } from './targets.ts'

/** What one rehearsal showed. Health factors as decimal strings. */
export type DrillReport = {
  readonly killed: DrillTarget
  readonly protected: boolean
  readonly liquidatable: boolean
  /** Whose transaction lifted the position; null when nobody's did. */
  readonly by: 'agent' | 'protector' | null
  /** From the first block under the hard floor to the block with the rescue; null when there was none. */
  readonly blocks: number | null
  readonly floor: string
  /** The health factor in every block from the fall on. */
  readonly healthFactors: readonly string[]
}

export type DrillOptions = {
  readonly kill: DrillTarget
  /** The policy that is rehearsed, absolute. */
  readonly policyPath: string
  /** How many blocks a rescue is waited for. */
  readonly patience: number
  /** Told what happens, a line each. */
  onEvent(line: string): void
}

/** Where the price falls to in one block: under the hard floor of the policy that ships, and above liquidation. */
const FALL_TO: Usd = usd(1_580n * 10n ** 8n)
const GAS_PRICE = wei(20n * 10n ** 9n)
/** Milliseconds in which the runtime must be ready: it opens a database and a model first. */
const READY = 120_000

/**
 * Rehearses one failure: starts the runtime on a local world, kills what is named, lets the price fall under the hard
 * floor, and counts the blocks until the position is protected again.
 *
 * A block is mined every {@link DRILL_BLOCK_SECONDS} on the clock, whether or not anybody is ready, as on a real chain.
 *
 * @throws {DrillError} when it cannot be held.
 * @example (await runDrill({ kill: 'workers', policyPath, patience: 10, onEvent })).by // 'protector'
 */
export async function runDrill(options: DrillOptions): Promise<DrillReport> {
  const { healthFactor } = await loadPolicy(options.policyPath)
  const stage = await prepareDrill(options.policyPath)
  const victim = startVictim(stage.configPath)
  let signer: ConnectedSigner | null = null
  try {
    await untilReady(victim)
    signer = await connectSigner({ directory: stage.directory })
    options.onEvent(`a runtime guards ${stage.account}, process ${victim.child.pid}`)
    const chain = await createChain({
      rpcUrl: stage.world.url,
      chainId: stage.world.chainId,
      multicall3: stage.world.addressBook.multicall3,
    })
    const actors = createActors(stage.world)
    const mine = async () => {
      const pause = delay(DRILL_BLOCK_SECONDS * 1_000)
      await actors.mineBlock({ baseFeePerGas: GAS_PRICE })
      await pause
    }
    await mine()
    await kill(victim, options.kill)
    options.onEvent(options.kill === 'nothing' ? 'nothing is killed' : `killed: ${options.kill}`)
    await actors.pushPrice(FALL_TO)
    await actors.arbitrageTo(FALL_TO)
    const seen: Wad[] = []
    let blocks: number | null = null
    for (let block = 0; block <= options.patience && blocks === null; block++) {
      await mine()
      const now = await healthFactorOf(chain, stage)
      seen.push(now)
      options.onEvent(`block ${block}: health factor ${formatWad(now).slice(0, 6)}`)
      if (block === 0 && now >= healthFactor.floor)
        throw new DrillError(
          `the fall ends at a health factor of ${formatWad(now)}, above the policy's floor`,
          'Raise healthFactor.floor, or rehearse with the policy that ships.',
        )
      if (block > 0 && now >= healthFactor.floor) blocks = block
    }
    return {
      killed: options.kill,
      protected: blocks !== null,
      liquidatable: seen.some((each) => each < 10n ** 18n),
      by: blocks === null ? null : await whoseRescue(chain, signer, stage),
      blocks,
      floor: formatWad(healthFactor.floor),
      healthFactors: seen.map(formatWad),
    }
  } finally {
    await signer?.close()
    await end(victim, stage)
  }
}

type Victim = { readonly child: ChildProcess; stderr(): string }

function startVictim(configPath: string): Victim {
  const { path, execArgv } = entryPoint(import.meta.url, './victim')
  const child = spawn(process.execPath, [...execArgv, path, configPath], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: {
      PATH: process.env.PATH,
      NO_COLOR: '1',
      ...(process.env.HOME === undefined ? {} : { HOME: process.env.HOME }),
    },
  })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  return { child, stderr: () => stderr }
}

/** Ready is: the first block was seen, with the protector there. */
function untilReady({ child, stderr }: Victim): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => fail(`the runtime was not ready within ${READY / 1_000} s`), READY)
    const fail = (why: string) => {
      clearTimeout(late)
      reject(new DrillError(why, 'Look at what "rialto doctor" says.'))
    }
    const look = () => {
      if (!/^ {2}block \d+ /m.test(stderr())) return
      clearTimeout(late)
      resolve()
    }
    child.stderr?.on('data', look)
    child.once('exit', (code) => fail(`the runtime ended with code ${code}: ${complaint(stderr())}`))
  })
}

/** The line that says what was wrong: Node puts its version below it. */
function complaint(stderr: string): string {
  const lines = stderr.trim().split('\n')
  return lines.findLast((line) => /^rialto: |Error\b/.test(line)) ?? lines.at(-1) ?? 'it said nothing'
}

async function kill({ child }: Victim, target: DrillTarget): Promise<void> {
  if (target === 'nothing') return
  if (target === 'workers') {
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  } else if (target === 'agent') child.kill('SIGSTOP')
  else {
    const answered = once(child, 'message') as Promise<[DrillAnswer]>
    child.send({ kill: target })
    await Promise.race([answered, once(child, 'exit')])
  }
}

async function healthFactorOf(chain: Chain, { world, account }: DrillStage): Promise<Wad> {
  const head = await chain.head()
  const { position } = await readAll(chain, head.hash, {
    position: userAccountData(world.addressBook.aaveV3.pool, account),
  })
  return position.healthFactor
}

/** The signer's ledger tells who asked for the transaction that was mined. */
async function whoseRescue(
  chain: Chain,
  signer: ConnectedSigner,
  { account }: DrillStage,
): Promise<'agent' | 'protector' | null> {
  for (const { hash, fence } of await signer.signedFrom(account, 0n))
    if ((await chain.receipt(hash))?.status === 'success')
      return fence === 'protector' ? 'protector' : 'agent'
  return null
}

async function end({ child }: Victim, stage: DrillStage): Promise<void> {
  endHolder(join(stage.directory, 'protector.lock'))
  if (child.exitCode === null && child.signalCode === null) {
    const gone = once(child, 'exit')
    // One that hangs hears nothing else.
    child.kill('SIGKILL')
    await gone
  }
  await stage.close()
}
