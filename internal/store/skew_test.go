package store_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/lease"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

// skewed returns two replicas on one database; the clock of the second is a minute ahead.
func skewed(t *testing.T) (behind, ahead *harness) {
	t.Helper()
	where := postgres.Migrated(t)
	behind, ahead = newHarness(t, where), newHarness(t, where)
	ahead.Clock.Pass(time.Minute)
	key := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))(t)
	endpoints := func(context.Context, stage.ARN) (stage.Endpoints, error) {
		return stage.Endpoints{
			WHIP: "https://stage.example.com/whip", Events: "wss://stage.example.com",
		}, nil
	}
	for _, h := range []*harness{behind, ahead} {
		h.Configure(func(c *access.Config) {
			c.Issuer = &token.Signer{
				Key: key, KeyID: "local", Endpoints: endpoints, Now: h.Clock.Now, Name: "local key",
			}
			c.Verifier = &token.Verifier{ // configured as in the server
				Keys: token.Keys{"local": &key.PublicKey}, Endpoints: endpoints, Now: h.Clock.Now,
				Leeway: time.Minute + 5*time.Second,
			}
		})
	}
	return behind, ahead
}

// TestClocksAMinuteApart: each replica accepts the credentials of the other one, although their
// clocks differ.
func TestClocksAMinuteApart(t *testing.T) {
	t.Parallel()
	behind, ahead := skewed(t)
	op, _, arn := behind.Scene()
	from := access.Client{Address: "192.0.2.1", Agent: "OBS-Browser/31"}
	for name, pair := range map[string][2]*harness{
		"from behind to ahead": {behind, ahead}, "from ahead to behind": {ahead, behind},
	} {
		here, there := pair[0], pair[1]
		_, _, err := here.PasswordLogins.LogIn(t.Context(),
			"Ana", password("a wrong password"), from)
		refused(t, err, stage.ErrUnauthorized, "wrong_password")
		_, secret, err := here.PasswordLogins.LogIn(t.Context(),
			"Ana", password(goodPassword), from)
		ok(t, err)
		ana, err := there.Authenticate(t.Context(), access.Presented{Login: secret, From: from})
		if err != nil {
			t.Fatalf("%s: a login: %v", name, err)
		}

		issued := here.Issued(ana, arn)
		who, err := there.Verify(t.Context(), issued.Secret)
		if err != nil || who.ID != issued.Participant.ID {
			t.Fatalf("%s: a token of the other replica: got %v, %v, want it accepted",
				name, who.ID, err)
		}
		ok(t, there.MayStay(t.Context(), who))
		for _, kind := range []stage.EventKind{stage.EventPublishing, stage.EventEnded} {
			must(there.Events.Record(t.Context(), stage.Event{
				Kind: kind, Stage: arn, Participant: who.ID, Time: there.Clock.Now(),
			}))(t)
		}
		ok(t, there.Revoke(t.Context(), ana, who.ID))
		if err := here.MayStay(t.Context(), who); err == nil {
			t.Errorf("%s: a revoked token is still good", name)
		}
	}
	events := must(behind.ListEvents(t.Context(), op, access.EventFilter{}, access.Page{}))(t).Items
	for i, e := range events {
		if want := int64(len(events) - i); e.ID != want {
			t.Errorf("event %d: got the number %d, want %d", i, e.ID, want)
		}
	}

	t.Log("the rate limit counts the tokens of both replicas")
	ana, _, err := behind.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword), from)
	ok(t, err)
	for _, h := range []*harness{behind, ahead} {
		h.Configure(func(c *access.Config) { c.TokenLimit = 4 })
	}
	behind.Issued(ana, arn)
	ahead.Issued(ana, arn)
	for _, h := range []*harness{behind, ahead} {
		_, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
		refused(t, err, stage.ErrTooMany, "too_many_tokens")
	}
}

// TestLeasesAndPresenceOfSkewedClocks: only one replica leads at a time, another takes over, and
// each replica lists the participants of the other one.
func TestLeasesAndPresenceOfSkewedClocks(t *testing.T) {
	t.Parallel()
	behind, ahead := skewed(t)
	var leads []*lease.Lead
	var stops []context.CancelFunc
	var running sync.WaitGroup
	defer running.Wait()
	for i, h := range []*harness{ahead, behind} {
		skew := time.Duration(1-i) * time.Minute
		lead := lease.NewLead(h.store, "housekeeping", lease.Holder{ID: string(rune('a' + i))},
			func() time.Time { return time.Now().Add(skew) }, slog.New(slog.DiscardHandler))
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		running.Go(func() { lead.Run(ctx) })
		leads, stops = append(leads, lead), append(stops, stop)
	}
	leader := func(of ...int) int {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(
			10 * time.Millisecond) {
			if leads[0].Leads() && leads[1].Leads() {
				t.Fatal("both replicas lead")
			}
			for _, i := range of {
				if leads[i].Leads() {
					return i
				}
			}
		}
		t.Fatal("no replica leads")
		return 0
	}
	first := leader(0, 1)
	stops[first]()
	leader(1 - first)

	a, b := sharedOf(t, behind.store, ""), sharedOf(t, ahead.store, "")
	ok(t, a.Post(t.Context(), "a", map[stage.ARN][]stage.Presence{fleetStage: {{}}}))
	ok(t, b.Post(t.Context(), "b", map[stage.ARN][]stage.Presence{fleetStage: {{}}}))
	if there, here := must(b.Posts(t.Context(), "b"))(t),
		must(a.Posts(t.Context(), "a"))(t); len(there) != 1 || len(here) != 1 {
		t.Errorf("got %v at one and %v at the other, want a participant at each", there, here)
	}
}
