package access

import (
	"cmp"
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Kick disconnects a participant and revokes the token. A token for an AWS stage that was not
// issued here stays valid.
func (m *Moderation) Kick(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	short, cancel := m.outage.beforeEnd(ctx, id)
	defer cancel()
	i, err := m.revokeKicked(short, who, arn, id, kickReason(who, reason))
	switch {
	case errors.Is(err, stage.ErrUnavailable):
		return m.kickWithout(ctx, who, arn, id, reason, err)
	case err != nil:
		return err
	}
	ours := i.Stage == arn
	err = m.sessions.endOne(ctx, arn, id, kickReason(who, reason))
	if err == nil && !ours {
		m.noteLate(ctx, who, kickEntry(id, i, arn, kickReason(who, reason)))
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
func (m *Moderation) revokeKicked(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string,
) (Issuance, error) {
	if err := m.mayKick(ctx, who, arn); err != nil {
		return Issuance{}, err
	}
	if !stage.ValidID(id) {
		return Issuance{}, noSuch("participant")
	}
	i, err := m.store.Issuance(ctx, id)
	if err != nil || i.Stage != arn {
		return i, notFoundIs(err, nil)
	}
	return i, m.store.Atomically(ctx, func(tx Store) error {
		revoked, err := tx.RevokeIssuances(ctx, Revocation{ID: id}, m.now())
		if err != nil {
			return err
		}
		if err := m.outbox.announceRevoked(ctx, tx, revoked); err != nil {
			return err
		}
		return m.note(ctx, tx, who, kickEntry(id, i, arn, reason))
	})
}

// kickWithout is Kick without the database. Operators may kick; others need a permit that was
// stored before the outage. Without a permit, or if no reachable server has the participant,
// kickWithout returns the error of the database, which is in the parameter `away`.
func (m *Moderation) kickWithout(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string,
	away error,
) error {
	may, _, found := m.outage.permits.get(permitKey{who.User.ID, arn})
	known := found && m.now().Sub(may) <= recallFor
	if !stage.ValidID(id) || who.User.Role != Operator && !known {
		return away
	}
	return m.outage.end(ctx, who, kickEntry(id, Issuance{}, arn, kickReason(who, reason)), away)
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
