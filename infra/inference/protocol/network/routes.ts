/** Paths that are served in the clear, each by its role. `:name` is a part of the path. */
export const routes = {
  relay: {
    /** POST, `message/ohttp-chunked-req`: passed on to that gateway as it is. */
    gateway: (gateway: string) => `/gateways/${encodeURIComponent(gateway)}`,
    /** GET: the gateway's directory, the same bytes for everybody who asks this relay. */
    directory: (gateway: string) => `/gateways/${encodeURIComponent(gateway)}/directory`,
  },
  gateway: {
    /** POST, `message/ohttp-chunked-req`. */
    ohttp: '/ohttp',
    /** GET: the current directory. */
    directory: '/directory',
    /** GET, `application/ohttp-keys`. */
    keys: '/ohttp-keys',
  },
  node: {
    /** POST, `message/ohttp-chunked-req` with the header {@link headers.authorization}. */
    ohttp: '/ohttp',
    /** GET: what the node says of itself. */
    description: '/description',
    /** GET, `application/ohttp-keys`. */
    keys: '/ohttp-keys',
  },
  mint: {
    /** GET: RFC 9578, section 4. */
    issuerDirectory: '/.well-known/private-token-issuer-directory',
    /** POST with `Authorization: Bearer <account key>`: one TokenRequest (RFC 9578, section 6.1). */
    tokenRequest: '/token-request',
    /** POST, the same for many: TokenRequests one behind the other, answered by as many TokenResponses. */
    tokenRequests: '/token-requests',
    /** POST with the account key, one TokenRequest: its TokenResponse when it was paid before, else 404. */
    tokenReissue: '/token-reissue',
    /** GET with the account key: what the account has left. */
    account: '/account',
    /** GET: the directory of a gateway as the mint got it, for clients that compare. */
    directory: (gateway: string, epoch: number) => `/directories/${encodeURIComponent(gateway)}/${epoch}`,
  },
} as const

/** Paths within what is sealed for a gateway. Each takes and gives chunked OHTTP, so that they look alike. */
export const gatewayResources = {
  /** POST, {@link mediaTypes.paidRequest}: hands a sealed request to a node. */
  infer: '/infer',
  /** POST, {@link mediaTypes.reclaim}: the change of a spend whose answer was lost. */
  reclaim: '/reclaim',
  /** POST, one nullifier of 32 bytes; answered by one byte, 1 when it is spent. */
  tokenStatus: '/token-status',
  /** POST, one TokenRequest; answered by its TokenResponse when it was signed as change before, else 404. */
  reissue: '/reissue',
  /** GET: measured latency and errors of each node, as JSON ({@link measurementsSchema}). */
  measurements: '/measurements',
} as const

/** Media types of our own. Those of Oblivious HTTP are in `../ohttp/mediaTypes.ts`. */
export const mediaTypes = {
  binaryHttp: 'message/bhttp',
  directory: 'application/vnd.rialto.directory+jwt',
  nodeDescription: 'application/vnd.rialto.node+jwt',
  paidRequest: 'application/vnd.rialto.paid-request',
  reclaim: 'application/vnd.rialto.reclaim',
  tokenRequest: 'application/private-token-request',
  tokenResponse: 'application/private-token-response',
  issuerDirectory: 'application/private-token-issuer-directory',
} as const

/** Header and trailer fields of our own. All but `authorization` travel inside what is sealed. */
export const headers = {
  /** In the clear, gateway to node: that the request is paid for (`authorization.ts`). */
  authorization: 'rialto-authorization',
  /** Client to gateway: which node, by its name in the directory. */
  node: 'rialto-node',
  /** Client to gateway, and node to client: which model. */
  model: 'rialto-model',
  /** Client to node: in which size of cell to answer, in bytes. Absent: not in cells. */
  cells: 'rialto-cells',
  /** Client to node: milliseconds between two cells, or `off`. */
  cadence: 'rialto-cadence',
  /** Node to client: the privacy word that was kept for this answer. */
  privacy: 'rialto-privacy',
  /** Trailer, gateway to client: {@link encodeChange} in base64url. */
  change: 'rialto-change',
  /** Trailer, node to gateway and gateway to client: {@link encodeReceipt} in base64url. */
  receipt: 'rialto-receipt',
} as const
