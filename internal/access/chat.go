package access

import (
	"context"
	"errors"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Moderates reports whether a principal moderates the chat of its stage. Operators and moderators
// do, and broadcasters who may publish there. The holder of a participant token does not, because
// the holder may be a program.
func (p Principal) Moderates() bool {
	if p.Kind != KindLogin || p.Stage == "" {
		return false
	}
	return p.User.Role.allows(ScopeModerate) || p.Capabilities.Has(stage.Publish)
}

// MayPost refuses viewing keys: they have no user who could post.
func (p Principal) MayPost() error {
	if p.View != "" {
		return stage.Errorf(stage.ErrDenied,
			"A viewing key shows its view of the stage and takes no part in the chat.").
			WithCode("view_only")
	}
	return nil
}

// mayModerate refuses principals that do not moderate.
func (p Principal) mayModerate() error {
	if err := p.MayPost(); err != nil {
		return err
	}
	if !p.Moderates() {
		return stage.Errorf(stage.ErrDenied,
			"Only operators, moderators and users who may publish here moderate this chat.").
			WithCode("no_moderator")
	}
	return nil
}

// MayMute returns why a principal may not mute a user, or nil. Operators cannot be muted.
func (p Principal) MayMute(person User) error {
	if err := p.mayModerate(); err != nil {
		return err
	}
	switch {
	case person.ID == p.User.ID:
		return stage.Errorf(stage.ErrInvalid, "You cannot mute yourself.")
	case person.Role == Operator:
		return stage.Errorf(stage.ErrDenied, "An operator cannot be muted.").
			WithCode("cannot_mute_operator")
	}
	return nil
}

// Chat finds the users whom moderators of chats mute, and records what moderators did.
type Chat struct{ *trail }

// MuteTarget finds the user whom a moderator mutes or unmutes. For a guest, who has no account, it
// returns the ID alone.
func (c *Chat) MuteTarget(ctx context.Context, who Principal, id UserID) (User, error) {
	if err := who.mayModerate(); err != nil {
		return User{}, err
	}
	account, err := accountOf(ctx, c.store, id)
	if errors.Is(err, stage.ErrNotFound) {
		return User{ID: id}, nil
	}
	return account.User, err
}

// NoteMuted records in the trail that a moderator muted or unmuted a person in the chat of a stage.
func (c *Chat) NoteMuted(ctx context.Context, by Principal, person User, on bool) {
	action := ActionUnmuted
	if on {
		action = ActionMuted
	}
	e := entryAbout(action, person)
	e.Stage = by.Stage
	c.noteLate(ctx, by, e)
}

// NoteRemoved records in the trail that a moderator removed another person's message.
func (c *Chat) NoteRemoved(ctx context.Context, by Principal, author UserID, message string) {
	if author == by.User.ID {
		return
	}
	names, err := c.store.Names(ctx, author)
	if err != nil {
		names = nil // then the entry contains only the ID
	}
	c.noteLate(ctx, by, Entry{
		Action: ActionMessageRemoved, Target: string(author), TargetName: names[author],
		Stage: by.Stage, Detail: "message " + message,
	})
}

// MayRemove returns why a principal may not remove a message of an author, or nil. Moderators may
// remove any message, and other people only their own.
func (p Principal) MayRemove(author UserID) error {
	if author != "" && author == p.User.ID {
		return p.MayPost()
	}
	return p.mayModerate()
}
