import {
  decodeChange,
  decodePaidRequest,
  tokenRequestLength,
  tokenResponseLength,
} from '../../infra/inference/protocol/network/payment.ts'
import { gatewayResources, headers } from '../../infra/inference/protocol/network/routes.ts'
import { fromBase64Url } from '../../infra/inference/protocol/network/text.ts'
import { decodeTokenRequest } from '../../infra/inference/tokens/privacyPass/issuance.ts'
import { decodeToken, type Token } from '../../infra/inference/tokens/privacyPass/token.ts'
import type { Issuance } from './blinding.ts'
import type { Recording } from './network.ts'
import { exchangesOf } from './observe.ts'
import { field, openWith } from './open.ts'

/** A token's beginning, as the mint saw it. */
export type Purchase = Issuance & { readonly address: string; readonly request: Uint8Array }

/** Everything that a mint signed, in its order. */
export function purchasesOf(mint: Recording): readonly Purchase[] {
  return exchangesOf(mint, 'client-mint')
    .filter(({ request }) => request.start.startsWith('POST /token-requests'))
    .flatMap(({ from, request, response }) =>
      cut(request.body, tokenRequestLength).map((bytes, at) => ({
        address: from,
        request: bytes,
        blindedMessage: decodeTokenRequest(bytes).blindedMessage,
        blindSignature: response.body.subarray(at * tokenResponseLength, (at + 1) * tokenResponseLength),
      })),
    )
}

/** A payment as the gateway saw it: tokens that went in, change that it signed. */
export type SeenPayment = {
  readonly tokens: readonly Token[]
  readonly change: readonly Issuance[]
  /** Characters of the trailers of its answer. */
  readonly trailers: number
}

/** Every payment that a gateway took, in their order. */
export async function paymentsOf(gateway: Recording): Promise<readonly SeenPayment[]> {
  const payments: SeenPayment[] = []
  for (const { request, response } of exchangesOf(gateway, 'relay-gateway')) {
    if (!request.start.startsWith('POST ')) continue
    const found = await openWith(gateway.keys, request.body, response.body)
    if (found?.request.path !== gatewayResources.infer) continue
    const { tokens, changeRequests } = decodePaidRequest(found.request.content)
    const change = decodeChange(
      fromBase64Url(field(found.response?.trailers ?? [], headers.change) ?? '', 'change'),
    )
    payments.push({
      tokens: tokens.map(decodeToken),
      trailers: JSON.stringify(found.response?.trailers).length,
      change: change.responses.map((blindSignature, at) => ({
        blindedMessage: decodeTokenRequest(changeRequests[at] ?? new Uint8Array(0)).blindedMessage,
        blindSignature,
      })),
    })
  }
  return payments
}

const cut = (bytes: Uint8Array, length: number): readonly Uint8Array[] =>
  Array.from({ length: bytes.length / length }, (_, at) => bytes.subarray(at * length, (at + 1) * length))
