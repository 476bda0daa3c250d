package web_test

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestTheTrailAsAFile reads the audit trail as CSV and as JSON lines, page by page. No name becomes
// a formula of a spreadsheet, or breaks a row.
func TestTheTrailAsAFile(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	shown := map[string]string{
		`=cmd|' /C calc'!A0`: `'=cmd|' /C calc'!A0`, "+49 30 1": "'+49 30 1", "-1+1": "'-1+1",
		"@SUM(1;1)": "'@SUM(1;1)", `Ana, "the voice"; Ü`: `Ana, "the voice"; Ü`,
	}
	for name := range shown {
		olga.Must(http.StatusCreated, "POST", "/api/v1/users", web.NewUser{Name: name}, nil)
	}
	var whole web.V1Audit
	olga.Must(http.StatusOK, "GET", "/api/v1/audit?limit=500", nil, &whole)

	get := func(accept, after string) (body string, h http.Header) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet,
			a.URL+"/api/v1/audit?limit=3&after="+url.QueryEscape(after), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		answer, err := olga.HTTP.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s %s %v", accept, answer.Status, text, err)
		}
		return string(text), answer.Header
	}
	pages := func(accept string) (all []string) {
		t.Helper()
		for after := ""; ; {
			body, header := get(accept, after)
			all = append(all, body)
			if after = header.Get("Stagedoor-Next"); after == "" {
				return all
			}
		}
	}

	t.Log("CSV")
	var ids []string
	names := map[string]bool{}
	for _, page := range pages("text/csv") {
		rows, err := csv.NewReader(strings.NewReader(page)).ReadAll()
		if err != nil {
			t.Fatalf("%v in\n%s", err, page)
		}
		id, target := slices.Index(rows[0], "id"), slices.Index(rows[0], "targetName")
		for _, row := range rows[1:] {
			ids = append(ids, row[id])
			names[row[target]] = true
			if i := slices.IndexFunc(row, func(cell string) bool {
				return cell != "" && strings.ContainsRune("=+-@", rune(cell[0]))
			}); i >= 0 {
				t.Errorf("a spreadsheet computes %q", row[i])
			}
		}
	}
	for name, cell := range shown {
		if !names[cell] {
			t.Errorf("the CSV has no cell %q for the name %q", cell, name)
		}
	}

	t.Log("JSON lines")
	var lines []string
	for _, page := range pages("application/x-ndjson") {
		for line := range strings.Lines(page) {
			var e web.V1Entry
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%v in %q", err, line)
			}
			lines = append(lines, e.ID)
		}
	}
	var want []string
	for _, e := range whole.Entries {
		want = append(want, e.ID)
	}
	if len(want) < 8 || !slices.Equal(ids, want) || !slices.Equal(lines, want) {
		t.Errorf("the CSV has %v, the JSON lines %v, the list %v", ids, lines, want)
	}

	t.Log("the first format that the trail has")
	for accept, want := range map[string]string{
		"text/csv, */*;q=0.1": "text/csv", "text/html, text/csv;q=0.9": "text/csv",
		"application/json, text/csv": "application/json", "*/*": "application/json",
		"image/png": "application/json", "": "application/json",
	} {
		if _, header := get(accept, ""); !strings.HasPrefix(header.Get("Content-Type"), want) {
			t.Errorf("Accept %q: got %s, want %s", accept, header.Get("Content-Type"), want)
		}
	}
}
