import { InvalidInputError, RialtoError } from '../../runtime/core/errors.ts'

/** The inference URL is none that a chat API can be at. */
export class InferenceUrlError extends InvalidInputError {
  override readonly name = 'InferenceUrlError'
  constructor(problem: string) {
    super(`The inference URL ${problem}.`, {
      code: 'INFERENCE_URL',
      fix: 'Give the base URL of an OpenAI-compatible API, like http://127.0.0.1:11434/v1.',
    })
  }
}

/** Nobody answers at the inference server's address. */
export class InferenceUnreachableError extends RialtoError {
  override readonly name = 'InferenceUnreachableError'
  constructor(url: string, cause: unknown) {
    super('INFERENCE_UNREACHABLE', `No answer from the inference server at ${url}.`, {
      fix: 'Start it, or correct RIALTO_INFERENCE_URL; unset it to use the reference analyst.',
      retryable: true,
      details: { url },
      cause,
    })
  }
}

/** The inference server answered, and not as an OpenAI-compatible API does. */
export class InferenceProbeError extends RialtoError {
  override readonly name = 'InferenceProbeError'
  constructor(url: string, problem: string, fix: string, retryable = false) {
    super('INFERENCE_PROBE', `The inference server at ${url} ${problem}.`, {
      fix,
      retryable,
      details: { url },
    })
  }
}

/** The inference server does not serve the model. */
export class InferenceModelError extends InvalidInputError {
  override readonly name = 'InferenceModelError'
  constructor(url: string, model: string | undefined, served: readonly string[]) {
    const names = served.slice(0, 8).join(', ') + (served.length > 8 ? ' …' : '')
    super(
      model === undefined
        ? `The inference server at ${url} serves ${served.length} models and none is named.`
        : `The inference server at ${url} does not serve the model "${model}".`,
      {
        code: 'INFERENCE_MODEL',
        fix:
          served.length === 0
            ? 'Load a model into it first.'
            : `Set RIALTO_INFERENCE_MODEL to one of: ${names}.`,
        details: { url, model },
      },
    )
  }
}

/** No node of the private network serves the model as privately as it is asked for. */
export class NetworkModelError extends InvalidInputError {
  override readonly name = 'NetworkModelError'
  /** @param offered the words under which the network has the model; none when it does not know it */
  constructor(model: string | null, asked: string, offered: readonly string[], served: readonly string[]) {
    super(
      offered.length === 0
        ? `The private network does not serve the model "${model ?? ''}".`
        : `The private network serves the model "${model ?? ''}" as ${offered.join(' and ')}, and ${asked} is asked for.`,
      {
        code: 'INFERENCE_NETWORK_MODEL',
        fix:
          offered.length === 0
            ? served.length === 0
              ? 'Ask its operators: no node of it serves anything now.'
              : `Set RIALTO_INFERENCE_MODEL to one of: ${served.slice(0, 8).join(', ')}.`
            : 'Name another model or network, or accept the weaker word in inference.privacy.',
        details: { model, asked, offered },
      },
    )
  }
}
