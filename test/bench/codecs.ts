import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core'
import { noBytes } from '../../infra/inference/protocol/binary/bytes.ts'
import { nodeHpke } from '../../infra/inference/protocol/hpke/nodeHpke.ts'
import { openChunkedRequest, sealChunkedRequest } from '../../infra/inference/protocol/ohttp/chunked.ts'
import { decapsulateRequest, encapsulateRequest } from '../../infra/inference/protocol/ohttp/encapsulate.ts'
import {
  createGatewayKey,
  createOhttpKey,
  type GatewayKeys,
  keyConfigOf,
  type OhttpKey,
} from '../../infra/inference/protocol/ohttp/keys.ts'
import { deriveResponseKeys, responseNonceLength } from '../../infra/inference/protocol/ohttp/responseKeys.ts'
import { type Result, result, summarise, timed } from './measure.ts'

/** Lengths in bytes: the smallest padded request, and a chunk of a few tokens. */
const REQUEST = 2048
const CHUNK = 256
/** Both sides take turns, so that what else the machine does falls on both alike. */
const ROUNDS = 30

/** A piece of work on either side, and how often it is done in one round. */
type Contest = {
  readonly name: string
  readonly times: number
  readonly ours: () => Promise<unknown>
  readonly theirs: () => Promise<unknown>
}

/**
 * The codecs of the private path, on `node:crypto`, as the roles run them.
 *
 * The peer is `@hpke/core` on this runtime's WebCrypto, which does the cryptography alone: the framing of
 * Oblivious HTTP is ours to pay.
 */
export async function benchCodecs(): Promise<Result[]> {
  const results: Result[] = []
  for (const { name, times, ours, theirs } of await contests()) {
    const turns = { ours: [] as number[], theirs: [] as number[] }
    for (let round = 0; round < ROUNDS; round += 1) {
      turns.ours.push(await timed(() => repeat(times, ours)))
      turns.theirs.push(await timed(() => repeat(times, theirs)))
    }
    // The first rounds warm up. Milliseconds of many to microseconds of one.
    const each = (rounds: readonly number[]) => (summarise(rounds.slice(ROUNDS / 3)).p50 / times) * 1_000
    const [mine, peer] = [each(turns.ours), each(turns.theirs)]
    results.push(result({ name, floor: '@hpke/core', unit: 'µs', ours: mine, theirs: peer }))
  }
  return results
}

async function repeat(times: number, work: () => Promise<unknown>): Promise<void> {
  for (let count = 0; count < times; count += 1) await work()
}

async function contests(): Promise<Contest[]> {
  const own = await createGatewayKey(nodeHpke, 1, await nodeHpke.generateKeyPair())
  const keys: GatewayKeys = new Map([[own.keyId, own]])
  const key = await createOhttpKey(nodeHpke, keyConfigOf(own))
  const peer = await createPeer()
  return [
    ...(await requestContests(key, keys, peer)),
    await responseKeysContest(key, peer),
    ...(await chunkContests(key, keys, peer)),
  ]
}

type Peer = Awaited<ReturnType<typeof createPeer>>

/** The same suite, with a key of its own. */
async function createPeer() {
  const suite = new CipherSuite({
    kem: new DhkemX25519HkdfSha256(),
    kdf: new HkdfSha256(),
    aead: new Aes128Gcm(),
  })
  const { publicKey, privateKey } = await suite.kem.generateKeyPair()
  const info = new Uint8Array(29).buffer
  return {
    suite,
    sender: () => suite.createSenderContext({ recipientPublicKey: publicKey, info }),
    recipient: (enc: ArrayBuffer) => suite.createRecipientContext({ recipientKey: privateKey, enc, info }),
  }
}

async function requestContests(key: OhttpKey, keys: GatewayKeys, peer: Peer): Promise<Contest[]> {
  const request = new Uint8Array(REQUEST)
  const { message } = await encapsulateRequest(key, request)
  const sender = await peer.sender()
  const sealed = await sender.seal(request.buffer)
  return [
    {
      name: 'encapsulate a request of 2 KiB',
      times: 50,
      ours: () => encapsulateRequest(key, request),
      theirs: async () => (await peer.sender()).seal(request.buffer),
    },
    {
      name: 'decapsulate a request of 2 KiB',
      times: 50,
      ours: () => decapsulateRequest(keys, message),
      theirs: async () => (await peer.recipient(sender.enc)).open(sealed),
    },
  ]
}

async function responseKeysContest(key: OhttpKey, peer: Peer): Promise<Contest> {
  const { exchange } = await encapsulateRequest(key, noBytes)
  const responseNonce = nodeHpke.randomBytes(responseNonceLength)
  const sender = await peer.sender()
  const { kdf } = peer.suite
  const bytes = (length: number) => new Uint8Array(length).buffer
  return {
    name: 'derive the keys of a response',
    times: 200,
    ours: () => deriveResponseKeys(exchange, responseNonce, 'chunked'),
    async theirs() {
      const secret = await sender.export(bytes(30), responseNonceLength)
      // It takes no salt but one as long as a hash; ours is longer by 16 bytes, which costs HMAC nothing.
      const prk = await kdf.extract(bytes(32), secret)
      await kdf.expand(prk, bytes(3), 16)
      await kdf.expand(prk, bytes(5), 12)
    },
  }
}

async function chunkContests(key: OhttpKey, keys: GatewayKeys, peer: Peer): Promise<Contest[]> {
  const times = 500
  const chunk = new Uint8Array(CHUNK)
  const { sealer } = await sealChunkedRequest(key)
  const sender = await peer.sender()

  // What is to be opened was sealed before the clock runs, each chunk for its place.
  const stream = await sealChunkedRequest(key)
  const opener = openChunkedRequest(keys, { maxMessageBytes: Number.MAX_SAFE_INTEGER })
  const peerStream = await peer.sender()
  const recipient = await peer.recipient(peerStream.enc)
  const framed: Uint8Array[] = []
  const sealed: ArrayBuffer[] = []
  for (let count = 0; count < times * ROUNDS; count += 1) {
    framed.push(await stream.sealer.seal(chunk))
    sealed.push(await peerStream.seal(chunk.buffer))
  }
  const ourChunks = framed.values()
  const theirChunks = sealed.values()
  return [
    {
      name: 'seal a chunk of 256 bytes',
      times,
      ours: () => sealer.seal(chunk),
      theirs: () => sender.seal(chunk.buffer),
    },
    {
      name: 'open a chunk of 256 bytes',
      times,
      ours: () => opener.push(ourChunks.next().value ?? noBytes),
      theirs: () => recipient.open(theirChunks.next().value ?? new ArrayBuffer()),
    },
  ]
}
