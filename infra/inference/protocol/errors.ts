import { InvalidInputError, RialtoError } from '../../../runtime/core/errors.ts'

/**
 * The errors of the wire. None of them holds a byte of a message: what was received may be a prompt, and what
 * could not be opened is nobody's business.
 */

/** The bytes end before the structure that they began is complete. */
export class TruncatedMessageError extends RialtoError {
  override readonly name = 'TruncatedMessageError'
  /** @param what the structure that is incomplete, such as `a key configuration` */
  constructor(what: string) {
    super('WIRE_TRUNCATED', `The message ends inside ${what}.`, { fix: 'Send the whole message.' })
  }
}

/** The bytes break a rule of their format. */
export class MalformedMessageError extends RialtoError {
  override readonly name = 'MalformedMessageError'
  /** @param problem the rule that is broken, as a clause that follows "The message" */
  constructor(problem: string) {
    super('WIRE_MALFORMED', `The message ${problem}.`, { fix: 'Encode it as docs/wire.md describes.' })
  }
}

/** A message, or a part of it, is larger than its receiver takes. */
export class MessageTooLargeError extends RialtoError {
  override readonly name = 'MessageTooLargeError'
  /**
   * @param what the part that is too large, such as `a chunk`
   * @param limit the most that is taken, in bytes
   */
  constructor(what: string, limit: number) {
    super('WIRE_TOO_LARGE', `The message has ${what} of more than ${limit} bytes.`, {
      fix: 'Send less, or raise the limit of the receiver.',
      details: { limit },
    })
  }
}

/** A message that is to be encoded has a part that its format cannot carry. */
export class UnencodableMessageError extends InvalidInputError {
  override readonly name = 'UnencodableMessageError'
  /** @param problem what cannot be carried, as a clause that follows "The message" */
  constructor(problem: string) {
    super(`The message ${problem}.`, { code: 'WIRE_UNENCODABLE', fix: 'Change that part of the message.' })
  }
}

/**
 * What was received could not be opened.
 *
 * One error for every cause: a wrong key, a changed bit, a point of low order, a chunk out of its place, too few
 * bytes for a tag. It takes no argument and keeps no cause, so that no two of them can be told apart, neither by
 * whoever sent the message nor by whoever reads a log.
 */
export class DecryptionError extends RialtoError {
  override readonly name = 'DecryptionError'
  constructor() {
    super('WIRE_DECRYPTION', 'The message could not be decrypted.', {
      fix: 'Fetch the current key configuration and encapsulate the request anew.',
    })
  }
}

/** How a stream of sealed chunks was tampered with, or lost its end. */
export type StreamFault = 'truncated' | 'reordered' | 'repeated' | 'trailing'

const faultSentences: Readonly<Record<StreamFault, string>> = {
  truncated: 'The stream was cut: it ended without its authenticated final chunk.',
  reordered: 'The chunks of the stream arrived out of order, or one is missing.',
  repeated: 'A chunk of the stream arrived twice.',
  trailing: 'Bytes follow the final chunk of the stream.',
}

/** A stream of sealed chunks did not arrive as it was sent. */
export class BrokenStreamError extends RialtoError {
  override readonly name = 'BrokenStreamError'
  readonly fault: StreamFault
  constructor(fault: StreamFault) {
    super(`STREAM_${fault.toUpperCase()}`, faultSentences[fault], {
      fix: 'Discard what arrived of it; what was shown already is not the whole answer.',
      details: { fault },
    })
    this.fault = fault
  }
}

/** A key is none that this suite can use. */
export class InvalidKeyError extends InvalidInputError {
  override readonly name = 'InvalidKeyError'
  /** @param problem as a clause that follows "The key" */
  constructor(problem: string) {
    super(`The key ${problem}.`, { code: 'HPKE_KEY', fix: 'Use an X25519 key of 32 bytes.' })
  }
}

/** A context has sealed or opened as many messages as its nonces allow. */
export class MessageLimitError extends RialtoError {
  override readonly name = 'MessageLimitError'
  constructor() {
    super('HPKE_MESSAGE_LIMIT', 'The encryption context has used up its sequence numbers.', {
      fix: 'Start a new request.',
    })
  }
}

/** No key configuration on offer has a suite that is spoken here. */
export class UnsupportedKeyConfigError extends RialtoError {
  override readonly name = 'UnsupportedKeyConfigError'
  constructor() {
    super('OHTTP_UNSUPPORTED_CONFIG', 'No key configuration offers a suite that is supported here.', {
      fix: 'Offer DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-128-GCM.',
    })
  }
}

/**
 * A request names a key, or a suite, that its receiver does not have.
 *
 * Key identifier and suite are in the clear, so that this tells nobody anything. A gateway answers with the
 * problem type {@link OHTTP_KEY_PROBLEM} (RFC 9458, section 5.3).
 */
export class UnknownKeyError extends RialtoError {
  override readonly name = 'UnknownKeyError'
  /** @param keyId the identifier that the request names */
  constructor(keyId: number) {
    super('OHTTP_KEY', 'The request is sealed for a key configuration that is not in use.', {
      fix: 'Fetch the current key configuration and encapsulate the request anew.',
      details: { keyId },
    })
  }
}

/** An encapsulated key was seen before: the request is a replay. */
export class ReplayedRequestError extends RialtoError {
  override readonly name = 'ReplayedRequestError'
  constructor() {
    super('OHTTP_REPLAY', 'The request was received before.', { fix: 'Encapsulate the request anew.' })
  }
}

/** So many requests used one key configuration that a replay could no longer be told. */
export class ReplaySetFullError extends RialtoError {
  override readonly name = 'ReplaySetFullError'
  /** @param capacity how many requests one key configuration serves */
  constructor(capacity: number) {
    super('OHTTP_REPLAY_FULL', `The key configuration has served its ${capacity} requests.`, {
      fix: 'Rotate to a new key configuration.',
      retryable: true,
      details: { capacity },
    })
  }
}
