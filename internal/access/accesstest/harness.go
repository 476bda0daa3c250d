// Package accesstest contains the tests of package access that need a database. The store runs them
// over its engines.
package accesstest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// An Engine is a kind of database on which the tests run.
type Engine struct {
	Name string
	// New creates an empty database, and returns a function that opens it. Each call of that
	// function stands for another process.
	New func(t testing.TB) (open func(t testing.TB) access.Store)
}

// Run runs every test of this package over each engine.
func Run(t *testing.T, engines ...Engine) {
	suite := reflect.ValueOf(rules{engines})
	for i := range suite.NumMethod() {
		test, ok := suite.Method(i).Interface().(func(*testing.T))
		name, named := strings.CutPrefix(suite.Type().Method(i).Name, "Test")
		if !ok || !named {
			t.Fatalf("%s is no test", suite.Type().Method(i).Name)
		}
		t.Run(name, test)
	}
}

// rules has one method for each test, so that Run finds all tests by reflection.
type rules struct{ engines []Engine }

// each runs a test on each engine.
func (on rules) each(t *testing.T, story func(t *testing.T, h *Harness)) {
	t.Parallel()
	for _, engine := range on.engines {
		t.Run(engine.Name, func(t *testing.T) {
			t.Parallel()
			story(t, NewHarness(t, engine.New(t)))
		})
	}
}

// A Harness is a Control on a database, with a fake stage and a clock that moves only by Pass.
type Harness struct {
	*access.Control
	Config access.Config // the configuration of the Control; Configure changes it
	Clock  *Clock
	Fake   *FakeStage

	t    testing.TB
	open func(testing.TB) access.Store
}

// NewHarness returns a Harness on a database.
func NewHarness(t testing.TB, open func(testing.TB) access.Store) *Harness {
	t.Helper()
	h := &Harness{t: t, open: open, Clock: NewClock(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))}
	h.Fake = &FakeStage{now: h.Clock.Now}
	h.enter()
	return h
}

func (h *Harness) enter() {
	h.t.Helper()
	h.Config = access.Config{
		Store: h.open(h.t), Issuer: h.Fake, Verifier: h.Fake, Moderator: h.Fake,
		Now:       h.Clock.Now,
		Passwords: access.NewPasswords(CheapPasswords(), 4),
	}
	h.Control = access.New(h.Config)
}

// CheapPasswords returns costs of hashing that are low enough for tests and far too low for a
// server.
func CheapPasswords() *access.PasswordParams {
	return &access.PasswordParams{
		Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32,
	}
}

// Configure creates a new Control on the same database, with a changed configuration.
func (h *Harness) Configure(change func(*access.Config)) {
	change(&h.Config)
	h.Control = access.New(h.Config)
}

// Replica returns another Control on the same database, like that of another process.
func (h *Harness) Replica() *Harness {
	h.t.Helper()
	r := &Harness{t: h.t, open: h.open, Clock: h.Clock, Fake: h.Fake}
	r.enter()
	return r
}

// A Clock moves only by Pass.
type Clock struct {
	mu sync.Mutex
	at time.Time
}

// NewClock returns a Clock that stands at a time.
func NewClock(at time.Time) *Clock { return &Clock{at: at} }

func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *Clock) Pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A FakeStage is a fake issuer, verifier and stage. It records which participants were
// disconnected.
type FakeStage struct {
	now func() time.Time

	mu      sync.Mutex
	asked   []stage.TokenRequest
	issued  map[string]stage.Participant // keyed by the token
	on      []stage.Participant
	away    []stage.ParticipantID
	reasons []string
	fail    error
	during  func() // called while a token is being issued
}

func (p *FakeStage) IssueToken(
	_ context.Context, req stage.TokenRequest,
) (stage.ParticipantToken, error) {
	if err := req.Validate(); err != nil {
		return stage.ParticipantToken{}, err
	}
	p.mu.Lock()
	p.asked = append(p.asked, req)
	fail, during := p.fail, p.during
	p.during = nil
	p.mu.Unlock()
	if during != nil {
		during()
	}
	id := stage.NewParticipantID(p.now())
	made := stage.Participant{
		ID: id, Stage: req.Stage, UserID: req.UserID, Attributes: req.Attributes,
		Capabilities: req.Capabilities,
		ExpiresAt:    p.now().Add(req.TTL),
	}
	secret := "token." + string(id) + ".signature"
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.issued == nil {
		p.issued = map[string]stage.Participant{}
	}
	p.issued[secret] = made
	return stage.ParticipantToken{Participant: made, Secret: stage.NewSecret(secret),
		ExpiresAt: made.ExpiresAt}, fail
}

// Verify implements access.Verifier. Like the real one, it verifies only tokens for local stages.
func (p *FakeStage) Verify(_ context.Context, bearer stage.Secret) (stage.Participant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	made := p.issued[bearer.Reveal()]
	switch {
	case !made.Stage.Local():
		err := stage.Errorf(stage.ErrUnauthorized,
			"an unknown signature").WithCode(stage.CodeSignature)
		return stage.Participant{ID: made.ID, Stage: made.Stage}, err
	case !p.now().Before(made.ExpiresAt):
		return stage.Participant{}, stage.Errorf(stage.ErrUnauthorized,
			"expired").WithCode("token_expired")
	}
	return made, nil
}

func (p *FakeStage) Participants(_ context.Context, arn stage.ARN) ([]stage.Presence, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var there []stage.Presence
	for _, who := range p.on {
		if who.Stage == arn {
			there = append(there, stage.Presence{Participant: who})
		}
	}
	return there, nil
}

func (p *FakeStage) Disconnect(
	_ context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fail != nil {
		return p.fail
	}
	for i, who := range p.on {
		if who.ID == id && who.Stage == arn {
			p.on = slices.Delete(p.on, i, i+1)
			p.away = append(p.away, id)
			p.reasons = append(p.reasons, reason)
			return nil
		}
	}
	return stage.Errorf(stage.ErrNotFound, "nobody of that name")
}

func (p *FakeStage) enter(who stage.Participant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = append(p.on, who)
}

func (p *FakeStage) sentAway() []stage.ParticipantID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.away)
}

func (p *FakeStage) lastAsked() stage.TokenRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

// GoodPassword is the password of every user.
const GoodPassword = "correct horse battery"

const goodPassword = GoodPassword

var home = access.Client{Address: "192.0.2.1", Agent: "OBS-Browser/31"}

func password(text string) stage.Secret { return stage.NewSecret(text) }

// Operator creates the first operator.
func (h *Harness) Operator() access.Principal {
	h.t.Helper()
	code := must(h.Setup.NewCode(h.t.Context()))(h.t)
	login, _, err := h.Setup.CreateOperator(h.t.Context(), code, "Olga",
		password(goodPassword), home)
	if err != nil {
		h.t.Fatalf("CreateOperator: %v", err)
	}
	return login
}

// Broadcaster adds a broadcaster who has accepted the invite.
func (h *Harness) Broadcaster(by access.Principal, name string) (access.Principal, stage.Secret) {
	h.t.Helper()
	_, code, _, err := h.AddUser(h.t.Context(), by, name, access.Broadcaster)
	if err != nil {
		h.t.Fatalf("AddUser: %v", err)
	}
	login, secret, err := h.Invites.Accept(h.t.Context(), code, password(goodPassword), home)
	if err != nil {
		h.t.Fatalf("Accept: %v", err)
	}
	return login, secret
}

// NewStage adds a local stage.
func (h *Harness) NewStage(by access.Principal, name string) stage.ARN {
	h.t.Helper()
	return must(h.Stages.AddLocal(h.t.Context(), by, name))(h.t).ARN
}

// Grant gives a user access to a stage, with the longest possible token life.
func (h *Harness) Grant(
	by access.Principal, who access.Principal, arn stage.ARN, can stage.Capabilities,
) {
	h.t.Helper()
	ok(h.t, h.SetGrant(h.t.Context(), by, access.Grant{
		User: who.User.ID, Stage: arn, Capabilities: can, MaxTTL: stage.MaxTTL,
	}))
}

// Scene creates an operator, a stage, and a broadcaster with all capabilities there.
func (h *Harness) Scene() (op, ana access.Principal, arn stage.ARN) {
	h.t.Helper()
	op = h.Operator()
	ana, _ = h.Broadcaster(op, "Ana")
	arn = h.NewStage(op, "main")
	h.Grant(op, ana, arn, stage.Publish|stage.Subscribe)
	return op, ana, arn
}

func (h *Harness) Issued(who access.Principal, arn stage.ARN) stage.ParticipantToken {
	h.t.Helper()
	return must(h.Issue(h.t.Context(), who, access.IssueRequest{Stage: arn}))(h.t)
}

func must[T any](got T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ok(t, err)
		return got
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("got error %v, want none", err)
	}
}

// refused checks the kind and the code of an error, and that its sentence is not empty.
func refused(t testing.TB, err, kind error, code string) *stage.Error {
	t.Helper()
	var e *stage.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *stage.Error of kind %q", err, kind)
	}
	if !errors.Is(err, kind) || e.Code != code || e.Detail == "" {
		t.Fatalf("got kind %v, code %q, detail %q; want kind %v, code %q and a sentence", e.Kind,
			e.Code, e.Detail, kind, code)
	}
	return e
}

// race calls `run` n times at the same moment, and returns the errors.
func race(n int, run func(i int) error) []error {
	errs := make([]error, n)
	var ready, done sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		ready.Add(1)
		done.Go(func() {
			ready.Done()
			<-start
			errs[i] = run(i)
		})
	}
	ready.Wait()
	close(start)
	done.Wait()
	return errs
}

// tally counts errors by code; "" is success.
func tally(errs []error) map[string]int {
	counts := map[string]int{}
	for _, err := range errs {
		var e *stage.Error
		switch {
		case err == nil:
			counts[""]++
		case errors.As(err, &e) && e.Code != "":
			counts[e.Code]++
		default:
			counts[fmt.Sprint(err)]++
		}
	}
	return counts
}
