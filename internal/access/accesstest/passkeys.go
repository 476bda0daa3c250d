package accesstest

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// fakeKeys verifies fake passkeys, whose answers are the JSON of a fakeAnswer, without a signature.
type fakeKeys struct{}

type fakeAnswer struct {
	Key, Challenge string
	Copied         bool
}

func (fakeKeys) ID() string                    { return "localhost" }
func (fakeKeys) Ask() (json.RawMessage, error) { return json.RawMessage(`{}`), nil }
func (fakeKeys) Create(access.PasskeyUser) (json.RawMessage, error) {
	return json.RawMessage(`{}`), nil
}

func (fakeKeys) Created(_ access.PasskeyUser, answer []byte) (access.CheckedPasskey, error) {
	var a fakeAnswer
	err := json.Unmarshal(answer, &a)
	return access.CheckedPasskey{KeyID: a.Key, Record: "0", Challenge: a.Challenge,
		Copied: a.Copied}, err
}

func (k fakeKeys) Answered(
	answer []byte, find func(string) (access.PasskeyUser, error),
) (access.CheckedPasskey, error) {
	checked, err := k.Created(access.PasskeyUser{}, answer)
	if err == nil {
		_, err = find(checked.KeyID)
	}
	return checked, err
}

func answer(key, challenge string) []byte {
	text, _ := json.Marshal(fakeAnswer{Key: key, Challenge: challenge}) // strings always encode
	return text
}

func (on rules) TestPasskeysSignIn(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Configure(func(c *access.Config) { c.Passkeys = fakeKeys{} })
		olga, ana, _ := h.Scene()
		_, err := h.Passkeys.Add(t.Context(), ana, "", answer("k1", "c1"))
		refused(t, err, stage.ErrInvalid, "")
		made := must(h.Passkeys.Add(t.Context(), ana, "phone", answer("k1", "c1")))(t)
		_, err = h.Passkeys.Add(t.Context(), ana, "again", answer("k1", "c2"))
		refused(t, err, stage.ErrConflict, "")
		_, err = h.Passkeys.Add(t.Context(), ana, "replayed", answer("k2", "c1"))
		refused(t, err, stage.ErrInvalid, "passkey_refused")

		login, secret, err := h.Passkeys.LogIn(t.Context(), answer("k1", "c3"), home)
		ok(t, err)
		if login.User.ID != ana.User.ID || login.Passkey != made.ID {
			t.Errorf("the login is %+v", login)
		}
		for text, code := range map[string]string{
			string(answer("k1", "c3")):                    "passkey_refused",
			string(answer("k9", "c4")):                    "passkey_unknown",
			`{"Key":"k1","Challenge":"c5","Copied":true}`: "passkey_copied",
		} {
			_, _, err = h.Passkeys.LogIn(t.Context(), []byte(text), home)
			refused(t, err, stage.ErrUnauthorized, code)
		}

		t.Log("users cannot find passkeys of others; removing a passkey ends its logins")
		refused(t, h.Passkeys.Remove(t.Context(), olga, made.ID), stage.ErrNotFound, "")
		ok(t, h.Passkeys.Rename(t.Context(), ana, made.ID, "old phone"))
		ok(t, h.Passkeys.Remove(t.Context(), ana, made.ID))
		_, err = h.Authenticate(t.Context(), access.Presented{Login: secret})
		refused(t, err, stage.ErrUnauthorized, "")
		if left := must(h.Passkeys.List(t.Context(), ana))(t); len(left) != 0 {
			t.Errorf("passkeys after the removal: got %+v, want none", left)
		}

		t.Log("a suspended user cannot sign in; a new invite, for a lost device, removes passkeys")
		must(h.Passkeys.Add(t.Context(), ana, "phone", answer("k1", "c6")))(t)
		ok(t, h.SuspendUser(t.Context(), olga, ana.User.ID, ""))
		_, _, err = h.Passkeys.LogIn(t.Context(), answer("k1", "c7"), home)
		refused(t, err, stage.ErrDenied, "suspended")
		ok(t, h.RestoreUser(t.Context(), olga, ana.User.ID))
		_, code, _, err := h.Invites.Renew(t.Context(), olga, ana.User.ID)
		ok(t, err)
		_, _, err = h.Invites.Accept(t.Context(), code, password(goodPassword), home)
		ok(t, err)
		_, _, err = h.Passkeys.LogIn(t.Context(), answer("k1", "c8"), home)
		refused(t, err, stage.ErrUnauthorized, "passkey_unknown")
	})
}

func (on rules) TestOperatorsNeedAPasskey(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Configure(func(c *access.Config) { c.Passkeys, c.OperatorPasskeys = fakeKeys{}, true })
		olga := h.Operator()
		_, err := h.Users(t.Context(), olga)
		refused(t, err, stage.ErrDenied, "passkey_needed")
		must(h.Passkeys.Add(t.Context(), olga, "first", answer("k1", "c1")))(t)
		_, err = h.Passkeys.Add(t.Context(), olga, "of a stolen password", answer("k2", "c2"))
		refused(t, err, stage.ErrDenied, "passkey_needed")

		proven, _, err := h.Passkeys.LogIn(t.Context(), answer("k1", "c3"), home)
		ok(t, err)
		must(h.Users(t.Context(), proven))(t)
		refused(t, h.Passkeys.Remove(t.Context(), proven, proven.Passkey), stage.ErrConflict,
			"last_passkey")
		second := must(h.Passkeys.Add(t.Context(), proven, "second", answer("k2", "c4")))(t)
		ok(t, h.Passkeys.Remove(t.Context(), proven, second.ID))

		t.Log("a dock that the proven login approves is proven, too")
		d, secret, err := h.Devices.Begin(t.Context(), home)
		ok(t, err)
		ok(t, h.Devices.Approve(t.Context(), proven, d.UserCode))
		dock, _, err := h.Devices.Finish(t.Context(), secret, home)
		ok(t, err)
		must(h.Users(t.Context(), dock))(t)
	})
}

func (on rules) TestNoLoginOutlivesTheProvidersWord(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Operator()
		h.Configure(func(c *access.Config) { c.Passkeys = fakeKeys{} })
		h.Configure(func(c *access.Config) {
			c.External = access.ExternalPolicy{Issuer: external("", "").Issuer,
				LoginLife: time.Hour}
		})
		ben := h.member("1", "Ben")
		must(h.Passkeys.Add(t.Context(), ben, "phone", answer("k1", "c1")))(t)
		h.Clock.Pass(50 * time.Minute)
		d, code, err := h.Devices.Begin(t.Context(), home)
		ok(t, err)
		ok(t, h.Devices.Approve(t.Context(), ben, d.UserCode))
		_, dock, err := h.Devices.Finish(t.Context(), code, home)
		ok(t, err)
		_, phone, err := h.Passkeys.LogIn(t.Context(), answer("k1", "c2"), home)
		ok(t, err)
		h.Clock.Pass(11 * time.Minute)
		for _, login := range []stage.Secret{dock, phone} {
			if _, err := h.Authenticate(t.Context(), access.Presented{Login: login}); !errors.Is(
				err, stage.ErrUnauthorized) {
				t.Errorf("an hour after the provider's word: %v, want a new sign-in", err)
			}
		}
		_, _, err = h.Passkeys.LogIn(t.Context(), answer("k1", "c3"), home)
		refused(t, err, stage.ErrUnauthorized, "provider_first")
		h.member("1", "Ben")
		_, _, err = h.Passkeys.LogIn(t.Context(), answer("k1", "c4"), home)
		ok(t, err)
	})
}

func (on rules) TestOperatorsAreNotLockedOut(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Configure(func(c *access.Config) { c.Passkeys = fakeKeys{} })
		expect := func(want bool, when string) {
			t.Helper()
			if got := must(h.OperatorsWayIn(t.Context()))(t); got != want {
				t.Errorf("%s: %v, want %v", when, got, want)
			}
		}
		expect(false, "an empty server")
		olga := h.Operator()
		expect(false, "a password alone")
		made := must(h.Passkeys.Add(t.Context(), olga, "phone", answer("k1", "c1")))(t)
		expect(true, "a passkey")
		h.Configure(func(c *access.Config) { c.NoPasswords = true })
		refused(t, h.Passkeys.Remove(t.Context(), olga, made.ID), stage.ErrConflict, "last_passkey")
		h.Configure(func(c *access.Config) { c.NoPasswords = false })
		ok(t, h.Passkeys.Remove(t.Context(), olga, made.ID))
		h.Configure(func(c *access.Config) {
			c.External = access.ExternalPolicy{
				Issuer: "https://id.example", Operators: []access.Claim{
					{Name: "groups", Value: "admins"},
				},
			}
		})
		expect(true, "a claim makes operators")
	})
}

// Where passwords are switched off, the password that an invite stores is not accepted. So the
// invite does not make the user independent of the provider: logins end after LoginLife, and then
// the provider must admit the user again.
func (on rules) TestAnInviteWithoutPasswordsRestsOnTheProvider(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, _, _ := h.Scene()
		h.Configure(func(c *access.Config) {
			c.Passkeys, c.NoPasswords = fakeKeys{}, true
			c.External = access.ExternalPolicy{
				Issuer: external("", "").Issuer, LoginLife: time.Hour,
				Required: []access.Claim{{Name: "groups", Value: "staff"}},
			}
		})
		ben := h.member("1", "Ben", "staff")
		_, code, _, err := h.Invites.Renew(t.Context(), op, ben.User.ID)
		ok(t, err)
		invited, byInvite, err := h.Invites.Accept(t.Context(), code, password(goodPassword), home)
		ok(t, err)
		must(h.Passkeys.Add(t.Context(), invited, "phone", answer("k1", "c1")))(t)
		h.Clock.Pass(time.Hour)
		h.out("the login of the invite, an hour after the provider's word,", byInvite)
		_, _, err = h.Passkeys.LogIn(t.Context(), answer("k1", "c2"), home)
		refused(t, err, stage.ErrUnauthorized, "provider_first")

		t.Log("a refusal by the provider ends the login of the passkey, too")
		h.member("1", "Ben", "staff")
		_, byPasskey, err := h.Passkeys.LogIn(t.Context(), answer("k1", "c3"), home)
		ok(t, err)
		_, _, err = h.LogInExternal(t.Context(), external("1", "Ben"), home)
		refused(t, err, stage.ErrDenied, "not_admitted")
		h.out("the login of the passkey, after the refusal,", byPasskey)
	})
}
