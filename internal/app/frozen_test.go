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

// TestADatabaseThatHangs suspends PostgreSQL, which then hangs as on a machine that swaps. Every
// request is answered with 503 and Retry-After, or from memory. No request hangs, and the log has
// few lines. When PostgreSQL is resumed, the server works again.
func TestADatabaseThatHangs(t *testing.T) {
	t.Parallel()
	server := &pg.Server{}
	t.Cleanup(server.Stop)
	a := apptest.Start(t, "--database", server.Database(t))
	// This runs before the server stops: a stopping server stores the ends of its sessions.
	t.Cleanup(func() { server.Thaw() })
	olga := a.Operator()
	arn := olga.MainStage()
	token := olga.Token("view")
	must(t, server.Freeze())
	time.AfterFunc(time.Minute, func() { server.Thaw() }) // in case the test does not reach its end

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
		{"GET", "/healthz", "", ""},
	}
	// On a busy machine a response may take seconds. The client gives up a hanging request after
	// 30.
	const limit = 15 * time.Second
	for round := range 2 {
		var all sync.WaitGroup
		for _, q := range requests {
			for range 5 {
				all.Go(func() {
					start := time.Now()
					status, header, text := ask(q.method, q.path, q.body, q.bearer)
					// The server may answer from memory what it has read a moment ago.
					remembered := q.method == "GET" && status == http.StatusOK
					if !remembered && (status != http.StatusServiceUnavailable ||
						header.Get("Retry-After") == "") {
						t.Errorf("round %d, %s %s: got %d, Retry-After %q, %s; want 503", round,
							q.method, q.path, status, header.Get("Retry-After"), text)
					}
					if took := time.Since(start); took > limit {
						t.Errorf("round %d, %s %s: it took %v, want less than %v", round, q.method,
							q.path, took, limit)
					}
				})
			}
		}
		all.Wait()
	}
	if lines := strings.Count(a.Output(), "request failed"); lines == 0 || lines > 60 {
		t.Errorf("130 failed requests left %d lines in the log, want at least one and not one "+
			"each:\n%s", lines, a.Output())
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
