import { Counter } from 'prom-client'
import { createServerMetrics, type ServerMetrics } from '../../http/operations.ts'

/** What a request was for. */
export type Route =
  | 'unopened'
  | 'infer'
  | 'reclaim'
  | 'token_status'
  | 'reissue'
  | 'measurements'
  | 'directory'
  | 'keys'
  | 'unknown'

export type GatewayMetrics = ServerMetrics & {
  readonly redeemed: Counter
  readonly changed: Counter
  /** Payments that were refused because a token was spent on something else. */
  readonly spentAgain: Counter
  /** Spends that were settled, by what came of them: words of the code. */
  readonly settled: Counter<'outcome'>
}

/** Makes the gateway's metrics. None holds anything of a single request. */
export function createGatewayMetrics(withProcess: boolean): GatewayMetrics {
  const metrics = createServerMetrics('gateway', { withProcess })
  const { registry } = metrics
  const counter = (name: string, help: string) =>
    new Counter({ name: `rialto_gateway_${name}`, help, registers: [registry] })
  return {
    ...metrics,
    redeemed: counter('tokens_redeemed_total', 'Payment tokens that were taken.'),
    changed: counter('change_signed_total', 'Payment tokens that were given back as change.'),
    spentAgain: counter(
      'nullifier_refusals_total',
      'Payments with a token that was spent on something else.',
    ),
    settled: new Counter({
      name: 'rialto_gateway_spends_settled_total',
      help: 'Spends by what came of them.',
      labelNames: ['outcome'],
      registers: [registry],
    }),
  }
}
