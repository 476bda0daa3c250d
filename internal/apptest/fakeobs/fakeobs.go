// Package fakeobs is OBS Studio as seen through obs-websocket 5: a server in the test's process
// that behaves as the real one was measured and read to behave, version by version. The section
// numbers in its comments are those of the notes on OBS that the fake was written from;
// docs/decisions/0051 says how it is held to a real OBS, by the contract in apptest/realobs.
package fakeobs

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// Options describe the OBS. The zero value is a fresh OBS 32.1 with WHIP, no password and no
// endpoint.
type Options struct {
	Version  Version
	Password string // empty: "Enable Authentication" is off

	NoWHIP   bool   // a build without obs-webrtc, such as Ubuntu's .deb: whip_custom gives 700
	Platform string // GetVersion's platform; "linux" if empty
	Encoder  string // SimpleOutput/StreamEncoder of a clean profile; "x264" if empty

	Screen   [2]int            // what a clean profile makes its canvas of; 1920x1080 if zero
	Profile  string            // the current profile at the start; "Untitled" if empty
	Params   map[string]string // "SimpleOutput/VBitrate": what the person has set in that profile
	Service  Service           // the service in that profile; rtmp_common with no settings if zero
	Account  string            // [Auth] Type of that profile, such as "Twitch" or "YouTube - RTMP"
	FPS      float64           // frames per second in that profile; 30 if zero
	NotReady bool              // starts while loading: requests give 207 until SetReady(true)
	// an obs-websocket that speaks no version 1: Identify ends with 4010 (2.4)
	OtherRPC bool
	// share of the frames that the encoder and the renderer leave out, as GetStats counts them
	Lag float64

	NoReplayBuffer bool // GetReplayBufferStatus gives 604
	NoVirtualCam   bool // GetVirtualCamStatus gives 604
	NoBrowser      bool // a build without obs-browser: browser_source gives 605

	Script Script // stagedoor.lua; without a secret there is none

	// how long after a switch of profiles OBS crashes when it is asked about the stream; 0.9 s if
	// zero
	Settle   time.Duration
	MayCrash bool // the test wants OBS to crash: it does not fail for it

	// where StartStream goes; without one every start is refused by the network
	Output WHIPOutput
	Second time.Duration // what OBS takes for a second between reconnects; 10 ms if zero
}

// A Service is what OBS streams to.
type Service struct {
	Type     string
	Settings map[string]any
}

// OBS is a running fake. All methods are safe for concurrent use.
type OBS struct {
	opts Options
	addr string
	wg   sync.WaitGroup

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced at every change of what follows
	server   *http.Server  // nil while OBS is not running
	life     context.Context
	end      context.CancelFunc // ends life, when OBS ends
	salt     string             // per server start (2.3)
	sessions map[*session]bool
	ready    bool
	requests []Request
	holds    map[string]chan struct{}
	pretends map[string]int
	state    // all that the requests read and write
}

// Start runs an OBS on a free loopback port until the test ends.
func Start(t testing.TB, opts Options) *OBS {
	t.Helper()
	o := New(opts)
	if err := o.listen("127.0.0.1:0"); err != nil {
		t.Fatalf("fakeobs: %v", err)
	}
	t.Cleanup(func() {
		o.Quit()
		if cause := o.State().Cause; cause != "" && !opts.MayCrash {
			t.Errorf("OBS crashed: %s", cause)
		}
	})
	return o
}

// New makes an OBS that is not running yet; Restart runs it.
func New(opts Options) *OBS {
	opts = opts.withDefaults()
	o := &OBS{
		opts:     opts,
		changed:  make(chan struct{}),
		sessions: map[*session]bool{},
		holds:    map[string]chan struct{}{},
		pretends: map[string]int{},
		ready:    !opts.NotReady,
		state:    newState(opts),
	}
	return o
}

func (opts Options) withDefaults() Options {
	if opts.Platform == "" {
		opts.Platform = "linux"
	}
	if opts.Encoder == "" {
		opts.Encoder = "x264"
	}
	if opts.Screen == [2]int{} {
		opts.Screen = [2]int{1920, 1080}
	}
	if opts.Profile == "" {
		opts.Profile = "Untitled"
	}
	if opts.Settle == 0 {
		opts.Settle = 900 * time.Millisecond
	}
	if opts.Second == 0 {
		opts.Second = 10 * time.Millisecond
	}
	return opts
}

// URL is the address for a client: ws://127.0.0.1:port.
func (o *OBS) URL() string { return "ws://" + o.addr }

// Port is the port of URL.
func (o *OBS) Port() string {
	_, port, _ := net.SplitHostPort(o.addr)
	return port
}

func (o *OBS) listen(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	salt := make([]byte, 32)
	rand.Read(salt)
	// obs-websocket takes any URL path and checks no origin (2.1).
	srv := &http.Server{Handler: http.HandlerFunc(o.serve), ReadHeaderTimeout: 10 * time.Second}
	o.mu.Lock()
	o.addr, o.server, o.salt = l.Addr().String(), srv, base64.StdEncoding.EncodeToString(salt)
	o.life, o.end = context.WithCancel(context.Background())
	o.touch()
	o.mu.Unlock()
	o.wg.Go(func() { _ = srv.Serve(l) })
	return nil
}

// Connections is how many programs are connected.
func (o *OBS) Connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sessions)
}

// Kick closes every session as the button in OBS's "Connect Info" does: 4011, do not come back by
// yourself (2.4).
func (o *OBS) Kick() { o.drop(4011, "Your session has been invalidated.") }

// Quit ends OBS: ExitStarted, the stream is cut, the sessions close with 1001 (2.4, 5). Restart
// brings it back.
func (o *OBS) Quit() {
	o.mu.Lock()
	o.emit(eventGeneral, "ExitStarted", nil)
	o.mu.Unlock()
	o.shutDown(1001, "Server stopping.")
}

// Crash ends OBS without a word.
func (o *OBS) Crash() { o.shutDown(0, "") }

func (o *OBS) shutDown(code int, reason string) {
	o.mu.Lock()
	srv := o.server
	o.server = nil
	o.stopOutputs()
	o.touch()
	o.mu.Unlock()
	if srv != nil {
		o.drop(code, reason)
		o.end()
		_ = srv.Close()
	}
	o.wg.Wait()
}

// Restart runs OBS (again), on the same port once it had one. Profiles and settings are what they
// were; the current profile is loaded anew, and with it the encoders.
func (o *OBS) Restart() error {
	o.Quit()
	o.mu.Lock()
	o.crashed, o.ready = false, !o.opts.NotReady
	o.activate(o.current)
	addr := o.addr
	o.mu.Unlock()
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	return o.listen(addr)
}

// Replace installs another build of the same version, for the time after the next Restart.
func (o *OBS) Replace(withWHIP bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opts.NoWHIP = !withWHIP
}

// SetReady is OBS finishing to load, or changing its scene collection: 207 and no events while not
// ready (2.1).
func (o *OBS) SetReady(ready bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ready = ready
	o.touch()
}

// Hold keeps back the answers to requests of that type until the returned function is called: for
// time limits and for answers out of order (2.1).
func (o *OBS) Hold(requestType string) (release func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	gate := make(chan struct{})
	o.holds[requestType] = gate
	return sync.OnceFunc(func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.holds[requestType] == gate {
			delete(o.holds, requestType)
		}
		close(gate)
	})
}

// Pretend makes OBS answer requests of that type with that status from now on, and do nothing: 702
// is a failure of its own, 100 a success that is none. 0 ends it.
func (o *OBS) Pretend(requestType string, code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pretends[requestType] = code
}

// A Request is one that OBS was asked and has answered.
type Request struct {
	Type string
	Data map[string]any
	Code int
}

// Requests lists what OBS was asked, in the order of its answers.
func (o *OBS) Requests() []Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Request(nil), o.requests...)
}

// State is what a person in front of OBS would see, and a little more.
type State struct {
	Running  bool
	Crashed  bool
	Cause    string // of the last crash
	Sessions int    // identified
	Profile  string
	Profiles []string
	Service  Service
	Encoders Encoders
	// "", or the last of StreamStateChanged's words: STARTING, STARTED, STOPPING, STOPPED,
	// RECONNECTING, RECONNECTED
	Stream   string
	Active   bool // GetStreamStatus's outputActive
	Attempts int  // calls to Output so far
}

// State is a copy of what is.
func (o *OBS) State() State {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.snapshot()
}

func (o *OBS) snapshot() State {
	return State{
		Running: o.server != nil, Crashed: o.crashed, Cause: o.cause, Sessions: o.identified(),
		Profile: o.current.name, Profiles: o.profileNames(),
		Service: o.current.service.clone(), Encoders: o.encoders,
		Stream: strings.TrimPrefix(o.stream.state, statePrefix), Active: o.stream.active,
		Attempts: o.stream.attempts,
	}
}

// AudioCodecInUse is the codec of the encoder that stands behind the stream: "aac" or "opus". It
// changes when a profile is activated, not when a parameter is set (1).
func (o *OBS) AudioCodecInUse() string { return o.State().Encoders.Audio }

// Param reads a parameter of the current profile as a person would find it in basic.ini: "" if it
// was never set.
func (o *OBS) Param(category, name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current.params[category+"/"+name]
}

// Edit lets a test be the person in front of OBS: whatever f does to the current profile's
// parameters is set.
func (o *OBS) Edit(f func(params map[string]string, service *Service)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o.current.params, &o.current.service)
	o.touch()
}

// Wait returns when ok says so, and fails the test when that takes more than 15 seconds.
func (o *OBS) Wait(t testing.TB, what string, ok func(State) bool) State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	s, err := o.wait(ctx, func() bool { return ok(o.snapshot()) })
	if err != nil {
		t.Fatalf("OBS: waited in vain for %s; it is %+v", what, s)
	}
	return s
}

// WaitRequest returns when a request of that type has been answered for the nth time (the first is
// 1).
func (o *OBS) WaitRequest(t testing.TB, requestType string, nth int) Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	var found Request
	_, err := o.wait(ctx, func() bool {
		seen := 0
		for _, r := range o.requests {
			if r.Type != requestType {
				continue
			}
			if seen++; seen == nth {
				found = r
			}
		}
		return seen >= nth
	})
	if err != nil {
		t.Fatalf("OBS: waited in vain for %s number %d", requestType, nth)
	}
	return found
}

// WaitStream returns when the stream is in that state: STARTED, STOPPED, RECONNECTING …
func (o *OBS) WaitStream(t testing.TB, state string) State {
	t.Helper()
	return o.Wait(t, state, func(s State) bool { return s.Stream == state })
}

var errWaited = errors.New("it did not happen")

// wait calls ok with the lock held, now and at every change.
func (o *OBS) wait(ctx context.Context, ok func() bool) (State, error) {
	for {
		o.mu.Lock()
		done, changed, s := ok(), o.changed, o.snapshot()
		o.mu.Unlock()
		if done {
			return s, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return s, errWaited
		}
	}
}

// touch wakes those who wait; the lock is held.
func (o *OBS) touch() {
	close(o.changed)
	o.changed = make(chan struct{})
}
