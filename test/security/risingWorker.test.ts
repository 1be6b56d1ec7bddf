import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Address } from 'viem'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { openLedger } from '../../infra/signer/ledger.ts'
import type { SignerAccount, Started } from '../../infra/signer/messages.ts'
import type { AttemptId } from '../../runtime/core/ids.ts'
import type { Plan } from '../../runtime/core/lifecycle.ts'
import type { SignRequest } from '../../runtime/core/ports.ts'
import { graduatedPolicies, policyOn, SECONDS_PER_DAY } from '../../runtime/guards/graduation.ts'
import type { Policy } from '../../runtime/guards/policy.ts'
import { encodeTransfer } from '../../runtime/protocols/erc20/encode.ts'
import { openRawSigner, type RawSigner } from '../conformance/rawSigner.ts'
import {
  dearer,
  book as devBook,
  GENESIS,
  honestCalls,
  names,
  policyOf,
  requestOf,
  STRANGER,
} from '../conformance/signerFixture.ts'
import { approvedBy, ask, inTime, MILLION, owners, why } from './workerScene.ts'

// A worker that was taken over, on a real chain, whose agent has earned nothing yet. It would act at once: by a clock
// that is wrong, by another policy's version, by starting the signer again, by calling itself a protector.

const CHAIN = 8_453
const book = { ...devBook, chainId: CHAIN }
const approvals = {
  personAboveUsd: 'none',
  owners: owners.map(({ address }) => address),
  threshold: 1,
  expirySeconds: 600,
}
const rising = policyOf({
  approvals,
  graduation: [
    { days: 0, mode: 'propose', partBps: 1_000 },
    { days: 7, mode: 'execute', partBps: 2_500 },
    { days: 30, mode: 'execute', partBps: 10_000 },
  ],
})
const [asking, quarter, whole] = graduatedPolicies(rising) as [Policy, Policy, Policy]
/** Without steps: it asks for good. */
const held = policyOf({ approvals })

let directory: string
let pipe: RawSigner
let account: Address
let heldAccount: Address

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'rialto-rising-'))
  const passphrase = 'a passphrase for this test'
  writeFileSync(join(directory, 'passphrase'), `${passphrase}\n`, { mode: 0o600 })
  const keystore = openKeystore(join(directory, 'keystore'), Buffer.from(passphrase))
  for (const [label, byte] of [
    ['rising', '22'],
    ['held', '33'],
  ] as const)
    keystore.store({ label, privateKey: `0x${byte.repeat(32)}`, cost: SCRYPT_COST.local })
  keystore.close()
  await open()
})
afterAll(async () => {
  await pipe.close()
  rmSync(directory, { recursive: true })
})

const agent = (label: string, policy: Policy): SignerAccount => ({
  label,
  key: { kind: 'stored' },
  policies: [policy],
})

/** Starts the signer's process for the folder, as its machine does, with the clock that it has. */
async function open(clockAhead = 0): Promise<void> {
  pipe = openRawSigner({ clockAhead })
  const { result, error } = await pipe.ask('start', {
    ...{ directory, chainId: CHAIN, genesisHash: GENESIS, book },
    passphrase: { kind: 'file', path: join(directory, 'passphrase') },
    accounts: [agent('rising', rising), agent('held', held)],
  })
  expect(error).toBeUndefined()
  const addressOf = (label: string) =>
    (result as Started).accounts.find((one) => one.label === label)?.address ?? expect.unreachable()
  account = addressOf('rising')
  heldAccount = addressOf('held')
}

async function restart(clockAhead = 0): Promise<void> {
  await pipe.close()
  await open(clockAhead)
}

/** A plan that is honest but for the policy that it is asked under. */
const under = (policy: Policy, changes: Partial<Plan> = {}, more: Partial<SignRequest> = {}) => {
  const of = changes.account ?? account
  return ask(
    of,
    { chainId: CHAIN, calls: honestCalls(of).withdraw, policyVersion: policy.version, ...changes },
    more,
  )
}
const sign = async (request: SignRequest) => why(await pipe.ask('sign', request))
const theft = () => under(quarter, { calls: [encodeTransfer(names.USDC, STRANGER, MILLION), inTime] })

const ledgerPath = () => join(directory, 'signer', 'ledger.jsonl')
const standingLines = () =>
  readFileSync(ledgerPath(), 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line).entry as { kind: string })
    .filter(({ kind }) => kind === 'standing')

/** As if the signer had run for so long: what it would have recorded. */
async function serve(days: bigint): Promise<void> {
  await pipe.close()
  const ledger = openLedger(ledgerPath(), { chainId: CHAIN, genesisHash: GENESIS })
  ledger.append({ kind: 'standing', account, seconds: days * SECONDS_PER_DAY, denial: null })
  ledger.close()
  await open()
}

describe('a worker that was taken over, on a real chain', { timeout: 60_000 }, () => {
  test('acts under no step on the first day, whoever approves it', async () => {
    for (const policy of [quarter, whole]) {
      const request = under(policy)
      const approval = await approvedBy(owners.slice(0, 1), request.plan, {
        expiresAt: BigInt(Math.floor(Date.now() / 1_000)) + 300n,
      })
      expect(await sign(request)).toBe('NOT_GRADUATED')
      expect(await sign({ ...request, approval })).toBe('NOT_GRADUATED')
    }
    expect((await pipe.ask('goodFor', { account })).result).toBeLessThan(60n)
    // The controls: it may ask, and empty a nonce.
    const asked = under(asking)
    expect(await sign(asked)).toBe('APPROVAL_MISSING')
    const approval = await approvedBy(owners.slice(0, 1), asked.plan, {
      expiresAt: BigInt(Math.floor(Date.now() / 1_000)) + 300n,
    })
    expect(await sign({ ...asked, approval })).toBe('SIGNED')
    expect(await sign(under(whole, { calls: [], gasLimit: 21_000n }))).toBe('SIGNED')
  })

  test('is a protector under the whole policy, which rescues and does nothing else', async () => {
    const fence = 'protector' as const
    for (const [of, policy] of [
      [account, whole],
      [heldAccount, held],
    ] as const) {
      const calls = honestCalls(of)
      expect(await sign(under(policy, { account: of, calls: calls.repay }, { fence }))).toBe('SIGNED')
      for (const kind of ['withdraw', 'borrow', 'swap', 'transfer'] as const)
        expect(await sign(under(policy, { account: of, calls: calls[kind] }, { fence }))).toBe(
          'TRADING_REDUCING',
        )
      // With a lease it is no protector.
      expect(await sign(under(policy, { account: of, calls: calls.repay }))).toBe('NOT_GRADUATED')
    }
  })

  test('rises by no clock: neither one that was put forward nor one that is put back again', async () => {
    await restart(400 * 86_400)
    expect(await sign(under(quarter))).toBe('NOT_GRADUATED')
    // What is signed carries the wrong date into the ledger.
    expect(await sign(under(whole, { calls: honestCalls(account).repay }, { fence: 'protector' }))).toBe(
      'SIGNED',
    )
    await restart()
    expect(await sign(under(quarter))).toBe('NOT_GRADUATED')
    expect(await sign(under(whole))).toBe('NOT_GRADUATED')
  })

  test('without steps never rises at all', async () => {
    expect(await sign(under(held, { account: heldAccount }))).toBe('NOT_GRADUATED')
    expect(await sign(under(policyOn(held, CHAIN), { account: heldAccount }))).toBe('APPROVAL_MISSING')
  })

  test('acts once that is earned, and loses it by one plan that is refused', async () => {
    await serve(8n)
    expect(await sign(under(whole))).toBe('NOT_GRADUATED')
    const first = under(quarter)
    expect(await sign(first)).toBe('SIGNED')
    const before = standingLines().length
    for (let n = 0; n < 50; n += 1) expect(await sign(theft())).toBe('RECIPIENT_NOT_ALLOWED')
    expect(standingLines()).toHaveLength(before + 1)
    expect(standingLines().at(-1)).toMatchObject({ seconds: '0', denial: 'RECIPIENT_NOT_ALLOWED' })

    // Higher fees for what was let through are nothing new.
    const dearerPlan = { ...first.plan, ...dearer(first.plan) }
    const attemptId = `${first.attemptId}.again` as AttemptId
    expect(await sign(requestOf(dearerPlan, { attemptId, nonce: first.nonce }))).toBe('SIGNED')
    expect(await sign(under(quarter))).toBe('NOT_GRADUATED')
    await restart()
    expect(await sign(under(quarter))).toBe('NOT_GRADUATED')
    expect((await pipe.ask('goodFor', { account })).result).toBeLessThan(60n)
  })
})
