import { isIPv4 } from 'node:net'

/**
 * Whether a URL stays on this machine: `localhost` (RFC 6761, section 6.3), 127.0.0.0/8 or ::1.
 *
 * @example isLoopback(new URL('http://127.0.0.1:11434/v1')) // true
 */
export function isLoopback({ hostname }: URL): boolean {
  if (hostname === 'localhost' || hostname.endsWith('.localhost') || hostname === '[::1]') return true
  return isIPv4(hostname) && hostname.startsWith('127.')
}
