import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'
import { explain, outliveReaders, paint, printable, printablePainted } from './terminal.ts'

describe('outliveReaders', () => {
  /** A process whose streams can break. */
  function host() {
    const written: string[] = []
    const stream = () => Object.assign(new EventEmitter(), { write: (text: string) => written.push(text) })
    const stub = Object.assign(new EventEmitter(), {
      stdout: stream(),
      stderr: stream(),
      exitCode: 0 as number | undefined,
    })
    outliveReaders(stub as unknown as Parameters<typeof outliveReaders>[0])
    return { stub, written }
  }
  const failure = (code: string) => Object.assign(new Error('write'), { code })

  it('takes no notice of readers who went away', () => {
    const { stub, written } = host()
    stub.stdout.emit('error', failure('EPIPE'))
    stub.stderr.emit('error', failure('EPIPE'))
    stub.stderr.emit('error', failure('EIO'))
    stub.emit('exit')
    expect(written).toEqual([])
    expect(stub.exitCode).toBe(0)
  })

  it('fails when the answer cannot be written, whatever the command ends with', () => {
    const { stub, written } = host()
    stub.stdout.emit('error', failure('ENOSPC'))
    stub.exitCode = 0
    stub.emit('exit')
    expect(written).toEqual(['rialto: standard output cannot be written (ENOSPC).\n'])
    expect(stub.exitCode).toBe(1)
  })
})

describe('paint', () => {
  it('colours for eyes alone', () => {
    const before = process.env.NO_COLOR
    try {
      delete process.env.NO_COLOR
      const terminal = { isTTY: true } as NodeJS.WriteStream
      expect(paint('red', 'x', terminal)).toBe('\u001b[31mx\u001b[0m')
      expect(paint('red', 'x', { isTTY: false } as NodeJS.WriteStream)).toBe('x')
      process.env.NO_COLOR = '1'
      expect(paint('red', 'x', terminal)).toBe('x')
    } finally {
      if (before === undefined) delete process.env.NO_COLOR
      else process.env.NO_COLOR = before
    }
  })
})

describe('printable', () => {
  it('keeps lines, tabs and every script, and our own colours where there are any', () => {
    const text = 'eins\n\tzwei\nسلام، می‌خواهم 👩‍🚀'
    expect(printable(text)).toBe(text)
    const painted = `${text} \u001b[31mx\u001b[0m`
    const before = process.env.NO_COLOR
    try {
      delete process.env.NO_COLOR
      expect(printablePainted(painted, { isTTY: true })).toBe(painted)
      expect(printablePainted(`${painted}\u001b[5m`, { isTTY: true })).toBe(`${painted}\ufffd[5m`)
      expect(printablePainted(painted, { isTTY: false })).toBe(`${text} \ufffd[31mx\ufffd[0m`)
    } finally {
      if (before !== undefined) process.env.NO_COLOR = before
    }
  })

  it.each([
    ['a title', '\u001b]0;owned\u0007', '\ufffd]0;owned\ufffd'],
    ['a cleared screen', '\u001b[2J\u001b[H', '\ufffd[2J\ufffd[H'],
    ['concealed and blinking text', '\u001b[8m\u001b[5m', '\ufffd[8m\ufffd[5m'],
    ['a carriage return over what was said', 'denied\rallowed', 'denied\ufffdallowed'],
    ['an eight-bit control sequence', '\u009b2J', '\ufffd2J'],
    ['text turned around', '\u202edlog', '\ufffddlog'],
  ])('shows %s and does not let it happen', (_, text, shown) => {
    expect(printable(text)).toBe(shown)
  })
})

describe('explain', () => {
  it('tells wrong use from failure, in one line', () => {
    expect(explain(new InvalidInputError('No.', { fix: 'Yes.' }))).toEqual({ line: 'No. Yes.', exitCode: 2 })
    expect(explain(new RialtoError('LOST', 'Lost.'))).toEqual({ line: 'Lost.', exitCode: 1 })
    expect(explain(new Error('first\nsecond'))).toEqual({ line: 'first', exitCode: 1 })
  })
})
