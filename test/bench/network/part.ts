/** Something that the bench runs in a process of its own. */
export type Part = {
  readonly url: string
  /** What it can be asked to do, by name. */
  readonly calls?: Readonly<Record<string, (argument: never) => Promise<unknown>>>
  close(): Promise<void>
}

/** Makes a part of what it is told. */
export type StartPart = (argument: never) => Promise<Part>

/** From the bench to a part. `call` is one of the part's own, or one of those that every process answers. */
export type ToPart = { readonly id: number; readonly call: string; readonly argument: unknown }
export type FromPart = { readonly id: number; readonly value?: unknown; readonly error?: string }

/** What a process has used since it began: microseconds of all its threads, in user and system mode. */
export type Usage = { readonly cpu: number }

/** In bytes. Behind a garbage collection where the process was started with `--expose-gc`. */
export type Memory = { readonly resident: number; readonly held: number }
