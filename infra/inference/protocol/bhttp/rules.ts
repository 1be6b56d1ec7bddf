import type { Field, RequestControl } from './message.ts'

/**
 * What makes a message invalid besides its framing. Each rule names the problem, as a clause that follows
 * "The message", or returns `undefined`; the encoder and the decoder each raise their own error from it.
 */
type Problem = string | undefined

/** `token` of RFC 9110, section 5.6.2. */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
const pseudoField = /^:[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** HTTP/2's pseudo-fields have places of their own: "Messages are invalid if they contain fields named ...". */
const reservedNames = new Set([':method', ':scheme', ':authority', ':path', ':status'])
const scheme = /^[A-Za-z][A-Za-z0-9+.-]*$/
const visible = /^[\x21-\x7e]*$/
/** RFC 9113, section 8.2.1: no NUL, LF or CR anywhere, no SP or HTAB at either end. */
const malformedValue = /[\0\n\r]|^[ \t]|[ \t]$/

/**
 * Rules for field sections (RFC 9292, section 3.6; RFC 9110, section 5.1; RFC 9113, sections 8.1 and 8.2.1).
 *
 * @param section where pseudo-fields are allowed at most before all others: in headers, never in trailers
 */
export function fieldProblem(fields: readonly Field[], section: 'headers' | 'trailers'): Problem {
  let pseudoAllowed = section === 'headers'
  for (const [name, value] of fields) {
    if (name.startsWith(':')) {
      if (reservedNames.has(name.toLowerCase())) return 'has a field that is named like its control data'
      if (!pseudoField.test(name)) return 'has a field name with a byte that HTTP does not permit'
      if (section === 'trailers') return 'has a pseudo-field in its trailers'
      if (!pseudoAllowed) return 'has a pseudo-field behind another field'
    } else {
      if (name.length === 0) return 'has a field without a name'
      if (!token.test(name)) return 'has a field name with a byte that HTTP does not permit'
      pseudoAllowed = false
    }
    if (malformedValue.test(value)) return 'has a field value that HTTP does not permit'
  }
  return undefined
}

/** Rules for request control data (RFC 9292, section 3.4; RFC 9113, section 8.3.1). */
export function controlProblem(control: RequestControl): Problem {
  if (!token.test(control.method)) return 'has a method that is no token'
  if (!visible.test(control.authority)) return 'has an authority with a byte that HTTP does not permit'
  if (!visible.test(control.path)) return 'has a path with a byte that HTTP does not permit'
  if (control.method === 'CONNECT') {
    if (control.authority.length === 0) return 'is a CONNECT without an authority'
    // Extended CONNECT (RFC 8441) has all four; plain CONNECT neither scheme nor path.
    if (control.scheme.length === 0)
      return control.path.length === 0 ? undefined : 'has a path without a scheme'
  }
  if (!scheme.test(control.scheme)) return 'has a scheme that is none'
  if (/^https?$/i.test(control.scheme)) {
    if (control.authority.includes('@')) return 'has an authority with user information'
    if (!control.path.startsWith('/') && !(control.method === 'OPTIONS' && control.path === '*'))
      return 'has a path that does not begin with a slash'
  }
  return undefined
}

/** Status codes: 100..199 informational, 200..599 final (RFC 9292, section 3.5). */
export function statusProblem(status: number, kind: 'informational' | 'final'): Problem {
  const [least, most] = kind === 'final' ? [200, 599] : [100, 199]
  return Number.isInteger(status) && status >= least && status <= most
    ? undefined
    : `has a status that is not ${kind}`
}
