import { tokenResponseLength } from '../protocol/network/payment.ts'
import { gatewayResources, mediaTypes, routes } from '../protocol/network/routes.ts'
import type { RecoverySource } from '../tokens/wallet/openWallet.ts'
import { assemble } from './assemble.ts'
import { gatewayRequest } from './gatewayLink.ts'
import { askMint, type MintLink, readAccountKey, refusedBy } from './mint.ts'
import type { NetworkOptions } from './options.ts'
import { refuse } from './refusals.ts'

/** How many tokens were found that the wallet did not know. */
export type Recovered = { readonly bought: number; readonly change: number }

/**
 * Finds the tokens of a lost wallet again, from its seed: those that were bought are asked for again at the mint, and
 * change at the gateway. Both give the very same signatures as before, and nothing is bought.
 *
 * To be run on a wallet that was made anew with the old seed, before a network is opened with it. Each token is asked
 * for in a relayed request of its own, and so is whether it was spent: asked together, they would be known to be of one
 * wallet. The mint, which knows its account anyway, is asked directly.
 *
 * They go one behind the other, though, and few others recover at that moment: a gateway can guess that the tokens which
 * are asked for within these seconds are of one wallet. What is spent later it cannot tie to them: change that was shown
 * here and never signed is not asked for again.
 *
 * @param options as of the network; `cover` is not used
 * @param options.gap so many tokens in a row that were never signed mean that there are no more; 256 by default
 * @throws {PrivateNetworkError} `mint_unconfigured`, or why somebody did not answer; what was found by then is kept
 * @example await recoverWallet({ relay, gateway, wallet, mint, privacy: 'private' })
 */
export async function recoverWallet(options: NetworkOptions & { readonly gap?: number }): Promise<Recovered> {
  const { wallet, mint, gap } = options
  if (mint === undefined) throw refuse('mint_unconfigured')
  const { state, transport, timeouts, gone } = assemble(options, {
    afterSpending: () => undefined,
    isClosing: () => false,
  })
  const { keeper, link, treasury } = state
  const asked: MintLink = {
    url: mint.url,
    name: mint.name,
    account: readAccountKey(mint.account),
    transport,
    timeout: timeouts.short,
    signal: gone.signal,
  }

  const isSpent = async (nullifier: Uint8Array): Promise<boolean> => {
    const { status, content } = await link.ask(
      gatewayRequest(gatewayResources.tokenStatus, { content: nullifier }),
    )
    const [said] = content
    if (status !== 200 || content.length !== 1 || (said !== 0 && said !== 1))
      throw refuse('gateway_refused', { limit: { status } })
    return said === 1
  }

  const fromMint = async (request: Uint8Array): Promise<Uint8Array | null> => {
    const { status, body } = await askMint(asked, routes.mint.tokenReissue, {
      type: mediaTypes.tokenRequest,
      body: request,
    })
    if (status === 404) return null
    if (status !== 200 || body.length !== tokenResponseLength) throw refusedBy(mint, status)
    return new Uint8Array(body)
  }

  const fromGateway = async (request: Uint8Array): Promise<Uint8Array | null> => {
    const { status, content } = await link.ask(
      gatewayRequest(gatewayResources.reissue, {
        headers: [['content-type', mediaTypes.tokenRequest]],
        content: request,
      }),
    )
    if (status === 404) return null
    if (status !== 200 || content.length !== tokenResponseLength)
      throw refuse('gateway_refused', { limit: { status } })
    return content
  }

  const source = (reissue: RecoverySource['reissue']): RecoverySource => ({
    reissue,
    isSpent,
    ...(gap === undefined ? {} : { gap }),
  })
  try {
    const directory = await keeper.current()
    const { all } = treasury.issuers(directory)
    let bought = 0
    let change = 0
    // What was bought first: how much of it is spent says how much change was asked for at least.
    // Only at the mint where the account is; tokens of another are recovered with that one's account.
    for (const { issuer, of } of all)
      if (of === mint.name) bought += await wallet.recover(issuer, source(fromMint))
    for (const { issuer, of } of all) {
      const atLeast = all.reduce((sum, each) => sum + wallet.balance(each.issuer).spent, 0)
      if (of === null)
        change += await wallet.recover(issuer, { ...source(fromGateway), atLeast, isAnonymous: true })
    }
    return { bought, change }
  } finally {
    keeper.close()
    gone.abort()
    transport.close()
  }
}
