// Package issuertest tests that an issuer satisfies the contract of stage.Issuer.
package issuertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Subject is an issuer with an endpoint that accepts its tokens.
type Subject struct {
	Issuer stage.Issuer
	Stage  stage.ARN // a stage that the issuer serves
	Gone   stage.ARN // a stage that does not exist
	// Enter presents a token to the stage, and returns the participant that it accepts.
	Enter func(ctx context.Context, made stage.ParticipantToken) (stage.Participant, error)
}

// Run tests an issuer. Each part gets a Subject of its own.
func Run(t *testing.T, subject func(*testing.T) Subject) {
	for name, part := range map[string]func(*testing.T, Subject){
		"a token lets in who was asked for":      lets,
		"capabilities are exactly those asked":   capabilities,
		"a token lives as long as asked":         lives,
		"the longest values are taken":           longest,
		"what is beyond the limits is refused":   refuses,
		"a stage that does not exist is said":    gone,
		"every token is another participant":     unique,
		"the token prints nowhere":               silent,
		"a request that is given up is an error": givenUp,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			part(t, subject(t))
		})
	}
}

func (s Subject) request() stage.TokenRequest {
	return stage.TokenRequest{
		Stage: s.Stage, UserID: "u-ana", Attributes: map[string]string{"name": "Ana Ünë 🎥"},
		Capabilities: stage.Publish | stage.Subscribe, TTL: time.Hour,
	}
}

func (s Subject) issue(t *testing.T, req stage.TokenRequest) stage.ParticipantToken {
	t.Helper()
	made, err := s.Issuer.IssueToken(t.Context(), req)
	if err != nil {
		t.Fatalf("IssueToken: got %v, want nil", err)
	}
	return made
}

func (s Subject) enter(t *testing.T, made stage.ParticipantToken) stage.Participant {
	t.Helper()
	p, err := s.Enter(t.Context(), made)
	if err != nil {
		t.Fatalf("at the endpoint: got %v, want it accepted", err)
	}
	return p
}

func lets(t *testing.T, s Subject) {
	req := s.request()
	made := s.issue(t, req)
	for what, p := range map[string]stage.Participant{"the answer": made.Participant,
		"the endpoint": s.enter(t, made)} {
		if p.ID == "" || p.ID != made.Participant.ID || p.Stage != req.Stage ||
			p.UserID != req.UserID || !maps.Equal(p.Attributes, req.Attributes) {
			t.Errorf("%s says: got %+v, want %+v", what, p, req)
		}
		if !p.ExpiresAt.Equal(made.ExpiresAt) {
			t.Errorf("%s says: expires %v, want %v", what, p.ExpiresAt, made.ExpiresAt)
		}
	}
	if u, err := url.Parse(made.WHIPEndpoint); err != nil || u.Host == "" {
		t.Errorf("the WHIP endpoint: got %q, want a URL", made.WHIPEndpoint)
	}
	if made.IssuedBy == "" {
		t.Error("the token does not say who issued it")
	}
}

func capabilities(t *testing.T, s Subject) {
	for _, want := range []stage.Capabilities{stage.Publish, stage.Subscribe,
		stage.Publish | stage.Subscribe} {
		req := s.request()
		req.Capabilities = want
		if got := s.enter(t, s.issue(t, req)).Capabilities; got != want {
			t.Errorf("capabilities: got %v, want %v", got, want)
		}
	}
}

// lives tests the life of tokens, which the API of AWS rounds down to minutes. No token lives
// longer than requested.
func lives(t *testing.T, s Subject) {
	for _, ttl := range []time.Duration{time.Minute, 90 * time.Second, 12 * time.Hour,
		stage.MaxTTL} {
		req := s.request()
		req.TTL = ttl
		before := time.Now()
		made := s.issue(t, req)
		if longest := time.Now().Add(ttl + time.Second); made.ExpiresAt.After(longest) {
			t.Errorf("%v: expires %v, want not after %v", ttl, made.ExpiresAt, longest)
		}
		if shortest := before.Add(ttl.Truncate(time.Minute) - 2*time.Second); made.ExpiresAt.Before(
			shortest) {
			t.Errorf("%v: expires %v, want not before %v", ttl, made.ExpiresAt, shortest)
		}
	}
}

func longest(t *testing.T, s Subject) {
	req := s.request()
	req.UserID = strings.Repeat("ü", stage.MaxUserID)
	req.Attributes = map[string]string{"key": strings.Repeat("x", stage.MaxAttributes-3)}
	if p := s.enter(t, s.issue(t, req)); p.UserID != req.UserID ||
		!maps.Equal(p.Attributes, req.Attributes) {
		t.Errorf("got %+v, want all of it", p)
	}
	req.UserID, req.Attributes = "", nil
	if p := s.enter(t, s.issue(t, req)); p.UserID != "" || len(p.Attributes) != 0 {
		t.Errorf("nothing asked for: got %+v, want nothing", p)
	}
}

func refuses(t *testing.T, s Subject) {
	for name, change := range map[string]func(*stage.TokenRequest){
		"no stage": func(r *stage.TokenRequest) { r.Stage = "" },
		"a channel": func(r *stage.TokenRequest) {
			r.Stage = "arn:aws:ivs:us-west-2:123456789012:channel/abc"
		},
		"59 seconds":     func(r *stage.TokenRequest) { r.TTL = 59 * time.Second },
		"over 14 days":   func(r *stage.TokenRequest) { r.TTL = stage.MaxTTL + time.Second },
		"no capability":  func(r *stage.TokenRequest) { r.Capabilities = 0 },
		"an unknown one": func(r *stage.TokenRequest) { r.Capabilities = 1 << 5 },
		"a user id of 129": func(r *stage.TokenRequest) {
			r.UserID = strings.Repeat("a",
				stage.MaxUserID+1)
		},
		"a user id of no text": func(r *stage.TokenRequest) { r.UserID = "\xff" },
		"1025 bytes": func(r *stage.TokenRequest) {
			r.Attributes = map[string]string{"k": strings.Repeat("x", stage.MaxAttributes)}
		},
		"attributes of no text": func(r *stage.TokenRequest) {
			r.Attributes = map[string]string{"k": "\xff"}
		},
	} {
		req := s.request()
		change(&req)
		_, err := s.Issuer.IssueToken(t.Context(), req)
		var e *stage.Error
		if !errors.Is(err, stage.ErrInvalid) || !errors.As(err, &e) || e.Detail == "" {
			t.Errorf("%s: got %v, want a refusal with a sentence", name, err)
		}
	}
}

func gone(t *testing.T, s Subject) {
	req := s.request()
	req.Stage = s.Gone
	if _, err := s.Issuer.IssueToken(t.Context(), req); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("got %v, want not found", err)
	}
}

func unique(t *testing.T, s Subject) {
	const tokens = 40
	var mu sync.Mutex
	seen := map[stage.ParticipantID]bool{}
	var g sync.WaitGroup
	for i := range tokens {
		g.Go(func() {
			req := s.request()
			req.UserID = fmt.Sprint("u-", i)
			made, err := s.Issuer.IssueToken(t.Context(), req)
			if err != nil || made.Participant.UserID != req.UserID {
				t.Errorf("token %d: got %+v, %v; want one for %s", i, made.Participant,
					err, req.UserID)
			}
			mu.Lock()
			defer mu.Unlock()
			seen[made.Participant.ID] = true
		})
	}
	g.Wait()
	if len(seen) != tokens {
		t.Errorf("participants: got %d, want %d", len(seen), tokens)
	}
}

func silent(t *testing.T, s Subject) {
	made := s.issue(t, s.request())
	text := made.Secret.Reveal()
	if text == "" {
		t.Fatal("there is no token")
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		if strings.Contains(fmt.Sprintf(verb, made), text) {
			t.Errorf("%s prints the token", verb)
		}
	}
	if content, err := json.Marshal(made); err == nil {
		t.Errorf("JSON: got %s, want an error", content)
	}
}

// givenUp tests a cancelled request: the issuer must return either a token or an error.
func givenUp(t *testing.T, s Subject) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	made, err := s.Issuer.IssueToken(ctx, s.request())
	if err == nil && made.Secret.Empty() {
		t.Error("got neither a token nor an error")
	}
}
