// Package apptest is the test kit: it starts the real server in the test process, on free ports,
// and calls it over HTTP.
package apptest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access/accesstest"
	"github.com/stagedoor/stagedoor/internal/app"
	"github.com/stagedoor/stagedoor/internal/apptest/migrated"
	"github.com/stagedoor/stagedoor/internal/web"
)

// Password is the password of all users that the kit creates.
const Password = "correct horse battery"

// An App is a running server.
type App struct {
	URL      string // URL of the server
	SetupURL string // the one-time link for the first operator
	Data     string // the data folder of the server

	t     testing.TB
	out   *output
	stop  context.CancelFunc
	done  chan error
	again func(flags ...string) *App
	fleet bool // several servers, each of which may be killed at any time

	contract contract
}

// At returns an App for a fleet of servers that other test code runs. That code supplies `stop`,
// which stops the fleet, and `again`, which restarts it with other flags.
func At(t testing.TB, url, setup string, stop func(), again func(flags ...string) *App) *App {
	done := make(chan error)
	close(done)
	return &App{URL: url, SetupURL: setup, t: t, out: newOutput(), stop: stop, done: done,
		again: again,
		fleet: true}
}

// OnFleet reports whether the App is a fleet: several servers, each of which may be killed at any
// time.
func (a *App) OnFleet() bool { return a.fleet }

// Again restarts a stopped server with other flags, at the same address and with the same data. It
// first closes the connections to the stopped server, because requests on them would fail with EOF.
func (a *App) Again(flags ...string) *App {
	a.t.Helper()
	http.DefaultClient.CloseIdleConnections()
	return a.again(flags...)
}

// The key pair of the emulator, for AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY of a test binary.
const (
	AccessKey = "AKIAEMULATOR00000000"
	SecretKey = "the+emulators+own+secret+key+of+a+test++"
)

// Emulate runs `stagedoor emulate` with AccessKey, SecretKey and more flags, and returns its
// endpoint.
func Emulate(t testing.TB, flags ...string) string {
	t.Helper()
	args := append([]string{"emulate", "--listen", "127.0.0.1:0", "--access-key", AccessKey,
		"--secret-key", SecretKey, "--log-level", "warn"}, flags...)
	a := start(t, args)
	found := endpointLine.FindStringSubmatch(a.Output())
	if found == nil {
		t.Fatalf("the emulator printed no endpoint: %s", a.Output())
	}
	return found[1]
}

// Start runs `stagedoor serve` with more flags, and stops it when the test ends.
func Start(t testing.TB, flags ...string) *App {
	t.Helper()
	data := t.TempDir()
	if !slices.Contains(flags, "--database") {
		if err := migrated.File(filepath.Join(data, "stagedoor.db")); err != nil {
			t.Fatal(err)
		}
	}
	return StartIn(t, data, flags...)
}

// StartIn is Start with the given data folder. It does not copy a migrated database into that
// folder.
func StartIn(t testing.TB, data string, flags ...string) *App {
	t.Helper()
	return startIn(t, data, []app.Option{
		app.HashPasswordsAt(accesstest.CheapPasswords()), app.KeepMemory(),
	}, flags)
}

// StartAsShipped is Start without the settings that make tests faster.
func StartAsShipped(t testing.TB, flags ...string) *App {
	t.Helper()
	return startIn(t, t.TempDir(), nil, flags)
}

func startIn(t testing.TB, data string, options []app.Option, flags []string) *App {
	t.Helper()
	args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--media",
		"127.0.0.1:0", "--log-level", "warn"}, flags...)
	a := start(t, args, options...)
	a.Data = data
	found := addressLine.FindStringSubmatch(a.Output())
	if found == nil {
		t.Fatalf("the server printed no address: %s", a.Output())
	}
	a.URL = "http://" + found[1]
	if link := setupLine.FindStringSubmatch(a.Output()); link != nil {
		a.SetupURL = link[1]
	}
	a.again = func(flags ...string) *App {
		return startIn(t, data, options, append([]string{"--listen", found[1]}, flags...))
	}
	return a
}

// start runs a command until the test ends, and returns when it is ready.
func start(t testing.TB, args []string, options ...app.Option) *App {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	a := &App{t: t, out: newOutput(), stop: stop, done: make(chan error, 1)}
	go func() {
		err := app.Run(ctx, args, nil, strings.NewReader(""), a.out, a.out, options...)
		if err != nil {
			fmt.Fprintln(a.out, "ended with:", err)
		}
		a.done <- err
		a.out.Close()
	}()
	t.Cleanup(a.Stop)
	if text, ok := a.out.await(func(text string) bool {
		return strings.Contains(text, readyLine)
	}); !ok {
		t.Fatalf("stagedoor %s did not come up: %s", strings.Join(args, " "), text)
	}
	return a
}

var (
	addressLine  = regexp.MustCompile(`\(HTTP (\S+), media (\S+)\)`)
	endpointLine = regexp.MustCompile(`Endpoint:\s+(\S+)`)
	setupLine    = regexp.MustCompile(`(http\S+/setup#code=\S+)`)
)

// readyLine is the last line that the server prints when it starts.
const readyLine = "Stop with Ctrl+C."

// Stop ends the server and checks that it ended without an error. It may be called twice.
func (a *App) Stop() {
	a.stop()
	select {
	case err, running := <-a.done:
		if running && err != nil {
			a.t.Errorf("the server ended with: %v", err)
		}
		if running {
			close(a.done)
		}
	case <-time.After(20 * time.Second):
		a.t.Errorf("the server does not stop; it said:\n%s", a.Output())
	}
}

// Output returns what the server has written so far.
func (a *App) Output() string { return a.out.String() }

// Browser returns a client with a cookie jar of its own.
func (a *App) Browser() *Client {
	c := NewClient(a.t, a.URL, nil)
	c.fleet, c.contract = a.fleet, &a.contract
	return c
}

// answerLimit is how long a server may take to answer. The limit is long because the machine may be
// overloaded.
const answerLimit = 2 * time.Minute

// NewClient returns a client of a server that the kit did not start, with a cookie jar of its own.
// It trusts the certificates in `roots`.
func NewClient(t testing.TB, base string, roots *x509.CertPool) *Client {
	jar, _ := cookiejar.New(nil)
	h := &http.Client{Jar: jar, Timeout: answerLimit}
	if roots != nil {
		h.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		t.Cleanup(h.CloseIdleConnections)
	}
	return &Client{t: t, base: base, HTTP: h, contract: new(contract)}
}

// Operator creates the operator "olga" with the setup link.
func (a *App) Operator() *Client {
	a.t.Helper()
	c := a.Browser()
	c.Must(http.StatusCreated, "POST", "/api/setup",
		web.SetUp{Code: Code(a.SetupURL), Name: "olga", Password: Password}, nil)
	return c
}

// Broadcaster invites a user, grants access to the main stage and accepts the invite.
func (a *App) Broadcaster(operator *Client, name string, can ...string) *Client {
	a.t.Helper()
	var invited web.Invited
	operator.Must(http.StatusCreated, "POST", "/api/users", web.NewUser{Name: name}, &invited)
	grant := "/api/users/" + string(invited.ID) + "/grants/" +
		url.PathEscape(string(operator.MainStage()))
	operator.Must(http.StatusNoContent, "PUT", grant, web.GrantRequest{Capabilities: can}, nil)
	c := a.Browser()
	c.Must(http.StatusCreated, "POST", "/api/invite",
		web.AcceptInvite{Code: Code(invited.Invite), Password: Password}, nil)
	return c
}

// Code returns the code in a setup or invite link.
func Code(link string) string {
	_, fragment, _ := strings.Cut(link, "#")
	values, _ := url.ParseQuery(fragment)
	return values.Get("code")
}

// A Client sends requests as a browser or a program does.
type Client struct {
	HTTP *http.Client
	Key  string // an access key, an API key or a token, sent as bearer

	t     testing.TB
	base  string
	fleet bool // event streams reconnect as those of pages do, since any server may be killed

	contract *contract
}

// At returns the client for another server on the same database. Cookies ignore ports, so the
// client stays signed in.
func (c *Client) At(a *App) *Client {
	other := *c
	other.t, other.base = a.t, a.URL
	return &other
}

// Do sends a JSON body (nil for none) and returns the status, the headers and the body.
func (c *Client) Do(method, path string, body any) (int, http.Header, []byte) {
	c.t.Helper()
	var payload io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			c.t.Fatal(err)
		}
		payload = bytes.NewReader(text)
	}
	return c.Send(method, path, "application/json", payload)
}

// Send is Do for a body of any type.
func (c *Client) Send(method, path, contentType string, body io.Reader) (int, http.Header, []byte) {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if body != nil {
		r.Header.Set("Content-Type", contentType)
	}
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		c.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	c.contract.holds(c, method, path, answer.StatusCode, answer.Header, text)
	return answer.StatusCode, answer.Header, text
}

// Status sends a body and returns only the status. Use it for event streams, whose responses do not
// end.
func (c *Client) Status(method, path, contentType, body string) (int, error) {
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+path,
		strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", contentType)
	if c.Key != "" {
		r.Header.Set("Authorization", "Bearer "+c.Key)
	}
	answer, err := c.HTTP.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// Must sends a request that must be answered with a certain status, and decodes the response into
// `out`, unless `out` is nil.
func (c *Client) Must(status int, method, path string, body, out any) {
	c.t.Helper()
	got, _, text := c.Do(method, path, body)
	creates := out == nil && status == http.StatusCreated
	if got != status && !(creates && c.createdBefore(got, text)) {
		c.t.Fatalf("%s %s: got %d %s, want %d", method, path, got, text, status)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			c.t.Fatalf("%s %s: %v in %s", method, path, err, text)
		}
	}
}

// createdBefore reports whether a name was refused only because an earlier attempt of the same
// request has taken it. If a server of a fleet dies between its commit and its answer, nginx gives
// the request to the next one (docs/scale.md, non_idempotent).
func (c *Client) createdBefore(status int, answer []byte) bool {
	var p web.Problem
	return c.fleet && status == http.StatusConflict && json.Unmarshal(answer, &p) == nil &&
		p.Code == "name_taken"
}

// Refused sends a request that must be refused with a certain status and code.
func (c *Client) Refused(status int, code, method, path string, body any) web.Problem {
	c.t.Helper()
	got, h, text := c.Do(method, path, body)
	var p web.Problem
	if err := json.Unmarshal(text, &p); err != nil {
		c.t.Fatalf("%s %s: got %d %q, want a problem", method, path, got, text)
	}
	if got != status || p.Code != code || p.Status != status ||
		h.Get("Content-Type") != "application/problem+json" {
		c.t.Errorf("%s %s: got %d %+v, want %d %s", method, path, got, p, status, code)
	}
	return p
}

// Me returns the signed-in user.
func (c *Client) Me() web.Me {
	c.t.Helper()
	var me web.Me
	c.Must(http.StatusOK, "GET", "/api/me", nil, &me)
	return me
}

// MainStage returns the ARN of the stage that a new server has.
func (c *Client) MainStage() (arn string) {
	c.t.Helper()
	for _, s := range c.Me().Stages {
		if s.Name == "main" {
			return string(s.ARN)
		}
	}
	c.t.Fatal(`there is no stage "main"`)
	return ""
}

// Token issues a token for the main stage.
func (c *Client) Token(use string) web.Token {
	c.t.Helper()
	var token web.Token
	c.Must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": c.MainStage(), "for": use}, &token)
	return token
}

// An EventStream is an open /api/events.
type EventStream struct {
	t      testing.TB
	frames chan Frame
	last   string // ID of the last frame that had one; owned by the reading goroutine
	bytes  atomic.Int64
}

// Bytes returns how many bytes were received.
func (e *EventStream) Bytes() int64 { return e.bytes.Load() }

// A Frame is one server-sent event.
type Frame struct{ Event, ID, Data string }

// Events opens the event stream.
func (c *Client) Events() *EventStream {
	c.t.Helper()
	return c.EventsAfter("")
}

// EventsAfter opens the event stream like a page that has received the events up to an ID.
func (c *Client) EventsAfter(id string) *EventStream {
	c.t.Helper()
	body, err := c.openEvents(id)
	if err != nil {
		c.t.Fatal(err)
	}
	e := &EventStream{t: c.t, frames: make(chan Frame, 256), last: id}
	go func() {
		defer close(e.frames)
		e.read(body)
		for c.fleet && c.t.Context().Err() == nil {
			time.Sleep(200 * time.Millisecond)
			if body, err := c.openEvents(e.last); err == nil {
				e.read(body)
			}
		}
	}()
	return e
}

func (c *Client) openEvents(after string) (io.ReadCloser, error) {
	r, _ := http.NewRequestWithContext(c.t.Context(), "GET", c.base+"/api/events", nil)
	if after != "" {
		r.Header.Set("Last-Event-ID", after)
	}
	answer, err := (&http.Client{Jar: c.HTTP.Jar}).Do(r)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		answer.Body.Close()
		return nil, fmt.Errorf("GET /api/events: got %s", answer.Status)
	}
	return answer.Body, nil
}

// read reads frames until the stream or the test ends.
func (e *EventStream) read(body io.ReadCloser) {
	defer body.Close()
	lines := bufio.NewReader(body)
	var f Frame
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		e.bytes.Add(int64(len(line)))
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "event":
			f.Event = value
		case "id":
			f.ID, e.last = value, value
		case "data":
			f.Data = value
		case "":
			if f.Event != "" {
				e.frames <- f
			}
			if f.Event == "presences" { // split it into one frame per stage, as events.js does
				e.apart(f.Data)
			}
			f = Frame{}
		}
	}
}

func (e *EventStream) apart(data string) {
	var all struct{ Stages []json.RawMessage }
	if err := json.Unmarshal([]byte(data), &all); err != nil {
		return
	}
	for _, one := range all.Stages {
		e.frames <- Frame{Event: "presence", Data: string(one)}
	}
}

// Await reads events until the given function accepts an event with this name, and returns the data
// of that event.
func Await[T any](e *EventStream, name string, match func(T) bool) T {
	e.t.Helper()
	limit := time.After(30 * time.Second)
	var seen []string
	for {
		select {
		case f, open := <-e.frames:
			if !open {
				e.t.Fatalf("the event stream ended while waiting for %q; it told: %s", name,
					strings.Join(seen, "\n"))
			}
			seen = append(seen, f.Event+" "+f.Data)
			var v T
			if f.Event == name && json.Unmarshal([]byte(f.Data), &v) == nil && match(v) {
				return v
			}
		case <-limit:
			e.t.Fatalf("no %q event that fits came; these did: %s", name, strings.Join(seen, "\n"))
		}
	}
}

// output collects the server's output and lets a test wait for a text in it.
type output struct {
	mu     sync.Mutex
	more   *sync.Cond
	text   bytes.Buffer
	closed bool
}

func newOutput() *output {
	o := &output{}
	o.more = sync.NewCond(&o.mu)
	return o
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return 0, errors.New("written after the end")
	}
	o.more.Broadcast()
	return o.text.Write(b)
}

func (o *output) Close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	o.more.Broadcast()
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// await waits until the given function accepts the text. It returns false if the output ends first.
func (o *output) await(enough func(string) bool) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !enough(o.text.String()) {
		if o.closed {
			return o.text.String(), false
		}
		o.more.Wait()
	}
	return o.text.String(), true
}
