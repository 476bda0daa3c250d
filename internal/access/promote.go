package access

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// roleChanged is the reason for ending the sessions of a guest whose role changed. The guest's page
// reconnects with the same token at once.
const roleChanged = "A moderator changed what you may do on this stage."

// SetGuestRole changes the role of a guest on a local stage: to one who publishes, or to one who
// only views. The guest keeps the token, because on local stages the record of a token decides. The
// guest's sessions end, and the guest's page opens new ones in the new role.
func (m *Moderation) SetGuestRole(
	ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, role GuestRole,
) error {
	if err := m.mayKick(ctx, who, arn); err != nil {
		return err
	}
	if !arn.Local() {
		return stage.Errorf(stage.ErrInvalid, "The tokens of Amazon IVS cannot be changed: "+
			"send the guest another link.").WithCode("not_local")
	}
	if role.capabilities() == 0 {
		return stage.Errorf(stage.ErrInvalid, `A guest's role must be "publish" or "view".`)
	}
	var changed bool
	err := m.store.Atomically(ctx, func(tx Store) (err error) {
		changed, err = m.setGuestRole(ctx, tx, who, arn, id, role)
		return err
	})
	if err != nil || !changed {
		return err
	}
	return notFoundIs(m.sessions.endOne(ctx, arn, id, roleChanged), nil)
}

func (m *Moderation) setGuestRole(
	ctx context.Context, tx Store, who Principal, arn stage.ARN, id stage.ParticipantID,
	role GuestRole,
) (changed bool, err error) {
	if !stage.ValidID(id) {
		return false, noSuch("participant")
	}
	i, err := tx.Issuance(ctx, id)
	if err != nil || i.Stage != arn || !i.RevokedAt.IsZero() {
		if err == nil || errors.Is(err, stage.ErrNotFound) {
			err = noSuch("participant")
		}
		return false, err
	}
	if !i.guest() {
		return false, stage.Errorf(stage.ErrConflict,
			"Only guests are promoted and demoted: %s has an account, whose access decides.",
			i.UserName).WithCode("not_a_guest")
	}
	permit, err := tx.Permit(ctx, i.User, arn, Rate{})
	if err != nil {
		return false, err
	}
	want := role.capabilities()
	if !permit.grant().Capabilities.Has(want) {
		return false, stage.Errorf(stage.ErrDenied,
			"The owner of the guest link may not %s here.", role).WithCode("no_capability")
	}
	if i.Capabilities == want {
		return false, nil
	}
	if err := tx.SetCapabilities(ctx, id, want); err != nil {
		return false, err
	}
	action := ActionPromoted
	if role == GuestViews {
		action = ActionDemoted
	}
	return true, m.note(ctx, tx, who, Entry{
		Action: action, Target: string(id), TargetName: i.UserName, Stage: arn,
	})
}
