import { SITUATION_SCHEMA_ID, type Situation } from '../../../agents/lending-guardian/schema.ts'

/** A position under its trigger in a market that has just begun to fall, with a way to protect it. */
export const situation: Situation = {
  schema: SITUATION_SCHEMA_ID,
  healthFactor: 1.05,
  hardFloor: 1.03,
  target: 1.25,
  horizonBlocks: 50,
  market: { volatilityBps: 20, driftBps: -10, poolDeviationBps: -50 },
  liquidation: { bonusBps: 750, closeFactorBps: 5_000 },
  candidates: [
    {
      id: 'c1',
      kind: 'protect',
      sizeBounds: [1, 100],
      projections: [
        { size: 25, healthFactorAfter: 1.1, costBps: 30, debtAfter: 1 },
        { size: 50, healthFactorAfter: 1.15, costBps: 30, debtAfter: 0.95 },
        { size: 75, healthFactorAfter: 1.2, costBps: 30, debtAfter: 0.9 },
        { size: 100, healthFactorAfter: 1.25, costBps: 30, debtAfter: 0.85 },
      ],
    },
    {
      id: 'c2',
      kind: 'wait',
      sizeBounds: [0, 0],
      projections: [{ size: 0, healthFactorAfter: 1.05, costBps: 0, debtAfter: 1 }],
    },
  ],
}
