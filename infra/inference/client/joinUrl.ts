/**
 * A path below a base URL, whether that ends in a slash or not.
 *
 * @example joinUrl('https://relay.example/net', '/gateways/gate') // 'https://relay.example/net/gateways/gate'
 */
export const joinUrl = (base: string, path: string): string => `${base.replace(/\/+$/, '')}${path}`
