import { type Address, decodeFunctionResult, encodeFunctionData } from 'viem'
import { beforeAll, describe, expect, it } from 'vitest'
import { says } from '../../../agents/lending-guardian/testModel.ts'
import { narrate } from '../../../infra/cli/start/narrate.ts'
import type { Terminal } from '../../../infra/cli/terminal.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { intentId } from '../../../runtime/core/ids.ts'
import { plainLine } from '../../../runtime/core/plainLine.ts'
import { usd, wei } from '../../../runtime/core/units.ts'
import { denials } from '../../../runtime/core/verdict.ts'
import { decide, execute, settle } from '../../../runtime/pipeline.ts'
import type { Runtime } from '../../../runtime/stages/runtime.ts'
import { findText, onChain, type Slot, textAbi, turnHostile, writeText } from './chainTexts.ts'
import { type Context, title } from './context.ts'
import type { HostileText } from './corpus.ts'
import { expectPlain, stringsIn } from './plain.ts'
import type { Moment } from './scene.ts'

/** Texts on a real chain: in the names of a real token, in a real feed's description, in a contract's last words. */
export function describeChain(context: Context): void {
  const { texts, tally, ordersOf } = context
  const of = (...kinds: readonly string[]) => texts.filter(({ kind }) => kinds.includes(kind))

  describe('a text on the chain', () => {
    let moment: Moment
    let usdc: Address
    let feed: Address
    let places: { name: Slot; symbol: Slot; reason: Slot; description: Slot }
    beforeAll(async () => {
      const { scene } = context
      moment = await context.urgent()
      const { tokens, chainlink, wrappedNative } = scene.world.addressBook
      usdc = required(tokens.find(({ symbol }) => symbol === 'USDC')?.address)
      feed = required(chainlink.find(({ asset }) => asset === wrappedNative)?.feed)
      const aggregator =
        `0x${(await scene.rpc<string>('eth_call', { to: feed, data: '0x245a7bfc' }, 'latest')).slice(-40)}` as Address
      const hostile = await turnHostile(scene.world, usdc)
      places = {
        ...hostile,
        description: await findText(scene.rpc, aggregator, await said(feed, 'description')),
      }
    })

    /** What a contract answers, to whoever asks. */
    async function said(address: Address, functionName: 'name' | 'symbol' | 'description'): Promise<string> {
      const data = encodeFunctionData({ abi: textAbi, functionName })
      const answer = await context.scene.rpc<`0x${string}`>('eth_call', { to: address, data }, 'latest')
      return decodeFunctionResult({ abi: textAbi, functionName, data: answer })
    }

    /** A whole rescue, with a model that answers honestly; every string that it left anywhere. */
    async function rescue(runtime: Runtime) {
      const { scene, model } = context
      model.script = says({ candidate: 'c1', size: 100, reason: 'Under the floor.' })
      model.bodies.length = 0
      const agent = scene.guardian(model.chat)
      const run = await decide(runtime, agent, moment.head)
      const outcome = await execute(runtime, agent, intentId(run.id), moment.head)
      return { agent, run, outcome, bodies: [...model.bodies] }
    }

    /** All that a rescue left: journal, log, and what a person is shown. */
    async function leftBy(runtime: Runtime): Promise<readonly string[]> {
      const { scene } = context
      const { journal } = runtime
      const id = scene.engine.agent.id
      const shown: string[] = []
      const terminal: Terminal = {
        out: (line) => shown.push(line),
        note: (line) => shown.push(line),
        step: (_name, work) => work(),
      }
      const tell = narrate({
        session: { journal, meter: { measure: async () => [] } } as never,
        guardian: id,
        terminal,
      })
      const point = { oracle: usd(0n), pool: usd(0n), baseFeePerGas: wei(0n) }
      await tell?.({ index: 0, of: 1, head: moment.head, point } as never)
      const records = [await journal.runs(id), await journal.attempts(id), scene.engine.logger.lines]
      const intents = await journal.intents(id)
      return [...stringsIn([...records, intents]), ...shown]
    }

    it.each([
      ['token-names', 'name', () => usdc],
      ['token-symbols', 'symbol', () => usdc],
      ['feed-descriptions', 'description', () => feed],
    ] as const)('of %s is on the chain, and nowhere else', async (kind, functionName, address) => {
      for (const hostile of [...of(kind), ...of('mixed').slice(0, 6)]) {
        const text = onChain(hostile.text)
        await context.scene.undone(async () => {
          await writeText(context.scene.world, places[functionName], text)
          expect(await said(address(), functionName)).toBe(text)
          const runtime = await context.scene.fresh()
          const { outcome, bodies } = await rescue(runtime)
          expect(outcome, title(hostile)).toBe('submitted')
          const needle = plainLine(text).slice(0, 24)
          expect(bodies).toHaveLength(1)
          for (const line of [...bodies, ...(await leftBy(runtime))]) {
            expect(line.includes(needle), `${title(hostile)} in ${line.slice(0, 200)}`).toBe(false)
            for (const planted of ordersOf(hostile).addresses)
              expect(line.toLowerCase(), title(hostile)).not.toContain(planted.slice(2).toLowerCase())
          }
          tally.add('on the chain', `${kind} not read`)
        })
      }
    })

    it('that a contract reverts with in the simulation denies, and is quoted as one plain line', async () => {
      for (const hostile of of('revert-reasons', 'token-names')) {
        const text = onChain(hostile.text)
        await context.scene.undone(async () => {
          await writeText(context.scene.world, places.reason, text)
          const runtime = await context.scene.fresh()
          const { run, outcome } = await rescue(runtime)
          expect(outcome, title(hostile)).toBe('denied')
          expect(await runtime.journal.attempts()).toEqual([])
          const intent = await runtime.journal.intent(intentId(run.id))
          const [denial] = intent?.verdicts.flatMap(denials) ?? []
          expect(denial?.code).toBe('SIMULATION_REVERTED')
          expectQuoted(denial?.message ?? '', hostile)
          for (const line of await leftBy(runtime)) expectPlain(line, title(hostile), 20_000)
          tally.add('on the chain', 'reverts, denied and quoted')
        })
      }
    })

    it('that a mined transaction reverts with is quoted as one plain line', async () => {
      for (const hostile of of('revert-reasons')) {
        const text = onChain(hostile.text)
        await context.scene.undone(async () => {
          const { scene } = context
          const runtime = await scene.fresh()
          const { agent, outcome } = await rescue(runtime)
          expect(outcome).toBe('submitted')
          // The issuer turns between the simulation and the block.
          await writeText(scene.world, places.reason, text)
          const head = await scene.engine.mine()
          await settle(runtime, [agent], agent.account, head)
          const [settled] = await runtime.journal.attempts(agent.id)
          expect(settled?.failure, title(hostile)).not.toBe(null)
          expectQuoted(settled?.failure ?? '', hostile)
          for (const line of await leftBy(runtime)) expectPlain(line, title(hostile), 20_000)
          tally.add('on the chain', 'reverts once mined, recorded and quoted')
        })
      }
    })
  })
}

/** A reason of the chain in a line of ours: one pair of quotation marks around it, none within, and bounded. */
function expectQuoted(line: string, hostile: HostileText): void {
  expectPlain(line, title(hostile), 260)
  // Aave's own numbers are told by their names, whoever says them.
  if (/^\d{1,3}$/.test(hostile.text)) return
  const marks = [...line.matchAll(/["“”„«»]/g)].length
  // A reason that takes more gas than there is never arrives: then nothing of it is told.
  const isLost = hostile.text.length > 5_000 && marks === 0 && !line.includes(hostile.text.slice(0, 8))
  expect(isLost || marks === 2, `${title(hostile)}: ${line}`).toBe(true)
}

function required<T>(value: T | undefined): T {
  if (value === undefined) throw new InvariantError('The world lacks what the test stands on.')
  return value
}
