import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { InvalidInputError } from '../../../runtime/core/errors.ts'
import { loadCorpus } from './corpus.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rialto-corpus-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const put = (path: string, content: string) => {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), content)
}

describe('loadCorpus', () => {
  it('reads texts, escapes, repetitions and messages, of any kind of folder', () => {
    put('a-new-kind/plain.txt', 'one\ntwo\n')
    put('a-new-kind/escaped.json', '{"text": "\\u001b[2J", "note": "clears"}')
    put('more/long.json', '{"before": "<", "text": "ab", "times": 3, "after": ">"}')
    put('more/message.json', '{"message": {"content": null, "refusal": "no"}}')
    expect(loadCorpus(folder)).toEqual([
      { kind: 'a-new-kind', name: 'escaped', text: '\u001b[2J', message: null },
      { kind: 'a-new-kind', name: 'plain', text: 'one\ntwo', message: null },
      { kind: 'more', name: 'long', text: '<ababab>', message: null },
      {
        kind: 'more',
        name: 'message',
        text: '{"content":null,"refusal":"no"}',
        message: { content: null, refusal: 'no' },
      },
    ])
  })

  it.each([
    ['kind/empty.txt', '\n', 'is empty'],
    ['kind/broken.json', '{"text": ', 'is no JSON'],
    ['kind/other.json', '{"words": "x"}', 'holds neither a text nor a message'],
    ['kind/both.json', '{"text": "x", "message": {}}', 'holds neither a text nor a message'],
    ['kind/notes.md', 'x', 'is no <name>.txt or <name>.json'],
    ['kind/Upper Case.txt', 'x', 'is no <name>.txt or <name>.json'],
    ['kind/folder/deeper.txt', 'x', 'is no <name>.txt or <name>.json'],
    ['lonely.txt', 'x', 'lies outside of a kind'],
  ])('names %s, which is none', (path, content, problem) => {
    put(path, content)
    expect(() => loadCorpus(folder)).toThrow(InvalidInputError)
    expect(() => loadCorpus(folder)).toThrow(problem)
  })
})
