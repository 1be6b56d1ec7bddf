import { InvalidInputError } from '../../../runtime/core/errors.ts'

/** A path was asked for with a number of blocks that the scenario cannot be played in. */
export class ScenarioBlocksError extends InvalidInputError {
  override readonly name = 'ScenarioBlocksError'
  constructor(scenario: string, blocks: number, bounds: { min: number; max: number; reason: string }) {
    super(
      `${scenario} plays over ${bounds.min} to ${bounds.max} blocks (${bounds.reason}), and ${blocks} were asked for.`,
      {
        code: 'SCENARIO_BLOCKS',
        fix: `Give --blocks a whole number from ${bounds.min} to ${bounds.max}.`,
        details: { scenario, blocks, min: bounds.min, max: bounds.max },
      },
    )
  }
}

/** A seed that is no unsigned 32-bit integer: the generator would fold it onto another seed's path. */
export class ScenarioSeedError extends InvalidInputError {
  override readonly name = 'ScenarioSeedError'
  constructor(seed: number) {
    super(`${seed} is no seed: a seed is a whole number from 0 to 4294967295.`, {
      code: 'SCENARIO_SEED',
      fix: 'Give --seed such a number.',
      details: { seed },
    })
  }
}

/** The word after `--scenario` names neither a scenario nor a file. */
export class UnknownScenarioError extends InvalidInputError {
  override readonly name = 'UnknownScenarioError'
  constructor(asked: string, known: readonly string[], closest: string | undefined) {
    super(`"${asked}" is neither a scenario (${known.join(', ')}) nor a file.`, {
      code: 'UNKNOWN_SCENARIO',
      fix:
        closest === undefined
          ? 'Name one of these, or give the path of an OHLCV CSV file.'
          : `Did you mean ${closest}?`,
      details: { asked, known, closest },
    })
  }
}

/** Options that contradict one another, or the scenario they were given with. */
export class ScenarioOptionsError extends InvalidInputError {
  override readonly name = 'ScenarioOptionsError'
  constructor(message: string, fix: string, details: Readonly<Record<string, unknown>>) {
    super(message, { code: 'SCENARIO_OPTIONS', fix, details })
  }
}

/** The price file is missing, a directory, not allowed to be read, too large, or no UTF-8 text. */
export class PriceFileUnreadableError extends InvalidInputError {
  override readonly name = 'PriceFileUnreadableError'
  constructor(file: string, why: string, parameters: { fix: string; cause?: unknown }) {
    super(`The price file ${file} ${why}.`, {
      code: 'PRICE_FILE_UNREADABLE',
      fix: parameters.fix,
      details: { file },
      ...(parameters.cause === undefined ? {} : { cause: parameters.cause }),
    })
  }
}

/** What is wrong at one line of a price file; lines count from 1, the header included. */
export class PriceFileLineError extends InvalidInputError {
  override readonly name: string = 'PriceFileLineError'
  readonly file: string
  readonly line: number
  constructor(
    at: { file: string; line: number },
    message: string,
    parameters: { code: string; fix: string; details?: Readonly<Record<string, unknown>>; cause?: unknown },
  ) {
    super(`${at.file}:${at.line}: ${message}`, {
      code: parameters.code,
      fix: parameters.fix,
      details: { ...at, ...parameters.details },
      ...(parameters.cause === undefined ? {} : { cause: parameters.cause }),
    })
    this.file = at.file
    this.line = at.line
  }
}

/** The first line is no header with the columns that are needed. */
export class PriceFileHeaderError extends PriceFileLineError {
  override readonly name = 'PriceFileHeaderError'
  constructor(at: { file: string; line: number }, message: string) {
    super(at, message, {
      code: 'PRICE_FILE_HEADER',
      fix: 'Begin the file with a header like: datetime,open,high,low,close,volume (separated by commas).',
    })
  }
}

/** A row that is malformed: columns, numbers, or prices that contradict one another. */
export class PriceFileRowError extends PriceFileLineError {
  override readonly name = 'PriceFileRowError'
  constructor(at: { file: string; line: number }, message: string, cause?: unknown) {
    super(at, message, { code: 'PRICE_FILE_ROW', fix: 'Mend or remove that row.', cause })
  }
}

/** Times that are unreadable, mixed in format, out of order, or there twice. */
export class PriceFileTimeError extends PriceFileLineError {
  override readonly name = 'PriceFileTimeError'
  constructor(at: { file: string; line: number }, message: string, fix: string) {
    super(at, message, { code: 'PRICE_FILE_TIME', fix })
  }
}

/** The file holds no bar at all, or none between `from` and `to`. */
export class PriceRangeError extends InvalidInputError {
  override readonly name = 'PriceRangeError'
  constructor(message: string, fix: string, details: Readonly<Record<string, unknown>>) {
    super(message, { code: 'PRICE_RANGE', fix, details })
  }
}
