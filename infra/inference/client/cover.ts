import { ClientOptionError } from './errors.ts'
import type { CoverOptions } from './options.ts'

/** The forms that the latest real requests had, from which cover requests draw theirs. */
export type RequestForm = {
  /** Bytes to which the request to the node was padded. */
  readonly bucket: number
  /** Tokens that were paid. */
  readonly paid: number
}

/** Remembers how real requests look from outside. */
export class RecentForms {
  readonly #forms: RequestForm[] = []

  enter(form: RequestForm): void {
    this.#forms.push(form)
    if (this.#forms.length > 32) this.#forms.shift()
  }

  /** One of them; the smallest there is when there was none yet. */
  draw(random: () => number): RequestForm {
    return this.#forms[Math.floor(random() * this.#forms.length)] ?? { bucket: 2048, paid: 1 }
  }
}

const openings = ['Say yes.', 'Say no.', 'Name a colour.', 'Name a number.', 'Count to two.', 'Say a word.']

/** What a cover request asks: little, and in the same form as a real one. */
export function coverBody(model: string, random: () => number): Uint8Array {
  const content = openings[Math.floor(random() * openings.length)] ?? 'Say yes.'
  return new TextEncoder().encode(
    JSON.stringify({ model, messages: [{ role: 'user', content }], max_tokens: 4, stream: true }),
  )
}

/**
 * Sends requests that mean nothing from time to time, so that neither relay nor gateway can conclude from a request that
 * a transaction will follow. They are padded, paid and answered as real ones are.
 *
 * What they do not do: the node reads them, and knows a question that nobody would pay for; a gateway sees that little
 * was used of what was paid; and whoever watches for long enough still counts more requests before transactions than
 * else. They hide one request among others, not a habit.
 *
 * @param send sends one; what it throws is the caller's to tell
 * @returns stops
 * @throws {ClientOptionError}
 */
export function scheduleCover(
  { every }: CoverOptions,
  random: () => number,
  send: () => Promise<void>,
): () => void {
  const isRange = typeof every === 'object'
  if (isRange ? !(every.min > 0 && every.max >= every.min) : !(every > 0))
    throw new ClientOptionError('cover.every is no time', 'Name milliseconds, or a range of them.')
  let timer: NodeJS.Timeout | undefined
  let isStopped = false
  const plan = (): void => {
    if (isStopped) return
    // Exponential: how long the last one is ago says nothing of when the next one comes.
    const wait = isRange ? every.min + random() * (every.max - every.min) : -Math.log(1 - random()) * every
    timer = setTimeout(() => void send().finally(plan), Math.min(wait, 2 ** 31 - 1))
    timer.unref()
  }
  plan()
  return () => {
    isStopped = true
    clearTimeout(timer)
  }
}
