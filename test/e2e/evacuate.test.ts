import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Address } from 'viem'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createChain } from '../../infra/chain/createChain.ts'
import { prepareDrill } from '../../infra/drill/prepareDrill.ts'
import { openOrders } from '../../infra/orders/ownerOrders.ts'
import { packageRoot } from '../../infra/process/packageRoot.ts'
import { createActors } from '../../infra/world/actors.ts'
import { usd, wei } from '../../runtime/core/units.ts'
import { userAccountData } from '../../runtime/protocols/aave-v3/read.ts'
import { balanceOf } from '../../runtime/protocols/erc20/read.ts'
import { readAll } from '../../runtime/protocols/read.ts'
import { type Command, finished, rialto } from './rialto.ts'

const OWNER: Address = '0x000000000000000000000000000000000000bEEF'
const POLICY = join(packageRoot(import.meta.url), 'policies/lending-guardian.json')

/** A position on a chain of its own, whose configuration says where to evacuate it to. */
async function stage(evacuateTo: string | null = OWNER) {
  const drill = await prepareDrill(POLICY)
  onTestFinished(() => drill.close())
  const config = JSON.parse(readFileSync(drill.configPath, 'utf8'))
  config.agents[0] = { ...config.agents[0], ...(evacuateTo === null ? {} : { evacuateTo }) }
  writeFileSync(drill.configPath, JSON.stringify(config))
  const book = drill.world.addressBook
  const chain = await createChain({
    rpcUrl: drill.world.url,
    chainId: drill.world.chainId,
    multicall3: book.multicall3,
  })
  const actors = createActors(drill.world)
  const weth = book.wrappedNative
  return {
    ...drill,
    actors,
    chain,
    run: (...argv: readonly string[]) =>
      rialto(['evacuate', '--config', drill.configPath, ...argv], { folder: drill.directory }),
    async look() {
      const head = await chain.head()
      return readAll(chain, head.hash, {
        position: userAccountData(book.aaveV3.pool, drill.account),
        weth: balanceOf(weth, OWNER),
        left: balanceOf(weth, drill.account),
      })
    },
  }
}

/** Mines a block whenever the command has said what it did about the last one, until it ends. */
async function mineAlong(command: Command, actors: ReturnType<typeof createActors>): Promise<void> {
  let isOver = false
  const over = command.exit.then(() => {
    isOver = true
  })
  for (let block = 0; !isOver && block < 60; block++) {
    const seen = command.stderr().match(/^ {2}block \d+ /gm)?.length ?? 0
    await Promise.race([over, untilMore(command, seen)])
    if (!isOver) await actors.mineBlock({ baseFeePerGas: wei(20n * 10n ** 9n) })
  }
  await over
}

const untilMore = (command: Command, seen: number): Promise<void> =>
  new Promise((resolve) => {
    const look = () => {
      if ((command.stderr().match(/^ {2}block \d+ /gm)?.length ?? 0) <= seen) return
      command.child.stderr?.off('data', look)
      resolve()
    }
    command.child.stderr?.on('data', look)
    look()
  })

describe('rialto evacuate', { timeout: 240_000 }, () => {
  it('shows what it would do, does it, is killed in the middle, and goes on', async () => {
    const scene = await stage()
    await scene.actors.pushPrice(usd(1_580n * 10n ** 8n))
    await scene.actors.arbitrageTo(usd(1_580n * 10n ** 8n))
    await scene.actors.mineBlock({ baseFeePerGas: wei(20n * 10n ** 9n) })

    const planned = await finished(scene.run('--plan', '--json'))
    expect(planned.code, planned.stderr).toBe(0)
    const [plan] = JSON.parse(planned.stdout)
    expect(plan.steps.map(({ kind }: { kind: string }) => kind)).toEqual([
      'repay',
      'deleverage',
      'withdraw',
      'transfer',
    ])
    expect(plan.stopped).toBeNull()
    expect(openOrders(scene.directory).list()).toEqual([])

    const first = scene.run('--yes')
    await first.untilNoted(/block \d+ {2}guardian: acted, repay/)
    first.child.kill('SIGKILL')
    await first.exit
    expect(openOrders(scene.directory).stateFor({ agent: 'guardian' })).toBe('halted')

    const second = scene.run('--yes', '--json')
    await mineAlong(second, scene.actors)
    expect(await second.exit, second.stderr()).toBe(0)
    const [end] = JSON.parse(second.stdout())
    expect(end).toMatchObject({
      agent: 'guardian',
      account: scene.account,
      destination: OWNER,
      stopped: null,
    })
    expect(end.remains.filter(({ isOfValue }: { isOfValue: boolean }) => isOfValue)).toEqual([])
    const { position, weth, left } = await scene.look()
    expect(position.totalDebt).toBe(0n)
    expect(left).toBe(0n)
    expect(end.arrived).toMatchObject([{ symbol: 'WETH', amount: weth.toString() }])
    // What came is what was planned, up to interest.
    const [plannedWeth] = plan.arrives.flatMap((one: { symbol: string; amount: string }) =>
      one.symbol === 'WETH' ? [BigInt(one.amount)] : [],
    )
    expect(weth * 1_000n).toBeGreaterThan(plannedWeth * 999n)
  })

  it('says in one line why it cannot', async () => {
    const scene = await stage(null)
    const nowhere = await finished(scene.run('--yes'))
    expect(nowhere.code).toBe(2)
    expect(nowhere.stderr.trim()).toMatch(
      /^rialto: Agent "guardian" cannot be evacuated: .*evacuateTo[^\n]*$/,
    )
    const nobody = await finished(scene.run('--agent', 'nobody', '--yes'))
    expect(nobody.code).toBe(2)
    expect(nobody.stderr).toMatch(/Name one of guardian/)
    expect(openOrders(scene.directory).list()).toEqual([])
  })
})
