import type { ChatOpenAI } from '@langchain/openai'
import type { Logger } from '../../runtime/core/ports.ts'
import type { InferenceConfig } from '../config/loadConfig.ts'
import type { PathReport } from './client/pathReport.ts'
import { createChatModel } from './createChatModel.ts'
import { NetworkModelError } from './errors.ts'
import { type JoinedNetwork, joinNetwork } from './joinNetwork.ts'
import { postNetwork, withdrawNetwork } from './networkNotice.ts'
import { satisfiesPrivacy } from './protocol/network/privacy.ts'
import { LOOPBACK_CAVEAT, startLoopbackNetwork } from './startLoopbackNetwork.ts'

/** What the agents think with. */
export type Inference = {
  readonly chat: ChatOpenAI
  readonly name: string
  /** One line for a person: which model, where, and how private. */
  readonly description: string
  close(): Promise<void>
}

export type InferenceOptions = {
  /** Rialto's folder. */
  readonly directory: string
  readonly config: InferenceConfig
  readonly logger: Logger
  readonly onPath?: (report: PathReport) => void
}

/** Where the OpenAI client believes that it sends its requests: nothing listens there, the private fetch takes them. */
const PRIVATE_URL = 'http://private.invalid/v1'

/**
 * Opens what the configuration names: a model on this machine, a private network, or, with neither, the loopback
 * network in front of the reference analyst.
 *
 * @throws {RialtoError} when it cannot be used as it is asked for; nothing weaker is taken instead
 */
export async function openInference(options: InferenceOptions): Promise<Inference> {
  const { url, network } = options.config
  if (url !== null) return openLocal(url, options.config)
  if (network !== null) return openNetwork(options, await join(options, network))
  const loopback = await startLoopbackNetwork({
    directory: `${options.directory}/inference`,
    logger: options.logger,
  })
  const close = async () => {
    await withdrawNetwork(options.directory)
    await loopback.close()
  }
  try {
    await postNetwork(options.directory, loopback.network)
    const opened = await openNetwork(options, await join(options, loopback.network), loopback.model)
    return {
      ...opened,
      description: `${opened.name} through relay, gateway and two nodes on loopback (${LOOPBACK_CAVEAT})`,
      async close() {
        await opened.close()
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function openLocal(url: string, { model, key }: InferenceConfig): Promise<Inference> {
  const found = await createChatModel({
    url,
    ...(model === null ? {} : { model }),
    ...(key === null ? {} : { apiKey: key }),
  })
  return {
    chat: found.model,
    name: found.name,
    description: `${found.name} at ${new URL(url).host} (local: nothing leaves this machine)`,
    close: async () => undefined,
  }
}

const join = (
  { directory, config, logger, onPath }: InferenceOptions,
  network: Parameters<typeof joinNetwork>[0]['network'],
): Promise<JoinedNetwork> =>
  joinNetwork({
    directory,
    purse: 'agents',
    network,
    privacy: config.privacy === 'local' ? 'private' : config.privacy,
    ...(config.passphrase === null ? {} : { passphrase: config.passphrase }),
    ...(onPath === undefined ? {} : { onPath }),
    onNotice: ({ what, error }) =>
      logger.warn(
        { what, code: (error as { code?: unknown }).code ?? 'unknown' },
        'the private network has trouble beside the requests',
      ),
  })

async function openNetwork(
  { config }: InferenceOptions,
  network: JoinedNetwork,
  model = config.model,
): Promise<Inference> {
  try {
    await network.ready()
    const entries = (await network.catalogue()).filter(({ refused }) => refused === null)
    const words = new Set(entries.flatMap((entry) => (entry.model === model ? [entry.privacy] : [])))
    if (model === null || ![...words].some((offered) => satisfiesPrivacy({ asked: config.privacy, offered })))
      throw new NetworkModelError(
        model,
        config.privacy,
        [...words],
        [...new Set(entries.map((entry) => entry.model))],
      )
    const { model: chat, name } = await createChatModel({ url: PRIVATE_URL, model, fetch: network.fetch })
    return {
      chat,
      name,
      description: `${name} through a private network, ${config.privacy} or better`,
      close: network.close,
    }
  } catch (error) {
    await network.close()
    throw error
  }
}
