import type { MessagePort } from 'node:worker_threads'

/** What the worker is started with. */
export type WorkerTask =
  | { readonly kind: 'template'; readonly file: string }
  | {
      readonly kind: 'serve'
      readonly dataDirectory: string
      /** The image a new data directory is filled from; null when there is one already. */
      readonly template: string | null
    }

/** What the worker is told. */
export type ToWorker = { readonly kind: 'connect'; readonly port: MessagePort } | { readonly kind: 'close' }

/** What the worker says. `failed` is its last word. */
export type FromWorker =
  | { readonly kind: 'ready' }
  | { readonly kind: 'closed' }
  | { readonly kind: 'failed'; readonly reason: string; readonly code: string | null }
