package accesstest

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func from(address string) access.Client { return access.Client{Address: address} }

func (h *Harness) guess(name string, client access.Client) error {
	_, _, err := h.PasswordLogins.LogIn(h.t.Context(), name, password("wrong password"), client)
	return err
}

func (on rules) TestGuessingGetsSlower(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Broadcaster(h.Operator(), "Ana")
		// The throttle must not reveal which names exist.
		for _, name := range []string{"Ana", "nobody"} {
			for range 5 {
				refused(t, h.guess(name, from("198.51.100.7")), stage.ErrUnauthorized,
					"wrong_password")
			}
			for _, wait := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900} {
				wait *= time.Second
				for _, client := range []string{"198.51.100.7", "203.0.113.9"} {
					if e := refused(t, h.guess(name, from(client)), stage.ErrTooMany,
						"too_many_attempts"); e.RetryAfter != wait {
						t.Errorf("%s from %s: got Retry-After %v, want %v", name, client,
							e.RetryAfter, wait)
					}
				}
				h.Clock.Pass(wait)
				refused(t, h.guess(name, from("203.0.113.9")), stage.ErrUnauthorized,
					"wrong_password")
			}
			h.Clock.Pass(24*time.Hour + time.Second)
			refused(t, h.guess(name, from("198.51.100.7")), stage.ErrUnauthorized, "wrong_password")
			refused(t, h.guess(name, from("198.51.100.7")), stage.ErrUnauthorized, "wrong_password")
			h.Clock.Pass(25 * time.Hour)
		}
	})
}

func (on rules) TestAStrangerLocksNobodyOut(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Broadcaster(h.Operator(), "Ana")
		for i := range 12 {
			h.guess("ana", from(fmt.Sprintf("198.51.100.%d", i)))
		}
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "ana",
			password(goodPassword), from("203.0.113.9"))
		refused(t, err, stage.ErrTooMany, "too_many_attempts")
		// Ana's own address is not affected.
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), home)
		ok(t, err)
		// Guesses from Ana's own address are limited as well. A success resets the limit.
		for range 4 {
			refused(t, h.guess("ana", home), stage.ErrUnauthorized, "wrong_password")
		}
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), home)
		ok(t, err)
		for range 5 {
			refused(t, h.guess("ana", home), stage.ErrUnauthorized, "wrong_password")
		}
		refused(t, h.guess("ana", home), stage.ErrTooMany, "too_many_attempts")
		// The operator at the same address is not affected.
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "olga", password(goodPassword), home)
		ok(t, err)
	})
}

func (on rules) TestOneAddressTriesManyNames(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Operator()
		for i := range 20 {
			// All these addresses are in one /64 network, which is what a customer of IPv6 gets.
			client := from(fmt.Sprintf("[2001:db8:1:2::%x]:%d", i+1, 4000+i))
			refused(t, h.guess(fmt.Sprint("name ", i), client), stage.ErrUnauthorized,
				"wrong_password")
		}
		refused(t, h.guess("one more", from("2001:db8:1:2:ffff::1")), stage.ErrTooMany,
			"too_many_attempts")
		refused(t, h.guess("one more", from("2001:db8:1:3::1")), stage.ErrUnauthorized,
			"wrong_password")
		// A success at one account does not reset the limit for guesses at other accounts.
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "olga", password(goodPassword), home)
		ok(t, err)
		refused(t, h.guess("one more", from("2001:db8:1:2::1")), stage.ErrTooMany,
			"too_many_attempts")
	})
}

func (on rules) TestGuessingAtOnceIsNotFaster(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Broadcaster(h.Operator(), "Ana")
		other := h.Replica()
		errs := race(20, func(i int) error {
			on := []*Harness{h, other}[i%2]
			return on.guess("ana", from(fmt.Sprintf("198.51.100.%d", i)))
		})
		if got := tally(errs); got["wrong_password"] != 5 || got["too_many_attempts"] != 15 {
			t.Errorf("20 guesses at once: got %v, want 5 compared and 15 turned away", got)
		}
	})
}

func (on rules) TestAMistypedPasswordCostsNothingLater(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Broadcaster(h.Operator(), "Ana")
		for day := range 4 {
			client := from(fmt.Sprintf("203.0.113.%d", day)) // another network each day
			refused(t, h.guess("ana", client), stage.ErrUnauthorized, "wrong_password")
			_, _, err := h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), client)
			ok(t, err)
			h.Clock.Pass(8 * time.Hour)
		}
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "ana",
			password(goodPassword), from("203.0.113.200"))
		ok(t, err)
	})
}

// The throttle also limits guesses at the current password, since another person may use a browser
// that was left open.
func (on rules) TestTheCurrentPasswordIsThrottledToo(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		ana, _ := h.Broadcaster(h.Operator(), "Ana")
		change := func() error {
			return h.PasswordLogins.Change(t.Context(), ana, password("a guess at it"),
				password("another good one"), false)
		}
		for range 5 {
			refused(t, change(), stage.ErrInvalid, "wrong_password")
		}
		refused(t, change(), stage.ErrTooMany, "too_many_attempts")
	})
}

func (on rules) TestAClockThatIsSetBackLocksNobodyOut(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		for range 30 {
			h.Issued(ana, arn)
		}
		stranger := from("198.51.100.7")
		for range 7 {
			h.guess("Olga", stranger)
		}
		h.Clock.Pass(-24 * time.Hour)

		t.Log("a user without failures can sign in, and tokens dated tomorrow do not count")
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword), home)
		ok(t, err)
		h.Issued(ana, arn)

		t.Log("a user with failures waits as long as usual, and not until tomorrow")
		e := refused(t, h.guess("Olga", stranger), stage.ErrTooMany, "too_many_attempts")
		if e.RetryAfter > 15*time.Minute {
			t.Errorf("got Retry-After %v, want 15 minutes at most", e.RetryAfter)
		}
		h.Clock.Pass(e.RetryAfter)
		refused(t, h.guess("Olga", stranger), stage.ErrUnauthorized, "wrong_password")
	})
}

// A neighbour has the same address as Ana, for example in the same office or behind the same NAT.
func (on rules) TestANeighbourLocksNobodyOut(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Broadcaster(h.Operator(), "Ana") // has no browser that the server recognizes
		hers := access.Client{Address: home.Address, Browser: password("one of 26 letters")}
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), hers)
		ok(t, err)
		neighbour := access.Client{Address: home.Address, Browser: password("another one")}
		for _, client := range []access.Client{neighbour, from(home.Address)} {
			for range 12 {
				h.guess("ana", client)
			}
		}
		refused(t, h.guess("ana", neighbour), stage.ErrTooMany, "too_many_attempts")
		for range 3 {
			_, _, err = h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), hers)
			ok(t, err)
			travelling := access.Client{Address: "203.0.113.77", Browser: hers.Browser}
			_, _, err = h.PasswordLogins.LogIn(t.Context(),
				"ana", password(goodPassword), travelling)
			ok(t, err)
			// Ana's success does not reset the limit of her neighbour.
			refused(t, h.guess("ana", neighbour), stage.ErrTooMany, "too_many_attempts")
		}
		// Ana's browser has a limit of its own. It counts guesses at her account alone.
		for range 5 {
			refused(t, h.guess("ana", hers), stage.ErrUnauthorized, "wrong_password")
		}
		refused(t, h.guess("ana", hers), stage.ErrTooMany, "too_many_attempts")
		refused(t, h.guess("olga", hers), stage.ErrUnauthorized, "wrong_password")
	})
}

func (on rules) TestTheNewestLoginsAreKept(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, cookie := h.Broadcaster(h.Operator(), "Ana")
		cookies := []stage.Secret{cookie}
		for range 55 {
			h.Clock.Pass(time.Second)
			_, cookie, err := h.PasswordLogins.LogIn(t.Context(),
				"ana", password(goodPassword), home)
			ok(t, err)
			cookies = append(cookies, cookie)
		}
		h.Clock.Pass(time.Second)
		for i, cookie := range cookies {
			_, err := h.Authenticate(t.Context(), access.Presented{Login: cookie})
			if kept := i >= len(cookies)-50; kept != (err == nil) {
				t.Errorf("login %d of %d: got %v, want that the newest 50 are kept", i+1,
					len(cookies), err)
			}
		}
	})
}

// A security event is one line of the log, without secrets.
func (on rules) TestSecurityEventsAreLogged(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		var log strings.Builder
		h.Configure(func(c *access.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		said := func(part string) {
			t.Helper()
			lines := 0
			for line := range strings.Lines(log.String()) {
				if strings.Contains(line, part) {
					lines++
				}
			}
			if lines != 1 {
				t.Errorf("%s: got %d lines, want 1, of\n%s", part, lines, &log)
			}
		}
		ana, _ := h.Broadcaster(h.Operator(), "Ana")
		said("level=INFO msg=user.created")
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), home)
		ok(t, err)
		h.guess("ana", from("198.51.100.7"))
		said("level=WARN msg=login.failed actor=\"\" by=login from=198.51.100.7 name=Ana")
		for range 6 {
			h.guess("ana", from("198.51.100.7"))
		}
		if !strings.Contains(log.String(), `level=WARN msg="sign-in throttled" user=`+string(ana.User.ID)) {
			t.Errorf("a throttled account: want a warning with the user in\n%s", &log)
		}
		// The name may be a password that was typed into the wrong field: it is not logged.
		h.guess("correct horse staple", from("203.0.113.9"))
		if strings.Contains(log.String(), "staple") ||
			strings.Contains(log.String(), goodPassword) {
			t.Errorf("a possible password is logged:\n%s", &log)
		}
	})
}

// A link with a used or wrong code is a failed sign-in, too.
func (on rules) TestRefusedCodesAreLogged(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		var log strings.Builder
		h.Configure(func(c *access.Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) })
		bad, far := stage.NewSecret("a code that was never made"), from("198.51.100.7")
		for door, try := range map[string]func() error{
			"setup": func() error {
				_, _, err := h.Setup.CreateOperator(t.Context(), bad, "Olga",
					password(goodPassword), far)
				return err
			},
			"invite": func() error {
				_, _, err := h.Invites.Accept(t.Context(), bad, password(goodPassword), far)
				return err
			},
			"enrolment": func() error {
				_, _, err := h.Enrolments.Use(t.Context(), bad, far)
				return err
			},
		} {
			log.Reset()
			if err := try(); err == nil {
				t.Fatalf("%s: the code is taken", door)
			}
			if got := log.String(); strings.Count(got, "\n") != 1 ||
				strings.Contains(got, "never made") ||
				!strings.Contains(got, "level=WARN msg=login.failed") ||
				!strings.Contains(got, "198.51.100.7") {
				t.Errorf("%s: got %q, want one line that names the address", door, got)
			}
		}
	})
}

// An attacker cannot fill the database by failed sign-ins, which the audit trail records.
func (on rules) TestFailedSignInsInTheTrailAreBounded(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Configure(func(c *access.Config) { c.Passkeys = fakeKeys{} })
		op := h.Operator()
		trail := func() int {
			return len(must(h.Audit(t.Context(), op, access.AuditFilter{
				Action: access.ActionLoginFailed,
			}, access.Page{Limit: 500}))(t).Items)
		}
		for range 100 {
			other := from("198.51.100.7")
			_, _, err := h.Passkeys.LogIn(t.Context(), answer("unknown", "c"), other)
			refused(t, err, stage.ErrUnauthorized, "passkey_unknown")
		}
		if got := trail(); got != 30 {
			t.Errorf("100 unknown passkeys: got %d entries, want 30", got)
		}
		h.guess("olga", from("198.51.100.8"))
		if got := trail(); got != 31 {
			t.Errorf("a known account after that: got %d entries, want its own", got)
		}
		h.Clock.Pass(time.Minute)
		_, _, err := h.Passkeys.LogIn(t.Context(), answer("unknown", "c"), from("198.51.100.7"))
		refused(t, err, stage.ErrUnauthorized, "passkey_unknown")
		if got := trail(); got != 32 {
			t.Errorf("a minute later: got %d entries, want one more", got)
		}
	})
}
