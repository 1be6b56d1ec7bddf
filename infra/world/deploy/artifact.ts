import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Abi, Address, Hex } from 'viem'
import { InvariantError } from '../../../runtime/core/errors.ts'

/** A contract as its authors published it: its interface and its creation code with places for libraries. */
export type Artifact = {
  readonly name: string
  readonly abi: Abi
  /** Hex without the places of {@link Artifact.links} filled in. */
  readonly bytecode: string
  /** Where the address of each library belongs, in bytes. */
  readonly links: Readonly<Record<string, readonly { start: number; length: number }[]>>
}

type Published = {
  contractName?: string
  abi?: Abi
  bytecode?: string
  linkReferences?: Record<string, Record<string, { start: number; length: number }[]>>
  /** The shape of Chainlink's package. */
  compilerOutput?: { abi: Abi; evm: { bytecode: { object: string } } }
}

/**
 * Reads a build artifact (Hardhat's, Truffle's or Chainlink's shape) out of an npm package.
 *
 * @param packageName e.g. `@aave/core-v3`
 * @param path inside the package
 * @throws {InvariantError} when the package or the file is missing, or the file holds no code.
 */
export function readArtifact(packageName: string, path: string): Artifact {
  const json = JSON.parse(readFileSync(join(packageFolder(packageName), path), 'utf8')) as Published
  const abi = json.abi ?? json.compilerOutput?.abi
  const code = json.bytecode ?? json.compilerOutput?.evm.bytecode.object
  if (abi === undefined || code === undefined || code.length <= 2)
    throw new InvariantError(`${packageName}/${path} holds no contract.`)
  const links: Record<string, { start: number; length: number }[]> = {}
  for (const libraries of Object.values(json.linkReferences ?? {}))
    for (const [library, places] of Object.entries(libraries))
      links[library] = [...(links[library] ?? []), ...places]
  const name = json.contractName ?? path.replace(/^.*\/|\.json$/g, '')
  return { name, abi, bytecode: code.replace(/^0x/, ''), links }
}

/**
 * The creation code with the libraries' addresses in their places.
 *
 * @throws {InvariantError} when a library is missing.
 */
export function linkArtifact(artifact: Artifact, libraries: Readonly<Record<string, Address>>): Hex {
  let code = artifact.bytecode
  for (const [library, places] of Object.entries(artifact.links)) {
    const address = libraries[library]
    if (address === undefined) throw new InvariantError(`${artifact.name} needs the library ${library}.`)
    for (const { start, length } of places)
      code = code.slice(0, start * 2) + address.slice(2).toLowerCase() + code.slice((start + length) * 2)
  }
  if (!/^[0-9a-f]+$/i.test(code)) throw new InvariantError(`${artifact.name} is not linked completely.`)
  return `0x${code}`
}

/**
 * The folder of an installed package. Not by resolving its `package.json`, which many do not export.
 *
 * @throws {InvariantError} when it is not installed.
 */
export function packageFolder(packageName: string): string {
  for (const base of createRequire(import.meta.url).resolve.paths(packageName) ?? []) {
    const folder = join(base, packageName)
    if (isPackage(folder)) return folder
  }
  throw new InvariantError(`The package ${packageName} is not installed.`)
}

function isPackage(folder: string): boolean {
  try {
    readFileSync(join(folder, 'package.json'))
    return true
  } catch {
    return false
  }
}
