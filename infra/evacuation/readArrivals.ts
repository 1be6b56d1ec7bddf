import { type Address, erc20Abi, isAddressEqual, parseEventLogs } from 'viem'
import type { AddressBook } from '../../runtime/core/addressBook.ts'
import type { Chain, Signer } from '../../runtime/core/ports.ts'
import { sweptBy } from '../../runtime/evacuation/prepareSweep.ts'
import { evacuationPolicy } from '../../runtime/guards/evacuation.ts'
import type { Evacuee } from './runEvacuation.ts'

/** What came to a destination. Smallest unit; `token` null is the native coin. */
export type Arrival = { readonly token: Address | null; readonly amount: bigint }

/**
 * What an account's evacuations brought to the destination: told by the receipts of what the signer's ledger holds, so
 * that it is the same however often an evacuation was killed and run again.
 */
export async function readArrivals(
  { config, account, destination }: Evacuee,
  {
    chain,
    signer,
    book,
  }: {
    readonly chain: Pick<Chain, 'receipt'>
    readonly signer: Pick<Signer, 'signedFrom'>
    readonly book: AddressBook
  },
): Promise<readonly Arrival[]> {
  const { version } = evacuationPolicy(config.policy, book, destination)
  const totals = new Map<Address | null, bigint>()
  const add = ({ token, amount }: Arrival) => totals.set(token, (totals.get(token) ?? 0n) + amount)
  for (const { hash, plan } of await signer.signedFrom(account, 0n)) {
    if (plan.policyVersion !== version) continue
    const receipt = await chain.receipt(hash)
    if (receipt?.status !== 'success') continue
    for (const arrival of transfersOf(receipt.logs, account, destination)) add(arrival)
    // The native coin leaves no log, and goes to nobody else: the signer holds it to that.
    const swept = sweptBy(plan)
    if (swept !== null) add({ token: null, amount: swept.amount })
  }
  return [...totals].map(([token, amount]) => ({ token, amount }))
}

type Log = {
  readonly address: Address
  readonly topics: readonly `0x${string}`[]
  readonly data: `0x${string}`
}

function transfersOf(logs: readonly Log[], from: Address, to: Address): readonly Arrival[] {
  const readable = logs.map(({ address, topics, data }) => ({ address, topics: [...topics], data }))
  return parseEventLogs({ abi: erc20Abi, eventName: 'Transfer', logs: readable as never })
    .filter(({ args }) => isAddressEqual(args.from, from) && isAddressEqual(args.to, to))
    .map(({ address, args }) => ({ token: address, amount: args.value }))
}
