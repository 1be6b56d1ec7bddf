import { TokenError } from '../errors.ts'

/**
 * How many tokens a request can pay. There are few classes, so that what a gateway sees of a request's worst cost
 * puts it into a large crowd; what is not used comes back as change.
 */
export const ceilingClasses = [1, 4, 16] as const
export type CeilingClass = (typeof ceilingClasses)[number]

/**
 * The smallest class that covers a request's worst cost.
 *
 * @param worstCost in tokens, rounded up; a request that costs nothing pays the smallest class and gets it back
 * @throws {TokenError} `CEILING` when no class does, or the cost is no whole number.
 * @example ceilingClassFor(3) // 4
 */
export function ceilingClassFor(worstCost: number): CeilingClass {
  const found = ceilingClasses.find((tokens) => tokens >= worstCost)
  if (found === undefined || !Number.isSafeInteger(worstCost) || worstCost < 0)
    throw new TokenError(
      'CEILING',
      `No request can pay ${worstCost} tokens; the largest class is ${ceilingClasses.at(-1)}.`,
      {
        fix: 'Ask for fewer output tokens, or send a shorter prompt.',
        details: { worstCost, classes: ceilingClasses },
      },
    )
  return found
}

/** Whether so many tokens are one of the classes: a gateway refuses any other number. */
export const isCeilingClass = (tokens: number): tokens is CeilingClass =>
  (ceilingClasses as readonly number[]).includes(tokens)
