package access

import (
	"cmp"
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Kick disconnects a participant and revokes the token. A token for an AWS stage that was not
// issued here stays valid.
func (c *Control) Kick(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	short, cancel := c.Outage.beforeEnd(ctx, id)
	defer cancel()
	i, err := c.revokeKicked(short, who, arn, id, kickReason(who, reason))
	switch {
	case errors.Is(err, stage.ErrUnavailable):
		return c.kickWithout(ctx, who, arn, id, reason, err)
	case err != nil:
		return err
	}
	ours := i.Stage == arn
	err = c.sessions.endOne(ctx, arn, id, kickReason(who, reason))
	if err == nil && !ours {
		c.trail.noteLate(ctx, who, kickEntry(id, i, arn, kickReason(who, reason)))
	}
	if ours {
		return notFoundIs(err, nil)
	}
	return notFoundIs(err, noSuch("participant"))
}

func kickEntry(id stage.ParticipantID, i Issuance, arn stage.ARN, reason string) Entry {
	return Entry{
		Action: ActionKicked, Target: string(id), TargetName: i.UserName,
		TargetUser: i.account(), Stage: arn, Detail: reason,
	}
}

// revokeKicked revokes the token of a participant, and notes the kick, if this server issued the
// token for that stage.
func (c *Control) revokeKicked(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string,
) (Issuance, error) {
	if err := c.mayKick(ctx, who, arn); err != nil {
		return Issuance{}, err
	}
	if !stage.ValidID(id) {
		return Issuance{}, noSuch("participant")
	}
	i, err := c.cfg.Store.Issuance(ctx, id)
	if err != nil || i.Stage != arn {
		return i, notFoundIs(err, nil)
	}
	return i, c.cfg.Store.Atomically(ctx, func(tx Store) error {
		revoked, err := tx.RevokeIssuances(ctx, Revocation{ID: id}, c.cfg.Now())
		if err != nil {
			return err
		}
		if err := c.outbox.announceRevoked(ctx, tx, revoked); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, who, kickEntry(id, i, arn, reason))
	})
}

// kickWithout is Kick without the database. Operators may kick; others need a permit that was
// stored before the outage. Without a permit, or if no reachable server has the participant,
// kickWithout returns the error of the database, which is in the parameter `away`.
func (c *Control) kickWithout(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string,
	away error,
) error {
	may, _, found := c.Outage.permits.get(permitKey{who.User.ID, arn})
	known := found && c.cfg.Now().Sub(may) <= recallFor
	if !stage.ValidID(id) || who.User.Role != Operator && !known {
		return away
	}
	return c.Outage.end(ctx, who, kickEntry(id, Issuance{}, arn, kickReason(who, reason)), away)
}

// mayKick returns an error if a principal may not kick participants from a stage. Moderators may
// kick on stages to which they have access.
func (c *Control) mayKick(ctx context.Context, who Principal, arn stage.ARN) error {
	if err := who.Require(ScopeModerate); err != nil {
		return err
	}
	if _, err := stageOf(ctx, c.cfg.Store, arn); err != nil {
		return err
	}
	if who.User.Role == Operator {
		return nil
	}
	permit, err := c.cfg.Store.Permit(ctx, who.User.ID, arn, Rate{})
	if err != nil {
		return notFoundIs(err, signInAgain())
	}
	if !mayEnter(permit) {
		return noGrant()
	}
	key := permitKey{who.User.ID, arn}
	_, generation, _ := c.Outage.permits.get(key)
	c.Outage.permits.put(key, c.cfg.Now(), generation)
	return nil
}

// kickReason shortens a reason to the length that DisconnectParticipant accepts (0–128 characters).
// If none was given, the reason says who removed the participant.
func kickReason(who Principal, reason string) string {
	none := stage.NoReasonOfOperator
	if who.User.Role != Operator {
		none = stage.NoReasonOfModerator
	}
	return cmp.Or(cleanText(reason, 128), none)
}
