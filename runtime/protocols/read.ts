import type { ContractFunctionArgs, ContractFunctionName, ContractFunctionReturnType } from 'viem'
import {
  type Abi,
  type Address,
  decodeFunctionResult,
  encodeFunctionData,
  type Hex,
  prepareEncodeFunctionData,
} from 'viem'
import type { Hash } from '../core/ids.ts'
import type { Chain, ReadCall } from '../core/ports.ts'
import { ReadFailedError } from './errors.ts'

/** One contract call and how to understand its answer. Building one does no I/O. */
export type Read<T> = {
  /** In words, for the error that names what failed. */
  readonly what: string
  readonly target: Address
  readonly data: Hex
  /** @throws whatever a malformed answer makes it throw; {@link readAll} wraps it. */
  decode(data: Hex): T
  /** The value when the contract reverts, for what may rightly not be there. Without it, that is an error. */
  readonly ifReverted?: { readonly value: T }
}

/** Several reads that make one value together. */
export type ReadGroup<T> = {
  readonly reads: readonly Read<unknown>[]
  /** @param values what the reads gave, in their order */
  assemble(values: readonly unknown[]): T
}

export type Readable<T> = Read<T> | ReadGroup<T>
type ReadableRecord = Readonly<Record<string, Readable<unknown>>>
type ValuesOf<R extends ReadableRecord> = { [K in keyof R]: R[K] extends Readable<infer T> ? T : never }

type ViewName<A extends Abi> = ContractFunctionName<A, 'view' | 'pure'>

/** What viem needs to encode calls of a function: its selector is a Keccak-256, and half of the cost of a call. */
type Prepared = ReturnType<typeof prepareEncodeFunctionData<Abi, string>>

const preparedCalls = new WeakMap<Abi, Map<string, Prepared>>()

function prepared(abi: Abi, functionName: string): Prepared {
  const known = preparedCalls.get(abi) ?? new Map<string, Prepared>()
  preparedCalls.set(abi, known)
  const call = known.get(functionName) ?? prepareEncodeFunctionData({ abi, functionName })
  known.set(functionName, call)
  return call
}

/** A read of a view function, typed by its ABI. */
export function contractRead<const A extends Abi, N extends ViewName<A>>(
  what: string,
  target: Address,
  abi: A,
  functionName: N,
  args: ContractFunctionArgs<A, 'view' | 'pure', N>,
): Read<ContractFunctionReturnType<A, 'view' | 'pure', N>> {
  // viem cannot relate a generic ABI to the ABI's own names; the signature above holds callers to it.
  return {
    what,
    target,
    data: encodeFunctionData({ ...prepared(abi, functionName), args } as never),
    decode: (data) => decodeFunctionResult({ abi, functionName, args, data } as never) as never,
  }
}

/** The same read, its value put through a function. */
export function mapRead<T, U>(
  { what, target, data, decode, ifReverted }: Read<T>,
  map: (value: T) => U,
): Read<U> {
  return {
    what,
    target,
    data,
    decode: (answer) => map(decode(answer)),
    ...(ifReverted === undefined ? {} : { ifReverted: { value: map(ifReverted.value) } }),
  }
}

/** The same read of something that may rightly not be there: null when the contract reverts. */
export const optionalRead = <T>(read: Read<T>): Read<T | null> => ({ ...read, ifReverted: { value: null } })

const readsOf = (readable: Readable<unknown>): readonly Read<unknown>[] =>
  'reads' in readable ? readable.reads : [readable]
const assembled = (readable: Readable<unknown>, values: readonly unknown[]): unknown =>
  'reads' in readable ? readable.assemble(values) : values[0]

/**
 * Named reads, and groups of them, as one group.
 *
 * @example
 * const both = combineReads({ a: balanceOf(usdc, alice), b: balanceOf(weth, alice) })
 * // gives { a: bigint, b: bigint }
 */
export function combineReads<const R extends ReadableRecord>(record: R): ReadGroup<ValuesOf<R>> {
  const entries = Object.entries(record).map(([key, readable]) => ({
    key,
    readable,
    reads: readsOf(readable),
  }))
  return {
    reads: entries.flatMap(({ reads }) => reads),
    assemble(values) {
      let next = 0
      const parts = entries.map(({ key, readable, reads }) => {
        const part = values.slice(next, next + reads.length)
        next += reads.length
        return [key, assembled(readable, part)]
      })
      return Object.fromEntries(parts) as ValuesOf<R>
    },
  }
}

/** A list of reads, or groups of them, as one group that gives the list of their values. */
export function listReads<T>(list: readonly Readable<T>[]): ReadGroup<readonly T[]> {
  const group = combineReads(Object.fromEntries(list.map((readable, index) => [`_${index}`, readable])))
  return { reads: group.reads, assemble: (values) => Object.values(group.assemble(values)) as T[] }
}

/** The same group, its value put through a function. */
export function mapGroup<T, U>(group: ReadGroup<T>, map: (value: T) => U): ReadGroup<U> {
  return { reads: group.reads, assemble: (values) => map(group.assemble(values)) }
}

/**
 * Answers all reads with one `Chain.read` at one block. Calls that several reads share are made once.
 *
 * @throws {ReadFailedError} naming the first read without a usable answer.
 * @example const { hf } = await readAll(chain, block.hash, { hf: readAccountData(book, user) })
 */
export async function readAll<const R extends ReadableRecord>(
  chain: Chain,
  at: Hash,
  record: R,
): Promise<ValuesOf<R>> {
  const group = combineReads(record)
  const calls: ReadCall[] = []
  const indexOfCall = new Map<string, number>()
  const callOfRead = group.reads.map(({ target, data }) => {
    const key = `${target.toLowerCase()}${data}`
    const known = indexOfCall.get(key)
    if (known !== undefined) return known
    indexOfCall.set(key, calls.length)
    return calls.push({ target, data }) - 1
  })
  const results = calls.length === 0 ? [] : await chain.read(calls, at)
  return group.assemble(
    group.reads.map((read, index) => {
      const result = results[callOfRead[index] as number]
      if (result === undefined || !result.success) {
        if (result !== undefined && read.ifReverted !== undefined) return read.ifReverted.value
        throw new ReadFailedError(read.what, read.target, 'the call reverted')
      }
      if (result.data === '0x')
        throw new ReadFailedError(read.what, read.target, 'no contract at the address')
      try {
        return read.decode(result.data)
      } catch (cause) {
        throw new ReadFailedError(read.what, read.target, 'the answer does not decode', cause)
      }
    }),
  )
}
