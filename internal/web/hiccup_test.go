package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// sick is a database with one login. It returns the errors that a test sets.
type sick struct {
	access.Store
	err   error // the error of Credential, which reads the login
	touch error // the error of Touch, which records that the login was used
}

func (s *sick) Credential(
	_ context.Context, kind access.Kind, _ string,
) (access.Credential, access.Account, error) {
	cred := access.Credential{ID: "login", Kind: kind, User: "ana",
		ExpiresAt: time.Now().Add(365 * 24 * time.Hour)}
	return cred, access.Account{User: access.User{ID: "ana"}}, s.err
}

func (s *sick) Touch(context.Context, access.Credential) error { return s.touch }

func (*sick) Stages(context.Context) ([]access.StageRecord, error) {
	return []access.StageRecord{
		{Stage: stage.Stage{ARN: "arn:aws:ivs:local:000000000000:stage/main"}}}, nil
}

func (*sick) Grants(context.Context, ...access.UserID) ([]access.Grant, error) {
	return []access.Grant{{Stage: "arn:aws:ivs:local:000000000000:stage/main",
		Capabilities: stage.Subscribe}}, nil
}

func (*sick) Permit(
	_ context.Context, user access.UserID, arn stage.ARN, _ access.Rate,
) (access.Permit, error) {
	return access.Permit{
		Grant: access.Grant{User: user, Stage: arn, Capabilities: stage.Subscribe},
	}, nil
}

func (*sick) GrantsByRules(context.Context, access.UserID) ([]access.Grant, error) {
	return nil, nil
}

// sickServer returns a server whose clock advances a minute each time it is read. So the server
// authenticates every request with the database, and not from memory.
func sickServer(db *sick) *Server {
	now := time.Now()
	clock := func() time.Time { now = now.Add(time.Minute); return now }
	log := slog.New(slog.DiscardHandler)
	f := feed.New(feed.Config{Shared: feed.NewMemory(clock), Log: log, Now: clock})
	s, err := New(Config{
		Control: access.New(access.Config{Store: db, Now: clock}), Feed: f, Docks: feed.NewDocks(f),
		Chat:      feed.NewChat(f),
		PublicURL: &url.URL{Scheme: "http", Host: "127.0.0.1"}, Log: log, Now: clock,
	})
	if err != nil {
		panic(err)
	}
	return s
}

func TestADatabaseThatDoesNotAnswerSignsNobodyOut(t *testing.T) {
	t.Parallel()
	db := &sick{}
	s := sickServer(db)
	r := httptest.NewRequest("GET", "/api/events", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: "secret"})
	for _, arn := range []stage.ARN{"", "arn:aws:ivs:local:000000000000:stage/main"} {
		db.err = nil
		told := httptest.NewRecorder()
		p := &openStream{streams: s.streams, presented: presented(r), stage: arn,
			line: openLine(told, r)}
		stream, err := s.config.Feed.Listen(feed.Listener{User: "ana", Page: arn})
		if err != nil {
			t.Fatal(err)
		}
		p.stream = stream
		if !p.look(t.Context(), true) {
			t.Fatalf("%q: a good login was not let in", arn)
		}
		for _, db.err = range []error{stage.ErrUnavailable, context.DeadlineExceeded} {
			if !p.look(t.Context(), true) || strings.Contains(told.Body.String(), "bye") {
				t.Errorf("%q, %v: got %s, want that the stream goes on", arn, db.err, told.Body)
			}
		}
		db.err = stage.ErrNotFound
		if p.look(t.Context(), false) || !strings.Contains(told.Body.String(), "signed_out") {
			t.Errorf("%q, a login that ended: got %s, want a farewell", arn, told.Body)
		}
	}
}

// Clients repeat a request after the time in Retry-After, so an error that names no time must have
// the header, too.
func TestEvery503SaysWhenToTryAgain(t *testing.T) {
	t.Parallel()
	unknown := stage.Errorf(stage.ErrUnavailable, "It is done, but a session could not be ended.")
	known := stage.Errorf(stage.ErrUnavailable, "AWS is busy.").WithRetry(59500 * time.Millisecond)
	for want, db := range map[string]*sick{
		"1": {err: unknown}, "60": {err: known},
	} {
		r := httptest.NewRequest("GET", "/api/me", nil)
		r.AddCookie(&http.Cookie{Name: cookieName, Value: "secret"})
		told := httptest.NewRecorder()
		sickServer(db).ServeHTTP(told, r)
		if got := told.Header().Get("Retry-After"); told.Code != 503 || got != want {
			t.Errorf("%v: got %d, Retry-After %q, want 503 and %q", db.err, told.Code, got, want)
		}
	}
}

func TestALoginIsGoodAlthoughItsUseIsNotWrittenDown(t *testing.T) {
	t.Parallel()
	db := &sick{touch: stage.ErrUnavailable}
	c := sickServer(db).config.Control
	login, err := c.Authenticate(t.Context(), access.Presented{Login: stage.NewSecret("secret")})
	if err != nil || login.Renewed {
		t.Errorf("login: got %+v, %v, want it as it is stored", login, err)
	}
	if _, err := c.Authenticate(t.Context(),
		access.Presented{Bearer: stage.NewSecret("sdk_secret")}); err != nil {
		t.Errorf("key: got %v, want that it is let in", err)
	}
}
