import { setImmediate, setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { PrivateNetworkError } from '../../infra/inference/client/errors.ts'
import { readAccount } from '../../infra/inference/client/mint.ts'
import { createTransport } from '../../infra/inference/client/transport.ts'
import { costOf } from '../../infra/inference/protocol/network/price.ts'
import { problemSchema } from '../../infra/inference/protocol/network/problem.ts'
import { type Client, chat, openClient } from './client.ts'
import { within } from './rawExchange.ts'
import type { Role } from './roleProcess.ts'
import { FAUCET, MODEL, PRICE, type Roles, startRoles } from './roles.ts'
import { readSpentTokens } from './spentTokens.ts'
import { beginStream, completion, event, lastEvents, type ScriptedUpstream, sendJson } from './upstream.ts'

/*
 * SIGKILL to one role after another, at moments that a seed chose, while the real client asks. Whatever was under way:
 * no token is taken twice, none is lost, and the client says what happened as OpenAI's API says it.
 */

const SEED = 20_261_120
const victims = ['gateway', 'node', 'relay', 'mint'] as const
const moments = ['paid', 'asked', 'said', 'answered', 'read'] as const

type Round = {
  readonly number: number
  readonly victim: (typeof victims)[number]
  /** What has to have happened, to any of the requests. */
  readonly moment: (typeof moments)[number]
  /** Milliseconds between that and the kill. */
  readonly delay: number
  /** Each with the tokens that it is answered with. */
  readonly requests: readonly { readonly stream: boolean; readonly completion: number }[]
}

/** Each role is killed once at each moment. */
const rounds: readonly Round[] = fc
  .sample(
    fc.record({
      delay: fc.nat(6),
      requests: fc.array(
        fc.record({
          stream: fc.boolean(),
          completion: fc.constantFrom(20, 1_500, 2_900),
        }),
        { minLength: 2, maxLength: 4 },
      ),
    }),
    { seed: SEED, numRuns: victims.length * moments.length },
  )
  .map((round, at) => ({
    ...round,
    number: at + 1,
    victim: victims[at % victims.length] ?? 'gateway',
    moment: moments[Math.floor(at / victims.length)] ?? 'paid',
  }))

let roles: Roles
let client: Client
let reach: (moment: Round['moment']) => void = () => undefined
/** How requests ended, over all rounds. */
const ends: string[] = []

beforeAll(async () => {
  roles = await startRoles({ scripted: 2 })
  client = await openClient(roles, {
    onSpend: (spend) => {
      reach('paid')
      return spend
    },
    // Bought once for all rounds, and then only when a round says so.
    mint: { lowWater: 1, batch: 256 },
    network: { random: seededRandom() },
  })
  await client.ready()
})
afterAll(async () => {
  await client?.close(0)
  await roles?.close()
})

/** Numbers from 0 up to 1, always the same: which node is asked. */
function seededRandom(): () => number {
  const numbers = fc.sample(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
    seed: SEED,
    numRuns: 500,
  })
  let at = 0
  return () => numbers[at++ % numbers.length] ?? 0
}

/** Says so much, for the usage that the request names. */
const answer: ScriptedUpstream['answer'] = async ({ body }, response) => {
  reach('asked')
  const { stream, seed = 20 } = JSON.parse(body.toString()) as { stream?: boolean; seed?: number }
  const usage = { prompt: 10, completion: seed }
  response.once('finish', () => reach('answered'))
  if (stream !== true) {
    sendJson(response, 200, completion(MODEL, { content: 'Fine.' }, usage))
    return reach('said')
  }
  beginStream(response)
  response.write(event(MODEL, { content: 'Fi' }))
  reach('said')
  for (let turns = 0; turns < 20; turns++) await setImmediate()
  response.write(event(MODEL, { content: 'ne.' }))
  response.end(lastEvents(MODEL, usage))
}

/** A refusal as OpenAI's clients read it. @returns its code */
function readProblem(text: string): string {
  const { error } = problemSchema.parse(JSON.parse(text))
  expect(error).toMatchObject({
    message: expect.any(String),
    type: expect.any(String),
    code: expect.any(String),
  })
  return error.code ?? ''
}

/** Asks, and tells how it ended; whatever it is, it is told in OpenAI's shape. */
async function ask({ stream, completion: seed }: Round['requests'][number]): Promise<string> {
  const body = {
    max_tokens: 3_000,
    seed,
    ...(stream ? { stream, stream_options: { include_usage: true } } : {}),
  }
  const response = await within(client.fetch(...chat(body)), 'a request')
  if (response.status !== 200) {
    const text = await response.text()
    expect(problemSchema.parse(JSON.parse(text)).error.rialto).toMatchObject({
      spent: expect.any(Number),
      returned: expect.any(Number),
    })
    return `${response.status} ${readProblem(text)}`
  }
  if (!stream) {
    reach('read')
    expect(await response.json()).toMatchObject({ choices: [{ message: { content: 'Fine.' } }] })
    const cost = costOf(PRICE, { prompt: 10, completion: seed })
    expect([response.headers.get('rialto-receipt-check'), response.headers.get('rialto-spent')]).toEqual([
      'ok',
      String(cost),
    ])
    return 'answered'
  }
  let text = ''
  try {
    for await (const bytes of response.body ?? []) {
      reach('read')
      text += Buffer.from(bytes).toString()
    }
  } catch (error) {
    expect(error).toMatchObject({ code: 'INFERENCE_STREAM_BROKEN' })
    const last = text.trim().split('\n\n').at(-1) ?? ''
    return `broken ${readProblem(last.replace(/^data: /, ''))}`
  }
  expect(text).toMatch(/Fi.*ne\..*\[DONE\]/s)
  return 'streamed'
}

const victimOf = ({ victim }: Round): Role => {
  const [node] = roles.nodes
  if (node === undefined) return expect.unreachable('there is a node')
  return { node, gateway: roles.gateway, relay: roles.relay, mint: roles.mint }[victim]
}

describe.each(rounds)(
  'round $number: the $victim is killed $delay ms after something was $moment',
  (round) => {
    it('loses no token, spends none twice, and says what happened', async () => {
      roles.upstream.answer = answer
      const victim = victimOf(round)
      let killing: Promise<void> | undefined
      const kill = async () => {
        await setTimeout(round.delay)
        await victim.kill()
        await victim.start()
      }
      const reached = new Promise<void>((resolve) => {
        reach = (moment) => {
          if (moment !== round.moment) return
          killing ??= kill()
          resolve()
        }
      })
      const asked = round.requests.map(ask)
      // What the mint was asked for when it was killed is asked for again, and paid once.
      const bought =
        round.victim === 'mint'
          ? client.buy(3).catch((error: unknown) => expect(error).toBeInstanceOf(PrivateNetworkError))
          : undefined
      ends.push(...(await Promise.all(asked)))
      await within(reached, `the moment "${round.moment}"`)
      await killing
      await bought
      reach = () => undefined

      // Relays hold a directory for some seconds, in which a new key is not known: one that starts anew does not.
      if (round.victim !== 'relay' && round.victim !== 'mint') {
        await roles.relay.kill()
        await roles.relay.start()
      }
      await expect
        .poll(async () => (await client.fetch(...chat())).status, { timeout: 30_000, interval: 100 })
        .toBe(200)
      await client.reclaim()
      await client.buy(0)

      expect(client.wallet.unsettled()).toEqual([])
      const spends = await readSpentTokens(roles.gateway)
      expect(spends.filter(({ change }) => change === null)).toEqual([])
      const used = spends.reduce((sum, { paid, change }) => sum + paid - (change ?? 0), 0)
      const transport = createTransport()
      const left = await readAccount({
        ...roles.network.mint,
        account: client.purse.account,
        transport,
        timeout: 10_000,
      })
      transport.close()
      const { ready, requested, spending } = await client.balance()
      expect({ requested, spending, sum: ready + used }).toEqual({
        requested: 0,
        spending: 0,
        sum: FAUCET - left,
      })
    })
  },
)

it('was hit at all its moments, and ended in more than one way', () => {
  const kinds = new Set(ends)
  expect([...kinds]).toEqual(expect.arrayContaining(['answered', 'streamed']))
  expect(
    [...kinds].filter((kind) => kind.startsWith('50') || kind.startsWith('broken')).length,
  ).toBeGreaterThan(1)
  for (const kind of kinds)
    expect(kind).toMatch(/^(answered|streamed|(502|503|504) [a-z_]+|broken (stream_broken|outcome_unknown))$/)
})
