package signal_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"
	"go.uber.org/goleak"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(browser.Share(m)) }

const (
	studio = stage.ARN("arn:aws:ivs:local:000000000000:stage/studio")
	soon   = time.Minute // long, because the machine may be busy
)

// A harness is a stage with an events socket, a real WHIP handler, and a media plane in memory.
type harness struct {
	*signal.Server
	handler *whip.Handler
	media   *plane
	url     string
	stop    func() // ends Run and waits for it

	mu   sync.Mutex
	told []string // guarded by mu: refusals
}

func newHarness(t *testing.T, change func(*signal.Config)) *harness {
	h := &harness{media: &plane{flows: map[*flow]bool{}}}
	log := slog.New(slog.DiscardHandler)
	h.handler = whip.New(whip.Config{Media: h.media, Tokens: tokens{}, Log: log, Now: time.Now,
		Events: h.refused})
	cfg := signal.Config{
		Sessions: h.handler, Media: h.media, Origin: "https://stage.example", Now: time.Now,
		Log: log,
	}
	if change != nil {
		change(&cfg)
	}
	h.Server = signal.New(cfg)
	h.media.changed = h.MediaChanged
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	server := httptest.NewServer(h.Server)
	h.url = "ws" + strings.TrimPrefix(server.URL, "http")
	h.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(func() {
		h.stop()
		if err := h.handler.Shutdown(context.Background()); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		server.Close()
	})
	return h
}

func (h *harness) refused(e stage.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.told = append(h.told, fmt.Sprintf("%s %s", e.Participant, e.Code))
}

func (h *harness) refusals() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.told)
}

// tokens accepts tokens of the form id.name. A name that begins with "!" gives another result: the
// token id.!watch may only subscribe, and id.!token_expired is refused with the code token_expired.
type tokens struct{}

func (tokens) Verify(_ context.Context, bearer stage.Secret) (stage.Participant, error) {
	id, name, _ := strings.Cut(bearer.Reveal(), ".")
	p := stage.Participant{
		ID: stage.ParticipantID(id), Stage: studio, UserID: "u-" + id,
		Attributes:   map[string]string{"name": name},
		Capabilities: stage.Publish | stage.Subscribe,
	}
	claimed := stage.Participant{ID: p.ID, Stage: studio}
	code, kind := strings.CutPrefix(name, "!")
	switch {
	case bearer.Empty():
		return stage.Participant{},
			stage.Errorf(stage.ErrUnauthorized, "There is no token.").WithCode("token_missing")
	case kind && code == "broken":
		return claimed, fmt.Errorf("the database is away")
	case kind && code == "token_revoked":
		return claimed, stage.Errorf(stage.ErrDenied, "The token was revoked.").WithCode(code)
	case kind && code == "view": // the token of a viewing key that shows Ana
		p.Capabilities, p.View = stage.Subscribe, "u-ana"
	case kind && code == "watch":
		p.Capabilities = stage.Subscribe
	case kind:
		return claimed, stage.Errorf(stage.ErrUnauthorized, "A sentence.").WithCode(code)
	}
	return p, nil
}

// plane is a media plane without media.
type plane struct {
	changed func(stage.ARN)

	mu    sync.Mutex
	flows map[*flow]bool // guarded by mu
}

type flow struct {
	plane      *plane
	who        stage.Participant
	publishing bool
	highest    bool // guarded by plane.mu
	done       chan struct{}
	once       sync.Once
}

func (m *plane) open(p stage.Participant, publishing bool) *flow {
	f := &flow{plane: m, who: p, publishing: publishing, done: make(chan struct{})}
	m.mu.Lock()
	m.flows[f] = true
	m.mu.Unlock()
	m.changed(p.Stage)
	return f
}

func (f *flow) Done() <-chan struct{} { return f.done }

func (f *flow) Close(_, _ string) {
	f.once.Do(func() {
		f.plane.mu.Lock()
		delete(f.plane.flows, f)
		f.plane.mu.Unlock()
		close(f.done)
		f.plane.changed(f.who.Stage)
	})
}

func (f *flow) StartHighest() {
	f.plane.mu.Lock()
	defer f.plane.mu.Unlock()
	f.highest = true
}

func (f *flow) Play(string, bool) error { return nil }

func (m *plane) Publish(
	_ context.Context, p stage.Participant, offer string,
) (whip.Session, string, error) {
	if offer == "VP8 only" {
		return nil, "", stage.Errorf(stage.ErrInvalid,
			"The offer has no H.264.").WithCode("no_h264")
	}
	return m.open(p, true), "v=0 receives", nil
}

func (m *plane) Subscribe(
	_ context.Context, p stage.Participant, _ stage.ParticipantID, _ string,
) (whip.Session, string, error) {
	return m.open(p, false), "v=0 sends", nil
}

func (m *plane) Participants(_ context.Context, arn stage.ARN) (list []stage.Presence, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.flows {
		if f.who.Stage == arn {
			list = append(list, stage.Presence{Participant: f.who, Since: time.Now(),
				Publishing: f.publishing})
		}
	}
	return list, nil
}

func (m *plane) Disconnect(
	_ context.Context, arn stage.ARN, id stage.ParticipantID, _ string,
) error {
	err := error(stage.Errorf(stage.ErrNotFound, "This participant is not on the stage."))
	for _, f := range m.of(arn, id) {
		f.Close("kicked", "")
		err = nil
	}
	return err
}

func (m *plane) of(arn stage.ARN, id stage.ParticipantID) (list []*flow) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for f := range m.flows {
		if f.who.Stage == arn && f.who.ID == id {
			list = append(list, f)
		}
	}
	return list
}

// publish opens a publication by plain WHIP, as OBS does.
func (h *harness) publish(t *testing.T, bearer string) whip.Answer {
	t.Helper()
	p, err := tokens{}.Verify(t.Context(), stage.NewSecret(bearer))
	if err != nil {
		t.Fatal(err)
	}
	a, err := h.handler.Open(t.Context(),
		whip.OpenRequest{Participant: p, Bearer: stage.NewSecret(bearer), Offer: "v=0"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A guest is a client of the events socket, like the SDK.
type guest struct {
	*testing.T
	conn *websocket.Conn
	last int // sequence number of the last state
}

type envelope struct {
	Type    string
	Payload json.RawMessage
}

type snapshot struct {
	SequenceNumber int
	Participants   []person
}

type person struct {
	ID                                     string
	UserID                                 *string
	Attributes                             map[string]string
	IsPublishing, AudioMuted, VideoStopped bool
}

// String returns a short text, for comparisons.
func (p person) String() string {
	text := p.ID + ":" + p.Attributes["name"]
	for _, flag := range []struct {
		on   bool
		text string
	}{{p.IsPublishing, " publishes"}, {p.IsPublishing && p.AudioMuted, " muted"},
		{p.IsPublishing && p.VideoStopped, " unseen"}} {
		if flag.on {
			text += flag.text
		}
	}
	return text
}

func (h *harness) join(t *testing.T, bearer string) *guest {
	t.Helper()
	return h.joinAt(t, "?error_over_ws=1&topic=studio/publishers&traceid=1-6b036274", bearer)
}

func (h *harness) joinAt(t *testing.T, query, bearer string) *guest {
	t.Helper()
	var protocols []string
	if bearer != "" {
		protocols = []string{bearer}
	}
	conn, _, err := websocket.Dial(t.Context(), h.url+"/events"+query,
		&websocket.DialOptions{Subprotocols: protocols})
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	if got := conn.Subprotocol(); got != bearer {
		t.Errorf("subprotocol: got %q, want the token", got)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return &guest{T: t, conn: conn}
}

func (g *guest) tell(message string) {
	g.Helper()
	if err := g.conn.Write(g.Context(), websocket.MessageText, []byte(message)); err != nil {
		g.Fatalf("write: %v", err)
	}
}

// hears reads until a message of a certain type arrives, and checks the order of the states before
// it.
func (g *guest) hears(kind string) json.RawMessage {
	g.Helper()
	return g.await(kind, func(m envelope) {
		if m.Type == "aws:ivs:STAGE_STATE" {
			g.inOrder(m.Payload)
		}
	})
}

// raw is like `hears`, but does not check the states.
func (g *guest) raw(kind string) json.RawMessage {
	g.Helper()
	return g.await(kind, func(envelope) {})
}

func (g *guest) await(kind string, look func(envelope)) json.RawMessage {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), soon)
	defer cancel()
	for {
		var m envelope
		if err := wsjson.Read(ctx, g.conn, &m); err != nil {
			g.Fatalf("waiting for %s: %v", kind, err)
		}
		look(m)
		if m.Type == kind {
			return m.Payload
		}
	}
}

func (g *guest) inOrder(payload json.RawMessage) (s snapshot) {
	g.Helper()
	if err := json.Unmarshal(payload, &s); err != nil {
		g.Fatal(err)
	}
	if s.SequenceNumber <= g.last {
		g.Errorf("sequence: got %d after %d", s.SequenceNumber, g.last)
	}
	g.last = s.SequenceNumber
	return s
}

// sees reads states until one contains exactly the given participants.
func (g *guest) sees(want ...string) {
	g.Helper()
	var got []string
	slices.Sort(want)
	ctx, cancel := context.WithTimeout(g.Context(), soon)
	defer cancel()
	for !slices.Equal(got, want) {
		var m envelope
		if err := wsjson.Read(ctx, g.conn, &m); err != nil {
			g.Fatalf("sees %q, want %q: %v", got, want, err)
		}
		if m.Type == "aws:ivs:STAGE_STATE" {
			got = people(g.inOrder(m.Payload))
		}
	}
}

func people(s snapshot) (list []string) {
	for _, p := range s.Participants {
		list = append(list, p.String())
	}
	slices.Sort(list)
	return list
}

// isClosed reads until the socket is closed, and ignores all messages.
func (g *guest) isClosed() {
	g.Helper()
	ctx, cancel := context.WithTimeout(g.Context(), soon)
	defer cancel()
	for {
		if _, _, err := g.conn.Read(ctx); err != nil {
			if ctx.Err() != nil {
				g.Error("the socket is open still")
			}
			return
		}
	}
}

// leaves closes the socket as the SDK does, with a close frame without a status.
func (g *guest) leaves() {
	g.Helper()
	if err := g.conn.Close(websocket.StatusNoStatusRcvd, ""); err != nil {
		g.Errorf("leave: %v", err)
	}
}
