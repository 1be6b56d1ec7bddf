import { describe, expect, it } from 'vitest'
import { EnvironmentError } from './errors.ts'
import { loadEnvironment } from './loadEnvironment.ts'

const said = (variables: Record<string, string>): string => {
  try {
    loadEnvironment(variables)
  } catch (error) {
    if (error instanceof EnvironmentError) return error.toLine()
    throw error
  }
  return ''
}

describe('loadEnvironment', () => {
  it('takes nothing from an environment that says nothing of Rialto', () => {
    expect(loadEnvironment({})).toEqual({})
    expect(loadEnvironment({ PATH: '/bin', RIALTO_DIR: undefined })).toEqual({})
  })

  it('takes what is right', () => {
    expect(
      loadEnvironment({
        RIALTO_INFERENCE_URL: 'http://localhost:11434/v1',
        RIALTO_INFERENCE_MODEL: 'llama3.3:70b',
        RIALTO_INFERENCE_KEY: 'sk-123',
        RIALTO_RPC_URL: 'wss://rpc.example.org/ws',
        DATABASE_URL: 'postgresql://ann:pa55@localhost:5432/rialto',
        REDIS_URL: 'rediss://localhost:6379',
        RIALTO_DIR: '/var/lib/rialto',
      }),
    ).toEqual({
      inferenceUrl: 'http://localhost:11434/v1',
      inferenceModel: 'llama3.3:70b',
      inferenceKey: 'sk-123',
      rpcUrl: 'wss://rpc.example.org/ws',
      databaseUrl: 'postgresql://ann:pa55@localhost:5432/rialto',
      redisUrl: 'rediss://localhost:6379',
      directory: '/var/lib/rialto',
    })
  })

  it.each([
    [
      'RIALTO_INFERENCE_URL',
      'localhost:11434',
      'is no http:// or https:// URL: write it like http://localhost:11434/v1',
    ],
    [
      'RIALTO_INFERENCE_URL',
      'ollama',
      'is no http:// or https:// URL: write it like http://localhost:11434/v1',
    ],
    [
      'RIALTO_INFERENCE_MODEL',
      'two words',
      'holds a space or a character that is not ASCII: check how it was copied',
    ],
    [
      'RIALTO_INFERENCE_KEY',
      'sk-123\n',
      'holds a space or a character that is not ASCII: check how it was copied',
    ],
    [
      'RIALTO_RPC_URL',
      'ftp://rpc',
      'is no http:// or https:// or ws:// or wss:// URL: write it like https://rpc.example.org',
    ],
    [
      'RIALTO_RPC_URL',
      'https://a.example.org,,https://b.example.org',
      'holds several, and one of them is no http:// or https:// or ws:// or wss:// URL: write it like https://rpc.example.org',
    ],
    [
      'DATABASE_URL',
      'mysql://localhost/x',
      'is no postgres:// or postgresql:// URL: write it like postgres://user:password@host:5432/rialto',
    ],
    [
      'REDIS_URL',
      'http://localhost:6379',
      'is no redis:// or rediss:// URL: write it like redis://localhost:6379',
    ],
    ['RIALTO_DIR', 'a\0b', 'holds a null character: name a file or folder'],
    ['DATABASE_URL', '', 'is set but empty: give it a value, or unset it'],
    ['RIALTO_DIR', '  ', 'is set but empty: give it a value, or unset it'],
  ])('names %s when it is %j', (name, value, message) => {
    expect(said({ [name]: value })).toBe(
      `Wrong environment: ${name} ${message}. Correct the environment and start again.`,
    )
  })

  it('names everything that is wrong, and no value', () => {
    const line = said({ DATABASE_URL: 'pa55://pa55:pa55@pa55', RIALTO_INFERENCE_KEY: 'pa55 pa55' })
    expect(line).toContain('DATABASE_URL')
    expect(line).toContain('RIALTO_INFERENCE_KEY')
    expect(line).not.toContain('pa55')
  })
})
