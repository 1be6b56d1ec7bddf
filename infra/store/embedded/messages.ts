import type { MessagePort } from 'node:worker_threads'

/** What the worker is started with. */
export type WorkerTask =
  /** Fill a new data directory from an image, which is made first if it is not there, and end. */
  | { readonly kind: 'fill'; readonly dataDirectory: string; readonly image: string }
  /** Serve a data directory until told to close. */
  | { readonly kind: 'serve'; readonly dataDirectory: string }

/** What the worker is told. */
export type ToWorker = { readonly kind: 'connect'; readonly port: MessagePort } | { readonly kind: 'close' }

/** The last word of a worker, or of a connection to it. */
export type Failure = { readonly kind: 'failed'; readonly reason: string; readonly code: string | null }

/** What the worker says. */
export type FromWorker = { readonly kind: 'ready' } | { readonly kind: 'closed' } | Failure

/** What a connection says: bytes of PostgreSQL's protocol, until it fails. */
export type FromConnection = Uint8Array | Failure
