/** How far an agent may go, from the least. */
export const agentModes = ['observe', 'propose', 'execute'] as const
export type AgentMode = (typeof agentModes)[number]
