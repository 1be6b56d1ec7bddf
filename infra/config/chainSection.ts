import { z } from 'zod'
import { expected, positiveSeconds, section } from '../../runtime/guards/policyFields.ts'
import { oneOf, url, words } from './configFields.ts'
import { urlChecks } from './loadEnvironment.ts'

/** A local chain with the real protocols, made on first start. */
export const worldSection = section({ kind: z.literal('world') })

const perSecond = z
  .number({ error: expected('a number of requests per second, like 25') })
  .positive({ error: expected('a number of requests per second, like 25') })
  .max(100_000, { error: expected('a number of requests per second, at most 100000') })

/** One node of several. A URL alone stands for one that may be asked as often as wanted. */
const node = z.union(
  [url(urlChecks.rpc), section({ url: url(urlChecks.rpc), requestsPerSecond: perSecond.optional() })],
  { error: expected('a URL, or { url, requestsPerSecond }') },
)

const count = (what: string) =>
  z
    .int({ error: expected(what) })
    .positive({ error: expected(what) })
    .max(10_000, { error: expected(what) })

/** A chain that is there already. */
export const rpcSection = section({
  kind: z.literal('rpc'),
  /** One node. May be left to RIALTO_RPC_URL, which may also name several, with commas between them. */
  rpcUrl: url(urlChecks.rpc).optional(),
  /** Several nodes, of which {@link quorum} have to agree; reads prefer the first. */
  rpcUrls: z
    .array(node, { error: expected('a list of URLs') })
    .min(1, { error: 'is empty: name an RPC, or leave it out' })
    .optional(),
  /** How many nodes have to agree. Left out: more than half of them. */
  quorum: count('a number of RPCs, like 2').optional(),
  /**
   * Where transactions go that not everybody is to see before they are mined: to an operator's
   * `eth_sendPrivateTransaction` (`send-private`), or as they are to a protected RPC (`protected-rpc`).
   */
  private: section({
    url: url(urlChecks.http),
    kind: oneOf(['send-private', 'protected-rpc']),
    /** `send-private` only: after how many blocks the operator drops what it could not get mined. */
    maxBlocks: count('a number of blocks, like 25').optional(),
  }).optional(),
  /** An RPC of another chain is refused. */
  chainId: z
    .int({ error: expected('a chain id, like 1') })
    .positive({ error: expected('a chain id, like 1') }),
  /** A JSON file, from the configuration's folder: where everything is on the chain. */
  addressBook: words('the path of an address book'),
  /** Seconds between blocks: where the next block is simulated. */
  blockSeconds: positiveSeconds.optional(),
})
