package app_test

import (
	"encoding/json"
	"errors"
	"flag"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

var (
	chaosTime = flag.Duration("chaos", 15*time.Second, "how long faults go on in the chaos test")
	chaosSeed = flag.Uint64("chaos-seed", 0, "seed of the chaos test; 0: a new one")
)

// TestChaos causes faults in random order while tokens are issued and revoked, and broadcasts start
// and end. Afterwards every token that was answered with 201 is stored, no broadcast with a revoked
// token is live, and the end of every broadcast is stored.
func TestChaos(t *testing.T) {
	t.Parallel()
	seed := *chaosSeed
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed: -chaos-seed %d", seed)
	c := startChaos(t, rand.New(rand.NewPCG(seed, 0)))
	stop := c.load()
	for deadline := time.Now().Add(*chaosTime); time.Now().Before(deadline); {
		c.fault()
	}
	stop()
	c.check()
}

// chaos is a fleet in which each replica reaches the database through a relay of its own.
type chaos struct {
	*fleet
	random *rand.Rand
	olga   *caller
	relays []*relay
	stages []stage.ARN
	faults int
	order  []int // kinds of faults, in random order

	mu sync.Mutex
	// guarded by mu: tokens that were answered with 201
	issued map[stage.ParticipantID]bool
	// guarded by mu: all broadcasts that have been live
	live map[stage.ParticipantID]*rtcpeer.Publisher
	// guarded by mu: revocations that were answered with 204
	revoked map[stage.ParticipantID]bool
}

func startChaos(t *testing.T, random *rand.Rand) *chaos {
	c := &chaos{
		fleet: prepareFleet(t, 3), random: random, order: []int{0, 1, 2, 3, 4, 5},
		issued: map[stage.ParticipantID]bool{}, live: map[stage.ParticipantID]*rtcpeer.Publisher{},
		revoked: map[stage.ParticipantID]bool{},
	}
	for _, m := range c.Servers {
		r := startRelay(t, c.DB.Socket())
		c.relays = append(c.relays, r)
		u, err := url.Parse(c.Database)
		if err != nil {
			t.Fatal(err)
		}
		u.Host, u.RawQuery = r.listener.Addr().String(), "sslmode=disable"
		m.Database = u.String()
	}
	c.StartAll()
	c.olga = c.operator()
	c.stages = []stage.ARN{stage.ARN(c.olga.stage())}
	var second web.Stage
	c.olga.must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Name: "second"}, &second)
	c.stages = append(c.stages, second.ARN)
	return c
}

// load issues tokens, publishes with some of them and revokes some, until the result `stop` is
// called.
func (c *chaos) load() (stop func()) {
	var over atomic.Bool
	var work sync.WaitGroup
	work.Go(func() {
		for !over.Load() {
			c.issue(c.stages[0])
			time.Sleep(30 * time.Millisecond)
		}
	})
	clip := rtcpeer.MakeClip(c.t, rtcpeer.ClipOptions{})
	for _, arn := range c.stages {
		work.Go(func() {
			for !over.Load() {
				c.broadcast(arn, clip, &over)
				time.Sleep(200 * time.Millisecond)
			}
		})
	}
	work.Go(func() {
		for !over.Load() {
			time.Sleep(1500 * time.Millisecond)
			c.revokeOne()
		}
	})
	return func() {
		over.Store(true)
		work.Wait()
	}
}

// answered checks the response to a request. Even during faults, the response must arrive in time
// and must not be 500.
func (c *chaos) answered(
	what string, begin time.Time, status int, h http.Header, text []byte, err error,
) {
	// On an idle machine a response takes at most 7 seconds. A request that hangs takes 40.
	const limit = 25 * time.Second
	if took := time.Since(begin); took > limit {
		c.t.Errorf("%s took %v, want an answer in time", what, took)
	}
	ours := strings.HasPrefix(h.Get("Content-Type"), "application/problem+json")
	switch {
	case err != nil:
		c.t.Errorf("%s: %v", what, err)
	case status == http.StatusInternalServerError,
		status == http.StatusServiceUnavailable && ours && h.Get("Retry-After") == "":
		c.t.Errorf("%s: got %d, Retry-After %q, %s, want no 500, and no 503 without Retry-After",
			what, status, h.Get("Retry-After"), text)
	}
}

func (c *chaos) issue(arn stage.ARN) (token web.Token, ok bool) {
	begin := time.Now()
	status, h, text, err := c.olga.do("POST", "/api/tokens",
		map[string]any{"stage": arn, "for": "publish"})
	c.answered("a token", begin, status, h, text, err)
	if status != http.StatusCreated || json.Unmarshal(text, &token) != nil {
		return token, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued[token.ParticipantID] = true
	return token, true
}

// broadcast publishes until the session or the load ends.
func (c *chaos) broadcast(arn stage.ARN, clip *rtcpeer.Clip, over *atomic.Bool) {
	token, ok := c.issue(arn)
	if !ok {
		return
	}
	live, err := rtcpeer.Publish(c.t, rtcpeer.HTTP(c.URL+"/whip", token.Token),
		rtcpeer.PublishOptions{Clip: clip})
	var refused *rtcpeer.StatusError
	if errors.As(err, &refused) && refused.Status == http.StatusInternalServerError {
		c.t.Errorf("a broadcast: %v", err)
	}
	if err != nil {
		return
	}
	c.mu.Lock()
	c.live[token.ParticipantID] = live
	c.mu.Unlock()
	for !over.Load() {
		select {
		case <-live.Closed():
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// revokeOne revokes the token of one live broadcast, if there is any.
func (c *chaos) revokeOne() {
	c.mu.Lock()
	var id stage.ParticipantID
	for candidate, live := range c.live {
		select {
		case <-live.Closed():
		default:
			if !c.revoked[candidate] {
				id = candidate
			}
		}
	}
	c.mu.Unlock()
	if id == "" {
		return
	}
	begin := time.Now()
	status, h, text, err := c.olga.do("DELETE", "/api/tokens/"+string(id), nil)
	c.answered("a revocation", begin, status, h, text, err)
	if status == http.StatusNoContent {
		c.mu.Lock()
		c.revoked[id] = true
		c.mu.Unlock()
	}
}

// fault causes one kind of fault, and then ends the fault.
func (c *chaos) fault() {
	i := c.random.IntN(len(c.Servers))
	m, r := c.Servers[i], c.relays[i]
	faults := []struct {
		name string
		do   func()
	}{
		{"kill -9 of replica", func() {
			m.Kill(syscall.SIGKILL)
			time.Sleep(time.Second)
			m.Start()
			m.Ready()
		}},
		{"SIGSTOP of replica", func() {
			m.Signal(syscall.SIGSTOP)
			// long enough for the other replicas to record the ends of this replica's sessions
			time.Sleep(10 * time.Second)
			m.Signal(syscall.SIGCONT)
		}},
		{"no packets between the database and replica", func() {
			r.hold(true)
			time.Sleep(10 * time.Second)
			r.hold(false)
		}},
		{"no connections between the database and replica", func() {
			r.cut(true)
			time.Sleep(3 * time.Second)
			r.cut(false)
		}},
		{"PostgreSQL crashes, not", func() { c.must(c.DB.Crash()) }},
		{"PostgreSQL hangs, not", func() {
			c.must(c.DB.Freeze())
			time.Sleep(min(25*time.Second, max(7*time.Second, *chaosTime/10)))
			c.must(c.DB.Thaw())
		}},
	}
	// Each kind of fault occurs once before any kind occurs again.
	if c.faults%len(faults) == 0 {
		c.random.Shuffle(len(c.order), func(i, j int) {
			c.order[i], c.order[j] = c.order[j], c.order[i]
		})
	}
	f := faults[c.order[c.faults%len(faults)]]
	c.faults++
	c.t.Logf("%s: %s %d", time.Now().Format("15:04:05"), f.name, i)
	f.do()
	time.Sleep(time.Duration(500+c.random.IntN(1000)) * time.Millisecond)
}

func (c *chaos) must(err error) {
	if err != nil {
		c.t.Errorf("a fault: %v", err)
	}
}

func (c *chaos) check() {
	for _, m := range c.Servers {
		m.Ready()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t.Logf("%d faults, %d tokens, %d broadcasts, %d revoked", c.faults, len(c.issued),
		len(c.live), len(c.revoked))
	if len(c.issued) == 0 || len(c.live) == 0 {
		c.t.Error("no token was issued or no broadcast was live, so nothing was tested")
	}
	for id := range c.issued {
		if got := c.DB.Value(c.t, c.Database,
			"SELECT id FROM issuances WHERE id = '"+string(id)+"'"); got == "" {
			c.t.Errorf("the token %s was answered with 201, and is missing", id)
		}
	}
	for id := range c.revoked {
		select {
		case <-c.live[id].Closed():
		case <-time.After(30 * time.Second):
			c.t.Errorf("%s was revoked, and is live", id)
		}
		if got := c.DB.Value(c.t, c.Database,
			"SELECT id FROM issuances WHERE revoked_at IS NULL AND id = '"+string(id)+
				"'"); got != "" {
			c.t.Errorf("the revocation of %s is not stored", id)
		}
	}
	for _, live := range slices.Collect(maps.Values(c.live)) {
		live.Close()
	}
	eventually(c.t, time.Minute, "every broadcast has its end", func() bool {
		return c.DB.Value(c.t, c.Database, "SELECT count(*)::text FROM open_participants") == "0"
	})
	for id := range c.live {
		last := c.DB.Value(c.t, c.Database,
			"SELECT kind FROM events WHERE kind <> 'refused' AND participant = '"+string(id)+
				"' ORDER BY id DESC LIMIT 1")
		if last != "ended" && last != "" { // "": the replica was killed before it stored an event
			c.t.Errorf("the last event of %s is %q", id, last)
		}
	}
}

// A relay forwards the connections of one replica to the database.
type relay struct {
	listener net.Listener
	to       string

	mu    sync.Mutex
	held  chan struct{}         // guarded by mu: closed when packets may pass again
	gone  bool                  // guarded by mu: whether connections are refused
	conns map[net.Conn]struct{} // guarded by mu
}

func startRelay(t testing.TB, socket string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	open := make(chan struct{})
	close(open)
	r := &relay{listener: l, to: socket, held: open, conns: map[net.Conn]struct{}{}}
	t.Cleanup(func() {
		l.Close()
		r.hold(false)
		r.cut(true)
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go r.pass(conn)
		}
	}()
	return r
}

func (r *relay) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", r.to)
	if err != nil {
		return
	}
	defer server.Close()
	r.mu.Lock()
	if r.gone {
		r.mu.Unlock()
		return
	}
	r.conns[client], r.conns[server] = struct{}{}, struct{}{}
	r.mu.Unlock()
	go r.copy(server, client)
	r.copy(client, server)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, client)
	delete(r.conns, server)
}

func (r *relay) copy(to, from net.Conn) {
	defer to.Close()
	b := make([]byte, 32<<10)
	for {
		n, err := from.Read(b)
		r.mu.Lock()
		held := r.held
		r.mu.Unlock()
		<-held
		if _, failed := to.Write(b[:n]); failed != nil || err != nil {
			return
		}
	}
}

// hold(true) delays all packets until hold(false).
func (r *relay) hold(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if on {
		r.held = make(chan struct{})
		return
	}
	select {
	case <-r.held:
	default:
		close(r.held)
	}
}

// cut(true) closes all connections, and refuses new connections until cut(false).
func (r *relay) cut(on bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gone = on
	for conn := range r.conns {
		conn.Close()
	}
}
