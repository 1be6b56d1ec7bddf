import { beforeEach, expect, it } from 'vitest'
import { createMeasurements, type NodeMeasurements } from './measurements.ts'

const nodes = [{ name: 'node', models: new Set(['model', 'other']) }]
let time = 0
let measurements: NodeMeasurements
beforeEach(() => {
  time = 0
  measurements = createMeasurements(() => time)
})

const record = (count: number, firstByte: number, failed = false) => {
  for (let each = 0; each < count; each++) measurements.record('node', 'model', { firstByte, failed })
}
const told = () => measurements.snapshot(nodes).nodes.find(({ model }) => model === 'model')
const later = () => {
  time += 600_000
}
const nothing = { node: 'node', model: 'model', firstByteMs: null, errorPercent: 0 }

it('tells of nothing that fewer than eight requests made', () => {
  record(7, 137)
  expect(told()).toEqual(nothing)
  later()
  expect(told()).toEqual(nothing)
  record(1, 137)
  later()
  expect(told()).toEqual({ ...nothing, firstByteMs: 200 })
})

it('tells everybody the same for ten minutes, whatever happens', () => {
  record(8, 40)
  const before = told()
  expect(before).toEqual({ ...nothing, firstByteMs: 50 })
  record(100, 4_000, true)
  time += 599_999
  expect(told()).toEqual(before)
  time += 1
  expect(told()).toEqual({ ...nothing, firstByteMs: 5_000, errorPercent: 100 })
})

it('does not show one request among those that were told of before', () => {
  record(8, 40)
  const before = told()
  later()
  record(1, 90_000, true)
  expect(told()).toEqual(before)
})

it('keeps models and nodes apart', () => {
  record(8, 40)
  expect(measurements.snapshot(nodes).nodes).toEqual([
    { ...nothing, firstByteMs: 50 },
    { ...nothing, model: 'other' },
  ])
  expect(measurements.snapshot([{ name: 'node-2', models: new Set(['model']) }]).nodes).toEqual([
    { ...nothing, node: 'node-2' },
  ])
})
