package obs

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// longLive is how long a broadcast has lasted before a dead token may be renewed again.
const longLive = 5 * time.Minute

// Keep goes live, tells so, and stays with the broadcast until it is over. It does what the dock does when it ends unasked: a
// token that is dead in OBS's reconnect loop, or a stop that nobody asked for, is answered once with a fresh token and a new
// start. A stop in OBS is respected. When ctx ends, the stream is stopped.
func Keep(ctx context.Context, c *Client, b Broadcast, told func(Live) error) error {
	k := &keeper{c: c, b: b}
	for {
		err := k.once(ctx, told)
		if ctx.Err() != nil {
			return quiet(context.WithoutCancel(ctx), c, b.Waits)
		}
		if !errors.Is(err, errDead) {
			return err
		}
		b.Progress("the broadcast ended unasked; starting again with a fresh token")
		if err := quiet(ctx, c, b.Waits); err != nil {
			return err
		}
		k.renewed = true
	}
}

type keeper struct {
	c       *Client
	b       Broadcast
	live    Live
	since   time.Time // when the present token went live
	renewed bool
}

// errDead is a broadcast that a fresh token may bring back.
var errDead = errors.New("the broadcast ended unasked")

// once is one token's broadcast. The watch begins before it, so that no stop falls between.
func (k *keeper) once(ctx context.Context, told func(Live) error) (err error) {
	states := k.c.Watch("StreamStateChanged")
	defer states.Stop()
	if k.live, err = GoLive(ctx, k.c, k.b); err != nil {
		return err
	}
	k.since = k.b.Now()
	if err := told(k.live); err != nil {
		return err
	}
	if !k.live.Already { // what came before belongs to an earlier stream
		if _, err := nextState(ctx, states, "STARTED"); err != nil {
			return err
		}
	}
	return k.watch(ctx, states)
}

// watch returns nil when the stream was stopped in OBS, and errDead when it has to be started anew.
func (k *keeper) watch(ctx context.Context, states *Watch) error {
	for {
		state, err := nextState(ctx, states, "STOPPING", "STOPPED", "RECONNECTING")
		switch {
		case err != nil:
			return err
		case state == "STOPPING":
			return nil
		}
		v := k.reason(ctx)
		switch {
		case v.final():
			return errors.Join(v.err(), quiet(ctx, k.c, k.b.Waits))
		case state == "STOPPED", v.over() && v.Kind == stage.EventRefused, k.expired():
			return k.again(ctx, v)
		case v.over():
			k.b.Progress("OBS reconnects: " + v.Detail)
		}
	}
}

func (k *keeper) expired() bool {
	return !k.live.ExpiresAt.IsZero() && !k.b.Now().Before(k.live.ExpiresAt)
}

// reason waits a moment for the stage to say why: OBS notices the end of a session as soon as the stage writes it down.
func (k *keeper) reason(ctx context.Context) Verdict {
	ctx, cancel := context.WithTimeout(ctx, k.b.Waits.withDefaults().Reason)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		v := k.verdict(ctx)
		if v.over() || k.b.Stage == nil {
			return v
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return v
		}
	}
}

// verdict is empty where the stage cannot be asked: OBS goes on by itself then.
func (k *keeper) verdict(ctx context.Context) Verdict {
	if k.b.Stage == nil || k.live.Participant == "" {
		return Verdict{}
	}
	v, err := k.b.Stage.Verdict(ctx, k.live.Participant)
	if err != nil {
		return Verdict{}
	}
	return v
}

// again allows one renewal for each broadcast that lasted.
func (k *keeper) again(ctx context.Context, v Verdict) error {
	if k.renewed && k.b.Now().Sub(k.since) < longLive {
		if err := quiet(ctx, k.c, k.b.Waits); err != nil {
			return err
		}
		if v.over() {
			return v.err()
		}
		return stage.Errorf(stage.ErrUnavailable, "the broadcast ended again soon after a new start").WithCode("ended_again")
	}
	return errDead
}
