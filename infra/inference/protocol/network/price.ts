import { InvariantError } from '../../../../runtime/core/errors.ts'

/**
 * What a model costs, in payment tokens for a million of its own tokens: whole numbers. One price is for everybody,
 * since it stands in the directory that everybody compares.
 */
export type Price = { readonly prompt: number; readonly completion: number }

/** What a request used, in the model's own tokens. */
export type Usage = { readonly prompt: number; readonly completion: number }

const PER = 1_000_000

/**
 * What a usage costs, in payment tokens, rounded up. This is all that a gateway learns of a usage.
 *
 * @example costOf({ prompt: 250, completion: 1_000 }, { prompt: 2_000, completion: 300 }) // 1
 */
export function costOf(price: Price, usage: Usage): number {
  const cost = price.prompt * usage.prompt + price.completion * usage.completion
  if (!Number.isSafeInteger(cost) || cost < 0)
    throw new InvariantError('A cost is a whole number of tokens.', { price, usage })
  return Math.ceil(cost / PER)
}

/**
 * How many completion tokens a ceiling pays for beside a prompt; negative when it does not even pay for the prompt,
 * and infinite when they are free.
 *
 * @param ceiling in payment tokens
 * @example affordableCompletion({ prompt: 250, completion: 1_000 }, { ceiling: 1, prompt: 2_000 }) // 500
 */
export function affordableCompletion(
  price: Price,
  { ceiling, prompt }: { readonly ceiling: number; readonly prompt: number },
): number {
  const left = ceiling * PER - price.prompt * prompt
  if (price.completion === 0) return left < 0 ? -1 : Number.POSITIVE_INFINITY
  return Math.floor(left / price.completion)
}
