package accesstest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func (on rules) TestTheFirstOperator(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		old := must(h.Setup.NewCode(t.Context()))(t)
		code := must(h.Setup.NewCode(t.Context()))(t)
		setUp := func(code stage.Secret, name, secret string) error {
			_, _, err := h.Setup.CreateOperator(t.Context(), code, name, password(secret), home)
			return err
		}
		refused(t, setUp(old, "Olga", goodPassword), stage.ErrInvalid, "bad_code")
		refused(t, setUp(stage.NewSecret(""), "Olga", goodPassword), stage.ErrInvalid, "bad_code")
		refused(t, setUp(code, "Olga", "too short"), stage.ErrInvalid, "weak_password")
		refused(t, setUp(code, "", goodPassword), stage.ErrInvalid, "")

		login, secret, err := h.Setup.CreateOperator(t.Context(), code, "  Olga ",
			password(goodPassword), home)
		ok(t, err)
		if login.User.Name != "Olga" || login.User.Role != access.Operator || login.User.Invited {
			t.Errorf("CreateOperator: got %+v, want the operator Olga", login)
		}
		seen := must(h.Authenticate(t.Context(), access.Presented{Login: secret}))(t)
		if seen.User.ID != login.User.ID || seen.CredentialID != login.CredentialID {
			t.Errorf("Authenticate: got %+v, want %+v", seen, login)
		}
		refused(t, setUp(code, "Otto", goodPassword), stage.ErrConflict, "already_set_up")
		_, err = h.Setup.NewCode(t.Context())
		refused(t, err, stage.ErrConflict, "already_set_up")
	})
}

func (on rules) TestOneOfManyBecomesTheOperator(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		other := h.Replica()
		code := must(h.Setup.NewCode(t.Context()))(t)
		errs := race(8, func(i int) error {
			on := []*Harness{h, other}[i%2]
			_, _, err := on.Setup.CreateOperator(t.Context(), code, fmt.Sprint("Olga ", i),
				password(goodPassword), home)
			return err
		})
		got := tally(errs)
		if got[""] != 1 || got["already_set_up"]+got["bad_code"] != 7 {
			t.Errorf("8 who set up at the same time: got %v, want one success and 7 refusals", got)
		}
		people := must(h.Users(t.Context(), access.CommandLine()))(t)
		if len(people) != 1 || people[0].Role != access.Operator || people[0].Invited {
			t.Errorf("Users: got %+v, want one operator", people)
		}
	})
}

func (on rules) TestAnInvitation(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		user, code, until, err := h.AddUser(t.Context(), op, "Ana", "")
		ok(t, err)
		if user.Role != access.Broadcaster || !user.Invited ||
			!until.Equal(h.Clock.Now().Add(7*24*time.Hour)) {
			t.Errorf("AddUser: got %+v until %v, want an invited broadcaster and 7 days",
				user, until)
		}
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "Ana", password(""), home)
		refused(t, err, stage.ErrUnauthorized, "wrong_password")
		if name := must(h.Invites.Name(t.Context(), code))(t); name != "Ana" {
			t.Errorf("Name: got %q, want Ana", name)
		}
		accept := func(code stage.Secret, secret string) (access.Principal, stage.Secret, error) {
			return h.Invites.Accept(t.Context(), code, password(secret), home)
		}
		_, _, err = accept(code, "aNa")
		refused(t, err, stage.ErrInvalid, "weak_password")
		login, _, err := accept(code, goodPassword)
		ok(t, err)
		if login.User.ID != user.ID || login.User.Invited {
			t.Errorf("Accept: got %+v, want %s, not invited any more", login, user.ID)
		}
		_, _, err = accept(code, goodPassword)
		refused(t, err, stage.ErrInvalid, "bad_code")
		_, err = h.Invites.Name(t.Context(), code)
		refused(t, err, stage.ErrInvalid, "bad_code")
	})
}

func (on rules) TestAnInvitationEnds(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		ana, first, _, err := h.AddUser(t.Context(), op, "Ana", access.Broadcaster)
		ok(t, err)
		_, second, _, err := h.Invites.Renew(t.Context(), op, ana.ID)
		ok(t, err)
		_, err = h.Invites.Name(t.Context(), first)
		refused(t, err, stage.ErrInvalid, "bad_code")
		h.Clock.Pass(7*24*time.Hour - time.Second)
		must(h.Invites.Name(t.Context(), second))(t)
		h.Clock.Pass(time.Second)
		_, _, err = h.Invites.Accept(t.Context(), second, password(goodPassword), home)
		refused(t, err, stage.ErrInvalid, "bad_code")

		_, third, _, err := h.Invites.Renew(t.Context(), op, ana.ID)
		ok(t, err)
		ok(t, h.RemoveUser(t.Context(), op, ana.ID))
		_, _, err = h.Invites.Accept(t.Context(), third, password(goodPassword), home)
		refused(t, err, stage.ErrInvalid, "bad_code")
		_, _, _, err = h.Invites.Renew(t.Context(), op, ana.ID)
		refused(t, err, stage.ErrNotFound, "")
	})
}

func (on rules) TestAForgottenPassword(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		ana, cookie := h.Broadcaster(op, "Ana")
		_, code, _, err := h.Invites.Renew(t.Context(), op, ana.User.ID)
		ok(t, err)
		// An invite changes nothing until it is used, because Ana may not have requested it.
		must(h.Authenticate(t.Context(), access.Presented{Login: cookie}))(t)
		errs := race(6, func(i int) error {
			_, _, err := h.Invites.Accept(t.Context(), code,
				password(fmt.Sprint("my new password ", i)), home)
			return err
		})
		if got := tally(errs); got[""] != 1 || got["bad_code"] != 5 {
			t.Errorf("one link accepted 6 times at once: got %v, want one success", got)
		}
		_, err = h.Authenticate(t.Context(), access.Presented{Login: cookie})
		refused(t, err, stage.ErrUnauthorized, "")
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword), home)
		refused(t, err, stage.ErrUnauthorized, "wrong_password")
		for i, err := range errs {
			if err == nil {
				_, _, err := h.PasswordLogins.LogIn(t.Context(), "Ana",
					password(fmt.Sprint("my new password ", i)), home)
				ok(t, err)
			}
		}
	})
}

func (on rules) TestSigningIn(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		h.Broadcaster(op, "José  Ñandú")
		for _, name := range []string{"José  Ñandú", "josé ñandú", "JOSÉ ÑANDÚ",
			" José Ñandu\u0301 ", "Jose\u0301 Ñandú"} {
			login, _, err := h.PasswordLogins.LogIn(t.Context(), name, password(goodPassword), home)
			if err != nil || login.Client != home {
				t.Errorf("LogIn %q: got %+v, %v; want a login of that client", name, login, err)
			}
		}
		var said []string
		for _, try := range [][2]string{{"José Ñandú", "wrong password"}, {"nobody", goodPassword},
			{"", ""}, {"\x00\xff", "\x00"}, {"Olga", strings.Repeat("x", 5000)}} {
			_, secret, err := h.PasswordLogins.LogIn(t.Context(), try[0], password(try[1]),
				access.Client{Address: "198.51.100.7", Agent: "\xff\x00"})
			said = append(said, refused(t, err, stage.ErrUnauthorized, "wrong_password").Detail)
			if !secret.Empty() {
				t.Errorf("LogIn %q: a refusal carries a secret", try[0])
			}
		}
		for _, detail := range said {
			if detail != said[0] {
				t.Errorf("a wrong name and a wrong password are told apart: %q", said)
			}
		}
		_, err := h.Authenticate(t.Context(), access.Presented{Login: stage.NewSecret("made up")})
		refused(t, err, stage.ErrUnauthorized, "")
		_, err = h.Authenticate(t.Context(), access.Presented{Login: stage.Secret{}})
		refused(t, err, stage.ErrUnauthorized, "")
	})
}

func (on rules) TestALoginLastsWithUse(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, cookie := h.Broadcaster(h.Operator(), "Ana")
		h.Clock.Pass(23 * time.Hour)
		if login := must(h.Authenticate(t.Context(), access.Presented{Login: cookie}))(
			t); login.Renewed {
			t.Error("the end of a login moved within a day; each move costs a cookie")
		}
		h.Clock.Pass(time.Hour)
		login := must(h.Authenticate(t.Context(), access.Presented{Login: cookie}))(t)
		if want := h.Clock.Now().Add(30 * 24 * time.Hour); !login.Renewed ||
			!login.ExpiresAt.Equal(want) {
			t.Errorf("after a day: got renewed %v until %v, want true until %v", login.Renewed,
				login.ExpiresAt, want)
		}
		if login := must(h.Authenticate(t.Context(), access.Presented{Login: cookie}))(
			t); login.Renewed {
			t.Error("the cookie is sent again by the next request, too")
		}
		people := must(h.Users(t.Context(), access.CommandLine()))(t)
		if seen := people[0].LastSeenAt; !seen.Equal(h.Clock.Now()) {
			t.Errorf("LastSeenAt: got %v, want %v", seen, h.Clock.Now())
		}
		h.Clock.Pass(30*24*time.Hour - time.Second)
		must(h.Authenticate(t.Context(), access.Presented{Login: cookie}))(t)
		h.Clock.Pass(30 * 24 * time.Hour)
		_, err := h.Authenticate(t.Context(), access.Presented{Login: cookie})
		refused(t, err, stage.ErrUnauthorized, "")
	})
}

func (on rules) TestALoginEnds(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		ana, first := h.Broadcaster(op, "Ana")
		other := h.Replica()
		signIn := func() (access.Principal, stage.Secret) {
			login, secret, err := h.PasswordLogins.LogIn(t.Context(), "ana",
				password(goodPassword), home)
			ok(t, err)
			must(h.Authenticate(t.Context(), access.Presented{Login: secret}))(t)
			must(other.Authenticate(t.Context(), access.Presented{Login: secret}))(t)
			return login, secret
		}
		// gone checks that a login has ended: at once on this replica, and within a second on
		// another one.
		gone := func(secret stage.Secret) {
			t.Helper()
			_, err := h.Authenticate(t.Context(), access.Presented{Login: secret})
			refused(t, err, stage.ErrUnauthorized, "")
			h.Clock.Pass(time.Second)
			_, err = other.Authenticate(t.Context(), access.Presented{Login: secret})
			refused(t, err, stage.ErrUnauthorized, "")
		}
		login, secret := signIn()
		ok(t, h.Logins.LogOut(t.Context(), login))
		gone(secret)
		must(h.Authenticate(t.Context(), access.Presented{Login: first}))(t)

		_, secret = signIn()
		ok(t, h.Logins.EndAll(t.Context(), op, ana.User.ID))
		gone(secret)
		gone(first)

		login, secret = signIn()
		kept, keptSecret := signIn()
		err := h.PasswordLogins.Change(t.Context(), kept, password("not the password"),
			password("another good one"), false)
		refused(t, err, stage.ErrInvalid, "wrong_password")
		refused(t, h.PasswordLogins.Change(t.Context(),
			kept, password(goodPassword), password("short"),
			false), stage.ErrInvalid, "weak_password")
		ok(t, h.PasswordLogins.Change(t.Context(), kept, password(goodPassword),
			password("another good one"), false))
		gone(secret)
		must(h.Authenticate(t.Context(), access.Presented{Login: keptSecret}))(t)
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), home)
		refused(t, err, stage.ErrUnauthorized, "wrong_password")
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "ana", password("another good one"), home)
		ok(t, err)
		_ = login
	})
}

func (on rules) TestNamesAreTakenOnce(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, other := h.Operator(), h.Replica()
		errs := race(6, func(i int) error {
			on := []*Harness{h, other}[i%2]
			_, _, _, err := on.AddUser(t.Context(), op, []string{"Ana", "ANA", "ana"}[i%3],
				access.Broadcaster)
			return err
		})
		if got := tally(errs); got[""] != 1 || got["name_taken"] != 5 {
			t.Errorf("one name six times: got %v, want one success", got)
		}
		for _, name := range []string{"", "   ", strings.Repeat("é", 65), "a\nb", "a\x00b",
			"\u202eanA", "\xff", "a\u2028b"} {
			_, _, _, err := h.AddUser(t.Context(), op, name, access.Broadcaster)
			if refused(t, err, stage.ErrInvalid, ""); err == nil {
				t.Errorf("AddUser %q: got no error", name)
			}
		}
		for _, name := range []string{strings.Repeat("é", 64), "李小龍", "O'Brien-Smith", "👩‍🚀 Zoë"} {
			_, _, _, err := h.AddUser(t.Context(), op, name, access.Broadcaster)
			if err != nil {
				t.Errorf("AddUser %q: got %v, want none", name, err)
			}
		}
		_, _, _, err := h.AddUser(t.Context(), op, "Bob", "king")
		refused(t, err, stage.ErrInvalid, "")
	})
}

func (on rules) TestRemovingAUser(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		_, cookie, err := h.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword), home)
		ok(t, err)
		key, secret, err := h.AccessKeys.Create(t.Context(), ana, "script")
		ok(t, err)
		token := h.Issued(ana, arn)
		h.Fake.enter(token.Participant)
		ok(t, h.RemoveUser(t.Context(), op, ana.User.ID))

		_, err = h.Authenticate(t.Context(), access.Presented{Login: cookie})
		refused(t, err, stage.ErrUnauthorized, "")
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: secret})
		refused(t, err, stage.ErrUnauthorized, "unauthorized")
		refused(t, h.MayStay(t.Context(), token.Participant), stage.ErrDenied, "token_revoked")
		_, err = h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
		refused(t, err, stage.ErrUnauthorized, "")
		if away := h.Fake.sentAway(); len(away) != 1 || away[0] != token.Participant.ID {
			t.Errorf("sent away: got %v, want %v", away, token.Participant.ID)
		}
		refused(t, h.RemoveUser(t.Context(), op, ana.User.ID), stage.ErrNotFound, "")
		// The record of the token outlives the account.
		record := must(h.Token(t.Context(), op, token.Participant.ID))(t)
		if record.UserName != "Ana" || record.RevokedAt.IsZero() {
			t.Errorf("record: got %+v, want Ana's, revoked", record)
		}
		_ = key
	})
}

func (on rules) TestTheLastOperatorStays(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, other := h.Operator(), h.Replica()
		refused(t, h.RemoveUser(t.Context(), op, op.User.ID), stage.ErrConflict, "conflict")
		_, code, _, err := h.AddUser(t.Context(), op, "Otto", access.Operator)
		ok(t, err)
		// An operator who has not accepted the invite cannot sign in.
		refused(t, h.RemoveUser(t.Context(), op, op.User.ID), stage.ErrConflict, "conflict")
		otto, _, err := h.Invites.Accept(t.Context(), code, password(goodPassword), home)
		ok(t, err)
		errs := race(2, func(i int) error {
			if i == 0 {
				return h.RemoveUser(t.Context(), op, otto.User.ID)
			}
			return other.RemoveUser(t.Context(), otto, op.User.ID)
		})
		if got := tally(errs); got[""] != 1 || got["conflict"] != 1 {
			t.Errorf("two operators who remove each other: got %v, want one success", got)
		}
	})
}

func (on rules) TestOnlyOperatorsMay(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		ctx, who := t.Context(), ana
		_, _, _, add := h.AddUser(ctx, who, "Bob", access.Operator)
		_, _, _, again := h.Invites.Renew(ctx, who, who.User.ID)
		_, users := h.Users(ctx, who)
		_, local := h.Stages.AddLocal(ctx, who, "mine")
		_, all := h.Tokens(ctx, who, true)
		for what, err := range map[string]error{
			"AddUser": add, "Invites.Renew": again, "Users": users, "Stages.AddLocal": local,
			"Tokens of all": all,
			"RemoveUser":    h.RemoveUser(ctx, who, who.User.ID),
			"Logins.EndAll": h.Logins.EndAll(ctx, who, op.User.ID), // of another user
			"SetGrant": h.SetGrant(ctx, who, access.Grant{
				User: who.User.ID, Stage: arn, Capabilities: stage.Publish,
			}),
			"RemoveGrant":     h.RemoveGrant(ctx, who, who.User.ID, arn),
			"Stages.AddAWS":   h.Stages.AddAWS(ctx, who, stage.Stage{ARN: awsARN}),
			"Stages.Update":   h.Stages.Update(ctx, who, arn, "mine", nil),
			"Stages.Remove":   h.Stages.Remove(ctx, who, arn),
			"Moderation.Kick": h.Moderation.Kick(ctx, who, arn, "abc", ""),
		} {
			t.Run(what, func(t *testing.T) { refused(t, err, stage.ErrDenied, "denied") })
		}
	})
}

// TestStrangeIDs: a text that cannot be an ID gives "not found", even with bytes that PostgreSQL
// refuses.
func (on rules) TestStrangeIDs(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, _, arn := h.Scene()
		ctx := context.Background()
		for _, id := range []string{"", "\x00", "\xff", "nobody", strings.Repeat("x", 1000), "a b",
			"'; DROP TABLE users; --"} {
			for what, err := range map[string]error{
				"RemoveUser":    h.RemoveUser(ctx, op, access.UserID(id)),
				"Logins.EndAll": h.Logins.EndAll(ctx, op, access.UserID(id)),
				"SetGrant": h.SetGrant(ctx, op, access.Grant{
					User: access.UserID(id), Stage: arn, Capabilities: stage.Publish,
				}),
				"RemoveGrant":   h.RemoveGrant(ctx, op, op.User.ID, stage.ARN(id)),
				"Stages.Remove": h.Stages.Remove(ctx, op, stage.ARN(id)),
				"Revoke":        h.Revoke(ctx, op, stage.ParticipantID(id)),
				"Moderation.Kick": h.Moderation.Kick(ctx, op, arn, stage.ParticipantID(id),
					"\x00\xff"),
				"AccessKeys.Revoke": h.AccessKeys.Revoke(ctx, op, id),
				"ViewKeys.Revoke":   h.ViewKeys.Revoke(ctx, op, id),
			} {
				t.Run(what, func(t *testing.T) { refused(t, err, stage.ErrNotFound, "") })
			}
			refused(t, h.MayStay(ctx, stage.Participant{ID: stage.ParticipantID(id), Stage: arn}),
				stage.ErrDenied, "token_revoked")
		}
	})
}

func (on rules) TestWhatAThiefHoldsEndsWithThePassword(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		type loot struct {
			access, view, link stage.Secret
			token, guest       stage.Participant
		}
		steal := func() (l loot) {
			var err error
			_, l.access, err = h.AccessKeys.Create(t.Context(), ana, "thief")
			ok(t, err)
			_, l.view, err = h.ViewKeys.Create(t.Context(), ana, arn, "stage")
			ok(t, err)
			_, l.link, err = h.GuestLinks.Create(t.Context(), ana, access.GuestLinkRequest{
				Stage: arn, Role: access.GuestPublishes, Name: "thief", Uses: 2, Life: time.Hour,
			})
			ok(t, err)
			guest := must(h.Authenticate(t.Context(), access.Presented{Bearer: l.link}))(t)
			l.guest = must(h.AdmitGuest(t.Context(), guest, "Gil", ""))(t).Participant
			l.token = h.Issued(ana, arn).Participant
			h.Fake.enter(l.guest)
			h.Fake.enter(l.token)
			return l
		}
		worthless := func(l loot) {
			t.Helper()
			for secret, code := range map[stage.Secret]string{
				l.access: "unauthorized", l.view: "unauthorized", l.link: "guest_link",
			} {
				_, err := h.Authenticate(t.Context(), access.Presented{Bearer: secret})
				refused(t, err, stage.ErrUnauthorized, code)
			}
			for _, p := range []stage.Participant{l.token, l.guest} {
				refused(t, h.MayStay(t.Context(), p), stage.ErrDenied, "token_revoked")
				if away := h.Fake.sentAway(); !slices.Contains(away, p.ID) {
					t.Errorf("sent away: got %v, want %v, too", away, p.ID)
				}
			}
		}

		t.Log("a new password alone does not end the access key of an OBS without a person")
		held := steal()
		ok(t, h.PasswordLogins.Change(t.Context(), ana, password(goodPassword),
			password("another good one"), false))
		must(h.Authenticate(t.Context(), access.Presented{Bearer: held.access}))(t)
		must(h.Authenticate(t.Context(), access.Presented{Bearer: held.link}))(t)
		ok(t, h.MayStay(t.Context(), held.token))

		t.Log("a user can also end all logins and keys with a new password")
		ok(t, h.PasswordLogins.Change(t.Context(), ana, password("another good one"),
			password(goodPassword), true))
		worthless(held)

		t.Log("a forgotten password ends everything, too")
		held = steal()
		_, code, _, err := h.Invites.Renew(t.Context(), op, ana.User.ID)
		ok(t, err)
		ok(t, h.MayStay(t.Context(), held.token))
		_, _, err = h.Invites.Accept(t.Context(), code, password("a wholly new one"), home)
		ok(t, err)
		worthless(held)
	})
}

func (on rules) TestAnOperatorsKeyIsNoOperator(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		_, secret, err := h.AccessKeys.Create(t.Context(), op, "kiosk")
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		hers := h.Issued(ana, arn).Participant.ID
		_, err = h.Token(t.Context(), key, hers)
		refused(t, err, stage.ErrNotFound, "")
		refused(t, h.Revoke(t.Context(), key, hers), stage.ErrNotFound, "")
		if _, err := h.Users(t.Context(), key); err == nil {
			t.Error("a key lists people")
		}
		own := must(h.Issue(t.Context(), key, access.IssueRequest{Stage: arn}))(t).Participant.ID
		ok(t, h.Revoke(t.Context(), key, own))
	})
}

func (on rules) TestMuteTarget(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		host := must(h.OnStage(t.Context(), ana, arn))(t)
		if got := must(h.Chat.MuteTarget(t.Context(), host, op.User.ID))(t); got.Name != "Olga" ||
			got.Role != access.Operator {
			t.Errorf("an account: got %+v, want the operator Olga", got)
		}
		for _, guest := range []access.UserID{"guest-7", "Bea <b>Müller</b>", "\x00"} {
			got := must(h.Chat.MuteTarget(t.Context(), host, guest))(t)
			if got != (access.User{ID: guest}) {
				t.Errorf("a guest: got %+v, want the ID alone", got)
			}
		}
		h.Grant(op, ana, arn, stage.Subscribe)
		there := must(h.OnStage(t.Context(), ana, arn))(t)
		_, err := h.Chat.MuteTarget(t.Context(), there, op.User.ID)
		refused(t, err, stage.ErrDenied, "no_moderator")
	})
}

func (on rules) TestTheFirstStage(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		other := h.Replica()
		for _, err := range race(4, func(i int) error {
			return []*Harness{h, other}[i%2].Stages.AddFirst(
				t.Context(), "main")
		}) {
			ok(t, err)
		}
		ok(t, h.Stages.AddFirst(t.Context(), "another"))
		all := must(h.Stages.All(t.Context()))(t)
		if len(all) != 1 || !all[0].ARN.Local() || all[0].Name != "main" ||
			all[0].Limits != stage.DefaultLimits() {
			t.Errorf("stages: got %+v, want the local stage main with the default limits", all)
		}
	})
}

func (on rules) TestEndpoints(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		same := stage.Endpoints{
			WHIP:   "https://a.global-bm.whip.live-video.net",
			Events: "wss://global.events.live-video.net",
		}
		for _, id := range []string{"one", "two"} {
			arn := stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/" + id)
			added := stage.Stage{ARN: arn, Name: id, Endpoints: same}
			ok(t, h.Stages.AddAWS(t.Context(), op, added))
		}
		if got := must(h.Stages.Endpoints(t.Context()))(t); len(got) != 1 || got[0] != same {
			t.Errorf("Endpoints: got %+v, want %+v once", got, same)
		}
	})
}
