import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { entryPoint } from '../../../process/entryPoint.ts'
import { UnencodableMessageError } from '../errors.ts'
import { AttestationError } from './errors.ts'
import { requestQuote } from './requestQuote.ts'
import { attestationLimits } from './schema.ts'
import { createTestPki } from './testPki.ts'
import { buildAttestation, testNow } from './testQuote.ts'
import { build, identity, keyConfigs, pinned, reportData, verify } from './testVerify.ts'

type Command = readonly [string, ...string[]]

/** A command that is a program of Node; the report data is its last argument. */
const node = (code: string): Command => [process.execPath, '-e', code]
const says = (text: string): Command => node(`require('fs').writeSync(1, ${JSON.stringify(text)})`)

const request = (command: Command, more: { timeoutMs?: number; signal?: AbortSignal } = {}) =>
  requestQuote({ command, reportData, ...more })

const refusedBy = async (command: Command, more: { timeoutMs?: number; signal?: AbortSignal } = {}) => {
  const error = await request(command, more).then(
    () => expect.unreachable('The command gave an attestation.'),
    (reason: unknown) => reason,
  )
  if (!(error instanceof AttestationError)) throw error
  expect(error.code).toBe('ATTESTATION_COMMAND')
  return error
}

/** A file of this test's own. */
async function temporaryFile(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rialto-quote-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return join(folder, 'file')
}

describe('a command that makes quotes', () => {
  it('is run with the report data, and gives an attestation that verifies', async () => {
    const { path, execArgv } = entryPoint(import.meta.url, './testQuoteCommand')
    const attestation = await request([process.execPath, ...execArgv, path])
    // Its root is made in that process, and named by the chain that comes with the quote.
    const pem = attestation.collateral.pck_crl_issuer_chain.split('-----BEGIN CERTIFICATE-----\n').at(-1)
    const root = new Uint8Array(Buffer.from(pem?.split('-----')[0] ?? '', 'base64'))
    const verified = verify(attestation, { identity, keyConfigs, pinned: { ...pinned, roots: [root] } })
    expect(verified.tcbStatus).toBe('UpToDate')
  })

  it('gets the report data in hex as its last argument, and no shell', async () => {
    const file = await temporaryFile()
    const code = `require('fs').writeFileSync(${JSON.stringify(file)}, JSON.stringify(process.argv.slice(1)))`
    await refusedBy([...node(code), '$(id) ; "'])
    const seen: unknown = JSON.parse(await readFile(file, 'utf8'))
    expect(seen).toEqual(['$(id) ; "', Buffer.from(reportData).toString('hex')])
  })

  it.each<[string, Command, RegExp]>([
    ['is not there', ['/nowhere/at/all'], /could not be started/],
    ['is no name', [''], /could not be started/],
    ['fails', node('process.exit(3)'), /failed with exit code 3/],
    ['is killed', node("process.kill(process.pid, 'SIGKILL')"), /was ended by SIGKILL/],
    ['says nothing', node(''), /wrote no JSON/],
    ['says no JSON', says('quote'), /wrote no JSON/],
    ['says something else', says('{}'), /wrote something else: The attestation is malformed at quote\.$/],
    ['leaves the collateral out', says(JSON.stringify({ quote: build().quote })), /has no collateral\.$/],
    ['says no quote', says(JSON.stringify({ ...build(), quote: 'AAAA' })), /made no quote/],
    [
      'quotes other report data',
      says(JSON.stringify(buildAttestation(new Uint8Array(64)))),
      /for other report data/,
    ],
  ])('that %s is told by one clear line', async (_name, command, line) => {
    const error = await refusedBy(command)
    expect(error.message).toMatch(line)
    expect(error.message).not.toContain('\n')
  })

  it('is killed when it writes too much', async () => {
    const flood = `const line = 'x'.repeat(65536); for (;;) require('fs').writeSync(1, line)`
    expect((await refusedBy(node(flood))).message).toContain(`more than ${attestationLimits.json} bytes`)
  })

  it('is killed when it does not end, with what it started', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    // A child of the command holds a connection here for as long as it lives.
    const child = `require('net').connect(${port}, '127.0.0.1')`
    const parent = `require('child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' })`
    const controller = new AbortController()
    const refused = refusedBy(node(parent), { signal: controller.signal })
    const [socket] = (await once(server, 'connection')) as [Socket]
    const closed = new Promise((resolve) => socket.on('error', () => {}).on('close', resolve))
    socket.resume()
    controller.abort()
    const error = await refused
    expect(error.message).toMatch(/was cancelled\.$/)
    expect(error.retryable).toBe(true)
    await closed
  })

  it('has so much time and no more, and is not started once cancelled', async () => {
    const error = await refusedBy(node('setInterval(() => {}, 1e6)'), { timeoutMs: 50 })
    expect(error.message).toMatch(/did not end within 50 ms\.$/)
    expect(error.retryable).toBe(true)
    const cancelled = await refusedBy(node(''), { signal: AbortSignal.abort() })
    expect(cancelled.message).toMatch(/was not started/)
  })

  it('tells the last of its standard error, fit for a terminal', async () => {
    const noise = `require('fs').writeSync(2, 'x'.repeat(5000) + '\\u001b[31mno such device\\n'); process.exit(1)`
    const { details } = await refusedBy(node(noise))
    expect(details.stderr).toMatch(/^x+ \[31mno such device$/)
    expect(String(details.stderr).length).toBeLessThanOrEqual(2_048)
  })

  it('is not run for what is no report data', async () => {
    const parameters = { command: says('{}'), reportData: new Uint8Array(63) }
    await expect(requestQuote(parameters)).rejects.toThrow(UnencodableMessageError)
  })

  it('need not be trusted: a quote under another root is for the client to refuse', async () => {
    const other = buildAttestation(reportData, { pki: createTestPki(testNow) })
    await expect(request(says(JSON.stringify(other)))).resolves.toEqual(other)
  })
})
