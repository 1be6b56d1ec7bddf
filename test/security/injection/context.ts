import { type ScriptedModel, startScriptedModel } from '../../../agents/lending-guardian/testModel.ts'
import { startWorld, type World } from '../../../infra/world/world.ts'
import { InvariantError } from '../../../runtime/core/errors.ts'
import type { HostileText } from './corpus.ts'
import { type Orders, readOrders } from './obey.ts'
import { type Moment, openScene, type Scene } from './scene.ts'
import { createTally, type Tally } from './tally.ts'

/** What all parts of the suite share: the texts, the scene that they are played in, and the count. */
export type Context = {
  readonly texts: readonly HostileText[]
  readonly tally: Tally
  /** @throws {InvariantError} before {@link Context.open}. */
  readonly scene: Scene
  readonly model: ScriptedModel
  /** A head under the trigger, where the guardian may wait. The chain has moved on once `urgent` was asked for. */
  worried(): Promise<Moment>
  /** A head under the hard floor, where nobody may. */
  urgent(): Promise<Moment>
  ordersOf(text: HostileText): Orders
  open(): Promise<void>
  close(): Promise<void>
}

export function createContext(texts: readonly HostileText[]): Context {
  const orders = new Map(texts.map((text) => [text, readOrders(text.text)]))
  let opened: { world: World; scene: Scene; model: ScriptedModel } | null = null
  let moments: { worried?: Promise<Moment>; urgent?: Promise<Moment> } = {}
  const here = () => {
    if (opened === null) throw new InvariantError('The scene is not open.')
    return opened
  }
  return {
    texts,
    tally: createTally(),
    get scene() {
      return here().scene
    },
    get model() {
      return here().model
    },
    worried: () => (moments.worried ??= here().scene.worried()),
    urgent: () => (moments.urgent ??= here().scene.urgent()),
    ordersOf: (text) => orders.get(text) ?? readOrders(text.text),
    async open() {
      const [world, model] = await Promise.all([startWorld(), startScriptedModel()])
      opened = { world, model, scene: await openScene(world) }
    },
    async close() {
      await Promise.all([opened?.world.stop(), opened?.model.close()])
      opened = null
      moments = {}
    },
  }
}

/** What a failure is told by. */
export const title = ({ kind, name }: HostileText, ...more: readonly string[]): string =>
  [kind, name, ...more].join('/')
