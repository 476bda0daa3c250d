package whip

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	paceBurst       = 30 // the number allowed at once; after that, one per paceEvery
	paceEvery       = time.Second
	maxParticipants = 10_000
)

// paces limit what one valid token can cause: refusals, which are stored for its owner's dock, and
// takeovers, each of which ends a session. The limits are per participant, so that no participant
// can exhaust another's.
type paces struct {
	now       func() time.Time
	refusals  *pace
	takeovers *pace
}

// A pace contains a rate limiter for each participant.
type pace = bounded.Map[member, *rate.Limiter]

// A member identifies a participant across all stages.
type member struct {
	stage stage.ARN
	id    stage.ParticipantID
}

func newPaces(now func() time.Time) paces {
	fresh := func() *pace { return &pace{Max: maxParticipants, Life: 2 * paceBurst * paceEvery} }
	return paces{now: now, refusals: fresh(), takeovers: fresh()}
}

// count counts one refusal or takeover of a participant.
func (p paces) count(on *pace, of stage.Participant) {
	now := p.now()
	on.Update(member{of.Stage, of.ID}, now, func(l *rate.Limiter, known bool) *rate.Limiter {
		if !known {
			l = rate.NewLimiter(rate.Every(paceEvery), paceBurst)
		}
		l.AllowN(now, 1)
		return l
	})
}

// check returns ErrTooMany for a participant that has exceeded one of the limits.
func (p paces) check(who stage.Participant) error {
	if wait := p.wait(p.refusals, who); wait > 0 {
		return tooMany("Too many requests with this token were refused one after the other; "+
			"wait a moment.", "too_many_attempts", wait)
	}
	if wait := p.wait(p.takeovers, who); wait > 0 {
		return tooMany("This token opened too many sessions one after the other; wait a moment.",
			"too_many_sessions", wait)
	}
	return nil
}

func (p paces) wait(on *pace, who stage.Participant) time.Duration {
	now := p.now()
	l, known := on.Get(member{who.Stage, who.ID}, now)
	if !known {
		return 0
	}
	missing := 1 - l.TokensAt(now)
	return max(0, time.Duration(missing*float64(paceEvery)))
}

func tooMany(detail, code string, wait time.Duration) error {
	return stage.Errorf(stage.ErrTooMany, "%s", detail).WithCode(code).WithRetry(wait)
}
