package accesstest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// out checks that a login has ended.
func (h *Harness) out(what string, cookie stage.Secret) {
	h.t.Helper()
	if _, err := h.Authenticate(h.t.Context(), access.Presented{Login: cookie}); err == nil {
		h.t.Errorf("%s is still signed in", what)
	}
}

// shownCode lets a dock show a device code, and a person approve it. It returns the dock's secret.
func (h *Harness) shownCode(by access.Principal) (dock stage.Secret) {
	h.t.Helper()
	request, dock, err := h.Devices.Begin(h.t.Context(), home)
	ok(h.t, err)
	ok(h.t, h.Devices.Approve(h.t.Context(), by, request.UserCode))
	return dock
}

// codeDock signs in a dock with a device code.
func (h *Harness) codeDock(by access.Principal) (access.Principal, stage.Secret) {
	h.t.Helper()
	login, cookie, err := h.Devices.Finish(h.t.Context(), h.shownCode(by), home)
	ok(h.t, err)
	return login, cookie
}

// scriptDock signs in a dock with an enrolment code.
func (h *Harness) scriptDock(by access.Principal) (access.Principal, stage.Secret) {
	h.t.Helper()
	code, _, err := h.Enrolments.Create(h.t.Context(), by, by.User.ID, time.Minute)
	ok(h.t, err)
	login, cookie, err := h.Enrolments.Use(h.t.Context(), code, home)
	ok(h.t, err)
	return login, cookie
}

func (on rules) TestAllThatAnAccessKeySignedInEndsWithIt(t *testing.T) {
	for name, end := range map[string]func(h *Harness, who access.Principal, key string) error{
		"revoked": func(h *Harness, who access.Principal, key string) error {
			return h.AccessKeys.Revoke(h.t.Context(), who, key)
		},
		"ended with the password": func(h *Harness, who access.Principal, _ string) error {
			return h.PasswordLogins.Change(h.t.Context(), who, password(goodPassword),
				password("another good password"), true)
		},
	} {
		t.Run(name, func(t *testing.T) {
			on.each(t, func(t *testing.T, h *Harness) {
				_, ana, _ := h.Scene()
				made, secret, err := h.AccessKeys.Create(t.Context(), ana, "kiosk")
				ok(t, err)
				key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
				first, kiosk := h.scriptDock(key)
				second, byCode := h.codeDock(first)
				_, further := h.codeDock(second)
				waiting := h.shownCode(second)
				own, stays := h.codeDock(ana)

				ok(t, end(h, ana, made.ID))
				h.out("the dock of the key", kiosk)
				h.out("a dock that it let in by a code", byCode)
				h.out("a dock that this one let in", further)
				_, _, err = h.Devices.Finish(t.Context(), waiting, home)
				refused(t, err, stage.ErrDenied, "access_denied")
				if name == "revoked" {
					again := must(h.Authenticate(t.Context(), access.Presented{Login: stays}))(t)
					if again.CredentialID != own.CredentialID {
						t.Errorf("the dock of Ana's own login is %+v", again)
					}
				}
			})
		})
	}
}

func (on rules) TestADockOfAnAccessKeyThatChangesThePasswordEndsItself(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, _ := h.Scene()
		_, secret, err := h.AccessKeys.Create(t.Context(), ana, "kiosk")
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		kiosk, cookie := h.scriptDock(key)
		ok(t, h.PasswordLogins.Change(t.Context(), kiosk, password(goodPassword),
			password("another good password"), true))
		h.out("the dock of a key that ended", cookie)
	})
}

func (on rules) TestAllThatAPasskeySignedInEndsWithIt(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Configure(func(c *access.Config) { c.Passkeys = fakeKeys{} })
		_, ana, _ := h.Scene()
		made := must(h.Passkeys.Add(t.Context(), ana, "phone", answer("k1", "c1")))(t)
		phone, phoneCookie, err := h.Passkeys.LogIn(t.Context(), answer("k1", "c2"), home)
		ok(t, err)
		_, byCode := h.codeDock(phone)
		script, byScript := h.scriptDock(phone)
		_, further := h.codeDock(script)
		_, again := h.scriptDock(script)
		waiting := h.shownCode(phone)
		if script.Passkey != "" {
			t.Error("a code in a file proves a passkey")
		}

		ok(t, h.Passkeys.Remove(t.Context(), ana, made.ID))
		h.out("the login of the passkey", phoneCookie)
		h.out("a dock that it let in by a code", byCode)
		h.out("a dock that its script signed in", byScript)
		h.out("a dock that this dock let in", further)
		h.out("a dock of another script", again)
		_, _, err = h.Devices.Finish(t.Context(), waiting, home)
		refused(t, err, stage.ErrDenied, "access_denied")
	})
}

func (on rules) TestSignedOutEverywhereMeansTheCodesToo(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		for _, by := range []access.Principal{op, ana} {
			code, _, err := h.Enrolments.Create(t.Context(), ana, ana.User.ID, time.Minute)
			ok(t, err)
			waiting := h.shownCode(ana)
			ok(t, h.Logins.EndAll(t.Context(), by, ana.User.ID))
			_, _, err = h.Enrolments.Use(t.Context(), code, home)
			refused(t, err, stage.ErrUnauthorized, "bad_code")
			_, _, err = h.Devices.Finish(t.Context(), waiting, home)
			refused(t, err, stage.ErrDenied, "access_denied")
		}
	})
}

func (on rules) TestTheDockLinksOfAnAPIKeyEndWithIt(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		key, secret, err := h.APIKeys.Create(t.Context(), op, "studio", nil, 0)
		ok(t, err)
		studio := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		link := func() access.DockLink {
			return must(h.CreateDockLink(t.Context(), studio, access.DockLinkRequest{
				ExternalID: "17", Name: "Ana",
			}))(t)
		}
		_, cookie, err := h.Enrolments.Use(t.Context(), link().Code, home)
		ok(t, err)
		open := link()
		ok(t, h.APIKeys.Revoke(t.Context(), op, key.ID))
		_, _, err = h.Enrolments.Use(t.Context(), open.Code, home)
		refused(t, err, stage.ErrUnauthorized, "bad_code")
		t.Log("the person whom the API key signed in stays signed in, since keys are replaced at " +
			"times")
		must(h.Authenticate(t.Context(), access.Presented{Login: cookie}))(t)
	})
}

// trail returns the entries of an action, newest first.
func (h *Harness) trail(by access.Principal, action access.Action) []access.Entry {
	h.t.Helper()
	return must(h.Audit(h.t.Context(), by, access.AuditFilter{Action: action},
		access.Page{Limit: 500}))(h.t).Items
}

func (on rules) TestEveryWayToSignInIsInTheTrail(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Configure(func(c *access.Config) { c.Passkeys = fakeKeys{} })
		op, ana, _ := h.Scene()
		_, key, err := h.AccessKeys.Create(t.Context(), ana, "kiosk")
		ok(t, err)
		must(h.Passkeys.Add(t.Context(), ana, "phone", answer("k1", "c1")))(t)
		_, _, err = h.PasswordLogins.LogIn(t.Context(), "Ana", password(goodPassword), home)
		ok(t, err)
		_, _, err = h.Passkeys.LogIn(t.Context(), answer("k1", "c2"), home)
		ok(t, err)
		h.codeDock(ana)
		h.scriptDock(must(h.Authenticate(t.Context(), access.Presented{Bearer: key}))(t))
		link := must(h.CreateDockLink(t.Context(), op, access.DockLinkRequest{
			ExternalID: "17", Name: "Cleo",
		}))(t)
		_, _, err = h.Enrolments.Use(t.Context(), link.Code, home)
		ok(t, err)
		h.member("1", "Ben")

		var ways []string
		for _, e := range h.trail(op, access.ActionLogin) {
			ways = append(ways, e.TargetName+": "+e.Detail)
			if e.ActorName != e.TargetName || e.Address != home.Address {
				t.Errorf("%+v does not say who signed in from where", e)
			}
		}
		slices.Sort(ways)
		want := []string{
			"Ana: code", "Ana: invite", "Ana: passkey phone", "Ana: password", "Ana: sign-in link",
			"Ben: " + external("", "").Issuer, "Cleo: sign-in link", "Olga: setup code",
		}
		if !slices.Equal(ways, want) {
			t.Errorf("the sign-ins are\n%s\nwant\n%s", strings.Join(ways, "\n"),
				strings.Join(want, "\n"))
		}
		if set := h.trail(op, access.ActionSetUp); len(set) != 1 || set[0].TargetName != "Olga" {
			t.Errorf("the entries of the set-up: got %+v, want one about Olga", set)
		}
		for _, e := range h.trail(op, access.ActionUserCreated) {
			if e.TargetName == "Cleo" && e.ActorName != op.User.Name {
				t.Errorf("Cleo was created by %q, want the caller of the API", e.ActorName)
			}
		}
		if codes := h.trail(op, access.ActionEnrolment); len(codes) != 2 {
			t.Errorf("%d codes of docks are in the trail, want 2", len(codes))
		}
		if codes := h.trail(op, access.ActionDeviceApproved); len(codes) != 1 {
			t.Errorf("%d codes that were approved are in the trail, want 1", len(codes))
		}
	})
}

func (on rules) TestWhatRulesGiveIsInTheTrail(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		rule := must(h.PutRule(t.Context(), op, access.Rule{
			Own: "{name}'s stage", Capabilities: both,
		}))(t)
		h.member("1", "Ben")
		given := map[string]string{}
		for _, e := range h.trail(op, access.ActionAccessGiven) {
			if strings.Contains(e.Detail, "by rule") {
				given[e.TargetName] = e.ActorName
			}
		}
		if given["Ana"] != "Olga" || given["Ben"] != "Ben" {
			t.Errorf("by rule: %v, want Ana's by the operator and Ben's by his own sign-in", given)
		}
		if made := h.trail(op, access.ActionStageCreated); len(made) < 3 {
			t.Errorf("the stages of one's own are not in the trail: %+v", made)
		}
		ok(t, h.RemoveRule(t.Context(), op, rule.ID))
		lost := must(h.Audit(t.Context(), op, access.AuditFilter{
			Action: access.ActionAccessRemoved, Target: string(ana.User.ID),
		}, access.Page{}))(t).Items
		if len(lost) != 1 || lost[0].Detail != "by rule" {
			t.Errorf("what the rule gave Ana is gone, and the trail says %+v", lost)
		}
	})
}

// A rule has no name, so the trail contains a description of it.
func (on rules) TestTheTrailDescribesRules(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		studio := h.NewStage(op, "main")
		rule := must(h.PutRule(t.Context(), op, access.Rule{
			Claim: access.Claim{Name: "groups", Value: "crew"}, Stage: studio,
			Capabilities: stage.Publish, MaxTTL: time.Hour,
		}))(t)
		h.Clock.Pass(time.Second)
		rule.Capabilities = both
		must(h.PutRule(t.Context(), op, rule))(t)
		ok(t, h.RemoveRule(t.Context(), op, rule.ID))
		const first = `groups=crew → "main" (publish, tokens up to 1 hour)`
		const second = `groups=crew → "main" (publish,subscribe, tokens up to 1 hour)`
		want := []string{second + "|", second + "|before: " + first, first + "|"}
		var got []string
		for _, e := range append(h.trail(op, access.ActionRuleRemoved),
			append(h.trail(op, access.ActionRuleChanged),
				h.trail(op, access.ActionRuleCreated)...)...) {
			got = append(got, e.TargetName+"|"+e.Detail)
			if e.Target != string(rule.ID) || e.Stage != studio {
				t.Errorf("an entry of the rule is about %q on %q", e.Target, e.Stage)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("the trail says\n%q, want\n%q", got, want)
		}
	})
}

func (on rules) TestTokensAreInTheTrail(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		_, secret, err := h.AccessKeys.Create(t.Context(), ana, "kiosk")
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		var issued []string
		for i := range 6 {
			h.Clock.Pass(time.Second)
			who := []access.Principal{ana, key, op}[i%3]
			token := must(h.Issue(t.Context(), who, access.IssueRequest{
				Stage: arn, Address: "192.0.2.7",
			}))(t)
			issued = append(issued, string(token.Participant.ID))
			h.Clock.Pass(time.Second)
			ok(t, h.Revoke(t.Context(), who, token.Participant.ID))
		}

		t.Log("entries say who did what, by which credential, and from where")
		last := h.trail(op, access.ActionTokenIssued)
		if len(last) != 6 || last[0].Target != issued[5] || last[5].Target != issued[0] {
			t.Fatalf("the tokens of the trail are %+v, want %v backwards", last, issued)
		}
		e := last[4]
		if e.ActorName != "Ana" || e.Actor != ana.User.ID || e.Address != "192.0.2.7" ||
			e.Credential != access.KindAccessKey || e.Stage != arn ||
			e.Detail != "publish,subscribe, local key" {
			t.Errorf("the token of the access key: %+v", e)
		}

		t.Log("page by page, the trail is whole and in order")
		seen := map[string]int{}
		before := h.Clock.Now().Add(time.Hour)
		for p := (access.Page{Limit: 3}); ; {
			page := must(h.Audit(t.Context(), op, access.AuditFilter{}, p))(t)
			for _, e := range page.Items {
				seen[string(e.Action)+e.Target]++
				if e.At.After(before) {
					t.Errorf("%s %s is not in its place", e.Action, e.At)
				}
				before = e.At
			}
			if p.After = page.Next; p.After == "" {
				break
			}
		}
		for _, id := range issued {
			if seen["token.issued"+id] != 1 || seen["token.revoked"+id] != 1 {
				t.Errorf("token %s is %d times issued and %d times revoked", id,
					seen["token.issued"+id], seen["token.revoked"+id])
			}
		}

		t.Log("every filter finds the entries")
		for name, f := range map[string]access.AuditFilter{
			"target": {Target: issued[0]}, "actor": {Actor: op.User.ID}, "stage": {Stage: arn},
			"time": {Until: h.Clock.Now().Add(time.Second)},
		} {
			f.Action = access.ActionTokenIssued
			want := map[string]int{"target": 1, "actor": 2, "stage": 6, "time": 6}[name]
			if got := must(h.Audit(t.Context(), op, f, access.Page{}))(t); len(got.Items) != want {
				t.Errorf("by %s: %d entries, want %d", name, len(got.Items), want)
			}
		}

		t.Log("a guest has no account")
		link, guest := h.invited(t, ana, access.GuestLinkRequest{
			Stage: arn, Role: access.GuestPublishes, Name: "guests",
		})
		must(h.AdmitGuest(t.Context(), guest, "Gil", "192.0.2.9"))(t)
		e = h.trail(op, access.ActionTokenIssued)[0]
		if e.Actor != "" || e.ActorName != "Gil" || e.Credential != access.KindGuestLink ||
			e.Address != "192.0.2.9" {
			t.Errorf("the token of a guest: %+v", e)
		}
		by := h.trail(op, access.ActionGuestAdmitted)
		if len(by) != 1 || by[0].Detail != link.Name {
			t.Errorf("the guest was admitted by %+v", by)
		}
		for _, e := range must(h.Audit(t.Context(), op, access.AuditFilter{
			Actor: ana.User.ID, Action: access.ActionTokenIssued,
		}, access.Page{}))(t).Items {
			if e.ActorName != "Ana" {
				t.Errorf("what Ana did includes %+v", e)
			}
		}

		t.Log("entries of tokens are kept and shown as long as the other entries")
		h.Configure(func(c *access.Config) { c.AuditRetention = 100 * 24 * time.Hour })
		h.Clock.Pass(99 * 24 * time.Hour)
		ok(t, h.Prune(t.Context()))
		if got := h.trail(op, access.ActionTokenIssued); len(got) != 7 {
			t.Errorf("%d tokens of 7 are left after 99 of 100 days", len(got))
		}
		h.Configure(func(c *access.Config) { c.AuditRetention = 24 * time.Hour })
		if got := h.trail(op, access.ActionTokenIssued); len(got) != 0 {
			t.Errorf("%d tokens are shown beyond the retention of the trail", len(got))
		}
	})
}

// Two keys may have the same name, and a person may have several keys. So an entry has the ID of
// the key with which its actor authenticated.
func (on rules) TestTheTrailNamesTheCredential(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		var ids []string
		var programs []access.Principal
		for range 2 {
			key, secret, err := h.APIKeys.Create(t.Context(), op, "studio", nil, 0)
			ok(t, err)
			ids = append(ids, key.ID)
			programs = append(programs,
				must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t))
		}
		made, secret, err := h.AccessKeys.Create(t.Context(), ana, "kiosk")
		ok(t, err)
		kiosk := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		h.Clock.Pass(time.Second)
		for i, name := range []string{"Cleo", "Dora", "Emil"} {
			_, _, _, err := h.AddUser(t.Context(), programs[i%2], name, access.Broadcaster)
			ok(t, err)
		}
		for _, who := range []access.Principal{ana, kiosk} {
			must(h.Issue(t.Context(), who, access.IssueRequest{Stage: arn}))(t)
		}
		gone := h.Issued(kiosk, arn)
		h.Clock.Pass(time.Second)
		ok(t, h.Revoke(t.Context(), kiosk, gone.Participant.ID))

		for id, want := range map[string]string{
			ids[0]: "user.created Cleo, user.created Emil", ids[1]: "user.created Dora",
			made.ID: "token.issued Ana, token.issued Ana, token.revoked Ana",
			"none":  "",
		} {
			var got []string
			for _, e := range h.walked(op, access.AuditFilter{By: id}) {
				got = append(got, string(e.Action)+" "+e.TargetName)
				if e.CredentialID != id {
					t.Errorf("the entry of %s has %q", id, e.CredentialID)
				}
			}
			if slices.Sort(got); strings.Join(got, ", ") != want {
				t.Errorf("by %s: got %v, want %q", id, got, want)
			}
		}
		if by := h.walked(op, access.AuditFilter{By: ana.CredentialID}); len(by) == 0 {
			t.Error("what Ana's login did is not found")
		}
	})
}

func (on rules) TestTheTrailIsSearched(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		h.Clock.Pass(time.Second)
		token := must(h.Issue(t.Context(), ana, access.IssueRequest{
			Stage: arn, Address: "192.0.2.7",
		}))(t).Participant.ID
		h.Clock.Pass(time.Second)
		ok(t, h.SuspendUser(t.Context(), op, ana.User.ID, "100 % Überlänge"))
		for query, want := range map[string]string{
			"Überlänge": "user.suspended", "100 %": "user.suspended",
			"0_%": "", "192.0.2.7": "token.issued", "local KEY": "token.issued",
			string(token): "token.issued", string(arn): "stage.created",
		} {
			var got []string
			for _, e := range h.walked(op, access.AuditFilter{Query: query}) {
				got = append(got, string(e.Action))
			}
			if strings.Join(got, " ") != want {
				t.Errorf("%q finds %v, want %q", query, got, want)
			}
		}
		all := h.walked(op, access.AuditFilter{Query: "ANA"})
		if len(all) < 4 || !slices.ContainsFunc(all, func(e access.Entry) bool {
			return e.Action == access.ActionTokenIssued
		}) || slices.ContainsFunc(all, func(e access.Entry) bool {
			return e.ActorName != "Ana" && e.TargetName != "Ana"
		}) {
			t.Errorf("ANA finds %+v", all)
		}
		if got := h.walked(op, access.AuditFilter{
			Query: "ana", Action: access.ActionUserSuspended, Actor: op.User.ID,
		}); len(got) != 1 {
			t.Errorf("with other filters: %+v", got)
		}
		_, err := h.Audit(t.Context(), op, access.AuditFilter{Query: "a\nb"}, access.Page{})
		refused(t, err, stage.ErrInvalid, "")
	})
}

func (on rules) TestPasskeysAreInTheTrail(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		h.Configure(func(c *access.Config) { c.Passkeys = fakeKeys{} })
		op, ana, _ := h.Scene()
		made := must(h.Passkeys.Add(t.Context(), ana, "phone", answer("k1", "c1")))(t)
		ok(t, h.Passkeys.Rename(t.Context(), ana, made.ID, "old phone"))
		ok(t, h.Passkeys.Remove(t.Context(), ana, made.ID))
		for action, name := range map[access.Action]string{
			access.ActionPasskeyCreated: "phone", access.ActionPasskeyChanged: "old phone",
			access.ActionPasskeyRemoved: "old phone",
		} {
			entries := h.trail(op, action)
			if len(entries) != 1 || entries[0].TargetName != name || entries[0].ActorName != "Ana" {
				t.Errorf("the entries of %s: got %+v, want one by Ana", action, entries)
			}
		}
	})
}

func (on rules) TestTheEffectOfARuleIsWhatItDoes(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, hall := h.Scene() // an operator gave Ana access to the hall
		studio, cellar := h.NewStage(op, "studio"), h.NewStage(op, "cellar")
		for i, groups := range [][]string{{"crew"}, {"crew", "stage hands"}, {"guests"}, nil} {
			h.member(string(rune('1'+i)), "Member "+string(rune('A'+i)), groups...)
		}
		h.Broadcaster(op, "Ben")
		claim := func(value string) access.Claim {
			return access.Claim{Name: "groups", Value: value}
		}
		other := must(h.PutRule(t.Context(), op, access.Rule{
			Claim: claim("stage hands"), Stage: studio, Capabilities: stage.Subscribe,
		}))(t)
		rule := access.Rule{Claim: claim("crew"), Stage: studio, Capabilities: stage.Subscribe}
		for name, change := range []func(){
			0: func() {},
			1: func() { rule.Capabilities = both },
			2: func() { rule.MaxTTL = time.Hour },
			3: func() { rule.Claim = claim("guests") },
			4: func() { rule.Claim = access.Claim{} },
			5: func() { rule.Stage = hall },
			6: func() { rule.Stage = cellar },
			7: func() { rule.Claim = claim("nobody") },
			8: func() { rule.Claim, rule.Stage, rule.Own = access.Claim{}, "", "{name}'s stage" },
			9: func() { rule.Claim = claim("crew") },
		} {
			change()
			before := h.ruled(op)
			effect := must(h.RuleEffect(t.Context(), op, rule))(t)
			if !maps.Equal(before, h.ruled(op)) {
				t.Fatalf("%d: to ask changes something", name)
			}
			rule = must(h.PutRule(t.Context(), op, rule))(t)
			want := compared(before, h.ruled(op))
			if rule.Own != "" && rule.Claim == (access.Claim{}) {
				want.Gain++ // the operator's own stage, which is not in the result of `ruled`
			}
			if effect.Gain != want.Gain || effect.Lose != want.Lose ||
				effect.Change != want.Change || len(effect.Losing) != want.Lose {
				t.Errorf("%+v: said %+v, did %+v", rule, effect, want)
			}
		}
		_, err := h.RuleEffect(t.Context(), ana, rule)
		refused(t, err, stage.ErrDenied, "denied")
		other.Stage = stage.LocalARN("nowhere")
		_, err = h.RuleEffect(t.Context(), op, other)
		refused(t, err, stage.ErrNotFound, "")
		rule.ID = "unknown"
		_, err = h.RuleEffect(t.Context(), op, rule)
		refused(t, err, stage.ErrNotFound, "")
	})
}

// An operator has access to every stage, and a rule for stages of one's own gives them one more.
func (on rules) TestTheEffectOfARuleCountsTheOperatorsOwnStage(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, _, hall := h.Scene()
		own := access.Rule{Own: "{name}'s stage", Capabilities: both}
		check := func(r access.Rule, gain, lose, change int) {
			t.Helper()
			e := must(h.RuleEffect(t.Context(), op, r))(t)
			if e.Gain != gain || e.Lose != lose || e.Change != change || len(e.Losing) != lose {
				t.Errorf("got %+v, want %d to gain, %d to lose, %d to change", e, gain, lose,
					change)
			}
		}
		check(own, 2, 0, 0)
		own = must(h.PutRule(t.Context(), op, own))(t)
		made := h.walked(op, access.AuditFilter{Action: access.ActionStageCreated})
		if len(made) != 3 {
			t.Errorf("got the stages %+v, want the hall and two of one's own", made)
		}
		own.Capabilities = stage.Publish
		check(own, 0, 0, 1)
		own.Claim = access.Claim{Name: "groups", Value: "crew"}
		check(own, 0, 1, 0)
		must(h.PutRule(t.Context(), op, own))(t)
		own.Claim = access.Claim{}
		check(own, 1, 0, 0) // the operator's stage is still there
		check(access.Rule{Stage: hall, Capabilities: both}, 0, 0, 0)
	})
}

// A ruledGrant is a grant by a rule to a user who is not an operator.
type ruledGrant struct {
	user  string
	stage stage.ARN
}

// ruled returns all grants by rules.
func (h *Harness) ruled(op access.Principal) map[ruledGrant]access.Grant {
	h.t.Helper()
	grants := map[ruledGrant]access.Grant{}
	for _, person := range must(h.Users(h.t.Context(), op))(h.t) {
		for _, g := range person.Grants {
			if g.ByRule && person.Role != access.Operator {
				grants[ruledGrant{person.Name, g.Stage}] = g
			}
		}
	}
	return grants
}

// compared counts the users whose grants by rules differ before and after a change.
func compared(before, after map[ruledGrant]access.Grant) access.RuleEffect {
	gain, lose, change := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for at, g := range after {
		was, there := before[at]
		if !there {
			gain[at.user] = true
		} else if was != g {
			change[at.user] = true
		}
	}
	for at := range before {
		if _, there := after[at]; !there {
			lose[at.user] = true
		}
	}
	return access.RuleEffect{Gain: len(gain), Lose: len(lose), Change: len(change)}
}
