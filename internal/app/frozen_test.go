package app_test

import (
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestADatabaseThatHangs suspends PostgreSQL for 25 seconds, as if its machine had run out of
// memory and swapped. Every request is answered within 7 seconds with 503 and Retry-After, or from
// memory. No request hangs, and the log has few lines. When PostgreSQL is resumed, the server works
// again.
func TestADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	server := &pg.Server{}
	t.Cleanup(server.Stop)
	a := apptest.Start(t, "--database", server.Database(t))
	// Resume PostgreSQL before the server stops, because a stopping server stores the ends of its
	// sessions.
	t.Cleanup(func() { server.Thaw() })
	olga := a.Operator()
	arn := olga.MainStage()
	token := olga.Token("view")
	frozen := time.Now()
	must(t, server.Freeze())
	time.AfterFunc(2*time.Minute, func() { server.Thaw() }) // in case the test ends early

	ask := func(method, path, body, bearer string) (int, http.Header, string) {
		r, err := http.NewRequestWithContext(t.Context(), method, a.URL+path,
			strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0, nil, ""
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
			r.Header.Set("Content-Type", "application/sdp")
		}
		answer, err := olga.HTTP.Do(r)
		if err != nil {
			t.Errorf("%s %s: %v", method, path, err)
			return 0, nil, ""
		}
		defer answer.Body.Close()
		text, _ := io.ReadAll(answer.Body)
		return answer.StatusCode, answer.Header, string(text)
	}
	t.Log("the server is alive, and not ready")
	if status, _, text := ask("GET", "/healthz", "", ""); status != http.StatusOK {
		t.Errorf("GET /healthz: got %d %s, want 200", status, text)
	}
	status, _, text := ask("GET", "/readyz", "", "")
	if status != http.StatusServiceUnavailable || !strings.Contains(text, `"ready":false`) ||
		!strings.Contains(text, `{"name":"database","ok":false}`) {
		t.Errorf("GET /readyz: got %d %s, want 503", status, text)
	}
	requests := []struct{ method, path, body, bearer string }{
		{"GET", "/api/me", "", ""},
		{"GET", "/api/stages", "", ""},
		{"GET", "/api/tokens", "", ""},
		{"GET", "/api/tokens/" + string(token.ParticipantID), "", ""},
		{"POST", "/api/tokens", `{"stage":"` + arn + `"}`, ""},
		{"DELETE", "/api/tokens/" + string(token.ParticipantID), "", ""},
		{"GET", "/api/users", "", ""},
		{"GET", "/api/v1/users", "", ""},
		{"GET", "/api/v1/tokens", "", ""},
		{"POST", "/api/users", `{"name":"ana"}`, ""},
		{"POST", "/api/login", `{"name":"olga","password":"` + apptest.Password + `"}`, ""},
		{"POST", "/whep/" + string(token.ParticipantID), "v=0", token.Token},
	}
	const (
		rounds = 5
		// A request waits for the database for up to 5 s (callLimit in package store). A request
		// that ends a session first waits for its principal, for up to 1.5 s (endWithin in package
		// access).
		limit = 7 * time.Second
	)
	for round := range rounds {
		time.Sleep(time.Until(frozen.Add(time.Duration(round) * 25 * time.Second / rounds)))
		// On a busy machine even a request that needs no database takes longer.
		var busy, slowest time.Duration
		var mu sync.Mutex
		longest := func(of *time.Duration, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			*of = max(*of, took)
		}
		var all, idle sync.WaitGroup
		answered := make(chan struct{})
		idle.Go(func() {
			for {
				start := time.Now()
				ask("GET", "/dock", "", "")
				longest(&busy, time.Since(start))
				select {
				case <-answered:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		})
		for _, q := range requests {
			for range 5 {
				all.Go(func() {
					start := time.Now()
					status, header, text := ask(q.method, q.path, q.body, q.bearer)
					longest(&slowest, time.Since(start))
					// The server may answer from memory what it has read a moment ago.
					remembered := q.method == "GET" && status == http.StatusOK
					if !remembered && (status != http.StatusServiceUnavailable ||
						header.Get("Retry-After") == "") {
						t.Errorf("round %d, %s %s: got %d, Retry-After %q, %s; want 503", round,
							q.method, q.path, status, header.Get("Retry-After"), text)
					}
				})
			}
		}
		all.Wait()
		close(answered)
		idle.Wait()
		t.Logf("round %d: the slowest answer took %v, and %v without the database", round, slowest,
			busy)
		if slowest > limit+3*busy {
			t.Errorf("round %d: an answer took %v, want less than %v; without the database %v",
				round, slowest, limit, busy)
		}
	}
	failed := 5 * rounds * len(requests)
	if lines := strings.Count(a.Output(), "request failed"); lines == 0 || lines > failed/3 {
		t.Errorf("%d failed requests left %d lines in the log, want at least one and not one "+
			"each:\n%s", failed, lines, a.Output())
	}

	must(t, server.Thaw())
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		status, _, text := olga.Do("POST", "/api/tokens", web.TokenRequest{Stage: token.Stage})
		if status == http.StatusCreated {
			break
		}
		if status != http.StatusServiceUnavailable || time.Now().After(deadline) {
			t.Fatalf("after the database goes on: got %d %s, want a token soon", status, text)
		}
	}
}
