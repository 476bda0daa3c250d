package access

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxTurnDelay   = 10 * time.Second
	maxTurnsOfOne  = 64 // waiting hashes of one account from one network
	maxTurnHistory = 4096
)

// turns limits how many password hashes run at a time, since each takes memory. Only one runs for
// each account. Accounts and networks take turns, so that many sign-ins of one account do not slow
// down those of others. Every second turn goes to clients that have signed in to the account
// before, so that they need not wait for a flood from many networks. (One customer of IPv6 may have
// thousands of networks.)
type turns struct {
	mu      sync.Mutex
	free    int
	waiting []*turn         // guarded by mu: in the order of their arrival
	running map[string]bool // guarded by mu: by account
	// guarded by mu: the number of the last turn of each account and network
	served map[turnOrigin]uint64
	count  uint64 // guarded by mu: number of turns so far
	known  bool   // guarded by mu: whether the last turn went to a known client
}

// A turnOrigin is an account, or the network of a client.
type turnOrigin struct{ account, network string }

// A turn is a password hash that waits to be computed.
type turn struct {
	account, network string
	known            bool
	ready            chan struct{}
}

func newTurns(parallel int) *turns {
	return &turns{
		free: max(1, parallel), running: map[string]bool{}, served: map[turnOrigin]uint64{},
	}
}

// enter waits for a turn. The caller calls `leave` when the hash is computed. The parameter
// `account` is the key of an account's name, and `address` is the client's. The parameter `known`
// is true if the client signed in to the account before, or has proved in this request that it may
// set a password.
func (t *turns) enter(
	ctx context.Context, account, address string, known bool,
) (leave func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, maxTurnDelay)
	defer cancel()
	own := &turn{
		account: account, network: network(address), known: known, ready: make(chan struct{}),
	}
	if err := t.arrive(own); err != nil {
		return nil, err
	}
	select {
	case <-own.ready:
		return func() { t.leave(own) }, nil
	case <-ctx.Done():
		t.giveUp(own)
		return nil, stage.Errorf(stage.ErrUnavailable,
			"Too many people are signing in at this moment; try again shortly.").
			WithRetry(maxTurnDelay).WithCause(context.Cause(ctx))
	}
}

func (t *turns) arrive(own *turn) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	same := 0
	for _, other := range t.waiting {
		if other.account == own.account && other.network == own.network {
			same++
		}
	}
	if same >= maxTurnsOfOne {
		return stage.Errorf(stage.ErrTooMany, "This account is signing in many times at once; try "+
			"again in a moment.").WithCode("too_many_attempts").WithRetry(time.Second)
	}
	t.waiting = append(t.waiting, own)
	t.next()
	return nil
}

func (t *turns) leave(own *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.free++
	delete(t.running, own.account)
	t.next()
}

func (t *turns) giveUp(own *turn) {
	t.mu.Lock()
	i := slices.Index(t.waiting, own)
	if i >= 0 {
		t.waiting = slices.Delete(t.waiting, i, i+1)
	}
	t.mu.Unlock()
	if i < 0 { // the turn came at the same moment
		t.leave(own)
	}
}

// next starts hashes as long as the limits allow. The caller holds mu.
func (t *turns) next() {
	for t.free > 0 {
		i := t.choose(!t.known)
		if i < 0 {
			i = t.choose(t.known)
		}
		if i < 0 {
			break
		}
		own := t.waiting[i]
		t.known = own.known
		t.waiting = slices.Delete(t.waiting, i, i+1)
		t.free--
		t.count++
		t.running[own.account] = true
		t.served[turnOrigin{network: own.network}] = t.count
		t.served[turnOrigin{account: own.account}] = t.count
		close(own.ready)
	}
	if len(t.waiting)+len(t.running) == 0 || len(t.served) > maxTurnHistory {
		clear(t.served)
	}
}

// choose returns the index of the next turn among known clients or among the others, or -1. It
// chooses the network, and in that network the account, whose last turn is longest ago. The caller
// holds mu.
func (t *turns) choose(known bool) int {
	best := -1
	var bestNetwork, bestAccount uint64
	for i, w := range t.waiting {
		if w.known != known || t.running[w.account] {
			continue
		}
		ofNetwork := t.served[turnOrigin{network: w.network}]
		ofAccount := t.served[turnOrigin{account: w.account}]
		if best < 0 || ofNetwork < bestNetwork ||
			ofNetwork == bestNetwork && ofAccount < bestAccount {
			best, bestNetwork, bestAccount = i, ofNetwork, ofAccount
		}
	}
	return best
}
