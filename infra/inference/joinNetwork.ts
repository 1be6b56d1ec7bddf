import { join } from 'node:path'
import type { NetworkConfig } from '../config/loadNetwork.ts'
import { openPrivateNetwork, type PrivateNetwork } from './client/openPrivateNetwork.ts'
import type { Notice } from './client/options.ts'
import type { PathReport } from './client/pathReport.ts'
import { openPurse, type Purse } from './openPurse.ts'
import type { Privacy } from './protocol/network/privacy.ts'

export type JoinOptions = {
  /** Rialto's folder: purses are kept in `inference/purses` there. */
  readonly directory: string
  /** Which purse: agents, the proxy and single questions have one each, so that they can run at once. */
  readonly purse: string
  readonly network: NetworkConfig
  /** The weakest word that is accepted. */
  readonly privacy: Exclude<Privacy, 'local'>
  /** Of the wallet; `RIALTO_WALLET_PASSPHRASE` as a rule. */
  readonly passphrase?: string
  readonly onPath?: (report: PathReport) => void
  readonly onNotice?: (notice: Notice) => void
}

/** A network that can be asked, with the purse that pays. */
export type JoinedNetwork = PrivateNetwork & { readonly purse: Purse }

/**
 * Opens a purse and the network that it pays, as the configuration describes it.
 *
 * @throws {PurseError, TokenError, PrivateNetworkError}
 */
export async function joinNetwork(options: JoinOptions): Promise<JoinedNetwork> {
  const { directory, network, privacy, passphrase, onPath, onNotice } = options
  const purse = await openPurse({
    directory: join(directory, 'inference', 'purses'),
    name: options.purse,
    ...(passphrase === undefined ? {} : { passphrase }),
  })
  try {
    const { operatorShare, operators, cells, cadence, cover, attestation } = network
    const opened = openPrivateNetwork({
      relay: network.relays,
      gateway: network.gateway,
      wallet: purse.wallet,
      mint: { ...network.mint, account: purse.account },
      memory: purse.memory,
      privacy,
      ...(operatorShare === undefined ? {} : { operatorShare }),
      ...(operators === undefined ? {} : { pinnedOperators: operators }),
      ...(cells === undefined ? {} : { cells }),
      ...(cadence === undefined ? {} : { cadence }),
      ...(cover === undefined ? {} : { cover: { every: cover.everySeconds * 1_000, model: cover.model } }),
      ...(attestation === undefined ? {} : { attestation }),
      ...(onPath === undefined ? {} : { onPath }),
      ...(onNotice === undefined ? {} : { onNotice }),
    })
    return {
      ...opened,
      purse,
      async close() {
        await opened.close()
        await purse.close()
      },
    }
  } catch (error) {
    await purse.close()
    throw error
  }
}
