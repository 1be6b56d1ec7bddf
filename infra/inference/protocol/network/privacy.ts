/**
 * What a model promises about a prompt, in one word, from the strongest to the weakest:
 *
 * | word | who can read the prompt |
 * |---|---|
 * | `local` | nobody else: the model runs on one's own machine and nothing leaves it |
 * | `attested` | the node, whose key is bound to measured code by a TDX quote that the client verified |
 * | `private` | the node that runs the model |
 * | `anonymized` | an outside provider behind the node; it does not learn who asked |
 */
export const privacyWords = ['local', 'attested', 'private', 'anonymized'] as const
export type Privacy = (typeof privacyWords)[number]

/** Whether a text is one of the words. Anything else is a refusal, never a guess. */
export const isPrivacy = (text: string): text is Privacy => (privacyWords as readonly string[]).includes(text)

/**
 * Whether what is offered is at least as private as what was asked for.
 *
 * @example
 * satisfiesPrivacy({ asked: 'private', offered: 'attested' }) // true
 * satisfiesPrivacy({ asked: 'private', offered: 'anonymized' }) // false
 */
export const satisfiesPrivacy = ({
  asked,
  offered,
}: {
  readonly asked: Privacy
  readonly offered: Privacy
}): boolean => privacyWords.indexOf(offered) <= privacyWords.indexOf(asked)
