import { readdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Abi, AbiItem } from 'viem'
import { describe, expect, it } from 'vitest'
import * as rialtoAbi from '../../runtime/protocols/rialto/abi.ts'
import { assertArtifact } from './artifacts/Assert.ts'
import { batchAccountArtifact } from './artifacts/BatchAccount.ts'
import { flashRepayArtifact } from './artifacts/FlashRepay.ts'
import {
  artifactPath,
  CONTRACTS,
  CompilationError,
  compileContract,
  compileContracts,
  renderArtifact,
} from './compile.ts'
import { opcodesOf } from './test/opcodes.ts'

describe('compileContracts', () => {
  it('gives the artifacts that are committed, to the byte', () => {
    const compiled = compileContracts()
    for (const contract of compiled)
      expect(
        renderArtifact(contract) === readFileSync(artifactPath(contract.name), 'utf8'),
        contract.name,
      ).toBe(true)
    const files = readdirSync(dirname(artifactPath('Assert')))
    expect(files.sort()).toEqual(CONTRACTS.map((name) => `${name}.ts`).sort())
  })

  it('says which contract is not there', () => {
    expect(() => compileContract('infra/contracts/Assert.sol', 'Nothing')).toThrow(CompilationError)
  })
})

describe('our contracts', () => {
  it.each([assertArtifact, batchAccountArtifact, flashRepayArtifact])(
    '$name keeps no storage, delegates to nobody, creates nothing and cannot end itself',
    ({ bytecode }) => {
      const used = opcodesOf(bytecode)
      for (const opcode of [
        'SLOAD',
        'SSTORE',
        'DELEGATECALL',
        'CALLCODE',
        'CREATE',
        'CREATE2',
        'SELFDESTRUCT',
      ])
        expect(used, opcode).not.toContain(opcode)
    },
  )

  it('have the interfaces that the engine encodes for', () => {
    const ours: readonly [string, Abi][] = [
      ['flashRepay', flashRepayArtifact.abi],
      ['assert', assertArtifact.abi],
      ['batchAccount', batchAccountArtifact.abi],
    ]
    for (const [prefix, abi] of ours) {
      const signatures = abi.map(signature)
      const used = Object.entries(rialtoAbi).filter(
        ([name]) => name.startsWith(prefix) && name.endsWith('Abi'),
      )
      expect(used.length).toBeGreaterThan(0)
      for (const item of used.flatMap(([, items]) => items as unknown as Abi))
        expect(signatures).toContain(signature(item))
    }
  })
})

/** Kind, name, and the types of parameters and results; names of parameters are nobody's business. */
function signature(item: AbiItem): string {
  const types = (parameters: readonly unknown[] | undefined): string =>
    (parameters ?? [])
      .map((parameter) => {
        const { type, components } = parameter as { type: string; components?: readonly unknown[] }
        return components === undefined ? type : `${type.replace('tuple', '')}(${types(components)})`
      })
      .join()
  const { type, name, inputs, outputs, stateMutability } = item as unknown as Record<string, never>
  return `${type} ${name}(${types(inputs)}) ${stateMutability} (${types(outputs)})`
}
