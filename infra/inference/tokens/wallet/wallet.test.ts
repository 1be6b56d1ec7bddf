import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { open as openFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { entryPoint } from '../../../process/entryPoint.ts'
import { exportPrivateKey, generateTokenKey, type TokenKeyPair } from '../blindRsa/keys.ts'
import { toHex } from '../bytes.ts'
import { changeDigest } from '../change/changeDigest.ts'
import { signChange } from '../change/signChange.ts'
import { bindSpend } from '../change/spend.ts'
import { TokenError } from '../errors.ts'
import { memoryNullifiers } from '../nullifiers/memoryNullifiers.ts'
import { decodeTokenRequest, encodeTokenResponse, issueToken } from '../privacyPass/issuance.ts'
import { createRedeemer } from '../privacyPass/redemption.ts'
import { gatewayChallenge } from '../privacyPass/tokenChallenge.ts'
import { openWallet, type Wallet, type WalletIssuer, type WalletSpend } from './openWallet.ts'

const [mintKeys, changeKeys] = await Promise.all([generateTokenKey(), generateTokenKey()])
const issuerOf = ({ publicKey }: TokenKeyPair, issuer: string): WalletIssuer => ({
  publicKey,
  challenge: gatewayChallenge({ issuer, gateway: 'gateway.example' }),
})
const mint = issuerOf(mintKeys, 'mint.example')
const change = issuerOf(changeKeys, 'gateway.example')
const seed = randomBytes(32)
const secret = { kind: 'seed', seed } as const
const code = (value: string) => expect.objectContaining({ code: value })
const sign = (keys: TokenKeyPair) => (request: Uint8Array) =>
  encodeTokenResponse(issueToken([keys], decodeTokenRequest(request)))

let folder: string
let path: string
const wallets: Wallet[] = []
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-wallet-'))
  path = join(folder, 'wallet')
})
afterEach(async () => {
  for (const wallet of wallets.splice(0)) await wallet.close()
  rmSync(folder, { recursive: true, force: true })
})

async function open(parameters: Partial<Parameters<typeof openWallet>[0]> = {}): Promise<Wallet> {
  const wallet = await openWallet({ path, secret, scryptCost: 2 ** 10, patience: 0, ...parameters })
  wallets.push(wallet)
  return wallet
}

async function close(wallet: Wallet): Promise<void> {
  wallets.splice(wallets.indexOf(wallet), 1)
  await wallet.close()
}

async function buy(wallet: Wallet, count: number, issuer = mint, keys = mintKeys): Promise<void> {
  const requests = await wallet.request(issuer, count)
  await wallet.receive(
    issuer,
    requests.map(({ counter, request }) => ({ counter, response: sign(keys)(request) })),
  )
}

const spending = (count: number) => ({
  issuers: [change, mint],
  count,
  innerRequestHash: randomBytes(32),
  change,
})

/** A gateway that charges `used` tokens for everything. */
function createGateway(used: number) {
  const store = memoryNullifiers()
  const redeem = createRedeemer([mint, change])
  return {
    async pay({ tokens, changeRequests, innerRequestHash }: WalletSpend): Promise<readonly Uint8Array[]> {
      const requests = changeRequests.map(decodeTokenRequest)
      const spend = {
        nullifiers: tokens.map((token) => redeem(token).nullifier),
        binding: bindSpend({
          innerRequestHash,
          blindedMessages: requests.map((each) => each.blindedMessage),
        }),
      }
      await store.reserve(spend)
      const due = tokens.length - used
      await store.settle(
        spend,
        due,
        requests.slice(0, due).map((each) => changeDigest(each.blindedMessage)),
      )
      return signChange({ keys: [changeKeys], requests, paid: tokens.length, due }).map(encodeTokenResponse)
    },
    isSpent: store.isSpent,
  }
}

describe('a wallet', () => {
  it('buys, spends and takes change until nothing is left', async () => {
    const wallet = await open()
    await buy(wallet, 4)
    const gateway = createGateway(1)
    for (let left = 4; left > 0; left--) {
      const spend = await wallet.spend(spending(left))
      expect(await wallet.settle(spend.id, await gateway.pay(spend))).toBe(left - 1)
      expect(wallet.balance(change).ready).toBe(left - 1)
    }
    expect(wallet.balance(mint)).toEqual({ requested: 0, ready: 0, spending: 0, spent: 4 })
    await expect(wallet.spend(spending(1))).rejects.toThrow(code('WALLET_EMPTY'))
  })

  it('pays with tokens of several issuers together', async () => {
    const wallet = await open()
    await buy(wallet, 2)
    await buy(wallet, 2, change, changeKeys)
    const spend = await wallet.spend(spending(3))
    expect(await createGateway(3).pay(spend)).toEqual([])
    expect([wallet.balance(change).spending, wallet.balance(mint).spending]).toEqual([2, 1])
  })

  it('never gives one token to two spends at once', async () => {
    const wallet = await open()
    await buy(wallet, 20)
    const spends = await Promise.all(Array.from({ length: 20 }, () => wallet.spend(spending(1))))
    expect(new Set(spends.flatMap(({ tokens }) => tokens.map(toHex))).size).toBe(20)
    expect(new Set(spends.flatMap((each) => each.changeRequests.map(toHex))).size).toBe(20)
    await expect(wallet.spend(spending(1))).rejects.toThrow(code('WALLET_EMPTY'))
  })

  it('puts the tokens of a spend back that never left, and never uses its change requests again', async () => {
    const wallet = await open()
    await buy(wallet, 4)
    const first = await wallet.spend(spending(4))
    await wallet.release(first.id)
    expect(wallet.balance(mint).ready).toBe(4)
    const second = await wallet.spend(spending(4))
    expect(new Set(second.tokens.map(toHex))).toEqual(new Set(first.tokens.map(toHex)))
    for (const request of second.changeRequests) expect(first.changeRequests).not.toContainEqual(request)
    await expect(wallet.release(first.id)).rejects.toThrow(code('WALLET_STATE'))
    await expect(wallet.settle(first.id, [])).rejects.toThrow(code('WALLET_STATE'))
  })

  it('takes no answer that is not the signature, and stays as it was', async () => {
    const wallet = await open()
    const requests = await wallet.request(mint, 2)
    const responses = requests.map(({ counter, request }) => ({ counter, response: sign(mintKeys)(request) }))
    const [first, second] = responses
    if (first === undefined || second === undefined) expect.unreachable()
    const swapped = [
      { counter: first.counter, response: second.response },
      { counter: second.counter, response: first.response },
    ]
    await expect(wallet.receive(mint, swapped)).rejects.toThrow(code('TOKEN_SIGNATURE'))
    await expect(wallet.receive(mint, [first, first])).rejects.toThrow(code('WALLET_STATE'))
    await expect(wallet.receive(mint, [{ ...first, counter: 9 }])).rejects.toThrow(code('WALLET_STATE'))
    await expect(wallet.receive(change, [first])).rejects.toThrow(code('WALLET_STATE'))
    expect(wallet.balance(mint)).toMatchObject({ requested: 2, ready: 0 })
    await wallet.receive(mint, responses)
    await expect(wallet.receive(mint, responses)).rejects.toThrow(code('WALLET_STATE'))
    expect(wallet.balance(mint).ready).toBe(2)
  })

  it('gives up what the issuer refuses, and does not ask for it again', async () => {
    const wallet = await open()
    const before = await wallet.request(mint, 2)
    await wallet.abandon(mint, [0, 1])
    expect(wallet.pending(mint)).toEqual([])
    for (const { request } of await wallet.request(mint, 2))
      expect(before.map((each) => each.request)).not.toContainEqual(request)
  })

  it('blinds ahead of time what it then asks for', async () => {
    const wallet = await open()
    await buy(wallet, 1)
    wallet.prepare(mint, 3)
    const prepared = await wallet.request(mint, 3)
    expect(wallet.pending(mint)).toEqual(prepared)
  })
})

describe("a wallet's file", () => {
  it('brings every state back when it is opened again', async () => {
    const first = await open()
    await buy(first, 6)
    const requests = await first.request(mint, 2)
    const spend = await first.spend(spending(4))
    await close(first)
    const second = await open()
    expect(second.balance(mint)).toEqual({ requested: 2, ready: 2, spending: 4, spent: 0 })
    expect(second.pending(mint)).toEqual(requests)
    expect(second.unsettled()).toEqual([spend])
    const [again] = second.unsettled()
    if (again === undefined) expect.unreachable()
    expect(await second.settle(again.id, await createGateway(1).pay(again))).toBe(3)
    await close(second)
    const third = await open()
    expect(third.balance(mint)).toEqual({ requested: 2, ready: 2, spending: 0, spent: 4 })
    expect(third.balance(change)).toEqual({ requested: 0, ready: 3, spending: 0, spent: 0 })
    expect(third.unsettled()).toEqual([])
  })

  it('opens with the passphrase that it was made with, and with nothing else', async () => {
    const passphrase = { kind: 'passphrase', passphrase: 'correct horse' } as const
    const first = await open({ secret: passphrase })
    await buy(first, 1)
    const kept = first.exportSeed()
    await close(first)
    for (const wrong of [{ kind: 'passphrase', passphrase: 'wrong horse' } as const, secret])
      await expect(open({ secret: wrong })).rejects.toThrow(code('WALLET_SECRET'))
    const second = await open({ secret: passphrase })
    expect(second.exportSeed()).toEqual(kept)
    expect(second.balance(mint).ready).toBe(1)
  })

  it('opens with its own seed alone', async () => {
    await close(await open())
    await expect(open({ secret: { kind: 'seed', seed: randomBytes(32) } })).rejects.toThrow(
      code('WALLET_SECRET'),
    )
    await expect(open({ secret: { kind: 'seed', seed: randomBytes(16) } })).rejects.toThrow(
      code('TOKEN_FORMAT'),
    )
  })

  it('serves one process at a time', async () => {
    await open()
    await expect(open()).rejects.toThrow(code('LOG_LOCKED'))
  })

  it('holds nothing that can be read, and is readable by its owner alone', async () => {
    const wallet = await open({ secret: { kind: 'passphrase', passphrase: 'open sesame' }, seed })
    await buy(wallet, 2)
    const { tokens, innerRequestHash } = await wallet.spend(spending(1))
    const content = readFileSync(path)
    const nonce = tokens[0]?.slice(2, 34) ?? new Uint8Array()
    for (const hidden of [seed, nonce, innerRequestHash, mint.publicKey.id, Buffer.from('example')])
      for (const encoding of ['latin1', 'hex', 'base64'] as const)
        expect(content.toString('latin1')).not.toContain(Buffer.from(hidden).toString(encoding))
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it('drops a torn last line, at whichever byte, and refuses any other damage', async () => {
    const wallet = await open()
    await buy(wallet, 1)
    const whole = statSync(path).size
    await wallet.request(mint, 1)
    await close(wallet)
    const content = readFileSync(path)
    for (let cut = whole; cut < content.length; cut += 29) {
      writeFileSync(path, content.subarray(0, cut))
      const again = await open()
      expect(again.balance(mint)).toMatchObject({ ready: 1, requested: 0 })
      await close(again)
    }
    const [header = '', state = '', requested = '', ...more] = content.toString('utf8').split('\n')
    const edits: [string[], string][] = [
      [[header, state, ...more], 'LOG_CORRUPT'],
      [[header, requested, state, ...more], 'WALLET_SECRET'],
      [[header, state, requested, requested, ...more], 'LOG_CORRUPT'],
      [[header, state, requested.replace(/^..../, 'AAAA'), ...more], 'LOG_CORRUPT'],
      [[header.replace('"version":1', '"version":2'), state, requested, ...more], 'LOG_CORRUPT'],
      [[header, ''], 'LOG_CORRUPT'],
    ]
    for (const [lines, expected] of edits) {
      writeFileSync(path, lines.join('\n'))
      await expect(open()).rejects.toThrow(code(expected))
    }
  })

  it('hands out no token when the disk fails', async () => {
    let failing = false
    const failingOpen: typeof openFile = async (...parameters) => {
      const file = await openFile(...parameters)
      const datasync = file.datasync.bind(file)
      file.datasync = () =>
        failing
          ? Promise.reject(Object.assign(new RangeError('EIO: i/o error'), { code: 'EIO' }))
          : datasync()
      return file
    }
    const wallet = await open({ open: failingOpen })
    await buy(wallet, 4)
    failing = true
    await expect(wallet.spend(spending(1))).rejects.toThrow(code('LOG_UNWRITABLE'))
    await expect(wallet.request(mint, 1)).rejects.toThrow(code('LOG_UNWRITABLE'))
    failing = false
    await expect(wallet.spend(spending(1))).rejects.toThrow(code('LOG_UNWRITABLE'))
    await close(wallet)
    expect((await open()).balance(mint).spent).toBe(0)
  })

  it('encrypts with a new key at each opening', async () => {
    await close(await open())
    const first = readFileSync(path, 'utf8')
    await close(await open())
    const second = readFileSync(path, 'utf8')
    expect(first.split('\n')[0]).not.toBe(second.split('\n')[0])
    expect(first.split('\n')[1]).not.toBe(second.split('\n')[1])
  })

  it('loses no token and uses none twice across kill -9', async () => {
    const gateway = createGateway(1)
    const keys = [mintKeys, changeKeys].map((each) => Buffer.from(exportPrivateKey(each)).toString('base64'))
    let bought = 0
    let spent = 0
    for (let round = 0; round < 3; round++) {
      const { path: entry, execArgv } = entryPoint(import.meta.url, './testSpender')
      const child = spawn(process.execPath, [...execArgv, entry, path, seed.toString('hex'), ...keys], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = once(child, 'close')
      let lines = 0
      createInterface({ input: child.stdout }).on('line', (line) => {
        if (line === 'bought') bought += 4
        if (line === 'spent') spent += 1
        lines += 1
        if (lines === 20 + round * 11) child.kill('SIGKILL')
      })
      expect((await ended)[1]).toBe('SIGKILL')
    }
    const wallet = await open()
    for (const { counter, request } of wallet.pending(mint))
      await wallet.receive(mint, [{ counter, response: sign(mintKeys)(request) }])
    for (const spend of wallet.unsettled()) await wallet.settle(spend.id, await gateway.pay(spend))
    const [of, back] = [wallet.balance(mint), wallet.balance(change)]
    expect(of.ready + of.spent).toBeGreaterThanOrEqual(bought)
    expect((of.ready + of.spent) % 4).toBe(0)
    // Each spend, settled before or after the crash, took four tokens in and gave three back.
    const spends = (of.spent + back.spent) / 4
    expect(back.ready + back.spent).toBe(spends * 3)
    expect(spends).toBeGreaterThanOrEqual(spent)
    expect([of.requested, of.spending, back.requested, back.spending]).toEqual([0, 0, 0, 0])
    const rest = await wallet.spend({ ...spending(1), count: of.ready + back.ready })
    expect(new Set(rest.tokens.map(toHex)).size).toBe(of.ready + back.ready)
    await gateway.pay(rest)
  })
})

describe('recovery', () => {
  it('finds from the seed what was bought, and what of it is spent', async () => {
    const lost = await open()
    await buy(lost, 6)
    await lost.request(mint, 1)
    await lost.abandon(mint, [6])
    await buy(lost, 1)
    const gateway = createGateway(1)
    const spend = await lost.spend(spending(4))
    const signatures = await gateway.pay(spend)
    await lost.settle(spend.id, signatures)
    await close(lost)
    rmSync(path)

    const found = await open()
    // The mint signs again what it signed before; the abandoned one it never did.
    const never = toHex((await requestsOf(7))[6] ?? new Uint8Array())
    const limit = new Set((await requestsOf(8)).map(toHex))
    const reissue = async (request: Uint8Array) =>
      limit.has(toHex(request)) && toHex(request) !== never ? sign(mintKeys)(request) : null
    expect(await found.recover(mint, { reissue, isSpent: gateway.isSpent, gap: 3 })).toBe(3)
    expect(found.balance(mint)).toEqual({ requested: 0, ready: 3, spending: 0, spent: 4 })

    const changed = new Map(spend.changeRequests.map((each, at) => [toHex(each), signatures[at] ?? null]))
    const fromGateway = async (request: Uint8Array) => changed.get(toHex(request)) ?? null
    expect(await found.recover(change, { reissue: fromGateway, isSpent: gateway.isSpent })).toBe(3)
    expect(found.balance(change)).toMatchObject({ ready: 3, spent: 0 })
    for (const token of (await found.spend({ ...spending(6) })).tokens) createRedeemer([mint, change])(token)
    const [next] = await found.request(mint, 1)
    expect(next?.counter).toBe(8)
  })

  it('changes nothing when its source fails', async () => {
    const wallet = await open()
    const failing = {
      reissue: async (request: Uint8Array) => sign(mintKeys)(request),
      isSpent: () => Promise.reject(new TokenError('LOG_UNWRITABLE', 'The store is down.')),
    }
    await expect(wallet.recover(mint, failing)).rejects.toThrow(code('LOG_UNWRITABLE'))
    expect(wallet.balance(mint)).toEqual({ requested: 0, ready: 0, spending: 0, spent: 0 })
    const [first] = await wallet.request(mint, 1)
    expect(first?.counter).toBe(0)
  })

  /** What the seed asks the mint for, from the first counter on. */
  async function requestsOf(count: number): Promise<readonly Uint8Array[]> {
    const other = await openWallet({ path: join(folder, 'other'), secret })
    const requests = await other.request(mint, count)
    await other.close()
    rmSync(join(folder, 'other'))
    return requests.map(({ request }) => request)
  }
})
