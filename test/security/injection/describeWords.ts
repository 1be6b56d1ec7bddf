import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cleanReason } from '../../../agents/lending-guardian/choice.ts'
import { says } from '../../../agents/lending-guardian/testModel.ts'
import { decodeRevert } from '../../../infra/chain/decodeRevert.ts'
import { createRpc } from '../../../infra/chain/rpc.ts'
import { renderReport } from '../../../infra/cli/renderReport.ts'
import { makeReport, SEPARATOR } from '../../../infra/cli/report.ts'
import { explain, printable } from '../../../infra/cli/terminal.ts'
import { ConfigError } from '../../../infra/config/errors.ts'
import { loadAddressBook } from '../../../infra/config/loadAddressBook.ts'
import { createChatModel } from '../../../infra/inference/createChatModel.ts'
import { createLogger } from '../../../infra/telemetry/createLogger.ts'
import { tellErrors } from '../../../infra/telemetry/tellErrors.ts'
import { describeError, RialtoError } from '../../../runtime/core/errors.ts'
import { runId } from '../../../runtime/core/ids.ts'
import { memoryLogger } from '../../engine/engine.fixture.ts'
import { errorOf, onChain } from './chainTexts.ts'
import { type Context, title } from './context.ts'
import type { HostileText } from './corpus.ts'
import { expectPlain, isPlain } from './plain.ts'

/** Every way on which words from outside reach a record, a log or the terminal, with every text. */
export function describeWords(context: Context): void {
  const { texts, tally } = context

  describe('words from outside', () => {
    it('would be seen if they were passed on as they are', () => {
      expect(texts.filter(({ text }) => !isPlain(text)).length).toBeGreaterThan(50)
    })

    it('of a node that answers with an error become one plain line', async () => {
      let text = ''
      const node = createServer((request, response) => {
        request.resume().on('end', () => {
          response.setHeader('content-type', 'application/json')
          response.end(JSON.stringify({ jsonrpc: '2.0', id: 1, error: { code: -32_000, message: text } }))
        })
      })
      await new Promise<void>((resolve) => node.listen(0, '127.0.0.1', resolve))
      const url = new URL(`http://127.0.0.1:${(node.address() as AddressInfo).port}`)
      try {
        const rpc = createRpc({ url, timeout: 10_000, retries: 0 })
        for (const hostile of texts) {
          text = hostile.text
          const error = await rpc.call('eth_call', []).catch((reason: unknown) => reason)
          expect(error, title(hostile)).toMatchObject({ code: 'RPC_REFUSED' })
          expectPlain((error as RialtoError).message, title(hostile), 400)
          expectPlain(explain(error).line, title(hostile), 500)
          tally.add('words', 'of a node')
        }
      } finally {
        await new Promise((resolve) => node.close(resolve))
      }
    })

    it('of a model server that fails are in no record', async () => {
      const { model, scene } = context
      const moment = await context.urgent()
      for (const hostile of texts.filter(({ kind }) => kind === 'tool-results')) {
        model.script = (response) => {
          response.statusCode = 500
          response.end(hostile.text)
        }
        const analysis = await scene.guardian(model.chat).analyse(moment.snapshot, {
          runId: runId(scene.engine.agent.id, moment.head.hash),
          threadId: title(hostile),
          signal: AbortSignal.timeout(30_000),
        })
        expect(analysis.fallbackReason, title(hostile)).toBe('NO_ANSWER')
        expect(analysis.proposal.kind).not.toBe('nothing')
        expect(analysis.reason).toMatch(/By rule: the model did not answer\.$/)
        tally.add('words', 'of a model server, dropped')
      }
    })

    it('of a model server that lists its models become a plain name, or one plain line', async () => {
      const { model } = context
      for (const hostile of texts) {
        model.script = (response) => {
          response.setHeader('content-type', 'application/json')
          response.end(JSON.stringify({ data: [{ id: hostile.text }] }))
        }
        expectPlain((await createChatModel({ url: model.url })).name, title(hostile), 80)
        const other = await createChatModel({ url: model.url, model: 'mine' }).catch(explain)
        expectPlain('line' in other ? other.line : other.name, title(hostile), 300)
        tally.add('words', 'of a list of models')
      }
      model.script = says('')
    })

    it('of a contract become one plain, quoted line', () => {
      for (const hostile of texts) {
        const line = decodeRevert(errorOf(onChain(hostile.text)))
        expectPlain(line, title(hostile), 260)
        tally.add('words', 'of a contract')
      }
    })

    it('in any error become one plain line', () => {
      for (const hostile of texts) {
        const { text } = hostile
        const viems = Object.assign(new Error('x'), { shortMessage: text, details: text })
        for (const thrown of [new Error(text), text, viems])
          expectPlain(describeError(thrown), title(hostile), 500)
        const told: string[] = []
        const silent = memoryLogger()
        const error = new RialtoError('CODE', text.slice(0, 5_000), { fix: text.slice(0, 5_000) })
        tellErrors(silent, (line) => told.push(line)).error({ error: describeError(error) }, 'job failed')
        for (const line of told) expectPlain(line, title(hostile), 11_000)
        tally.add('words', 'of an error')
      }
    })

    it('in the log are one line of JSON each', async () => {
      const directory = mkdtempSync(join(tmpdir(), 'rialto-injection-'))
      try {
        const onFailure = (error: Error) => expect(error).toBe(null)
        const logger = createLogger({ directory, level: 'info', onFailure })
        for (const { text } of texts) logger.error({ error: describeError(new Error(text)) }, 'job failed')
        await logger.close()
        const lines = readFileSync(logger.path, 'utf8').trimEnd().split('\n')
        expect(lines).toHaveLength(texts.length)
        for (const line of lines) {
          expect(JSON.parse(line)).toMatchObject({ level: 50, msg: 'job failed' })
          expectPlain(line, 'log', 2_000)
        }
      } finally {
        rmSync(directory, { recursive: true })
      }
    })

    it('that a person asked for keep their lines and drive no terminal', () => {
      for (const hostile of texts) {
        const shown = printable(hostile.text)
        expect(shown, title(hostile)).not.toMatch(/[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069\p{Zl}\p{Zp}]/u)
        if (isPlain(hostile.text)) expect(shown).toBe(hostile.text)
        tally.add('words', 'shown on a terminal')
      }
    })

    it('in a report stand under their own decision, and forge no finding', () => {
      for (const hostile of texts) {
        const report = reportOf(hostile)
        const [decision] = report.decisions
        expect(decision?.reason.split(SEPARATOR), title(hostile)).toHaveLength(2)
        expect(decision?.reason.endsWith(`${SEPARATOR}SIMULATION_REVERTED: It reverts.`)).toBe(true)
        const lines = renderReport(report).split('\n')
        for (const line of lines) expectPlain(line, title(hostile), 700)
        expect(lines.filter((line) => /^\s*[A-Z]+_[A-Z_]+: /.test(line))).toHaveLength(1)
        tally.add('words', 'in a report')
      }
    })

    it('as the symbol of a token are refused by the address book', async () => {
      const directory = mkdtempSync(join(tmpdir(), 'rialto-injection-'))
      const path = join(directory, 'book.json')
      const { addressBook } = context.scene.world
      try {
        writeFileSync(path, JSON.stringify(addressBook))
        expect(await loadAddressBook(path)).toMatchObject({ chainId: addressBook.chainId })
        for (const hostile of texts) {
          const tokens = addressBook.tokens.map((token) => ({ ...token, symbol: hostile.text }))
          writeFileSync(path, JSON.stringify({ ...addressBook, tokens }))
          const error = await loadAddressBook(path).catch((reason: unknown) => reason)
          // A name that is a symbol like any other is only a name.
          if (/^[A-Za-z0-9.]{1,20}$/.test(hostile.text)) continue
          expect(error, title(hostile)).toBeInstanceOf(ConfigError)
          expectPlain(explain(error).line, title(hostile), 2_000)
          tally.add('words', 'refused as a symbol')
        }
      } finally {
        rmSync(directory, { recursive: true })
      }
    })
  })
}

/** A report of one rescue that the model explained with a text, and that was denied. */
function reportOf({ text }: HostileText) {
  const fate = { liquidated: false, minHealthFactor: '1.1', equityUsd: { start: '1.0', end: '1.0' } }
  const id = `guardian.0x${'01'.repeat(32)}`
  const finding = { guard: 'simulation', allowed: false, code: 'SIMULATION_REVERTED', message: 'It reverts.' }
  const verdict = { phase: 'effect', allowed: false, findings: [finding], policyVersion: '1' }
  return makeReport({
    ...{ scenario: 'test', seed: 1, blocks: 1, completed: true, passRule: 'completes' },
    ...{ guarded: fate, twin: fate, attempts: [], model: 'double', book: {}, durationMs: 0 },
    runs: [
      {
        id,
        blockNumber: 1n,
        decision: { intent: 'repay', reason: reasonOf(text), candidates: 2, inferenceCalls: 1 },
      },
    ],
    intents: [{ id: 'i', runId: id, status: 'denied', action: { kind: 'repay' }, verdicts: [verdict] }],
  } as never)
}

/** A reason as the guardian makes one of a model's words. */
const reasonOf = (text: string): string => `Repay. The model: “${cleanReason(text)}”`
