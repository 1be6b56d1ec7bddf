import type { Address } from 'viem'
import { assertArtifact } from '../../contracts/artifacts/Assert.ts'
import { batchAccountArtifact } from '../../contracts/artifacts/BatchAccount.ts'
import { flashRepayArtifact } from '../../contracts/artifacts/FlashRepay.ts'
import { addressOf } from '../accounts.ts'
import type { WorldBuilder } from './builder.ts'
import { ownArtifact } from './tokens.ts'

export type WorldRialto = {
  readonly batchAccount: Address
  readonly flashRepay: Address
  readonly assert: Address
}

/** Queues our own contracts. */
export function deployRialto(builder: WorldBuilder): WorldRialto {
  const deployer = addressOf('deployer')
  return {
    batchAccount: builder.deploy(deployer, ownArtifact(batchAccountArtifact)),
    flashRepay: builder.deploy(deployer, ownArtifact(flashRepayArtifact)),
    assert: builder.deploy(deployer, ownArtifact(assertArtifact)),
  }
}
