import {
  type Address,
  concatHex,
  encodeFunctionData,
  type Hex,
  isAddressEqual,
  numberToHex,
  pad,
  parseAbi,
} from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Effects } from '../../runtime/core/lifecycle.ts'
import type { Chain, SimulationRequest } from '../../runtime/core/ports.ts'
import type { Snapshot } from '../../runtime/core/snapshot.ts'
import { wei } from '../../runtime/core/units.ts'
import { encodeProbe, measureEffects, type Probe, probesFor } from '../../runtime/stages/probe.ts'
import { decodeRevert } from '../chain/decodeRevert.ts'
import type { SafeState } from '../safe/readSafe.ts'
import { encodeSafeExecution, type SafeTransaction, safeTransactionHash } from '../safe/safeTransaction.ts'

const approveHashAbi = parseAbi(['function approveHash(bytes32 hashToApprove)'])

/** What a transaction of a Safe does when its owners sign it, or why it would fail. */
export type OwnersSimulation =
  | { readonly ok: true; readonly effects: Omit<Effects, 'logCount'> }
  | { readonly ok: false; readonly reason: string }

/**
 * Executes a transaction of a Safe as its owners will: by the Safe's own code, guard and module guard included. Each owner
 * but the first approves its hash, and the first sends it, which to a Safe is as good as their signatures.
 *
 * @param snapshot of the Safe, whose block it is simulated on
 * @param destination what it holds is measured too; null for nobody
 * @param timestamp of the imagined block, unix seconds
 */
export async function simulateOwners(
  chain: Pick<Chain, 'simulate'>,
  {
    snapshot,
    book,
    state,
    transaction,
    destination,
    timestamp,
  }: {
    readonly snapshot: Snapshot
    readonly book: AddressBook
    readonly state: Pick<SafeState, 'owners' | 'threshold'>
    readonly transaction: SafeTransaction
    readonly destination: Address | null
    readonly timestamp: bigint
  },
): Promise<OwnersSimulation> {
  const safe = snapshot.wallet.account
  const owners = state.owners.slice(0, state.threshold).toSorted((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1))
  const [sender, ...others] = owners
  if (sender === undefined) return { ok: false, reason: 'the Safe has no owner' }
  const hash = safeTransactionHash(safe, snapshot.chainId, transaction)
  const approval = encodeFunctionData({ abi: approveHashAbi, functionName: 'approveHash', args: [hash] })
  const call = (from: Address, to: Address, data: Hex) => ({ from, to, value: wei(0n), data })
  const approvals = others.map((owner) => call(owner, safe, approval))
  const execution = call(sender, safe, encodeSafeExecution(transaction, concatHex(owners.map(preValidated))))
  const scene = (calls: SimulationRequest['calls']): SimulationRequest => ({
    on: snapshot.block,
    timestamp,
    baseFeePerGas: snapshot.block.baseFeePerGas,
    code: [],
    calls,
  })

  const ran = (await chain.simulate(scene([...approvals, execution]))).at(-1)
  if (ran === undefined || ran.status === 'reverted')
    return { ok: false, reason: decodeRevert(ran?.returnData ?? '0x') }
  const touched = probesFor(snapshot, book, safe, ran.logs)
  const probe: Probe = {
    ...touched,
    balances: [...touched.balances, ...(destination === null ? [] : [{ account: destination, token: null }])],
  }
  const { to, data } = encodeProbe(probe, book)
  const reading = call(sender, to, data)
  const results = await chain.simulate(scene([reading, ...approvals, execution, reading]))
  const [before] = results
  const [middle, after] = results.slice(-2)
  if (before?.status !== 'success' || middle?.status !== 'success' || after?.status !== 'success')
    return { ok: false, reason: decodeRevert(middle?.returnData ?? '0x') }
  const measured = measureEffects(probe, before.returnData, after.returnData, snapshot, book)
  return { ok: true, effects: { ...measured, gasUsed: middle.gasUsed } }
}

/** What a Safe takes for the signature of an owner who sends the transaction, or has approved its hash. */
const preValidated = (owner: Address): Hex =>
  concatHex([pad(owner, { size: 32 }), numberToHex(0, { size: 32 }), '0x01'])

/** What somebody has after it. `token` null is the native coin. Smallest unit. */
export const heldAfter = (
  { balances }: Pick<Effects, 'balances'>,
  account: Address,
): readonly { readonly token: Address | null; readonly before: bigint; readonly after: bigint }[] =>
  balances.filter((one) => isAddressEqual(one.account, account))
