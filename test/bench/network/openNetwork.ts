import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../../infra/http/freePort.ts'
import { exportIdentityKey, generateIdentity } from '../../../infra/inference/protocol/network/identity.ts'
import { closeAll, type Process, startProcess } from './startProcess.ts'

/** A whole network, each role in a process of its own, with an application at one end and an upstream at the other. */
export type BenchNetwork = {
  readonly client: Process
  readonly upstream: Process
  /** Three plain reverse proxies in a row in front of the same upstream: the same hops without cryptography. */
  readonly hops: Process
  close(): Promise<void>
}

/** @param folder where the roles keep what they keep */
export async function openNetwork(folder: string): Promise<BenchNetwork> {
  const opened: Process[] = []
  const keep = async (starting: Promise<Process>) => {
    const part = await starting
    opened.push(part)
    return part
  }
  try {
    const folderOf = async (name: string) => {
      const path = join(folder, name)
      await mkdir(path, { recursive: true })
      return path
    }
    const identity = generateIdentity()
    const nodeIdentity = generateIdentity()
    // Mint and gateway know each other's address, so that of the gateway is taken in advance.
    const port = await freePort()
    const upstream = await keep(startProcess('upstream', undefined))
    const node = await keep(
      startProcess('node', {
        identity: exportIdentityKey(nodeIdentity),
        gateway: identity.identity.text,
        upstream: `${upstream.url}/v1`,
      }),
    )
    const mint = await keep(
      startProcess('mint', {
        folder: await folderOf('mint'),
        gateway: { url: `http://127.0.0.1:${port}`, identity: identity.identity.text },
      }),
    )
    const gateway = await keep(
      startProcess('gateway', {
        folder: await folderOf('gateway'),
        identity: exportIdentityKey(identity),
        mint: mint.url,
        node: { url: node.url, identity: nodeIdentity.identity.text },
        port,
      }),
    )
    const relay = await keep(startProcess('relay', { gateway: gateway.url }))
    let hops = upstream
    for (let hop = 0; hop < 3; hop += 1) hops = await keep(startProcess('proxy', { target: hops.url }))
    const client = await keep(
      startProcess('client', {
        folder: await folderOf('client'),
        relay: relay.url,
        gateway: identity.identity.text,
        mint: mint.url,
      }),
    )
    return { client, upstream, hops, close: () => closeAll(opened) }
  } catch (error) {
    await closeAll(opened)
    throw error
  }
}
