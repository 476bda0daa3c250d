package accesstest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func external(subject, name string, groups ...string) access.External {
	return access.External{
		Issuer: "https://id.example", Subject: subject, Name: name,
		Email:         strings.ToLower(name) + "@example.com",
		EmailVerified: true, Claims: map[string][]string{"groups": groups},
	}
}

// member signs in a user with a provider.
func (h *Harness) member(subject, name string, groups ...string) access.Principal {
	h.t.Helper()
	login, _, err := h.LogInExternal(h.t.Context(), external(subject, name, groups...), home)
	ok(h.t, err)
	return login
}

func (on rules) TestAnIdentityIsItsIssuerAndSubject(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Scene()
		first := h.member("1", "Ben")
		if again := h.member("1", "Benjamin"); again.User.ID != first.User.ID ||
			again.User.Name != "Ben" {
			t.Errorf("the second sign-in is %+v, want the user of the first", again.User)
		}
		t.Log("the same name or address does not make two people one user")
		if other := h.member("2", "Ben"); other.User.ID == first.User.ID ||
			other.User.Name != "Ben (2)" {
			t.Errorf("another subject named Ben: got %+v, want the user Ben (2)", other.User)
		}
		if stranger := h.member("3", "Olga"); stranger.User.Role != access.Broadcaster ||
			stranger.User.Name != "Olga (2)" {
			t.Errorf("another person named Olga: got %+v, want the broadcaster Olga (2)",
				stranger.User)
		}
		if first.User.Invited {
			t.Error("somebody who signed in counts as invited")
		}
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "Ben", password(""), home)
		refused(t, err, stage.ErrUnauthorized, "wrong_password")
	})
}

// A name that is too long is refused if a person typed it, and cut if a provider or an application
// sent it.
func (on rules) TestNamesHaveOneLimit(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, _, arn := h.Scene()
		long := strings.Repeat("Ä", 64)
		_, _, _, err := h.AddUser(t.Context(), op, long+"X", access.Broadcaster)
		refused(t, err, stage.ErrInvalid, "")
		if !strings.Contains(err.Error(), "65") || !strings.Contains(err.Error(), "64") {
			t.Errorf("the refusal is %q, want both numbers", err)
		}
		if ben := h.member("1", long+"X"); ben.User.Name != long {
			t.Errorf("the provider's name became %q, want 64 characters", ben.User.Name)
		}
		if next := h.member("2", long+"Y"); next.User.Name != long[:len("Ä")*60]+" (2)" {
			t.Errorf("the second of that name became %q", next.User.Name)
		}
		link := func() access.UserID {
			return must(h.CreateDockLink(t.Context(), op, access.DockLinkRequest{
				ExternalID: "u-17", Name: long + "Z",
			}))(t).User.ID
		}
		first := link()
		name := func() string { return must(h.User(t.Context(), op, first))(t).Name }
		before := name()
		if link(); name() != before || before != long[:len("Ä")*60]+" (3)" {
			t.Errorf("a second link renamed %q to %q", before, name())
		}
		_, _, _, err = h.AddUser(t.Context(), op, long[:len("Ä")*60], access.Broadcaster)
		ok(t, err)
		_, err = h.Stages.AddLocal(t.Context(), op, long+"X")
		refused(t, err, stage.ErrInvalid, "")
		aws := stage.Stage{ARN: awsARN, Name: strings.Repeat("b", 128)}
		ok(t, h.Stages.AddAWS(t.Context(), op, aws))
		if got := must(h.Stages.Get(t.Context(), awsARN))(t).Name; got != aws.Name[:64] {
			t.Errorf("the stage of AWS is called %q", got)
		}
		ok(t, h.Stages.Update(t.Context(), op, arn, long, nil))
	})
}

func (on rules) TestALoginOfAProviderEndsByItself(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Operator()
		h.Configure(func(c *access.Config) { c.External.LoginLife = time.Hour })
		_, secret, err := h.LogInExternal(t.Context(), external("1", "Ben"), home)
		ok(t, err)
		for range 5 {
			h.Clock.Pass(11 * time.Minute)
			must(h.Authenticate(t.Context(), access.Presented{Login: secret}))(t)
		}
		h.Clock.Pass(6 * time.Minute)
		_, err = h.Authenticate(t.Context(), access.Presented{Login: secret})
		if !errors.Is(err, stage.ErrUnauthorized) {
			t.Errorf("after an hour of use: %v, want a new sign-in", err)
		}
	})
}

func (on rules) TestWhoMaySignInIsPolicy(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		h.Configure(func(c *access.Config) {
			c.External = access.ExternalPolicy{
				Domains: []string{"example.com"}, Required: []access.Claim{
					{Name: "groups", Value: "staff"},
				},
				Operators:  []access.Claim{{Name: "groups", Value: "admins"}},
				Moderators: []access.Claim{{Name: "groups", Value: "mods"}},
			}
		})
		unverified, elsewhere := external("4", "Eve", "staff"), external("5", "Eve", "staff")
		unverified.EmailVerified = false
		elsewhere.Email = "eve@example.com.evil.example"
		for name, e := range map[string]access.External{
			"no claim": external("3", "Eve"), "an address that nobody verified": unverified,
			"another domain": elsewhere, "no subject": external("", "Eve", "staff"),
		} {
			if _, _, err := h.LogInExternal(t.Context(), e, home); err == nil {
				t.Errorf("%s: the person was signed in, want a refusal", name)
			}
		}
		for groups, want := range map[string]access.Role{
			"staff": access.Broadcaster, "staff admins": access.Operator,
			"staff mods": access.Moderator,
		} {
			if got := h.member("1", "Ann", strings.Fields(groups)...).User.Role; got != want {
				t.Errorf("with %s: %s, want %s", groups, got, want)
			}
		}
		t.Log("the trail says which claim gave the role")
		h.member("1", "Ann", "staff", "mods")
		changed := h.trail(op, access.ActionUserChanged)
		for _, want := range []string{
			"role moderator, by the claim groups=mods", "role operator, by the claim groups=admins",
		} {
			if !slices.ContainsFunc(changed,
				func(e access.Entry) bool { return e.Detail == want }) {
				t.Errorf("the trail lacks %q: %+v", want, changed)
			}
		}
		t.Log("the last operator keeps the role, whatever the claims say")
		h.member("1", "Ann", "staff", "admins")
		ok(t, h.RemoveUser(t.Context(), h.member("1", "Ann", "staff", "admins"), op.User.ID))
		if got := h.member("1", "Ann", "staff").User.Role; got != access.Operator {
			t.Errorf("the only operator became %s", got)
		}
	})
}

func (on rules) TestARefusedSignInTakesBackWhatTheProviderVouchedFor(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, _, hall := h.Scene()
		studio, club := h.NewStage(op, "studio"), h.NewStage(op, "club")
		h.Configure(func(c *access.Config) {
			c.External = access.ExternalPolicy{
				Issuer:   external("", "").Issuer,
				Required: []access.Claim{{Name: "groups", Value: "staff"}},
			}
		})
		for _, r := range []access.Rule{
			{Claim: access.Claim{Name: "groups", Value: "staff"}, Stage: studio},
			{Stage: club}, // for every user
		} {
			r.Capabilities = stage.Publish | stage.Subscribe
			must(h.PutRule(t.Context(), op, r))(t)
		}
		ben, browser, err := h.LogInExternal(t.Context(), external("1", "Ben", "staff"), home)
		ok(t, err)
		request, device, err := h.Devices.Begin(t.Context(), home)
		ok(t, err)
		ok(t, h.Devices.Approve(t.Context(), ben, request.UserCode))
		_, dock, err := h.Devices.Finish(t.Context(), device, home)
		ok(t, err)
		_, secret, err := h.AccessKeys.Create(t.Context(), ben, "script")
		ok(t, err)
		ok(t, h.SetGrant(t.Context(), op, access.Grant{
			User: ben.User.ID, Stage: hall, Capabilities: stage.Publish,
		}))
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		token := h.Issued(key, studio)
		h.Fake.enter(token.Participant)
		signedIn := func() (n int) {
			for _, login := range []stage.Secret{browser, dock} {
				if _, err := h.Authenticate(t.Context(),
					access.Presented{Login: login}); err == nil {
					n++
				}
			}
			return n
		}
		refuse := func(e access.External) {
			t.Helper()
			_, _, err := h.LogInExternal(t.Context(), e, home)
			refused(t, err, stage.ErrDenied, "not_admitted")
		}
		count := func(action access.Action) int {
			return len(must(h.Audit(t.Context(), op, access.AuditFilter{
				Action: action, Target: string(ben.User.ID),
			}, access.Page{}))(t).Items)
		}

		t.Log("neither the refusal of another person nor an incomplete answer takes access away")
		refuse(external("2", "Ben"))
		partial := external("1", "Ben")
		partial.Partial = true
		refuse(partial)
		if n := signedIn(); n != 2 {
			t.Fatalf("%d of 2 logins are left", n)
		}
		h.Issued(key, studio)

		t.Log("the person's own refusal ends logins and access by rule at once, on record")
		refuse(external("1", "Ben"))
		if n := signedIn(); n != 0 {
			t.Errorf("%d logins go on", n)
		}
		if !slices.Contains(h.Fake.sentAway(), token.Participant.ID) {
			t.Error("the session of the token goes on")
		}
		key = must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		for _, arn := range []stage.ARN{studio, club} {
			_, err = h.Issue(t.Context(), key, access.IssueRequest{Stage: arn})
			refused(t, err, stage.ErrDenied, "no_grant")
		}
		h.Issued(key, hall)
		refuse(external("1", "Ben")) // at the second refusal, there is no login left to end
		if count(access.ActionLoginEnded) != 1 || count(access.ActionAccessRemoved) != 2 {
			t.Errorf("the trail has %d ended logins and %d removed accesses, want 1 and 2",
				count(access.ActionLoginEnded), count(access.ActionAccessRemoved))
		}

		t.Log("a change of the rules gives no access back, but the next successful sign-in does")
		must(h.PutRule(t.Context(), op, access.Rule{
			Stage: club, Capabilities: stage.Subscribe,
		}))(t)
		_, err = h.Issue(t.Context(), key, access.IssueRequest{Stage: club})
		refused(t, err, stage.ErrDenied, "no_grant")
		back := h.member("1", "Ben", "staff")
		h.Issued(back, studio)
		h.Issued(back, club)
	})
}

func (on rules) TestARefusedSignInLeavesWhatRestsOnAPassword(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		h.Configure(func(c *access.Config) {
			c.External = access.ExternalPolicy{
				Issuer: external("", "").Issuer, Domains: []string{"example.com"},
				Operators: []access.Claim{{Name: "groups", Value: "admins"}},
			}
		})
		ann := h.member("1", "Ann", "admins")
		_, code, _, err := h.Invites.Renew(t.Context(), op, ann.User.ID)
		ok(t, err)
		_, own, err := h.Invites.Accept(t.Context(), code, password(goodPassword), home)
		ok(t, err)
		_, vouched, err := h.LogInExternal(t.Context(), external("1", "Ann", "admins"), home)
		ok(t, err)
		elsewhere := external("1", "Ann", "admins")
		elsewhere.Email = "ann@elsewhere.example"
		_, _, err = h.LogInExternal(t.Context(), elsewhere, home)
		refused(t, err, stage.ErrDenied, "not_admitted")
		_, err = h.Authenticate(t.Context(), access.Presented{Login: vouched})
		refused(t, err, stage.ErrUnauthorized, "")
		left := must(h.Authenticate(t.Context(), access.Presented{Login: own}))(t)
		if left.User.Role != access.Broadcaster {
			t.Errorf("after the refusal: got %s, want %v", left.User.Role, access.Broadcaster)
		}
	})
}

func (on rules) TestRulesGiveAccessAndTakeItAway(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, hall := h.Scene()
		studio := h.NewStage(op, "studio")
		before := h.member("1", "Ben", "crew")
		rule := must(h.PutRule(t.Context(), op, access.Rule{
			Claim: access.Claim{Name: "groups", Value: "crew"}, Stage: studio,
			Capabilities: stage.Publish, MaxTTL: time.Hour,
		}))(t)
		t.Log("a new rule gives access to existing users with the claim, and to nobody else")
		token := h.Issued(before, studio)
		if left := token.ExpiresAt.Sub(h.Clock.Now()); left != time.Hour {
			t.Errorf("the token lives for %v, want an hour", left)
		}
		_, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: studio})
		refused(t, err, stage.ErrDenied, "no_grant")
		_, err = h.Issue(t.Context(), before, access.IssueRequest{Stage: hall})
		refused(t, err, stage.ErrDenied, "no_grant")

		t.Log("access that an operator gave is independent of rules")
		ok(t, h.SetGrant(t.Context(), op, access.Grant{
			User: before.User.ID, Stage: hall, Capabilities: stage.Subscribe,
		}))

		t.Log("without the claim the access is gone at the next sign-in, with its open tokens")
		h.Fake.enter(token.Participant)
		after := h.member("1", "Ben")
		_, err = h.Issue(t.Context(), after, access.IssueRequest{Stage: studio})
		refused(t, err, stage.ErrDenied, "no_grant")
		if !slices.Contains(h.Fake.sentAway(), token.Participant.ID) {
			t.Error("the session of the token goes on")
		}
		h.Issued(after, hall)

		t.Log("a rule that is changed or removed changes what people have")
		h.member("1", "Ben", "crew")
		h.Issued(before, studio)
		rule.Capabilities = stage.Subscribe
		must(h.PutRule(t.Context(), op, rule))(t)
		_, err = h.Issue(t.Context(), before, access.IssueRequest{Stage: studio, For: "publish"})
		refused(t, err, stage.ErrDenied, "no_capability")
		ok(t, h.RemoveRule(t.Context(), op, rule.ID))
		_, err = h.Issue(t.Context(), before, access.IssueRequest{Stage: studio})
		refused(t, err, stage.ErrDenied, "no_grant")
		refused(t, h.RemoveRule(t.Context(), op, rule.ID), stage.ErrNotFound, "")
		_, err = h.PutRule(t.Context(), ana, rule)
		refused(t, err, stage.ErrDenied, "denied")
	})
}

func (on rules) TestARuleGivesAStageOfOnesOwn(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		h.NewStage(op, "Ben's stage")
		must(h.PutRule(t.Context(), op, access.Rule{
			Own: "{name}'s stage", Capabilities: stage.Publish | stage.Subscribe,
		}))(t)
		own := func(who access.Principal) string {
			stages := must(h.Stages.Of(t.Context(), who))(t)
			names := []string{}
			for _, s := range stages {
				names = append(names, s.Stage.Name)
			}
			return strings.Join(names, ", ")
		}
		if got := own(ana); got != "Ana's stage, main" {
			t.Errorf("Ana, who was there, enters %q", got)
		}
		h.member("1", "Ben")
		if got := own(h.member("1", "Ben")); got != "Ben's stage (2)" {
			t.Errorf("Ben, twice signed in, enters %q, want one stage with a free name", got)
		}
		found := must(h.Stages.List(t.Context(), op, access.StageFilter{Query: "ana's"},
			access.Page{}))(t).Items
		if len(found) != 1 || found[0].Name != "Ana's stage" {
			t.Errorf("a search for Ana's stage: got %+v", found)
		}
		for _, bad := range []access.Rule{
			{Own: "stage", Capabilities: stage.Publish}, {Capabilities: stage.Publish},
			{Own: "{name}"},
			{Own: "{name}", Claim: access.Claim{Name: "groups"}, Capabilities: stage.Publish},
		} {
			_, err := h.PutRule(t.Context(), op, bad)
			refused(t, err, stage.ErrInvalid, "")
		}
	})
}

func (on rules) TestSignInWithACode(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		dock := access.Client{Address: "198.51.100.7", Agent: "OBS"}
		request, secret, err := h.Devices.Begin(t.Context(), dock)
		ok(t, err)
		_, _, err = h.Devices.Finish(t.Context(), secret, dock)
		refused(t, err, stage.ErrInvalid, "authorization_pending")

		t.Log("people may type a code in any spelling, and see which dock asks")
		typed := " " + strings.ToLower(request.UserCode)
		if seen := must(h.Devices.Find(t.Context(), ana, typed))(t); seen.Client != dock {
			t.Errorf("the person sees %+v", seen)
		}
		ok(t, h.Devices.Approve(t.Context(), ana, typed))
		refused(t, h.Devices.Approve(t.Context(), op, typed), stage.ErrNotFound, "bad_code")
		login, cookie, err := h.Devices.Finish(t.Context(), secret, dock)
		ok(t, err)
		if login.User.ID != ana.User.ID || must(h.Authenticate(t.Context(),
			access.Presented{Login: cookie}))(t).User.ID != ana.User.ID {
			t.Errorf("the dock is %+v, want Ana", login.User)
		}
		_, _, err = h.Devices.Finish(t.Context(), secret, dock)
		refused(t, err, stage.ErrDenied, "access_denied")

		t.Log("the user code, which others may have seen, signs nobody in")
		request, secret, err = h.Devices.Begin(t.Context(), dock)
		ok(t, err)
		_, _, err = h.Devices.Finish(t.Context(), stage.NewSecret(request.UserCode), dock)
		refused(t, err, stage.ErrDenied, "access_denied")
		ok(t, h.Devices.Deny(t.Context(), ana, request.UserCode))
		_, _, err = h.Devices.Finish(t.Context(), secret, dock)
		refused(t, err, stage.ErrDenied, "access_denied")

		t.Log("the code expires after ten minutes")
		request, secret, err = h.Devices.Begin(t.Context(), dock)
		ok(t, err)
		h.Clock.Pass(10 * time.Minute)
		refused(t, h.Devices.Approve(t.Context(), ana, request.UserCode),
			stage.ErrNotFound, "bad_code")
		_, _, err = h.Devices.Finish(t.Context(), secret, dock)
		refused(t, err, stage.ErrInvalid, "expired_token")
	})
}

func (on rules) TestGuessingCodesIsSlow(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, _ := h.Scene()
		request, _, err := h.Devices.Begin(t.Context(), home)
		ok(t, err)
		codes := tally(race(50, func(int) error {
			return h.Devices.Approve(t.Context(), ana, "BBBB-BBBB")
		}))
		if codes["bad_code"] > 6 || codes["too_many_attempts"] < 44 {
			t.Errorf("the answers to 50 guesses: got %v, want at most 6 bad_code, the rest "+
				"too_many_attempts", codes)
		}
		refused(t, h.Devices.Approve(t.Context(), ana, request.UserCode), stage.ErrTooMany,
			"too_many_attempts")

		t.Log("the docks that wait at one address are limited")
		last := error(nil)
		for range 30 {
			if _, _, err := h.Devices.Begin(t.Context(), home); err != nil {
				last = err
			}
		}
		refused(t, last, stage.ErrTooMany, "too_many_codes")
		_, _, err = h.Devices.Begin(t.Context(), access.Client{Address: "203.0.113.9"})
		ok(t, err)
	})
}

func (on rules) TestAnEnrolmentCodeSignsInOneDock(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		code, _, err := h.Enrolments.Create(t.Context(), ana, ana.User.ID, 10*time.Minute)
		ok(t, err)
		counts := tally(race(8, func(int) error {
			_, _, err := h.Enrolments.Use(t.Context(), code, home)
			return err
		}))
		if counts[""] != 1 || counts["bad_code"] != 7 {
			t.Errorf("8 docks with one code: %v", counts)
		}
		_, _, err = h.Enrolments.Create(t.Context(), ana, op.User.ID, time.Minute)
		refused(t, err, stage.ErrDenied, "denied")
		old, _, err := h.Enrolments.Create(t.Context(), op, ana.User.ID, 24*time.Hour)
		ok(t, err)
		h.Clock.Pass(time.Hour)
		for _, bad := range []stage.Secret{old, stage.NewSecret("guessed"), {}} {
			_, _, err := h.Enrolments.Use(t.Context(), bad, home)
			refused(t, err, stage.ErrUnauthorized, "bad_code")
		}
	})
}

// Wrong codes are throttled per network. They delay neither valid codes nor passwords of other
// users in the same network.
func (on rules) TestWrongEnrolmentCodesAreThrottled(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		far, near := access.Client{Address: "198.51.100.7"}, access.Client{Address: "198.51.100.8"}
		enrol := func(code stage.Secret, from access.Client) error {
			_, _, err := h.Enrolments.Use(t.Context(), code, from)
			return err
		}
		expired, _, err := h.Enrolments.Create(t.Context(), ana, ana.User.ID, time.Minute)
		ok(t, err)
		h.Clock.Pass(2 * time.Minute)
		_, invite, _, err := h.AddUser(t.Context(), op, "Bea", access.Broadcaster)
		ok(t, err)
		dock, device, err := h.Devices.Begin(t.Context(), far)
		ok(t, err)
		wrong := []stage.Secret{expired, invite, device, stage.NewSecret(dock.UserCode),
			stage.NewSecret("guessed"), {}}
		counts := map[string]int{}
		for i := range 40 {
			err := enrol(wrong[i%len(wrong)], far)
			var refusal *stage.Error
			if !errors.As(err, &refusal) {
				t.Fatalf("a wrong code: got %v", err)
			}
			counts[refusal.Code]++
			if refusal.Code == "too_many_attempts" && refusal.RetryAfter <= 0 {
				t.Error("a throttled code does not say when to try again")
			}
		}
		if counts["bad_code"] < 20 || counts["bad_code"] > 25 || len(counts) != 2 {
			t.Errorf("40 wrong codes: got %v, want 20 or a few more refused, the rest throttled",
				counts)
		}
		refused(t, enrol(stage.NewSecret("guessed"), near), stage.ErrUnauthorized, "bad_code")

		good, _, err := h.Enrolments.Create(t.Context(), ana, ana.User.ID, time.Minute)
		ok(t, err)
		ok(t, enrol(good, far))
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "ana", password(goodPassword), far)
		ok(t, err)

		h.Clock.Pass(20 * time.Minute)
		refused(t, enrol(stage.NewSecret("guessed"), far), stage.ErrUnauthorized, "bad_code")
	})
}

func (on rules) TestADockOfAnAccessKeyIsABroadcastersAndEndsWithTheKey(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		made, secret, err := h.AccessKeys.Create(t.Context(), op, "kiosk")
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		_, _, err = h.Enrolments.Create(t.Context(), key, ana.User.ID, time.Minute)
		refused(t, err, stage.ErrUnauthorized, "")
		enrolled := func() (access.Principal, stage.Secret) {
			code, _, err := h.Enrolments.Create(t.Context(), key, op.User.ID, time.Minute)
			ok(t, err)
			login, cookie, err := h.Enrolments.Use(t.Context(), code, home)
			ok(t, err)
			return login, cookie
		}
		login, cookie := enrolled()
		open, _, err := h.Enrolments.Create(t.Context(), key, op.User.ID, time.Minute)
		ok(t, err)
		if again := must(h.Authenticate(t.Context(), access.Presented{Login: cookie}))(
			t); again.User.Role != access.Broadcaster || again.User.ID != op.User.ID {
			t.Errorf(
				"the dock acts as %+v, want the operator's account with a broadcaster's rights",
				again.User)
		}
		_, err = h.ListUsers(t.Context(), login, access.UserFilter{}, access.Page{})
		refused(t, err, stage.ErrDenied, "denied")
		_, _, err = h.AccessKeys.Create(t.Context(), login, "another")
		refused(t, err, stage.ErrDenied, "sign_in_yourself")
		_, _, err = h.Enrolments.Create(t.Context(), login, ana.User.ID, time.Minute)
		refused(t, err, stage.ErrDenied, "denied")
		foreign, _, err := h.AccessKeys.Create(t.Context(), op, "hall")
		ok(t, err)
		for _, err := range []error{
			h.Logins.EndAll(t.Context(), login, op.User.ID),
			h.Logins.End(t.Context(), login, op.User.ID, op.CredentialID),
			h.AccessKeys.Revoke(t.Context(), login, foreign.ID),
		} {
			refused(t, err, stage.ErrDenied, "sign_in_yourself")
		}

		t.Log("a dock that gets its login from the key's dock belongs to the key as well")
		code, _, err := h.Enrolments.Create(t.Context(), login, op.User.ID, time.Minute)
		ok(t, err)
		_, moved, err := h.Enrolments.Use(t.Context(), code, home)
		ok(t, err)
		if again := must(h.Authenticate(t.Context(), access.Presented{Login: moved}))(
			t); again.User.Role != access.Broadcaster {
			t.Errorf("the moved dock acts as %+v, want a broadcaster's rights", again.User)
		}
		later, _, err := h.Enrolments.Create(t.Context(), login, op.User.ID, time.Minute)
		ok(t, err)

		ok(t, h.AccessKeys.Revoke(t.Context(), op, made.ID))
		_, err = h.Authenticate(t.Context(), access.Presented{Login: cookie})
		refused(t, err, stage.ErrUnauthorized, "")
		_, err = h.Authenticate(t.Context(), access.Presented{Login: moved})
		refused(t, err, stage.ErrUnauthorized, "")
		for _, code := range []stage.Secret{open, later} {
			_, _, err = h.Enrolments.Use(t.Context(), code, home)
			refused(t, err, stage.ErrUnauthorized, "bad_code")
		}
	})
}

func (on rules) TestOnlyTheNewestCodesAreGood(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, _ := h.Scene()
		var codes []stage.Secret
		for range 12 {
			code, _, err := h.Enrolments.Create(t.Context(), ana, ana.User.ID, time.Minute)
			ok(t, err)
			codes = append(codes, code)
			h.Clock.Pass(time.Second)
		}
		_, _, err := h.Enrolments.Use(t.Context(), codes[1], home)
		refused(t, err, stage.ErrUnauthorized, "bad_code")
		_, _, err = h.Enrolments.Use(t.Context(), codes[2], home)
		ok(t, err)
	})
}

func (on rules) TestAPasswordClosesTheCodesOfBefore(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, _ := h.Scene()
		code, _, err := h.Enrolments.Create(t.Context(), ana, ana.User.ID, time.Minute)
		ok(t, err)
		login, _, err := h.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword), home)
		ok(t, err)
		ok(t, h.PasswordLogins.Change(t.Context(), login, password(goodPassword),
			password("another good password"), false))
		_, _, err = h.Enrolments.Use(t.Context(), code, home)
		refused(t, err, stage.ErrUnauthorized, "bad_code")
	})
}

func (on rules) TestASuspendedUserIsOut(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		login, cookie, err := h.PasswordLogins.LogIn(t.Context(),
			"Ana", password(goodPassword), home)
		ok(t, err)
		_, key, err := h.AccessKeys.Create(t.Context(), login, "script")
		ok(t, err)
		token := h.Issued(ana, arn)
		h.Fake.enter(token.Participant)
		code, _, err := h.Enrolments.Create(t.Context(), ana, ana.User.ID, time.Minute)
		ok(t, err)

		refused(t, h.SuspendUser(t.Context(), op, op.User.ID, ""), stage.ErrInvalid, "")
		refused(t, h.SuspendUser(t.Context(), ana, op.User.ID, ""), stage.ErrDenied, "denied")
		ok(t, h.SuspendUser(t.Context(), op, ana.User.ID, "unpaid"))
		ok(t, h.SuspendUser(t.Context(), op, ana.User.ID, "twice is once"))

		if !slices.Contains(h.Fake.sentAway(), token.Participant.ID) {
			t.Error("the broadcast goes on")
		}
		for name, try := range map[string]func() error{
			"cookie": func() error {
				_, err := h.Authenticate(t.Context(),
					access.Presented{Login: cookie})
				return err
			},
			"key": func() error {
				_, err := h.Authenticate(t.Context(),
					access.Presented{Bearer: key})
				return err
			},
			"password": func() error {
				_, _, err := h.PasswordLogins.LogIn(t.Context(), "Ana",
					password(goodPassword), home)
				return err
			},
			"code": func() error {
				_, _, err := h.Enrolments.Use(t.Context(), code, home)
				return err
			},
			"token": func() error {
				_, err := h.Issue(t.Context(), ana,
					access.IssueRequest{Stage: arn})
				return err
			},
			"bearer": func() error { _, err := h.Verify(t.Context(), token.Secret); return err },
		} {
			if try() == nil {
				t.Errorf("the %s is still accepted", name)
			}
		}
		ok(t, h.RestoreUser(t.Context(), op, ana.User.ID))
		must(h.Authenticate(t.Context(), access.Presented{Bearer: key}))(t)
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword), home)
		ok(t, err)
		if _, err := h.Verify(t.Context(), token.Secret); err == nil {
			t.Error("the revoked token is good again")
		}
	})
}

func (on rules) TestAPIKeysHaveScopes(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		made, secret, err := h.APIKeys.Create(t.Context(), op, "studio page",
			[]access.Scope{access.ScopeUsers}, time.Hour)
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		_, err = h.ListUsers(t.Context(), key, access.UserFilter{}, access.Page{})
		ok(t, err)
		_, err = h.Stages.AddLocal(t.Context(), key, "other")
		refused(t, err, stage.ErrDenied, "scope")
		_, err = h.Issue(t.Context(), key, access.IssueRequest{Stage: arn})
		refused(t, err, stage.ErrDenied, "scope")
		t.Log("no API key can create another one")
		_, _, err = h.APIKeys.Create(t.Context(), key, "more", nil, 0)
		refused(t, err, stage.ErrDenied, "scope")
		_, _, err = h.APIKeys.Create(t.Context(), ana, "mine", nil, 0)
		refused(t, err, stage.ErrDenied, "denied")
		_, _, err = h.APIKeys.Create(t.Context(), op, "bad", []access.Scope{"everything"}, 0)
		refused(t, err, stage.ErrInvalid, "")

		t.Log("an API key outlives the login of its operator, but not its own expiry")
		if keys := must(h.APIKeys.List(t.Context(), op))(t); len(keys) != 1 ||
			keys[0].CreatedBy != "Olga" {
			t.Errorf("the keys are %+v", keys)
		}
		h.Clock.Pass(time.Hour)
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: secret})
		refused(t, err, stage.ErrUnauthorized, "unauthorized")
		_, secret, err = h.APIKeys.Create(t.Context(), op, "for ever", nil, 0)
		ok(t, err)
		ok(t, h.APIKeys.Revoke(t.Context(), op, must(h.APIKeys.List(t.Context(), op))(t)[1].ID))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: secret})
		refused(t, err, stage.ErrUnauthorized, "unauthorized")
		refused(t, h.APIKeys.Revoke(t.Context(), op, made.ID+"x"), stage.ErrNotFound, "")
	})
}

func (on rules) TestADockLinkRegistersAPerson(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, _, arn := h.Scene()
		_, secret, err := h.APIKeys.Create(t.Context(), op, "studio page",
			[]access.Scope{access.ScopeUsers}, 0)
		ok(t, err)
		app := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		link := func(id, name string, can stage.Capabilities) access.DockLink {
			return must(h.CreateDockLink(t.Context(), app, access.DockLinkRequest{
				ExternalID: id, Name: name, Grants: []access.Grant{{Stage: arn, Capabilities: can}},
			}))(t)
		}
		one := link("u-1", "Kim", stage.Publish)
		login, _, err := h.Enrolments.Use(t.Context(), one.Code, home)
		ok(t, err)
		h.Issued(login, arn)
		two := link("u-1", "Kimberly", stage.Subscribe)
		if two.User.ID != one.User.ID || two.User.Name != "Kimberly" {
			t.Errorf("the second link is for %+v, want the same user under the new name", two.User)
		}
		_, err = h.Issue(t.Context(), login, access.IssueRequest{Stage: arn, For: "publish"})
		refused(t, err, stage.ErrDenied, "no_capability")
		ok(t, h.SuspendUser(t.Context(), op, one.User.ID, ""))
		_, err = h.CreateDockLink(t.Context(), app, access.DockLinkRequest{
			ExternalID: "u-1", Name: "Kim",
		})
		refused(t, err, stage.ErrDenied, "suspended")
		for _, bad := range []string{"", strings.Repeat("é", 201), "u-\n1", "u-\x00"} {
			_, err = h.CreateDockLink(t.Context(), app, access.DockLinkRequest{
				ExternalID: bad, Name: "Kim",
			})
			refused(t, err, stage.ErrInvalid, "")
		}
		link(strings.Repeat("é", 200), "Zoe", stage.Publish)
		_, err = h.CreateDockLink(t.Context(), app, access.DockLinkRequest{
			ExternalID: "u-2", Name: "Lee", Grants: []access.Grant{
				{Stage: stage.LocalARN("missing0000"), Capabilities: stage.Publish},
			},
		})
		refused(t, err, stage.ErrNotFound, "")
		_, err = h.CreateDockLink(t.Context(), login, access.DockLinkRequest{
			ExternalID: "u-3", Name: "Eve",
		})
		refused(t, err, stage.ErrDenied, "denied")
	})
}

func (on rules) TestModeratorsKickWhereTheyHaveAccess(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, hall := h.Scene()
		other := h.NewStage(op, "other")
		_, code, _, err := h.AddUser(t.Context(), op, "Mo", access.Moderator)
		ok(t, err)
		mo, _, err := h.Invites.Accept(t.Context(), code, password(goodPassword), home)
		ok(t, err)
		token := h.Issued(ana, hall)
		h.Fake.enter(token.Participant)
		refused(t, h.Moderation.Kick(t.Context(), mo, hall, token.Participant.ID, ""),
			stage.ErrDenied, "no_grant")
		ok(t, h.SetGrant(t.Context(), op, access.Grant{
			User: mo.User.ID, Stage: hall, Capabilities: stage.Subscribe,
		}))
		refused(t, h.Moderation.Kick(t.Context(), mo, other, token.Participant.ID, ""),
			stage.ErrDenied, "no_grant")
		refused(t, h.Moderation.Kick(t.Context(), ana, hall, token.Participant.ID, ""),
			stage.ErrDenied, "denied")
		h.Clock.Pass(time.Second)
		ok(t, h.Moderation.Kick(t.Context(), mo, hall, token.Participant.ID, "time is up"))

		t.Log("a moderator reads the trail of that stage, and no other")
		trail := must(h.Audit(t.Context(), mo, access.AuditFilter{Stage: hall}, access.Page{}))(t)
		if e := trail.Items[0]; e.Action != access.ActionKicked || e.ActorName != "Mo" ||
			e.Detail != "time is up" || e.TargetName != "Ana" {
			t.Errorf("the newest entry is %+v", e)
		}
		for _, e := range must(h.Audit(t.Context(), mo, access.AuditFilter{}, access.Page{}))(
			t).Items {
			if e.Stage != hall {
				t.Errorf("a moderator reads %+v", e)
			}
		}
		if _, err := h.Audit(t.Context(), mo, access.AuditFilter{Stage: other},
			access.Page{}); err == nil {
			t.Error("a moderator reads the trail of a stage without access")
		}
	})
}

func (on rules) TestTheTrailSaysWhoDidWhat(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		op.From = access.Client{Address: "203.0.113.5", Agent: "Firefox"}
		_, _, err := h.PasswordLogins.LogIn(t.Context(), "Ana", password("a wrong password"), home)
		refused(t, err, stage.ErrUnauthorized, "wrong_password")
		ok(t, h.Revoke(t.Context(), op, h.Issued(ana, arn).Participant.ID))
		ok(t, h.RemoveGrant(t.Context(), op, ana.User.ID, arn))
		ok(t, h.SuspendUser(t.Context(), op, ana.User.ID, "unpaid"))
		ok(t, h.RemoveUser(t.Context(), op, ana.User.ID))

		all := must(h.Audit(t.Context(), op, access.AuditFilter{}, access.Page{Limit: 100}))(t)
		actions := map[access.Action]int{}
		for _, e := range all.Items {
			actions[e.Action]++
			if text := e.Detail + e.TargetName + e.Target; strings.Contains(text, goodPassword) ||
				strings.Contains(text, "a wrong password") {
				t.Errorf("an entry holds a password: %+v", e)
			}
		}
		for _, want := range []access.Action{
			access.ActionUserCreated, access.ActionStageCreated, access.ActionAccessGiven,
			access.ActionAccessRemoved,
			access.ActionLoginFailed, access.ActionTokenRevoked, access.ActionUserSuspended,
			access.ActionUserRemoved,
		} {
			if actions[want] == 0 {
				t.Errorf("the trail has no %s: %v", want, actions)
			}
		}
		about := must(h.Audit(t.Context(), op, access.AuditFilter{Target: string(ana.User.ID),
			Action: access.ActionUserSuspended}, access.Page{}))(t)
		if len(about.Items) != 1 || about.Items[0].Address != "203.0.113.5" ||
			about.Items[0].Detail != "unpaid" || about.Items[0].Credential != access.KindLogin {
			t.Errorf("the entries about Ana: got %+v, want one with its reason and address",
				about.Items)
		}

		t.Log("the pages of the trail together have every entry once")
		seen, p := []string{}, access.Page{Limit: 3}
		for {
			page := must(h.Audit(t.Context(), op, access.AuditFilter{}, p))(t)
			for _, e := range page.Items {
				seen = append(seen, e.ID)
			}
			if page.Next == "" {
				break
			}
			p.After = page.Next
		}
		if len(seen) != len(all.Items) {
			t.Errorf("page by page there are %d entries, at once %d", len(seen), len(all.Items))
		}

		t.Log("old entries are pruned")
		h.Clock.Pass(366 * 24 * time.Hour)
		ok(t, h.Prune(t.Context()))
		if left := must(h.Audit(t.Context(), op, access.AuditFilter{}, access.Page{}))(t); len(
			left.Items) != 0 {
			t.Errorf("%d entries are left after a year", len(left.Items))
		}
	})
}

// TestARepeatedEventWakesNoSender: an event that another server has stored queues no message, so it
// does not wake the sender of webhooks.
func (on rules) TestARepeatedEventWakesNoSender(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		rung := 0
		h.Configure(func(c *access.Config) { c.Queued = func() { rung++ } })
		ok(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{ARN: awsARN, Name: "talk"}))
		h.Grant(op, ana, awsARN, stage.Publish)
		must(h.Webhooks.Create(t.Context(), op, "https://hooks.example/in",
			[]string{access.MessageParticipantEnded}))(t)
		h.Clock.Pass(5 * time.Second) // the cache of webhooks' message types expires
		end := stage.Event{
			Kind: stage.EventEnded, Participant: h.Issued(ana, awsARN).Participant.ID,
			Stage: awsARN, Code: "left", Time: h.Clock.Now(),
		}
		for range 2 {
			must(h.Events.Record(t.Context(), end))(t)
			if rung != 1 {
				t.Errorf("the sender was woken %d times, want once", rung)
			}
		}
	})
}

func (on rules) TestMessagesAreQueuedForWebhooks(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		rung := 0
		h.Configure(func(c *access.Config) { c.Queued = func() { rung++ } })
		hook := must(h.Webhooks.Create(t.Context(), op, "https://hooks.example/in", []string{
			access.MessageUserSuspended, access.MessageTokenIssued, access.MessageTokenRevoked,
			access.MessageParticipantEnded,
		}))(t)
		if !strings.HasPrefix(hook.Secret.Reveal(), "whsec_") {
			t.Error("the secret is not of the form that Standard Webhooks has")
		}
		if listed := must(h.Webhooks.List(t.Context(), op))(t); len(listed) != 1 ||
			!listed[0].Secret.Empty() {
			t.Errorf("the list is %+v, want one without its secret", listed)
		}
		h.Clock.Pass(5 * time.Second) // the cache of webhooks' message types expires
		token := h.Issued(ana, arn)
		ok(t, h.Revoke(t.Context(), ana, token.Participant.ID))
		must(h.Events.Record(t.Context(), stage.Event{Kind: stage.EventConnected,
			Participant: token.Participant.ID, Stage: arn}))(t)
		must(h.Events.Record(t.Context(), stage.Event{Kind: stage.EventEnded,
			Participant: token.Participant.ID, Stage: arn, Code: "left"}))(t)
		ok(t, h.SuspendUser(t.Context(), op, ana.User.ID, ""))
		must(h.Webhooks.Test(t.Context(), op, hook.ID))(t)

		now := h.Clock.Now()
		due := must(h.outbox().ClaimDeliveries(t.Context(), hook.ID, now,
			now.Add(time.Minute), 10))(t)
		types := []string{}
		for _, d := range due {
			types = append(types, d.Type)
			if !strings.Contains(string(d.Body), `"type":"`+d.Type+`"`) || strings.Contains(string(d.Body), token.Secret.Reveal()) {
				t.Errorf("the body is %s", d.Body)
			}
		}
		slices.Sort(types)
		want := []string{
			"participant.ended", "token.issued", "token.revoked", "user.suspended", "webhook.test",
		}
		if !slices.Equal(types, want) {
			t.Errorf("queued: %v, want %v", types, want)
		}
		if rung == 0 {
			t.Error("the sender was not woken")
		}

		t.Log("no replica gets the deliveries that another one has claimed, until the claim is " +
			"over")
		if more := must(h.Replica().outbox().ClaimDeliveries(t.Context(), hook.ID, now,
			now.Add(time.Minute), 10))(t); len(more) != 0 {
			t.Errorf("another replica got %d deliveries, want none", len(more))
		}
		if again := must(h.outbox().ClaimDeliveries(t.Context(), hook.ID, now.Add(time.Minute),
			now.Add(2*time.Minute), 10))(t); len(again) != 5 {
			t.Errorf("after the claim there are %d due, want 5", len(again))
		}

		t.Log("dead deliveries are listed, and sent again on request")
		dead := due[0]
		dead.DeadAt, dead.Reason, dead.Attempts = now, "the receiver answered 500", 11
		ok(t, h.outbox().PutDelivery(t.Context(), dead))
		if list := must(h.Webhooks.Dead(t.Context(), op, hook.ID))(t); len(list) != 1 ||
			list[0].Reason != dead.Reason {
			t.Errorf("the dead are %+v", list)
		}
		if n := must(h.Webhooks.Replay(t.Context(), op, hook.ID, dead.ID))(t); n != 1 {
			t.Errorf("%d are sent again", n)
		}
		at := h.Clock.Now()
		ok(t, h.outbox().NoteAttempt(t.Context(), hook.ID, at, "no answer"))
		if w := must(h.Webhooks.List(t.Context(), op))(t)[0]; !w.FailedAt.Equal(at) ||
			w.Failure != "no answer" {
			t.Errorf("after a failed attempt the webhook is %+v", w)
		}
		ok(t, h.outbox().NoteAttempt(t.Context(), hook.ID, time.Time{}, ""))
		if w := must(h.Webhooks.List(t.Context(), op))(t)[0]; !w.FailedAt.IsZero() ||
			w.Failure != "" {
			t.Errorf("after one that was accepted it is %+v", w)
		}
		refused(t, h.Webhooks.Delete(t.Context(), ana, hook.ID), stage.ErrDenied, "denied")
		ok(t, h.Webhooks.Delete(t.Context(), op, hook.ID))
		refused(t, h.Webhooks.Delete(t.Context(), op, hook.ID), stage.ErrNotFound, "")
		for _, bad := range []string{"", "hooks.example", "ftp://hooks.example",
			"https://user:pass@hooks.example"} {
			_, err := h.Webhooks.Create(t.Context(), op, bad, []string{access.MessageUserCreated})
			refused(t, err, stage.ErrInvalid, "")
		}
		_, err := h.Webhooks.Create(t.Context(), op, "https://hooks.example",
			[]string{"everything"})
		refused(t, err, stage.ErrInvalid, "")
	})
}

// A fullOutbox is a store that accepts no deliveries.
type fullOutbox struct{ access.Store }

func (s fullOutbox) Atomically(ctx context.Context, do func(access.Store) error) error {
	return s.Store.Atomically(ctx, func(tx access.Store) error { return do(fullOutbox{tx}) })
}

func (fullOutbox) AddDelivery(context.Context, access.Delivery) error {
	return stage.ErrUnavailable
}

// If the message about a token cannot be stored, the token is not issued.
func (on rules) TestNoTokenWithoutItsMessage(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		hook := must(h.Webhooks.Create(t.Context(), op, "https://hooks.example/in",
			[]string{access.MessageTokenIssued}))(t)
		works := h.Config.Store
		h.Configure(func(c *access.Config) { c.Store = fullOutbox{works} })
		_, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
		if !errors.Is(err, stage.ErrUnavailable) {
			t.Errorf("without its message the token is issued: %v", err)
		}
		h.Configure(func(c *access.Config) { c.Store = works })
		h.Clock.Pass(time.Second)
		token := h.Issued(ana, arn)
		tokens := must(h.ListTokens(t.Context(), op, access.TokenFilter{}, access.Page{}))(t)
		if len(tokens.Items) != 1 || tokens.Items[0].ID != token.Participant.ID {
			t.Errorf("the records are %+v, want that of the second token alone", tokens.Items)
		}
		now := h.Clock.Now()
		due := must(h.outbox().ClaimDeliveries(t.Context(), hook.ID, now, now.Add(time.Minute),
			10))(t)
		if len(due) != 1 || !strings.Contains(string(due[0].Body), string(token.Participant.ID)) {
			t.Errorf("the messages are %+v, want one about the second token", due)
		}
	})
}

// An outbox is the part of a store that the sender of webhooks uses.
type outbox interface {
	ClaimDeliveries(
		ctx context.Context, id access.WebhookID, now, until time.Time, limit int,
	) ([]access.Delivery, error)
	PutDelivery(ctx context.Context, d access.Delivery) error
	NoteAttempt(ctx context.Context, id access.WebhookID, failedAt time.Time, failure string) error
}

func (h *Harness) outbox() outbox { return h.Config.Store.(outbox) }

// TestWhoMayEndSessionsInAnOutage: in an outage of the database, a principal that was authenticated
// before may end sessions. A change of one user's account takes this right from that user alone. A
// change on another replica takes it from no user.
func (on rules) TestWhoMayEndSessionsInAnOutage(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		_, secret, err := h.AccessKeys.Create(t.Context(), ana, "switcher")
		ok(t, err)
		anas := access.Presented{Bearer: secret}
		made, secret, err := h.APIKeys.Create(t.Context(), op, "studio", nil, 0)
		ok(t, err)
		key := access.Presented{Bearer: secret}
		for _, p := range []access.Presented{anas, key} {
			must(h.Authenticate(t.Context(), p))(t)
		}
		known := func(p access.Presented) bool { _, found := h.Outage.Recall(p); return found }

		h.Broadcaster(op, "ben")
		ok(t, h.Stages.Update(t.Context(), op, arn, "studio two", nil))
		h.Refresh()
		if !known(anas) || !known(key) {
			t.Error("a change of others took the power to end sessions from Ana or the API key")
		}
		ok(t, h.SuspendUser(t.Context(), op, ana.User.ID, "Noise."))
		if known(anas) {
			t.Error("a suspended user may end sessions")
		}
		ok(t, h.APIKeys.Revoke(t.Context(), op, made.ID))
		if known(key) {
			t.Error("a revoked API key may end sessions")
		}
	})
}
