import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAccountKey } from '../../infra/inference/client/mint.ts'
import { openPrivateNetwork, type PrivateNetwork } from '../../infra/inference/client/openPrivateNetwork.ts'
import type { NetworkOptions, Notice } from '../../infra/inference/client/options.ts'
import type { PathReport } from '../../infra/inference/client/pathReport.ts'
import { type LoopbackNetwork, startLoopbackNetwork } from '../../infra/inference/startLoopbackNetwork.ts'
import { openWallet, type Wallet } from '../../infra/inference/tokens/wallet/openWallet.ts'

/** A client of the network, with what it was told of its requests. */
export type Joined = PrivateNetwork & {
  readonly wallet: Wallet
  readonly account: string
  readonly paths: readonly PathReport[]
  readonly notices: readonly Notice[]
}

/** The real relay, gateway, mint and two nodes in front of the reference analyst, in a folder of their own. */
export type RealNetwork = LoopbackNetwork & {
  readonly folder: string
  /** Opens a client with a wallet of its own. It is closed with the network. */
  join(changes?: Partial<NetworkOptions> & { readonly seed?: Uint8Array }): Promise<Joined>
}

/** Starts the network. The caller closes it, and with it all that joined. */
export async function startRealNetwork(): Promise<RealNetwork> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-network-'))
  const running = await startLoopbackNetwork({ directory: join(folder, 'roles') })
  const closing: (() => Promise<void>)[] = []
  let wallets = 0
  return {
    ...running,
    folder,
    async join({ seed, ...changes } = {}) {
      const { relays, gateway, mint } = running.network
      wallets += 1
      const wallet = await openWallet({
        path: join(folder, `wallet-${wallets}`),
        secret: { kind: 'passphrase', passphrase: 'test' },
        scryptCost: 1024,
        ...(seed === undefined ? {} : { seed }),
      })
      const paths: PathReport[] = []
      const notices: Notice[] = []
      const account = changes.mint?.account ?? createAccountKey()
      const network = openPrivateNetwork({
        relay: relays,
        gateway,
        mint: { ...mint, account },
        wallet,
        privacy: 'private',
        onPath: (report) => paths.push(report),
        onNotice: (notice) => notices.push(notice),
        ...changes,
      })
      closing.push(async () => {
        await network.close()
        await wallet.close()
      })
      return { ...network, wallet, account, paths, notices }
    },
    async close() {
      for (const close of closing.splice(0)) await close()
      await running.close()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
