import { createHash } from 'node:crypto'
import { Agent, type ClientRequest, request as send } from 'node:http'
import { built } from './built.ts'
import { completion } from './names.ts'
import type { Part } from './part.ts'
import { serve } from './serve.ts'

/* What the roles are held against. Callbacks are written in place: tsx would wrap each that has a name. */

const keptAlive = () => new Agent({ keepAlive: true, noDelay: true, maxFreeSockets: 1_024 })

/** A plain reverse proxy: heads and bodies as they are, both ways. */
export async function proxy({ target }: { readonly target: string }): Promise<Part> {
  const agent = keptAlive()
  const { hostname: host, port } = new URL(target)
  return serve((request, response) => {
    const { method, url: path, headers } = request
    const forwarded = send({ agent, host, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    forwarded.on('error', () => response.destroy())
    request.pipe(forwarded)
  })
}

/** Where the tokens of a PaidRequest begin, and how long each is and what of it is signed, in bytes. */
const tokensAt = 2
const tokenLength = 354
const signedLength = 98

/**
 * What a gateway cannot do without: HTTP in, four PSS verifications, one append that is on the disk, HTTP out to the
 * node, and its answer back.
 */
export async function payDesk(options: {
  readonly node: string
  readonly log: string
  /** The mint's key as RFC 9578, section 6.5, encodes it. */
  readonly mintKey: Uint8Array
  /** Where the request to the node lies in a PaidRequest, in bytes. */
  readonly inner: { readonly at: number; readonly length: number }
}): Promise<Part> {
  const tokens = 'infra/inference/tokens'
  const [{ readTokenKey }, { verify }, { openGroupCommitLog }] = await Promise.all([
    built<typeof import('../../../infra/inference/tokens/blindRsa/keys.ts')>(`${tokens}/blindRsa/keys`),
    built<typeof import('../../../infra/inference/tokens/blindRsa/finalize.ts')>(
      `${tokens}/blindRsa/finalize`,
    ),
    built<typeof import('../../../infra/inference/tokens/log/groupCommitLog.ts')>(
      `${tokens}/log/groupCommitLog`,
    ),
  ])
  const { node, log, mintKey, inner } = options
  const publicKey = readTokenKey(mintKey)
  const written = await openGroupCommitLog<string>({
    path: log,
    length: 0,
    encode: (entries) => JSON.stringify(entries),
  })
  const agent = keptAlive()
  const { hostname: host, port } = new URL(node)
  const headers = { 'content-length': inner.length }
  const server = await serve((request, response) => {
    const parts: Buffer[] = []
    request.on('data', (bytes: Buffer) => parts.push(bytes))
    request.on('end', async () => {
      const body = Buffer.concat(parts)
      const nullifiers: string[] = []
      for (let index = 0; index < completion.paid; index += 1) {
        const at = tokensAt + index * tokenLength
        const message = body.subarray(at, at + signedLength)
        if (!verify({ publicKey, message, signature: body.subarray(at + signedLength, at + tokenLength) }))
          return response.writeHead(402).end()
        nullifiers.push(createHash('sha256').update(message).digest('hex'))
      }
      await written.append(nullifiers.join())
      const asked: ClientRequest = send(
        { agent, host, port, method: 'POST', path: '/ohttp', headers },
        (answer) => {
          response.writeHead(answer.statusCode ?? 502)
          answer.pipe(response)
        },
      )
      asked.on('error', () => response.destroy())
      asked.end(body.subarray(inner.at, inner.at + inner.length))
    })
  })
  return {
    ...server,
    async close() {
      await server.close()
      await written.close()
    },
  }
}
