import { InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'

/** The gateways that a relay was given are none that it can pass requests to. */
export class RelayGatewaysError extends InvalidInputError {
  override readonly name = 'RelayGatewaysError'
  /** @param problem as a clause that follows the name */
  constructor(gateway: string, problem: string) {
    super(`The gateway ${JSON.stringify(gateway)} ${problem}.`, {
      code: 'RELAY_GATEWAYS',
      fix: 'Give each gateway a name of letters, digits, dots, dashes and underscores, and its http or https URL without user, query or fragment.',
      details: { gateway },
    })
  }
}

/** No connection to a gateway came about in time. It ends one request and is never thrown. */
export class GatewayConnectError extends RialtoError {
  override readonly name = 'GatewayConnectError'
  constructor() {
    super('RELAY_GATEWAY_CONNECT', 'The gateway takes no connection.', {
      fix: 'Check that it runs and can be reached from here.',
      retryable: true,
    })
  }
}
