package stage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestASecretPrintsNowhere(t *testing.T) {
	t.Parallel()
	const text = "correct horse battery"
	s := stage.NewSecret(text)
	holder := struct {
		Name   string
		Secret stage.Secret
		Again  *stage.Secret
	}{"ana", s, &s}

	var printed bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%T", "%p"} {
		fmt.Fprintf(&printed, verb+" "+verb+" "+verb+"\n", s, &s, holder)
	}
	slog.New(slog.NewTextHandler(&printed, nil)).Info("text", "secret", s, "holder", holder)
	slog.New(slog.NewJSONHandler(&printed, nil)).Info("json", "secret", s, "holder", holder)
	hex := fmt.Sprintf("%x", text)
	if got := printed.String(); strings.Contains(got, text) || strings.Contains(got, hex) {
		t.Errorf("the secret was printed: %s", got)
	}
	if got, err := json.Marshal(holder); err == nil {
		t.Errorf("json.Marshal: got %s, want a refusal", got)
	}
	same, other := stage.NewSecret(text), stage.NewSecret("other")
	if s.Reveal() != text || !s.Equal(same) || s.Equal(other) || s.Empty() ||
		!(stage.Secret{}).Empty() {
		t.Error("Reveal, Equal and Empty do not agree with the text")
	}
}

func TestARN(t *testing.T) {
	t.Parallel()
	local := stage.LocalARN("abcdABCDefgh")
	aws := stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh")
	for _, arn := range []stage.ARN{local, aws} {
		got, err := stage.ParseARN(string(arn))
		if got != arn || err != nil || got.ID() != "abcdABCDefgh" {
			t.Errorf("ParseARN(%s): got %s, %v, want the same ARN", arn, got, err)
		}
	}
	if !local.Local() || aws.Local() || aws.Region() != "us-west-2" ||
		aws.Account() != "123456789012" {
		t.Errorf("the parts of %s and %s are wrong", local, aws)
	}
	for _, bad := range []string{
		"", "main", "arn:aws:ivs:us-west-2:123456789012:stage/",
		"arn:aws:ivs:us-west-2:123456789012:stage/a_b", "arn:aws:ivs:us-west-2:account:stage/a",
		"arn:aws:ivs:us-west-2:123456789012:public-key/abc", string(aws) + "\n", " " + string(aws),
		string(aws) + strings.Repeat("x", 128),
	} {
		if _, err := stage.ParseARN(bad); !errors.Is(err, stage.ErrInvalid) {
			t.Errorf("ParseARN(%q): got %v, want it refused", bad, err)
		}
	}
}

func TestIDsAreRandomLettersAndDigits(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^[A-Za-z0-9]{12}$`)
	seen := map[string]bool{}
	for range 10_000 {
		id := stage.NewID()
		if seen[id] || !shape.MatchString(id) || !stage.ParticipantID(id).Valid() {
			t.Fatalf("NewID: got %q, want 12 letters and digits, never twice", id)
		}
		seen[id] = true
	}
}

func TestParticipantIDsSortByTime(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^[A-Za-z0-9]{12}$`)
	now := time.Date(2026, 11, 30, 23, 59, 59, 0, time.UTC)
	last := stage.ParticipantID("")
	for range 10_000 {
		id := stage.NewParticipantID(now)
		if id <= last || !shape.MatchString(string(id)) || !id.Valid() {
			t.Fatalf("after %s: got %s, want 12 letters and digits that sort after it", last, id)
		}
		last, now = id, now.Add(10*time.Millisecond)
	}
	same := map[stage.ParticipantID]bool{}
	for range 100 {
		same[stage.NewParticipantID(now)] = true
	}
	if len(same) != 100 {
		t.Errorf("at one time: %d different IDs of 100, want 100", len(same))
	}
}

func TestATokenRequestKeepsTheLimitsOfIVS(t *testing.T) {
	t.Parallel()
	good := stage.TokenRequest{
		Stage: stage.LocalARN("main"), UserID: strings.Repeat("ü", stage.MaxUserID),
		TTL: stage.MaxTTL, Capabilities: stage.Publish | stage.Subscribe,
		Attributes: map[string]string{"name": strings.Repeat("x", stage.MaxAttributes-4)},
	}
	if err := good.Validate(); err != nil {
		t.Fatalf("at the limits: got %v", err)
	}
	for name, change := range map[string]func(*stage.TokenRequest){
		"no stage":              func(r *stage.TokenRequest) { r.Stage = "" },
		"a second less":         func(r *stage.TokenRequest) { r.TTL = stage.MinTTL - time.Second },
		"a second more":         func(r *stage.TokenRequest) { r.TTL = stage.MaxTTL + time.Second },
		"no capability":         func(r *stage.TokenRequest) { r.Capabilities = 0 },
		"an unknown capability": func(r *stage.TokenRequest) { r.Capabilities = 4 },
		"a long user id":        func(r *stage.TokenRequest) { r.UserID += "x" },
		"a broken user id":      func(r *stage.TokenRequest) { r.UserID = "\xff" },
		"large attributes": func(r *stage.TokenRequest) {
			r.Attributes = map[string]string{"name": strings.Repeat("x", stage.MaxAttributes-3)}
		},
		"broken attributes": func(r *stage.TokenRequest) {
			r.Attributes = map[string]string{"name": "\xff"}
		},
	} {
		r := good
		change(&r)
		if err := r.Validate(); !errors.Is(err, stage.ErrInvalid) {
			t.Errorf("%s: got %v, want it refused", name, err)
		}
	}
}

func TestCapabilities(t *testing.T) {
	t.Parallel()
	both, err := stage.ParseCapabilities([]string{"PUBLISH", " subscribe "})
	if err != nil || both != stage.Publish|stage.Subscribe || both.String() != "publish,subscribe" {
		t.Errorf("both capabilities: got %v, %v, want publish,subscribe", both, err)
	}
	if _, err := stage.ParseCapabilities([]string{"fly"}); !errors.Is(err, stage.ErrInvalid) {
		t.Errorf("fly: got %v", err)
	}
	if got := stage.Capabilities(0).Words(); got == nil || len(got) != 0 {
		t.Errorf("none: got %#v, want an empty list, which JSON writes as []", got)
	}
}

func TestAnErrorIsItsKindAndItsCause(t *testing.T) {
	t.Parallel()
	cause := errors.New("disk full")
	err := fmt.Errorf("grant: %w", stage.Errorf(stage.ErrUnavailable, "Try later.").
		WithCode("busy").WithRetry(time.Second).WithCause(cause))
	var known *stage.Error
	if !errors.As(err, &known) || known.Code != "busy" || known.Detail != "Try later." ||
		known.RetryAfter != time.Second {
		t.Errorf("the error inside another one: got %+v, want its code, detail and retry", known)
	}
	if !errors.Is(err, stage.ErrUnavailable) || !errors.Is(err, cause) ||
		errors.Is(err, stage.ErrDenied) {
		t.Errorf("%v is not what it is made of", err)
	}
	got := err.Error()
	if !strings.Contains(got, "Try later") || !strings.Contains(got, "disk full") {
		t.Errorf("the text for the log: got %q, want the detail and the cause", got)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	if err := stage.DefaultLimits().Check(); err != nil {
		t.Errorf("the default: got %v", err)
	}
	for name, change := range map[string]func(*stage.Limits){
		"no height":           func(l *stage.Limits) { l.MaxHeight = 0 },
		"a huge height":       func(l *stage.Limits) { l.MaxHeight = 10_000 },
		"no bitrate":          func(l *stage.Limits) { l.MaxBitrate = 0 },
		"advised above most":  func(l *stage.Limits) { l.AdvisedBitrate = l.MaxBitrate + 1 },
		"no keyframes":        func(l *stage.Limits) { l.MaxKeyframeInterval = 0 },
		"an interval of none": func(l *stage.Limits) { l.MaxKeyframeInterval = math.NaN() },
	} {
		l := stage.DefaultLimits()
		change(&l)
		if err := l.Check(); !errors.Is(err, stage.ErrInvalid) {
			t.Errorf("%s: got %v, want %v", name, err, stage.ErrInvalid)
		}
	}
}
