import { keccak256, toHex } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

/** Headers for the body of one request. */
export type RelayIdentity = (body: string) => Promise<{ readonly 'X-Flashbots-Signature': string }>

/**
 * Somebody for a relay to know a sender by: relays take nothing that is not signed, and count by key how well its
 * sender behaves. The key is made here, in this process, and forgotten with it. It is no account's, holds nothing,
 * and links no two runs; the transaction itself was signed by the signer.
 *
 * The signature is EIP-191 over the body's Keccak-256 as text
 * ([Flashbots, authentication](https://docs.flashbots.net/flashbots-auction/advanced/rpc-endpoint#authentication)).
 *
 * @example await createRelayIdentity()('{"jsonrpc":"2.0",…}') // { 'X-Flashbots-Signature': '0xf39f…:0x8a1c…' }
 */
export function createRelayIdentity(): RelayIdentity {
  const { address, signMessage } = privateKeyToAccount(generatePrivateKey())
  return async (body) => ({
    'X-Flashbots-Signature': `${address}:${await signMessage({ message: keccak256(toHex(body)) })}`,
  })
}
