import type { Address } from 'viem'
import { SECONDS_PER_DAY, type Step, stepsOn, WAITING } from '../../runtime/guards/graduation.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { SignerError } from './errors.ts'
import type { SigningHistory } from './signingHistory.ts'

/** How long an account was in good standing, as the ledger keeps it. */
export type StandingRecord = {
  readonly account: Address
  /** For which it was served without a plan that was denied. Zero begins anew. */
  readonly seconds: bigint
  /** Why it began anew; null where it only went on. */
  readonly denial: string | null
}

/** An account with its policies, each as its owner wrote it. */
export type Graduate = { readonly address: Address; readonly policies: readonly Policy[] }

export type StandingsParameters = {
  readonly chainId: number
  readonly graduates: readonly Graduate[]
  readonly history: Pick<SigningHistory, 'standingOf' | 'addStanding'>
  /** Records durably, or throws. */
  readonly append: (record: StandingRecord) => void
  /** Milliseconds that the process has run, by a clock that nobody can set. */
  readonly uptime: () => number
}

export type Standings = {
  /** The policy of a version among the account's steps, and what it takes; null when it has none such. */
  stepOf(account: Address, version: string): Step | null
  /** Seconds for which an account has been in good standing. @throws {SignerError} `LEDGER_UNWRITABLE` */
  goodFor(account: Address): bigint
  /** @throws {SignerError} `PLAN_REFUSED` (`NOT_GRADUATED`) when an account has not come as far as a step. */
  require(account: Address, step: Step): void
  /** Takes note of a plan that was refused. @throws {SignerError} `LEDGER_UNWRITABLE` */
  refused(account: Address, error: unknown): void
}

/** Seconds after which what an account has earned is recorded anew: a restart takes back no more than that. */
const RECORDED_EVERY = 3_600n

type Held = {
  readonly steps: readonly Step[]
  /** After how many seconds the last step is reached: there is nothing to earn from there on. */
  readonly last: bigint
  /** What is on the disk. */
  recorded: bigint
  /** What was earned, and how long the process had run by then. */
  earned: bigint
  at: number
}

/**
 * Lets nobody act under a step that the account has not earned, by what the signer knows itself: how long it has served
 * the account since it last refused a plan of it.
 *
 * It counts the time for which this process runs, by a clock that cannot be set, and adds up what earlier processes
 * recorded. While no signer runs nothing is earned. So no date, right or wrong, lifts anybody: a machine whose clock is
 * ahead by years earns no faster than one whose clock stands.
 *
 * What is earned is recorded once an hour and with each step that is reached, until the last. A refusal is recorded only
 * where something was recorded that it takes back: so whoever has plans refused as fast as he can adds no more than one
 * line for each hour without.
 */
export function createStandings({
  chainId,
  graduates,
  history,
  append,
  uptime,
}: StandingsParameters): Standings {
  const accounts = new Map<string, Held>(
    graduates.map(({ address, policies }) => {
      const steps = policies.flatMap((policy) => stepsOn(policy, chainId))
      const recorded = history.standingOf(address)
      const last = steps.reduce((most, { after }) => (after !== 'never' && after > most ? after : most), 0n)
      return [address.toLowerCase(), { steps, last, recorded, earned: recorded, at: uptime() }]
    }),
  )
  const heldOf = (account: Address): Held | undefined => accounts.get(account.toLowerCase())

  function record(held: Held, entry: StandingRecord): void {
    append(entry)
    history.addStanding(entry)
    held.recorded = entry.seconds
  }

  /** Counts on. Whole seconds only, so that asking often takes nothing away. */
  function earn(held: Held): void {
    const seconds = Math.floor((uptime() - held.at) / 1_000)
    if (seconds <= 0) return
    held.earned += BigInt(seconds)
    held.at += seconds * 1_000
  }

  function goodFor(account: Address): bigint {
    const held = heldOf(account)
    if (held === undefined || held.last === 0n) return 0n
    earn(held)
    const { earned, recorded, steps, last } = held
    const hasRisen = steps.some(({ after }) => after !== 'never' && recorded < after && after <= earned)
    const isDue = recorded < last && earned - recorded >= RECORDED_EVERY
    // A refusal that could not be recorded is still to be.
    if (hasRisen || isDue || earned < recorded) record(held, { account, seconds: earned, denial: null })
    return earned
  }

  return {
    stepOf(account, version) {
      const steps = heldOf(account)?.steps.filter(({ policy }) => policy.version === version) ?? []
      // Steps may differ in nothing but their days: the first of them is the one that lets through.
      return steps.toSorted(byTime)[0] ?? null
    },
    goodFor,
    require(account, { after }) {
      if (after === 0n) return
      const good = goodFor(account)
      if (after !== 'never' && good >= after) return
      throw new SignerError(
        'PLAN_REFUSED',
        after === 'never'
          ? 'The signer refuses the plan (NOT_GRADUATED): on a real chain a policy without steps lets its agent only propose.'
          : `The signer refuses the plan (NOT_GRADUATED): its step takes ${days(after)} days in good standing, and the signer counts ${days(good)}.`,
        {
          fix:
            after === 'never'
              ? 'Write steps into the policy (graduation), by which its agent may rise.'
              : 'Wait: the agent acts under the step that the signer counts. It counts the time for which it runs since it last refused a plan.',
          details: { denial: 'NOT_GRADUATED', goodFor: good, after },
        },
      )
    },
    refused(account, error) {
      const held = heldOf(account)
      if (held === undefined || held.last === 0n || !isDenial(error)) return
      const denial = String(error.details.denial)
      held.earned = 0n
      held.at = uptime()
      if (held.recorded > 0n) record(held, { account, seconds: 0n, denial })
    },
  }
}

/** A plan that its agent may not have; not one that comes at the wrong time. */
const isDenial = (error: unknown): error is SignerError =>
  error instanceof SignerError &&
  error.code === 'PLAN_REFUSED' &&
  ![...WAITING].some((code) => code === error.details.denial)

const byTime = ({ after: a }: Step, { after: b }: Step): number =>
  a === b ? 0 : a === 'never' || (b !== 'never' && a > b) ? 1 : -1

/** Whole days. */
const days = (seconds: bigint): bigint => seconds / SECONDS_PER_DAY
