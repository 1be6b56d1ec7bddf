/** The longest part of a path that can hardly be a key. */
const HARMLESS = 16

/**
 * A URL without what may be secret in it: user name, password, query, fragment, and every part of the path that is
 * long enough to be a key. What is no URL is not shown at all.
 *
 * @example redactUrl('postgres://ann:pa55@db.example.org/rialto?sslkey=x') // 'postgres://…@db.example.org/rialto'
 * @example redactUrl('https://rpc.example.org/v3/0123456789abcdef0123') // 'https://rpc.example.org/v3/…'
 */
export function redactUrl(text: string): string {
  if (!URL.canParse(text)) return '…'
  const url = new URL(text)
  if (url.host === '') return '…'
  const user = url.username === '' && url.password === '' ? '' : '…@'
  const path = url.pathname
    .split('/')
    .map((part) => (part.length < HARMLESS ? part : '…'))
    .join('/')
  return `${url.protocol}//${user}${url.host}${path === '/' ? '' : path}`
}
