import { InvalidInputError } from '../../../runtime/core/errors.ts'
import type { Chain, Logger } from '../../../runtime/core/ports.ts'
import { withoutSteps } from '../../../runtime/guards/graduation.ts'
import type { AgentConfig, Config } from '../../config/loadConfig.ts'
import type { SignerProcess } from '../../signer/createSignerProcess.ts'
import { createSignerProcess } from '../../signer/createSignerProcess.ts'
import { WorldGoneError } from '../../world/errors.ts'
import type { FoundScenario } from '../../world/scenarios/index.ts'
import { type Cast, setStage } from '../../world/setStage.ts'
import { attachWorld, startWorld, stopWorld, type World } from '../../world/world.ts'
import {
  type Play,
  readWorldFile,
  removeWorldFile,
  type WorldFile,
  writeWorldFile,
} from '../../world/worldFile.ts'

/** What is asked to be played. */
export type PlayRequest = {
  readonly found: FoundScenario
  /** As it was named on the command line: a name, or an absolute path. */
  readonly scenario: string
  readonly seed: number
  readonly from: string | null
  readonly to: string | null
}

/** Another scenario than the one that is asked for has not come to its end. */
export class OtherPlayError extends InvalidInputError {
  override readonly name = 'OtherPlayError'
  constructor({ scenario, seed, blocks }: Play) {
    super(`A world that plays ${scenario} (seed ${seed}, ${blocks} blocks) is still running.`, {
      code: 'OTHER_PLAY',
      fix: 'Start with the same options to go on with it, or with --fresh to end it.',
    })
  }
}

/** The world of an earlier start, if it still runs and plays what is asked for. */
export type Found = { readonly world: World; readonly play: Play }

/**
 * Finds the world that an earlier process left running.
 *
 * One that was left before its stage was set is ended: nothing has happened in it. One that is gone is forgotten.
 *
 * @throws {OtherPlayError} when it plays something else and is not to be ended.
 * @throws {WorldMismatchError} when another chain answers in its place.
 */
export async function findWorld(
  directory: string,
  request: PlayRequest,
  fresh: boolean,
): Promise<Found | null> {
  const file = await readWorldFile(directory)
  if (file === null) return null
  if (fresh) {
    // Whatever it is, of whichever version: it only has to be that one.
    await stopWorld(file)
    await removeWorldFile(directory)
    return null
  }
  const world = await attachIfAlive(file)
  if (world === null) {
    await removeWorldFile(directory)
    return null
  }
  if (file.play !== null) {
    if (!isSame(file.play, request)) throw new OtherPlayError(file.play)
    return { world, play: file.play }
  }
  await world.stop()
  await removeWorldFile(directory)
  return null
}

async function attachIfAlive(file: WorldFile): Promise<World | null> {
  try {
    return await attachWorld(file)
  } catch (error) {
    if (error instanceof WorldGoneError) return null
    throw error
  }
}

const isSame = (play: Play, request: PlayRequest): boolean =>
  play.scenario === request.scenario &&
  play.seed === request.seed &&
  play.blocks === request.found.blocks &&
  play.from === request.from &&
  play.to === request.to

/** Starts a world that outlives this process, and remembers it before anything happens in it. */
export async function openWorld(directory: string): Promise<World> {
  const world = await startWorld({ detached: true })
  try {
    await writeWorldFile(directory, { ...identityOf(world), play: null })
    world.release()
    return world
  } catch (error) {
    // Nobody would ever find it again.
    await world.stop()
    throw error
  }
}

const identityOf = ({ pid, url, chainId, genesisHash }: World) => ({ pid, url, chainId, genesisHash })

/** Sets the stage of a new world and remembers where the play begins. */
export async function beginPlay(
  directory: string,
  world: World,
  chain: Chain,
  request: PlayRequest,
  cast: Cast,
): Promise<Play> {
  await setStage(world, cast, await chain.head())
  const head = await chain.head()
  const play: Play = {
    scenario: request.scenario,
    seed: request.seed,
    blocks: request.found.blocks,
    from: request.from,
    to: request.to,
    startBlock: Number(head.number),
    startTimestamp: Number(head.timestamp),
    ...cast,
  }
  await writeWorldFile(directory, { ...identityOf(world), play })
  return play
}

/** The twin has a key like the others, but no policy: nothing can be signed for it. */
const TWIN = 'twin'

/**
 * Starts the signer of a world. Its keys follow from the seed, so that the same seed gives the same calldata on every
 * machine; they are worth nothing anywhere else.
 */
export function openWorldSigner(options: {
  readonly config: Config
  readonly world: World
  readonly seed: number
  readonly logger: Logger
}): Promise<SignerProcess> {
  const { config, world, seed, logger } = options
  const key = { kind: 'derived', seed: String(seed) } as const
  return createSignerProcess({
    directory: config.directory,
    chainId: world.chainId,
    genesisHash: world.genesisHash,
    book: world.addressBook,
    logger,
    accounts: [
      ...config.agents.map(({ id, policy }) => ({ label: id, key, policies: [withoutSteps(policy)] })),
      { label: TWIN, key, policies: [] },
    ],
  })
}

/** The one guardian and the one liquidator of a play. @throws {InvalidInputError} when there is not one of each. */
export function playersOf(config: Config): {
  readonly guardian: AgentConfig
  readonly liquidator: AgentConfig
} {
  const only = (role: AgentConfig['role']): AgentConfig => {
    const [first, ...others] = config.agents.filter((agent) => agent.role === role)
    if (first === undefined || others.length > 0)
      throw new InvalidInputError(
        `A scenario is played by exactly one ${role}; ${config.path} has ${first === undefined ? 'none' : others.length + 1}.`,
        {
          fix: `Name one agent with role "${role}".`,
        },
      )
    return first
  }
  return { guardian: only('lending-guardian'), liquidator: only('liquidator') }
}

export function castOf(config: Config, signer: SignerProcess): Cast {
  const { guardian, liquidator } = playersOf(config)
  return {
    guarded: signer.addressOf(guardian.id),
    twin: signer.addressOf(TWIN),
    liquidator: signer.addressOf(liquidator.id),
  }
}
