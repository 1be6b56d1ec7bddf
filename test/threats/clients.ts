import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { keccak256 } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { createAccountKey } from '../../infra/inference/client/mint.ts'
import { openPrivateNetwork } from '../../infra/inference/client/openPrivateNetwork.ts'
import type { NetworkOptions } from '../../infra/inference/client/options.ts'
import type { PathReport } from '../../infra/inference/client/pathReport.ts'
import { openWallet, type WalletSpend } from '../../infra/inference/tokens/wallet/openWallet.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import { createAddressedFetch } from './addressedFetch.ts'
import { models, type TappedNetwork } from './network.ts'
import { completionOf } from './upstream.ts'

/** What is true of a request: what its client alone knows in full. */
export type Asked = {
  readonly client: number
  readonly address: string
  /** The key of the account at the mint. */
  readonly account: string
  readonly chainAccount: string
  readonly kind: 'private' | 'anonymized'
  readonly prompt: string
  readonly completion: string
  /** Milliseconds on the clock of `performance.now()`. */
  readonly began: number
  readonly ended: number
  readonly report: PathReport
  /** Of its client, the latest: with cover requests it may be one of theirs. */
  readonly spend: WalletSpend
  /** The hash of the transaction that followed. */
  readonly action: string | undefined
}

export type Ask = {
  readonly kind: 'private' | 'anonymized'
  readonly maxTokens: number
  readonly stream?: boolean
  /** Bytes of prompt beside its canary. */
  readonly filling?: number
  /** Whether a transaction follows. */
  readonly act?: boolean
}

/** A client with a wallet, an account at the mint, an account on the chain and an address of its own. */
export async function openClient(
  network: TappedNetwork,
  index: number,
  options: Pick<NetworkOptions, 'cadence' | 'cover' | 'random'> & {
    readonly batch?: number
    /** Of its wallet's file. */
    readonly name?: string
  } = {},
) {
  const { known, folder } = network
  const { batch = 48, name = String(index), ...rest } = options
  const address = `127.0.0.${11 + index}`
  const account = createAccountKey()
  const chainAccount = privateKeyToAccount(generatePrivateKey())
  const addressed = createAddressedFetch(address)
  const wallet = await openWallet({
    path: join(folder, `wallet-${name}`),
    secret: { kind: 'passphrase', passphrase: 'test' },
    scryptCost: 1024,
  })
  const spends: WalletSpend[] = []
  const reports: PathReport[] = []
  const troubles: unknown[] = []
  const inner = openPrivateNetwork({
    relay: known.relay,
    gateway: known.gateway,
    // A purchase beside requests is made at a random time, five seconds later or more: here after the end of the test.
    mint: { ...known.mint, account, batch, delay: { min: 3_600_000, max: 3_600_000 } },
    wallet: {
      ...wallet,
      async spend(parameters) {
        const spend = await wallet.spend(parameters)
        spends.push(spend)
        return spend
      },
    },
    privacy: 'anonymized',
    fetch: addressed.fetch,
    onPath: (report) => reports.push(report),
    onNotice: (notice) => troubles.push(notice.error),
    ...rest,
  })
  let nonce = 0

  async function rpc(method: string, params: readonly unknown[]): Promise<void> {
    const response = await addressed.fetch(known.chain, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })),
    })
    await response.text()
  }

  /** What an agent does when it acts: reads its account, signs, sends. */
  async function act(): Promise<string> {
    await rpc('eth_getTransactionCount', [chainAccount.address, 'latest'])
    const transaction = await chainAccount.signTransaction({
      chainId: 1,
      nonce: nonce++,
      to: '0x00000000000000000000000000000000000a11ce',
      gas: 21_000n,
      maxFeePerGas: 1n,
      maxPriorityFeePerGas: 1n,
    })
    await rpc('eth_sendRawTransaction', [transaction])
    return keccak256(transaction)
  }

  return {
    index,
    address,
    account,
    chainAccount: chainAccount.address,
    /** What all its tokens are made of. */
    seed: wallet.exportSeed(),
    troubles,
    /** Of all its requests, cover included. */
    reports,
    ready: () => inner.ready(),
    async ask({ kind, maxTokens, stream = false, filling = 0, act: acts = false }: Ask): Promise<Asked> {
      const prompt = `PROMPT-${randomBytes(16).toString('hex')}${'.'.repeat(filling)}`
      const before = reports.length
      const began = performance.now()
      const response = await inner.fetch('http://private/v1/chat/completions', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          model: models[kind],
          messages: [{ role: 'user', content: prompt }],
          max_tokens: maxTokens,
          stream,
        }),
      })
      const text = await response.text()
      const ended = performance.now()
      const report = reports.slice(before).find((each) => each.kind === 'request')
      const spend = spends.at(-1)
      if (response.status !== 200 || report === undefined || spend === undefined)
        throw new InvariantError('a request of the test was not answered', { status: response.status, text })
      return {
        client: index,
        address,
        account,
        chainAccount: chainAccount.address,
        kind,
        prompt,
        completion: completionOf(prompt),
        began,
        ended,
        report,
        spend,
        action: acts ? await act() : undefined,
      }
    },
    async close(): Promise<void> {
      await inner.close()
      addressed.close()
      await wallet.close()
    },
  }
}

export type Client = Awaited<ReturnType<typeof openClient>>
