import { createHash, randomBytes } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { built } from './built.ts'
import { CONTEXT, completion, models, names } from './names.ts'
import type { Part } from './part.ts'
import { serve } from './serve.ts'

/* What stands behind a role that is measured, as cheap as it can be. */

/** What the first byte of a sealed request makes {@link answeringNode} do. */
export const orders = { answerOne: 0, answerAll: 1, stream: 2, flood: 3 } as const

/** How a stream goes: at once so many bytes, then a piece each so many milliseconds. */
export type Pace = { readonly atOnce: number; readonly piece: number; readonly every: number }

const OHTTP_RESPONSE = 'message/ohttp-chunked-res'

/**
 * A node that opens nothing. It answers, with a receipt for one token or for all that was paid, or streams without an
 * end: at its pace, or as fast as it is taken.
 */
export async function answeringNode(options: {
  readonly identity: Uint8Array
  readonly pace: Pace
}): Promise<Part> {
  const protocol = 'infra/inference/protocol'
  const [
    { encodeContent, encodeEnd, encodeResponseHead },
    identities,
    descriptions,
    receipts,
    text,
    keys,
    hpke,
    configs,
    routes,
  ] = await Promise.all([
    built<typeof import('../../../infra/inference/protocol/bhttp/encode.ts')>(`${protocol}/bhttp/encode`),
    built<typeof import('../../../infra/inference/protocol/network/identity.ts')>(
      `${protocol}/network/identity`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/nodeDescription.ts')>(
      `${protocol}/network/nodeDescription`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/receipt.ts')>(
      `${protocol}/network/receipt`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/text.ts')>(`${protocol}/network/text`),
    built<typeof import('../../../infra/inference/protocol/ohttp/keys.ts')>(`${protocol}/ohttp/keys`),
    built<typeof import('../../../infra/inference/protocol/hpke/nodeHpke.ts')>(`${protocol}/hpke/nodeHpke`),
    built<typeof import('../../../infra/inference/protocol/ohttp/keyConfig.ts')>(
      `${protocol}/ohttp/keyConfig`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/routes.ts')>(`${protocol}/network/routes`),
  ])
  const identity = identities.importIdentityKey(options.identity)
  const key = await keys.createGatewayKey(hpke.nodeHpke, 1, await hpke.nodeHpke.generateKeyPair())
  const now = Math.floor(Date.now() / 1_000)
  const description = await descriptions.signNodeDescription(identity, {
    version: 1,
    name: names.node,
    operator: names.operator,
    keys: Buffer.from(configs.encodeKeyConfigs([keys.keyConfigOf(key)])).toString('base64'),
    notBefore: now - 60,
    notAfter: now + 3_600,
    models: Object.values(models).map((model) => ({
      ...model,
      privacy: 'private',
      context: CONTEXT,
      serves: ['chat'],
    })),
  })

  const { pace } = options
  const head = encodeResponseHead({
    informational: [],
    status: 200,
    headers: [['content-type', OHTTP_RESPONSE]],
  })
  const contentType = { 'content-type': routes.mediaTypes.binaryHttp }
  const answer = encodeContent(randomBytes(256))
  const piece = encodeContent(randomBytes(pace.piece))
  const large = encodeContent(randomBytes(16_000))
  const atOnce = Buffer.concat(
    Array.from({ length: Math.ceil(pace.atOnce / 4_096) }, () => encodeContent(randomBytes(4_096))),
  )
  const streams = new Set<ServerResponse>()
  let ticks = 0
  const pacing = setInterval(() => {
    ticks += 1
    for (const stream of streams) stream.write(piece)
  }, pace.every)

  const server = await serve((request, response) => {
    if (request.method !== 'POST') return response.end(description)
    const parts: Buffer[] = []
    request.on('data', (bytes: Buffer) => parts.push(bytes))
    request.on('end', () => {
      const body = Buffer.concat(parts)
      const order = body[0]
      if (order === orders.answerOne || order === orders.answerAll) {
        const receipt = receipts.createReceipt(identity, {
          ceiling: completion.paid,
          used: order === orders.answerOne ? completion.used : completion.paid,
          model: models.priced.id,
          innerRequestHash: createHash('sha256').update(body).digest(),
        })
        const end = encodeEnd([[routes.headers.receipt, text.toBase64Url(receipts.encodeReceipt(receipt))]])
        const whole = Buffer.concat([head, answer, end])
        return response.writeHead(200, { ...contentType, 'content-length': whole.length }).end(whole)
      }
      response.writeHead(200, contentType)
      response.write(head)
      if (order === orders.flood) return flood(response, large)
      response.write(atOnce)
      streams.add(response)
      response.once('close', () => streams.delete(response))
    })
  })
  return {
    ...server,
    /** How often it has sent a piece on every stream: a clock that is as late as the machine is busy. */
    calls: { ticks: async () => ticks },
    async close() {
      clearInterval(pacing)
      await server.close()
    },
  }
}

/** As fast as it is taken, without an end. */
function flood(response: ServerResponse, piece: Uint8Array): void {
  while (!response.destroyed) {
    if (response.write(piece)) continue
    response.once('drain', () => flood(response, piece))
    return
  }
}

/** A gateway that answers everything with the same bytes, as many as an answer with its change has. */
export function answeringGateway(_: undefined): Promise<Part> {
  const answer = randomBytes(2_048)
  const headers = { 'content-type': OHTTP_RESPONSE, 'content-length': answer.length }
  return serve((request, response) => {
    request.resume().on('end', () => response.writeHead(200, headers).end(answer))
  })
}
