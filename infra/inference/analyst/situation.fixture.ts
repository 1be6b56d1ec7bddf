import { SITUATION_SCHEMA_ID, type Situation } from '../../../agents/lending-guardian/schema.ts'

/** A position under its trigger in a market that has just begun to fall, with every kind of candidate. */
export const situation: Situation = {
  schema: SITUATION_SCHEMA_ID,
  healthFactor: 1.06,
  hardFloor: 1.03,
  trigger: 1.1,
  target: 1.25,
  horizonBlocks: 50,
  returnsBps: [3, -2, 0, 5, -4, -1, 2, -12, -25, -18, -30, -22],
  poolDeviationBps: -30,
  gasCostBps: 2,
  liquidation: { thresholdBps: 8_250, bonusBps: 500, closeFactorBps: 5_000 },
  candidates: [
    {
      id: 'c1',
      kind: 'repay',
      sizeBounds: [10, 100],
      projections: [
        { size: 50, healthFactorAfter: 1.08, costBps: 8, debtAfter: 0.98 },
        { size: 100, healthFactorAfter: 1.11, costBps: 8, debtAfter: 0.95 },
      ],
    },
    {
      id: 'c2',
      kind: 'deleverage',
      sizeBounds: [5, 100],
      projections: [
        { size: 25, healthFactorAfter: 1.12, costBps: 30, debtAfter: 0.85 },
        { size: 60, healthFactorAfter: 1.25, costBps: 60, debtAfter: 0.62 },
        { size: 100, healthFactorAfter: 1.6, costBps: 110, debtAfter: 0.4 },
      ],
    },
    {
      id: 'c3',
      kind: 'wait',
      sizeBounds: [0, 0],
      projections: [{ size: 0, healthFactorAfter: 1.06, costBps: 0, debtAfter: 1 }],
    },
  ],
}
