package whip_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/stagedoor/stagedoor/internal/apptest/httpscript"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

const studio = stage.ARN("arn:aws:ivs:local:000000000000:stage/studio")

// A harness is a Handler in a real HTTP server. The dependencies of the Handler are in memory. They
// record its calls in the field `news`.
type harness struct {
	*whip.Handler
	URL    string
	log    bytes.Buffer // read it only while no request runs
	media  *plane
	client http.Transport

	mu   sync.Mutex
	news []string
	now  time.Time
	gone map[string]bool // tokens that were revoked
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newHarness(t testing.TB) *harness {
	h := &harness{now: time.Unix(1_700_000_000, 0), gone: map[string]bool{}}
	h.media = &plane{harness: h, publishing: map[stage.ParticipantID]*flow{}}
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	h.Handler = whip.New(whip.Config{
		Media:        h.media,
		Tokens:       h,
		Log:          slog.New(slog.NewTextHandler(&h.log, debug)),
		Now:          h.clock,
		Events:       func(e stage.Event) { h.tell("%s: %s %s", e.Participant, e.Kind, e.Code) },
		AllowOrigins: []string{"https://app.example"},
		Address: func(r *http.Request) netip.Addr {
			if from, err := netip.ParseAddr(r.Header.Get("X-From")); err == nil {
				return from
			}
			return netip.MustParseAddr("192.0.2.99")
		},
		ICEServers: func(p stage.Participant) []whip.ICEServer {
			if p.ID != "tess" {
				return nil
			}
			return []whip.ICEServer{
				{URL: "stun:turn.example"},
				{URL: "turn:turn.example?transport=tcp", Username: `te"ss`, Credential: stage.NewSecret(`p\w`)},
			}
		},
	})
	server := httptest.NewServer(h)
	h.URL = server.URL
	t.Cleanup(func() {
		if err := h.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		h.client.CloseIdleConnections()
		server.Close()
		if strings.Contains(h.log.String(), "-token") {
			t.Errorf("a bearer is in the log:\n%s", &h.log)
		}
	})
	return h
}

func (h *harness) clock() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *harness) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func (h *harness) tell(format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.news = append(h.news, fmt.Sprintf(format, args...))
}

func (h *harness) read() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	news := h.news
	h.news = nil
	return news
}

// Verify accepts tokens such as ana-token. The tokens ana-watch-token and ana-publish-token have
// one capability, and ana-expired-token is refused.
func (h *harness) Verify(_ context.Context, bearer stage.Secret) (stage.Participant, error) {
	name, rest, _ := strings.Cut(bearer.Reveal(), "-")
	p := stage.Participant{
		ID: stage.ParticipantID(name), Stage: studio, UserID: "u-" + name,
		Capabilities: stage.Publish | stage.Subscribe,
	}
	claimed := stage.Participant{ID: p.ID, Stage: p.Stage}
	refuse := func(code, detail string) error {
		return stage.Errorf(stage.ErrUnauthorized, "%s", detail).WithCode(code)
	}
	h.mu.Lock()
	revoked := h.gone[bearer.Reveal()]
	h.mu.Unlock()
	switch {
	case bearer.Empty():
		return stage.Participant{}, refuse("token_missing", "There is no token.")
	case revoked:
		return claimed, refuse("token_revoked", "The token was revoked.")
	case rest == "expired-token":
		return claimed, refuse("token_expired", "The token has expired: get a new one.")
	case rest == "view-token": // the token of a viewing key that shows Ana
		p.Capabilities, p.View = stage.Subscribe, "u-ana"
	case rest == "watch-token":
		p.Capabilities = stage.Subscribe
	case rest == "publish-token":
		p.Capabilities = stage.Publish
	case rest != "token":
		return stage.Participant{}, refuse("token_malformed", "This is not a participant token.")
	}
	return p, nil
}

// plane is a media plane without media.
type plane struct {
	harness *harness
	gate    atomic.Pointer[chan struct{}] // while set, negotiations wait for it

	mu         sync.Mutex
	publishing map[stage.ParticipantID]*flow
}

func (m *plane) refusal(ctx context.Context, offer string) error {
	if gate := m.gate.Load(); gate != nil {
		select {
		case <-*gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	switch {
	case !strings.HasPrefix(offer, "v=0"):
		return stage.Errorf(stage.ErrInvalid, "The offer is not an SDP.").WithCode("bad_sdp")
	case strings.Contains(offer, "VP8 only"):
		return stage.Errorf(stage.ErrInvalid, "The offer has no H.264.").WithCode("no_h264")
	case strings.Contains(offer, "to a full stage"):
		return stage.Errorf(stage.ErrConflict, "12 participants publish already.").
			WithCode("stage_full")
	case strings.Contains(offer, "to a full server"):
		return stage.Errorf(stage.ErrUnavailable, "The server is full.").WithCode("server_full").
			WithRetry(30 * time.Second)
	case strings.Contains(offer, "to a broken server"):
		return errors.New("no more file descriptors")
	}
	return nil
}

func (m *plane) Publish(
	ctx context.Context, p stage.Participant, offer string,
) (whip.Session, string, error) {
	if err := m.refusal(ctx, offer); err != nil {
		return nil, "", err
	}
	f := m.newFlow(p.ID)
	m.mu.Lock()
	m.publishing[p.ID] = f
	m.mu.Unlock()
	m.harness.tell("%s: publishes", p.ID)
	return f, "v=0 answer", nil
}

func (m *plane) Subscribe(
	ctx context.Context, p stage.Participant, publisher stage.ParticipantID, offer string,
) (whip.Session, string, error) {
	if err := m.refusal(ctx, offer); err != nil {
		return nil, "", err
	}
	m.mu.Lock()
	_, ok := m.publishing[publisher]
	m.mu.Unlock()
	if !ok {
		return nil, "", stage.Errorf(stage.ErrNotFound, "Nobody of that name publishes.").
			WithCode("not_publishing")
	}
	m.harness.tell("%s: watches %s", p.ID, publisher)
	return &layeredFlow{m.newFlow(p.ID), p.ID}, "v=0 answer", nil
}

func (m *plane) Participants(context.Context, stage.ARN) (list []stage.Presence, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id := range m.publishing {
		list = append(list, stage.Presence{
			Participant: stage.Participant{ID: id, Stage: studio, UserID: "u-" + string(id)},
			Publishing:  true,
		})
	}
	return list, nil
}

type flow struct {
	plane *plane
	id    stage.ParticipantID
	once  sync.Once
	done  chan struct{}
}

func (m *plane) newFlow(id stage.ParticipantID) *flow {
	return &flow{plane: m, id: id, done: make(chan struct{})}
}

func (f *flow) Done() <-chan struct{} { return f.done }

func (f *flow) Close(code, _ string) {
	f.once.Do(func() {
		f.plane.harness.tell("%s: ended %s", f.id, code)
		close(f.done)
	})
}

// layeredFlow is the session of a viewer of a simulcast.
type layeredFlow struct {
	*flow
	id stage.ParticipantID
}

func (f *layeredFlow) Layers() []whip.Layer {
	return []whip.Layer{
		{EncodingID: "hi", Bitrate: 2500, Width: 1280, Height: 720, FPS: 30, Selected: true},
	}
}

func (f *layeredFlow) SelectLayer(id string) error {
	if id != "" && id != "hi" {
		return stage.Errorf(stage.ErrNotFound, "There is no such layer.")
	}
	f.plane.harness.tell("%s: layer %q", f.id, id)
	return nil
}

func (f *layeredFlow) FitHeight(lines int) {
	if lines > 0 {
		f.plane.harness.tell("%s: shown at %d lines", f.id, lines)
	}
}

func (f *layeredFlow) StartHighest() {
	f.plane.harness.tell("%s: starts with the highest layer", f.id)
}

func (f *layeredFlow) Play(mid string, on bool) error {
	f.plane.harness.tell("%s: mid %s plays: %v", f.id, mid, on)
	return nil
}

// reply is a response in the form that the tests compare.
type reply struct {
	status int
	header http.Header
	body   string
}

func (h *harness) send(t testing.TB, method, path, body string, header ...string) reply {
	t.Helper()
	got := httpscript.To(h.URL, &h.client)(t, method, path, header, body)
	return reply{got.Status, got.Header, got.Body}
}

func (h *harness) publish(t testing.TB, bearer string) reply {
	t.Helper()
	return h.send(t, "POST", "/whip", "v=0", "Authorization: Bearer "+bearer,
		"Content-Type: application/sdp")
}
