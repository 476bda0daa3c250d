package access

import "context"

// OwnKeys lets operators change the own keys of a region, and records each change.
type OwnKeys struct{ *trail }

// Change runs a change of the own keys of a region, for an operator, and adds the change to the
// audit trail. The function `change` returns the name of the key.
func (k *OwnKeys) Change(
	ctx context.Context, by Principal, action Action, region string,
	change func(context.Context) (name string, err error),
) error {
	if err := by.Require(ScopeSystem); err != nil {
		return err
	}
	name, err := change(ctx)
	if err != nil {
		return err
	}
	k.noteLate(ctx, by, Entry{Action: action, Target: name, TargetName: name, Detail: region})
	return nil
}
