import { requireBook } from '../../../chain/checkBook.ts'
import { openChain } from '../../../chain/openChain.ts'
import type { NodeStatus, QuorumChain } from '../../../chain/quorum/composeChain.ts'
import { providerOf } from '../../../chain/quorum/providerOf.ts'
import type { ChainConfig } from '../../../config/loadConfig.ts'
import { isLoopback } from '../../../http/isLoopback.ts'
import { deferLogger } from '../../../telemetry/deferLogger.ts'
import { openRpcs } from '../../start/safeAgents.ts'
import { type Finding, look, warn } from './finding.ts'

type RpcChain = Extract<ChainConfig, { kind: 'rpc' }>

/** The chain that is configured: whether it answers, how its nodes agree, and what their operators learn. */
export async function examineChain(settings: ChainConfig, acts: boolean): Promise<readonly Finding[]> {
  if (settings.kind === 'world') return [await look('chain', () => 'a local world, made by "rialto start"')]
  let nodes: readonly NodeStatus[] = []
  const chain = await look('chain', async () => {
    // What it would log is what is shown below.
    const opened = await openChain(settings, deferLogger())
    const { number } = await compare(opened)
    nodes = opened.nodes()
    const agreeing = nodes.filter(({ state, difference }) => state === 'healthy' && difference === null)
    return settings.nodes.length === 1
      ? `chain ${settings.chainId} answers, with eth_simulateV1, at block ${number}`
      : `chain ${settings.chainId} answers, with eth_simulateV1, at block ${number}: ${agreeing.length} of ${nodes.length} RPCs agree, ${settings.quorum} have to`
  })
  return [
    chain,
    ...(nodes.length > 1 ? nodes.map(describeNode) : []),
    ...(chain.ok ? [await look('contracts', () => examineContracts(settings, acts))] : []),
    ...chainWarnings(settings),
  ]
}

async function examineContracts(settings: RpcChain, acts: boolean): Promise<string> {
  const { quorum, addressBook: book } = settings
  await requireBook({ rpcs: openRpcs(settings), quorum, book, acts })
  return acts
    ? 'everything is where the address book says, and the code of Rialto is this version’s'
    : 'everything is where the address book says; nobody signs, so Rialto’s own are not looked at'
}

/** Has all nodes tell what they have, so that differences show. */
async function compare(chain: QuorumChain): Promise<{ readonly number: bigint }> {
  const head = await chain.head()
  await chain.block(head.number)
  await chain.allHeard()
  return head
}

function describeNode(node: NodeStatus): Finding {
  const { host, state, trouble, difference, head, latency, simulates, lastFailure } = node
  const name = 'rpc'
  if (state === 'expelled' || state === 'unproven')
    return warn(name, `${host} is not used: ${trouble ?? state}`, 'Correct or remove it.')
  if (difference !== null)
    return warn(name, `${host} differs from the others: ${difference}`, 'Watch it; replace it if it goes on.')
  if (state === 'resting')
    return warn(name, `${host} rests: ${lastFailure ?? 'it failed'}`, 'Check that it answers as it should.')
  const facts = [
    ...(head === null ? [] : [`block ${head}`]),
    ...(latency === null ? [] : [`${Math.round(latency)} ms`]),
    ...(simulates ? [] : ['cannot simulate: others have to']),
  ]
  return { name, ok: true, warning: false, detail: `${host} agrees, ${facts.join(', ')}`, fix: null }
}

/** What an owner should know of the nodes that are configured, whether they answer or not. */
export function chainWarnings({ nodes, quorum, privateRoute }: RpcChain): readonly Finding[] {
  const urls = nodes.map(({ url }) => new URL(url))
  const findings: Finding[] = []
  const name = 'privacy'
  const remote = urls.filter((url) => !isLoopback(url))
  if (remote.length > 0)
    findings.push(
      warn(
        name,
        `whoever runs ${list(remote.map(({ host }) => host))} learns this machine's IP address, every address that is asked about, when, and ${privateRoute === null ? 'transactions before they are mined' : 'those transactions that do not go privately before they are mined'}`,
        'Run a node of your own to keep that to yourself.',
      ),
    )
  const open = [...urls, ...(privateRoute === null ? [] : [new URL(privateRoute.url)])].filter(
    (url) => (url.protocol === 'http:' || url.protocol === 'ws:') && !isLoopback(url),
  )
  if (open.length > 0)
    findings.push(
      warn(
        name,
        `${list(open.map(({ host }) => host))} is asked without TLS: everybody on the way reads and can change what is said`,
        'Use its https URL.',
      ),
    )
  if (privateRoute !== null)
    findings.push(
      warn(
        name,
        `whoever runs ${new URL(privateRoute.url).host} sees transactions that go privately before they are mined, and can hold them back`,
      ),
    )
  if (quorum === 1)
    findings.push(
      warn(
        'quorum',
        `one RPC is believed${urls.length > 1 ? `, whichever of the ${urls.length} answers first` : ''}: if it lies or lags, so does all that is known of the chain`,
        'Name three RPCs of different operators in chain.rpcUrls.',
      ),
    )
  else {
    if (quorum === urls.length)
      findings.push(
        warn(
          'quorum',
          `all ${quorum} RPCs have to agree: while one of them is down nothing is known of the chain, and nobody is protected`,
          'Name one more in chain.rpcUrls.',
        ),
      )
    const providers = new Set(urls.map(providerOf))
    if (providers.size === 1)
      findings.push(
        warn(
          'quorum',
          `all RPCs are run by one operator, as it seems (${[...providers].join()}): they can lie or fail together`,
          'Name RPCs of different operators.',
        ),
      )
  }
  return findings
}

const list = (hosts: readonly string[]): string =>
  hosts.length < 2 ? hosts.join() : `${hosts.slice(0, -1).join(', ')} or ${hosts.at(-1)}`
