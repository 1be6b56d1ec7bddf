import { InvalidInputError } from '../../runtime/core/errors.ts'

/**
 * @param anyProtocol whether something else than HTTP gets there, so that the URL only names the endpoint
 * @throws {InvalidInputError} when the text is no such URL.
 * @example parseRpcUrl('http://127.0.0.1:8545').host // '127.0.0.1:8545'
 */
export function parseRpcUrl(text: string, anyProtocol = false): URL {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url !== null && (anyProtocol || url.protocol === 'http:' || url.protocol === 'https:')) return url
  // The text itself may hold a key, so it is not repeated.
  throw new InvalidInputError('The RPC URL is not an http or https URL.', {
    code: 'RPC_URL_INVALID',
    fix: 'Write it like http://127.0.0.1:8545.',
  })
}
