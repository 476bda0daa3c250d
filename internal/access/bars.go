package access

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// A Bar keeps a user off a stage, although the grant stays.
type Bar struct {
	User   UserID
	Name   string // of the user
	Stage  stage.ARN
	At     time.Time
	Reason string // as the moderator wrote it
	By     string // name of the moderator or operator; empty if the bar is older than this field
}

// A BarFilter selects bars. The zero value selects all.
type BarFilter struct {
	Stages []stage.ARN // any of these; nil means all stages
	Of     UserID      // only stages to which this user has access
}

// Bars lists the bars in force, newest first: of one stage, or of all stages that the caller
// moderates.
func (m *Moderation) Bars(
	ctx context.Context, by Principal, arn stage.ARN, p Page,
) (PageOf[Bar], error) {
	stages, err := m.moderated(ctx, by, arn)
	if err != nil {
		return PageOf[Bar]{}, err
	}
	p, err = checkList(p, "", arn)
	if err != nil || stages.none() {
		return PageOf[Bar]{}, err
	}
	return m.store.ListBars(ctx, BarFilter{Stages: stages.list, Of: stages.of}, p)
}

// KickAndBar disconnects a participant, revokes every open token of the user on the stage, and
// refuses new ones until Unbar. The grant does not change.
func (m *Moderation) KickAndBar(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	err := m.mayKick(ctx, who, arn)
	if errors.Is(err, stage.ErrUnavailable) {
		if err := m.kickWithout(ctx, who, arn, id, reason, err); err != nil {
			return err
		}
		return stage.Errorf(stage.ErrUnavailable,
			"The participant is disconnected, and the token is "+
				"revoked. The database does not answer: bar the user in a moment.").WithCause(err)
	}
	if err != nil {
		return err
	}
	if !stage.ValidID(id) {
		return noSuch("participant")
	}
	i, err := m.store.Issuance(ctx, id)
	if err != nil {
		return notFoundIs(err, noSuch("participant"))
	}
	if i.Stage != arn {
		return noSuch("participant")
	}
	var revoked []Issuance
	err = m.store.Atomically(ctx, func(tx Store) error {
		revoked, err = m.bar(ctx, tx, who, i, kickReason(who, reason))
		return err
	})
	if err != nil {
		return err
	}
	m.caches.changed(i.User)
	// The participant is disconnected even if the token was revoked before, because its session may
	// still be open.
	err = m.sessions.endOne(ctx, arn, id, kickReason(who, reason))
	return cmp.Or(m.sessions.end(ctx, revoked, kickReason(who, reason)), notFoundIs(err, nil))
}

func (m *Moderation) bar(
	ctx context.Context, tx Store, who Principal, i Issuance, reason string,
) ([]Issuance, error) {
	// The user of a guest's token is the owner of the link, who must not be barred. The link is
	// revoked instead.
	if i.guest() {
		match := Match{Kind: KindGuestLink, ID: i.Credential}
		revoked, err := m.links.end(ctx, tx, who, match, reason)
		return revoked, notFoundIs(err, nil)
	}
	account, err := accountOf(ctx, tx, i.User)
	if err != nil {
		return nil, err
	}
	if account.Role == Operator {
		return nil, words.Error(stage.ErrConflict, "said.conflict.operator",
			words.Values{"name": account.Name})
	}
	err = putBar(ctx, tx, Bar{
		User: i.User, Stage: i.Stage, At: m.now(), Reason: reason, By: who.User.Name,
	})
	if err != nil {
		return nil, err
	}
	if err := tx.Advance(ctx, i.User); err != nil {
		return nil, err
	}
	revoked, err := m.outbox.revokeOpen(ctx, tx, Revocation{User: i.User, Stage: i.Stage})
	if err != nil {
		return nil, err
	}
	return revoked, m.note(ctx, tx, who, Entry{
		Action: ActionBarred, Target: string(i.User), TargetName: account.Name, Stage: i.Stage,
		Detail: reason,
	})
}

// putBar stores a bar with the grant of a user. A user whose access is a RuleGrant has no grant for
// this one stage, so putBar adds one. For a user without access it does nothing.
func putBar(ctx context.Context, tx Store, b Bar) error {
	err := tx.PutBar(ctx, b)
	if !errors.Is(err, stage.ErrNotFound) {
		return err
	}
	permit, err := tx.Permit(ctx, b.User, b.Stage, Rate{})
	if err != nil || permit.Grant.Capabilities == 0 {
		return err
	}
	if err := tx.PutGrant(ctx, permit.Grant); err != nil {
		return err
	}
	return tx.PutBar(ctx, b)
}

// Unbar lets a barred user get tokens for a stage again.
func (m *Moderation) Unbar(ctx context.Context, who Principal, id UserID, arn stage.ARN) error {
	if err := m.mayKick(ctx, who, arn); err != nil {
		return err
	}
	err := m.store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := tx.PutBar(ctx, Bar{User: id, Stage: arn}); err != nil {
			return notFoundIs(err, noSuch("grant"))
		}
		if err := tx.Advance(ctx, id); err != nil {
			return err
		}
		return m.note(ctx, tx, who, Entry{
			Action: ActionUnbarred, Target: string(id), TargetName: account.Name, Stage: arn,
		})
	})
	if err == nil {
		m.caches.changed(id)
	}
	return err
}

// barred returns an error if the holder of a grant is barred.
func (g Grant) barred() error {
	if g.BarredAt.IsZero() {
		return nil
	}
	return stage.Errorf(stage.ErrDenied, "You may not enter this stage at present: %s",
		g.BarredReason).WithCode("barred")
}
