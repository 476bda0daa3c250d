// Package docktest tests the dock and the other pages in the browsers for which they are made, with
// a fake OBS. Most tests of the dock use a fakeServer in place of the server. It serves the real
// pages, and a JSON API whose answers the test sets.
package docktest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/static"
)

const (
	arn      = "arn:aws:ivs:local:000000000000:stage/main"
	password = "correct horse battery"

	// policy is the Content-Security-Policy of the server, so that the tests run the pages under
	// it.
	policy = "default-src 'self'; connect-src 'self' ws://127.0.0.1:* ws://localhost:*; img-src " +
		"'self' data:; media-src 'self' blob:; " +
		"object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)

type object = map[string]any

// A fakeServer serves the pages and imitates the server's API.
type fakeServer struct {
	*httptest.Server
	t testing.TB

	mu       sync.Mutex
	me       object
	signedIn bool
	lives    time.Duration // life of the tokens
	minted   []string      // participants, in the order of their tokens
	refuse   object        // the error that POST /api/tokens returns instead of a token
	docks    []object      // all reports of docks
	pages    map[chan string]bool
	opened   int // how many event streams were ever opened
	lastID   int
	joins    int    // how often the tab People joined the stage
	missing  string // files of /static with this prefix are missing; "" means none
	closed   chan struct{}
}

func newFakeServer(t testing.TB) *fakeServer {
	t.Helper()
	s := &fakeServer{t: t, lives: 12 * time.Hour, pages: map[chan string]bool{},
		closed: make(chan struct{}), me: object{
			"id": "u1", "name": "ana", "role": "broadcaster", "hasPassword": true,
			"version": "test", "stages": []any{stageOf(arn, "main")},
		}}
	mux := http.NewServeMux()
	for _, page := range []string{"dock", "watch", "setup", "invite", "account", "operator"} {
		mux.HandleFunc("GET /"+page, document(page+"/index.html", 0))
	}
	mux.HandleFunc("GET /operator/{page}", document("operator/index.html", 1))
	// Return empty lists for the operator's pages.
	mux.HandleFunc("GET /api/v1/{list}", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(object{r.PathValue("list"): []any{}})
	})
	mux.HandleFunc("GET /dock/stage", document("stage/index.html", 1))
	mux.HandleFunc("GET /{$}", document("index.html", 0))
	mux.HandleFunc("GET /static/{path...}", s.file)
	mux.HandleFunc("GET /api/branding", func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte("{}"))
	})
	mux.HandleFunc("GET /api/me", s.guarded(func(http.ResponseWriter, *http.Request) (any, error) {
		return s.me, nil
	}))
	mux.HandleFunc("POST /api/login", s.logIn)
	mux.HandleFunc("DELETE /api/login",
		s.guarded(func(http.ResponseWriter, *http.Request) (any, error) {
			s.signedIn = false
			return nil, nil
		}))
	mux.HandleFunc("POST /api/tokens", s.guarded(s.mint))
	mux.HandleFunc("PUT /api/docks/{dock}", s.guarded(s.hear))
	mux.HandleFunc("DELETE /api/docks/{dock}",
		s.guarded(func(http.ResponseWriter, *http.Request) (any, error) { return nil, nil }))
	mux.HandleFunc("GET /api/events", s.stream)
	mux.HandleFunc("GET /api/stages/{arn}/events", s.stream) // an empty chat
	mux.HandleFunc("GET /api/views",
		s.guarded(func(http.ResponseWriter, *http.Request) (any, error) {
			return object{"views": []any{}}, nil
		}))
	mux.HandleFunc("GET /stage-events", s.presence)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// Close ends the open event streams first, because the server would wait for them.
func (s *fakeServer) Close() {
	close(s.closed)
	s.CloseClientConnections()
	s.Server.Close()
}

func stageOf(arn, name string) object {
	return object{
		"arn": arn, "name": name, "capabilities": []string{"publish", "subscribe"}, "maxTTL": 43200,
		"served": "local",
		"limits": object{"maxHeight": 720, "advisedBitrate": 2500000, "maxBitrate": 8500000,
			"maxKeyframeInterval": 2},
	}
}

// document serves a page as the server does.
func document(name string, below int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := static.Page(name, below)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Write(text)
	}
}

func serve(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		text, err := os.ReadFile(path.Join("../../../static", path.Clean("/"+name)))
		if err != nil {
			http.NotFound(w, r)
			return
		}
		kinds := map[string]string{".js": "text/javascript", ".css": "text/css",
			".html": "text/html", ".svg": "image/svg+xml"}
		w.Header().Set("Content-Type", kinds[path.Ext(name)]+"; charset=utf-8")
		w.Write(text)
	}
}

func (s *fakeServer) file(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	missing := s.missing != "" && strings.HasPrefix(r.PathValue("path"), s.missing)
	s.mu.Unlock()
	if missing {
		problem(w, 503, "unavailable", "Try again.")
		return
	}
	serve(r.PathValue("path"))(w, r)
}

// guarded returns a handler that requires a login. It runs the given function with the lock held.
func (s *fakeServer) guarded(
	serve func(http.ResponseWriter, *http.Request) (any, error),
) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.signedIn {
			problem(w, 401, "unauthorized", "Sign in first.")
			return
		}
		body, err := serve(w, r)
		switch {
		case err != nil:
			problem(w, 400, "invalid", err.Error())
		case body == nil:
			w.WriteHeader(http.StatusNoContent)
		default:
			if r.Method == http.MethodPost {
				w.WriteHeader(http.StatusCreated)
			}
			json.NewEncoder(w).Encode(body)
		}
	}
}

func problem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(
		object{"status": status, "code": code, "detail": detail, "title": http.StatusText(status)})
}

func (s *fakeServer) logIn(w http.ResponseWriter, r *http.Request) {
	var in struct{ Name, Password string }
	json.NewDecoder(r.Body).Decode(&in)
	if in.Password != password {
		problem(w, 401, "wrong_password", "The name or the password is wrong.")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signedIn = true
	json.NewEncoder(w).Encode(s.me)
}

func (s *fakeServer) mint(w http.ResponseWriter, r *http.Request) (any, error) {
	var in struct{ Stage, For string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, err
	}
	if s.refuse != nil {
		return nil, fmt.Errorf("%v", s.refuse["detail"])
	}
	if in.For == "view" {
		return s.admission(in.Stage), nil
	}
	id := fmt.Sprintf("participant%d", len(s.minted)+1)
	s.minted = append(s.minted, id)
	return object{
		"participantId": id, "token": "token-of-" + id + "-" + strings.Repeat("x", 300),
		"endpoint":  s.URL + "/whip",
		"expiresAt": time.Now().Add(s.lives).UTC().Format(time.RFC3339), "stage": in.Stage,
		"capabilities": []string{"publish"},
	}, nil
}

// admission returns a token for the tab People. Its claims contain the address of the stage's
// events.
func (s *fakeServer) admission(stage string) object {
	claims, _ := json.Marshal(
		object{"jti": "viewer", "topic": "main",
			"events_url": "ws" + strings.TrimPrefix(s.URL, "http") + "/stage-events"})
	return object{
		"participantId": "viewer",
		"token":         "e30." + base64.RawURLEncoding.EncodeToString(claims) + ".c2ln",
		"stage":         stage,
		"expiresAt":     time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
		"capabilities":  []string{"subscribe"},
	}
}

// presence serves the stage's events, in which only the tab People is on the stage.
func (s *fakeServer) presence(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r,
		&websocket.AcceptOptions{Subprotocols: r.Header.Values("Sec-WebSocket-Protocol")})
	if err != nil {
		return
	}
	defer conn.CloseNow()
	s.become(func() { s.joins++ })
	conn.Write(r.Context(), websocket.MessageText, []byte(`{"type":"aws:ivs:STAGE_STATE","payload":{"participants":[]}}`))
	conn.CloseRead(r.Context())
	<-s.closed
}

func (s *fakeServer) hear(w http.ResponseWriter, r *http.Request) (any, error) {
	var told object
	if err := json.NewDecoder(r.Body).Decode(&told); err != nil {
		return nil, err
	}
	told["id"] = r.PathValue("dock")
	s.docks = append(s.docks, told)
	return nil, nil
}

func (s *fakeServer) stream(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	if !s.signedIn {
		s.mu.Unlock()
		problem(w, 401, "unauthorized", "Sign in first.")
		return
	}
	page := make(chan string, 100)
	s.pages[page] = true
	s.opened++
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.pages, page)
		s.mu.Unlock()
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, ": hello\n\n")
	http.NewResponseController(w).Flush()
	for {
		select {
		case text := <-page:
			fmt.Fprint(w, text)
			http.NewResponseController(w).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// tell sends an event to every open page.
func (s *fakeServer) tell(event string, data any) {
	s.t.Helper()
	text, err := json.Marshal(data)
	if err != nil {
		s.t.Fatal(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastID++
	for page := range s.pages {
		page <- fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", s.lastID, event, text)
	}
}

// participant returns the participant of the last token.
func (s *fakeServer) participant() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.minted[len(s.minted)-1]
}

// stage sends a stage event about the last participant to every page.
func (s *fakeServer) stage(kind, code, detail string) {
	s.t.Helper()
	s.mu.Lock()
	id := s.lastID + 1
	s.mu.Unlock()
	event := object{"id": id, "time": time.Now().UTC(), "kind": kind, "stage": arn,
		"participantId": s.participant(), "code": code, "detail": detail}
	if code == "kicked" {
		event["byRole"] = "operator"
	}
	s.tell("stage", event)
}

// present sends the presence of the last participant, with what the stage receives.
func (s *fakeServer) present(reception object) {
	s.t.Helper()
	s.tell("presence", object{"stage": arn, "participants": []any{
		object{"participantId": s.participant(), "userId": "u1", "name": "ana", "you": true,
			"since": time.Now().UTC(), "publishing": true, "viewers": 12, "reception": reception},
		object{"participantId": "other", "userId": "u2", "name": "Bob", "you": false,
			"since": time.Now().UTC(), "publishing": true, "viewers": 12},
	}})
}

// reception is what a stage receives if nothing is wrong.
func reception() object {
	return object{
		"video": object{"codec": "H264", "profile": "Constrained Baseline", "width": 1280,
			"height": 720, "fps": 30, "bitrate": 2412345, "keyframeInterval": 2, "bFrames": false,
			"layers": 1},
		"audio": object{"codec": "opus", "bitrate": 158000, "valid": true}, "loss": 0.001,
		"since": time.Now().UTC(),
	}
}

// said returns the last report of a dock.
func (s *fakeServer) said() object {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.docks) == 0 {
		return object{}
	}
	return s.docks[len(s.docks)-1]
}

// become changes the answers of the server by calling f with the lock held.
func (s *fakeServer) become(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

// bar removes the user's only stage, as if a moderator had barred the user. Pass bar to become,
// which holds the lock.
func (s *fakeServer) bar() {
	s.me["stages"] = []any{}
	s.me["bars"] = []any{object{
		"arn": arn, "name": "main", "since": "2026-03-01T12:00:00Z", "reason": "Noise.",
	}}
}

// awaitPage returns when a page has opened the event stream.
func (s *fakeServer) awaitPage() {
	s.t.Helper()
	poll(s.t, "a page that listens", func() bool { return s.listeners() > 0 })
}

func (s *fakeServer) listeners() int {
	open, _ := s.streams()
	return open
}

// streams returns how many event streams are open, and how many were ever opened.
func (s *fakeServer) streams() (open, opened int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.pages), s.opened
}

func poll(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(
		20 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("waited in vain for %s", what)
}

func (d *dock) poll(what string, ok func() bool) {
	d.t.Helper()
	poll(d.t, what, ok)
}

func toJSON(v any) string {
	text, _ := json.Marshal(v)
	return string(text)
}

// joined returns how often the tab People has joined the stage.
func (s *fakeServer) joined() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.joins
}
