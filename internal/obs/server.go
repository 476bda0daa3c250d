package obs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// A server sends requests to a Stagedoor server. Its access key permits only requests about tokens
// and about the key's owner.
type server struct {
	URL  string
	Key  stage.Secret
	HTTP *http.Client
}

var _ Stage = (*server)(nil)

// A stageOf is a stage in the server's response to /api/me.
type stageOf struct {
	ARN          stage.ARN    `json:"arn"`
	Name         string       `json:"name"`
	Capabilities []string     `json:"capabilities"`
	Limits       stage.Limits `json:"limits"`
}

// Stage finds a stage by its name or ARN. If `wanted` is empty, it returns the only stage on which
// the owner of the key may publish.
func (s *server) Stage(ctx context.Context, wanted string) (stage.ARN, stage.Limits, error) {
	var me struct {
		Stages []stageOf `json:"stages"`
	}
	if err := s.do(ctx, http.MethodGet, "/api/me", nil, &me); err != nil {
		return "", stage.Limits{}, err
	}
	var names []string
	var found []stageOf
	for _, st := range me.Stages {
		can, err := stage.ParseCapabilities(st.Capabilities)
		if err != nil || !can.Has(stage.Publish) {
			continue
		}
		names = append(names, st.Name)
		if wanted == "" || wanted == st.Name || wanted == string(st.ARN) {
			found = append(found, st)
		}
	}
	switch {
	case len(found) == 1:
		return found[0].ARN, found[0].Limits, nil
	case len(names) == 0:
		return "", stage.Limits{}, stage.Errorf(stage.ErrDenied,
			"there is no stage that you may publish on: ask the operator for a grant").
			WithCode("no_grant")
	case len(found) == 0:
		return "", stage.Limits{}, stage.Errorf(stage.ErrNotFound,
			"there is no stage %q for you; --stage is one of: %s", wanted,
			strings.Join(names, ", ")).WithCode("no_stage")
	}
	return "", stage.Limits{}, stage.Errorf(stage.ErrInvalid,
		"say which stage with --stage (by ARN where names are the same): %s",
		strings.Join(names, ", ")).WithCode("no_stage")
}

// Pass requests a token for publishing.
func (s *server) Pass(ctx context.Context, arn stage.ARN) (Pass, error) {
	var token struct {
		Participant stage.ParticipantID `json:"participantId"`
		Token       string              `json:"token"`
		Endpoint    string              `json:"endpoint"`
		ExpiresAt   time.Time           `json:"expiresAt"`
	}
	err := s.do(ctx, http.MethodPost, "/api/tokens",
		map[string]any{"stage": arn, "for": "publish"}, &token)
	return Pass{Participant: token.Participant, Endpoint: token.Endpoint,
		Bearer: stage.NewSecret(token.Token), ExpiresAt: token.ExpiresAt, Stage: arn}, err
}

// Verdict requests the state of a token's participant.
func (s *server) Verdict(ctx context.Context, id stage.ParticipantID) (Verdict, error) {
	var state struct {
		Presence *struct {
			Publishing bool `json:"publishing"`
		} `json:"presence"`
		LastEvent *struct {
			Kind    stage.EventKind `json:"kind"`
			Code    string          `json:"code"`
			Detail  string          `json:"detail"`
			Claimed bool            `json:"claimed"`
			ByRole  string          `json:"byRole"`
		} `json:"lastEvent"`
	}
	if err := s.do(ctx, http.MethodGet, "/api/tokens/"+url.PathEscape(string(id)), nil,
		&state); err != nil {
		return Verdict{}, err
	}
	v := Verdict{Publishing: state.Presence != nil && state.Presence.Publishing}
	if e := state.LastEvent; e != nil {
		v.Kind, v.Code, v.Detail, v.Claimed = e.Kind, e.Code, e.Detail, e.Claimed
		v.ByRole = e.ByRole
	}
	return v, nil
}

// Script downloads stagedoor.lua, made for the owner of the key.
func (s *server) Script(ctx context.Context) (string, error) {
	text, err := s.fetch(ctx, http.MethodGet, "/api/obs/script", nil)
	return string(text), err
}

// do sends a request and reads a JSON response.
func (s *server) do(ctx context.Context, method, path string, body, into any) error {
	text, err := s.fetch(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, into); err != nil {
		return stage.Errorf(stage.ErrUnavailable, "what answers at %s is not a Stagedoor", s.URL).
			WithCode("server_unreachable").WithCause(err)
	}
	return nil
}

// fetch sends a request. If the response is a problem (RFC 9457), it returns an error with the
// problem's detail.
func (s *server) fetch(ctx context.Context, method, path string, body any) ([]byte, error) {
	payload := &bytes.Buffer{}
	if body != nil {
		if err := json.NewEncoder(payload).Encode(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, strings.TrimRight(s.URL, "/")+path, payload)
	if err != nil {
		return nil, stage.Errorf(stage.ErrInvalid,
			"--server is the address of a Stagedoor, such as https://stage.example").WithCause(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Authorization", "Bearer "+s.Key.Reveal())
	res, err := s.HTTP.Do(req)
	if err != nil {
		return nil, stage.Errorf(stage.ErrUnavailable, "Stagedoor is not reachable at %s", s.URL).
			WithCode("server_unreachable").WithCause(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return nil, stage.Errorf(stage.ErrUnavailable, "the answer of %s broke off", s.URL).
			WithCause(err)
	}
	if res.StatusCode >= 300 {
		return nil, problem(res.StatusCode, text)
	}
	return text, nil
}

func problem(status int, text []byte) error {
	var p struct {
		Code   string `json:"code"`
		Detail string `json:"detail"`
	}
	_ = json.Unmarshal(text, &p)
	if p.Detail == "" {
		p.Detail = words.English("api.failed", words.Values{"code": fmt.Sprintf("http_%d", status)})
	}
	kind := stage.ErrUnavailable
	switch status {
	case http.StatusUnauthorized:
		return stage.Errorf(stage.ErrUnauthorized,
			"Stagedoor does not know this access key: make one on your page and give it "+
				"with --key").
			WithCode(p.Code)
	case http.StatusForbidden:
		kind = stage.ErrDenied
	case http.StatusNotFound:
		kind = stage.ErrNotFound
	case http.StatusTooManyRequests:
		kind = stage.ErrTooMany
	case http.StatusBadRequest:
		kind = stage.ErrInvalid
	}
	return stage.Errorf(kind, "%s", p.Detail).WithCode(p.Code)
}
