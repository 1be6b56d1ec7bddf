import { setMaxListeners } from 'node:events'
import { Agent } from 'node:http'
import { Agent as SecureAgent } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { describeError } from '../../../runtime/core/errors.ts'
import { createBodyBudget } from '../../http/bodyBudget.ts'
import { listen } from '../../http/listen.ts'
import { nameSchema } from '../protocol/network/nodeDescription.ts'
import { startChangeSigner } from './change/changeSigner.ts'
import { createDirectoryKeeper, type DirectoryKeeper, readFormer } from './directory.ts'
import { GatewayOptionError } from './errors.ts'
import { openChangeKeys } from './keys/changeKeys.ts'
import { createDerivedKeys } from './keys/derivedKeys.ts'
import { openDirectoryFiles } from './keys/directoryFiles.ts'
import { createMemoryKeys } from './keys/memoryKeys.ts'
import { openStateFolder } from './keys/stateFile.ts'
import { createMeasurements } from './measurements.ts'
import { createGatewayMetrics } from './metrics.ts'
import { defaultLimits, defaultRotation, type Gateway, type GatewayOptions } from './options.ts'
import { watchMints } from './peers/mints.ts'
import { watchNodes } from './peers/nodes.ts'
import { createHandler } from './serve.ts'
import { createSettler } from './settlement.ts'
import { createSlots } from './slots.ts'
import { createSpends } from './spends.ts'

/** A directory is valid for so many times the life of a key. */
const LIFETIMES = 2
/** How long a start waits for mints and nodes that do not answer, in milliseconds. */
const PATIENCE = 2_000

/**
 * Starts a gateway: it opens what clients seal for it, takes payment, hands what is sealed for a node to that node,
 * and gives change. It learns the model, the tokens and the node of a request; who asks is behind a relay, and what
 * is asked is sealed for the node.
 *
 * It starts without its mints and nodes, too, and says in `/healthz` what it waits for.
 *
 * @throws {GatewayOptionError} `GATEWAY_OPTION`
 * @throws {GatewayStateError} `GATEWAY_STATE`
 * @throws {ListenError} `HTTP_LISTEN`
 * @example
 * const gateway = await startGateway({
 *   state: '.rialto/inference/gateway', name: 'gateway-a', identity: await openIdentity(path),
 *   mints: [{ name: 'mint-a', url: 'https://mint.example' }],
 *   nodes: [{ url: 'https://node.example', identity: readIdentity(text) }],
 *   nullifiers: await fileNullifiers(log), answers: memoryAnswers(),
 * })
 */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  requireOptions(options)
  const { name, identity, state, cluster, nullifiers, answers, logger, now = Date.now } = options
  const limits = { ...defaultLimits, ...options.limits }
  const rotation = { ...defaultRotation, ...options.rotation }
  const shared = cluster !== undefined
  const onProblem = tellProblems(options)
  const cut = new AbortController()
  // Every spend under way listens.
  setMaxListeners(0, cut.signal)

  await openStateFolder(state)
  const files = await openDirectoryFiles(join(state, 'directories'))
  const former = await readFormer(files, { name, identity: identity.identity })
  const changeKeys = await openChangeKeys({
    folder: join(state, 'change'),
    lifetime: rotation.changeKeys,
    now,
  })
  let directory: DirectoryKeeper | undefined
  const refresh = () => void directory?.refresh()
  const keys = shared
    ? await createDerivedKeys({ cluster, name, rotation: rotation.keys, now })
    : await createMemoryKeys({
        rotation: rotation.keys,
        capacity: limits.replays,
        lastId: former.keyId,
        now,
        onNearlyFull: refresh,
      })
  const mints = watchMints({
    mints: options.mints,
    known: former.mintKeys,
    pause: rotation.mints,
    now,
    onChange: refresh,
    onProblem,
  })
  const nodes = watchNodes({
    nodes: options.nodes,
    known: former.nodes,
    pause: rotation.nodes,
    now,
    onChange: refresh,
    onProblem,
  })
  const keeper = createDirectoryKeeper({
    name,
    identity,
    keys,
    changeKeys,
    files,
    mints,
    nodes,
    shared,
    lifetime: LIFETIMES * rotation.keys,
    now,
    onProblem,
  })

  const signer = startChangeSigner()
  const metrics = createGatewayMetrics(options.withProcessMetrics === true)
  const budget = { ...limits, used: 0 }
  const spends = createSpends({
    nullifiers,
    answers,
    budget,
    metrics,
    shared,
    longest: limits.whole,
    cut: cut.signal,
  })
  const settler = createSettler({
    nullifiers,
    signer,
    changePairs: () => keeper.changePairs,
    metrics,
    cut: cut.signal,
  })
  const agents = { http: new Agent({ keepAlive: true }), https: new SecureAgent({ keepAlive: true }) }
  let closing: Promise<void> | undefined

  // Keys rotate and descriptions end by the clock alone.
  const ticking = setInterval(refresh, Math.min(rotation.nodes, rotation.keys / 4))
  const stop = async () => {
    clearInterval(ticking)
    cut.abort()
    mints.stop()
    nodes.stop()
    // Whatever is still being looked at changes nothing any more.
    directory = undefined
    await keeper.idle()
    await spends.idle()
    await signer.close()
    agents.http.destroy()
    agents.https.destroy()
  }

  const handler = createHandler({
    identity,
    directory: keeper,
    keys,
    budget: createBodyBudget(limits.unopened),
    nullifiers,
    answers,
    spends,
    settler,
    signer,
    slots: createSlots(limits),
    measurements: createMeasurements(),
    metrics,
    limits,
    agentFor: (url) => (url.startsWith('https:') ? agents.https : agents.http),
    onKeyUnknown: ({ identity: of }) => nodes.ask(of),
    cut: cut.signal,
    closing: () => closing !== undefined,
    health() {
      const reasons = closing === undefined ? [...keeper.missing] : ['shuts down']
      if (spends.failing) reasons.push('cannot record spent tokens')
      return reasons.length === 0
        ? { ok: true }
        : { ok: false, reason: `The gateway ${reasons.join(', and ')}.` }
    },
    now,
    logger,
  })

  try {
    await Promise.race([Promise.all([mints.asked, nodes.asked]), delay(PATIENCE, undefined, { ref: false })])
    // Not before, so that those who answer at once do not each make an epoch.
    directory = keeper
    await keeper.refresh()
    const listening = await listen(handler, {
      what: 'gateway',
      ...(options.host === undefined ? {} : { host: options.host }),
      ...(options.port === undefined ? {} : { port: options.port }),
    })
    logger?.info({ url: listening.url, gateway: name }, 'the gateway listens')
    return {
      url: listening.url,
      name,
      identity: identity.identity,
      close(grace = 0) {
        closing ??= close(grace)
        return closing
      },
    }

    async function close(grace: number): Promise<void> {
      const ended = listening.close(grace)
      // Answers whose readers have gone are under way too.
      await Promise.race([Promise.all([ended, spends.idle()]), delay(grace, undefined, { ref: false })])
      await stop()
      await ended
    }
  } catch (error) {
    await stop()
    throw error
  }
}

function requireOptions({ name, mints, nodes, cluster }: GatewayOptions): void {
  if (!nameSchema.safeParse(name).success) throw new GatewayOptionError('its name is no name')
  if (mints.length === 0 || mints.length > 16) throw new GatewayOptionError('it takes from 1 to 16 mints')
  if (mints.some((mint) => !nameSchema.safeParse(mint.name).success))
    throw new GatewayOptionError('the name of a mint is no name')
  // A token's challenge names who signed it: change that passed for a mint's tokens would be no change.
  if (new Set([name, ...mints.map((mint) => mint.name)]).size !== mints.length + 1)
    throw new GatewayOptionError('two of its mints, or a mint and itself, have one name')
  if (new Set(nodes.map(({ identity }) => identity.text)).size !== nodes.length)
    throw new GatewayOptionError('two of its nodes have one identity')
  if (nodes.length > 256) throw new GatewayOptionError('it takes at most 256 nodes')
  if (cluster !== undefined && cluster.seed.length < 32)
    throw new GatewayOptionError('the seed that its processes share has less than 32 bytes')
}

/** Tells each problem once, and when it is over. */
function tellProblems({ logger }: GatewayOptions): (what: string, problem: unknown) => void {
  const told = new Map<string, string>()
  return (what, problem) => {
    const line = problem === undefined ? undefined : describeError(problem)
    if (told.get(what) === line) return
    if (line === undefined) {
      told.delete(what)
      logger?.info({ what }, 'is well again')
    } else {
      told.set(what, line)
      logger?.warn({ what, error: line }, 'has a problem')
    }
  }
}
