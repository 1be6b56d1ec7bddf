import { expect, test } from 'vitest'
import { parseRetryAfter } from '../rpc.ts'
import { majorityOf } from './majorityOf.ts'
import { providerOf } from './providerOf.ts'
import { sameNode } from './sameNode.ts'

test.each([
  ['https://eth-mainnet.g.alchemy.com/v2/key', 'alchemy.com'],
  ['https://rpc.example.co.uk', 'example.co.uk'],
  ['https://example.org./', 'example.org'],
  ['https://node.io', 'node.io'],
  ['http://10.0.0.7:8545', '10.0.0.7'],
  ['http://[2001:db8::1]:8545', '[2001:db8::1]'],
  ['http://localhost:8545', 'this machine'],
])('%s is run by %s', (url, provider) => {
  expect(providerOf(new URL(url))).toBe(provider)
})

test.each([
  ['https://a.example.org/key1', 'https://A.example.org./key2', true],
  ['https://a.example.org', 'http://a.example.org', true],
  ['https://a.example.org', 'https://b.example.org', false],
  ['http://localhost:8545', 'http://127.0.0.1:8545/key', true],
  ['http://localhost:8545', 'http://[::1]:8545', true],
  ['http://localhost:8545', 'http://localhost:8546', false],
])('%s and %s are one node: %s', (one, other, same) => {
  expect(sameNode(one, other)).toBe(same)
  expect(sameNode(other, one)).toBe(same)
})

test.each([
  [1, 1],
  [2, 2],
  [3, 2],
  [4, 3],
  [5, 3],
])('of %i nodes, %i are a majority', (nodes, majority) => {
  expect(majorityOf(nodes)).toBe(majority)
})

test.each([
  ['7', 7_000],
  ['0', 0],
  ['Thu, 01 Jan 1970 00:01:00 GMT', 50_000],
  ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
  ['soon', null],
  [null, null],
])('Retry-After %s is %s ms from the tenth second', (header, milliseconds) => {
  expect(parseRetryAfter(header, 10_000)).toBe(milliseconds)
})
