import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createChain } from '../../infra/chain/createChain.ts'
import { DRILL_AGENT, type DrillStage, prepareDrill } from '../../infra/drill/prepareDrill.ts'
import { openOrders } from '../../infra/orders/ownerOrders.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { connectSigner } from '../../infra/signer/connectSigner.ts'
import { endHolder } from '../../infra/signer/lock.ts'
import { createActors } from '../../infra/world/actors.ts'
import { usd, wei } from '../../runtime/core/units.ts'
import { userAccountData } from '../../runtime/protocols/aave-v3/read.ts'
import { readAll } from '../../runtime/protocols/read.ts'
import { builtEntry } from '../runner/builtEntry.ts'
import { finished, rialto } from './rialto.ts'

const POLICY = join(packageRoot(import.meta.url), 'policies/lending-guardian.json')
/** Under the hard floor of 1.05, and above liquidation. */
const FALL_TO = usd(1_580n * 10n ** 8n)
const FLOOR = 105n * 10n ** 16n
const GAS_PRICE = wei(20n * 10n ** 9n)
const WAIT = { timeout: 60_000, interval: 50 }

/** A runtime with its protector, in processes of their own, that guards the drill's position. */
async function startRuntime({ configPath }: DrillStage): Promise<{ child: ChildProcess; stderr(): string }> {
  const child = spawn(process.execPath, [...builtEntry('infra/drill/victim'), configPath], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: '1' },
  })
  onTestFinished(() => kill(child))
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  // Its first block was seen, or it says why not.
  await vi.waitFor(() => expect(stderr).toMatch(/^ {2}block \d+ /m), { timeout: 120_000, interval: 50 })
  return { child, stderr: () => stderr }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGKILL')
  await gone
}

describe('the kill switch', { timeout: 280_000 }, () => {
  it('holds from the next block on, with the runtime hung, the queue dead and over a kill, and lets risk be reduced when told', async () => {
    const stage = await prepareDrill(POLICY)
    onTestFinished(() => stage.close())
    onTestFinished(() => void endHolder(join(stage.directory, 'protector.lock')))
    const actors = createActors(stage.world)
    const book = stage.world.addressBook
    const chain = await createChain({
      rpcUrl: stage.world.url,
      chainId: stage.world.chainId,
      multicall3: book.multicall3,
    })
    /** Mines a block, and waits until the protector has said what it made of it. */
    const mine = async (): Promise<string> => {
      await actors.mineBlock({ baseFeePerGas: GAS_PRICE })
      const { number } = await chain.head()
      return vi.waitFor(() => protectorOn(stage.directory, number), WAIT)
    }
    const order = async (...argv: readonly string[]) => {
      const { code, stdout, stderr } = await finished(
        rialto([...argv, '--config', stage.configPath], { folder: stage.directory }),
      )
      expect(code, stderr).toBe(0)
      return stdout
    }
    const signed = async () => {
      const signer = await connectSigner({ directory: stage.directory })
      try {
        return await signer.signedFrom(stage.account, 0n)
      } finally {
        await signer.close()
      }
    }
    const healthFactor = async () => {
      const { hash } = await chain.head()
      const { position } = await readAll(chain, hash, {
        position: userAccountData(book.aaveV3.pool, stage.account),
      })
      return position.healthFactor
    }

    const { child: first, stderr } = await startRuntime(stage)
    const broken = once(first, 'message')
    first.send({ kill: 'queue' })
    await broken
    // It hangs, and holds the database: whoever is stopped needs neither.
    first.kill('SIGSTOP')
    const said = await Promise.all([
      order('halt', '--agent', DRILL_AGENT),
      order('halt', '--account', stage.account),
      order('halt', '--reduce-only'),
    ])
    for (const line of said) expect(line).toContain('the runtime could not be told')
    const orders = openOrders(stage.directory)
    expect(orders.list().map(({ scope, state }) => [JSON.stringify(scope), state])).toEqual(
      expect.arrayContaining([
        [JSON.stringify({ agent: DRILL_AGENT }), 'halted'],
        [JSON.stringify({ account: stage.account }), 'halted'],
        ['"all"', 'reducing'],
      ]),
    )
    await actors.pushPrice(FALL_TO)
    await actors.arbitrageTo(FALL_TO)
    // In every block from the very next on, and none of them has anything signed.
    expect([await mine(), await mine(), await mine()]).toEqual(['halted', 'halted', 'halted'])
    expect(await healthFactor()).toBeLessThan(FLOOR)
    expect(await signed()).toEqual([])
    // It wakes, and one order of two that say the same is taken back: the other holds, for the runtime as well.
    first.kill('SIGCONT')
    await order('resume', '--account', stage.account)
    expect(await mine()).toBe('halted')
    const { number } = await chain.head()
    await vi.waitFor(() => expect(stderr()).toContain(`block ${number} `), WAIT)
    expect(await signed()).toEqual([])

    await kill(first)
    await startRuntime(stage)
    expect([await mine(), await mine()]).toEqual(['halted', 'halted'])
    expect(await signed()).toEqual([])

    await order('resume', '--agent', DRILL_AGENT)
    // What is left lets risk be reduced. A chain goes on by the clock. Whoever comes first, agent or protector: risk is reduced again.
    await vi.waitFor(
      async () => {
        await actors.mineBlock({ baseFeePerGas: GAS_PRICE })
        expect(await healthFactor()).toBeGreaterThanOrEqual(FLOOR)
      },
      { timeout: 90_000, interval: 1_000 },
    )
    expect(await signed()).not.toEqual([])
  })
})

/** What the protector said of a block, by the log that it shares with the runtime. @throws until it did */
function protectorOn(directory: string, block: bigint): string {
  const path = join(directory, 'rialto.log')
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n') : []
  for (const line of lines.reverse()) {
    if (!line.includes('"protector"') || !line.endsWith('}')) continue
    const said = JSON.parse(line) as { block?: string; kind?: string; msg?: string }
    if (said.msg === 'protector' && said.block === String(block)) return said.kind ?? ''
  }
  throw new TypeError(`the protector has said nothing of block ${block} yet`)
}
