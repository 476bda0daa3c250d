package ivs_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A harness is a Service and an emulated AWS with one stage, whose media a real SFU serves.
type harness struct {
	*ivs.Service
	t     *testing.T
	emu   *ivsemu.Emulator
	base  string
	stage stage.Stage

	mu     sync.Mutex
	events []stage.Event
	news   chan struct{}
}

func newHarness(t *testing.T, change func(*ivs.Config), media func(*sfu.Config)) *harness {
	t.Helper()
	return harnessWith(t, nil, change, media)
}

// harnessWith is like newHarness, but changes the configuration of the emulated AWS, too.
func harnessWith(
	t *testing.T, emulated func(*ivsemu.Config), change func(*ivs.Config), media func(*sfu.Config),
) *harness {
	t.Helper()
	h := &harness{t: t, news: make(chan struct{})}
	var hook http.Handler = http.NotFoundHandler()
	server := httptest.NewServer(http.HandlerFunc(
		func(w http.ResponseWriter, r *http.Request) { hook.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	h.emu, h.base = fakeivs.Serve(t, func(cfg *ivsemu.Config) {
		cfg.EventsURL, cfg.EventsSecret = server.URL, stage.NewSecret("hush")
		if emulated != nil {
			emulated(cfg)
		}
	})
	h.Service = service(t, h.base, func(cfg *ivs.Config) {
		cfg.Events = h.heard
		cfg.Poll = 200 * time.Millisecond
		if change != nil {
			change(cfg)
		}
	})
	hook = served(h.Webhook(stage.NewSecret("hush")))
	config := sfu.Config{Listen: "127.0.0.1:0", Events: h.emu.Observe}
	if media != nil {
		media(&config)
	}
	plane, err := sfu.New(config)
	if err != nil {
		t.Fatal(err)
	}
	h.emu.Media = plane
	run(t, plane.Run)
	run(t, h.Run)
	h.stage = create(t, h.Service, "main")
	return h
}

// run runs a function in a goroutine until the test ends.
func run(t *testing.T, f func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: got %v, want nil", err)
		}
	})
}

func (h *harness) heard(e stage.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
	close(h.news)
	h.news = make(chan struct{})
}

// wait waits until an event of that participant, kind and code has arrived.
func (h *harness) wait(id stage.ParticipantID, kind stage.EventKind, code string) stage.Event {
	h.t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		h.mu.Lock()
		for _, e := range h.events {
			if e.Participant == id && e.Kind == kind && (code == "" || e.Code == code) {
				h.mu.Unlock()
				return e
			}
		}
		news, list := h.news, h.events
		h.mu.Unlock()
		select {
		case <-news:
		case <-timeout:
			h.t.Fatalf("%s %s of %s did not come; got %+v", kind, code, id, list)
		}
	}
}

func (h *harness) token(ttl time.Duration) stage.ParticipantToken {
	h.t.Helper()
	req := request(h.stage.ARN)
	req.TTL = ttl
	made, err := h.IssueToken(h.t.Context(), req)
	if err != nil {
		h.t.Fatalf("IssueToken: got %v, want nil", err)
	}
	return made
}

func (h *harness) publish(
	made stage.ParticipantToken, clip *rtcpeer.Clip,
) (*rtcpeer.Publisher, error) {
	return rtcpeer.Publish(h.t, rtcpeer.HTTP(made.WHIPEndpoint, made.Secret.Reveal()),
		rtcpeer.PublishOptions{Clip: clip})
}

// postNoOffer posts a body that is not an offer, and returns the status: 403 if the participant is
// barred, otherwise 400.
func (h *harness) postNoOffer(made stage.ParticipantToken) int {
	h.t.Helper()
	r, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, made.WHIPEndpoint,
		strings.NewReader("no offer"))
	if err != nil {
		h.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+made.Secret.Reveal())
	r.Header.Set("Content-Type", "application/sdp")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// eventually polls the participants until the condition holds.
func (h *harness) eventually(what string, right func([]stage.Presence) bool) {
	h.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		list, err := h.Participants(h.t.Context(), h.stage.ARN)
		if err == nil && right(list) {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("%s: not reached in time; got %+v, %v", what, list, err)
		}
		// the API reports no change, so the test polls
		time.Sleep(50 * time.Millisecond)
	}
}

func TestABroadcastOnAnAWSStage(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, nil)
	made := h.token(time.Hour)
	if _, err := h.publish(made, nil); err != nil {
		t.Fatalf("publish through the global endpoint: got %v, want nil", err)
	}
	h.wait(made.Participant.ID, stage.EventPublishing, "")
	h.eventually("presence while live", func(list []stage.Presence) bool {
		return len(list) == 1 && list[0].Publishing && list[0].Participant.Name() == "Ana" &&
			list[0].Participant.ID == made.Participant.ID
	})
	if err := h.Disconnect(t.Context(), h.stage.ARN, made.Participant.ID,
		strings.Repeat("Off you go. ", 20)); err != nil {
		t.Fatalf("Disconnect: got %v, want nil", err)
	}
	if e := h.wait(made.Participant.ID, stage.EventEnded, "kicked"); !strings.HasPrefix(e.Detail,
		"Off you go.") {
		t.Errorf("the end: got %+v, want the operator's reason", e)
	}
	h.eventually("presence after the kick", func(list []stage.Presence) bool {
		return len(
			list) == 0
	})
	var refused *rtcpeer.StatusError
	if _, err := h.publish(made, nil); !errors.As(err, &refused) ||
		refused.Status != http.StatusForbidden {
		t.Errorf("the kicked token: got %v, want 403", err)
	}
	sessions, err := h.Sessions(t.Context(), h.stage.ARN)
	if err != nil || len(sessions) != 1 || sessions[0].End.IsZero() {
		t.Errorf("Sessions: got %+v, %v; want one that is over", sessions, err)
	}
	h.checkRecord(sessions[0].ID, made.Participant.ID)
}

// checkRecord checks what the API reports about a broadcast.
func (h *harness) checkRecord(session string, id stage.ParticipantID) {
	h.t.Helper()
	c := stock(h.base)
	in := &ivsrealtime.ListParticipantEventsInput{
		StageArn: aws.String(string(h.stage.ARN)), SessionId: &session,
		ParticipantId: aws.String(string(id)),
	}
	out, err := c.ListParticipantEvents(h.t.Context(), in)
	if err != nil {
		h.t.Fatal(err)
	}
	var names []string
	for _, event := range out.Events {
		names = append(names, string(event.Name))
	}
	if got, want := strings.Join(
		names, " "), "LEFT PUBLISH_STOPPED PUBLISH_STARTED JOINED"; got != want {
		h.t.Errorf("events: got %s, want %s", got, want)
	}
	p, err := c.GetParticipant(h.t.Context(), &ivsrealtime.GetParticipantInput{
		StageArn: in.StageArn, SessionId: &session, ParticipantId: in.ParticipantId,
	})
	if err != nil || p.Participant.Protocol != types.ParticipantProtocolWhip ||
		!p.Participant.Published || p.Participant.State != types.ParticipantStateDisconnected {
		h.t.Errorf("GetParticipant: got %+v, %v; want one who published by WHIP and left", p, err)
	}
}

func TestARevokedTokenIsTurnedAwayWhenItComes(t *testing.T) {
	t.Parallel()
	h := newHarness(t, func(cfg *ivs.Config) { cfg.Poll = time.Second }, nil)
	made := h.token(time.Hour)
	if err := h.Disconnect(t.Context(), h.stage.ARN, made.Participant.ID, ""); !errors.Is(err,
		stage.ErrNotFound) {
		t.Fatalf("who has not come yet: got %v, want not found", err)
	}
	h.eventually("somebody looks", func(list []stage.Presence) bool { return len(list) == 0 })
	// AWS does not know that the participant is barred, and admits the participant. The Service may
	// disconnect the participant before or after the connection is established.
	var refused *rtcpeer.StatusError
	if _, err := h.publish(made, nil); errors.As(err, &refused) {
		t.Errorf("the endpoint: got %v, want it accepted", err)
	}
	for deadline := time.Now().Add(20 * time.Second); h.postNoOffer(
		made) != http.StatusForbidden; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the participant was not disconnected")
		}
	}
}

func TestABroadcastBeyondTheLimitsEndsWithAdvice(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "waits for limits")
	for name, test := range map[string]struct {
		clip   rtcpeer.ClipOptions
		change func(*sfu.Config)
		code   string
		cure   string
	}{
		"B-frames": {rtcpeer.ClipOptions{BFrames: 2}, nil, "b_frame_present", "B-frames"},
		"1080p": {rtcpeer.ClipOptions{Width: 1920, Height: 1080, FPS: 10}, nil,
			"resolution_exceeded", "1280×720"},
		"too much": {rtcpeer.ClipOptions{}, func(cfg *sfu.Config) {
			cfg.LimitsFor = func(stage.ARN) sfu.Limits {
				return sfu.Limits{Limits: stage.Limits{MaxBitrate: 100_000}, Enforce: true}
			}
		}, "bitrate_exceeded", "2,500 Kbps"},
		"too long": {rtcpeer.ClipOptions{},
			func(cfg *sfu.Config) { cfg.MaxDuration = 2 * time.Second }, "stream_duration_exceeded",
			"24 hours"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, nil, func(cfg *sfu.Config) {
				cfg.LimitsFor = func(stage.ARN) sfu.Limits {
					l := sfu.DefaultLimits()
					l.Enforce = true
					return l
				}
				if test.change != nil {
					test.change(cfg)
				}
			})
			h.eventually("nobody yet", func(list []stage.Presence) bool { return len(list) == 0 })
			made := h.token(time.Hour)
			if _, err := h.publish(made, rtcpeer.MakeClip(t, test.clip)); err != nil {
				t.Fatal(err)
			}
			e := h.wait(made.Participant.ID, stage.EventEnded, test.code)
			if !strings.Contains(e.Detail, test.cure) {
				t.Errorf("the sentence: got %q, want one about %s", e.Detail, test.cure)
			}
		})
	}
}

func TestWithoutH264TheDockIsToldWhy(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, nil)
	made := h.token(time.Hour)
	var refused *rtcpeer.StatusError
	_, err := rtcpeer.Publish(t, rtcpeer.HTTP(made.WHIPEndpoint, made.Secret.Reveal()),
		rtcpeer.PublishOptions{VP8: true})
	if !errors.As(err, &refused) || refused.Status != http.StatusBadRequest || !strings.Contains(refused.Body, `"code":2014`) {
		t.Errorf("at the endpoint: got %v, want 400 with code 2014", err)
	}
	h.wait(made.Participant.ID, stage.EventRefused, "invalid_video_codec")
}

// TestAnOwnKeyIsRotatedWhileTheBroadcastRuns: an operator starts with tokens of the API, creates an
// own key, and rotates it. The broadcast continues when the old key is deleted.
func TestAnOwnKeyIsRotatedWhileTheBroadcastRuns(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil, nil)
	var mu sync.Mutex
	var ahead time.Duration
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return time.Now().Add(ahead) }
	manager := keys.New(keys.Config{Dir: t.TempDir(), AWS: h.Service, Now: now})
	router := &keys.Router{
		Keys: manager, API: h.Service, Endpoints: h.Endpoints, WHIPEndpoint: ivs.WHIPEndpoint,
		Now: now,
	}
	issue := func() stage.ParticipantToken {
		t.Helper()
		made, err := router.IssueToken(t.Context(), request(h.stage.ARN))
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	if made := issue(); made.IssuedBy != ivs.IssuedBy {
		t.Errorf("at first: issued by %q, want the API", made.IssuedBy)
	}
	old, err := manager.Add(t.Context(), region, keys.Source{})
	if err != nil {
		t.Fatal(err)
	}
	made := issue()
	p, err := h.publish(made, nil)
	if err != nil {
		t.Fatalf("a self-signed token: got %v, want nil", err)
	}
	h.wait(made.Participant.ID, stage.EventPublishing, "")
	fresh, err := manager.Rotate(t.Context(), region, keys.Source{})
	if err != nil {
		t.Fatal(err)
	}
	if again := issue(); again.IssuedBy != "own key "+fresh.ARN {
		t.Errorf("after the rotation: issued by %q, want %s", again.IssuedBy, fresh.ARN)
	}
	mu.Lock()
	ahead = 10 * time.Minute
	mu.Unlock()
	gone, err := manager.Tidy(t.Context())
	if err != nil || len(gone) != 1 || gone[0].ARN != old.ARN {
		t.Fatalf("Tidy: got %+v, %v; want the old key gone", gone, err)
	}
	if _, err := h.PublicKey(t.Context(), old.ARN); !errors.Is(err, stage.ErrNotFound) {
		t.Errorf("the old key at AWS: got %v, want that it is gone", err)
	}
	select {
	case <-p.Closed():
		t.Error("the broadcast broke")
	default:
	}
}

// TestARevocationMadeElsewhereEndsABroadcast: a command or another replica has written the
// revocation into the database. The broadcast ends although no page watches the stage.
func TestARevocationMadeElsewhereEndsABroadcast(t *testing.T) {
	t.Parallel()
	revoked := make(chan stage.Participant, 1)
	var list []stage.Participant
	h := newHarness(t, func(cfg *ivs.Config) {
		cfg.Barred = func(context.Context) ([]stage.Participant, error) {
			select {
			case p := <-revoked:
				list = append(list, p)
			default:
			}
			return list, nil
		}
	}, nil)
	made := h.token(time.Hour)
	p, err := h.publish(made, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.wait(made.Participant.ID, stage.EventPublishing, "")
	revoked <- made.Participant
	closed(t, p)
	h.wait(made.Participant.ID, stage.EventEnded, "token_revoked")
	if got := h.postNoOffer(made); got != http.StatusForbidden {
		t.Errorf("a second POST: got %d, want 403", got)
	}
}

// TestWhoWasKickedIsSentAwayEveryTime: the Service disconnects a barred participant each time it
// joins again, because AWS does not document whether it bars a kicked participant permanently.
func TestWhoWasKickedIsSentAwayEveryTime(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "connections that do not come up")
	h := harnessWith(t, func(cfg *ivsemu.Config) { cfg.NoBar = true }, nil, nil)
	made := h.token(time.Hour)
	first, err := h.publish(made, nil)
	if err != nil {
		t.Fatal(err)
	}
	h.wait(made.Participant.ID, stage.EventPublishing, "")
	if err := h.Disconnect(t.Context(), h.stage.ARN, made.Participant.ID,
		"Off you go."); err != nil {
		t.Fatal(err)
	}
	closed(t, first)
	for i := range 2 {
		// The Service may disconnect the participant before or after its connection is established.
		again, err := h.publish(made, nil)
		var refused *rtcpeer.StatusError
		if errors.As(err, &refused) {
			t.Fatalf("return %d: got %v, want it accepted", i+1, err)
		}
		if err == nil {
			closed(t, again)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, e := range h.events {
		if e.Kind == stage.EventEnded && e.Code != "kicked" {
			t.Errorf("got %+v, want no other reason than the kick", e)
		}
	}
}

func closed(t *testing.T, p *rtcpeer.Publisher) {
	t.Helper()
	select {
	case <-p.Closed():
	case <-time.After(20 * time.Second):
		t.Fatal("the broadcast goes on")
	}
}

func TestPeopleOfOtherProgramsStay(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var revoked []stage.Participant
	h := newHarness(t, func(cfg *ivs.Config) {
		cfg.Barred = func(context.Context) ([]stage.Participant, error) {
			mu.Lock()
			defer mu.Unlock()
			return slices.Clone(revoked), nil
		}
	}, nil)
	other, err := stock(h.base).CreateParticipantToken(t.Context(),
		&ivsrealtime.CreateParticipantTokenInput{StageArn: aws.String(string(h.stage.ARN))})
	if err != nil {
		t.Fatal(err)
	}
	ours := h.token(time.Hour)
	mu.Lock()
	// revoked in an earlier run, so only the database contains it
	revoked = append(revoked, ours.Participant)
	mu.Unlock()
	guest, err := rtcpeer.Publish(t, rtcpeer.HTTP(h.emu.WHIPEndpoint(),
		*other.ParticipantToken.Token), rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var refused *rtcpeer.StatusError
	if _, err := h.publish(ours, nil); errors.As(err, &refused) {
		t.Errorf("the endpoint: got %v, want it accepted", err)
	}
	h.eventually("somebody looks", func(list []stage.Presence) bool {
		return h.postNoOffer(
			ours) == http.StatusForbidden
	})
	h.eventually("the guest alone", func(list []stage.Presence) bool {
		return len(list) == 1 && string(
			list[0].Participant.ID) == *other.ParticipantToken.ParticipantId
	})
	select {
	case <-guest.Closed():
		t.Error("the guest was disconnected")
	default:
	}
}
