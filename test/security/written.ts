import { existsSync } from 'node:fs'
import { readdir, readFile, readlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import type { Role } from './roleProcess.ts'

/** Bytes that a role wrote, and where. */
export type Written = { readonly place: string; readonly bytes: Uint8Array }

/** Every file under a folder, with its name. */
export async function filesIn(folder: string, name: string): Promise<readonly Written[]> {
  const files = (await readdir(folder, { recursive: true, withFileTypes: true })).map(async (entry) => {
    const path = join(entry.parentPath, entry.name)
    const place = `${name}/${relative(folder, path)}`
    const named = { place: `the name of ${place}`, bytes: Buffer.from(relative(folder, path)) }
    if (entry.isSymbolicLink()) return [named, { place, bytes: Buffer.from(await readlink(path)) }]
    return entry.isFile() ? [named, { place, bytes: await readFile(path) }] : [named]
  })
  return (await Promise.all(files)).flat()
}

/** Every file under a role's folder, and its two streams. */
export const writtenBy = async (role: Role): Promise<readonly Written[]> => [
  ...(await filesIn(role.folder, role.name)),
  { place: `${role.name}/stdout`, bytes: role.stdout() },
  { place: `${role.name}/stderr`, bytes: role.stderr() },
]

/** What a role that runs shows to whoever asks for its health and its metrics. */
export const shownBy = ({ name, url }: Role): Promise<readonly Written[]> =>
  Promise.all(
    ['/healthz', '/metrics'].map(async (path) => ({
      place: `${name}${path}`,
      bytes: new Uint8Array(await (await fetch(new URL(path, url))).arrayBuffer()),
    })),
  )

/** Whether the system shows the files and sockets of a process. */
export const canLookInside = existsSync('/proc/self/fdinfo') && existsSync('/proc/net/tcp')

const WRITES = 0o3

/** The files that a process has open to write to. */
export async function openForWriting({ pid }: Role): Promise<readonly string[]> {
  const paths: string[] = []
  for (const fd of await readdir(`/proc/${pid}/fd`)) {
    const path = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')
    const info = await readFile(`/proc/${pid}/fdinfo/${fd}`, 'utf8').catch(() => '')
    const flags = Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? '0', 8)
    if (path.startsWith('/') && !path.startsWith('/dev/') && (flags & WRITES) !== 0) paths.push(path)
  }
  return paths
}

/** The limit of a process on the size of core dumps, in bytes. */
export async function coreLimit({ pid }: Role): Promise<string> {
  const limits = await readFile(`/proc/${pid}/limits`, 'utf8')
  return /^Max core file size\s+(\S+)/m.exec(limits)?.[1] ?? 'unknown'
}

/** The addresses that have, or just had, a connection to a role's port. */
export async function peersOf({ url }: Pick<Role, 'url'>): Promise<ReadonlySet<string>> {
  const port = Number(new URL(url).port)
  const lines = (await readFile('/proc/net/tcp', 'utf8')).split('\n').slice(1)
  const peers = new Set<string>()
  for (const line of lines) {
    const [, local = '', remote = ''] = line.trim().split(/\s+/)
    if (Number.parseInt(local.split(':')[1] ?? '', 16) !== port) continue
    // In the byte order of the machine, which is the little one wherever Node runs.
    const address = [...Buffer.from(remote.split(':')[0] ?? '', 'hex')].reverse().join('.')
    if (address !== '0.0.0.0') peers.add(address)
  }
  return peers
}
