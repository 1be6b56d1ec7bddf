import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type { Hex } from 'viem'
import { type PrivateKeyAccount, privateKeyToAccount } from 'viem/accounts'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { removeRuntimeFile, writeRuntimeFile } from '../../infra/api/runtimeFile.ts'
import { startStatusServer } from '../../infra/api/statusServer.ts'
import { openDesk } from '../../infra/approvals/desk.ts'
import { approvalsCommand } from '../../infra/cli/commands/approvals/index.ts'
import { SCRYPT_COST } from '../../infra/signer/keystore/keyFile.ts'
import { openKeystore } from '../../infra/signer/keystore/openKeystore.ts'
import { openStore } from '../../infra/store/openStore.ts'
import { startWorld, type World } from '../../infra/world/world.ts'
import { type ApprovalRecord, approvalOf } from '../../runtime/core/approvalRecords.ts'
import { approvalTypedData } from '../../runtime/core/approvals.ts'
import type { Journal } from '../../runtime/core/ports.ts'
import { type Policy, policyVersion } from '../../runtime/guards/policy.ts'
import { execute } from '../../runtime/pipeline.ts'
import { requestOf } from '../conformance/journalApprovals.ts'
import { CHAIN_ID, fakeAddress, newAgent, newGenesis, proposeIntent } from '../conformance/journalFixture.ts'
import { createEngine, dollars, type Engine } from './engine.fixture.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.stop())

const keyOf = (n: number): Hex => `0x${String(n).repeat(64)}`
const [ann, bob, cat, stranger] = [1, 2, 3, 4].map((n) => privateKeyToAccount(keyOf(n))) as [
  PrivateKeyAccount,
  PrivateKeyAccount,
  PrivateKeyAccount,
  PrivateKeyAccount,
]
const PASSPHRASE = 'a passphrase that is long enough'

/** A folder with a configuration, a keystore with Ann's key and a stranger's, and its passphrase in a file. */
function makeFolder(): { readonly directory: string; readonly config: string; readonly passphrase: string } {
  const root = mkdtempSync(join(tmpdir(), 'rialto-approvals-'))
  const directory = join(root, '.rialto')
  onTestFinished(() => rmSync(root, { recursive: true }))
  const config = join(root, 'rialto.config.json')
  const agent = {
    id: 'lending-guardian',
    role: 'lending-guardian',
    policy: resolve('policies/lending-guardian.json'),
  }
  writeFileSync(config, JSON.stringify({ chain: { kind: 'world' }, agents: [agent] }))
  const keystore = openKeystore(join(directory, 'keystore'), Buffer.from(PASSPHRASE))
  keystore.store({ label: 'ann', privateKey: keyOf(1), cost: SCRYPT_COST.local })
  keystore.store({ label: 'stranger', privateKey: keyOf(4), cost: SCRYPT_COST.local })
  const passphrase = join(root, 'passphrase')
  writeFileSync(passphrase, PASSPHRASE, { mode: 0o600 })
  return { directory, config, passphrase }
}

/** Runs `rialto approvals …` in this process. */
async function approvals(...argv: readonly string[]): Promise<string> {
  const lines: string[] = []
  const command = approvalsCommand({
    out: (text) => void lines.push(text),
    note: () => undefined,
    step: (_name, work) => work(),
  })
  command.exitOverride()
  for (const each of command.commands) each.exitOverride()
  await command.parseAsync([...argv], { from: 'user' })
  return lines.join('\n')
}

/** The engine's journal behind the server that a running runtime has. */
async function serve(directory: string, { journal, clock }: Engine['runtime']): Promise<void> {
  const server = await startStatusServer({
    port: 0,
    known: () => ({ agents: [], accounts: [] }),
    status: async () => expect.unreachable(),
    order: async () => expect.unreachable(),
    approvals: openDesk([journal], clock),
  })
  onTestFinished(() => server.close())
  onTestFinished(() => removeRuntimeFile(directory))
  await writeRuntimeFile(directory, { pid: process.pid, url: server.url, token: server.token })
}

const asking = ({ version: _version, ...limits }: Policy): Policy => {
  const changed = {
    ...limits,
    mode: 'propose' as const,
    approvals: {
      personAbove: null,
      owners: [ann.address, bob.address, cat.address],
      threshold: 2,
      expirySeconds: 600,
    },
  }
  return { ...changed, version: policyVersion(changed) }
}

const signBy = (owner: PrivateKeyAccount, request: ApprovalRecord): Promise<Hex> =>
  owner.signTypedData(approvalTypedData(request.plan, approvalOf(request)))

async function createHeld() {
  const engine = await createEngine(world, { policy: asking })
  const { runtime } = engine
  expect((await engine.act(await engine.moveTo(dollars(1_750)))).outcome).toBe('held')
  const [request] = await runtime.journal.approvals('waiting')
  return { engine, runtime, request: request ?? expect.unreachable() }
}

describe('rialto approvals, beside a running runtime', () => {
  it('goes the whole way: shown, approved by two of three, signed and mined', async () => {
    const { engine, runtime, request } = await createHeld()
    const { directory, config, passphrase } = makeFolder()
    await serve(directory, runtime)
    const with_ = ['--config', config]

    const listed = JSON.parse(await approvals('list', '--json', ...with_))
    expect(listed.approvals).toMatchObject([{ id: request.id, status: 'pending', needed: 2, signedBy: [] }])
    expect(await approvals('list', ...with_)).toMatch(
      new RegExp(`^${request.id} {2}lending-guardian, chain 31337 {2}pending, 0 of 2 signatures {2}until `),
    )

    const shown = await approvals('show', request.id.slice(0, 12), ...with_)
    expect(shown).toContain('rialto.flashRepay.flashRepay')
    expect(shown).toMatch(/repayAmount: [\d.]+ USDC/)
    expect(shown).toMatch(/maxCollateral: [\d.]+ WETH/)
    expect(shown).toMatch(/rialto\.assert\.notAfter\n\s+lastBlock: \d+/)
    expect(shown).toContain('The account is made to run the code of rialto.batchAccount')
    expect(shown).toMatch(/health factor: 1\.\d+, then 1\.\d+/)
    expect(shown).toMatch(/the agent's own words, which nobody vouches for: ".+"/)
    expect(shown).not.toContain('CANNOT BE READ')
    for (const { address } of [ann, bob, cat]) expect(shown).toContain(`${address}  has not signed`)

    // Ann's key is in the keystore here; Bob signs what is printed, elsewhere.
    const approve = ['approve', request.id, ...with_]
    const first = await approvals(...approve, '--key', 'ann', '--passphrase-file', passphrase)
    expect(first).toBe('Signed.\n1 more of the owners have to sign.')
    expect(await approvals(...approve, '--key', 'ann', '--passphrase-file', passphrase)).toContain(
      'This owner has signed before',
    )
    const printed = JSON.parse(await approvals(...approve, '--print-typed-data'))
    expect(printed.message).toMatchObject({ planHash: request.id, policyVersion: engine.policy.version })
    const signature = await bob.signTypedData(printed)
    const second = await approvals(...approve, '--signature', signature)
    expect(second).toContain('Enough owners have signed')

    expect(await execute(runtime, engine.agent, request.intentId, await engine.mine())).toBe('submitted')
    await engine.follow(await engine.mine(), runtime)
    const all = JSON.parse(await approvals('list', '--all', '--json', ...with_))
    expect(all.approvals).toMatchObject([{ id: request.id, status: 'approved', intent: 'done' }])
    expect(await approvals('list', ...with_)).toBe('Nobody is asked about anything.')
    await expect(approvals('reject', request.id, ...with_)).rejects.toMatchObject({
      code: 'APPROVAL_CLOSED',
    })
  })

  it('takes no other signature, and says what is wrong with it', async () => {
    const { runtime, request } = await createHeld()
    const { directory, config, passphrase } = makeFolder()
    await serve(directory, runtime)
    const approve = ['approve', request.id, '--config', config]
    const wrong: Record<string, [Hex, RegExp]> = {
      'a stranger': [await signBy(stranger, request), /who is no owner/],
      'another plan': [await signBy(ann, { ...request, id: keyOf(9) }), /who is no owner/],
      'other effects': [
        await signBy(ann, { ...request, effects: { ...request.effects, gasUsed: 1n } }),
        /who is no owner/,
      ],
      'a forged one': [`0x${'00'.repeat(65)}`, /nobody can have signed it/],
      'no signature': ['0x12', /not 65 bytes of hex/],
    }
    for (const [what, [signature, why]] of Object.entries(wrong))
      await expect(approvals(...approve, '--signature', signature), what).rejects.toMatchObject({
        code: 'APPROVAL_SIGNATURE',
        message: expect.stringMatching(why),
        fix: expect.stringMatching(/--print-typed-data/),
      })
    await expect(approvals(...approve, '--key', 'stranger', '--passphrase-file', passphrase)).rejects.toThrow(
      /is no owner: the policy does not name it/,
    )
    await expect(approvals(...approve, '--key', 'nobody')).rejects.toThrow(/no key labelled "nobody"/)
    await expect(approvals(...approve)).rejects.toThrow(/not said who signs/)
    expect((await runtime.journal.approval(request.id))?.signatures).toEqual([])
  })

  it('rejects for good, and knows requests by what they begin with', async () => {
    const { engine, runtime, request } = await createHeld()
    const { directory, config } = makeFolder()
    await serve(directory, runtime)
    const short = request.id.slice(0, 10)
    expect(await approvals('reject', short, '--reason', 'not\nnow', '--config', config)).toBe(
      `${request.id}: rejected.`,
    )
    expect(await approvals('reject', short, '--config', config)).toContain('was rejected before')
    expect(await runtime.journal.approval(request.id)).toMatchObject({
      status: 'rejected',
      reason: 'not now',
    })
    const late = ['approve', short, '--signature', await signBy(ann, request), '--config', config]
    await expect(approvals(...late)).rejects.toMatchObject({ code: 'APPROVAL_CLOSED' })
    await expect(approvals('show', '0x0000', '--config', config)).rejects.toMatchObject({
      code: 'UNKNOWN_APPROVAL',
    })
    await expect(approvals('show', 'the-first', '--config', config)).rejects.toThrow(/names no request/)
    expect(await execute(runtime, engine.agent, request.intentId, await engine.mine())).toBe('done')
  })

  it('shows nothing that is not the plan of its hash', async () => {
    const { runtime, request } = await createHeld()
    const { directory, config } = makeFolder()
    const lying: Journal = {
      ...runtime.journal,
      approvals: async () => [{ ...request, plan: { ...request.plan, gasLimit: 1n } }],
    }
    await serve(directory, { ...runtime, journal: lying })
    for (const verb of ['show', 'approve', 'reject'])
      await expect(
        approvals(verb, request.id, ...(verb === 'approve' ? ['--key', 'ann'] : []), '--config', config),
      ).rejects.toMatchObject({ code: 'INVARIANT' })
  })
})

describe('rialto approvals, with none running', () => {
  it('opens the journal itself, whatever epoch the request is of', async () => {
    const { directory, config } = makeFolder()
    const before = await openStore({ directory })
    const journal = await before.journals.open(CHAIN_ID, newGenesis())
    const actor = { agent: newAgent(), account: fakeAddress('owner') }
    const { intent } = await proposeIntent(journal, actor)
    const now = BigInt(Math.floor(Date.now() / 1_000))
    const request = await journal.requestApproval(
      requestOf(intent, actor, { requestedAt: now, expiresAt: now + 3_600n }),
    )
    await before.close()

    // Opening the database is what takes long here, so what else there is to say is said beside a running runtime.
    const signature = await signBy(ann, request)
    const approve = ['approve', request.id, '--signature', signature, '--json', '--config', config]
    expect(JSON.parse(await approvals(...approve))).toMatchObject({
      id: request.id,
      chainId: CHAIN_ID,
      changed: true,
      signedBy: [{ signer: ann.address }],
    })
  })
})
