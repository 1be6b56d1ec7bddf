import type { Call, SimulatedPlan } from '../core/lifecycle.ts'
import { contractName } from '../protocols/contracts.ts'
import { type DecodedCall, decodeCall } from '../protocols/decodeCall.ts'
import type { GuardContext } from './guard.ts'

/** A call of a plan and what can be made of it. `contract` is its symbolic name, as in policies. */
export type PlanCall = { readonly call: Call } & (
  | { readonly readable: true; readonly contract: string; readonly decoded: DecodedCall }
  /** `contract` null is one that the address book does not know. */
  | { readonly readable: false; readonly contract: string | null }
)

/** Reads the calls of a plan by the address book alone; never by what whoever made the plan says they are. */
export const readCalls = ({ book }: GuardContext, plan: SimulatedPlan): readonly PlanCall[] =>
  plan.calls.map((call) => {
    const contract = contractName(call.to, book)
    const decoded = decodeCall(call, book)
    return contract === null || decoded === null
      ? { call, readable: false, contract }
      : { call, readable: true, contract, decoded }
  })
