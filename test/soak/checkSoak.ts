import { type Address, type Hex, numberToHex } from 'viem'
import { createRpc } from '../../infra/world/rpc.ts'
import type { Journal, Signer } from '../../runtime/core/ports.ts'

export type Soaked = {
  readonly url: string
  readonly accounts: readonly Address[]
  /** The block before the first intent. */
  readonly begin: bigint
  readonly journal: Journal
  readonly signer: Signer
}

type RawBlock = { readonly transactions: readonly { readonly hash: Hex; readonly from: Address }[] }

/**
 * Holds journal, signer's ledger and chain together after a soak: each intent mined once, none lost, all as promised.
 * The last block's intents alone may still be in flight.
 *
 * @returns what is wrong, a line each
 */
export async function checkSoak({
  url,
  accounts,
  begin,
  journal,
  signer,
}: Soaked): Promise<readonly string[]> {
  const rpc = createRpc(url)
  const head = Number(await rpc<Hex>('eth_blockNumber'))
  const mined = new Set<Hex>()
  for (let number = Number(begin) + 1; number <= head; number++) {
    const { transactions } = await rpc<RawBlock>('eth_getBlockByNumber', numberToHex(number), true)
    for (const { hash, from } of transactions)
      if (accounts.some((account) => account.toLowerCase() === from.toLowerCase())) mined.add(hash)
  }
  const wrong: string[] = []
  const timesMined = new Map<string, number>()
  for (const account of accounts)
    for (const { hash, plan } of await signer.signedFrom(account, 0n))
      if (mined.has(hash)) timesMined.set(plan.intentId, (timesMined.get(plan.intentId) ?? 0) + 1)
  for (const [id, times] of timesMined) if (times > 1) wrong.push(`intent ${id} was mined ${times} times`)
  const [intents, attempts] = await Promise.all([journal.intents(), journal.attempts()])
  for (const { id, status, decidedOnBlock } of intents) {
    const isLast = Number(decidedOnBlock) === head
    if (status === (isLast ? 'signed' : 'done')) continue
    wrong.push(`intent ${id} of block ${decidedOnBlock} is ${status}`)
  }
  for (const { id, status, hash, intentId } of attempts) {
    const isMined = hash !== null && mined.has(hash)
    if (isMined !== (status === 'confirmed'))
      wrong.push(`attempt ${id} is ${status}, and it is ${isMined ? '' : 'not '}on the chain`)
    if (intentId === null) wrong.push(`attempt ${id} is of no intent`)
  }
  if (mined.size !== [...timesMined.values()].reduce((sum, times) => sum + times, 0))
    wrong.push('something was mined that the ledger does not know')
  return wrong
}
