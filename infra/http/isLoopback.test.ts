import { expect, it } from 'vitest'
import { isLoopback } from './isLoopback.ts'

it.each([
  ['http://127.0.0.1:1/v1', true],
  ['http://127.9.9.9', true],
  ['http://2130706433', true],
  ['http://localhost:11434', true],
  ['http://models.localhost', true],
  ['http://[::1]:8080', true],
  ['http://127.0.0.1.example.org', false],
  ['http://localhost.example.org', false],
  ['http://127.example.org', false],
  ['http://[::ffff:8.8.8.8]', false],
  ['http://0.0.0.0', false],
  ['http://192.168.1.2', false],
  ['https://api.example.org', false],
])('%s stays on this machine: %s', (url, stays) => {
  expect(isLoopback(new URL(url))).toBe(stays)
})
