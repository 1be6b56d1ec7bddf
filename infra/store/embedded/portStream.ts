import { Duplex } from 'node:stream'
import type { MessagePort } from 'node:worker_threads'
import type { Failure, FromConnection } from './messages.ts'

/** The way to the worker. */
export type Line = {
  /** Opens a new connection, or throws why there can be none. */
  dial(): MessagePort
  /** What it means that the worker ended the connection. */
  explain(failure: Failure): Error
}

/**
 * A socket to PostgreSQL that is no socket: what `pg` writes goes to the worker as messages, and what the worker
 * answers is read here. It is what `pg` takes as its `stream`.
 *
 * Nothing listens on a port or a path, so no one else on the machine can write to the journal.
 */
export class PortStream extends Duplex {
  readonly #line: Line
  #port: MessagePort | null = null

  constructor(line: Line) {
    super()
    this.#line = line
  }

  /** Called by `pg` with the port and host of its configuration, which mean nothing here. */
  connect(): this {
    try {
      const port = this.#line.dial()
      this.#port = port
      port.on('message', (said: FromConnection) => {
        if (said instanceof Uint8Array) this.push(said)
        else this.destroy(this.#line.explain(said))
      })
      port.on('close', () => {
        this.#port = null
        // An answer that was cut off must not look like an orderly end.
        if (this.writableEnded) this.push(null)
        else this.destroy(this.#line.explain({ kind: 'failed', reason: 'it ended', code: null }))
      })
      process.nextTick(() => this.emit('connect'))
    } catch (error) {
      this.destroy(error as Error)
    }
    return this
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#send(chunk, done)
  }

  /** `pg` corks the messages of one query, so that they arrive, and are answered, as one. */
  override _writev(chunks: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#send(Buffer.concat(chunks.map(({ chunk }) => chunk)), done)
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#port?.close()
    done()
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#port?.close()
    done(error)
  }

  #send(chunk: Buffer, done: (error?: Error | null) => void): void {
    // A copy: small buffers share one allocation, which cannot be handed over.
    const bytes = new Uint8Array(chunk)
    this.#port?.postMessage(bytes, [bytes.buffer])
    done()
  }

  // What `pg` asks of a socket besides.
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    this.#port?.ref()
    return this
  }
  unref(): this {
    this.#port?.unref()
    return this
  }
}
