import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { decodeRequest, decodeResponse } from './bhttp/decode.ts'
import { concatBytes } from './binary/bytes.ts'
import { CellUnpacker } from './cells.ts'
import { fromHex, toHex } from './hex.fixture.ts'
import { nodeHpke } from './hpke/nodeHpke.ts'
import { webHpke } from './hpke/webHpke.ts'
import { openChunkedRequest, openChunkedResponse } from './ohttp/chunked.ts'
import { decapsulateRequest } from './ohttp/encapsulate.ts'
import { decodeKeyConfigs } from './ohttp/keyConfig.ts'
import { createGatewayKey } from './ohttp/keys.ts'
import { buildVectors } from './testVectors.ts'

type Vectors = Awaited<ReturnType<typeof buildVectors>>
const vectors: Vectors = JSON.parse(readFileSync(new URL('./vectors.json', import.meta.url), 'utf8'))

describe('vectors.json', () => {
  // `npx vitest run infra/inference/protocol/vectors.test.ts -u` writes it anew.
  it('holds what is built', async () => {
    const built = `${JSON.stringify(await buildVectors(nodeHpke), undefined, 2)}\n`
    await expect(built).toMatchFileSnapshot('./vectors.json')
  })

  it('is the same on every platform', async () => {
    expect(await buildVectors(webHpke)).toEqual(vectors)
  })

  it('decodes to its own inputs', async () => {
    const { binaryHttp, keyConfigs, ohttp, chunkedOhttp } = vectors
    const request = decodeRequest(fromHex(binaryHttp.requestKnownLength))
    expect(toHex(request.content)).toBe(binaryHttp.request.content)
    expect(decodeRequest(fromHex(binaryHttp.requestKnownLengthTruncated))).toEqual(request)
    expect(decodeRequest(fromHex(binaryHttp.requestIndeterminateLength))).toEqual(request)
    const response = decodeResponse(fromHex(binaryHttp.responseKnownLength))
    expect(decodeResponse(fromHex(binaryHttp.responseStreamed))).toEqual(response)
    expect(decodeKeyConfigs(fromHex(keyConfigs.withASecond)).map(({ keyId }) => keyId)).toEqual([7, 8])

    const own = await createGatewayKey(
      nodeHpke,
      7,
      await nodeHpke.importPrivateKey(fromHex(keyConfigs.privateKey)),
    )
    const keys = new Map([[7, own]])
    const opened = await decapsulateRequest(keys, fromHex(ohttp.encapsulatedRequest))
    expect(opened.request.length).toBe(vectors.padding.paddedLength)
    expect(decodeRequest(opened.request)).toEqual(request)

    const opener = openChunkedRequest(keys)
    await opener.push(fromHex(chunkedOhttp.encapsulatedRequest))
    expect(decodeRequest(await opener.end())).toEqual(request)
    const exchange = opener.opened?.exchange
    if (exchange === undefined) throw new TypeError('the request was opened')
    const stream = openChunkedResponse(exchange)
    const cells = await stream.push(fromHex(chunkedOhttp.encapsulatedResponse))
    expect(toHex(await stream.end())).toBe('')
    const unpacker = new CellUnpacker(vectors.cells.size)
    expect(decodeResponse(concatBytes(...cells.flatMap((cell) => unpacker.push(cell))))).toEqual(response)
  })
})
