/** What the worker of the embedded queue server says. `failed` is its last word. */
export type FromQueueWorker =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly reason: string }

/** What the worker is started with. */
export type QueueWorkerTask = { readonly host: string }
