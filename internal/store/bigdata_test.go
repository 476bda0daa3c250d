package store_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// A size is how much data a database is filled with.
type size struct {
	users, stages, issuances, events, credentials, open int
}

var (
	fewThousand = size{users: 1000, stages: 100, issuances: 6000, events: 4000, credentials: 2000, open: 200}
	aMillion    = size{
		users: 10_000, stages: 1000, issuances: 1_000_000, events: 500_000, credentials: 50_000, open: 10_000,
	}
)

// The data is spread over the retention: the last issuance and the last event are of now.
func fill(ctx context.Context, db *sql.DB, s size, now time.Time) error {
	ms := now.UnixMilli()
	const (
		user = "'user-' || (100000 + %s)"
		arn  = "'" + "arn:aws:ivs:local:000000000000:stage/" + "' || (100000 + %s)"
	)
	of := func(pattern, n string, among int) string {
		return fmt.Sprintf(pattern, fmt.Sprintf("(%s) %% %d", n, among))
	}
	for _, table := range []struct {
		rows    int
		text    string
		columns []string
	}{
		{s.users, "users (id, name, name_key, role, password, revision, created_at)", []string{
			of(user, "i", s.users), of("'Person ' || (100000 + %s)", "i", s.users),
			of("'person ' || (100000 + %s)", "i", s.users), "'broadcaster'", "'x'", "1", fmt.Sprint(ms, " - i"),
		}},
		{s.stages, "stages (arn, name, name_key, sort_key, whip_endpoint, events_endpoint, max_height, " +
			"advised_bitrate, max_bitrate, max_keyframe_interval, created_at)", []string{
			of(arn, "i", s.stages), "'Stage ' || i", "'stage ' || i", "'stage ' || i", "''", "''", "720", "2500000",
			"8500000", "2000", fmt.Sprint(ms, " - i"),
		}},
		{10 * s.users, "grants (user_id, stage, capabilities, max_ttl)", []string{
			of(user, "i", s.users), of(arn, fmt.Sprint("i / ", s.users, " * 7 + i"), s.stages), "3", "43200000",
		}},
		{s.credentials, "credentials (id, kind, hash, user_id, label, view_name, stage, created_at, expires_at, address, agent)", []string{
			"'credential-' || i", "CASE WHEN i % 4 = 0 THEN 'view' ELSE 'login' END", "'hash-' || i", of(user, "i", s.users), "''", "''",
			"CASE WHEN i % 4 = 0 THEN " + of(arn, "i", s.stages) + " ELSE NULL END", fmt.Sprint(ms, " - i"),
			fmt.Sprint(ms, " + CAST(i AS BIGINT) * 1000"), "'192.0.2.1'", "'OBS'",
		}},
		// Twelve hours each, over 44 days; one in a hundred is revoked.
		{s.issuances, "issuances (id, user_id, user_name, stage, capabilities, issued_by, bucket, issued_at, expires_at, revoked_at, address)", []string{
			"'token-' || (10000000 + i)", of(user, "CAST(i AS BIGINT) * 7919", s.users), "'Person'", of(arn, "CAST(i AS BIGINT) * 104729", s.stages), "3", "'local key'",
			of(user, "CAST(i AS BIGINT) * 7919", s.users), fmt.Sprintf("%d - CAST(%d AS BIGINT) * (%d - i) / %d", ms, 44*24*time.Hour.Milliseconds(), s.issuances, s.issuances),
			fmt.Sprintf("%d - CAST(%d AS BIGINT) * (%d - i) / %d + 43200000", ms, 44*24*time.Hour.Milliseconds(), s.issuances, s.issuances),
			fmt.Sprintf("CASE WHEN i %% 100 = 0 THEN %d ELSE NULL END", ms), "'192.0.2.1'",
		}},
		{s.events, "events (id, user_id, at, kind, stage, participant, code, detail)", []string{
			"i", of(user, "CAST(i AS BIGINT) * 7919", s.users),
			fmt.Sprintf("%d - CAST(%d AS BIGINT) * (%d - i) / %d", ms, 7*24*time.Hour.Milliseconds(), s.events, s.events),
			"CASE i % 4 WHEN 0 THEN 'connected' WHEN 1 THEN 'publishing' WHEN 2 THEN 'refused' ELSE 'ended' END",
			of(arn, "CAST(i AS BIGINT) * 104729", s.stages), "'token-' || (10000000 + i / 4)", "'code'", "'A sentence about what happened.'",
		}},
		{s.open, "open_participants (participant, event, user_id, stage, at)", []string{
			"'token-' || (10000000 + i)", "i", of(user, "CAST(i AS BIGINT) * 7919", s.users), of(arn, "CAST(i AS BIGINT) * 104729", s.stages), fmt.Sprint(ms),
		}},
		{s.users, "attempts (bucket, user_id, failures, at)", []string{
			"'home ' || i", of(user, "i", s.users), "0", fmt.Sprint(ms, " - i"),
		}},
		{s.users, "identities (issuer, subject, user_id, email, claims, seen_at)", []string{
			"'https://idp.example'", "'subject-' || i", of(user, "i", s.users), "''", "'{}'", fmt.Sprint(ms),
		}},
		{40, "webhooks (id, url, types, secret, created_at, created_by)", []string{
			"'webhook-' || (i % 40)", "'https://receiver.example'", "''", "'x'", fmt.Sprint(ms), "'Olga'",
		}},
		{s.credentials, "deliveries (id, webhook, type, body, created_at, next_at, attempts, status, reason, dead_at)", []string{
			"'delivery-' || i", "'webhook-' || (i % 40)", "'token.issued'", "'{}'", fmt.Sprint(ms, " - i"), fmt.Sprint(ms, " - i"), "1", "500", "''",
			fmt.Sprintf("CASE WHEN i %% 2 = 0 THEN %d - i ELSE NULL END", ms),
		}},
		{s.events / 4, "audit (id, at, action, actor, actor_name, credential, address, agent, target, target_name, stage, detail)", []string{
			"'entry-' || (10000000 + i)", fmt.Sprint(ms, " - CAST(i AS BIGINT) * 1000"), "'token.issued'", of(user, "i", s.users), "'Person'", "'login'",
			"'192.0.2.1'", "'OBS'", of(user, "i", s.users), "'Person'", of(arn, "i", s.stages), "''",
		}},
		{20 * s.stages, "chat_messages (id, stage, n, at, user_id, name, text)", []string{
			"'message-' || i", of(arn, "i", s.stages), "i", fmt.Sprint(ms, " - CAST(i AS BIGINT) * 1000"), "'user'", "'Person'", "'hello'",
		}},
		{20 * s.stages, "notices (id, at, notice)", []string{"i", fmt.Sprint(ms, " + i"), "'{}'"}},
		{s.open, "leases (name, holder, peer, fence, expires_at)", []string{
			"'lease-' || i", "'replica'", "''", "i", fmt.Sprint(ms, " + i"),
		}},
		{s.users, "docks (user_id, id, seen_at, dock)", []string{of(user, "i", s.users), "'dock'", fmt.Sprint(ms, " + i"), "'{}'"}},
	} {
		text := "INSERT INTO " + table.text + " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n " +
			fmt.Sprintf("WHERE i < %d) SELECT ", table.rows) + strings.Join(table.columns, ", ") + " FROM n"
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	for _, text := range []string{
		fmt.Sprintf("INSERT INTO counters (name, value) VALUES ('event', %d)", s.events),
		"ANALYZE",
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}
