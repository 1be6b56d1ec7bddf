import type { Refusal } from '../protocol/network/problem.ts'
import { PrivateNetworkError } from './errors.ts'

type Limit = Readonly<Record<string, string | number>>

/**
 * What a client refuses by itself. The texts are fixed: none quotes a request or an answer.
 *
 * `status`, message, what to do.
 */
const texts = {
  unknown_url: [404, 'There is nothing here.', 'Ask for /v1/models, /v1/chat/completions or /v1/embeddings.'],
  invalid_json: [400, 'We could not parse the JSON body of your request.', 'Send JSON.'],
  missing_model: [400, "Missing required parameter: 'model'.", 'Name a model of the catalogue.'],
  model_not_found: [404, 'The network does not serve this model.', 'Name a model of the catalogue.'],
  not_served: [400, 'The model does not serve this kind of request.', 'Name another model.'],
  privacy_unavailable: [
    403,
    'The model is served with weaker privacy than was asked for only.',
    'Name another model, or accept a weaker word.',
  ],
  context_length_exceeded: [
    400,
    'The request is longer than the context of any node that serves this model.',
    'Send less.',
  ],
  operator_share: [
    503,
    'Every node that could answer is of an operator that has its share of requests already.',
    'Raise operatorShare, or use a network of more operators.',
  ],
  no_node: [503, 'No node of the network serves this model now.', 'Try again later.'],
  too_large: [413, 'The request is larger than the network carries.', 'Send less.'],
  wallet_empty: [402, 'The wallet has too few tokens for this request.', 'Buy tokens at the mint.'],
  wallet_drained: [
    402,
    'Requests used the tokens up faster than they are bought, so that more are bought at once: the mint sees when.',
    'Raise mint.lowWater.',
  ],
  keys_inconsistent: [
    502,
    'Two sources give different keys for one epoch, so somebody is handed keys of their own.',
    'Do not use this gateway until its operator has explained it.',
  ],
  keys_unconfirmed: [
    503,
    'No witness confirms the keys of the gateway.',
    'Try again later, or name a witness that can be reached.',
  ],
  directory_unavailable: [
    503,
    'The directory of the gateway could not be fetched.',
    'Check the relay in the configuration, or try again later.',
  ],
  directory_expired: [
    503,
    'The directory of the gateway is out of date.',
    'Check the clock, or try again later.',
  ],
  outcome_unknown: [
    502,
    'The gateway was not reached, or broke off. What was paid is asked for again later.',
    'Try again later.',
  ],
  payment_lost: [
    410,
    'A payment whose end was not seen cannot be settled any more: all its keys have ended. Its tokens are lost.',
    'Open the wallet before the keys of its tokens end: what is not settled is asked for then.',
  ],
  stream_broken: [
    502,
    'The answer did not arrive whole: it was cut, or something in it was moved, repeated or changed.',
    'Discard what arrived of it and ask again.',
  ],
  answer_too_large: [502, 'The answer is larger than is taken.', 'Ask for less.'],
  wrong_model: [502, 'The node answered with another model than was asked for.', 'Ask again.'],
  privacy_broken: [502, 'The node answered with another privacy than it promises.', 'Ask again.'],
  mint_unconfigured: [402, 'No mint is configured.', 'Name a mint and an account there.'],
  mint_unreachable: [503, 'The mint was not reached.', 'Try again later.'],
  mint_refused: [502, 'The mint does not give tokens.', 'Check the account at the mint.'],
  account_unknown: [401, 'The mint does not know the account.', 'Check the account key.'],
  account_empty: [402, 'The account at the mint is empty.', 'Fill the account.'],
  gateway_refused: [502, 'The gateway refused what it should not.', 'Try again later.'],
  closing: [503, 'The private network is closed.', 'Open it again.'],
  not_local: [502, 'The server on this machine was not reached.', 'Start it, or correct its URL.'],
} as const satisfies Record<string, readonly [number, string, string]>

export type RefusalCode = keyof typeof texts

/** A refusal by the client itself, to be thrown. */
export function refuse(
  code: RefusalCode,
  { limit, cause }: { readonly limit?: Limit; readonly cause?: unknown } = {},
): PrivateNetworkError {
  const [status, message, fix] = texts[code]
  const refusal: Refusal = {
    status,
    code: code === 'missing_model' ? 'missing_required_parameter' : code,
    message,
    role: 'client',
  }
  return new PrivateNetworkError(limit === undefined ? refusal : { ...refusal, limit }, {
    fix,
    ...(cause === undefined ? {} : { cause }),
  })
}
