import { Command } from 'commander'
import { describeError, RialtoError } from '../../../../runtime/core/errors.ts'
import type { CatalogueEntry } from '../../../inference/client/catalogue.ts'
import type { PathReport } from '../../../inference/client/pathReport.ts'
import { type JoinedNetwork, joinNetwork } from '../../../inference/joinNetwork.ts'
import { LOOPBACK_CAVEAT } from '../../../inference/startLoopbackNetwork.ts'
import { paint, type Terminal } from '../../terminal.ts'
import { type FoundNetwork, findOrStartNetwork, type NetworkSelection, networkOptions } from './network.ts'

type Options = NetworkSelection & { readonly receipt: boolean; readonly json?: boolean }

/** What one look found. `unchecked` is no pass: it says what nobody can see from here, or what was not looked at. */
type Finding = {
  readonly what: string
  readonly state: 'ok' | 'failed' | 'unchecked'
  readonly detail: string
}

/** `rialto inference verify`: what can be checked of a network, what was found, and what cannot be checked. */
export function verifyCommand(terminal: Terminal): Command {
  return networkOptions(
    new Command('verify')
      .description(
        'check keys, consistency, attestation and receipts of a network, and say what cannot be checked',
      )
      .option('--no-receipt', 'ask no question: receipts and change are not checked, and nothing is spent')
      .option('--json', 'print the findings as a JSON array'),
  ).action(async (options: Options) => {
    const found = await findOrStartNetwork(options, terminal)
    try {
      const findings = await examine(found, options)
      if (findings.some(({ state }) => state === 'failed')) process.exitCode = 1
      if (options.json === true) return terminal.out(JSON.stringify(findings))
      for (const { what, state, detail } of findings) {
        const mark = { ok: paint('green', '✓'), failed: paint('red', '✗'), unchecked: paint('yellow', '?') }[
          state
        ]
        terminal.out(`${mark} ${what.padEnd(12)} ${detail}`)
      }
    } finally {
      await found.close()
    }
  })
}

async function examine(found: FoundNetwork, { receipt }: Options): Promise<readonly Finding[]> {
  const { walletPassphrase } = found.environment
  const reports: PathReport[] = []
  const network = await joinNetwork({
    directory: found.directory,
    purse: 'ask',
    network: found.network,
    privacy: 'anonymized',
    ...(walletPassphrase === undefined ? {} : { passphrase: walletPassphrase }),
    onPath: (report) => reports.push(report),
  })
  try {
    const findings = await examineKeys(network)
    if (findings.some(({ state }) => state === 'failed')) return [...findings, ...limits(found)]
    const catalogue = await network.catalogue()
    return [
      ...findings,
      ...catalogue.map(examineModel),
      ...(receipt ? await examineReceipts(network, catalogue, reports) : [notAsked]),
      ...limits(found),
    ]
  } finally {
    await network.close()
  }
}

async function examineKeys(network: JoinedNetwork): Promise<readonly Finding[]> {
  try {
    await network.ready()
    const { directory, nodes, digest, confirmedBy, silent, mintKeys } = await network.directory()
    const until = new Date(directory.notAfter * 1_000).toISOString()
    return [
      {
        what: 'directory',
        state: 'ok',
        detail: `${directory.gateway}, epoch ${directory.epoch}, signed by its identity, until ${until}, ${digest.slice(0, 16)}…`,
      },
      {
        what: 'consistency',
        state: 'ok',
        detail: `the same bytes from ${confirmedBy.map((url) => new URL(url).host).join(', ')}`,
      },
      ...silent.map(
        (url): Finding => ({
          what: 'consistency',
          state: 'unchecked',
          detail: `${new URL(url).host} did not answer`,
        }),
      ),
      {
        what: 'mint keys',
        state: mintKeys === 'same' ? 'ok' : 'unchecked',
        detail:
          mintKeys === 'same'
            ? 'the mint publishes the keys that the directory names'
            : 'the mint did not answer: its own list was not compared',
      },
      {
        what: 'nodes',
        state: nodes.length > 0 ? 'ok' : 'failed',
        detail: `${nodes.length}, each description signed by the node's own identity`,
      },
    ]
  } catch (error) {
    if (!(error instanceof RialtoError)) throw error
    return [{ what: 'keys', state: 'failed', detail: describeError(error) }]
  }
}

function examineModel({
  model,
  node,
  operator,
  privacy,
  attestation,
  refused,
  firstByteMs,
}: CatalogueEntry): Finding {
  const what = 'model'
  const speed = firstByteMs === null ? '' : `, first byte within ${firstByteMs} ms`
  const detail = `${model} at ${node} (${operator}), ${privacy}${speed}`
  if (attestation === 'failed')
    return { what, state: 'failed', detail: `${detail}: its attestation does not hold` }
  if (attestation === 'unpinned')
    return {
      what,
      state: 'unchecked',
      detail: `${detail}: it shows an attestation, and no measurements are pinned to check it against`,
    }
  if (attestation === 'unchecked' && (refused === null || refused === 'attestation'))
    return {
      what,
      state: 'unchecked',
      detail: `${detail}: the directory shows more attestations than are verified of one epoch`,
    }
  if (refused !== null) return { what, state: 'failed', detail: `${detail}: refused (${refused})` }
  return {
    what,
    state: 'ok',
    detail: attestation === 'verified' ? `${detail}, attestation verified` : detail,
  }
}

const notAsked: Finding = {
  what: 'receipts',
  state: 'unchecked',
  detail: 'no question was asked (--no-receipt)',
}

/** Asks each model once, and looks at what was charged. */
async function examineReceipts(
  network: JoinedNetwork,
  catalogue: readonly CatalogueEntry[],
  reports: PathReport[],
): Promise<readonly Finding[]> {
  const models = new Set(
    catalogue
      .filter(({ serves, refused }) => refused === null && serves.includes('chat'))
      .map(({ model }) => model),
  )
  const findings: Finding[] = []
  for (const model of models) {
    const response = await network.fetch('http://private.invalid/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ model, max_tokens: 16, messages: [{ role: 'user', content: 'Say yes.' }] }),
    })
    await response.arrayBuffer()
    const report = reports.at(-1)
    const cost = `${report?.spent ?? 0} spent, ${report?.returned ?? 0} came back as change that verifies`
    findings.push(
      report !== undefined && response.ok && (report.receipt === 'ok' || report.receipt === 'usage-missing')
        ? {
            what: 'receipt',
            state: report.receipt === 'ok' ? 'ok' : 'unchecked',
            detail:
              report.receipt === 'ok'
                ? `${model} at ${report.node}: signed for this request, no more than price times usage; ${cost}`
                : `${model} at ${report.node}: signed for this request, but the answer names no usage; ${cost}`,
          }
        : {
            what: 'receipt',
            state: 'failed',
            detail: `${model}: status ${response.status}, ${report?.code ?? report?.receipt ?? 'no path'}`,
          },
    )
  }
  return findings
}

/** What no client can see. */
function limits({ isLoopback }: FoundNetwork): readonly Finding[] {
  const cannot = (detail: string): Finding => ({ what: 'cannot see', state: 'unchecked', detail })
  return [
    isLoopback
      ? cannot(LOOPBACK_CAVEAT)
      : cannot('whether relay, gateway and nodes are run by different people who do not tell each other'),
    cannot('whether a node forgets, except where its code is attested'),
    cannot(
      'whether a node counted its tokens truly: only that it charged no more than the usage that it names',
    ),
    cannot('whether all who could be a witness see this directory: only those that were asked'),
  ]
}
