package obs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// OBS 30.2 and 32.2 crash when they receive a request about the stream while they switch profiles.
// So from CurrentProfileChanging until a pause after the last CurrentProfileChanged, a client sends
// no requests except those that switch profiles or claim OBS. It does not matter which program
// switched.
//
// Two Stagedoor clients of one OBS also take turns: the client that sets OBS up claims it by a
// custom event, and the others wait. The dock does the same in static/lib/obs-turns.js.

// defaultQuiet is the pause after the last CurrentProfileChanged. A new connection first waits a
// quarter of it for the claim of another client that is setting OBS up.
const defaultQuiet = time.Second

// switchLimit is long, because when OBS switches profiles, it may ask the person about audio
// settings, and responds only after that.
const switchLimit = time.Minute

// claimLife is how long a claim is valid. Each step of a set-up renews it, and so does each switch
// of profiles, during which no step can end.
const claimLife = 20 * time.Second

// turns decides when a request may be sent to OBS.
type turns struct {
	id    string
	quiet time.Duration

	mu         sync.Mutex
	quietUntil time.Time
	owner      string
	ownedUntil time.Time
	changed    chan struct{} // closed and replaced when any of these fields changes
}

func newTurns(quiet time.Duration) *turns {
	return &turns{id: rand.Text(), quiet: quiet, quietUntil: time.Now().Add(quiet / 4),
		changed: make(chan struct{})}
}

// A turnEvent is the data of the custom event of a claim.
type turnEvent struct {
	Stagedoor struct {
		Claim   string `json:"claim,omitempty"`
		Release string `json:"release,omitempty"`
		Asks    string `json:"asks,omitempty"`
	} `json:"stagedoor"`
}

// heard handles an event. It returns true if a new client asks for claims and this client has one.
// The caller must then send the claim again.
func (t *turns) heard(e event) (repeat bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	switch e.Type {
	case "CurrentProfileChanging":
		t.quietUntil = now.Add(switchLimit)
		t.renew(now, switchLimit+claimLife)
	case "CurrentProfileChanged":
		t.quietUntil = now.Add(t.quiet)
		t.renew(now, claimLife)
	case "CustomEvent":
		var said turnEvent
		if json.Unmarshal(e.Data, &said) != nil {
			return false
		}
		repeat = said.Stagedoor.Asks != "" && t.owned(now) && t.owner == t.id
		if said.Stagedoor.Release != "" && said.Stagedoor.Release == t.owner {
			t.owner = ""
		}
		if claim := said.Stagedoor.Claim; claim != "" && (!t.owned(now) || t.owner == claim) {
			t.owner, t.ownedUntil = claim, now.Add(claimLife)
		}
	default:
		return false
	}
	close(t.changed)
	t.changed = make(chan struct{})
	return repeat
}

// renew makes a valid claim of any client valid for this long. The caller holds mu.
func (t *turns) renew(now time.Time, life time.Duration) {
	if t.owned(now) {
		t.ownedUntil = now.Add(life)
	}
}

func (t *turns) owned(now time.Time) bool { return t.owner != "" && now.Before(t.ownedUntil) }

func (t *turns) mine() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.owned(time.Now()) && t.owner == t.id
}

// left returns the time until a request may be sent, and a channel. When the channel is closed,
// that time must be computed anew.
func (t *turns) left() (time.Duration, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	wait := t.quietUntil.Sub(now)
	if t.owned(now) && t.owner != t.id {
		wait = max(wait, t.ownedUntil.Sub(now))
	}
	return wait, t.changed
}

// wait returns when the request may be sent. A request that switches profiles need not wait.
func (t *turns) wait(ctx context.Context, request string) error {
	if request == "SetCurrentProfile" || request == "CreateProfile" {
		return nil
	}
	for {
		wait, changed := t.left()
		if wait <= 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
		timer.Stop()
	}
}

// A turn is the time during which the other Stagedoor clients of an OBS wait.
type turn struct{ c *Client }

// takeTurn waits until no other client sets OBS up, and then makes the others wait. It fails if OBS
// does not send this client's claim back, because then the others cannot know of the claim.
func (c *Client) takeTurn(ctx context.Context) (turn, error) {
	for range 50 {
		if err := (turn{c}).renew(ctx); err != nil || c.turns.mine() {
			return turn{c}, err
		}
		_, changed := c.turns.left()
		select {
		case <-changed: // OBS has sent this client's own claim back, or the claim of another client
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return turn{c}, ctx.Err()
		}
		if c.turns.mine() {
			return turn{c}, nil
		}
	}
	return turn{c}, c.broken("BroadcastCustomEvent", errors.New("OBS did not send the claim back"))
}

func (t turn) renew(ctx context.Context) error {
	var e turnEvent
	e.Stagedoor.Claim = t.c.turns.id
	return t.c.Call(ctx, "BroadcastCustomEvent", map[string]any{"eventData": e}, nil)
}

func (t turn) end(ctx context.Context) {
	var e turnEvent
	e.Stagedoor.Release = t.c.turns.id
	// if this fails, the claim expires
	_ = t.c.Call(ctx, "BroadcastCustomEvent", map[string]any{"eventData": e}, nil)
}

// announce asks, on a new connection, whether another client is setting OBS up. It does not wait
// for an answer.
func (c *Client) announce() {
	var e turnEvent
	e.Stagedoor.Asks = c.turns.id
	c.broadcast(e)
}

// repeatClaim sends this client's claim again, when another client has announced itself.
func (c *Client) repeatClaim() {
	var e turnEvent
	e.Stagedoor.Claim = c.turns.id
	c.broadcast(e)
}

func (c *Client) broadcast(e turnEvent) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Timeout)
	defer cancel()
	_ = c.write(ctx, opRequest, map[string]any{
		"requestType": "BroadcastCustomEvent", "requestId": "turn", "requestData": map[string]any{
			"eventData": e,
		},
	})
}
