package store_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
)

var postgres = &pg.Server{}

func TestMain(m *testing.M) {
	code := m.Run()
	postgres.Stop()
	os.Exit(code)
}

// onBoth tells a story on each engine.
func onBoth(t *testing.T, story func(t *testing.T, h *house)) {
	t.Parallel()
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		story(t, newHouse(t, filepath.Join(t.TempDir(), "stagedoor.db")))
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		t.Parallel()
		story(t, newHouse(t, postgres.Database(t)))
	})
}

// A house is the rules on a database, with a stage that is made of paper and a clock that stands still.
type house struct {
	*access.Control
	t     testing.TB
	where string
	clock *clock
	paper *paperStage
	store *store.Store
}

func newHouse(t testing.TB, where string) *house {
	t.Helper()
	h := &house{t: t, where: where, clock: &clock{at: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}}
	h.paper = &paperStage{now: h.clock.now}
	h.open()
	return h
}

func (h *house) open() {
	h.t.Helper()
	s, err := store.Open(h.t.Context(), h.where, slog.New(slog.DiscardHandler))
	if err != nil {
		h.t.Fatalf("Open: %v", err)
	}
	h.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			h.t.Errorf("Close: %v", err)
		}
	})
	quick := &access.PasswordParams{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32}
	h.store = s
	h.Control = &access.Control{
		Store: s, Issuer: h.paper, Verifier: h.paper, Moderator: h.paper, Now: h.clock.now, Passwords: access.NewPasswords(quick, 4),
	}
}

// replica is another process on the same database.
func (h *house) replica() *house {
	h.t.Helper()
	r := &house{t: h.t, where: h.where, clock: h.clock, paper: h.paper}
	r.open()
	return r
}

type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// A paperStage issues tokens that open nothing, and remembers who was sent away.
type paperStage struct {
	now func() time.Time

	mu      sync.Mutex
	asked   []stage.TokenRequest
	issued  map[string]stage.Participant // by secret
	on      []stage.Participant
	away    []stage.ParticipantID
	reasons []string
	fail    error
	during  func() // runs while a token is being issued
}

func (p *paperStage) IssueToken(_ context.Context, req stage.TokenRequest) (stage.ParticipantToken, error) {
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
	id := stage.ParticipantID(stage.NewID())
	made := stage.Participant{
		ID: id, Stage: req.Stage, UserID: req.UserID, Attributes: req.Attributes, Capabilities: req.Capabilities,
		ExpiresAt: p.now().Add(req.TTL),
	}
	secret := "token." + string(id) + ".signature"
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.issued == nil {
		p.issued = map[string]stage.Participant{}
	}
	p.issued[secret] = made
	return stage.ParticipantToken{Participant: made, Secret: stage.NewSecret(secret), ExpiresAt: made.ExpiresAt}, fail
}

// Verify implements access.Verifier: as a real one, it knows tokens for local stages alone.
func (p *paperStage) Verify(_ context.Context, bearer stage.Secret) (stage.Participant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	made := p.issued[bearer.Reveal()]
	switch {
	case !made.Stage.Local():
		err := stage.Errorf(stage.ErrUnauthorized, "an unknown signature").WithCode(stage.CodeSignature)
		return stage.Participant{ID: made.ID, Stage: made.Stage}, err
	case !p.now().Before(made.ExpiresAt):
		return stage.Participant{}, stage.Errorf(stage.ErrUnauthorized, "expired").WithCode("token_expired")
	}
	return made, nil
}

func (p *paperStage) Participants(_ context.Context, arn stage.ARN) ([]stage.Presence, error) {
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

func (p *paperStage) Disconnect(_ context.Context, arn stage.ARN, id stage.ParticipantID, reason string) error {
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

func (p *paperStage) enter(who stage.Participant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.on = append(p.on, who)
}

func (p *paperStage) sentAway() []stage.ParticipantID {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.away)
}

func (p *paperStage) lastAsked() stage.TokenRequest {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[len(p.asked)-1]
}

const goodPassword = "correct horse battery"

var home = access.Client{Address: "192.0.2.1", Agent: "OBS-Browser/31"}

func password(text string) stage.Secret { return stage.NewSecret(text) }

// operator sets the house up.
func (h *house) operator() access.Principal {
	h.t.Helper()
	code := must(h.NewSetupCode(h.t.Context()))(h.t)
	login, _, err := h.SetUp(h.t.Context(), code, "Olga", password(goodPassword), home)
	if err != nil {
		h.t.Fatalf("SetUp: %v", err)
	}
	return login
}

// broadcaster adds somebody who has accepted the invitation.
func (h *house) broadcaster(by access.Principal, name string) (access.Principal, stage.Secret) {
	h.t.Helper()
	_, code, _, err := h.AddUser(h.t.Context(), by, name, access.Broadcaster)
	if err != nil {
		h.t.Fatalf("AddUser: %v", err)
	}
	login, secret, err := h.AcceptInvite(h.t.Context(), code, password(goodPassword), home)
	if err != nil {
		h.t.Fatalf("AcceptInvite: %v", err)
	}
	return login, secret
}

// studio makes a local stage.
func (h *house) studio(by access.Principal, name string) stage.ARN {
	h.t.Helper()
	return must(h.AddLocalStage(h.t.Context(), by, name))(h.t).ARN
}

// grant lets somebody enter.
func (h *house) grant(by access.Principal, who access.Principal, arn stage.ARN, can stage.Capabilities) {
	h.t.Helper()
	ok(h.t, h.SetGrant(h.t.Context(), by, access.Grant{
		User: who.User.ID, Stage: arn, Capabilities: can, MaxTTL: stage.MaxTTL,
	}))
}

// scene is the usual one: an operator, a broadcaster with all of a grant, a stage.
func (h *house) scene() (op, ana access.Principal, arn stage.ARN) {
	h.t.Helper()
	op = h.operator()
	ana, _ = h.broadcaster(op, "Ana")
	arn = h.studio(op, "main")
	h.grant(op, ana, arn, stage.Publish|stage.Subscribe)
	return op, ana, arn
}

func (h *house) issue(who access.Principal, arn stage.ARN) stage.ParticipantToken {
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

// refused checks kind and code, and that the person is told something.
func refused(t testing.TB, err, kind error, code string) *stage.Error {
	t.Helper()
	var e *stage.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want a *stage.Error of kind %q", err, kind)
	}
	if !errors.Is(err, kind) || e.Code != code || e.Detail == "" {
		t.Fatalf("got kind %v, code %q, detail %q; want kind %v, code %q and a sentence", e.Kind, e.Code, e.Detail, kind, code)
	}
	return e
}

// race runs n at the same moment and returns what each said.
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

// tally counts by code; "" is success.
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
