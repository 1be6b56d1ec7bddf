import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Abi, type Hex, keccak256, toHex } from 'viem'
import { RialtoError } from '../../runtime/core/errors.ts'
import { packageRoot } from '../process/packageRoot.ts'

/** Every contract of ours. Each is the one contract of that name in the file of that name. */
export const CONTRACTS = ['Assert', 'BatchAccount', 'FlashRepay', 'TestToken'] as const
export type ContractName = (typeof CONTRACTS)[number]

/** What the compiler made of one contract. */
export type CompiledContract<Name extends string = string> = {
  readonly name: Name
  readonly abi: Abi
  /** Creation code. */
  readonly bytecode: Hex
  /**
   * keccak256 of the code that lies on the chain, to check a deployment against. Absent where the constructor
   * writes immutables into it.
   */
  readonly runtimeHash: Hex | undefined
  /** keccak256 over the compiler's version, its settings, and the path and text of every source it read. */
  readonly sourceHash: Hex
}

/** The Solidity compiler refused the sources; the message is its own. */
export class CompilationError extends RialtoError {
  override readonly name = 'CompilationError'
  constructor(diagnostics: readonly string[]) {
    super('COMPILATION_FAILED', diagnostics.join('\n'), { fix: 'Mend the Solidity sources.' })
  }
}

const SETTINGS = {
  optimizer: { enabled: true, runs: 10_000 },
  evmVersion: 'cancun',
  // No hash of comments and paths in the code: the bytes depend on what the code does, nothing else.
  metadata: { bytecodeHash: 'none', appendCBOR: false },
} as const

const OUTPUTS = [
  'abi',
  'evm.bytecode.object',
  'evm.deployedBytecode.object',
  'evm.deployedBytecode.immutableReferences',
]

type Solc = {
  version(): string
  compile(input: string, readers: { import(path: string): { contents: string } | { error: string } }): string
}
type SolcOutput = {
  errors?: { severity: 'error' | 'warning' | 'info'; formattedMessage: string }[]
  /** Absent when none is among the outputs asked for. */
  contracts?: Record<
    string,
    Record<
      string,
      {
        abi: Abi
        evm: {
          bytecode: { object: string }
          deployedBytecode: { object: string; immutableReferences: Record<string, unknown> }
        }
      }
    >
  >
}

/** Compiles all our contracts. Pure: writes nothing. @throws {CompilationError} */
export const compileContracts = (): readonly CompiledContract<ContractName>[] =>
  CONTRACTS.map((name) => compileContract(`infra/contracts/${name}.sol`, name))

/**
 * Compiles one contract with solc from npm; imports are read from `node_modules`, or beside the file.
 *
 * @param file from the package's root, with slashes
 * @param name of the contract in it
 * @throws {CompilationError} on any error or warning of the compiler.
 */
export function compileContract<Name extends string>(file: string, name: Name): CompiledContract<Name> {
  const root = packageRoot(import.meta.url)
  const solc = createRequire(import.meta.url)('solc') as Solc
  const sources = new Map([[file, readFileSync(join(root, file), 'utf8')]])
  const input = {
    language: 'Solidity',
    sources: { [file]: { content: sources.get(file) } },
    settings: { ...SETTINGS, outputSelection: { [file]: { [name]: OUTPUTS } } },
  }
  const readers = {
    import(path: string) {
      const contents = readFileSync(join(root, path.startsWith('infra/') ? '' : 'node_modules', path), 'utf8')
      sources.set(path, contents)
      return { contents }
    },
  }
  const output = JSON.parse(solc.compile(JSON.stringify(input), readers)) as SolcOutput
  const diagnostics = (output.errors ?? []).filter((entry) => entry.severity !== 'info')
  if (diagnostics.length > 0) throw new CompilationError(diagnostics.map((entry) => entry.formattedMessage))
  const contract = output.contracts?.[file]?.[name]
  if (contract === undefined) throw new CompilationError([`${file} holds no contract ${name}.`])
  const { bytecode, deployedBytecode } = contract.evm
  const fixed = Object.keys(deployedBytecode.immutableReferences).length === 0
  const read = [...sources].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    name,
    abi: contract.abi,
    bytecode: `0x${bytecode.object}`,
    runtimeHash: fixed ? keccak256(`0x${deployedBytecode.object}`) : undefined,
    sourceHash: keccak256(toHex(JSON.stringify([solc.version(), SETTINGS, read]))),
  }
}

/** The text of `artifacts/<Name>.ts`. */
export function renderArtifact(contract: CompiledContract): string {
  const { name, abi, bytecode, runtimeHash, sourceHash } = contract
  const constant = `${name[0]?.toLowerCase()}${name.slice(1)}Artifact`
  return [
    `// Made by infra/contracts/compile.ts from ${name}.sol. Do not edit: change the source and run the script.`,
    `export const ${constant} = {`,
    `  name: '${name}',`,
    `  sourceHash: '${sourceHash}',`,
    ...(runtimeHash === undefined ? [] : [`  runtimeHash: '${runtimeHash}',`]),
    `  bytecode: '${bytecode}',`,
    `  abi: [`,
    ...abi.map((item) => `    ${JSON.stringify(item)},`),
    `  ],`,
    `} as const`,
    '',
  ].join('\n')
}

/** Where the artifact of a contract is kept. */
export const artifactPath = (name: ContractName): string =>
  join(packageRoot(import.meta.url), 'infra/contracts/artifacts', `${name}.ts`)

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const contract of compileContracts()) {
    const path = artifactPath(contract.name)
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, renderArtifact(contract))
    process.stdout.write(
      `${basename(path)} ${(contract.bytecode.length - 2) / 2} bytes ${contract.sourceHash}\n`,
    )
  }
}
