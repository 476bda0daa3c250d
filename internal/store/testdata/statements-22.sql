DELETE FROM attempts WHERE bucket IN (SELECT bucket FROM attempts WHERE at < $1 ORDER BY at LIMIT 1)
DELETE FROM attempts WHERE bucket IN (SELECT bucket FROM attempts WHERE at < $1 ORDER BY at LIMIT 200)
DELETE FROM attempts WHERE bucket IN (SELECT bucket FROM attempts WHERE user_id IS NULL AND at < $1 ORDER BY at LIMIT 1)
DELETE FROM attempts WHERE bucket IN (SELECT bucket FROM attempts WHERE user_id IS NULL AND at < $1 ORDER BY at LIMIT 200)
DELETE FROM attempts WHERE user_id = $1 AND bucket NOT IN (SELECT bucket FROM attempts WHERE user_id = $1 ORDER BY at DESC, bucket LIMIT $2)
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT 1)
DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < $1 ORDER BY at LIMIT 200)
DELETE FROM credentials AS c WHERE c.kind = $1 AND c.hash = $2
DELETE FROM credentials AS c WHERE c.kind = $1 AND c.id = $2
DELETE FROM credentials AS c WHERE c.kind = $1 AND c.id = $2 AND c.user_id = $3
DELETE FROM credentials AS c WHERE c.kind = $1 AND c.id = $2 AND c.user_id = $3 AND c.hash = $4 AND c.id <> $5
DELETE FROM credentials AS c WHERE c.kind = $1 AND c.user_id = $2
DELETE FROM credentials AS c WHERE c.kind = $1 AND c.user_id = $2 AND c.id <> $3
DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE expires_at < $1 ORDER BY expires_at LIMIT 1)
DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE expires_at < $1 ORDER BY expires_at LIMIT 200)
DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE stage = $1 LIMIT 1)
DELETE FROM credentials WHERE id IN (SELECT id FROM credentials WHERE stage = $1 LIMIT 200)
DELETE FROM credentials WHERE user_id = $1 AND kind = 'login' AND id NOT IN (SELECT id FROM credentials WHERE user_id = $1 AND kind = 'login' ORDER BY created_at DESC, id DESC LIMIT $2)
DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE dead_at < $1 ORDER BY dead_at LIMIT 1)
DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries WHERE dead_at < $1 ORDER BY dead_at LIMIT 200)
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 ORDER BY at LIMIT 1)
DELETE FROM events WHERE id IN (SELECT id FROM events WHERE at < $1 ORDER BY at LIMIT 200)
DELETE FROM events WHERE kind = 'refused' AND participant = $1 AND id <= (SELECT id FROM events WHERE kind = 'refused' AND participant = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)
DELETE FROM grants WHERE stage = $1 AND user_id IN (SELECT user_id FROM grants WHERE stage = $1 LIMIT 1)
DELETE FROM grants WHERE stage = $1 AND user_id IN (SELECT user_id FROM grants WHERE stage = $1 LIMIT 200)
DELETE FROM grants WHERE user_id = $1 AND stage = $2
DELETE FROM issuances WHERE id IN (SELECT id FROM issuances WHERE issued_at < $1 ORDER BY issued_at LIMIT 1)
DELETE FROM issuances WHERE id IN (SELECT id FROM issuances WHERE issued_at < $1 ORDER BY issued_at LIMIT 200)
DELETE FROM open_participants WHERE participant = $1
DELETE FROM open_participants WHERE participant IN (SELECT participant FROM open_participants WHERE at < $1 ORDER BY at LIMIT 1)
DELETE FROM open_participants WHERE participant IN (SELECT participant FROM open_participants WHERE at < $1 ORDER BY at LIMIT 200)
DELETE FROM rules WHERE id = $1
DELETE FROM stages WHERE arn = $1 AND removed_at IS NOT NULL
DELETE FROM users WHERE id = $1
DELETE FROM webhooks WHERE id = $1
INSERT INTO attempts (bucket, user_id, failures, at) VALUES ($1, $2, $3, $4) ON CONFLICT (bucket) DO UPDATE SET failures = excluded.failures, at = excluded.at
INSERT INTO audit (id, at, action, actor, actor_name, credential, address, agent, target, target_name, stage, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
INSERT INTO counters (name, value) VALUES ('event', $1) ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value
INSERT INTO credentials (id, kind, hash, label, view_name, created_at, expires_at, address, agent, scopes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '') ON CONFLICT DO NOTHING
INSERT INTO credentials (id, kind, hash, user_id, label, stage, view_name, created_at, expires_at, used_at, address, agent, scopes) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (id) DO UPDATE SET hash = excluded.hash, created_at = excluded.created_at, expires_at = excluded.expires_at
INSERT INTO deliveries (id, webhook, type, body, created_at, next_at, attempts, status, reason, dead_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
INSERT INTO events (id, user_id, at, kind, stage, participant, code, detail) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
INSERT INTO grants (user_id, stage, capabilities, max_ttl, by_rule) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (user_id, stage) DO UPDATE SET capabilities = excluded.capabilities, max_ttl = excluded.max_ttl, by_rule = excluded.by_rule
INSERT INTO identities (issuer, subject, user_id, email, claims, seen_at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (issuer, subject) DO UPDATE SET email = excluded.email, claims = excluded.claims, seen_at = excluded.seen_at
INSERT INTO issuances (id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, address) SELECT $1, u.id, $3, s.arn, $5, $6, $7, $8, $9, $10, $11 FROM users u JOIN stages s ON s.arn = $4 AND s.removed_at IS NULL WHERE u.id = $2 AND u.revision = $12 AND (SELECT issued_at FROM issuances WHERE user_id = u.id AND bucket = $13 AND issued_at > $14 AND issued_at <= $15 ORDER BY issued_at DESC LIMIT 1 OFFSET $16) IS NULL
INSERT INTO open_participants (participant, event, user_id, stage, at) VALUES ($1, $2, $3, $4, $5) ON CONFLICT (participant) DO UPDATE SET event = excluded.event, at = excluded.at
INSERT INTO own_stages (rule_id, user_id, stage) VALUES ($1, $2, $3)
INSERT INTO rules (id, claim, value, stage, own, capabilities, max_ttl, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET claim = excluded.claim, value = excluded.value, stage = excluded.stage, own = excluded.own, capabilities = excluded.capabilities, max_ttl = excluded.max_ttl
INSERT INTO stages (arn, name, name_key, sort_key, whip_endpoint, events_endpoint, endpoints_at, max_height, advised_bitrate, max_bitrate, max_keyframe_interval, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT (arn) DO UPDATE SET name = excluded.name, name_key = excluded.name_key, sort_key = excluded.sort_key, whip_endpoint = excluded.whip_endpoint, events_endpoint = excluded.events_endpoint, endpoints_at = excluded.endpoints_at, max_height = excluded.max_height, advised_bitrate = excluded.advised_bitrate, max_bitrate = excluded.max_bitrate, max_keyframe_interval = excluded.max_keyframe_interval, removed_at = NULL
INSERT INTO users (id, name, name_key, role, password, revision, created_at, suspended_at, linked_at) VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8) ON CONFLICT (id) DO UPDATE SET name = excluded.name, name_key = excluded.name_key, role = excluded.role, password = excluded.password, suspended_at = excluded.suspended_at, linked_at = excluded.linked_at
INSERT INTO webhooks (id, url, types, secret, created_at, created_by, disabled_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO UPDATE SET url = excluded.url, types = excluded.types, disabled_at = excluded.disabled_at
SELECT 1
SELECT COUNT(*) FROM credentials WHERE kind = 'device' AND user_id IS NULL AND expires_at > $1
SELECT COUNT(*) FROM credentials WHERE kind = 'device' AND user_id IS NULL AND expires_at > $1 AND view_name = $2
SELECT DISTINCT whip_endpoint, events_endpoint FROM stages WHERE removed_at IS NULL ORDER BY whip_endpoint, events_endpoint
SELECT arn FROM stages WHERE arn = $1 FOR UPDATE
SELECT arn FROM stages WHERE removed_at IS NOT NULL
SELECT at, id FROM audit WHERE target = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT 1 OFFSET $4
SELECT bucket, COALESCE(user_id, ''), failures, at FROM attempts WHERE bucket = $1
SELECT c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name, c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes FROM credentials c WHERE c.id = $1 AND c.user_id = $2 ORDER BY c.created_at, c.id
SELECT c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name, c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes FROM credentials c WHERE c.kind = $1 AND c.id = $2 AND c.user_id = $3 AND c.hash = $4 AND c.id <> $5 ORDER BY c.created_at, c.id
SELECT c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name, c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes FROM credentials c WHERE c.kind = $1 AND c.id = $2 ORDER BY c.created_at, c.id
SELECT c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name, c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes FROM credentials c WHERE c.kind = $1 AND c.user_id = $2 ORDER BY c.created_at, c.id
SELECT c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name, c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes FROM credentials c WHERE c.kind = $1 ORDER BY c.created_at, c.id
SELECT c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name, c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes FROM credentials c WHERE c.kind = 'device' AND c.label = $1
SELECT c.id, c.kind, c.hash, COALESCE(c.user_id, ''), c.label, COALESCE(c.stage, ''), c.view_name, c.created_at, c.expires_at, c.used_at, c.address, c.agent, c.scopes, COALESCE(u.id, ''), COALESCE(u.name, ''), COALESCE(u.name_key, ''), COALESCE(u.role, ''), COALESCE(u.password, ''), COALESCE(u.revision, 0), u.created_at, u.seen_at, u.suspended_at, u.linked_at FROM credentials c LEFT JOIN users u ON u.id = c.user_id WHERE c.hash = $1 AND c.kind = $2
SELECT e.id FROM events e WHERE e.id < $1 ORDER BY e.id DESC LIMIT 1 OFFSET $2
SELECT e.id FROM events e WHERE e.participant = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT 1 OFFSET $3
SELECT e.id FROM events e WHERE e.stage = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT 1 OFFSET $3
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail FROM events e WHERE e.user_id = $1 AND e.id > $2 AND e.at >= $3 ORDER BY e.id LIMIT $4
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail, e.id FROM events e WHERE e.id < $1 AND (e.code = $2 OR e.detail LIKE $3 ESCAPE '\') ORDER BY e.id DESC LIMIT $4
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail, e.id FROM events e WHERE e.id < $1 AND e.kind = $2 ORDER BY e.id DESC LIMIT $3
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail, e.id FROM events e WHERE e.id < $1 ORDER BY e.id DESC LIMIT $2
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail, e.id FROM events e WHERE e.participant = $1 AND e.id < $2 AND e.user_id = $3 ORDER BY e.id DESC LIMIT $4
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail, e.id FROM events e WHERE e.participant = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT $3
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail, e.id FROM events e WHERE e.stage = $1 AND e.id < $2 AND e.kind = $3 ORDER BY e.id DESC LIMIT $4
SELECT e.id, e.user_id, e.at, e.kind, e.stage, e.participant, e.code, e.detail, e.id FROM events e WHERE e.user_id = $1 AND e.id < $2 ORDER BY e.id DESC LIMIT $3
SELECT id, at, action, actor, actor_name, credential, address, agent, target, target_name, stage, detail, at, id FROM audit WHERE (at, id) < ($1, $2) ORDER BY at DESC, id DESC LIMIT $3
SELECT id, at, action, actor, actor_name, credential, address, agent, target, target_name, stage, detail, at, id FROM audit WHERE stage = $1 AND (at, id) < ($2, $3) ORDER BY at DESC, id DESC LIMIT $4
SELECT id, at, action, actor, actor_name, credential, address, agent, target, target_name, stage, detail, at, id FROM audit WHERE target = $1 AND (at, id) < ($2, $3) AND action = $4 ORDER BY at DESC, id DESC LIMIT $5
SELECT id, claim, value, COALESCE(stage, ''), own, capabilities, max_ttl, created_at FROM rules ORDER BY created_at, id
SELECT id, name FROM users WHERE id IN ($1)
SELECT id, name FROM users WHERE id IN ($1, $2)
SELECT id, url, types, secret, created_at, created_by, disabled_at FROM webhooks ORDER BY created_at, id
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address FROM issuances WHERE id = $1
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address FROM issuances WHERE revoked_at IS NOT NULL AND expires_at > $1 AND stage NOT LIKE $2 ORDER BY expires_at, id
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE (issued_at, id) < ($1, $2) AND (SELECT u.name_key FROM users u WHERE u.id = issuances.user_id) LIKE $3 ESCAPE '\' ORDER BY issued_at DESC, id DESC LIMIT $4
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE (issued_at, id) < ($1, $2) AND revoked_at IS NULL AND expires_at <= $3 ORDER BY issued_at DESC, id DESC LIMIT $4
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE (issued_at, id) < ($1, $2) ORDER BY issued_at DESC, id DESC LIMIT $3
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE issued_at > $1 AND (issued_at, id) < ($2, $3) AND revoked_at IS NULL AND expires_at > $4 ORDER BY issued_at DESC, id DESC LIMIT $5
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE revoked_at IS NOT NULL AND (issued_at, id) < ($1, $2) ORDER BY issued_at DESC, id DESC LIMIT $3
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE stage = $1 AND (issued_at, id) < ($2, $3) AND revoked_at IS NOT NULL ORDER BY issued_at DESC, id DESC LIMIT $4
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE stage = $1 AND (issued_at, id) < ($2, $3) ORDER BY issued_at DESC, id DESC LIMIT $4
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE user_id = $1 AND (issued_at, id) < ($2, $3) AND (SELECT u.name_key FROM users u WHERE u.id = issuances.user_id) LIKE $4 ESCAPE '\' ORDER BY issued_at DESC, id DESC LIMIT $5
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE user_id = $1 AND (issued_at, id) < ($2, $3) AND revoked_at IS NOT NULL ORDER BY issued_at DESC, id DESC LIMIT $4
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE user_id = $1 AND (issued_at, id) < ($2, $3) AND stage = $4 ORDER BY issued_at DESC, id DESC LIMIT $5
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE user_id = $1 AND (issued_at, id) < ($2, $3) ORDER BY issued_at DESC, id DESC LIMIT $4
SELECT id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address, issued_at, id FROM issuances WHERE user_id = $1 AND issued_at > $2 AND (issued_at, id) < ($3, $4) AND revoked_at IS NULL AND expires_at > $5 ORDER BY issued_at DESC, id DESC LIMIT $6
SELECT id, webhook, type, body, created_at, next_at, attempts, status, reason, dead_at FROM deliveries WHERE webhook = $1 AND dead_at IS NOT NULL ORDER BY dead_at DESC, id LIMIT $2
SELECT issued_at, id FROM issuances WHERE (issued_at, id) < ($1, $2) ORDER BY issued_at DESC, id DESC LIMIT 1 OFFSET $3
SELECT issued_at, id FROM issuances WHERE issued_at > $1 AND (issued_at, id) < ($2, $3) ORDER BY issued_at DESC, id DESC LIMIT 1 OFFSET $4
SELECT issued_at, id FROM issuances WHERE stage = $1 AND (issued_at, id) < ($2, $3) ORDER BY issued_at DESC, id DESC LIMIT 1 OFFSET $4
SELECT issued_at, id FROM issuances WHERE user_id = $1 AND (issued_at, id) < ($2, $3) ORDER BY issued_at DESC, id DESC LIMIT 1 OFFSET $4
SELECT issued_at, id FROM issuances WHERE user_id = $1 AND issued_at > $2 AND (issued_at, id) < ($3, $4) ORDER BY issued_at DESC, id DESC LIMIT 1 OFFSET $5
SELECT issuer, subject, user_id, email, claims, seen_at FROM identities WHERE issuer = $1 AND subject = $2
SELECT issuer, subject, user_id, email, claims, seen_at FROM identities WHERE user_id = $1 ORDER BY issuer, subject
SELECT participant, event, user_id, stage, at FROM open_participants WHERE participant > $1 ORDER BY participant LIMIT $2
SELECT s.arn, s.name, COALESCE(s.name_key, ''), s.sort_key, s.whip_endpoint, s.events_endpoint, s.endpoints_at, s.max_height, s.advised_bitrate, s.max_bitrate, s.max_keyframe_interval, s.created_at FROM stages s WHERE s.arn = $1 AND s.removed_at IS NULL
SELECT s.arn, s.name, COALESCE(s.name_key, ''), s.sort_key, s.whip_endpoint, s.events_endpoint, s.endpoints_at, s.max_height, s.advised_bitrate, s.max_bitrate, s.max_keyframe_interval, s.created_at FROM stages s WHERE s.name_key = $1
SELECT s.arn, s.name, COALESCE(s.name_key, ''), s.sort_key, s.whip_endpoint, s.events_endpoint, s.endpoints_at, s.max_height, s.advised_bitrate, s.max_bitrate, s.max_keyframe_interval, s.created_at FROM stages s WHERE s.removed_at IS NULL ORDER BY s.created_at, s.arn
SELECT s.arn, s.name, COALESCE(s.name_key, ''), s.sort_key, s.whip_endpoint, s.events_endpoint, s.endpoints_at, s.max_height, s.advised_bitrate, s.max_bitrate, s.max_keyframe_interval, s.created_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.stage = s.arn LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, s.sort_key, s.arn FROM stages s LEFT JOIN grants g ON g.stage = s.arn AND g.user_id = $1 WHERE s.removed_at IS NULL AND (s.sort_key, s.arn) > ($2, $3) AND g.stage IS NOT NULL ORDER BY s.sort_key, s.arn LIMIT $4
SELECT s.arn, s.name, COALESCE(s.name_key, ''), s.sort_key, s.whip_endpoint, s.events_endpoint, s.endpoints_at, s.max_height, s.advised_bitrate, s.max_bitrate, s.max_keyframe_interval, s.created_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.stage = s.arn LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, s.sort_key, s.arn FROM stages s LEFT JOIN grants g ON g.stage = s.arn AND g.user_id = $1 WHERE s.removed_at IS NULL AND (s.sort_key, s.arn) > ($2, $3) AND s.sort_key LIKE $4 ESCAPE '\' ORDER BY s.sort_key, s.arn LIMIT $5
SELECT s.arn, s.name, COALESCE(s.name_key, ''), s.sort_key, s.whip_endpoint, s.events_endpoint, s.endpoints_at, s.max_height, s.advised_bitrate, s.max_bitrate, s.max_keyframe_interval, s.created_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.stage = s.arn LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, s.sort_key, s.arn FROM stages s LEFT JOIN grants g ON g.stage = s.arn AND g.user_id = $1 WHERE s.removed_at IS NULL AND (s.sort_key, s.arn) > ($2, $3) ORDER BY s.sort_key, s.arn LIMIT $4
SELECT s.sort_key, s.arn FROM stages s LEFT JOIN grants g ON g.stage = s.arn AND g.user_id = $1 WHERE s.removed_at IS NULL AND (s.sort_key, s.arn) > ($2, $3) ORDER BY s.sort_key, s.arn LIMIT 1 OFFSET $4
SELECT stage FROM own_stages WHERE rule_id = $1 AND user_id = $2
SELECT u.id FROM users u WHERE u.name_key > '' AND u.name_key LIKE $1 ESCAPE '\' ORDER BY u.name_key LIMIT $2
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at FROM users u WHERE u.id = $1
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at FROM users u WHERE u.id > $1 ORDER BY u.id LIMIT $2
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at FROM users u WHERE u.name_key = $1
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at FROM users u WHERE u.role = 'operator' ORDER BY u.id
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.user_id = u.id LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, u.name_key FROM users u LEFT JOIN grants g ON g.user_id = u.id AND g.stage = $1 WHERE u.name_key > $2 AND g.stage IS NOT NULL ORDER BY u.name_key LIMIT $3
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.user_id = u.id LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, u.name_key FROM users u LEFT JOIN grants g ON g.user_id = u.id AND g.stage = $1 WHERE u.name_key > $2 AND u.name_key LIKE $3 ESCAPE '\' ORDER BY u.name_key LIMIT $4
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.user_id = u.id LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, u.name_key FROM users u LEFT JOIN grants g ON g.user_id = u.id AND g.stage = $1 WHERE u.name_key > $2 AND u.role = $3 AND u.name_key LIKE $4 ESCAPE '\' AND g.stage IS NOT NULL ORDER BY u.name_key LIMIT $5
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.user_id = u.id LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, u.name_key FROM users u LEFT JOIN grants g ON g.user_id = u.id AND g.stage = $1 WHERE u.name_key > $2 AND u.role = $3 ORDER BY u.name_key LIMIT $4
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at, (SELECT COUNT(*) FROM (SELECT 1 FROM grants n WHERE n.user_id = u.id LIMIT 1000) counted), COALESCE(g.capabilities, 0), g.max_ttl, u.name_key FROM users u LEFT JOIN grants g ON g.user_id = u.id AND g.stage = $1 WHERE u.name_key > $2 ORDER BY u.name_key LIMIT $3
SELECT u.id, u.name, u.name_key, u.role, u.password, u.revision, u.created_at, u.seen_at, u.suspended_at, u.linked_at, s.arn IS NOT NULL, COALESCE(g.capabilities, 0), g.max_ttl, (SELECT issued_at FROM issuances WHERE user_id = u.id AND bucket = $3 AND issued_at > $4 AND issued_at <= $5 ORDER BY issued_at DESC LIMIT 1 OFFSET $6) FROM users u LEFT JOIN stages s ON s.arn = $2 AND s.removed_at IS NULL LEFT JOIN grants g ON g.user_id = u.id AND g.stage = s.arn WHERE u.id = $1
SELECT u.name_key FROM users u LEFT JOIN grants g ON g.user_id = u.id AND g.stage = $1 WHERE u.name_key > $2 ORDER BY u.name_key LIMIT 1 OFFSET $3
SELECT user_id, stage, capabilities, max_ttl, by_rule FROM grants WHERE user_id = $1 ORDER BY stage
SELECT user_id, stage, capabilities, max_ttl, by_rule FROM grants WHERE user_id IN ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33, $34, $35, $36, $37, $38, $39, $40, $41, $42, $43, $44, $45, $46, $47, $48, $49, $50) ORDER BY user_id, stage
UPDATE credentials SET used_at = $1, expires_at = $2 WHERE id = $3
UPDATE credentials SET user_id = $1 WHERE id = $2 AND kind = 'device' AND user_id IS NULL
UPDATE deliveries SET next_at = $1 WHERE next_at <= $2 AND dead_at IS NULL AND id IN ( SELECT id FROM deliveries WHERE webhook = $3 AND dead_at IS NULL AND next_at <= $2 ORDER BY next_at, id LIMIT $4) RETURNING id, webhook, type, body, created_at, next_at, attempts, status, reason, dead_at
UPDATE deliveries SET next_at = $1, attempts = 0, dead_at = NULL WHERE webhook = $2 AND dead_at IS NOT NULL AND id = $3
UPDATE deliveries SET next_at = $2, attempts = $3, status = $4, reason = $5, dead_at = $6 WHERE id = $1
UPDATE issuances SET revoked_at = $1 WHERE id IN (SELECT id FROM issuances WHERE revoked_at IS NULL AND id = $2 AND user_id = $3 AND stage = $4 AND ((capabilities & $5) <> 0 OR expires_at > $6) AND expires_at > $7 AND issued_at > $8 LIMIT 1) RETURNING id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address
UPDATE issuances SET revoked_at = $1 WHERE id IN (SELECT id FROM issuances WHERE revoked_at IS NULL AND stage = $2 AND expires_at > $3 AND issued_at > $4 LIMIT 200) RETURNING id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address
UPDATE issuances SET revoked_at = $1 WHERE revoked_at IS NULL AND id = $2 RETURNING id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address
UPDATE issuances SET revoked_at = $1 WHERE revoked_at IS NULL AND user_id = $2 AND credential <> '' AND NOT EXISTS (SELECT 1 FROM credentials c WHERE c.id = issuances.credential) AND expires_at > $3 AND issued_at > $4 RETURNING id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address
UPDATE issuances SET revoked_at = $1 WHERE revoked_at IS NULL AND user_id = $2 AND expires_at > $3 AND issued_at > $4 RETURNING id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address
UPDATE issuances SET revoked_at = $1 WHERE revoked_at IS NULL AND user_id = $2 AND stage = $3 AND ((capabilities & $4) <> 0 OR expires_at > $5) AND expires_at > $6 AND issued_at > $7 RETURNING id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address
UPDATE issuances SET revoked_at = $1 WHERE revoked_at IS NULL AND user_id = $2 AND stage = $3 AND expires_at > $4 AND issued_at > $5 RETURNING id, user_id, user_name, stage, capabilities, issued_by, bucket, credential, issued_at, expires_at, revoked_at, address
UPDATE stages SET removed_at = $2, name_key = NULL WHERE arn = $1 AND removed_at IS NULL
UPDATE users SET revision = revision + 1 WHERE id = $1
UPDATE users SET seen_at = $1 WHERE id = $2
WITH locked AS (SELECT arn FROM stages WHERE arn = $2 FOR KEY SHARE) UPDATE users SET revision = revision FROM locked WHERE id = $1
