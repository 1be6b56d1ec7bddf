import { isIP } from 'node:net'
import { isLoopback } from '../../http/isLoopback.ts'

/** Second levels under which countries register names, as in `example.co.uk`. */
const SECOND_LEVELS: ReadonlySet<string> = new Set([
  'ac',
  'co',
  'com',
  'edu',
  'gov',
  'ne',
  'net',
  'or',
  'org',
])

/**
 * Who runs a node, as far as its name tells: the registrable domain, by the usual shapes of names rather than by the
 * whole Public Suffix List. An address stands for itself.
 *
 * @example providerOf(new URL('https://eth.rpc.example.co.uk/key')) // 'example.co.uk'
 */
export function providerOf(url: URL): string {
  if (isLoopback(url)) return 'this machine'
  const name = url.hostname.replace(/\.$/, '')
  if (isIP(name.replace(/^\[|\]$/g, '')) !== 0) return name
  const labels = name.split('.')
  const [second, top] = labels.slice(-2)
  const isCountry = top?.length === 2 && second !== undefined && SECOND_LEVELS.has(second)
  return labels.slice(isCountry ? -3 : -2).join('.')
}
