import {
  SITUATION_SCHEMA_ID,
  type Situation,
  situationSchema,
} from '../../../agents/lending-guardian/schema.ts'

/** What was found in a message: a situation, none, or something that wants to be one and is not. */
export type Reading =
  | { readonly kind: 'situation'; readonly situation: Situation }
  | { readonly kind: 'none' }
  | { readonly kind: 'invalid'; readonly path: string; readonly problem: string }

/**
 * The situation in a message: the first fenced `json` block that claims to be one, or the whole message.
 *
 * Only JSON whose `schema` starts with `rialto.situation/` is taken for a situation; all else is talk.
 *
 * @example readSituation('What now?') // { kind: 'none' }
 */
export function readSituation(message: string): Reading {
  const fenced = [...message.matchAll(/```json[^\S\n]*\n([\s\S]*?)\n[^\S\n]*```/g)].map(
    (match) => match[1] ?? '',
  )
  for (const text of [...fenced, message]) {
    const claim = parseClaim(text)
    if (claim === undefined) continue
    const result = situationSchema.safeParse(claim)
    if (result.success) return { kind: 'situation', situation: result.data }
    const issue = result.error.issues[0]
    return { kind: 'invalid', path: issue?.path.join('.') ?? '', problem: issue?.message ?? 'Invalid.' }
  }
  return { kind: 'none' }
}

function parseClaim(text: string): object | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Talk is no JSON, and no error.
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { schema } = value as { schema?: unknown }
  return typeof schema === 'string' && schema.startsWith(SITUATION_SCHEMA_ID.replace(/\d+$/, ''))
    ? value
    : undefined
}
