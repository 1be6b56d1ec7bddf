import { randomBytes } from 'node:crypto'
import { writeSync } from 'node:fs'
import { readPrivateKey } from '../blindRsa/keys.ts'
import { decodeTokenRequest, encodeTokenResponse, issueToken } from '../privacyPass/issuance.ts'
import { gatewayChallenge } from '../privacyPass/tokenChallenge.ts'
import { openWallet, type WalletIssuer } from './openWallet.ts'

/*
 * A process for `wallet.test.ts` that buys four tokens and spends one, over and over, until it is killed:
 *
 *     node --import tsx testSpender.ts <path> <seed> <mint's key> <gateway's key>
 */

const [path = '', seed = '', ...keys] = process.argv.slice(2)
const [mintKeys, changeKeys] = keys.map((key) => readPrivateKey(Buffer.from(key, 'base64')))
if (mintKeys === undefined || changeKeys === undefined) process.exit(2)
const issuer = (name: string, { publicKey }: typeof mintKeys): WalletIssuer => ({
  publicKey,
  challenge: gatewayChallenge({ issuer: name, gateway: 'gateway.example' }),
})
const mint = issuer('mint.example', mintKeys)
const change = issuer('gateway.example', changeKeys)
const wallet = await openWallet({ path, secret: { kind: 'seed', seed: Buffer.from(seed, 'hex') } })
const sign = (pair: typeof mintKeys, request: Uint8Array) =>
  encodeTokenResponse(issueToken([pair], decodeTokenRequest(request)))

for (;;) {
  const requests = await wallet.request(mint, 4)
  writeSync(1, 'requested\n')
  await wallet.receive(
    mint,
    requests.map(({ counter, request }) => ({ counter, response: sign(mintKeys, request) })),
  )
  writeSync(1, 'bought\n')
  const spend = await wallet.spend({
    issuers: [change, mint],
    count: 4,
    innerRequestHash: randomBytes(32),
    change,
  })
  writeSync(1, 'spending\n')
  await wallet.settle(
    spend.id,
    spend.changeRequests.slice(0, 3).map((request) => sign(changeKeys, request)),
  )
  writeSync(1, 'spent\n')
}
