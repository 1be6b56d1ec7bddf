import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { redactUrl } from './redactUrl.ts'

describe('redactUrl', () => {
  it.each([
    ['https://rpc.example.org', 'https://rpc.example.org'],
    ['https://rpc.example.org:8545/', 'https://rpc.example.org:8545'],
    ['https://rpc.example.org/v3/0123456789abcdef0123', 'https://rpc.example.org/v3/…'],
    ['https://rpc.example.org/v2?apikey=secret#frag', 'https://rpc.example.org/v2'],
    ['postgres://ann:pa55@db.example.org:5432/rialto?sslkey=x', 'postgres://…@db.example.org:5432/rialto'],
    ['redis://:pa55@localhost:6379/0', 'redis://…@localhost:6379/0'],
    ['postgres://pa55@localhost/rialto', 'postgres://…@localhost/rialto'],
    ['not a url with pa55', '…'],
    ['pa55:word', '…'],
  ])('shows of %s only what is no secret', (url, shown) => {
    expect(redactUrl(url)).toBe(shown)
  })

  it('never shows a user, a password, a query or a key in the path', () => {
    const secret = fc.stringMatching(/^[a-z0-9]{16,32}$/).map((text) => `s3${text}`)
    fc.assert(
      fc.property(secret, fc.constantFrom('user', 'password', 'query', 'path', 'hash'), (key, place) => {
        const url = new URL('https://host.example/v1/')
        if (place === 'user') url.username = key
        if (place === 'password') url.password = key
        if (place === 'query') url.searchParams.set('k', key)
        if (place === 'path') url.pathname += key
        if (place === 'hash') url.hash = key
        expect(redactUrl(url.href)).not.toContain(key)
      }),
    )
  })
})
