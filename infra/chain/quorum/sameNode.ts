import { isLoopback } from '../../http/isLoopback.ts'

/**
 * Whether two URLs name one node, as far as their hosts and ports tell: keys and paths make no second node of it.
 *
 * @example sameNode('https://rpc.example.org/a', 'https://RPC.example.org./b?key=c') // true
 */
export const sameNode = (one: string, other: string): boolean => placeOf(one) === placeOf(other)

function placeOf(text: string): string {
  const url = new URL(text)
  const place = url.port === '' ? '' : `:${url.port}`
  return `${isLoopback(url) ? 'loopback' : url.hostname.replace(/\.$/, '')}${place}`
}
