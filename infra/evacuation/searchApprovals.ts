import { type Address, encodeEventTopics, erc20Abi, getAddress, type Hex, numberToHex, pad } from 'viem'
import { z } from 'zod'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import { describeError, RialtoError } from '../../runtime/core/errors.ts'
import type { ApprovalName, ApprovalSearch } from '../../runtime/evacuation/approvalSearch.ts'
import { approvableTokens } from '../../runtime/evacuation/readAllowances.ts'
import { aaveDebtTokenEventsAbi } from '../../runtime/protocols/aave-v3/abi.ts'
import { type Rpc, RpcAnswer } from '../chain/rpc.ts'
import { parseAnswer } from '../chain/wire.ts'

/** Blocks in which nobody looked for approvals, the last included, and why. */
export type Unsearched = { readonly from: bigint; readonly to: bigint; readonly why: string }

/** A search that runs. */
export type RunningSearch = ApprovalSearch & {
  /** Settles when the search is over, whatever came of it. Null: every block was looked at. */
  readonly end: Promise<Unsearched | null>
  /** Ends it early: nobody needs it any more. */
  cancel(): void
}

export type SearchParameters = {
  /** Every node by itself: one that hides an event must not hide an allowance. */
  readonly nodes: readonly Rpc[]
  /** How many of them have to tell of a block until it counts as looked at. */
  readonly quorum: number
  readonly book: AddressBook
  readonly account: Address
  /** The newest block to look at. */
  readonly head: bigint
  /** The oldest one. */
  readonly first: bigint
  /** When it gives up, whatever the nodes do; requests and names are those of each node. */
  readonly limits?: { readonly milliseconds: number; readonly requests: number; readonly names: number }
}

/**
 * Nothing of value waits longer than a minute to be withdrawn; within it a node that serves 10,000 blocks at a time tells
 * the whole of a young chain, and of an old one the newest years. Whom nobody could pay to revoke need not be known.
 */
const LIMITS = { milliseconds: 60_000, requests: 2_000, names: 2_000 }

const word = z
  .string()
  .regex(/^0x[0-9a-fA-F]{64}$/, 'no word')
  .transform((text) => text.toLowerCase() as Hex)
const logList = z.array(
  z.object({
    address: z
      .string()
      .regex(/^0x[0-9a-fA-F]{40}$/, 'no address')
      .transform((text) => getAddress(text)),
    topics: z.array(word),
  }),
)

const [APPROVAL] = encodeEventTopics({ abi: erc20Abi, eventName: 'Approval' })
const [DELEGATION] = encodeEventTopics({
  abi: aaveDebtTokenEventsAbi,
  eventName: 'BorrowAllowanceDelegated',
})

/**
 * Looks in the chain's logs for everybody whom an account ever let take a token of the address book, or borrow in its
 * name. Newest blocks first, in one piece where the node serves that, else in ever smaller ones.
 *
 * Logs give names alone: what is left of an allowance is read from its contract, so a node that makes something up can
 * add nothing, nor take the place of what another tells; one that hides something would have to be all of them. Whether
 * everything was looked at is no single node's word.
 *
 * @example
 * const search = searchApprovals({ nodes: openRpcs(chain), quorum: 2, book, account, head: head.number, first: 0n })
 * const unsearched = await search.end
 */
export function searchApprovals(parameters: SearchParameters): RunningSearch {
  const { nodes, quorum, head, first, limits = LIMITS } = parameters
  const found = new Map<string, ApprovalName>()
  const cancelled = new AbortController()
  const stop = AbortSignal.any([AbortSignal.timeout(limits.milliseconds), cancelled.signal])
  let isOver = false
  /** Each node has a number of names of its own, so that one cannot fill the place of another's. */
  const addFor = () => {
    const told = new Set<string>()
    return (name: ApprovalName) => {
      const key = `${name.token}/${name.spender}`
      if (!told.has(key) && told.size >= limits.names) return false
      told.add(key)
      found.set(key, name)
      return true
    }
  }

  async function run(): Promise<Unsearched | null> {
    const lefts = await Promise.all(
      nodes.map((node) => searchNode(node, { ...parameters, limits }, addFor(), stop)),
    )
    if (lefts.length < quorum)
      return { from: first, to: head, why: `${quorum} nodes have to tell, and there are ${lefts.length}` }
    // As far as a quorum came: whoever told everything first, then whoever came furthest.
    const reached = (left: Unsearched | null) => (left === null ? first - 1n : left.to)
    return lefts.toSorted((a, b) => (reached(a) < reached(b) ? -1 : 1))[quorum - 1] ?? null
  }

  const end = run().finally(() => {
    isOver = true
  })
  return { found: () => [...found.values()], isOver: () => isOver, end, cancel: () => cancelled.abort() }
}

/** @returns what one node did not tell */
async function searchNode(
  node: Rpc,
  { book, account, head, first, limits }: SearchParameters & { readonly limits: typeof LIMITS },
  add: (name: ApprovalName) => boolean,
  stop: AbortSignal,
): Promise<Unsearched | null> {
  const { tokens, debtTokens } = approvableTokens(book)
  const known = new Set([...tokens, ...debtTokens].map((token) => getAddress(token)))
  const filter = {
    address: [...tokens, ...debtTokens],
    topics: [[APPROVAL, DELEGATION], [pad(account, { size: 32 })]],
  }
  let to = head
  let span = head - first + 1n
  for (let asked = 0; to >= first; asked++) {
    const left = (why: string): Unsearched => ({ from: first, to, why: `${node.host}: ${why}` })
    if (asked >= limits.requests) return left(`more than ${limits.requests} requests would be needed`)
    const from = to - span + 1n > first ? to - span + 1n : first
    const range = { fromBlock: numberToHex(from), toBlock: numberToHex(to) }
    try {
      const logs = await untilStopped(node.call('eth_getLogs', [{ ...filter, ...range }]), stop)
      if (logs === STOPPED) return left('it had not told all when the search ended')
      for (const { address, topics } of parseAnswer(logList, logs, 'eth_getLogs', node.host)) {
        const name = nameIn(address, topics, account)
        if (name !== null && known.has(name.token) && !add(name))
          return left(`it names more than ${limits.names} who may take something`)
      }
      to = from - 1n
    } catch (error) {
      if (!(error instanceof RialtoError)) throw error
      // Each node bounds the span by another rule, and says so in other words: whoever refuses is asked for half.
      if (!(error instanceof RpcAnswer) || span === 1n) return left(describeError(error))
      span = (span + 1n) / 2n
    }
  }
  return null
}

/** Null for what is no approval of the account, whatever was asked for. */
function nameIn(token: Address, topics: readonly Hex[], account: Address): ApprovalName | null {
  const [event, owner, spender] = topics
  const isKnown = event === APPROVAL || event === DELEGATION
  if (!isKnown || owner !== pad(account, { size: 32 }).toLowerCase() || spender === undefined) return null
  return { token, spender: getAddress(`0x${spender.slice(-40)}`) }
}

const STOPPED = Symbol('stopped')

/** A request that is not over in time is left to end by itself. */
function untilStopped(answer: Promise<unknown>, stop: AbortSignal): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const onStop = () => resolve(STOPPED)
    if (stop.aborted) onStop()
    stop.addEventListener('abort', onStop, { once: true })
    answer.then(resolve, reject).finally(() => stop.removeEventListener('abort', onStop))
  })
}
