// Package bigdata fills a migrated database with many rows, for tests and benchmarks.
package bigdata

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"
)

// A Size is how much data a database is filled with. Open is the number of connected participants.
type Size struct {
	Users, Stages, Issuances, Events, Credentials, Open int
}

var (
	// FewThousand is enough rows for a query planner to choose between plans.
	FewThousand = Size{Users: 1000, Stages: 100, Issuances: 6000, Events: 4000, Credentials: 2000,
		Open: 200}
	// AMillion is the data of a large service.
	AMillion = Size{
		Users: 10_000, Stages: 1000, Issuances: 1_000_000, Events: 500_000, Credentials: 50_000,
		Open: 10_000,
	}
)

// FillAt is Fill for a database at a path or URL, while its server runs.
func FillAt(ctx context.Context, driver, where string, s Size, now time.Time) error {
	db, err := sql.Open(driver, where)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if driver == "sqlite" { // the running server writes, too
		if _, err := db.ExecContext(ctx, "PRAGMA busy_timeout = 60000"); err != nil {
			return err
		}
	}
	return Fill(ctx, db, s, now)
}

// Fill adds the rows. The times of tokens are spread over the 44 days until now, and those of stage
// events over 7 days. The server keeps both for at least that time.
func Fill(ctx context.Context, db *sql.DB, s Size, now time.Time) error {
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
		{s.Users, "users (id, name, name_key, role, password, revision, created_at)", []string{
			of(user, "i", s.Users), of("'Person ' || (100000 + %s)", "i", s.Users),
			of("'person ' || (100000 + %s)", "i", s.Users), "'broadcaster'", "'x'", "1",
			fmt.Sprint(ms, " - i"),
		}},
		{s.Stages, "stages (arn, name, name_key, sort_key, whip_endpoint, events_endpoint, " +
			"max_height, " +
			"advised_bitrate, max_bitrate, max_keyframe_interval, created_at)", []string{
			of(arn, "i", s.Stages), "'Stage ' || i", "'stage ' || i", "'stage ' || i", "''", "''",
			"720", "2500000",
			"8500000", "2000", fmt.Sprint(ms, " - i"),
		}},
		{10 * s.Users, "grants (user_id, stage, capabilities, max_ttl)", []string{
			of(user, "i", s.Users), of(arn, fmt.Sprint("i / ", s.Users, " * 7 + i"), s.Stages), "3",
			"43200000",
		}},
		{10, "rules (id, claim, value, own, capabilities, max_ttl, created_at)", []string{
			"'rule-' || (i % 10)", "'groups'", "'group ' || i", "'{name}'", "1", "43200000",
			fmt.Sprint(ms),
		}},
		{s.Stages, "own_stages (rule_id, user_id, stage)", []string{
			"'rule-' || (i % 10)", of(user, "i", s.Users), of(arn, "i", s.Stages),
		}},
		{s.Users / 10, "rule_grants (user_id, rule_id, capabilities, max_ttl)", []string{
			of(user, "i", s.Users), "'rule-' || (i % 10)", "2", "43200000",
		}},
		{s.Credentials, "credentials (id, kind, hash, user_id, label, view_name, stage, " +
			"created_at, expires_at, address, agent)", []string{
			"'credential-' || i", "CASE WHEN i % 4 = 0 THEN 'view' ELSE 'login' END",
			"'hash-' || i", of(user, "i", s.Users), "''", "''",
			"CASE WHEN i % 4 = 0 THEN " + of(arn, "i", s.Stages) + " ELSE NULL END",
			fmt.Sprint(ms, " - i"),
			fmt.Sprint(ms, " + CAST(i AS BIGINT) * 1000"), "'192.0.2.1'", "'OBS'",
		}},
		// Tokens live twelve hours and are spread over 44 days; one in a hundred is revoked.
		{s.Issuances, "issuances (id, user_id, user_name, stage, capabilities, issued_by, " +
			"bucket, issued_at, expires_at, revoked_at, address)", []string{
			"'token-' || (10000000 + i)", of(user, "CAST(i AS BIGINT) * 7919", s.Users), "'Person'",
			of(arn, "CAST(i AS BIGINT) * 104729", s.Stages), "3", "'local key'",
			of(user, "CAST(i AS BIGINT) * 7919", s.Users),
			fmt.Sprintf("%d - CAST(%d AS BIGINT) * (%d - i) / %d", ms,
				44*24*time.Hour.Milliseconds(), s.Issuances, s.Issuances),
			fmt.Sprintf("%d - CAST(%d AS BIGINT) * (%d - i) / %d + 43200000", ms,
				44*24*time.Hour.Milliseconds(), s.Issuances, s.Issuances),
			fmt.Sprintf("CASE WHEN i %% 100 = 0 THEN %d ELSE NULL END", ms), "'192.0.2.1'",
		}},
		{s.Events, "events (id, user_id, at, kind, stage, participant, code, detail)", []string{
			"i", of(user, "CAST(i AS BIGINT) * 7919", s.Users),
			fmt.Sprintf("%d - CAST(%d AS BIGINT) * (%d - i) / %d", ms,
				7*24*time.Hour.Milliseconds(), s.Events, s.Events),
			"CASE i % 4 WHEN 0 THEN 'connected' WHEN 1 THEN 'publishing' WHEN 2 THEN 'refused' " +
				"ELSE 'ended' END",
			of(arn, "CAST(i AS BIGINT) * 104729", s.Stages), "'token-' || (10000000 + i / 4)",
			"'code'", "'A sentence about what happened.'",
		}},
		{s.Open, "open_participants (participant, event, user_id, stage, at)", []string{
			"'token-' || (10000000 + i)", "i", of(user, "CAST(i AS BIGINT) * 7919", s.Users),
			of(arn, "CAST(i AS BIGINT) * 104729", s.Stages), fmt.Sprint(ms),
		}},
		{s.Users, "attempts (bucket, user_id, failures, at)", []string{
			"'home ' || i", of(user, "i", s.Users), "0", fmt.Sprint(ms, " - i"),
		}},
		{s.Users, "identities (issuer, subject, user_id, email, claims, seen_at)", []string{
			"'https://idp.example'", "'subject-' || i", of(user, "i", s.Users), "''", "'{}'",
			fmt.Sprint(ms),
		}},
		{40, "webhooks (id, url, types, secret, created_at, created_by)", []string{
			"'webhook-' || (i % 40)", "'https://receiver.example'", "''", "'x'", fmt.Sprint(ms),
			"'Olga'",
		}},
		{s.Credentials, "deliveries (id, webhook, type, body, created_at, next_at, attempts, " +
			"status, reason, dead_at)", []string{
			"'delivery-' || i", "'webhook-' || (i % 40)", "'token.issued'", "'{}'",
			fmt.Sprint(ms, " - i"), fmt.Sprint(ms, " - i"), "1", "500", "''",
			fmt.Sprintf("CASE WHEN i %% 2 = 0 THEN %d - i ELSE NULL END", ms),
		}},
		{s.Events / 4, "audit (id, at, action, actor, actor_name, credential, address, agent, " +
			"target, target_name, target_user, stage, detail)", []string{
			"'entry-' || (10000000 + i)", fmt.Sprint(ms, " - CAST(i AS BIGINT) * 1000"),
			"'token.issued'", of(user, "i", s.Users), "'Person'", "'login'",
			"'192.0.2.1'", "'OBS'", of(user, "i", s.Users), "'Person'",
			"CASE i % 10 WHEN 0 THEN " + of(user, "i", s.Users) + " ELSE '' END",
			of(arn, "i", s.Stages), "''",
		}},
		{20 * s.Stages, "chat_messages (id, stage, n, at, user_id, name, text)", []string{
			"'message-' || i", of(arn, "i", s.Stages), "i",
			fmt.Sprint(ms, " - CAST(i AS BIGINT) * 1000"), "'user'", "'Person'", "'hello'",
		}},
		{20 * s.Stages, "notices (id, at, notice)", []string{"i", fmt.Sprint(ms, " + i"), "'{}'"}},
		{s.Open, "leases (name, holder, peer, fence, expires_at)", []string{
			"'lease-' || i", "'replica'", "''", "i", fmt.Sprint(ms, " + i"),
		}},
		{s.Users, "docks (user_id, id, seen_at, dock)",
			[]string{of(user, "i", s.Users), "'dock'", fmt.Sprint(ms, " + i"), "'{}'"}},
	} {
		text := "INSERT INTO " + table.text +
			" WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n " +
			fmt.Sprintf("WHERE i < %d) SELECT ", table.rows) + strings.Join(table.columns, ", ") +
			" FROM n WHERE true ON CONFLICT DO NOTHING"
		if _, err := db.ExecContext(ctx, text); err != nil {
			return fmt.Errorf("%s: %w", text, err)
		}
	}
	for _, text := range []string{
		fmt.Sprintf(`INSERT INTO counters (name, value) VALUES ('event', %d)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, s.Events),
		"ANALYZE",
	} {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}
