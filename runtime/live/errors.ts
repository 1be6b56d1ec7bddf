import { RialtoError } from '../core/errors.ts'

/** The queue does not answer, has lost the job, or nobody works on it. */
export class QueueLostError extends RialtoError {
  override readonly name = 'QueueLostError'
  constructor(queue: string, job: string, why: string) {
    super('QUEUE_LOST', `The queue "${queue}" is of no use for job ${job}: ${why}.`, {
      retryable: true,
      fix: 'Check the Redis server; until it answers, this process does the work by itself.',
      details: { queue, job, why },
    })
  }
}

/** A job failed for good. Its error is known to the worker that it failed on; this is its line for a person. */
export class JobFailedError extends RialtoError {
  override readonly name = 'JobFailedError'
  constructor(job: string, why: string) {
    super('JOB_FAILED', why, { details: { job } })
  }
}
