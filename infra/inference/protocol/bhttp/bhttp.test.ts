import { readFileSync } from 'node:fs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { RialtoError } from '../../../../runtime/core/errors.ts'
import { sampleFile } from '../../../../test/sampleData.ts'
import { concatBytes, noBytes } from '../binary/bytes.ts'
import {
  MalformedMessageError,
  MessageTooLargeError,
  TruncatedMessageError,
  UnencodableMessageError,
} from '../errors.ts'
import { cutAt, flipBit, fromHex, toHex, utf8 } from '../hex.fixture.ts'
import { decodeRequest, decodeResponse } from './decode.ts'
import { BinaryHttpDecoder } from './decoder.ts'
import {
  encodeContent,
  encodeEnd,
  encodeRequest,
  encodeRequestHead,
  encodeResponse,
  encodeResponseHead,
} from './encode.ts'
import type { BinaryRequest, BinaryResponse, Field } from './message.ts'

// RFC 9292, section 5.1.
const rfcRequest: BinaryRequest = {
  method: 'GET',
  scheme: 'https',
  authority: '',
  path: '/hello.txt',
  headers: [
    ['user-agent', 'curl/7.16.3 libcurl/7.16.3 OpenSSL/0.9.7l zlib/1.2.3'],
    ['host', 'www.example.com'],
    ['accept-language', 'en, mi'],
  ],
  content: noBytes,
  trailers: [],
}
const requestStart = '034745540568747470730 00a2f68656c6c6f2e747874'
const requestFields =
  '0a757365722d6167656e74346375726c2f372e31362e33206c69626375726c2f372e31362e33204f70656e53534c2f302e392e37' +
  '6c207a6c69622f312e322e3304686f73740f7777772e6578616d706c652e636f6d0f6163636570742d6c616e677561676506656e' +
  '2c206d69'
const knownRequest = `00${requestStart}406c${requestFields}0000`
const indeterminateRequest = `02${requestStart}${requestFields}00000000000000000000000000`

// RFC 9292, section 5.2: two informational responses, then the final one, of indeterminate length.
const rfcResponse: BinaryResponse = {
  informational: [
    { status: 102, headers: [['running', '"sleep 15"']] },
    {
      status: 103,
      headers: [
        ['link', '</style.css>; rel=preload; as=style'],
        ['link', '</script.js>; rel=preload; as=script'],
      ],
    },
  ],
  status: 200,
  headers: [
    ['date', 'Mon, 27 Jul 2009 12:28:53 GMT'],
    ['server', 'Apache'],
    ['last-modified', 'Wed, 22 Jul 2009 19:15:56 GMT'],
    ['etag', '"34aa387-d-1568eb00"'],
    ['accept-ranges', 'bytes'],
    ['content-length', '51'],
    ['vary', 'Accept-Encoding'],
    ['content-type', 'text/plain'],
  ],
  content: utf8('Hello World! My content includes a trailing CRLF.\r\n'),
  trailers: [],
}
const indeterminateResponse =
  '0340660772756e6e696e670a22736c65657020313522004067046c696e6b233c2f7374796c652e6373733e3b2072656c3d707265' +
  '6c6f61643b2061733d7374796c65046c696e6b243c2f7363726970742e6a733e3b2072656c3d7072656c6f61643b2061733d7363' +
  '726970740040c804646174651d4d6f6e2c203237204a756c20323030392031323a32383a353320474d5406736572766572064170' +
  '616368650d6c6173742d6d6f6469666965641d5765642c203232204a756c20323030392031393a31353a353620474d5404657461' +
  '671422333461613338372d642d3135363865623030220d6163636570742d72616e6765730562797465730e636f6e74656e742d6c' +
  '656e677468023531047661727 90f4163636570742d456e636f64696e670c636f6e74656e742d747970650a746578742f706c6169' +
  '6e003348656c6c6f20576f726c6421204d7920636f6e74656e7420696e636c75646573206120747261696c696e672043524c462e' +
  '0d0a0000'
// RFC 9292, section 5.2: known length, with a trailer.
const knownResponse =
  '0140c8001d5468697320636f6e74656e7420636f6e7461696e732043524c462e0d0a0d07747261696c65720474657874'
const rfcTrailerResponse: BinaryResponse = {
  informational: [],
  status: 200,
  headers: [],
  content: utf8('This content contains CRLF.\r\n'),
  trailers: [['trailer', 'text']],
}

describe('the examples of RFC 9292, section 5', () => {
  it('a request of known length', () => {
    expect(toHex(encodeRequest(rfcRequest))).toBe(toHex(fromHex(knownRequest)))
    expect(decodeRequest(fromHex(knownRequest))).toEqual(rfcRequest)
  })

  it('a request of indeterminate length, with 10 bytes of padding', () => {
    const message = encodeRequest(rfcRequest, { framing: 'indeterminate' })
    expect(toHex(concatBytes(message, new Uint8Array(10)))).toBe(toHex(fromHex(indeterminateRequest)))
    expect(decodeRequest(fromHex(indeterminateRequest))).toEqual(rfcRequest)
  })

  it('informational responses and a final one, of indeterminate length', () => {
    expect(toHex(encodeResponse(rfcResponse, { framing: 'indeterminate' }))).toBe(
      toHex(fromHex(indeterminateResponse)),
    )
    expect(decodeResponse(fromHex(indeterminateResponse))).toEqual(rfcResponse)
  })

  it('a response of known length with a trailer', () => {
    expect(toHex(encodeResponse(rfcTrailerResponse))).toBe(knownResponse)
    expect(decodeResponse(fromHex(knownResponse))).toEqual(rfcTrailerResponse)
  })
})

const vectors = sampleFile('conformance/bhttp-rfc9292.json')
describe.runIf(vectors.exists)(`published examples (${vectors.title})`, () => {
  it('decode', () => {
    const file: { vectors: { hex: string }[] } = JSON.parse(readFileSync(vectors.path, 'utf8'))
    for (const { hex } of file.vectors) {
      const bytes = fromHex(hex)
      expect((bytes[0] ?? 0) % 2 === 0 ? decodeRequest(bytes) : decodeResponse(bytes)).toBeDefined()
    }
  })
})

const name = fc.stringMatching(/^[!#$%&'*+\-.^_`|~0-9a-z]{1,12}$/)
const value = fc
  .string({
    unit: fc.integer({ min: 0x20, max: 0xff }).map((code) => String.fromCharCode(code)),
    maxLength: 40,
  })
  .map((text) => text.replaceAll(/^[ \t]+|[ \t]+$/g, ''))
const fields = fc.array(fc.tuple(name, value), { maxLength: 5 }) as fc.Arbitrary<Field[]>
const content = fc.uint8Array({ maxLength: 300 })
const requests: fc.Arbitrary<BinaryRequest> = fc.record({
  method: fc.constantFrom('GET', 'POST', 'PUT'),
  scheme: fc.constantFrom('https', 'http'),
  authority: fc.constantFrom('', 'example.com:8443'),
  path: fc.stringMatching(/^\/[!-~]{0,20}$/),
  headers: fields,
  content,
  trailers: fields,
})
const responses: fc.Arbitrary<BinaryResponse> = fc.record({
  informational: fc.array(fc.record({ status: fc.integer({ min: 100, max: 199 }), headers: fields }), {
    maxLength: 2,
  }),
  status: fc.integer({ min: 200, max: 599 }),
  headers: fields,
  content,
  trailers: fields,
})
const options = fc.record({
  framing: fc.constantFrom('known' as const, 'indeterminate' as const),
  truncate: fc.boolean(),
})

/** Decodes it in pieces, as a stream would. */
function decodeInPieces(kind: 'request' | 'response', pieces: readonly Uint8Array[]) {
  const decoder = new BinaryHttpDecoder(kind)
  const events = [...pieces.flatMap((piece) => decoder.push(piece)), ...decoder.end()]
  return {
    heads: events.filter((event) => event.type !== 'content'),
    content: concatBytes(...events.flatMap((event) => (event.type === 'content' ? [event.bytes] : []))),
  }
}

describe('round trips', () => {
  it('requests and responses, with padding, cut anywhere', () => {
    const cuts = fc.array(fc.nat())
    fc.assert(
      fc.property(
        requests,
        responses,
        options,
        fc.nat({ max: 40 }),
        cuts,
        (request, response, how, padding, places) => {
          const pad = new Uint8Array(padding)
          const asked = concatBytes(encodeRequest(request, how), pad)
          const answered = concatBytes(encodeResponse(response, how), pad)
          expect(decodeRequest(asked)).toEqual(request)
          expect(decodeResponse(answered)).toEqual(response)
          for (const [kind, whole] of [
            ['request', asked],
            ['response', answered],
          ] as const) {
            expect(decodeInPieces(kind, cutAt(whole, places))).toEqual(decodeInPieces(kind, [whole]))
          }
        },
      ),
    )
  })

  it('streamed messages decode like whole ones', () => {
    fc.assert(
      fc.property(requests, responses, (request, response) => {
        const stream = (head: Uint8Array, { content, trailers }: BinaryRequest | BinaryResponse) =>
          concatBytes(
            head,
            encodeContent(content.subarray(0, 7)),
            encodeContent(content.subarray(7)),
            encodeEnd(trailers),
          )
        expect(decodeRequest(stream(encodeRequestHead(request), request))).toEqual(request)
        expect(decodeResponse(stream(encodeResponseHead(response), response))).toEqual(response)
      }),
    )
  })

  it('names are written in lower case', () => {
    const message = encodeRequest({ ...rfcRequest, headers: [['Content-Type', 'A']] })
    expect(decodeRequest(message).headers).toEqual([['content-type', 'A']])
  })

  it('gives content before the message is over, and the end only then', () => {
    const decoder = new BinaryHttpDecoder('response')
    expect(decoder.push(encodeResponseHead({ informational: [], status: 200, headers: [] }))).toEqual([
      { type: 'response', status: 200, headers: [] },
    ])
    expect(decoder.push(fromHex('05 6865'))).toEqual([{ type: 'content', bytes: utf8('he') }])
    expect(decoder.push(utf8('llo'))).toEqual([{ type: 'content', bytes: utf8('llo') }])
    expect(decoder.push(encodeEnd([['usage', '3']]))).toEqual([])
    expect(decoder.end()).toEqual([{ type: 'end', trailers: [['usage', '3']] }])
  })
})

describe('truncation (RFC 9292, section 3.8)', () => {
  it('a known-length message may end before a section and nowhere else', () => {
    const whole = encodeRequest({ ...rfcRequest, content: noBytes })
    const ends = [...whole.keys()].filter((length) => {
      try {
        decodeRequest(whole.subarray(0, length))
        return true
      } catch (error) {
        expect(error).toBeInstanceOf(TruncatedMessageError)
        return false
      }
    })
    const controlEnd = fromHex(`00${requestStart}`).length
    // Before the headers (which then are none), before the content, before the trailers.
    expect(ends).toEqual([controlEnd, whole.length - 2, whole.length - 1])
  })

  it('of indeterminate length, likewise: content that began must end', () => {
    const whole = encodeResponse(
      { ...rfcTrailerResponse, headers: [['a', 'b']] },
      { framing: 'indeterminate' },
    )
    const ends = [...whole.keys()].filter((length) => {
      try {
        decodeResponse(whole.subarray(0, length))
        return true
      } catch (error) {
        expect(error).toBeInstanceOf(TruncatedMessageError)
        return false
      }
    })
    const contentEnd = whole.length - fromHex('07747261696c6572 0474657874 00').length
    expect(ends).toEqual([3, 8, contentEnd])
  })

  it('an informational response is no answer', () => {
    expect(() => decodeResponse(fromHex('01 4066'))).toThrow(TruncatedMessageError)
    expect(() => decodeResponse(fromHex('01 4066 00'))).toThrow(TruncatedMessageError)
  })

  it('truncated messages can be padded', () => {
    const message = encodeRequest(rfcRequest, { truncate: true })
    expect(decodeRequest(concatBytes(message, new Uint8Array(100)))).toEqual(rfcRequest)
  })
})

describe('invalid messages', () => {
  const head = (headers: string, trailers = '00') => `01 40c8 ${headers} 00 ${trailers}`
  it.each([
    ['an unknown framing indicator', '04 00'],
    ['the wrong kind', `00${requestStart}`],
    ['a status below 100', '01 4063'],
    ['a status above 599', '01 4258'],
    ['padding that is not zero', `${knownResponse} 0001`],
    ['an empty field name', head('02 00 00')],
    ['a space in a field name', head('04 02 6120 00')],
    ['a field named like control data', head('0a 07 3a737461747573 01 31')],
    ['a pseudo-field behind a field', head('08 01 61 00 03 3a6261 00')],
    ['a pseudo-field in trailers', head('00', '05 03 3a6162 00')],
    ['a line feed in a value', head('04 01 61 01 0a')],
    ['a blank at the end of a value', head('05 01 61 02 6220')],
    ['a value that overruns its section', head('03 01 61 02 6262')],
  ])('%s', (_, hex) => {
    expect(() => decodeResponse(fromHex(hex))).toThrow(MalformedMessageError)
  })

  it('request control data', () => {
    const request = (control: string) => () => decodeRequest(fromHex(`00 ${control}`))
    expect(request('01 20 05 6874747073 00 01 2f')).toThrow('a method that is no token')
    expect(request('03 474554 05 6874747073 00 00')).toThrow('a path that does not begin with a slash')
    expect(request('03 474554 05 6874747073 03 614062 01 2f')).toThrow('user information')
    expect(request('03 474554 00 00 01 2f')).toThrow('a scheme that is none')
    expect(request('07 434f4e4e454354 00 00 00')).toThrow('a CONNECT without an authority')
    expect(request('07 434f4e4e454354 00 01 61 00')()).toMatchObject({ method: 'CONNECT', authority: 'a' })
    expect(request('07 4f5054494f4e53 05 6874747073 00 01 2a')()).toMatchObject({ path: '*' })
  })

  it('are not written either', () => {
    const encode = (change: Partial<BinaryRequest>) => () => encodeRequest({ ...rfcRequest, ...change })
    expect(encode({ method: 'A B' })).toThrow(UnencodableMessageError)
    expect(encode({ headers: [['a', 'b\r\nc: d']] })).toThrow(UnencodableMessageError)
    expect(encode({ headers: [['a', '€']] })).toThrow(UnencodableMessageError)
    expect(encode({ trailers: [[':x', 'b']] })).toThrow(UnencodableMessageError)
    expect(() => encodeResponse({ ...rfcResponse, status: 199 })).toThrow(UnencodableMessageError)
  })

  it('stay invalid: a decoder that failed fails again, and takes nothing behind its end', () => {
    const decoder = new BinaryHttpDecoder('response')
    expect(() => decoder.push(Uint8Array.of(9))).toThrow(MalformedMessageError)
    expect(() => decoder.push(fromHex(knownResponse))).toThrow('unknown framing indicator')
    expect(() => decoder.end()).toThrow('unknown framing indicator')
    const ended = new BinaryHttpDecoder('response')
    ended.push(fromHex(knownResponse))
    ended.end()
    expect(() => ended.push(Uint8Array.of(0))).toThrow('goes on behind its end')
  })

  it('name what is too large before it arrives', () => {
    const tooLarge = (hex: string, kind: 'request' | 'response' = 'response') =>
      expect(() =>
        new BinaryHttpDecoder(kind, { maxHeadBytes: 100, maxContentBytes: 50, maxPaddingBytes: 10 }).push(
          fromHex(hex),
        ),
      ).toThrow(MessageTooLargeError)
    tooLarge('00 4100', 'request')
    tooLarge('01 40c8 4064')
    tooLarge('01 40c8 00 33')
    tooLarge(`03 40c8 00 1e ${'00'.repeat(30)} 1e`)
    tooLarge(`01 40c8 00 00 00 ${'00'.repeat(11)}`)
    tooLarge('01 ffffffffffffffff')
    tooLarge(`01 ${'406600'.repeat(40)}`)
  })

  it('never crash or hang: truncated, changed or arbitrary bytes throw an error of ours or decode', () => {
    const decodeAny = (bytes: Uint8Array) => {
      for (const decode of [decodeRequest, decodeResponse]) {
        try {
          decode(bytes)
        } catch (error) {
          expect(error).toBeInstanceOf(RialtoError)
        }
      }
    }
    fc.assert(
      fc.property(
        requests,
        responses,
        options,
        fc.nat(),
        fc.uint8Array({ maxLength: 200 }),
        (asked, answered, how, at, junk) => {
          for (const bytes of [encodeRequest(asked, how), encodeResponse(answered, how)]) {
            decodeAny(bytes.subarray(0, at % bytes.length))
            decodeAny(flipBit(bytes, at % (bytes.length * 8)))
            decodeAny(concatBytes(bytes, junk))
          }
          decodeAny(junk)
          decodeAny(concatBytes(Uint8Array.of(at % 4), junk))
        },
      ),
      { numRuns: 500 },
    )
  })

  it('cost work in proportion to their bytes, however they are cut', () => {
    const request = {
      ...rfcRequest,
      headers: Array.from({ length: 2000 }, (_, i): Field => [`h${i}`, 'v'.repeat(20)]),
    }
    const bytes = encodeRequest(request, { framing: 'indeterminate' })
    const decoder = new BinaryHttpDecoder('request')
    const heads = [...bytes].flatMap((byte) => decoder.push(Uint8Array.of(byte)))
    expect(heads).toMatchObject([{ type: 'request', headers: { length: 2000 } }])
    const tiny = fromHex(`0340c800 ${'0141'.repeat(200_000)} 0000`)
    expect(decodeResponse(tiny).content.length).toBe(200_000)
  })
})
