package signal_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/apptest/browser"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/sfu"
	"github.com/stagedoor/stagedoor/internal/signal"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// sdkFile is the unmodified package of AWS, from npm. It is AWS Content and must not become part of
// this repository.
const sdkFile = "../../node_modules/amazon-ivs-web-broadcast/dist/amazon-ivs-web-broadcast.js"

// An sdkHarness is a local stage as Stagedoor serves it, with real media and pages that use the
// stock SDK.
type sdkHarness struct {
	*signal.Server
	t      *testing.T
	url    string
	signer *token.Signer

	mu     sync.Mutex
	barred map[stage.ParticipantID]bool // guarded by mu
}

func newSDKHarness(t *testing.T) *sdkHarness {
	t.Helper()
	if _, err := os.Stat(sdkFile); err != nil {
		t.Fatalf("the IVS web SDK is not there (%v): make test installs it", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	web := httptest.NewUnstartedServer(mux)
	origin := "http://" + web.Listener.Addr().String()
	endpoints := func(context.Context, stage.ARN) (stage.Endpoints, error) {
		return stage.Endpoints{WHIP: origin + "/whip",
			Events: "ws" + strings.TrimPrefix(origin, "http") + "/stage-events"}, nil
	}
	h := &sdkHarness{t: t, url: origin, barred: map[stage.ParticipantID]bool{}}
	h.signer = &token.Signer{Key: key, KeyID: "own", Endpoints: endpoints, Now: time.Now}
	log := slog.New(slog.DiscardHandler)
	media, err := sfu.New(sfu.Config{Listen: "127.0.0.1:0", Log: log, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	handler := whip.New(whip.Config{Media: media, Log: log, Now: time.Now, Tokens: &token.Verifier{
		Keys: token.Keys{"own": &key.PublicKey}, Endpoints: endpoints, Now: time.Now,
		Leeway: time.Second, Admit: h.admit,
	}})
	h.Server = signal.New(signal.Config{
		Sessions: handler, Media: media, Origin: origin, Now: time.Now, Log: log,
	})
	media.OnChange(h.MediaChanged)
	h.SetGrace(2 * time.Second)
	mux.Handle("GET /", http.FileServer(http.Dir("testdata")))
	mux.HandleFunc("GET /amazon-ivs-web-broadcast.js", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, sdkFile)
	})
	mux.HandleFunc("POST /telemetry", func(http.ResponseWriter, *http.Request) {})
	mux.Handle("GET /stage-events", h.Server)
	web.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if httpkit.FirstSegment(r.URL.Path) == "whip" {
			handler.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
	web.Start()
	t.Cleanup(web.Close)
	h.run(media, handler)
	return h
}

func (h *sdkHarness) run(media *sfu.SFU, handler *whip.Handler) {
	ctx, cancel := context.WithCancel(context.Background())
	var g errgroup.Group
	g.Go(func() error { return media.Run(ctx) })
	g.Go(func() error { return h.Run(ctx) })
	h.t.Cleanup(func() {
		if err := handler.Shutdown(context.Background()); err != nil {
			h.t.Errorf("Shutdown: %v", err)
		}
		cancel()
		if err := g.Wait(); err != nil {
			h.t.Errorf("Run: %v", err)
		}
	})
}

func (h *sdkHarness) admit(_ context.Context, p stage.Participant) (stage.Participant, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.barred[p.ID] {
		return p, stage.Errorf(stage.ErrDenied, "You were sent away.").WithCode("token_revoked")
	}
	return p, nil
}

func (h *sdkHarness) kick(id stage.ParticipantID) {
	h.t.Helper()
	h.mu.Lock()
	h.barred[id] = true
	h.mu.Unlock()
	if err := h.Disconnect(h.t.Context(), studio, id, "Not your turn."); err != nil {
		h.t.Errorf("Disconnect: %v", err)
	}
}

func (h *sdkHarness) token(name string) stage.ParticipantToken {
	h.t.Helper()
	tok, err := h.signer.IssueToken(h.t.Context(), stage.TokenRequest{
		Stage: studio, UserID: "u-" + name, Attributes: map[string]string{"name": name},
		Capabilities: stage.Publish | stage.Subscribe, TTL: time.Hour,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return tok
}

// tab opens a page on which no guest has joined yet.
func (h *sdkHarness) tab(of *browser.Page) *browser.Page {
	h.t.Helper()
	if of == nil {
		of = browser.Open(h.t, browser.Current, browser.Options{FakeMedia: true})
	} else {
		of = of.Tab()
	}
	of.Goto(h.url + "/guest.html")
	return of
}

// mustJoin joins, and fails the test if the server refuses.
func (h *sdkHarness) mustJoin(p *browser.Page, tok stage.ParticipantToken, options string) {
	h.t.Helper()
	if got := h.join(p, tok, options); got != "joined" {
		h.t.Fatalf("%s: got %s, want joined", tok.Participant.UserID, got)
	}
}

func (h *sdkHarness) join(
	p *browser.Page, tok stage.ParticipantToken, options string,
) (result string) {
	h.t.Helper()
	return h.joinAs("guest", p, tok, options)
}

func (h *sdkHarness) joinAs(
	guest string, p *browser.Page, tok stage.ParticipantToken, options string,
) (result string) {
	h.t.Helper()
	p.Eval(fmt.Sprintf("%s.join(%q, %s)", guest, tok.Secret.Reveal(), options), &result)
	return result
}

// once checks that the SDK has reported an event exactly once.
func (h *sdkHarness) once(p *browser.Page, line string) {
	h.t.Helper()
	var n int
	if p.Eval(fmt.Sprintf("guest.diary.filter(line => line === %q).length", line), &n); n != 1 {
		h.t.Errorf("%q: got it %d times, want once", line, n)
	}
}

func diary(p *browser.Page, line string) { p.WaitFor(fmt.Sprintf("guest.has(%q)", line)) }

// sees waits until a page shows moving video of a participant and receives sound that is not
// silence.
func sees(p *browser.Page, id stage.ParticipantID) {
	p.WaitFor(fmt.Sprintf("guest.seen(%q) > 10", id))
	p.WaitFor(fmt.Sprintf("guest.heard(%q).then(energy => energy > 0)", id))
}

// TestStockSDK: two guests use the web SDK of AWS, one with each of its signalling implementations,
// and a broadcaster publishes by WHIP. The events of joining, muting and leaving arrive.
func TestStockSDK(t *testing.T) {
	t.Parallel()
	h := newSDKHarness(t)
	ana, bob, obs := h.token("Ana"), h.token("Bob"), h.token("Studio")
	anaPage := h.tab(nil)
	bobPage := h.tab(anaPage)

	if got := h.join(anaPage, ana, `{publish: true}`); got != "joined" {
		t.Fatalf("Ana: got %s, want joined", got)
	}
	diary(anaPage, "own published")
	if got := h.join(bobPage, bob, `{publish: true, v2: true}`); got != "joined" {
		t.Fatalf("Bob: got %s, want joined", got)
	}
	diary(bobPage, fmt.Sprintf("joined %s u-Ana Ana", ana.Participant.ID))
	diary(anaPage, fmt.Sprintf("joined %s u-Bob Bob", bob.Participant.ID))
	sees(bobPage, ana.Participant.ID)
	sees(anaPage, bob.Participant.ID)

	publisher, err := rtcpeer.Publish(t, rtcpeer.HTTP(h.url+"/whip", obs.Secret.Reveal()),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatalf("OBS: %v", err)
	}
	diary(anaPage, fmt.Sprintf("joined %s u-Studio Studio", obs.Participant.ID))
	sees(anaPage, obs.Participant.ID)
	sees(bobPage, obs.Participant.ID)

	anaPage.Eval(`guest.mute('audio', true)`, nil)
	diary(bobPage, fmt.Sprintf("%s audio muted", ana.Participant.ID))
	anaPage.Eval(`guest.mute('audio', false)`, nil)
	diary(bobPage, fmt.Sprintf("%s audio unmuted", ana.Participant.ID))
	bobPage.Eval(`guest.mute('video', true)`, nil)
	diary(anaPage, fmt.Sprintf("%s video muted", bob.Participant.ID))

	publisher.Close()
	diary(bobPage, fmt.Sprintf("left %s", obs.Participant.ID))

	anaPage.Eval(`guest.stopPublishing()`, nil)
	diary(bobPage, fmt.Sprintf("%s not_published", ana.Participant.ID))
	bobPage.WaitGone(".of-" + string(ana.Participant.ID))

	anaPage.Eval(`guest.stage.leave()`, nil)
	diary(bobPage, fmt.Sprintf("left %s", ana.Participant.ID))
	diary(anaPage, "gone user-initiated")
	// Each state is sent in two messages of different types, but the SDK reports its events only
	// once. A later event shows that both messages have arrived.
	late := h.token("Late")
	h.mustJoin(h.tab(bobPage), late, `{}`)
	diary(bobPage, fmt.Sprintf("joined %s u-Late Late", late.Participant.ID))
	h.once(bobPage, fmt.Sprintf("joined %s u-Ana Ana", ana.Participant.ID))
	h.once(bobPage, fmt.Sprintf("left %s", ana.Participant.ID))
	h.once(anaPage, fmt.Sprintf("joined %s u-Bob Bob", bob.Participant.ID))
}

// A tabGuest is a guest on a page, which may have several guests.
type tabGuest struct {
	page *browser.Page
	name string
	id   stage.ParticipantID
}

// addGuest adds a guest to a page. The guest joins and publishes few frames a second, because a
// page with many guests decodes all pictures of all of them.
func (h *sdkHarness) addGuest(p *browser.Page, name string, v2 bool) tabGuest {
	h.t.Helper()
	tok := h.token(name)
	p.Eval(fmt.Sprintf("void (guests.%s = newGuest())", name), nil)
	if got := h.joinAs("guests."+name, p, tok,
		fmt.Sprintf("{publish: true, v2: %t, frameRate: 5}", v2)); got != "joined" {
		h.t.Fatalf("%s: got %s, want joined", name, got)
	}
	return tabGuest{p, name, tok.Participant.ID}
}

func (g tabGuest) diary(format string, args ...any) {
	g.page.WaitFor(fmt.Sprintf("guests.%s.has(%q)", g.name, fmt.Sprintf(format, args...)))
}

// meet waits until each guest has received more picture and sound of each other guest since the
// call of `meet`.
func meet(guests []tabGuest) {
	for _, s := range guests {
		var others []string
		for _, other := range guests {
			if other.id != s.id {
				others = append(others, fmt.Sprintf("%q", other.id))
			}
		}
		s.page.Eval(fmt.Sprintf("guests.%s.mark([%s])", s.name, strings.Join(others, ", ")), nil)
	}
	for _, s := range guests {
		s.page.WaitEmpty(fmt.Sprintf("guests.%s.waitsFor()", s.name))
	}
}

// without returns the guests except the one who has gone. Before that, it waits until each of them
// has received the event that this guest left.
func without(gone tabGuest, guests []tabGuest) []tabGuest {
	rest := slices.DeleteFunc(slices.Clone(guests), func(g tabGuest) bool {
		return g.id == gone.id
	})
	for _, s := range rest {
		s.diary("left %s", gone.id)
		s.page.WaitFor(fmt.Sprintf("!guests.%s.video(%q)", s.name, gone.id))
	}
	return rest
}

// TestStockSDKAmongFive: five guests see and hear each other. After one leaves and one is kicked,
// the others continue.
func TestStockSDKAmongFive(t *testing.T) {
	t.Parallel()
	h := newSDKHarness(t)
	pages := []*browser.Page{h.tab(nil)}
	pages = append(pages, h.tab(pages[0]))
	var guests []tabGuest
	for i, name := range []string{"Ana", "Bob", "Cyd", "Dan", "Eve"} {
		guests = append(guests, h.addGuest(pages[i%2], name, i%3 == 1))
	}
	meet(guests)

	bob := guests[1]
	bob.page.Eval("guests.Bob.stage.leave()", nil)
	bob.diary("gone user-initiated")
	guests = without(bob, guests)
	meet(guests)

	cyd := guests[1]
	h.kick(cyd.id)
	cyd.diary("gone participant-disconnected")
	guests = without(cyd, guests)
	meet(guests)
}

// TestStockSDKIsSentAway: a kicked SDK receives the reason, and the others receive the event that
// it left. Its token is refused from then on. When the stage is deleted, the other SDK receives
// that reason.
func TestStockSDKIsSentAway(t *testing.T) {
	t.Parallel()
	h := newSDKHarness(t)
	ana, bob := h.token("Ana"), h.token("Bob")
	anaPage := h.tab(nil)
	bobPage := h.tab(anaPage)
	h.mustJoin(anaPage, ana, `{publish: true}`)
	h.mustJoin(bobPage, bob, `{}`)
	sees(bobPage, ana.Participant.ID)

	h.kick(ana.Participant.ID)
	diary(anaPage, "gone participant-disconnected")
	diary(bobPage, fmt.Sprintf("left %s", ana.Participant.ID))
	if got, want := h.join(anaPage, ana, `{}`), "refused 10"; got != want {
		t.Errorf("Ana again: got %s, want %s (PARTICIPANT_DISCONNECTED)", got, want)
	}
	if err := h.CloseStage(t.Context(), studio); err != nil {
		t.Errorf("CloseStage: %v", err)
	}
	diary(bobPage, "gone stage-deleted")
}

func TestStockSDKRefused(t *testing.T) {
	t.Parallel()
	h := newSDKHarness(t)
	page := h.tab(nil)
	tok := h.token("Ana")
	foreign := newSDKHarness(t).token("Ana")
	// The token is for this server, but has the signature of a token of another server.
	parts, other := strings.Split(tok.Secret.Reveal(), "."),
		strings.Split(foreign.Secret.Reveal(), ".")
	tok.Secret = stage.NewSecret(parts[0] + "." + parts[1] + "." + other[2])
	if got, want := h.join(page, tok, `{}`), "refused 1"; got != want {
		t.Errorf("another's signature: got %s, want %s (malformed)", got, want)
	}
	// With disableTokenValidation, the SDK does not check the expiry itself.
	h.signer.Now = func() time.Time { return time.Now().Add(-2 * time.Hour) }
	page.Eval(`window.IVS_CLIENT_OVERRIDES.disableTokenValidation = true`, nil)
	if got, want := h.join(page, h.token("Ana"), `{}`), "refused 2"; got != want {
		t.Errorf("expired: got %s, want %s (expired)", got, want)
	}
}

// TestStockSDKExchangesItsToken: after an exchange, the others see the new name, and the sessions
// continue.
func TestStockSDKExchangesItsToken(t *testing.T) {
	t.Parallel()
	h := newSDKHarness(t)
	ana := h.token("Ana")
	h.signer.NewID = func() string { return string(ana.Participant.ID) }
	anna := h.token("Anna")
	h.signer.NewID = nil
	bob := h.token("Bob")
	anaPage := h.tab(nil)
	bobPage := h.tab(anaPage)
	h.mustJoin(anaPage, ana, `{publish: true}`)
	h.mustJoin(bobPage, bob, `{}`)
	sees(bobPage, ana.Participant.ID)
	anaPage.Eval(fmt.Sprintf("guest.stage.exchangeToken(%q)", anna.Secret.Reveal()), nil)
	diary(bobPage, fmt.Sprintf("renamed %s Anna", ana.Participant.ID))
	anaPage.Eval(`guest.stage.leave()`, nil) // also ends the session, by the new token
	diary(bobPage, fmt.Sprintf("left %s", ana.Participant.ID))
	h.isEmpty(bob.Participant.ID)
}

// isEmpty waits until a certain participant is the only one on the stage, so that no other session
// is left.
func (h *sdkHarness) isEmpty(but stage.ParticipantID) {
	h.t.Helper()
	deadline := time.Now().Add(soon)
	for {
		present, err := h.Participants(h.t.Context(), studio)
		if err != nil {
			h.t.Fatal(err)
		}
		if len(present) == 1 && present[0].Participant.ID == but {
			return
		}
		if time.Now().After(deadline) {
			h.t.Fatalf("on the stage: got %+v, want %s alone", present, but)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
