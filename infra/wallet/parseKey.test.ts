import fc from 'fast-check'
import * as Mnemonic from 'ox/Mnemonic'
import { privateKeyToAddress } from 'viem/accounts'
import { describe, expect, test } from 'vitest'
import { RialtoError } from '../../runtime/core/errors.ts'
import { FIRST_ACCOUNT, openForeignFile, parseMnemonic, parsePrivateKey } from './parseKey.ts'

// The mnemonic of anvil and Hardhat, and its first accounts as they print them.
const JUNK = 'test test test test test test test test test test test junk'
const KEY = '0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80'

function failureOf(work: () => unknown): RialtoError {
  try {
    work()
  } catch (error) {
    if (error instanceof RialtoError) return error
    throw error
  }
  return expect.unreachable()
}

describe('parsePrivateKey', () => {
  test.each([KEY, KEY.slice(2), ` ${KEY.toUpperCase().replace('0X', '0x')}\n`])('takes %j', (text) => {
    expect(parsePrivateKey(text)).toBe(KEY)
  })

  const ORDER = 'fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141'
  test.each<[string, string]>([
    ['nothing', ''],
    ['a digit too few', KEY.slice(0, -1)],
    ['a digit too many', `${KEY}0`],
    ['a letter that is none', KEY.replace('a', 'g')],
    ['an address', privateKeyToAddress(KEY)],
    ['zero', '00'.repeat(32)],
    ['the order of the curve', ORDER],
    ['more than that', 'ff'.repeat(32)],
  ])('refuses %s without showing it', (_what, text) => {
    const error = failureOf(() => parsePrivateKey(text))
    expect(error.code).toBe('PRIVATE_KEY')
    expect(text !== '' && JSON.stringify([error.toLine(), error.details]).includes(text)).toBe(false)
  })

  test('takes the greatest there is', () => {
    expect(parsePrivateKey(ORDER.replace(/1$/, '0'))).toMatch(/0$/)
  })
})

describe('parseMnemonic', () => {
  test.each([
    [FIRST_ACCOUNT, '0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266'],
    ["m/44'/60'/0'/0/1", '0x70997970C51812dc3A010C7d01b50e0d17dc79C8'],
    ["m/44'/60'/0'/0/9", '0xa0Ee7A142d267C1f36714E4a8F75612F20a79720'],
  ])('derives %s', (path, address) => {
    expect(privateKeyToAddress(parseMnemonic(JUNK, path))).toBe(address)
  })

  // From the test vectors of BIP-39 (trezor/python-mnemonic), with the address that follows from BIP-44.
  test('derives from 24 words', () => {
    const words = `${'abandon '.repeat(23)}art`
    expect(privateKeyToAddress(parseMnemonic(words, FIRST_ACCOUNT))).toBe(
      '0xF278cF59F82eDcf871d630F28EcC8056f25C1cdb',
    )
  })

  test('does not mind how it is written', () => {
    expect(parseMnemonic(`\n ${JUNK.toUpperCase().replaceAll(' ', '  \t')}\r\n`, FIRST_ACCOUNT)).toBe(KEY)
  })

  test.each<[string, string, RegExp]>([
    ['nothing', '', /one word, not 12/],
    ['eleven words', JUNK.replace('test ', ''), /11 words/],
    ['a word that is none', JUNK.replace('junk', 'junkk'), /word 12 is not on the English list/],
    ['words of the list with a wrong checksum', JUNK.replace('junk', 'zoo'), /checksum/],
  ])('refuses %s without showing it', (_what, text, message) => {
    const error = failureOf(() => parseMnemonic(text, FIRST_ACCOUNT))
    expect(error).toMatchObject({ code: 'MNEMONIC', message: expect.stringMatching(message) })
    expect(error.toLine()).not.toMatch(/junk|zoo/)
  })

  test.each(['', 'm', '44/60', "m/44'/60'/x", 'm/-1', 'm/2147483648', "m/44''", `m${'/0'.repeat(11)}`])(
    'refuses the path %j',
    (path) => {
      expect(failureOf(() => parseMnemonic(JUNK, path))).toMatchObject({
        code: 'MNEMONIC',
        fix: expect.stringContaining(FIRST_ACCOUNT),
      })
    },
  )

  test('notices nearly every word that is wrong, and every one that is not on the list', () => {
    let unnoticed = 0
    let changed = 0
    fc.assert(
      fc.property(fc.nat(11), fc.constantFrom(...Mnemonic.english), (at, word) => {
        const words = JUNK.split(' ')
        if (words[at] === word) return
        words[at] = word
        changed += 1
        if (Mnemonic.validate(words.join(' '), Mnemonic.english)) {
          unnoticed += 1
          return
        }
        expect(failureOf(() => parseMnemonic(words.join(' '), FIRST_ACCOUNT)).code).toBe('MNEMONIC')
      }),
      { seed: 7, numRuns: 200 },
    )
    // Four bits of checksum: one in sixteen.
    expect(unnoticed / changed).toBeLessThan(1 / 8)
  })
})

test.each([
  ['no json', 'it is'],
  ['{}', 'version'],
  ['{"version":3,"crypto":{"kdf":"argon2"}}', 'crypto.kdf is'],
])('what is no key file of another tool is refused: %s', (text, where) => {
  expect(failureOf(() => openForeignFile('the file', text, Buffer.from('x')))).toMatchObject({
    code: 'KEY_FILE',
    message: expect.stringContaining(where),
  })
})
