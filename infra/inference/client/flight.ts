import type { Field } from '../protocol/bhttp/message.ts'
import type { DeliveryEvent } from './deliver.ts'
import type { NodeAnswerReader } from './sealForNode.ts'
import type { AnswerWatch } from './watchAnswer.ts'

/** How an answer begins. */
export type Beginning =
  | { readonly kind: 'answer'; readonly status: number; readonly headers: readonly Field[] }
  /** The gateway refused; `content` is its problem. */
  | { readonly kind: 'refused'; readonly status: number; readonly content: Uint8Array }
  /** Nothing that can be read came. */
  | { readonly kind: 'failed'; readonly error: unknown }

/** How a payment ended, as the gateway says; undefined when its answer's end did not arrive. */
export type Ending =
  | {
      readonly trailers: readonly Field[]
      /** The gateway's problem, when it refused. */
      readonly problem: Uint8Array | null
    }
  | undefined

/**
 * A payment on its way and the answer that comes back. Whatever happens to who reads it, it can be followed to its
 * end, so that the change is never lost.
 */
export type Flight = {
  /** Waits for the beginning. */
  begin(): Promise<Beginning>
  /** The next piece of the body, or undefined at its end. @throws what shows that the answer is not what was sent */
  read(): Promise<Uint8Array | undefined>
  /** Follows the rest to its end, keeping nothing of it, and then {@link Flight.landed} has resolved. */
  drain(): Promise<void>
  /** Resolves, and never rejects, with what the settlement came to. */
  readonly landed: Promise<void>
}

/**
 * @param parameters.watch is shown the body, drained or read, once its head is known
 * @param parameters.land settles the payment; called once, and it must not reject
 */
export function startFlight(parameters: {
  readonly delivery: AsyncGenerator<DeliveryEvent, void, undefined>
  readonly reader: NodeAnswerReader
  readonly watch: (status: number, headers: readonly Field[]) => AnswerWatch
  readonly land: (ending: Ending, watch: AnswerWatch | undefined) => Promise<void>
}): Flight {
  const { delivery, reader } = parameters
  const queue: Uint8Array[] = []
  let watch: AnswerWatch | undefined
  let refused: Extract<DeliveryEvent, { kind: 'refused' }> | undefined
  let fault: { readonly error: unknown } | undefined
  let isOver = false
  let isDraining = false
  let turn: Promise<unknown> = Promise.resolve()
  let resolveLanded: () => void = () => undefined
  const landed = new Promise<void>((resolve) => {
    resolveLanded = resolve
  })

  const take = (bytes: Uint8Array): void => {
    if (reader.head !== undefined) watch ??= parameters.watch(reader.head.status, reader.head.headers)
    if (bytes.length === 0) return
    watch?.push(bytes)
    if (!isDraining) queue.push(bytes)
  }

  async function land(ending: Ending): Promise<void> {
    isOver = true
    try {
      await parameters.land(ending, watch)
    } finally {
      // Whoever waits must not wait for ever, whatever went wrong.
      resolveLanded()
    }
  }

  /** Takes the next event of the delivery. */
  async function step(): Promise<void> {
    if (isOver) return
    let event: DeliveryEvent
    try {
      const { done, value } = await delivery.next()
      if (done === true) return await land(undefined)
      event = value
    } catch (error) {
      fault ??= { error }
      return land(undefined)
    }
    if (event.kind === 'refused') {
      refused = event
      // In the middle of an answer a refusal is the loss of its rest.
      if (reader.head !== undefined) await openWith(() => reader.end())
      return land({ trailers: event.trailers, problem: event.content })
    }
    if (event.kind === 'content') {
      const { bytes } = event
      return openWith(() => reader.push(bytes))
    }
    await openWith(() => reader.end())
    return land({ trailers: event.trailers, problem: null })
  }

  /** Opens sealed bytes. Behind a fault nothing is opened any more, but the delivery goes on: its end has the change. */
  async function openWith(open: () => Promise<Uint8Array>): Promise<void> {
    if (fault !== undefined) return
    try {
      take(await open())
    } catch (error) {
      fault = { error }
    }
  }

  /** One step at a time, whoever asks for it. */
  const advance = (): Promise<void> => {
    const next = turn.then(step)
    turn = next
    return next
  }

  return {
    landed,
    async begin() {
      while (reader.head === undefined && fault === undefined && !isOver) await advance()
      if (reader.head !== undefined) return { kind: 'answer', ...reader.head }
      if (refused !== undefined) return { kind: 'refused', status: refused.status, content: refused.content }
      return { kind: 'failed', error: fault?.error }
    },
    async read() {
      for (;;) {
        const bytes = queue.shift()
        if (bytes !== undefined) return bytes
        if (fault !== undefined) throw fault.error
        if (isOver) return undefined
        await advance()
      }
    },
    async drain() {
      isDraining = true
      queue.length = 0
      while (!isOver) await advance()
      await landed
    },
  }
}
