/**
 * What the JSON API says (docs/http.md), for the type checker.
 *
 * @typedef {{maxHeight: number, advisedBitrate: number, maxBitrate: number, maxKeyframeInterval: number}} Limits
 * @typedef {{arn: string, name: string, capabilities: string[], maxTTL: number, served: 'local' | 'aws', limits: Limits}} Stage
 * @typedef {{id: string, name: string, role: 'operator' | 'broadcaster', version: string, stages: Stage[]}} Me
 * @typedef {{participantId: string, token: string, endpoint: string, expiresAt: string, stage: string, capabilities: string[]}} Token
 * @typedef {{participantId: string, user: {id: string, name: string}, stage: string, capabilities: string[], issuedBy: string, issuedAt: string, expiresAt: string, revokedAt: string | null, address: string}} Issued
 * @typedef {{codec: string, profile: string, width: number, height: number, fps: number, bitrate: number, keyframeInterval: number, bFrames: boolean, layers: number}} VideoReception
 * @typedef {{codec: string, bitrate: number, valid: boolean}} AudioReception
 * @typedef {{video?: VideoReception, audio?: AudioReception, loss: number, since: string}} Reception
 * @typedef {{participantId: string, userId: string, name: string, you: boolean, since: string, publishing: boolean, audioMuted: boolean, videoMuted: boolean, viewers: number, reception?: Reception}} Presence
 * @typedef {{id: string, time: string, kind: 'refused' | 'connected' | 'publishing' | 'ended' | 'warning', stage: string, participantId: string, code: string, detail: string}} StageEvent
 * @typedef {{id: string, level: 'fix' | 'person' | 'ok', text: string}} ToldFinding
 * @typedef {{version: string, websocket: string, platform: string, state: string, findings: ToldFinding[]}} ToldObs
 * @typedef {{id: string, since: string, address: string, agent: string, obs: ToldObs | null, live: boolean, participantId: string}} Dock
 * @typedef {{stage: string, capabilities: string[], maxTTL: number}} Grant
 * @typedef {{id: string, name: string, role: string, createdAt: string, invited: boolean, lastSeenAt: string | null, grants: Grant[], docks: Dock[]}} User
 * @typedef {{arn: string, name: string, served: 'local' | 'aws', limits: Limits, participants: Presence[], trouble?: string, issuedBy?: string}} StageWithPeople
 * @typedef {{regions: string[], stages: {arn: string, name: string, added: boolean}[]}} AwsStages
 *
 * @typedef {typeof globalThis.fetch} Fetch
 */
export {};
