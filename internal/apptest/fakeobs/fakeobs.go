// Package fakeobs imitates OBS Studio for clients of obs-websocket 5. The server runs in the test's
// process. It imitates the behaviour of each version of OBS, as measured or as read in the source.
// A test in apptest/realobs compares it with a real OBS (docs/decisions/0051).
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

	// screen from which a clean profile gets its canvas; 1920x1080 if zero
	Screen  [2]int
	Profile string // the current profile at the start; "Untitled" if empty
	// parameters that a person has set in that profile, such as "SimpleOutput/VBitrate"
	Params   map[string]string
	Service  Service // the service in that profile; rtmp_common with no settings if zero
	Account  string  // [Auth] Type of that profile, such as "Twitch" or "YouTube - RTMP"
	FPS      float64 // frames per second in that profile; 30 if zero
	NotReady bool    // still loading: requests give 207 until SetReady(true)
	// an obs-websocket that does not support RPC version 1 and closes with 4010 after Identify
	OtherRPC bool
	// share of frames that the encoder and the renderer leave out, as in GetStats
	Lag float64

	NoReplayBuffer bool // GetReplayBufferStatus gives 604
	NoVirtualCam   bool // GetVirtualCamStatus gives 604
	NoBrowser      bool // a build without obs-browser: browser_source gives 605

	Script Script // stagedoor.lua; there is none without a secret

	// how long after a switch of profiles a request about the stream crashes OBS; 0.9 s if zero
	Settle   time.Duration
	MayCrash bool // the test expects a crash of OBS, and does not fail

	// the network for StartStream; nil refuses every start
	Output WHIPOutput
	Second time.Duration // length of a second between reconnects; 10 ms if zero
}

// A Service is the service of OBS: where OBS streams to.
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
	changed  chan struct{} // closed and replaced at every change of the fields below
	server   *http.Server  // nil while OBS is not running
	life     context.Context
	end      context.CancelFunc // ends `life` when OBS ends
	salt     string             // new at each start of the server
	sessions map[*session]bool
	ready    bool
	requests []Request
	holds    map[string]chan struct{}
	pretends map[string]int
	state    // state that requests read and write
}

// Start runs an OBS on a free loopback port until the test ends.
func Start(t testing.TB, opts Options) *OBS {
	t.Helper()
	o := newOBS(opts)
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

// newOBS returns an OBS that is not running yet.
func newOBS(opts Options) *OBS {
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
	// obs-websocket accepts any path and checks no origin.
	srv := &http.Server{Handler: http.HandlerFunc(o.serve), ReadHeaderTimeout: 10 * time.Second}
	o.mu.Lock()
	o.addr, o.server, o.salt = l.Addr().String(), srv, base64.StdEncoding.EncodeToString(salt)
	o.life, o.end = context.WithCancel(context.Background())
	o.touch()
	o.mu.Unlock()
	o.wg.Go(func() { _ = srv.Serve(l) })
	return nil
}

// Connections returns the number of connected programs.
func (o *OBS) Connections() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sessions)
}

// Kick closes every session with 4011, as the button in OBS's "Connect Info" does. Then clients
// must not reconnect by themselves.
func (o *OBS) Kick() { o.drop(4011, "Your session has been invalidated.") }

// Quit ends OBS: it emits ExitStarted, ends the stream and closes the sessions with 1001. Restart
// starts OBS again.
func (o *OBS) Quit() {
	o.mu.Lock()
	o.emit(eventGeneral, "ExitStarted", nil)
	o.mu.Unlock()
	o.shutDown(1001, "Server stopping.")
}

// Crash ends OBS without any message.
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

// Restart starts OBS, on its earlier port if it had one. Profiles and settings stay. The current
// profile is loaded again, and its encoders are rebuilt.
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

// SetPassword changes the password of an OBS that does not run.
func (o *OBS) SetPassword(password string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opts.Password = password
}

// Replace installs another build of the same version, which runs after the next Restart.
func (o *OBS) Replace(withWHIP bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.opts.NoWHIP = !withWHIP
}

// SetReady sets whether OBS has loaded. While it loads, or changes its scene collection, requests
// give 207 and no events are sent.
func (o *OBS) SetReady(ready bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.ready = ready
	o.touch()
}

// Hold delays the responses to a type of request until the returned function is called, to test
// time limits and reordered responses.
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

// Pretend makes OBS only answer a type of request with a status, and not process it. 702 is a
// failure, 100 a success. The status 0 restores the normal behaviour.
func (o *OBS) Pretend(requestType string, code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pretends[requestType] = code
}

// A Request is a request that OBS has answered.
type Request struct {
	Type string
	Data map[string]any
	Code int
}

// Requests lists the requests in the order of their responses.
func (o *OBS) Requests() []Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	return append([]Request(nil), o.requests...)
}

// State contains what a person in front of OBS would see, and a few details.
type State struct {
	Running  bool
	Crashed  bool
	Cause    string // cause of the last crash
	Sessions int    // identified sessions
	Profile  string
	Profiles []string
	Service  Service
	Encoders Encoders
	// the last state of StreamStateChanged, or "": STARTING, STARTED, STOPPING, STOPPED,
	// RECONNECTING, RECONNECTED
	Stream   string
	Active   bool // outputActive of GetStreamStatus
	Attempts int  // calls to Output so far
}

// State returns a copy of the state.
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

// AudioCodecInUse returns the codec of the encoder that the stream uses: "aac" or "opus". It
// changes when a profile is activated, and not when a parameter is set.
func (o *OBS) AudioCodecInUse() string { return o.State().Encoders.Audio }

// Param returns a parameter of the current profile as basic.ini contains it: "" if it was never
// set.
func (o *OBS) Param(category, name string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.current.params[category+"/"+name]
}

// Edit changes the parameters and the service of the current profile, as a person in front of OBS
// does.
func (o *OBS) Edit(f func(params map[string]string, service *Service)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	f(o.current.params, &o.current.service)
	o.touch()
}

// waitLimit is the time limit of each wait below. It is long because the machine may be overloaded.
const waitLimit = time.Minute

// Wait waits until the given function returns true. It fails the test after waitLimit.
func (o *OBS) Wait(t testing.TB, what string, ok func(State) bool) State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	s, err := o.wait(ctx, func() bool { return ok(o.snapshot()) })
	if err != nil {
		t.Fatalf("OBS: waited in vain for %s; it is %+v", what, s)
	}
	return s
}

// WaitRequest returns when a type of request has been answered for the nth time, counted from 1.
func (o *OBS) WaitRequest(t testing.TB, requestType string, nth int) Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
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

// WaitStream returns when the stream is in a state: STARTED, STOPPED, RECONNECTING …
func (o *OBS) WaitStream(t testing.TB, state string) State {
	t.Helper()
	return o.Wait(t, state, func(s State) bool { return s.Stream == state })
}

var errWaited = errors.New("it did not happen")

// wait calls the given function at once and after every change, with the lock held, until the
// function returns true.
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

// touch wakes waiting callers. The caller holds the lock.
func (o *OBS) touch() {
	close(o.changed)
	o.changed = make(chan struct{})
}
