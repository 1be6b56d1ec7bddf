import { createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { sign as signRandomly } from 'ox/Secp256k1'
import { toDerBytes } from 'ox/Signature'
import { type Hex, hexToBytes } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import { HALF_ORDER } from './checkSigned.ts'

/** A public key as OpenSSL has it, so that its encoding is not of our making. */
export function opensslKey(privateKey: Hex): KeyObject {
  const { publicKey } = privateKeyToAccount(privateKey)
  const [x = '', y = ''] = [publicKey.slice(4, 68), publicKey.slice(68)].map((hex) =>
    Buffer.from(hex, 'hex').toString('base64url'),
  )
  return createPublicKey({ key: { kty: 'EC', crv: 'secp256k1', x, y } as JsonWebKey, format: 'jwk' })
}

export const spkiOf = (key: KeyObject): Uint8Array =>
  new Uint8Array(key.export({ type: 'spki', format: 'der' }))

/** A signature over a digest, never the same twice, with the higher or the lower `s`. As a KMS makes it: in DER. */
export function derSignature(digest: Uint8Array, privateKey: Hex, high: boolean): Uint8Array {
  const { r, s } = signRandomly({ payload: digest, privateKey, extraEntropy: true })
  return toDerBytes({ r, s: high ? 2n * HALF_ORDER + 1n - s : s })
}

/** What the server was asked for, and how. */
type Asked = {
  readonly target: string
  readonly authorization: string
  readonly body: Readonly<Record<string, unknown>>
}
type Answer = (response: ServerResponse, asked: Asked) => unknown

/**
 * As much of AWS KMS as is used, over its JSON protocol (`TrentService`): it has one key, checks what it is asked for as
 * KMS does, and makes real signatures.
 */
export async function startKmsServer(privateKey: Hex) {
  const asked: Asked[] = []
  let answer: Answer | null = null
  const server = createServer(async (request, response) => {
    const one = await read(request)
    asked.push(one)
    if (answer !== null) return void (await answer(response, one))
    honest(response, one)
  })

  function honest(response: ServerResponse, one: Asked): void {
    const refusal = refusalOf(one)
    if (refusal !== null) fail(response, refusal)
    else if (one.target === 'TrentService.GetPublicKey')
      sayOk(response, { PublicKey: base64(spkiOf(opensslKey(privateKey))), KeySpec: 'ECC_SECG_P256K1' })
    // Half of what a KMS signs has the higher one.
    else
      sayOk(response, { Signature: base64(derSignature(digestOf(one), privateKey, asked.length % 2 === 0)) })
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    /** Has it answer otherwise; null: truly. */
    answerWith(next: Answer | null) {
      answer = next
      asked.length = 0
    },
    /** Ends what it has left unanswered. */
    hangUp: () => server.closeAllConnections(),
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

/** What KMS would say no with; null when it would answer. */
function refusalOf(asked: Asked): string | null {
  const { target, body, authorization } = asked
  if (!authorization.startsWith('AWS4-HMAC-SHA256 Credential=')) return 'MissingAuthenticationTokenException'
  if (body.KeyId !== 'alias/one') return 'NotFoundException'
  if (target === 'TrentService.GetPublicKey') return null
  if (target !== 'TrentService.Sign' || body.MessageType !== 'DIGEST') return 'ValidationException'
  if (digestOf(asked).length !== 32) return 'ValidationException'
  return body.SigningAlgorithm === 'ECDSA_SHA_256' ? null : 'InvalidKeyUsageException'
}

async function read(request: IncomingMessage): Promise<Asked> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const { 'x-amz-target': target, authorization } = request.headers
  return {
    target: String(target),
    authorization: authorization ?? '',
    body: chunks.length === 0 ? {} : JSON.parse(Buffer.concat(chunks).toString('utf8')),
  }
}

export const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64')
export const digestOf = ({ body }: Asked): Uint8Array =>
  hexToBytes(`0x${Buffer.from(String(body.Message), 'base64').toString('hex')}`)

const TYPE = { 'content-type': 'application/x-amz-json-1.1' }
export const sayOk = (response: ServerResponse, body: unknown): void =>
  void response.writeHead(200, TYPE).end(JSON.stringify(body))

/** An error as KMS says it. Its words hold what must not be passed on. */
export const fail = (response: ServerResponse, name: string, status = 400): void =>
  void response
    .writeHead(status, TYPE)
    .end(JSON.stringify({ __type: name, message: 'User: arn:aws:iam::123456789012:user/somebody' }))
