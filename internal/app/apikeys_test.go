package app_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest"
)

// TestAnAPIKeyFromTheTerminal creates, lists and revokes API keys while the server runs.
func TestAnAPIKeyFromTheTerminal(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	keys := func(args ...string) string {
		t.Helper()
		out, err := run(t, append(append([]string{"api-keys"}, args...), "--data", a.Data)...)
		if err != nil {
			t.Fatalf("api-keys %v: %v", args, err)
		}
		return out
	}
	program := a.Browser()
	program.Key = strings.TrimSuffix(keys("create", "studio"), "\n")
	program.Must(http.StatusOK, "GET", "/api/v1/users", nil, nil)

	type key struct {
		ID, Name, CreatedBy, Key string
		Scopes                   []access.Scope
		CreatedAt                time.Time
		ExpiresAt, LastUsedAt    *time.Time
	}
	var made key
	text := keys("create", "for a day", "--scopes", "audit", "--days", "1", "--json")
	if err := json.Unmarshal([]byte(text), &made); err != nil || made.ExpiresAt == nil ||
		!strings.HasPrefix(made.Key, "sdo_") {
		t.Errorf("--json prints %s: %v", text, err)
	}
	var list struct{ Keys []key }
	text = keys("list", "--json")
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Keys) != 2 {
		t.Fatalf("the list is %s: %v", text, err)
	}
	studio, day := list.Keys[0], list.Keys[1]
	if studio.ExpiresAt != nil || studio.LastUsedAt == nil || studio.CreatedBy != "command line" {
		t.Errorf("the key that is used and never expires: %s", text)
	}
	if day.ID != made.ID || day.LastUsedAt != nil || len(day.Scopes) != 1 ||
		day.ExpiresAt == nil || day.ExpiresAt.Sub(day.CreatedAt) != 24*time.Hour {
		t.Errorf("the key for a day: %s", text)
	}
	if !strings.Contains(text, `"createdAt"`) || strings.Contains(text, "sdo_") {
		t.Errorf("the names are not those of the API, or there is a secret: %s", text)
	}
	table := keys("list")
	if until := day.ExpiresAt.Local().Format("2006-01-02 15:04"); !strings.Contains(table, until) {
		t.Errorf("the table does not say when the key expires, %s:\n%s", until, table)
	}
	keys("revoke", studio.ID)
	program.Refused(http.StatusUnauthorized, "unauthorized", "GET", "/api/v1/users", nil)
}
