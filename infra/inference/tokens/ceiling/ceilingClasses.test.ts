import { expect, it } from 'vitest'
import { ceilingClasses, ceilingClassFor, isCeilingClass } from './ceilingClasses.ts'

it.each([
  [0, 1],
  [1, 1],
  [2, 4],
  [4, 4],
  [5, 16],
  [16, 16],
])('pays a worst cost of %i with %i tokens', (cost, tokens) => {
  expect(ceilingClassFor(cost)).toBe(tokens)
})

it('refuses what no class covers and what is no number of tokens', () => {
  for (const cost of [17, 1e9, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => ceilingClassFor(cost)).toThrow(expect.objectContaining({ code: 'CEILING' }))
})

it('knows its classes', () => {
  for (let tokens = -1; tokens < 20; tokens++)
    expect(isCeilingClass(tokens)).toBe(ceilingClasses.some((each) => each === tokens))
})
