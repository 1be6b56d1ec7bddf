import { seededRandom } from './random.ts'

/*
 * How an account on a public chain comes to be known by the requests before its transactions. This is a model of
 * time, not a run: 50 clients over hours would be too long for a test. All times are in seconds.
 */

/** What clients do. */
export type Habits = {
  readonly clients: number
  /** Between two movements of the market, on average; a share of all clients asks at each, within a block. */
  readonly market: number
  readonly share: number
  /** Between two requests of a client that nothing in the market explains, on average. */
  readonly own: number
  /** The share of requests that an action follows. */
  readonly acts: number
  /** Between two cover requests of a client, on average; `off` for none. */
  readonly cover: number | 'off'
}

export const habits: Habits = { clients: 50, market: 600, share: 0.3, own: 1_800, acts: 0.25, cover: 'off' }

const block = 12
/** From a request to the transaction: a second at least, then about as long as an answer takes. */
const latency = { least: 1, mean: 3 }
/** A transaction is in a block at most so long after its request, nearly always. */
const window = latency.least + 4 * latency.mean + block

/** What an observer of a relay and of the chain has. */
export type Observation = {
  /** When each address asked, cover included, ascending. */
  readonly requests: readonly (readonly number[])[]
  /** In which block each account acted: that of the client of the same number, which the observer does not know. */
  readonly actions: readonly (readonly number[])[]
}

/** Lets time pass until every client has acted often enough. */
export function simulate(habit: Habits, actionsEach: number, seed: number): Observation {
  const random = seededRandom(seed)
  const wait = (mean: number) => -Math.log(1 - random()) * mean
  const requests: number[][] = Array.from({ length: habit.clients }, () => [])
  const actions: number[][] = Array.from({ length: habit.clients }, () => [])
  const ask = (client: number, at: number): void => {
    requests[client]?.push(at)
    if (random() >= habit.acts) return
    const sent = at + latency.least + wait(latency.mean)
    actions[client]?.push(Math.ceil(sent / block) * block)
  }
  // What is waited for has no memory, so that it may begin anew with each movement of the market.
  for (let then = 0; actions.some((each) => each.length < actionsEach); ) {
    const now = then + wait(habit.market)
    for (let client = 0; client < habit.clients; client++) {
      for (let at = then + wait(habit.own); at < now; at += wait(habit.own)) ask(client, at)
      if (habit.cover !== 'off')
        for (let at = then + wait(habit.cover); at < now; at += wait(habit.cover)) requests[client]?.push(at)
      if (random() < habit.share) ask(client, now + random() * block)
    }
    then = now
  }
  const ascending = (each: number[]) => each.sort((left, right) => left - right)
  return { requests: requests.map(ascending), actions: actions.map(ascending) }
}

/** Whether anything was asked in the time before a block in which its action may have been decided. */
function wasAskedBefore(requests: readonly number[], at: number): boolean {
  let low = 0
  for (let high = requests.length; low < high; ) {
    const middle = (low + high) >> 1
    if ((requests[middle] ?? 0) < at - window) low = middle + 1
    else high = middle
  }
  return (requests[low] ?? Number.POSITIVE_INFINITY) < at - latency.least
}

/** How surely one's own action has a request before it. */
const certain = 0.98

/**
 * An observer: how probable it is that it names the right address for an account, from the account's first so many
 * actions. Naive Bayes on whether each address asked in time before each action, against how often it asks in time
 * before any block. Where several explain it equally well, one of them is drawn.
 */
export function createObserver({ requests, actions }: Observation): (count: number) => number {
  const end = Math.max(...actions.flat())
  const blocks = Array.from({ length: Math.floor(end / block) }, (_, at) => (at + 1) * block)
  const evidence = requests.map((each) => {
    const hits = blocks.filter((at) => wasAskedBefore(each, at)).length
    const usual = Math.min(0.999, Math.max(0.001, hits / blocks.length))
    return { found: Math.log(certain / usual), missing: Math.log((1 - certain) / (1 - usual)) }
  })
  return (count) => {
    let right = 0
    for (const [account, all] of actions.entries()) {
      const first = all.slice(0, count)
      const scores = evidence.map(({ found, missing }, address) => {
        const hits = first.filter((at) => wasAskedBefore(requests[address] ?? [], at)).length
        return hits * found + (first.length - hits) * missing
      })
      const best = Math.max(...scores)
      const named = scores.flatMap((score, address) => (score > best - 1e-9 ? [address] : []))
      if (named.includes(account)) right += 1 / named.length
    }
    return right / actions.length
  }
}

export const actionCounts = [1, 2, 4, 8, 16] as const
export const coverMeans = ['off', 300, 60, 30] as const

/** Success of the observer, in percent, for each of {@link actionCounts}. */
export type Linkage = { readonly cover: number | 'off'; readonly percent: readonly number[] }

/** How linkage grows, without cover and with more and more of it, over several seeds. */
export function linkage(): readonly Linkage[] {
  const seeds = [1, 2, 3, 4, 5, 6, 7, 8]
  const most = Math.max(...actionCounts)
  return coverMeans.map((cover) => {
    const observers = seeds.map((seed) => createObserver(simulate({ ...habits, cover }, most, seed)))
    const percent = actionCounts.map((count) => {
      const sum = observers.reduce((total, observer) => total + observer(count), 0)
      return Math.round((sum / observers.length) * 100)
    })
    return { cover, percent }
  })
}
