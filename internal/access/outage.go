package access

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// While the database does not answer, sessions can still be ended, because this is urgent. The
// revocation is stored later, when the database answers again.

const (
	// recallFor is how long after its last authentication a principal may end sessions. A login
	// that another replica ended can still end sessions for this time, if the database does not
	// answer meanwhile.
	recallFor = 10 * time.Minute
	// maxLate is how many revocations may wait for the database.
	maxLate   = 1000
	namedLate = 20 // how many of their participants an error has
	lateEvery = time.Second
	// endWithin limits each wait for the database before a session is ended without it. A request
	// waits twice: for the principal and for the token. Both waits must end before the outage makes
	// the server give up its local stages, since that ends their sessions.
	endWithin = 1500 * time.Millisecond
	lateLimit = 5 * time.Second // limit of the last attempt, when the server stops
)

// Outage ends sessions while the database does not answer, and stores their revocations later.
type Outage struct {
	*trail
	sessions *sessions
	// see Config.Present; may be nil
	present func(context.Context, stage.ParticipantID) (stage.Participant, bool)

	principals cache[credentialKey, recalled]
	permits    cache[permitKey, time.Time] // when a moderator was last allowed to kick

	mu   sync.Mutex
	late map[stage.ParticipantID]late // guarded by mu
}

type recalled struct {
	who Principal
	at  time.Time
}

// late is a revocation that is in force and not stored yet.
type late struct {
	by    Principal
	entry Entry
}

// remember stores an authenticated principal that may end sessions. The generation is that of the
// cache before the authentication.
func (o *Outage) remember(key credentialKey, who Principal, generation int) {
	if who.Allows(ScopeModerate) || who.Allows(ScopeTokens) {
		o.principals.put(key, recalled{who, o.now()}, generation)
	}
}

// forget drops the principals and permits of users whose logins, grants or stages changed on this
// replica. The ID "" stands for a change of the stages of all users. Then forget drops all permits,
// and no principals, since roles and credentials did not change.
func (o *Outage) forget(ids []UserID) {
	o.principals.dropIf(func(_ credentialKey, r recalled) bool {
		return r.who.User.ID != "" && slices.Contains(ids, r.who.User.ID)
	})
	o.permits.dropIf(func(key permitKey, _ time.Time) bool {
		return slices.Contains(ids, key.user) || slices.Contains(ids, "")
	})
}

// forgetKey drops the principal of an API key.
func (o *Outage) forgetKey(id string) {
	o.principals.dropIf(func(_ credentialKey, r recalled) bool {
		return r.who.Kind == KindAPIKey && r.who.CredentialID == id
	})
}

// owe refuses the token of a participant from now on, and queues the revocation to be stored later.
// It returns false if the queue is full.
func (o *Outage) owe(id stage.ParticipantID, l late) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.late == nil {
		o.late = map[stage.ParticipantID]late{}
	}
	if len(o.late) >= maxLate {
		return false
	}
	o.late[id] = l
	return true
}

// owed reports whether the token of a participant is revoked and the revocation is not stored yet.
func (o *Outage) owed(id stage.ParticipantID) bool {
	_, found := o.lateOf(id)
	return found
}

// lateOf returns the revocation of a participant's token that is not stored yet.
func (o *Outage) lateOf(id stage.ParticipantID) (late, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, found := o.late[id]
	return l, found
}

// allLate returns the revocations that are not stored yet.
func (o *Outage) allLate() map[stage.ParticipantID]late {
	o.mu.Lock()
	defer o.mu.Unlock()
	return maps.Clone(o.late)
}

// remove removes the revocation of a participant's token from the queue.
func (o *Outage) remove(id stage.ParticipantID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.late, id)
}

// Recall returns a principal that was authenticated at most recallFor ago. The caller must use it
// only to end sessions while the database does not answer.
func (o *Outage) Recall(presented Presented) (Principal, bool) {
	known, _, found := o.principals.get(presented.key())
	now := o.now()
	if !found || now.Sub(known.at) > recallFor ||
		!known.who.ExpiresAt.IsZero() && !now.Before(known.who.ExpiresAt) {
		return Principal{}, false
	}
	known.who.From = presented.From
	return known.who, true
}

// BeforeEnd returns the context for authenticating a request that ends a session. If Recall knows
// the principal of the request, the context has a short time limit.
func (o *Outage) BeforeEnd(
	ctx context.Context, presented Presented,
) (context.Context, context.CancelFunc) {
	_, found := o.Recall(presented)
	return limited(ctx, found)
}

// beforeEnd returns the context for revoking the token of a participant. If the participant can be
// disconnected without the database, the context has a short time limit.
func (o *Outage) beforeEnd(
	ctx context.Context, id stage.ParticipantID,
) (context.Context, context.CancelFunc) {
	if o.present == nil {
		return limited(ctx, false)
	}
	_, found := o.present(ctx, id)
	return limited(ctx, found)
}

func limited(ctx context.Context, limit bool) (context.Context, context.CancelFunc) {
	if !limit {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, endWithin)
}

// end queues a revocation and disconnects its participant. If the queue is full, or no reachable
// server has the participant, end returns the error of the database, which is in the parameter
// `away`.
func (o *Outage) end(ctx context.Context, who Principal, e Entry, away error) error {
	id := stage.ParticipantID(e.Target)
	if !o.owe(id, late{who, e}) {
		return away
	}
	err := o.sessions.endOne(ctx, e.Stage, id, e.Detail)
	if errors.Is(err, stage.ErrNotFound) {
		return away // the queued revocation is stored when the database answers
	}
	return err
}

// StoreLate stores the queued revocations until ctx ends, and then tries once more.
func (o *Outage) StoreLate(ctx context.Context) error {
	tick := time.NewTicker(lateEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			o.storeLate(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lateLimit)
			defer cancel()
			if left := o.storeLate(last); left > 0 && o.log != nil {
				o.log.ErrorContext(ctx, "revocations are lost: the database does not answer",
					"count", left)
			}
			return nil
		}
	}
}

// Settle stores the queued revocations, and retries until ctx ends. Then its error has the
// participants whose revocations are left. They stay queued. Settle is for a process that may be
// stopped after the call. Such a process must not run StoreLate, too.
func (o *Outage) Settle(ctx context.Context) error {
	tick := time.NewTicker(lateEvery)
	defer tick.Stop()
	for o.storeLate(ctx) > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			left := slices.Sorted(maps.Keys(o.allLate()))
			return fmt.Errorf("%d revocations not stored yet, of the participants %v: %w",
				len(left), left[:min(len(left), namedLate)], ctx.Err())
		}
	}
	return nil
}

func (o *Outage) storeLate(ctx context.Context) (left int) {
	all := o.allLate()
	for id, l := range all {
		if err := o.storeOne(ctx, id, l); err != nil {
			return len(o.allLate()) // the next revocation would also run into the time limit
		}
		o.remove(id)
	}
	return 0
}

func (o *Outage) storeOne(ctx context.Context, id stage.ParticipantID, l late) error {
	i, err := o.store.Issuance(ctx, id)
	if errors.Is(err, stage.ErrNotFound) || err == nil && i.Stage != l.entry.Stage {
		return nil // another server issued the token
	}
	if err != nil {
		return err
	}
	l.entry.TargetName, l.entry.TargetUser = i.UserName, i.account()
	by, err := actorOf(ctx, o.store, l.by.User.ID, l.by.User.Name)
	if err != nil {
		return err
	}
	return o.store.Atomically(ctx, func(tx Store) error {
		revoked, err := tx.RevokeIssuances(ctx, Revocation{ID: id}, o.now())
		if err != nil {
			return err
		}
		if len(revoked) > 0 {
			if err := o.outbox.announce(ctx, tx, MessageTokenRevoked, tokenMessage(i)); err != nil {
				return err
			}
		}
		if l.entry.Action == ActionKicked {
			if err := tx.NameKicker(ctx, id, by); err != nil {
				return err
			}
		}
		return o.note(ctx, tx, l.by, l.entry)
	})
}
