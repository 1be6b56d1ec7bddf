import { actionCounts, habits, type Linkage } from './linkage.ts'
import type { Role } from './network.ts'
import { type Coalition, type Fact, type Finding, facts, table } from './table.ts'

/** How a role is called in the documents. */
const names: Readonly<Record<Role, string>> = {
  relay: 'relay',
  gateway: 'gateway',
  node: 'node',
  mint: 'mint',
  upstream: 'provider behind a node',
  witness: 'witness',
  chain: 'RPC provider',
}
const nameOf = (coalition: Coalition): string => coalition.map((role) => names[role]).join(' and ')

const words: Readonly<Record<Finding, string>> = { yes: '**yes**', no: 'no', 'by timing': '*by timing*' }
const short: Readonly<Record<Finding, string>> = { yes: '**yes**', no: '', 'by timing': '*time*' }

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
const tableOf = (head: readonly string[], lines: readonly (readonly string[])[]): string =>
  [line(head), line(head.map(() => '---')), ...lines.map(line)].join('\n')

/** Facts down, coalitions across. */
function findings(width: number): string {
  const columns = table.filter(([coalition]) => coalition.length === width)
  return tableOf(
    ['', ...columns.map(([coalition]) => nameOf(coalition))],
    (Object.keys(facts) as Fact[]).map((fact) => [
      facts[fact],
      ...columns.map(([, found]) => short[found[fact]]),
    ]),
  )
}

/** What each role knows alone. */
export const rolesTable = (): string => findings(1)
/** What each pair knows. */
export const pairsTable = (): string => findings(2)

/** How the success of an observer grows with the actions of an account. */
export const linkageTable = (found: readonly Linkage[]): string =>
  tableOf(
    ['actions seen', ...actionCounts.map(String)],
    found.map(({ cover, percent }) => [
      cover === 'off' ? 'no cover' : `a cover request every ${cover} s on average`,
      ...percent.map((each) => `${each} %`),
    ]),
  )

/** What a pair comes to, in words, and what a user can do. The findings beside it are the table's. */
const advice: readonly {
  readonly who: Coalition
  readonly learns: string
  readonly remedy: string
}[] = [
  {
    who: ['relay', 'gateway'],
    learns: 'who uses which model, when, and at what cost; never a prompt',
    remedy: 'a relay of another operator than the gateway; several, used in turn',
  },
  {
    who: ['relay', 'node'],
    learns:
      'an answer leaves the node in the moment in which it passes the relay: with few clients at a time, everything',
    remedy:
      '`attested` nodes, `local` for what nobody may link; relays with many clients; operators that are nobody’s relay',
  },
  {
    who: ['gateway', 'node'],
    learns:
      'what one question paid and asked; not who asked it; that two are of one client only if they stand alone, or the prompts say so',
    remedy: 'name nobody in a prompt; spread over operators (`operatorShare`)',
  },
  {
    who: ['mint', 'gateway'],
    learns:
      'tokens cannot be matched with purchases, by nobody and with no key; a first purchase just before a first request can, and so can a look at the keys because of a request, which a gateway can provoke',
    remedy: 'fill the wallet well before it is used, and buy seldom',
  },
  {
    who: ['mint', 'node'],
    learns: 'the same with the prompt',
    remedy: 'the same',
  },
  {
    who: ['relay', 'mint'],
    learns: 'which account makes how many requests, by the address',
    remedy: 'reach the mint by another address than the relay',
  },
  {
    who: ['relay', 'chain'],
    learns: 'which account on the chain acts after which request, by the address',
    remedy: 'an RPC of your own, or one that is reached by another address',
  },
  {
    who: ['gateway', 'chain'],
    learns: 'an action follows its request within a block or two',
    remedy: 'cover requests; more clients of the same gateway',
  },
  {
    who: ['node', 'chain'],
    learns: 'what was advised, and by whom it was then done on the chain, a block or two later',
    remedy: 'cover requests; prompts without exact figures, as the agents send them; `attested` or `local`',
  },
  {
    who: ['mint', 'chain'],
    learns: 'that a buyer of tokens has that account on the chain, by the address; nothing of any request',
    remedy: 'different addresses, as above',
  },
]

const found = (who: Coalition, fact: Fact): Finding => {
  const row = table.find(([coalition]) => coalition.toSorted().join() === who.toSorted().join())
  return row?.[1][fact] ?? 'no'
}

/** All pairs with what to do about each. */
export const pairsAdvice = (): string =>
  tableOf(
    [
      'together',
      'who asked which model',
      'who asked what',
      'which action followed',
      'what it comes to',
      'what you can do',
    ],
    advice.map(({ who, learns, remedy }) => [
      nameOf(who),
      ...(['whoWhich', 'whoWhat', 'action'] as const).map((fact) => words[found(who, fact)]),
      learns,
      remedy,
    ]),
  )

/** What the README says: the pairs that the design cannot guard against, the RPC provider, and time. */
export function readmeThreats(linked: readonly Linkage[]): string {
  const pairs: readonly Coalition[] = [
    ['relay', 'gateway'],
    ['relay', 'node'],
    ['gateway', 'node'],
    ['mint', 'gateway'],
    ['relay', 'chain'],
    ['node', 'chain'],
  ]
  const percentOf = (cover: number | 'off'): string => {
    const percent = linked.find((each) => each.cover === cover)?.percent ?? []
    return percent.map((each) => `${each} %`).join(', ')
  }
  const lines = pairs.flatMap((pair) =>
    advice
      .filter(({ who }) => who.join() === pair.join())
      .map(({ learns, remedy }) => [nameOf(pair), words[found(pair, 'whoWhat')], learns, remedy]),
  )
  return `**What it does not hide.** No role alone learns both who asked and what was asked. Two that work together may, and
nobody would notice. What each role and each pair can know is found out by a test that records all that they see
([docs/threats.md](docs/threats.md)).

${tableOf(['together', 'know who asked what', 'what it comes to', 'what you can do'], lines)}

*By timing* is certain while one client at a time is at work; for relay and node it was nearly so with sixteen.

- **The RPC provider** sees your address, your account and each of its transactions, and no request. Together with whoever
  sees requests it finds out which action followed which.
- **It adds up.** Whoever watches a relay of ${habits.clients} clients and the chain names the right one after ${actionCounts.join(', ')} actions in
  ${percentOf('off')} of cases; with a cover request each minute in ${percentOf(60)} (a
  model of time). Cover buys time: take an account that acts often to be known.
- **A lie** about a key, a stream, a receipt, change or a model's name is detected and told. That a node runs a weaker
  model under the right name, keeps what it reads, or counts more tokens than there were is not, unless it is \`attested\`.`
}
