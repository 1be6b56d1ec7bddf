import { createLocalFetch } from './localFetch.ts'
import { openPrivateNetwork, type PrivateFetch } from './openPrivateNetwork.ts'
import type { PrivateFetchOptions } from './options.ts'

/**
 * A `fetch` for OpenAI's clients that goes through a private network, or, for `local`, to a model on this machine and
 * nowhere else. Any base URL may be put in front of it: only what follows `/v1` counts.
 *
 * It answers `GET /v1/models` and `/v1/models/<id>` from the confirmed catalogue, and sends `POST /v1/chat/completions`
 * and `/v1/embeddings` sealed. Every refusal is a response in OpenAI's shape, so that its clients throw their own error;
 * only an abort, a disk that cannot be written and a defect throw.
 *
 * @throws {ClientOptionError, IdentityError} when the options make no sense
 * @example
 * const fetch = createPrivateFetch({ relay, gateway, wallet, privacy: 'private' })
 * const model = new ChatOpenAI({ model: 'm', apiKey: 'none', configuration: { baseURL: 'http://private/v1', fetch } })
 */
export const createPrivateFetch = (options: PrivateFetchOptions): PrivateFetch =>
  options.privacy === 'local' ? createLocalFetch(options).fetch : openPrivateNetwork(options).fetch
