import { z } from 'zod'
import { expected } from '../../runtime/guards/policyFields.ts'
import { redactUrl } from './redactUrl.ts'

/** A text that is not empty. */
export const words = (what: string) => z.string({ error: expected(what) }).min(1, { error: expected(what) })

/** URLs may hold secrets, so an error shows what is left of them when those are gone. */
export function url(check: (value: string) => string | null) {
  return z.string({ error: 'is no text: it must be a URL' }).superRefine((value, context) => {
    const complaint = check(value)
    if (complaint !== null)
      context.addIssue({ code: 'custom', message: `(${redactUrl(value)}) ${complaint}` })
  })
}

/** One of a few words. */
export const oneOf = <const Words extends readonly [string, ...string[]]>(choices: Words) =>
  z.enum(choices, { error: expected(`one of "${choices.join('", "')}"`) })
