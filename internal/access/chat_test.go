package access

import (
	"errors"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestWhoMayDoWhatInAChat(t *testing.T) {
	t.Parallel()
	olga, gus := User{ID: "olga", Role: Operator}, User{ID: "gus"}
	host := Principal{Kind: KindLogin, User: User{ID: "ana"}, Stage: "arn",
		Capabilities: stage.Publish}
	guest, view := Principal{Kind: KindToken, User: gus},
		Principal{Kind: KindLogin, User: olga, View: "stage"}
	nobody := Principal{}
	mod := Principal{Kind: KindLogin, User: User{ID: "mia", Role: Moderator}, Stage: "arn",
		Capabilities: stage.Subscribe}
	for what, c := range map[string]struct{ got, want error }{
		"a guest writes":                {guest.MayPost(), nil},
		"a view writes":                 {view.MayPost(), stage.ErrDenied},
		"a guest moderates":             {guest.mayModerate(), stage.ErrDenied},
		"a view moderates":              {view.mayModerate(), stage.ErrDenied},
		"a host mutes a guest":          {host.MayMute(gus), nil},
		"a host mutes an operator":      {host.MayMute(olga), stage.ErrDenied},
		"a host mutes themselves":       {host.MayMute(host.User), stage.ErrInvalid},
		"a moderator mutes a guest":     {mod.MayMute(gus), nil},
		"a moderator mutes an operator": {mod.MayMute(olga), stage.ErrDenied},
		"a moderator without a stage": {Principal{Kind: KindLogin,
			User: mod.User}.mayModerate(), stage.ErrDenied},
		"a token of a moderator mutes": {Principal{Kind: KindToken, User: mod.User,
			Stage: "arn"}.MayMute(gus), stage.ErrDenied},
		"a guest mutes":                       {guest.MayMute(gus), stage.ErrDenied},
		"a guest takes back their own":        {guest.MayRemove("gus"), nil},
		"a guest removes another's":           {guest.MayRemove("ana"), stage.ErrDenied},
		"a host removes another's":            {host.MayRemove("gus"), nil},
		"a view removes what its owner wrote": {view.MayRemove("olga"), stage.ErrDenied},
		"nobody removes what nobody wrote":    {nobody.MayRemove(""), stage.ErrDenied},
	} {
		if !errors.Is(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", what, c.got, c.want)
		}
	}
}
