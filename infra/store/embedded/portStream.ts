import { Duplex } from 'node:stream'
import type { MessagePort } from 'node:worker_threads'
import { DatabaseLostError } from '../errors.ts'

/** Opens a new connection to the worker, or says why there can be none. */
export type Dial = () => MessagePort

/**
 * A socket to PostgreSQL that is no socket: what `pg` writes goes to the worker as messages, and what the worker
 * answers is read here. It is what `pg` takes as its `stream`.
 *
 * Nothing listens on a port or a path, so no one else on the machine can write to the journal.
 */
export class PortStream extends Duplex {
  readonly #dial: Dial
  #port: MessagePort | null = null

  constructor(dial: Dial) {
    super()
    this.#dial = dial
  }

  /** Called by `pg` with the port and host of its configuration, which mean nothing here. */
  connect(): this {
    try {
      const port = this.#dial()
      this.#port = port
      port.on('message', (bytes: Uint8Array) => this.push(bytes))
      port.on('close', () => {
        this.#port = null
        // An answer that was cut off must not look like an orderly end.
        if (this.writableEnded) this.push(null)
        else this.destroy(new DatabaseLostError('the embedded database', 'it ended'))
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
