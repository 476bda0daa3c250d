package homes

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	mainStage = stage.ARN("arn:aws:ivs:local:000000000000:stage/main")
	sideStage = stage.ARN("arn:aws:ivs:local:000000000000:stage/side")
)

// A table is the database: replicas, and the homes of stages.
type table struct {
	mu    sync.Mutex
	peers map[string]*Peer
	homes map[stage.ARN]owner
	terms int64
}

type owner struct {
	id   string
	term int64
}

func newTable() *table {
	return &table{peers: map[string]*Peer{}, homes: map[stage.ARN]owner{}}
}

// A link is the connection of one replica to the table.
type link struct {
	*table
	lm     sync.Mutex
	cut    bool          // guarded by lm: statements fail at once
	mended chan struct{} // guarded by lm: statements wait until it is closed; nil: no wait
	late   []func()      // guarded by lm: statements that are executed when the link is mended
}

// say executes a statement. On a link that hangs, the statement is executed when the link is
// mended, even if the replica no longer waits for the answer.
func (l *link) say(ctx context.Context, do func() error) error {
	l.lm.Lock()
	cut, mended := l.cut, l.mended
	var answer error
	if !cut && mended != nil {
		l.late = append(l.late, func() { answer = l.carryOut(do) })
	}
	l.lm.Unlock()
	switch {
	case cut:
		return stage.ErrUnavailable
	case mended == nil:
		return l.carryOut(do)
	}
	select {
	case <-mended:
		return answer
	case <-ctx.Done():
		return stage.ErrUnavailable
	}
}

func (l *link) carryOut(do func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return do()
}

func (l *link) hang() {
	l.lm.Lock()
	defer l.lm.Unlock()
	if l.mended == nil {
		l.mended = make(chan struct{})
	}
}

func (l *link) fail() {
	l.lm.Lock()
	defer l.lm.Unlock()
	l.cut = true
}

func (l *link) mend() {
	l.lm.Lock()
	defer l.lm.Unlock()
	l.cut = false
	for _, do := range l.late {
		do()
	}
	l.late = nil
	if l.mended != nil {
		close(l.mended)
		l.mended = nil
	}
}

func (l *link) living(id string) (*Peer, error) {
	if p := l.peers[id]; p != nil && !p.Dead {
		return p, nil
	}
	return nil, stage.ErrNotFound
}

func (l *link) Join(ctx context.Context, p Peer) error {
	return l.say(ctx, func() error {
		l.peers[p.ID] = &p
		return nil
	})
}

func (l *link) Beat(ctx context.Context, id string, draining bool) error {
	return l.say(ctx, func() error {
		p, err := l.living(id)
		if err == nil {
			p.Beat++
			p.Draining = draining
		}
		return err
	})
}

func (l *link) Peers(ctx context.Context) (list []Peer, err error) {
	err = l.say(ctx, func() error {
		for _, p := range l.peers {
			list = append(list, *p)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (l *link) MarkDead(ctx context.Context, id string, beat int64) (done bool, err error) {
	err = l.say(ctx, func() error {
		p, err := l.living(id)
		if err != nil || p.Beat != beat {
			return nil
		}
		p.Dead, done = true, true
		for arn, home := range l.homes {
			if home.id == id {
				delete(l.homes, arn)
			}
		}
		return nil
	})
	return err == nil && done, err
}

func (l *link) Forget(ctx context.Context, id string) error {
	return l.say(ctx, func() error {
		if p := l.peers[id]; p != nil && p.Dead {
			delete(l.peers, id)
		}
		return nil
	})
}

func (l *link) Home(ctx context.Context, arn stage.ARN) (id string, err error) {
	err = l.say(ctx, func() error {
		home, ok := l.homes[arn]
		if id = home.id; !ok {
			return stage.ErrNotFound
		}
		return nil
	})
	return id, err
}

func (l *link) Claim(
	ctx context.Context, arn stage.ARN, id string,
) (home string, term int64, err error) {
	err = l.say(ctx, func() error {
		if _, err := l.living(id); err != nil {
			return err
		}
		if now, taken := l.homes[arn]; taken && now.id != id {
			home, term = now.id, 0
			return nil
		}
		l.terms++
		l.homes[arn] = owner{id, l.terms}
		home, term = id, l.terms
		return nil
	})
	return home, term, err
}

func (l *link) LeaveHome(ctx context.Context, arn stage.ARN, id string, term int64) error {
	return l.say(ctx, func() error {
		if l.homes[arn] == (owner{id, term}) {
			delete(l.homes, arn)
		}
		return nil
	})
}

// A member is a running replica.
type member struct {
	*Homes
	link  *link
	stop  func() // ends the replica as kill -9 does
	mu    sync.Mutex
	lost  int      // guarded by mu: calls of Lost
	ended []string // guarded by mu: replicas whose sessions' ends were recorded
}

func (m *member) lostHomes() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// A fleet is several replicas on one table within a synctest bubble.
type fleet struct {
	t       *testing.T
	table   *table
	url     string        // the URL of each replica
	before  string        // ID of the crashed run, for the next run
	slow    time.Duration // how long it takes to record the ends of a replica's sessions
	idle    map[stage.ARN]bool
	members []*member
}

const peerURL = "https://192.0.2.1:8444"

func startFleet(t *testing.T, n int, url string) *fleet {
	t.Helper()
	f := &fleet{t: t, table: newTable(), url: url, idle: map[stage.ARN]bool{}}
	for range n {
		f.members = append(f.members, f.start())
	}
	time.Sleep(2 * beatEvery) // each has seen the others
	return f
}

func (f *fleet) start() *member {
	f.t.Helper()
	m := &member{link: &link{table: f.table}}
	m.Homes = New(Config{
		Store: m.link, URL: f.url, Before: f.before, Log: slog.New(slog.DiscardHandler),
		Joined: func(string) {}, Left: func(stage.ARN) {},
		Idle: func(arn stage.ARN) bool { return f.idle[arn] },
		Lost: func() {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.lost++
		},
		End: func(_ context.Context, id string) (bool, error) {
			time.Sleep(f.slow)
			m.mu.Lock()
			defer m.mu.Unlock()
			m.ended = append(m.ended, id)
			return false, nil
		},
	})
	if err := m.Join(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(f.t.Context())
	var running sync.WaitGroup
	running.Go(func() { m.Run(ctx) })
	m.stop = func() {
		stop()
		m.link.fail()
		running.Wait()
	}
	f.t.Cleanup(m.stop)
	return m
}

// serve sends a request for a stage to a replica. It returns the ID of the home, or "".
func (f *fleet) serve(m *member, arn stage.ARN) string {
	// The store has this time limit, too.
	ctx, cancel := context.WithTimeout(f.t.Context(), 5*time.Second)
	defer cancel()
	at, err := m.find(ctx, arn, false)
	switch {
	case err != nil:
		return ""
	case at.here:
		at.done()
		return m.ID()
	}
	return at.peer.ID
}

// passes lets time pass, and checks regularly that no stage has two homes.
func (f *fleet) passes(d time.Duration) {
	f.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for _, arn := range []stage.ARN{mainStage, sideStage} {
			holders := 0
			for _, m := range f.members {
				if m.Holds(arn) {
					holders++
				}
			}
			if holders > 1 {
				f.t.Fatalf("%d replicas hold %s, want at most one", holders, arn)
			}
		}
	}
}

// holds returns the replica that holds a stage.
func (f *fleet) holds(arn stage.ARN) *member {
	for _, m := range f.members {
		if m.Holds(arn) {
			return m
		}
	}
	return nil
}

// TestAHomeThatIsCutOffGivesUpFirst: a home that cannot reach the database ends its sessions before
// another replica can become the home. The ends of its sessions are recorded within 15 seconds.
// When the replica can reach the database again, it forwards requests to the new home.
func TestAHomeThatIsCutOffGivesUpFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startFleet(t, 3, peerURL)
		a, b := f.members[0], f.members[1]
		was := a.ID()
		if got := f.serve(a, mainStage); got != was {
			t.Fatalf("got the home %q, want the first replica", got)
		}
		a.link.hang()
		f.passes(holdFor - 2*beatEvery)
		if a.lostHomes() != 0 || !a.Holds(mainStage) {
			t.Error("a short fault ends sessions")
		}
		if got := f.serve(b, mainStage); got != was {
			t.Errorf("during the fault: got the home %q, want the old one", got)
		}
		f.passes(2*beatEvery + beatEvery/2)
		if a.lostHomes() != 1 || a.Holds(mainStage) {
			t.Error("a home that cannot renew goes on")
		}
		f.passes(15*time.Second - holdFor)
		recorded := 0
		for _, m := range f.members {
			m.mu.Lock()
			recorded += len(m.ended)
			m.mu.Unlock()
		}
		if recorded == 0 {
			t.Error("the end is not recorded after 15 seconds")
		}
		if got := f.serve(b, mainStage); got != b.ID() {
			t.Errorf("after the fault: got the home %q, want the replica that was asked", got)
		}
		a.link.mend()
		f.passes(3 * beatEvery)
		if got := f.serve(a, mainStage); got != b.ID() || a.ID() == was {
			t.Errorf("back: got the home %q, want the new one, and a new ID", got)
		}
	})
}

// TestAStartDoesNotWaitForTheEndsOfACrash: a replica that starts after a crash frees its stages,
// and serves before the ends of its sessions are recorded.
func TestAStartDoesNotWaitForTheEndsOfACrash(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := startFleet(t, 1, peerURL)
		crashed := f.members[0]
		if home := f.serve(crashed, mainStage); home != crashed.ID() {
			t.Fatalf("the home before the crash: got %q, want %q", home, crashed.ID())
		}
		crashed.stop()
		f.before, f.slow = crashed.ID(), 3*time.Second
		begun := time.Now()
		next := f.start()
		if took := time.Since(begun); took > 0 {
			t.Errorf("the start took %v, want no wait for the crashed run", took)
		}
		if got := f.serve(next, mainStage); got != next.ID() {
			t.Errorf("got the home %q, want the replica that started", got)
		}
		f.passes(f.slow + beatEvery)
		next.mu.Lock()
		defer next.mu.Unlock()
		if len(next.ended) == 0 || next.ended[0] != f.before {
			t.Errorf("recorded the ends of %v, want those of the run before", next.ended)
		}
	})
}

// TestAllLoseTheDatabase: each replica gives up its homes, even a replica that is alone, since
// another may have joined. A server without an address for other replicas keeps its homes
// (docs/decisions/0199). When the database answers again, no replica marks another as dead.
func TestAllLoseTheDatabase(t *testing.T) {
	t.Parallel()
	for _, set := range []struct {
		replicas int
		url      string
	}{{3, peerURL}, {1, peerURL}, {1, ""}} {
		synctest.Test(t, func(t *testing.T) {
			f := startFleet(t, set.replicas, set.url)
			home := f.members[0]
			f.serve(home, mainStage)
			for _, m := range f.members {
				m.link.fail()
			}
			f.passes(holdFor + beatEvery)
			if goesOn := set.url == ""; home.Holds(mainStage) != goesOn ||
				home.lostHomes() == 0 != goesOn {
				t.Errorf("%+v: got %d calls of Lost, and that it is a home: %v", set,
					home.lostHomes(), home.Holds(mainStage))
			}
			f.passes(time.Minute)
			for _, m := range f.members {
				m.link.mend()
			}
			f.passes(3 * beatEvery)
			for _, m := range f.members {
				if len(m.ended) != 0 {
					t.Errorf("%v were taken for dead, and nobody could tell", m.ended)
				}
			}
			if got := f.serve(home, mainStage); got != home.ID() {
				t.Errorf("%+v, afterwards: got the home %q", set, got)
			}
		})
	}
}

// TestNoStageHasTwoHomes causes faults in random order: links that fail, links that hang and later
// deliver their statements, and crashes. Meanwhile requests arrive at all replicas. At no time do
// two replicas hold the same stage, and in the end each stage has a home.
func TestNoStageHasTwoHomes(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { randomFaults(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func randomFaults(t *testing.T, random *rand.Rand) {
	f := startFleet(t, 3, peerURL)
	f.idle[sideStage] = true // it is released repeatedly, and moves
	moves := map[string]bool{}
	for range 60 {
		m := f.members[random.IntN(len(f.members))]
		switch random.IntN(6) {
		case 0:
			m.link.hang()
		case 1:
			m.link.fail()
		case 2: // a crash; the next run starts before the others mark the crashed run as dead
			m.stop()
			for i := range f.members {
				if f.members[i] == m {
					f.members[i] = f.start()
				}
			}
		default:
			m.link.mend()
		}
		for _, arn := range []stage.ARN{mainStage, sideStage} {
			at := f.members[random.IntN(len(f.members))]
			done := make(chan struct{})
			go func() {
				defer close(done)
				f.serve(at, arn)
			}()
			f.passes(time.Duration(random.Int64N(int64(6 * time.Second))))
			<-done
			if home := f.holds(arn); home != nil {
				moves[string(arn)+home.ID()] = true
			}
		}
	}
	for _, m := range f.members {
		m.link.mend()
	}
	f.passes(deadAfter + 3*beatEvery)
	for _, arn := range []stage.ARN{mainStage, sideStage} {
		home := f.serve(f.members[0], arn)
		if home == "" || home != f.serve(f.members[1], arn) {
			t.Errorf("after all faults, %s has the home %q for one, and another for the other", arn,
				home)
		}
	}
	if len(moves) < 3 {
		t.Errorf("the stages had the homes %v alone: this shows little", moves)
	}
}
