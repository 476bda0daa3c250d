package access

import "context"

// ChangeOwnKey runs a change of the own keys of a region, for an operator, and adds the change to
// the audit trail. The function `change` returns the name of the key.
func (c *Control) ChangeOwnKey(
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
	c.trail.noteLate(ctx, by, Entry{Action: action, Target: name, TargetName: name, Detail: region})
	return nil
}
