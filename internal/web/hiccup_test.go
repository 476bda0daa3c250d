package web

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// sick is a database that knows one login and answers as it is told.
type sick struct {
	access.Store
	err   error // of reading the login
	touch error // of writing its use down
}

func (s *sick) Credential(_ context.Context, kind access.Kind, _ string) (access.Credential, access.Account, error) {
	cred := access.Credential{ID: "login", Kind: kind, User: "ana", ExpiresAt: time.Now().Add(365 * 24 * time.Hour)}
	return cred, access.Account{User: access.User{ID: "ana"}}, s.err
}

func (s *sick) Touch(context.Context, access.Credential) error { return s.touch }

func (*sick) Stages(context.Context) ([]access.StageRecord, error)             { return nil, nil }
func (*sick) Grants(context.Context, ...access.UserID) ([]access.Grant, error) { return nil, nil }

// sickServer has a clock that moves on with each look at it: no login is believed for long.
func sickServer(db *sick) *Server {
	now := time.Now()
	clock := func() time.Time { now = now.Add(time.Minute); return now }
	control, log := &access.Control{Store: db, Now: clock}, slog.New(slog.DiscardHandler)
	return &Server{Config: Config{Control: control, Log: log, Now: clock}, hub: newHub(control, slow{}, log, clock)}
}

func TestADatabaseThatDoesNotAnswerSignsNobodyOut(t *testing.T) {
	t.Parallel()
	db := &sick{}
	s := sickServer(db)
	r := httptest.NewRequest("GET", "/api/events", nil)
	r.AddCookie(&http.Cookie{Name: cookieName, Value: "secret"})
	told := httptest.NewRecorder()
	e := &eventStream{server: s, r: r, w: told, control: http.NewResponseController(told)}
	page := &stageStream{eventStream{server: s, r: r, w: told, control: http.NewResponseController(told)}, access.Principal{}}
	l := &listener{stages: map[stage.ARN]bool{}, told: map[stage.ARN][]byte{}}
	if !e.look(t.Context(), l) {
		t.Fatal("a good login was not let in")
	}
	for _, db.err = range []error{stage.ErrUnavailable, context.DeadlineExceeded} {
		if !e.look(t.Context(), l) || !page.again() || strings.Contains(told.Body.String(), "bye") {
			t.Errorf("%v: got %s, want that the streams go on", db.err, told.Body)
		}
	}
	db.err = stage.ErrNotFound
	if e.look(t.Context(), l) || !strings.Contains(told.Body.String(), "signed_out") {
		t.Errorf("a login that ended: got %s, want a farewell", told.Body)
	}
}

func TestALoginIsGoodAlthoughItsUseIsNotWrittenDown(t *testing.T) {
	t.Parallel()
	db := &sick{touch: stage.ErrUnavailable}
	c := sickServer(db).Control
	login, err := c.Authenticate(t.Context(), access.Presented{Login: stage.NewSecret("secret")})
	if err != nil || login.Renewed {
		t.Errorf("login: got %+v, %v, want it as it is stored", login, err)
	}
	if _, err := c.Authenticate(t.Context(), access.Presented{Bearer: stage.NewSecret("sdk_secret")}); err != nil {
		t.Errorf("key: got %v, want that it is let in", err)
	}
}
