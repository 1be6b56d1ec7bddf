import type { Hex } from 'viem'
import { TransactionRefusedError } from '../../runtime/core/chainErrors.ts'
import type { Hash } from '../../runtime/core/ids.ts'
import type { Chain } from '../../runtime/core/ports.ts'
import type { PooledTransaction } from '../twins/chain/transactions.ts'
import type { MemoryChain } from '../twins/memoryChain.ts'
import type { FaultPlan } from './faults.ts'
import type { Random } from './random.ts'

/** A private relay: what it is handed no node sees before it is mined, unless it leaks. */
export type Relay = {
  readonly port: Pick<Chain, 'sendRaw'>
  /** A block time passes: what it held back long enough may be mined. */
  tick(): void
}

type Fate = { readonly kind: 'lost' | 'included' | 'leaked' } | { readonly kind: 'held'; until: bigint }

/**
 * A relay that, under fire, takes bytes and loses them, holds them back, tells every node of them, or does what it is
 * there for. In calm it is honest, about what it was handed before as well.
 */
export function createRelay(random: Random, faults: FaultPlan, chain: MemoryChain): Relay {
  const fates = new Map<Hash, Fate>()
  const held = new Map<Hash, PooledTransaction>()

  function draw(): Fate {
    if (faults.strikes('relay loses')) return { kind: 'lost' }
    if (faults.strikes('relay delays'))
      return { kind: 'held', until: chain.head().number + BigInt(random.between(1, 6)) }
    if (faults.strikes('relay leaks')) return { kind: 'leaked' }
    faults.count('relay includes')
    return { kind: 'included' }
  }

  const put = (transaction: PooledTransaction) => {
    const { state, baseFeePerGas } = chain.head()
    return chain.hidden.add(transaction, state, baseFeePerGas)
  }

  return {
    port: {
      async sendRaw(raw: Hex) {
        const transaction = await chain.read(raw)
        const { hash } = transaction
        if (chain.find(hash) !== null) return hash
        const fate = faults.isOver ? { kind: 'included' as const } : (fates.get(hash) ?? draw())
        fates.set(hash, fate)
        if (fate.kind === 'lost') return hash
        if (fate.kind === 'held') held.set(hash, transaction)
        else {
          const why = put(transaction)
          if (why !== null) throw new TransactionRefusedError(why, hash, 'relay.twin', why.toLowerCase())
        }
        const { state, baseFeePerGas } = chain.head()
        if (fate.kind === 'leaked')
          for (const { pool } of chain.nodes) pool.add(transaction, state, baseFeePerGas)
        return hash
      },
    },
    tick() {
      for (const [hash, transaction] of held) {
        const fate = fates.get(hash)
        if (!faults.isOver && fate?.kind === 'held' && fate.until > chain.head().number) continue
        held.delete(hash)
        // What its nonce or its fee has overtaken meanwhile, a relay drops without a word.
        put(transaction)
      }
    },
  }
}
