import { constants, createHash, randomBytes, sign } from 'node:crypto'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import { InvariantError } from '../../../runtime/core/errors.ts'
import { built } from './built.ts'
import { exchange, open, rawPost } from './connection.ts'
import { completion, models, names } from './names.ts'
import type { Part } from './part.ts'
import { serve } from './serve.ts'
import type { orders } from './standIns.ts'

/** What requests are made of and sent by: paid ones are made beforehand, so that sending them costs little. */
export type Batch = {
  /** What it is sent by later. */
  readonly name: string
  readonly count: number
  /** The path that they are posted to. */
  readonly path: string
  /** Where the directory is asked for; absent, requests are left as a gateway has them when it has opened them. */
  readonly gateway?: { readonly url: string; readonly identity: string }
  /** The first of the tokens that pay; tokens can be spent at each gateway once. */
  readonly from: number
  readonly order: (typeof orders)[keyof typeof orders]
}

const OHTTP_REQUEST = 'message/ohttp-chunked-req'
const signAsync = promisify(sign)

/** Whatever sends requests: it holds the mint's key, signs tokens itself, and is no party to any figure. */
export async function load(_: undefined): Promise<Part> {
  const inference = 'infra/inference'
  const [
    bhttp,
    hpke,
    directories,
    identities,
    descriptions,
    payments,
    routes,
    sizes,
    chunked,
    padding,
    keys,
    tokens,
    challenges,
  ] = await Promise.all([
    built<typeof import('../../../infra/inference/protocol/bhttp/encode.ts')>(
      `${inference}/protocol/bhttp/encode`,
    ),
    built<typeof import('../../../infra/inference/protocol/hpke/nodeHpke.ts')>(
      `${inference}/protocol/hpke/nodeHpke`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/directory.ts')>(
      `${inference}/protocol/network/directory`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/identity.ts')>(
      `${inference}/protocol/network/identity`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/nodeDescription.ts')>(
      `${inference}/protocol/network/nodeDescription`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/payment.ts')>(
      `${inference}/protocol/network/payment`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/routes.ts')>(
      `${inference}/protocol/network/routes`,
    ),
    built<typeof import('../../../infra/inference/protocol/network/sizes.ts')>(
      `${inference}/protocol/network/sizes`,
    ),
    built<typeof import('../../../infra/inference/protocol/ohttp/chunked.ts')>(
      `${inference}/protocol/ohttp/chunked`,
    ),
    built<typeof import('../../../infra/inference/protocol/padding.ts')>(`${inference}/protocol/padding`),
    built<typeof import('../../../infra/inference/tokens/blindRsa/keys.ts')>(
      `${inference}/tokens/blindRsa/keys`,
    ),
    built<typeof import('../../../infra/inference/tokens/privacyPass/token.ts')>(
      `${inference}/tokens/privacyPass/token`,
    ),
    built<typeof import('../../../infra/inference/tokens/privacyPass/tokenChallenge.ts')>(
      `${inference}/tokens/privacyPass/tokenChallenge`,
    ),
  ])
  const { publicKey, privateKey } = await keys.generateTokenKey()
  const challenge = challenges.gatewayChallenge({ issuer: names.mint, gateway: names.gateway })
  const challengeDigest = challenges.challengeDigest(challenge)
  const issuer = await serve((_request, response) =>
    response.end(
      JSON.stringify({
        'token-keys': [
          {
            'token-type': tokens.TOKEN_TYPE,
            'token-key': Buffer.from(publicKey.spki).toString('base64url'),
            'not-after': 4e9,
          },
        ],
      }),
    ),
  )
  const signing = { key: privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 48 }
  /** Payments of four tokens. */
  const paid: Uint8Array[][] = []
  const batches = new Map<string, Buffer[]>()
  const innerLength = sizes.sealedRequestLength(2_048)

  /** A token as its issuer would sign it: unblinded is blinded for whoever redeems it. */
  async function makeToken(): Promise<Uint8Array> {
    const input = { nonce: randomBytes(32), challengeDigest, tokenKeyId: publicKey.id }
    const authenticator = await signAsync('sha384', tokens.encodeAuthenticatorInput(input), signing)
    return tokens.encodeToken({ ...input, authenticator })
  }

  async function seal(batch: Batch): Promise<void> {
    const { gateway } = batch
    const directory =
      gateway === undefined
        ? undefined
        : await directories.readDirectory(await (await fetch(`${gateway.url}/directory`)).text(), {
            name: names.gateway,
            identity: identities.readIdentity(gateway.identity),
          })
    const of = (text: string) => new Uint8Array(Buffer.from(text, 'base64'))
    const key =
      directory === undefined
        ? undefined
        : await descriptions.sealingKey(hpke.nodeHpke, of(directory.directory.keys))
    const changeKey = of(directory?.directory.changeKeys.at(-1)?.key ?? '')
    const changeKeyId = createHash('sha256').update(changeKey).digest()[31] ?? 0
    /** Any number below the modulus is a blinded message to whoever signs it. */
    const changeRequest = () => {
      const message = randomBytes(payments.tokenRequestLength)
      message.set([0, tokens.TOKEN_TYPE, changeKeyId, 0])
      return message
    }
    const sealed: Buffer[] = []
    for (let index = 0; index < batch.count; index += 1) {
      const innerRequest = randomBytes(innerLength)
      innerRequest[0] = batch.order
      const content = payFor(batch.from + index, innerRequest, changeRequest)
      const request = bhttp.encodeRequest({
        method: 'POST',
        scheme: 'https',
        authority: '',
        path: routes.gatewayResources.infer,
        headers: [
          ['content-type', routes.mediaTypes.paidRequest],
          [routes.headers.node, names.node],
          [routes.headers.model, models.priced.id],
        ],
        content,
        trailers: [],
      })
      const padded = padding.padRequest(request)
      if (key === undefined) {
        // Of the same length as if it were sealed, with the payment in front.
        const opened = randomBytes(sizes.sealedRequestLength(padded.length))
        opened.set(content)
        sealed.push(rawPost(batch.path, OHTTP_REQUEST, opened))
      } else {
        const { sealer } = await chunked.sealChunkedRequest(key)
        sealed.push(rawPost(batch.path, OHTTP_REQUEST, await sealer.end(padded)))
      }
    }
    batches.set(batch.name, sealed)
  }

  function payFor(index: number, innerRequest: Uint8Array, changeRequest: () => Uint8Array): Uint8Array {
    const payment = paid[index]
    if (payment === undefined) throw new InvariantError('The bench has made too few tokens.')
    return payments.encodePaidRequest({
      tokens: payment,
      changeRequests: payment.map(changeRequest),
      innerRequest,
    })
  }

  const groups = new Map<string, { readonly sockets: Socket[]; received: number }>()

  return {
    url: issuer.url,
    calls: {
      mintKey: async () => publicKey.spki,
      /** Where the request to a node lies in what is paid with the first payment. */
      async inner() {
        const innerRequest = new Uint8Array(innerLength)
        const whole = payFor(0, innerRequest, () => new Uint8Array(payments.tokenRequestLength))
        return { at: whole.length - innerLength, length: innerLength }
      },

      /** Makes payments until there are so many. */
      async pay(count: number) {
        while (paid.length < count) {
          const group = Math.min(64, count - paid.length)
          paid.push(
            ...(await Promise.all(
              Array.from({ length: group }, () =>
                Promise.all(Array.from({ length: completion.paid }, makeToken)),
              ),
            )),
          )
        }
      },
      seal,

      /** Sends the next of a batch over so many connections. @returns milliseconds */
      async send(given: { batch: string; url: string; count: number; connections: number }) {
        const { batch, url, count, connections } = given
        const requests = batches.get(batch)?.splice(0, count) ?? []
        if (requests.length < count)
          throw new InvariantError('The bench has sealed too few requests.', { batch })
        const next = requests.values()
        const began = performance.now()
        const refused = await Promise.all(Array.from({ length: connections }, () => exchange(url, next)))
        const elapsed = performance.now() - began
        const lost = refused.reduce((sum, each) => sum + each, 0)
        if (lost > 0) throw new InvariantError('Requests of the bench were refused.', { batch, lost, count })
        return elapsed
      },

      /** The same request again and again, which only a relay or a proxy lets pass. @returns milliseconds */
      async repeat(given: { url: string; path: string; length: number; count: number; connections: number }) {
        const { url, path, length, count, connections } = given
        const request = rawPost(path, OHTTP_REQUEST, randomBytes(length))
        const next = Array.from({ length: count }, () => request).values()
        const began = performance.now()
        const refused = await Promise.all(Array.from({ length: connections }, () => exchange(url, next)))
        const elapsed = performance.now() - began
        if (refused.some((each) => each > 0)) throw new InvariantError('Requests of the bench were refused.')
        return elapsed
      },

      /**
       * Sends all of a batch, each over a connection of its own, and reads the answers: all of them at once, or so
       * many bytes now and then, or none.
       */
      async read(given: { batch: string; url: string; rests: number | 'for ever' | 'never' }) {
        const { batch, url, rests } = given
        const group = { sockets: [] as Socket[], received: 0 }
        groups.set(batch, group)
        for (const request of batches.get(batch) ?? []) {
          const socket = await open(url)
          group.sockets.push(socket)
          const begun = new Promise<void>((resolve) => {
            socket.on('data', (bytes) => {
              group.received += bytes.length
              resolve()
              if (rests === 'never') return
              socket.pause()
              if (rests !== 'for ever') setTimeout(() => socket.resume(), rests)
            })
          })
          // What is cut off is counted by who cuts it.
          socket.on('error', () => undefined)
          socket.write(request)
          await begun
        }
      },
      /** Bytes that the readers of a batch have received so far. */
      received: async (batch: string) => groups.get(batch)?.received ?? 0,
      async hangUp() {
        for (const { sockets } of groups.values()) for (const socket of sockets) socket.destroy()
      },
    },
    close: () => issuer.close(),
  }
}
