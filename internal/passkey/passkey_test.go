package passkey

import (
	"encoding/base64"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func at(t *testing.T, address, secret string, now func() time.Time) *Relying {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	r, err := New(u, []byte(secret), now)
	if err != nil {
		t.Fatalf("New(%s): %v", address, err)
	}
	return r
}

func TestWherePasskeysAreBoundTo(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"https://stage.example.com":      "stage.example.com",
		"https://stage.example.com:8443": "stage.example.com",
		"http://127.0.0.1:8080":          "localhost", "http://[::1]:8080": "localhost",
		"http://localhost:8080": "localhost",
	} {
		if got := at(t, address, "secret", time.Now).ID(); got != want {
			t.Errorf("%s: %s, want %s", address, got, want)
		}
	}
	if _, err := New(&url.URL{Scheme: "https", Host: "192.0.2.7"}, nil, time.Now); !errors.Is(err,
		ErrNoDomain) {
		t.Errorf("an IP address: %v", err)
	}
}

func TestAChallengeIsOfThisServerForOneUserAndForMinutes(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	r := at(t, "https://stage.example.com", "secret", clock)
	replica, stranger := at(t, "https://stage.example.com", "secret", clock),
		at(t, "https://stage.example.com", "other", clock)
	good := r.challenge("ana")
	text := base64.RawURLEncoding.EncodeToString(good)
	if _, err := replica.checkChallenge(text, "ana"); err != nil {
		t.Errorf("another replica: %v", err)
	}
	bent := append([]byte{}, good...)
	bent[20] ^= 1 // changes the expiry
	for name, check := range map[string]func() error{
		"of another user": func() error { _, err := r.checkChallenge(text, "ben"); return err },
		"of a sign-in":    func() error { _, err := r.checkChallenge(text, ""); return err },
		"of another server": func() error {
			_, err := stranger.checkChallenge(text, "ana")
			return err
		},
		"bent": func() error {
			_, err := r.checkChallenge(base64.RawURLEncoding.EncodeToString(bent), "ana")
			return err
		},
		"empty": func() error { _, err := r.checkChallenge("", "ana"); return err },
	} {
		if err := check(); !errors.Is(err, stage.ErrUnauthorized) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	now = now.Add(challengeLife)
	if _, err := r.checkChallenge(text, "ana"); !errors.Is(err, stage.ErrUnauthorized) {
		t.Errorf("after %v: %v, want a refusal", challengeLife, err)
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"id":"AA","rawId":"AA","type":"public-key","response":{"clientDataJSON":"e30","authenticatorData":"AA","signature":"AA"}}`))
	r, err := New(&url.URL{Scheme: "https", Host: "stage.example.com"}, []byte("secret"), time.Now)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		u := access.PasskeyUser{ID: "u", Name: "u"}
		if _, err := r.Created(u, text); err == nil {
			t.Errorf("the forged answer %q registers a passkey", text)
		}
		if _, err := r.Answered(text, func(string) (access.PasskeyUser, error) {
			return u, nil
		}); err == nil {
			t.Errorf("the forged answer %q signs in", text)
		}
	})
}
