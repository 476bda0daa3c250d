package access

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Visitor is somebody at a page of one stage: signed in, with a viewing key, or with a participant token. Who has only a
// token is the person that the token says, unless a viewing key asked for it: then it is that key's view, and nobody.
type Visitor struct {
	User      User       // of a view: whose key it is
	View      stage.View // of a viewing key; empty for people
	Moderates bool
}

// Visit lets in who has a grant. A broadcaster who may publish is a host there, and moderates.
func (c *Control) Visit(ctx context.Context, who User, arn stage.ARN) (Visitor, error) {
	stages, err := c.Stages(ctx, who)
	if err != nil {
		return Visitor{}, err
	}
	for _, a := range stages {
		if a.Stage.ARN == arn {
			host := who.Role == Operator || a.Capabilities.Has(stage.Publish)
			return Visitor{User: who, Moderates: host}, nil
		}
	}
	return Visitor{}, noGrant()
}

// MayPost refuses whoever is nobody who could say something: a view.
func (v Visitor) MayPost() error {
	if v.View != "" {
		return stage.Errorf(stage.ErrDenied, "A viewing key shows its view of the stage and takes no part in the chat.").WithCode("view_only")
	}
	return nil
}

// MayModerate refuses whoever is no host.
func (v Visitor) MayModerate() error {
	if err := v.MayPost(); err != nil {
		return err
	}
	if !v.Moderates {
		return stage.Errorf(stage.ErrDenied, "Only operators and broadcasters who may publish on this stage moderate its chat.").WithCode("no_moderator")
	}
	return nil
}

// MayMute says whether a person can be silenced: an operator is by nobody.
func (v Visitor) MayMute(person User) error {
	if err := v.MayModerate(); err != nil {
		return err
	}
	switch {
	case person.ID == v.User.ID:
		return stage.Errorf(stage.ErrInvalid, "You cannot mute yourself.")
	case person.Role == Operator:
		return stage.Errorf(stage.ErrDenied, "An operator cannot be muted.")
	}
	return nil
}

// MayRemove says whether a message of that author can be taken away: a moderator any, everybody their own.
func (v Visitor) MayRemove(author UserID) error {
	if author != "" && author == v.User.ID {
		return v.MayPost()
	}
	return v.MayModerate()
}
