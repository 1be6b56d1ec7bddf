import type { Address, Hex } from 'viem'
import type { Token } from '../../runtime/core/addressBook.ts'
import {
  portion,
  type TokenAmount,
  tokenAmount,
  type Usd,
  usd,
  usdValue,
  type Wei,
} from '../../runtime/core/units.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import type { Condition } from './conditions.ts'
import type { Holdings } from './readHoldings.ts'
import type { Role } from './role.ts'

const DAY = 86_400n

/** How a token can be lost by whoever chooses the arguments that a role leaves open. */
export type LossyWay = 'swap' | 'deleverage' | 'liquidate' | 'transfer'

/** Functions that take a token and need not give its worth back: no minimum is asked of any of them. */
const lossy: Readonly<Record<string, LossyWay>> = {
  exactInputSingle: 'swap',
  flashRepay: 'deleverage',
  liquidationCall: 'liquidate',
  transfer: 'transfer',
}

/** Functions with which a health factor can be brought down until the position may be liquidated, by the thief too. */
const weakening: ReadonlySet<string> = new Set(['borrow', 'withdraw', 'flashRepay'])

/** The most of one token that a role lets be lost. */
export type TokenRisk = {
  readonly token: Token
  /** Each time the allowance is full. */
  readonly perPeriod: TokenAmount
  /** In any 24 hours. */
  readonly perDay: TokenAmount
  readonly ways: readonly LossyWay[]
}

/**
 * What whoever steals the key of an agent could take. Dollars (8 decimals) are null where no chain was asked or a
 * token has no price. */
export type ThiefOfRole = {
  readonly holds: 'role'
  readonly period: number
  /** How often at most an allowance is full in any 24 hours: the modifier fills it at fixed moments. */
  readonly fillsPerDay: number
  readonly tokens: readonly TokenRisk[]
  readonly borrows: readonly Token[]
  /** All tokens lost at their price. */
  readonly tokensPerDay: Usd | null
  /** What liquidations could cost on top; null also where nothing can bring them about. */
  readonly penalty: Usd | null
  readonly canBeLiquidated: boolean
  /** Everything that is there. */
  readonly equity: Usd | null
  /** The bound: what the role lets be lost in any 24 hours, or everything where that is less. */
  readonly most: Usd | null
  /** All of the sender's native coins. */
  readonly gas: Wei | null
}

export type ThiefOfKey = {
  readonly holds: 'key'
  readonly equity: Usd | null
  readonly borrowable: Usd | null
  readonly gas: Wei | null
}

/** What whoever steals the key of a Safe's protector could take, and whoever has the agent's as well. */
export type ThiefOfProtector = {
  readonly thief: ThiefOfRole
  /** Of both keys, in any 24 hours: US dollars, 8 decimals, or null as in {@link ThiefOfRole}. */
  readonly both: Usd | null
}

/** The worst case of one agent. */
export type Risk = {
  /** Null: the agent's own, which is made at its first start. */
  readonly account: Address | null
  readonly policy: {
    readonly name: string
    readonly version: string
    readonly mode: Policy['mode']
    /** Seconds of the window that both caps hold in. */
    readonly window: number
    readonly ordinary: Usd
    readonly riskReducing: Usd
    /** What rescues of the protector may lose on top; null where it has no reserve of its own. */
    readonly reserve: Usd | null
    /** In any 24 hours, by the higher of the two caps, and the reserve. */
    readonly perDay: Usd
  }
  readonly thief: ThiefOfRole | ThiefOfKey
  /** Null where no protector has a key of its own. */
  readonly protector: ThiefOfProtector | null
}

/** Every allowance that a condition takes from. */
function* drawnBy(condition: Condition): Generator<Hex> {
  switch (condition.is) {
    case 'within':
      yield condition.allowance
      return
    case 'oneOf':
      for (const each of condition.of) yield* drawnBy(each)
      return
    case 'not':
      yield* drawnBy(condition.of)
      return
    case 'struct':
      for (const each of condition.fields) yield* drawnBy(each)
      return
    case 'call':
      for (const each of condition.parameters) yield* drawnBy(each)
      return
    default:
  }
}

/** How many windows of a length any 24 hours can touch fully or in part, if they begin whenever that is worst. */
const windowsPerDay = (seconds: number): bigint => (DAY + BigInt(seconds) - 1n) / BigInt(seconds)

/**
 * The most that an agent can lose by its policy, and the most that a thief of its key can take.
 *
 * The first holds as long as guards, simulation and signer do. The second holds without them: with a Safe it follows
 * from the role alone (every swap at no minimum, every allowance used up as often as it is full, liquidations brought
 * about on purpose), without one it is everything. Moves of the market, interest, and what the Safe holds of tokens
 * that the address book does not know are in neither.
 *
 * @param role null: the account is the agent's own key's
 * @param protector the role of the Safe's protector, the limits that it is made of, and the native coins of its key
 * @param holdings null: nobody was asked, and amounts in dollars of the thief's are null
 * @example explainRisk({ account, policy, role, holdings }).thief
 */
export function explainRisk({
  account,
  policy,
  role,
  holdings,
  protector = null,
}: {
  readonly account: Address | null
  readonly policy: Policy
  readonly role: Role | null
  readonly holdings: Holdings | null
  readonly protector?: ProtectorRisk | null
}): Risk {
  const { spend, riskReducing } = policy
  const cap = spend.rolling > riskReducing.spend.rolling ? spend.rolling : riskReducing.spend.rolling
  const reserve = protector?.policy.riskReducing.spend.rolling ?? null
  return {
    account,
    policy: {
      name: policy.name,
      version: policy.version,
      mode: policy.mode,
      window: spend.windowSeconds,
      ordinary: spend.rolling,
      riskReducing: riskReducing.spend.rolling,
      reserve,
      perDay: usd((cap + (reserve ?? 0n)) * windowsPerDay(spend.windowSeconds)),
    },
    thief:
      role === null
        ? {
            holds: 'key',
            equity: holdings?.equity ?? null,
            borrowable: holdings?.borrowable ?? null,
            gas: holdings?.gas ?? null,
          }
        : thiefOf(role, holdings),
    protector: role === null || protector === null ? null : thiefOfProtector(role, protector, holdings),
  }
}

/** The protector of a Safe, as far as its key is worth something. */
export type ProtectorRisk = {
  readonly role: Role
  /** As `protectorPolicy` derives it. */
  readonly policy: Policy
  readonly gas: Wei | null
}

/** Keys of allowances differ from role to role, so both together are a role that has all of them. */
function thiefOfProtector(
  role: Role,
  { role: second, gas }: ProtectorRisk,
  holdings: Holdings | null,
): ThiefOfProtector {
  const both: Role = {
    ...role,
    targets: [...role.targets, ...second.targets],
    allowances: [...role.allowances, ...second.allowances],
  }
  return { thief: { ...thiefOf(second, holdings), gas }, both: thiefOf(both, holdings).most }
}

function thiefOf(role: Role, holdings: Holdings | null): ThiefOfRole {
  const fills = 1n + windowsPerDay(role.period)
  const functions = role.targets.flatMap((target) => target.functions)
  const moves = role.allowances.filter(({ kind }) => kind === 'moves')
  const drawn = functions.map(({ name, condition }) => ({ name, keys: new Set(drawnBy(condition)) }))
  const namesFor = (key: Hex) => drawn.filter(({ keys }) => keys.has(key)).map(({ name }) => name)

  const tokens = moves.flatMap(({ key, token, amount }): TokenRisk[] => {
    const ways = [...new Set(namesFor(key).flatMap((name) => lossy[name] ?? []))]
    return ways.length === 0 ? [] : [{ token, perPeriod: amount, perDay: tokenAmount(amount * fills), ways }]
  })
  const borrowed = moves.filter(({ key }) => namesFor(key).includes('borrow'))
  const canBeLiquidated = functions.some(({ name }) => weakening.has(name))
  const shared = {
    holds: 'role' as const,
    period: role.period,
    fillsPerDay: Number(fills),
    tokens,
    borrows: borrowed.map(({ token }) => token),
    canBeLiquidated,
  }
  if (holdings === null)
    return { ...shared, tokensPerDay: null, penalty: null, equity: null, most: null, gas: null }

  const tokensPerDay = sum(tokens.map(({ token, perDay }) => worth(token, perDay, holdings)))
  const debt = sum([
    holdings.debt,
    ...borrowed.map(({ token, amount }) => worth(token, tokenAmount(amount * fills), holdings)),
  ])
  // A liquidation seizes what it repays and more, so without supplying there is no more to repay than collateral.
  const { collateral } = holdings
  const canSupply = functions.some(({ name }) => name === 'supply')
  const repaid = debt === null || canSupply || debt < collateral ? debt : collateral
  const penalty =
    canBeLiquidated && repaid !== null ? portion(repaid, holdings.liquidationPenalty, 'up') : null
  // With a debt that cannot be valued, so cannot what it may cost.
  const allowed = sum([tokensPerDay, canBeLiquidated ? penalty : usd(0n)])
  const { gas } = holdings
  // What has no price is in no sum of what is there either.
  const equity = allowed === null ? null : holdings.equity
  const most = allowed === null || equity === null ? null : allowed < equity ? allowed : equity
  return { ...shared, tokensPerDay, penalty, equity, most, gas }
}

/** Null for a token without a price. */
function worth(token: Token, amount: TokenAmount, { tokens }: Holdings): Usd | null {
  const price = tokens.find((each) => each.token.address === token.address)?.price ?? null
  return price === null ? null : usdValue(amount, price, token.decimals, 'up')
}

/** Null when any of them is. */
const sum = (values: readonly (Usd | null)[]): Usd | null =>
  values.reduce<Usd | null>(
    (total, each) => (total === null || each === null ? null : usd(total + each)),
    usd(0n),
  )
