/**
 * What a drill can kill.
 *
 * | target | what happens |
 * |---|---|
 * | `nothing` | nothing: how long the agent itself takes |
 * | `inference` | the model's network ends under the agent |
 * | `queue` | Redis, or the embedded Valkey, ends under the engine |
 * | `journal` | PostgreSQL, or PGlite, ends under the engine |
 * | `agent` | the runtime hangs and answers nobody any more (SIGSTOP) |
 * | `workers` | the runtime, with all workers, is killed (SIGKILL) |
 */
export const drillTargets = ['nothing', 'inference', 'queue', 'journal', 'agent', 'workers'] as const
export type DrillTarget = (typeof drillTargets)[number]

/** What the runtime under rehearsal is told over its channel. */
export type DrillOrder = { readonly kill: 'inference' | 'queue' | 'journal' }
/** What it answers. */
export type DrillAnswer = { readonly killed: DrillOrder['kill'] } | { readonly ready: true }
