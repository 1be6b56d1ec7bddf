import { createHash } from 'node:crypto'
import { decodeToken, nullifierOf } from '../../infra/inference/tokens/privacyPass/token.ts'
import { InvariantError } from '../../runtime/core/errors.ts'
import type { Asked } from './clients.ts'
import { models, nodeOf, type Recording, type Role } from './network.ts'
import type { Known, Observed, Sighting } from './observe.ts'
import { mentions, type View } from './search.ts'
import type { Coalition, Fact, Finding } from './table.ts'
import { actionAfter, matchInOrder, purchaserBefore } from './timing.ts'

/** What a role has, and what was read out of it. */
export type RoleView = {
  readonly recording: Recording
  readonly observed: Observed
  readonly search: View
}

/** One request as a coalition knows it: sightings of its members, joined where they saw the same bytes. */
type Joined = Pick<Sighting, 'began' | 'ended' | 'known' | 'traits'>

/** All requests, in the order in which they began, as they are known on one side of a gap that nothing joins. */
type Side = readonly Joined[]

/**
 * Finds out what a coalition knows of requests that were asked one after the other, one client after the other.
 *
 * `yes` is what it can write down for every request, and it is right. `by timing` is what it cannot, but gets right
 * for every request by the order of events alone. `no` is the rest; then the values themselves are searched for in
 * all that it has, in every usual encoding, and a hit is a failure.
 *
 * @param asked every request, in order
 * @throws {InvariantError} when a view holds what was not read out of it, or holds a fact of some requests only
 */
export function judge(
  coalition: Coalition,
  views: ReadonlyMap<Role, RoleView>,
  asked: readonly Asked[],
): Readonly<Record<Fact, Finding>> {
  const members = coalition.map((role) => {
    const view = views.get(role)
    if (view === undefined) throw new InvariantError('A role was not recorded.', { role })
    return view
  })
  // A provider is asked for its own model only, and is judged by these requests.
  const truth = coalition.every((role) => role === 'upstream')
    ? asked.filter(({ kind }) => kind === 'anonymized')
    : asked
  const sides = sidesOf(members, truth.length)
  const deeds = members.flatMap(({ observed }) => observed.deeds)
  const purchases = deeds.filter(({ account }) => account !== undefined)
  const actions = deeds.filter(({ action }) => action !== undefined)

  const defect = (what: string) =>
    new InvariantError(`What ${coalition.join(' and ')} know of "${what}" is neither all nor nothing.`)

  /** Fails where a value that should not be in the view is there. */
  function refuteSearch(what: string, needles: readonly (string | Uint8Array)[]): 'no' {
    if (needles.some((needle) => members.some(({ search }) => mentions(search, needle)))) throw defect(what)
    return 'no'
  }

  /** Whether values, in the order of the requests, are all right, or there are none. */
  function allOrNothing(
    what: string,
    values: readonly (string | undefined)[],
    expected: readonly string[],
  ): boolean {
    if (values.every((value) => value === undefined)) return false
    if (values.length !== expected.length || values.some((value, at) => value !== expected[at]))
      throw defect(what)
    return true
  }
  const isRight = (values: readonly (string | undefined)[], expected: readonly string[]): boolean =>
    values.length === expected.length && values.every((value, at) => value === expected[at])

  function direct(
    what: keyof Known,
    expected: (each: Asked) => string,
    needles: (each: Asked) => readonly (string | Uint8Array)[] = () => [],
  ): Finding {
    const known = sides.some((side) =>
      allOrNothing(
        what,
        side.map((each) => each.known[what]),
        truth.map(expected),
      ),
    )
    return known ? 'yes' : refuteSearch(what, truth.flatMap(needles))
  }

  /** Of persons, not of requests: whether each client's is among those that the view has. */
  function ofPersons(
    what: string,
    seen: readonly string[],
    expected: readonly string[],
    needles: readonly (string | Uint8Array)[],
  ): Finding {
    if (seen.length === 0) return refuteSearch(what, needles)
    if (expected.some((each) => !seen.includes(each))) throw defect(what)
    return 'yes'
  }

  const owners = truth.map(({ address }) => address)
  const addressesOf = (side: Side) => side.map(({ known }) => known.address)

  /** Who asked, by the order of what clients did where they are seen. */
  function guessOwners(side: Side): readonly (string | undefined)[] {
    const carried = sides.find((each) => addressesOf(each).every((address) => address !== undefined))
    if (carried !== undefined) return matchInOrder(carried, side).map((at) => carried[at]?.known.address)
    if (actions.length > 0) return side.map(({ ended }) => actionAfter(actions, ended)?.address)
    return side.map(({ began }) => purchaserBefore(purchases, began)?.address)
  }

  /** How many clients had started before each request: while one is at work at a time, that tells one from the next. */
  function startsBefore(side: Side): readonly number[] {
    const starts = members.flatMap((member) => member.observed.starts)
    return side.map(({ began }) => starts.filter((at) => at < began).length)
  }

  /** Who asked, together with something of what was asked. */
  function linked(what: 'model' | 'prompt'): Finding {
    const side = sides.find((each) => each.every(({ known }) => known[what] !== undefined))
    if (side === undefined) return 'no'
    if (allOrNothing(what, addressesOf(side), owners)) return 'yes'
    return isRight(guessOwners(side), owners) ? 'by timing' : 'no'
  }

  function sameClient(): Finding {
    if (sides.some((side) => allOrNothing('same client', addressesOf(side), owners))) return 'yes'
    for (const side of sides) requireNoTrait(side, truth)
    const isGuessed = (side: Side) =>
      isRight(guessOwners(side), owners) || isPartition(startsBefore(side), owners)
    return sides.some(isGuessed) ? 'by timing' : 'no'
  }

  function purchase(): Finding {
    const expected = truth.map(({ account }) => account)
    const accountOf = new Map(purchases.map(({ address, account }) => [address, account]))
    const known = (side: Side) => addressesOf(side).map((address) => accountOf.get(address ?? ''))
    if (purchases.length > 0 && sides.some((side) => allOrNothing('purchase', known(side), expected)))
      return 'yes'
    const before = (side: Side) => side.map(({ began }) => purchaserBefore(purchases, began)?.account)
    return sides.some((side) => isRight(before(side), expected)) ? 'by timing' : 'no'
  }

  function action(): Finding {
    const expected = truth.map((each) => each.action ?? '')
    if (actions.length === 0) return 'no'
    const own = (side: Side) =>
      side.map(({ ended, known: { address } }) =>
        address === undefined
          ? undefined
          : actionAfter(
              actions.filter((deed) => deed.address === address),
              ended,
            )?.action,
      )
    if (sides.some((side) => allOrNothing('action', own(side), expected))) return 'yes'
    const next = (side: Side) => side.map(({ ended }) => actionAfter(actions, ended)?.action)
    return sides.some((side) => isRight(next(side), expected)) ? 'by timing' : 'no'
  }

  const accounts = truth.map(({ account }) => account)
  const chainAccounts = truth.map(({ chainAccount }) => chainAccount)
  return {
    address: ofPersons(
      'address',
      [...sides.flat().flatMap(({ known }) => known.address ?? []), ...deeds.map(({ address }) => address)],
      owners,
      owners,
    ),
    account: ofPersons(
      'account',
      purchases.flatMap(({ account }) => account ?? []),
      accounts,
      accounts.flatMap((account) => [account, ledgerId(account)]),
    ),
    chainAccount: ofPersons(
      'account on the chain',
      actions.flatMap(({ chainAccount }) => chainAccount ?? []),
      chainAccounts,
      chainAccounts.flatMap((account) => {
        const digits = account.slice(2)
        return [digits, digits.toLowerCase(), Buffer.from(digits, 'hex')]
      }),
    ),
    when: whenOf(sides, truth, members),
    size:
      direct('outer', ({ report }) => String(report.sizes.outer)) === 'yes' ||
      direct('inner', ({ report }) => String(report.sizes.inner)) === 'yes' ||
      direct(
        'prompt',
        ({ prompt }) => prompt,
        ({ prompt }) => [prompt],
      ) === 'yes'
        ? 'yes'
        : 'no',
    model: direct(
      'model',
      ({ kind }) => models[kind],
      ({ kind }) => [models[kind]],
    ),
    tokens: direct('tokens', noncesOf, secretsOf),
    node: direct(
      'node',
      ({ kind }) => nodeOf[kind],
      ({ kind }) => [nodeOf[kind]],
    ),
    paid: direct('paid', ({ spend }) => String(spend.tokens.length)),
    used: direct('used', ({ report }) => String(report.spent)),
    prompt: direct(
      'prompt',
      ({ prompt }) => prompt,
      ({ prompt }) => [prompt],
    ),
    completion: direct(
      'completion',
      ({ completion }) => completion,
      ({ completion }) => [completion],
    ),
    sameClient: sameClient(),
    purchase: purchase(),
    action: action(),
    whoWhich: linked('model'),
    whoWhat: linked('prompt'),
  }
}

/** What the members know of the requests: as one side where the same bytes join them, and as several where nothing does. */
function sidesOf(members: readonly RoleView[], count: number): readonly Side[] {
  const all = join(members.flatMap(({ observed }) => observed.requests))
  if (all.length === count) return [all]
  const sides = members.map(({ observed }) => join(observed.requests)).filter((side) => side.length > 0)
  if (sides.some((side) => side.length !== count))
    throw new InvariantError('A view has more requests than were asked, or fewer.', {
      seen: sides.map((side) => side.length),
      count,
    })
  return sides
}

/** Joins sightings that have a mark in common. */
function join(sightings: readonly Sighting[]): Side {
  const groups: Sighting[][] = []
  for (const sighting of sightings) {
    const shares = (group: readonly Sighting[]) =>
      group.some(({ marks }) => marks.some((mark) => sighting.marks.includes(mark)))
    const same = groups.filter(shares)
    for (const group of same) groups.splice(groups.indexOf(group), 1)
    groups.push([sighting, ...same.flat()])
  }
  return groups
    .map((group) => ({
      began: Math.min(...group.map(({ began }) => began)),
      ended: Math.max(...group.map(({ ended }) => ended)),
      known: Object.assign({}, ...group.map(({ known }) => known)) as Known,
      traits: group.flatMap(({ traits }) => traits),
    }))
    .sort((left, right) => left.began - right.began)
}

/** Each request within the time that its client took over it; or, of any client, nothing within any such time. */
function whenOf(sides: readonly Side[], truth: readonly Asked[], members: readonly RoleView[]): Finding {
  const within = (at: number, each: Asked | undefined) =>
    each !== undefined && each.began <= at && at <= each.ended
  for (const side of sides)
    if (side.some(({ began, ended }, at) => !within(began, truth[at]) || !within(ended, truth[at])))
      throw new InvariantError('A request was seen at another time than it was asked.')
  if (sides.length > 0) return 'yes'
  const events = members.flatMap(({ recording }) =>
    recording.connections.filter(({ link }) => link.startsWith('client-')).flatMap((each) => each.events),
  )
  if (events.some(({ at }) => truth.some((each) => within(at, each))))
    throw new InvariantError('A role that sees no request heard of a client in the middle of one.')
  return 'no'
}

/**
 * Nothing that recurs in what was seen of requests may recur with one client only: it would tell that client's
 * requests from all others.
 */
function requireNoTrait(side: Side, truth: readonly Asked[]): void {
  const seen = new Map<string, { readonly clients: Set<number | undefined>; count: number }>()
  side.forEach(({ traits }, at) => {
    for (const trait of new Set(traits)) {
      const entry = seen.get(trait) ?? { clients: new Set(), count: 0 }
      entry.clients.add(truth[at]?.client)
      entry.count += 1
      seen.set(trait, entry)
    }
  })
  for (const { clients, count } of seen.values())
    if (clients.size === 1 && count > 1)
      throw new InvariantError('Something recurs in the requests of one client alone.')
}

/** Whether labels are the same just where owners are. */
const isPartition = (labels: readonly number[], owners: readonly string[]): boolean => {
  const pairs = new Set(owners.map((owner, at) => `${labels[at]} ${owner}`))
  return pairs.size === new Set(owners).size && pairs.size === new Set(labels).size
}

/** What the mint calls an account in its files. */
const ledgerId = (account: string): string =>
  createHash('sha256').update(Buffer.from(account, 'base64url')).digest('hex')

const noncesOf = ({ spend }: Asked): string =>
  spend.tokens
    .map((token) => Buffer.from(decodeToken(token).nonce).toString('hex'))
    .toSorted()
    .join()

const secretsOf = ({ spend }: Asked): readonly Uint8Array[] =>
  spend.tokens.flatMap((token) => {
    const decoded = decodeToken(token)
    return [decoded.nonce, decoded.authenticator.subarray(0, 32), nullifierOf(decoded)]
  })
