import { randomBytes } from 'node:crypto'
import { decodeToken, nullifierOf } from '../../infra/inference/tokens/privacyPass/token.ts'
import { type Canary, canaryOf, randomText } from './canaries.ts'
import { MODEL } from './roles.ts'

/** The canaries of one run. */
export class Planted {
  readonly canaries: Canary[] = []
  /** What names a token once it is spent. */
  readonly nullifiers: Canary[] = []

  /** A new one, to be put where the name says. */
  text(name: string): string {
    const text = randomText()
    this.canaries.push(canaryOf(name, text))
    return text
  }

  /** Something that is secret by itself. */
  secret(name: string, content: string | Uint8Array): void {
    this.canaries.push(canaryOf(name, content))
  }

  /** Tokens that are paid with. Everybody knows the key that signed them; nonce and signature are one's own. */
  tokens(tokens: readonly Uint8Array[]): void {
    for (const token of tokens) {
      const { nonce, authenticator } = decodeToken(token)
      this.secret('nonce of a token', nonce)
      // A part of it is enough: no part of it is anybody else's.
      this.secret('signature of a token', authenticator.slice(0, 24))
      this.nullifiers.push(canaryOf('nullifier', nullifierOf(decodeToken(token))))
    }
  }

  /** A PNG that nobody could draw, as a data URL. */
  image(name: string): string {
    const bytes = randomBytes(96)
    this.secret(name, bytes)
    return `data:image/png;base64,${bytes.toString('base64')}`
  }

  /** A chat request with a canary wherever OpenAI's API takes a text. */
  chat(of: string, more: object = {}): object {
    const text = (where: string) => this.text(`${of}: ${where}`)
    return {
      model: MODEL,
      max_tokens: 60,
      user: text('user'),
      metadata: { [text('metadata key')]: text('metadata') },
      safety_identifier: text('safety identifier'),
      stop: [text('stop')],
      messages: [
        { role: 'system', content: `You are "${text('system')}" and say\n${text('system, line 2')}.` },
        {
          role: 'user',
          name: text('name'),
          content: [
            { type: 'text', text: `<b>${text('prompt')}</b> \\ "${text('prompt, quoted')}" ü` },
            { type: 'image_url', image_url: { url: this.image(`${of}: image`) } },
          ],
        },
        {
          role: 'assistant',
          tool_calls: [
            {
              id: text('id of a call'),
              type: 'function',
              function: {
                name: text('name of a called tool'),
                arguments: JSON.stringify({ value: text('arguments') }),
              },
            },
          ],
        },
        { role: 'tool', tool_call_id: 'call', content: text('result of a tool') },
      ],
      tools: [
        {
          type: 'function',
          function: {
            name: text('tool'),
            description: text('description of a tool'),
            parameters: { type: 'object', properties: { [text('parameter')]: { type: 'string' } } },
          },
        },
      ],
      response_format: {
        type: 'json_schema',
        json_schema: { name: text('schema'), schema: { enum: [text('value of a schema')] } },
      },
      ...more,
    }
  }
}
