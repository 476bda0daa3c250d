package store_test

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestEveryReleasedSchema opens databases that earlier versions left. testdata has a dump of each
// schema with the same data, from .dump of sqlite3 and from pg_dump. After the migrations, package
// access works with this data as before.
func TestEveryReleasedSchema(t *testing.T) {
	t.Parallel()
	dumps, err := filepath.Glob("testdata/schema-*.sql")
	ok(t, err)
	if len(dumps) < 2 {
		t.Fatalf("got the dumps %v, want two of each schema", dumps)
	}
	for _, dump := range dumps {
		name := strings.TrimSuffix(filepath.Base(dump), ".sql")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			driver, engine := "sqlite", "SQLite"
			if strings.HasSuffix(name, ".postgresql") {
				driver, engine = "pgx", "PostgreSQL"
			}
			where := emptyDatabases[engine](t)
			text, err := os.ReadFile(dump)
			ok(t, err)
			db, err := sql.Open(driver, where)
			ok(t, err)
			_, err = db.Exec(string(text))
			ok(t, err)
			ok(t, db.Close())
			checkOldData(t, newHarness(t, where))
		})
	}
}

func checkOldData(t *testing.T, h *harness) {
	t.Helper()
	h.Clock.Pass(time.UnixMilli(1790000000600).Sub(h.Clock.Now()))
	const local = stage.ARN("arn:aws:ivs:local:000000000000:stage/mainmainmain")
	people := must(h.Users(t.Context(), access.CommandLine()))(t)
	if len(people) != 2 || people[0].Name != "Olga" || people[1].Name != "Ána" ||
		len(people[1].Grants) != 1 {
		t.Fatalf("users: got %+v, want Olga, and Ána with a grant", people)
	}
	olga, ana := principal(people[0].User), principal(people[1].User)
	stages := must(h.Stages.List(t.Context(), olga, access.StageFilter{}, access.Page{}))(t).Items
	if len(stages) != 2 || stages[0].Name != "Main" || stages[1].Name != "Talk" ||
		stages[0].Users != 1 {
		t.Errorf("stages: got %+v, want Main with a user, and Talk", stages)
	}
	tokens := must(h.ListTokens(t.Context(), ana, access.TokenFilter{}, access.Page{}))(t).Items
	if len(tokens) != 3 || tokens[0].ID != "token3" ||
		tokens[0].State(h.Clock.Now()) != access.TokenRevoked {
		t.Errorf("tokens: got %+v, want three, the newest revoked", tokens)
	}
	if got := must(h.ListEvents(t.Context(), olga, access.EventFilter{}, access.Page{}))(
		t).Items; len(got) != 5 {
		t.Errorf("events: got %d, want 5", len(got))
	}
	open := must(h.store.Unfinished(t.Context(), 10))(t)
	if len(open) != 1 || open[0].Participant != "token1" || open[0].User != ana.User.ID ||
		open[0].Stage != local {
		t.Errorf("who was connected: got %+v, want token1 alone", open)
	}
	must(h.Events.EndUnfinished(t.Context()))(t)
	last := must(h.ListEvents(t.Context(), olga, access.EventFilter{}, access.Page{Limit: 1}))(
		t).Items[0]
	if last.ID != 6 || last.Kind != stage.EventEnded {
		t.Errorf("the event after the start: got %+v, want the end as number 6", last)
	}
	h.Issued(ana, local)
	_, err := h.Stages.AddLocal(t.Context(), olga, "MAIN")
	refused(t, err, stage.ErrConflict, "name_taken")
	ok(t, h.Stages.Remove(t.Context(), olga, local))
	ok(t, h.Prune(t.Context()))
}

func principal(u access.User) access.Principal {
	return access.Principal{Kind: access.KindLogin, User: u}
}

// TestEarlierKicksGetTheirUser: an earlier version stored entries without the user of their target.
// A migration fills in that user.
func TestEarlierKicksGetTheirUser(t *testing.T) {
	t.Parallel()
	for engine, empty := range databases {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			where := empty(t)
			h := newHarness(t, where)
			op, ana, arn := h.Scene()
			ok(t, h.Moderation.Kick(t.Context(), op, arn, h.Issued(ana, arn).Participant.ID, ""))
			db, err := sql.Open(driverOf(where), where)
			ok(t, err)
			for _, text := range []string{
				"UPDATE audit SET target_user = ''", "DROP INDEX audit_target_user",
				// Remove what the later migrations add, because these migrations run again, too.
				"ALTER TABLE identities DROP COLUMN scopes",
				"ALTER TABLE audit DROP COLUMN credential_id",
				"ALTER TABLE issuances DROP COLUMN credential_id",
				"DELETE FROM goose_db_version WHERE version_id >= 82",
			} {
				_, err := db.Exec(text)
				ok(t, err)
			}
			ok(t, db.Close())
			kicks := must(newHarness(t, where).Audit(t.Context(), op, access.AuditFilter{
				Target: string(ana.User.ID), Action: access.ActionKicked,
			}, access.Page{}))(t).Items
			if len(kicks) != 1 || kicks[0].TargetUser != ana.User.ID {
				t.Errorf("about Ana: got %+v, want the kick", kicks)
			}
		})
	}
}
