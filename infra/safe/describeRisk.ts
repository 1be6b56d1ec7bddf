import { formatEther } from 'viem'
import { formatUsd } from '../../runtime/core/units.ts'
import { describeAmount, describeSeconds } from './describeRole.ts'
import type { LossyWay, Risk, ThiefOfKey, ThiefOfProtector, ThiefOfRole } from './explainRisk.ts'

const words: Readonly<Record<LossyWay, string>> = {
  swap: 'swaps at no minimum',
  deleverage: 'rescues at any price',
  liquidate: 'liquidations of others',
  transfer: 'transfers to the recipients of the policy',
}

/**
 * The worst case as lines for a person, before anything is signed.
 *
 * @param name the agent's id
 * @param money dollars as people read them, of a decimal string
 */
export function describeRisk(
  name: string,
  { account, policy, thief, protector }: Risk,
  money: (usd8: string) => string,
): readonly string[] {
  const dollars = (value: bigint) => `$${money(formatUsd(value))}`
  const window = describeSeconds(policy.window)
  const byPolicy =
    policy.mode === 'observe'
      ? [`  ${name} (observe) signs nothing, so by its policy it loses nothing.`]
      : [
          `  ${name} (${policy.mode}) may lose at most ${dollars(policy.ordinary)} in ${window} by its policy,`,
          `    ${dollars(policy.riskReducing)} when that reduces risk${policy.reserve === null ? '' : `, and its protector ${dollars(policy.reserve)} more`}: ${dollars(policy.perDay)} in any 24 h.`,
        ]
  const of = account ?? 'its account'
  const stolen = thief.holds === 'key' ? key(of, thief, dollars) : role('its key', of, thief, dollars)
  const unlocked = protector === null ? [] : ofProtector(of, protector, dollars)
  return [...byPolicy, ...[...stolen, ...unlocked, ...notInThis(thief)].map((line) => `    ${line}`)]
}

type Dollars = (value: bigint) => string

function key(account: string, { equity, borrowable, gas }: ThiefOfKey, dollars: Dollars): readonly string[] {
  const all = `A thief of its key could take all that ${account} holds and can borrow`
  if (equity === null || borrowable === null || gas === null) return [`${all}.`]
  return [
    `${all}: ${dollars(equity)} now, ${dollars(borrowable)} more by`,
    `borrowing, and ${formatEther(gas)} native.`,
  ]
}

const notInThis = ({ holds }: Risk['thief']): readonly string[] =>
  holds === 'key'
    ? []
    : ['Prices that move, interest, and tokens that the address book does not know are not in this.']

function ofProtector(
  account: string,
  { thief, both }: ThiefOfProtector,
  dollars: Dollars,
): readonly string[] {
  return [
    ...role("its protector's key", account, thief, dollars),
    both === null
      ? 'A thief of both keys could take both together.'
      : `A thief of both keys could take at most ${dollars(both)} in any 24 h, and both senders' coins.`,
  ]
}

function role(of: string, account: string, thief: ThiefOfRole, dollars: Dollars): readonly string[] {
  const { tokens, borrows, most, equity, tokensPerDay, penalty, gas, fillsPerDay, period } = thief
  const total =
    most === null
      ? `A thief of ${of} could take of the Safe ${account}, in any 24 h, at most:`
      : `A thief of ${of} could take of the Safe ${account}, in any 24 h, at most ${dollars(most)}:`
  const lost = tokens.map(
    ({ token, perPeriod, perDay, ways }) =>
      `- ${describeAmount(perDay, token)}: ${describeAmount(perPeriod, token)} every ${describeSeconds(period)}, ${fillsPerDay} times within a day, by ${ways.map((way) => words[way]).join(', ')}`,
  )
  const liquidation =
    penalty === null
      ? thief.canBeLiquidated
        ? ['- the penalty of liquidations that it brings about']
        : []
      : penalty === 0n
        ? []
        : [`- ${dollars(penalty)} by liquidations that it brings about`]
  return [
    total,
    ...lost,
    ...(tokensPerDay === null || tokens.length === 0
      ? []
      : [`  (tokens: ${dollars(tokensPerDay)} at Aave's prices)`]),
    ...liquidation,
    ...(lost.length + liquidation.length === 0
      ? ['- nothing: no function of the role can lose a token']
      : []),
    ...(equity === null || most !== equity ? [] : [`- no more than all there is: ${dollars(equity)}`]),
    borrows.length === 0
      ? 'It could not borrow. What it supplies, withdraws and repays stays with the Safe.'
      : `It could borrow ${borrows.map(({ symbol }) => symbol).join(' and ')}, which takes from the same allowances. What it supplies, withdraws and repays stays with the Safe.`,
    gas === null
      ? "All of the sender's native coins."
      : `All of the sender's native coins: ${formatEther(gas)}.`,
  ]
}

/** The worst case as a JSON value: whole numbers as decimal strings, dollars with 8 decimals. */
export const riskToJson = (risk: Risk): unknown =>
  JSON.parse(JSON.stringify(risk, (_key, value) => (typeof value === 'bigint' ? value.toString() : value)))
