package accesstest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	both   = stage.Publish | stage.Subscribe
	awsARN = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/abcdABCDefgh")
)

func (on rules) TestTheServerDecidesWhatATokenSays(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		ask := func(ttl time.Duration, purpose string) (stage.TokenRequest, stage.ParticipantToken,
			error) {
			token, err := h.Issue(t.Context(), ana, access.IssueRequest{
				Stage: arn, TTL: ttl, For: purpose, Address: home.Address,
			})
			return h.Fake.lastAsked(), token, err
		}
		h.Grant(op, ana, arn, both)
		for _, c := range []struct {
			ttl     time.Duration
			purpose string
			want    time.Duration
			can     stage.Capabilities
		}{
			{0, "", 12 * time.Hour, both},
			{time.Minute, "publish", time.Minute, stage.Publish},
			{stage.MaxTTL, "view", 14 * 24 * time.Hour, stage.Subscribe},
		} {
			asked, token, err := ask(c.ttl, c.purpose)
			ok(t, err)
			if asked.TTL != c.want || asked.Capabilities != c.can ||
				token.Participant.Capabilities != c.can {
				t.Errorf("ttl %v for %q: got %v with %v, want %v with %v", c.ttl, c.purpose,
					asked.TTL, asked.Capabilities, c.want, c.can)
			}
			if asked.UserID != string(ana.User.ID) || asked.Attributes["name"] != "Ana" ||
				len(asked.Attributes) != 1 {
				t.Errorf("got user %q, attributes %v; want %q and the name", asked.UserID,
					asked.Attributes, ana.User.ID)
			}
		}
		ok(t, h.SetGrant(t.Context(), op, access.Grant{
			User: ana.User.ID, Stage: arn, Capabilities: stage.Publish, MaxTTL: time.Hour,
		}))
		for _, ttl := range []time.Duration{0, 2 * time.Hour} {
			if asked, _, err := ask(ttl, ""); err != nil || asked.TTL != time.Hour ||
				asked.Capabilities != stage.Publish {
				t.Errorf("under a grant of 1h to publish: got %v with %v, %v", asked.TTL,
					asked.Capabilities, err)
			}
		}
		_, _, err := ask(0, "view")
		refused(t, err, stage.ErrDenied, "no_capability")
		_, _, err = ask(0, "fun")
		refused(t, err, stage.ErrInvalid, "")
		for _, ttl := range []time.Duration{time.Second, -time.Hour, stage.MaxTTL + 1} {
			_, _, err = ask(ttl, "")
			refused(t, err, stage.ErrInvalid, "")
		}
	})
}

func (on rules) TestNoTokenWithoutAGrant(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		bob, _ := h.Broadcaster(op, "Bob")
		issue := func(who access.Principal, arn stage.ARN) error {
			_, err := h.Issue(t.Context(), who, access.IssueRequest{Stage: arn})
			return err
		}
		refused(t, issue(bob, arn), stage.ErrDenied, "no_grant")
		// An unknown stage gives the same error as a stage without access.
		refused(t, issue(ana, stage.LocalARN("nowhere")), stage.ErrDenied, "no_grant")
		refused(t, issue(ana, "somewhere"), stage.ErrInvalid, "")
		refused(t, issue(access.Principal{Kind: access.KindLogin,
			User: access.User{ID: "pretender", Role: access.Operator}}, arn), stage.ErrUnauthorized,
			"")
		refused(t, issue(access.Principal{User: ana.User}, arn), stage.ErrUnauthorized, "")
		// The role in the database decides, not the role in the principal.
		bob.User.Role = access.Operator
		refused(t, issue(bob, arn), stage.ErrDenied, "no_grant")

		ok(t, issue(op, arn))
		refused(t, issue(op, stage.LocalARN("nowhere")), stage.ErrNotFound, "")
		// A new grant counts at once.
		h.Grant(op, bob, arn, stage.Subscribe)
		ok(t, issue(bob, arn))
		h.Grant(op, bob, arn, both)
		if token := h.Issued(bob, arn); token.Participant.Capabilities != both {
			t.Errorf("after a wider grant: got %v, want both", token.Participant.Capabilities)
		}
	})
}

func (on rules) TestThirtyTokensAndNotOneMore(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		other := h.Replica()
		errs := race(45, func(i int) error {
			on := []*Harness{h, other}[i%2]
			_, err := on.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
			return err
		})
		if got := tally(errs); got[""] != 30 || got["too_many_tokens"] != 15 {
			t.Errorf("45 at the same time: got %v, want 30 tokens and 15 refusals", got)
		}
		if records := must(h.Tokens(t.Context(), ana, false))(t); len(records) != 30 {
			t.Errorf("records: got %d, want 30", len(records))
		}
		h.Issued(op, arn) // other users are not affected
		h.Clock.Pass(9*time.Minute + 59*time.Second)
		asked := len(h.Fake.asked)
		for range 3 {
			_, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
			if e := refused(t, err, stage.ErrTooMany,
				"too_many_tokens"); e.RetryAfter != time.Second {
				t.Errorf("RetryAfter: got %v, want 1s", e.RetryAfter)
			}
		}
		if signed := len(h.Fake.asked) - asked; signed > 1 {
			t.Errorf("3 refusals cost %d signatures, want one at most", signed)
		}
		h.Clock.Pass(time.Second)
		h.Issued(ana, arn)
	})
}

// A token is not issued if the access ends during the request, no matter which replica ended it.
func (on rules) TestARightThatEndsMeanwhile(t *testing.T) {
	for what, end := range map[string]func(
		h *Harness, op, ana access.Principal, arn stage.ARN,
	) error{
		"grant taken back": func(h *Harness, op, ana access.Principal, arn stage.ARN) error {
			return h.RemoveGrant(h.t.Context(), op, ana.User.ID, arn)
		},
		"user removed": func(h *Harness, op, ana access.Principal, arn stage.ARN) error {
			return h.RemoveUser(h.t.Context(), op, ana.User.ID)
		},
		"stage removed": func(h *Harness, op, ana access.Principal, arn stage.ARN) error {
			return h.Stages.Remove(h.t.Context(), op, arn)
		},
	} {
		t.Run(what, func(t *testing.T) {
			on.each(t, func(t *testing.T, h *Harness) {
				op, ana, arn := h.Scene()
				other := h.Replica()
				h.Issued(ana, arn) // the permit is cached
				h.Fake.during = func() { ok(t, end(other, op, ana, arn)) }
				token, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
				if err == nil || !token.Secret.Empty() {
					t.Fatalf("got a token, error %v; want none", err)
				}
				for _, i := range must(h.Tokens(t.Context(), op, true))(t) {
					if i.RevokedAt.IsZero() {
						t.Errorf("open record left: %+v", i)
					}
				}
			})
		})
	}
}

// Each request for a token reports one result, even if the decision was repeated. The refusal of a
// barred user is a result, too.
func (on rules) TestEachRequestForATokenHasOneResult(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		var results []error
		h.Configure(func(cfg *access.Config) {
			cfg.Asked = func(_ stage.ARN, _ stage.ParticipantToken, err error) {
				results = append(results, err)
			}
		})
		other := h.Replica()
		token := h.Issued(ana, arn) // the permit is cached
		h.Fake.during = func() {
			other.Grant(op, ana, arn, stage.Publish) // Issue must decide again
		}
		signed := len(h.Fake.asked)
		h.Issued(ana, arn)
		if again := len(h.Fake.asked) - signed; again != 2 {
			t.Fatalf("the issuer was asked %d times, want 2", again)
		}
		if len(results) != 2 || results[0] != nil || results[1] != nil {
			t.Fatalf("two tokens have the results %v", results)
		}
		ok(t, h.Moderation.KickAndBar(t.Context(), op, arn, token.Participant.ID, "Noise."))
		_, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
		refused(t, err, stage.ErrDenied, "barred")
		if len(results) != 3 || results[2] == nil {
			t.Errorf("with the refusal the results are %v", results)
		}
	})
}

func (on rules) TestARaceOfIssuingAndTakingBack(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		other := h.Replica()
		errs := race(9, func(i int) error {
			if i == 4 {
				return other.RemoveGrant(t.Context(), op, ana.User.ID, arn)
			}
			_, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
			return err
		})
		for kind, n := range tally(errs) {
			if kind != "" && kind != "no_grant" {
				t.Errorf("got %q %d times, want success or no_grant", kind, n)
			}
		}
		for _, i := range must(h.Tokens(t.Context(), ana, false))(t) {
			if i.RevokedAt.IsZero() {
				t.Errorf("open token after the grant was taken back: %+v", i)
			}
		}
	})
}

func (on rules) TestARecordHasNoToken(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		token, err := h.Issue(t.Context(), ana, access.IssueRequest{
			Stage: arn, Address: "192.0.2.1",
		})
		ok(t, err)
		got := must(h.Token(t.Context(), ana, token.Participant.ID))(t)
		want := access.Issuance{
			ID: token.Participant.ID, User: ana.User.ID, UserName: "Ana", Stage: arn,
			Capabilities: both, IssuedBy: "local key",
			Bucket: string(ana.User.ID), IssuedAt: h.Clock.Now(), Kind: access.KindLogin,
			CredentialID: ana.CredentialID,
			ExpiresAt:    h.Clock.Now().Add(12 * time.Hour), Address: "192.0.2.1",
		}
		if got != want {
			t.Errorf("record: got %+v, want %+v", got, want)
		}
		if list := must(h.Tokens(t.Context(), op, true))(t); len(list) != 1 || list[0] != want {
			t.Errorf("all records: got %+v, want that one", list)
		}
		if list := must(h.Tokens(t.Context(), op, false))(t); len(list) != 0 {
			t.Errorf("the operator's own records: got %+v, want none", list)
		}
		h.Clock.Pass(14*24*time.Hour + time.Second)
		if list := must(h.Tokens(t.Context(), ana, false))(t); len(list) != 0 {
			t.Errorf("records after 14 days: got %+v, want none in the list", list)
		}
	})
}

func (on rules) TestRevoking(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		bob, _ := h.Broadcaster(op, "Bob")
		h.Grant(op, bob, arn, both)
		live, idle, bobs := h.Issued(ana, arn), h.Issued(ana, arn), h.Issued(bob, arn)
		h.Fake.enter(live.Participant)
		refused(t, h.Revoke(t.Context(), ana, bobs.Participant.ID), stage.ErrNotFound, "")
		// Revoking a token again is no error.
		for _, token := range []stage.ParticipantToken{live, idle, live} {
			ok(t, h.Revoke(t.Context(), ana, token.Participant.ID))
			refused(t, h.MayStay(t.Context(), token.Participant), stage.ErrDenied, "token_revoked")
		}
		if away := h.Fake.sentAway(); !slices.Equal(away,
			[]stage.ParticipantID{live.Participant.ID}) {
			t.Errorf("sent away: got %v, want %v", away, live.Participant.ID)
		}
		ok(t, h.MayStay(t.Context(), bobs.Participant))
		ok(t, h.Revoke(t.Context(), op, bobs.Participant.ID))
		refused(t, h.MayStay(t.Context(), bobs.Participant), stage.ErrDenied, "token_revoked")
	})
}

func (on rules) TestWhoIsBarredAtAWS(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, local := h.Scene()
		ok(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{ARN: awsARN}))
		h.Grant(op, ana, awsARN, both)
		h.Issued(ana, local)
		h.Issued(op, awsARN)
		gone := h.Issued(ana, awsARN)
		ok(t, h.Replica().RemoveUser(t.Context(), op, ana.User.ID))
		for _, c := range []struct {
			later time.Duration
			want  int
		}{{0, 1}, {stage.DefaultTTL, 1}, {stage.MaxSession, 0}} {
			// A session may have begun just before the token expired.
			h.Clock.Pass(c.later)
			barred := must(h.Barred(t.Context()))(t)
			if len(barred) != c.want || c.want == 1 &&
				(barred[0].ID != gone.Participant.ID || barred[0].Stage != awsARN) {
				t.Errorf("%v later: barred are %+v, want %d: %s", c.later, barred, c.want,
					gone.Participant.ID)
			}
		}
	})
}

func (on rules) TestAStageThatDoesNotAnswer(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		token := h.Issued(ana, arn)
		h.Fake.fail = errors.New("no route to host")
		err := h.Revoke(t.Context(), ana, token.Participant.ID)
		refused(t, err, stage.ErrUnavailable, "")
		// The token is revoked although the disconnect failed. The disconnect can be tried again.
		refused(t, h.MayStay(t.Context(), token.Participant), stage.ErrDenied, "token_revoked")
		_, err = h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn})
		if err == nil {
			t.Error("a token was issued that the issuer did not give")
		}
		if n := len(must(h.Tokens(t.Context(), ana, false))(t)); n != 1 {
			t.Errorf("records: got %d, want that of the first token only", n)
		}
		h.Fake.fail = nil
		ok(t, h.Revoke(t.Context(), ana, token.Participant.ID))
	})
}

func (on rules) TestGrantsChange(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		side := h.NewStage(op, "side")
		h.Grant(op, ana, side, both)
		publish := must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: "publish"}))(
			t)
		view := must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: "view"}))(t)
		elsewhere := h.Issued(ana, side)
		for _, token := range []stage.ParticipantToken{publish, view, elsewhere} {
			h.Fake.enter(token.Participant)
		}
		h.Grant(op, ana, arn, stage.Subscribe) // the token to publish exceeds this grant
		refused(t, h.MayStay(t.Context(), publish.Participant), stage.ErrDenied, "token_revoked")
		ok(t, h.MayStay(t.Context(), view.Participant))
		ok(t, h.RemoveGrant(t.Context(), op, ana.User.ID, arn))
		refused(t, h.MayStay(t.Context(), view.Participant), stage.ErrDenied, "token_revoked")
		ok(t, h.MayStay(t.Context(), elsewhere.Participant))
		if want := []stage.ParticipantID{publish.Participant.ID,
			view.Participant.ID}; !slices.Equal(h.Fake.sentAway(), want) {
			t.Errorf("sent away: got %v, want %v", h.Fake.sentAway(), want)
		}
		refused(t, h.RemoveGrant(t.Context(), op, ana.User.ID, arn), stage.ErrNotFound, "")
		for _, g := range []access.Grant{
			{Capabilities: 0}, {Capabilities: 8}, {Capabilities: both, MaxTTL: time.Second},
			{Capabilities: both, MaxTTL: 15 * 24 * time.Hour},
		} {
			g.User, g.Stage = ana.User.ID, arn
			refused(t, h.SetGrant(t.Context(), op, g), stage.ErrInvalid, "")
		}
		people := must(h.Users(t.Context(), op))(t)
		want := access.Grant{
			User: ana.User.ID, Stage: side, Capabilities: both, MaxTTL: 14 * 24 * time.Hour,
		}
		if len(people) != 2 || people[0].Name != "Ana" ||
			!slices.Equal(people[0].Grants, []access.Grant{want}) {
			t.Errorf("Users: got %+v, want Ana with %+v, and Olga", people, want)
		}
	})
}

func (on rules) TestAdmitLooksAgain(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		token := h.Issued(ana, arn)
		other := token.Participant
		other.Stage = stage.LocalARN("elsewhere")
		refused(t, h.MayStay(t.Context(), other), stage.ErrDenied, "token_revoked")
		view := must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: "view"}))(t).
			Participant
		view.Capabilities = both
		refused(t, h.MayStay(t.Context(), view), stage.ErrDenied, "token_revoked")
		ok(t, h.MayStay(t.Context(), token.Participant))
		// The verifier checks the expiry of a token, and MayStay does not.
		h.Clock.Pass(13 * time.Hour)
		ok(t, h.MayStay(t.Context(), token.Participant))
	})
}

func (on rules) TestASessionOutlivesItsToken(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		token := h.Issued(ana, arn)
		h.Fake.enter(token.Participant)
		// The token has expired, but the broadcast may still run.
		h.Clock.Pass(12*time.Hour + 23*time.Hour)
		ok(t, h.RemoveGrant(t.Context(), op, ana.User.ID, arn))
		if away := h.Fake.sentAway(); len(away) != 1 {
			t.Errorf("sent away: got %v, want the broadcast of the expired token", away)
		}
	})
}

func (on rules) TestKicking(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		token := h.Issued(ana, arn)
		h.Fake.enter(token.Participant)
		ok(t, h.Moderation.Kick(t.Context(), op, arn, token.Participant.ID,
			"Please mind the time.\x00"))
		refused(t, h.MayStay(t.Context(), token.Participant), stage.ErrDenied, "token_revoked")
		if got := h.Fake.reasons; !slices.Equal(got, []string{"Please mind the time."}) {
			t.Errorf("the reason that the participant gets: got %q, want it without the control "+
				"character", got)
		}
		// Kicking a participant who has left is no error.
		ok(t, h.Moderation.Kick(t.Context(), op, arn, token.Participant.ID, ""))
		// Other programs may issue tokens for an AWS stage.
		foreign := stage.Participant{ID: "foreignOne", Stage: arn}
		h.Fake.enter(foreign)
		ok(t, h.Moderation.Kick(t.Context(), op, arn, foreign.ID, ""))
		refused(t, h.Moderation.Kick(t.Context(), op, arn, foreign.ID, ""), stage.ErrNotFound, "")
		refused(t, h.Moderation.Kick(t.Context(), op, stage.LocalARN("nowhere"), foreign.ID, ""),
			stage.ErrNotFound, "")
	})
}

func (on rules) TestStages(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		other := h.Replica()
		errs := race(4, func(i int) error {
			_, err := []*Harness{h, other}[i%2].Stages.AddLocal(t.Context(), op, "Side")
			return err
		})
		if got := tally(errs); got[""] != 1 || got["name_taken"] != 3 {
			t.Errorf("one stage four times: got %v, want one success", got)
		}
		_, err := h.Stages.AddLocal(t.Context(), op, "MAIN")
		refused(t, err, stage.ErrConflict, "name_taken")

		endpoints := stage.Endpoints{WHIP: "https://whip.example", Events: "wss://events.example"}
		ok(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{
			ARN: awsARN, Name: "main", Endpoints: endpoints,
		}))
		refused(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{ARN: awsARN}),
			stage.ErrConflict, "conflict")
		refused(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{ARN: stage.LocalARN("x")}),
			stage.ErrInvalid, "")
		h.Clock.Pass(time.Hour)
		ok(t, h.Stages.KeepEndpoints(t.Context(), awsARN,
			stage.Endpoints{WHIP: "https://new.example"}))
		record := must(h.Stages.Get(t.Context(), awsARN))(t)
		if record.Endpoints.WHIP != "https://new.example" ||
			!record.EndpointsAt.Equal(h.Clock.Now()) || record.Name != "main" {
			t.Errorf("Stage: got %+v, want the new endpoints of now", record)
		}

		limits := stage.Limits{
			MaxHeight: 1080, AdvisedBitrate: 4_000_000, MaxBitrate: 6_000_000,
			MaxKeyframeInterval: 2.5,
		}
		ok(t, h.Stages.Update(t.Context(), op, arn, "Hall", &limits))
		ok(t, h.Stages.Update(t.Context(), op, arn, "", nil))
		refused(t, h.Stages.Update(t.Context(), op, arn, "side", nil),
			stage.ErrConflict, "name_taken")
		refused(t, h.Stages.Update(t.Context(), op, arn, "", &stage.Limits{}), stage.ErrInvalid, "")

		mine := must(h.Stages.Of(t.Context(), ana))(t)
		if len(mine) != 1 || mine[0].Stage.Name != "Hall" || mine[0].Limits != limits ||
			mine[0].Capabilities != both {
			t.Errorf("Ana's stages: got %+v, want the hall with its limits", mine)
		}
		var names []string
		for _, s := range must(h.Stages.Of(t.Context(), op))(t) {
			names = append(names, s.Stage.Name)
			if s.Capabilities != both || s.MaxTTL != stage.MaxTTL {
				t.Errorf("the operator on %s: got %v for %v, want everything", s.Stage.Name,
					s.Capabilities, s.MaxTTL)
			}
		}
		if want := []string{"Hall", "main", "Side"}; !slices.Equal(names, want) {
			t.Errorf("the operator's stages: got %q, want %q", names, want)
		}
	})
}

func (on rules) TestRemovingAStage(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		var told []access.UserID
		h.Configure(func(c *access.Config) {
			c.Changed = func(id access.UserID) { told = append(told, id) }
		})
		_, secret, err := h.ViewKeys.Create(t.Context(), ana, arn, "grid")
		ok(t, err)
		// If a user has many tokens, only the participants who are on the stage are disconnected.
		var last stage.ParticipantToken
		for range 12 {
			last = h.Issued(ana, arn)
		}
		h.Fake.enter(last.Participant)
		ok(t, h.Stages.Remove(t.Context(), op, arn))
		refused(t, h.MayStay(t.Context(), last.Participant), stage.ErrDenied, "token_revoked")
		if away := h.Fake.sentAway(); !slices.Equal(away,
			[]stage.ParticipantID{last.Participant.ID}) {
			t.Errorf("sent away: got %v, want %v", away, last.Participant.ID)
		}
		if mine := must(h.Stages.Of(t.Context(), ana))(t); len(mine) != 0 {
			t.Errorf("Ana's stages: got %+v, want none", mine)
		}
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: secret})
		refused(t, err, stage.ErrUnauthorized, "unauthorized")
		refused(t, h.Stages.Remove(t.Context(), op, arn), stage.ErrNotFound, "")
		if !slices.Equal(told, []access.UserID{""}) {
			t.Errorf("Changed: got %q, want everybody, once", told)
		}
	})
}

func (on rules) TestAccessKeys(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, _ := h.Scene()
		key, secret, err := h.AccessKeys.Create(t.Context(), ana, "lecture hall")
		ok(t, err)
		if text := secret.Reveal(); len(text) != 47 || text[:4] != "sdk_" {
			t.Errorf("an access key looks like %d letters %q…, want sdk_ and 43 more",
				len(text), text[:4])
		}
		h.Clock.Pass(time.Hour)
		if user := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(
			t); user.User.ID != ana.User.ID {
			t.Errorf("Authenticate: got %+v, want Ana", user)
		}
		list := must(h.AccessKeys.List(t.Context(), ana))(t)
		if len(list) != 1 || list[0].ID != key.ID || list[0].Name != "lecture hall" ||
			!list[0].LastUsedAt.Equal(h.Clock.Now()) {
			t.Errorf("AccessKeys: got %+v, want the one, used now", list)
		}
		// An access key is accepted neither as a login nor as a viewing key.
		_, err = h.Authenticate(t.Context(), access.Presented{Login: secret})
		refused(t, err, stage.ErrUnauthorized, "")
		renamed := stage.NewSecret("sdv_" + secret.Reveal()[4:])
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: renamed})
		refused(t, err, stage.ErrUnauthorized, "unauthorized")
		refused(t, h.AccessKeys.Revoke(t.Context(), op, key.ID), stage.ErrNotFound, "")
		ok(t, h.AccessKeys.Revoke(t.Context(), ana, key.ID))
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: secret})
		refused(t, err, stage.ErrUnauthorized, "unauthorized")
		for range 100 {
			_, _, err = h.AccessKeys.Create(t.Context(), ana, "many")
			ok(t, err)
		}
		_, _, err = h.AccessKeys.Create(t.Context(), ana, "too many")
		refused(t, err, stage.ErrConflict, "conflict")
		_, _, err = h.AccessKeys.Create(t.Context(), access.CommandLine(), "kiosk")
		refused(t, err, stage.ErrNotFound, "")
	})
}

func (on rules) TestViewKeys(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		other := h.Replica()
		made, secret, err := h.ViewKeys.Create(t.Context(), ana, arn, "spotlight")
		ok(t, err)
		key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		if key.CredentialID != made.ID || key.Stage != arn || key.View != "spotlight" ||
			key.User.ID != ana.User.ID {
			t.Errorf("Authenticate: got %+v, want %+v", key, made)
		}
		token, err := h.IssueForView(t.Context(), key, "192.0.2.1")
		ok(t, err)
		if token.Participant.Capabilities != stage.Subscribe ||
			token.Participant.UserID != string(ana.User.ID) {
			t.Errorf("IssueForView: got %+v, want Ana's, subscribe only", token.Participant)
		}
		if p := must(h.Verify(t.Context(), token.Secret))(t); p.View != stage.ViewSpotlight {
			t.Errorf("verified: got %+v, want the view of the key", p)
		}
		if p := must(h.Verify(t.Context(), h.Issued(ana, arn).Secret))(t); p.View != "" {
			t.Errorf("Ana's own token verified: got the view %q, want none", p.View)
		}
		// The key and its owner have separate limits.
		for range 29 {
			_, err = h.IssueForView(t.Context(), key, "")
			ok(t, err)
		}
		_, err = h.IssueForView(t.Context(), key, "")
		refused(t, err, stage.ErrTooMany, "too_many_tokens")
		h.Issued(ana, arn)

		h.Fake.enter(token.Participant)
		h.Clock.Pass(10 * time.Minute)
		h.Fake.during = func() { ok(t, other.ViewKeys.Revoke(t.Context(), ana, made.ID)) }
		_, err = h.IssueForView(t.Context(), key, "")
		refused(t, err, stage.ErrUnauthorized, "unauthorized")
		refused(t, h.MayStay(t.Context(), token.Participant), stage.ErrDenied, "token_revoked")
		if away := h.Fake.sentAway(); !slices.Contains(away, token.Participant.ID) {
			t.Errorf("sent away: got %v, want the viewer of the key", away)
		}

		_, secret, err = h.ViewKeys.Create(t.Context(), ana, arn, string(op.User.ID))
		ok(t, err)
		h.Grant(op, ana, arn, stage.Publish)
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: secret})
		refused(t, err, stage.ErrDenied, "no_capability")
		_, _, err = h.ViewKeys.Create(t.Context(), ana, arn, "grid")
		refused(t, err, stage.ErrDenied, "no_capability")
		_, _, err = h.ViewKeys.Create(t.Context(), op, arn, "\x00")
		refused(t, err, stage.ErrInvalid, "")
		// The user ID of a guest may be any text, or missing.
		for _, view := range []string{"Bea <b>Müller</b> 'n \"co\" 👩‍🚀", "participant:Mx6c",
			"user:grid"} {
			made, secret, err := h.ViewKeys.Create(t.Context(), op, arn, view)
			ok(t, err)
			if key := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(
				t); key.View != stage.View(view) || made.View != key.View {
				t.Errorf("a key for %q: got %+v, want that view", view, key)
			}
		}
		if keys := must(h.ViewKeys.List(t.Context(), ana))(t); len(keys) != 1 ||
			keys[0].Shown != op.User.Name {
			t.Errorf("ViewKeys: got %+v, want the one that shows %s", keys, op.User.Name)
		}
	})
}

// TestAViewTokenEndsWithItsLogin checks several ways in which a login ends. Broadcasts go on.
func (on rules) TestAViewTokenEndsWithItsLogin(t *testing.T) {
	ends := map[string]func(t *testing.T, h *Harness, op, ana access.Principal){
		"signed out": func(t *testing.T, h *Harness, _,
			ana access.Principal) {
			ok(t, h.Logins.LogOut(t.Context(), ana))
		},
		"signed out everywhere": func(t *testing.T, h *Harness, _, ana access.Principal) {
			ok(t, h.Logins.EndAll(t.Context(), ana, ana.User.ID))
		},
		"by an operator": func(t *testing.T, h *Harness, op, ana access.Principal) {
			ok(t, h.Logins.EndAll(t.Context(), op, ana.User.ID))
		},
		"another login's new password": func(t *testing.T, h *Harness, _, ana access.Principal) {
			other, _, err := h.PasswordLogins.LogIn(t.Context(), ana.User.Name,
				password(goodPassword), home)
			ok(t, err)
			ok(t, h.PasswordLogins.Change(t.Context(), other, password(goodPassword),
				password("a wholly new one"), false))
		},
	}
	on.each(t, func(t *testing.T, h *Harness) {
		op, _, arn := h.Scene()
		ok(t, h.Stages.AddAWS(t.Context(), op, stage.Stage{ARN: awsARN, Name: "talk"}))
		for how, end := range ends {
			t.Run(how, func(t *testing.T) {
				bea, _ := h.Broadcaster(op, "Bea "+how)
				h.Grant(op, bea, arn, stage.Publish|stage.Subscribe)
				h.Grant(op, bea, awsARN, stage.Publish|stage.Subscribe)
				issue := func(arn stage.ARN, purpose string) stage.Participant {
					p := must(h.Issue(t.Context(), bea,
						access.IssueRequest{Stage: arn, For: purpose}))(t).Participant
					h.Fake.enter(p)
					return p
				}
				live, local, aws := issue(arn, "publish"), issue(arn, "view"), issue(awsARN, "view")
				ok(t, h.MayStay(t.Context(), local))
				end(t, h, op, bea)
				refused(t, h.MayStay(t.Context(), local), stage.ErrDenied, "token_revoked")
				ok(t, h.MayStay(t.Context(), live))
				away := h.Fake.sentAway()
				if !slices.Contains(away, local.ID) || !slices.Contains(away, aws.ID) ||
					slices.Contains(away, live.ID) {
					t.Errorf("sent away: got %v, want %v and %v, not %v", away, local.ID,
						aws.ID, live.ID)
				}
			})
		}
	})
}

// TestAViewTokenExpiresWithItsLogin: a view token expires no later than its login, since AWS checks
// only the expiry. A token to publish may expire later.
func (on rules) TestAViewTokenExpiresWithItsLogin(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		h.Clock.Pass(ana.ExpiresAt.Sub(h.Clock.Now()) - time.Hour)
		for purpose, want := range map[string]time.Duration{"view": time.Hour,
			"publish": 12 * time.Hour} {
			must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: purpose}))(t)
			if got := h.Fake.lastAsked().TTL; got != want {
				t.Errorf("a token to %s an hour before the login ends: got %v, want %v",
					purpose, got, want)
			}
		}
		h.Clock.Pass(time.Hour - time.Second)
		must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: "view"}))(t)
		if got := h.Fake.lastAsked().TTL; got != stage.MinTTL {
			t.Errorf("a second before: got %v, want the shortest life", got)
		}
	})
}

// TestTheOldestLoginsEnd: if a user has too many logins, the oldest end, with their view tokens.
func (on rules) TestTheOldestLoginsEnd(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		p := must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: "view"}))(t).
			Participant
		for range 50 {
			ok(t, h.MayStay(t.Context(), p))
			h.Clock.Pass(time.Second)
			_, _, err := h.PasswordLogins.LogIn(t.Context(),
				ana.User.Name, password(goodPassword), home)
			ok(t, err)
		}
		refused(t, h.MayStay(t.Context(), p), stage.ErrDenied, "token_revoked")
		if got := must(h.Token(t.Context(), ana, p.ID))(t); got.RevokedAt.IsZero() {
			t.Errorf("the token: got %+v, want it revoked", got)
		}
	})
}

// TestNoViewTokenForALoginThatEnds checks logins that end before or during the request for the
// token, no matter which replica ended them.
func (on rules) TestNoViewTokenForALoginThatEnds(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		view := func() error {
			_, err := h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: "view"})
			return err
		}
		ok(t, view())
		h.Fake.during = func() { ok(t, h.Replica().Logins.LogOut(t.Context(), ana)) }
		refused(t, view(), stage.ErrUnauthorized, "unauthorized")
		refused(t, view(), stage.ErrUnauthorized, "unauthorized")
	})
}

// TestAViewTokenEndsWhenItsLoginExpires: on a local stage, the server checks view tokens again
// during a session.
func (on rules) TestAViewTokenEndsWhenItsLoginExpires(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		h.Clock.Pass(ana.ExpiresAt.Sub(h.Clock.Now()) - time.Minute)
		p := must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, For: "view"}))(t).
			Participant
		ok(t, h.MayStay(t.Context(), p))
		h.Clock.Pass(time.Minute)
		refused(t, h.MayStay(t.Context(), p), stage.ErrDenied, "token_revoked")
	})
}

func (on rules) TestAShorterLifeRevokesTokensThatLiveLonger(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		issue := func(ttl time.Duration) stage.Participant {
			return must(h.Issue(t.Context(), ana, access.IssueRequest{Stage: arn, TTL: ttl}))(t).
				Participant
		}
		long, short := issue(14*24*time.Hour), issue(time.Hour)
		h.Fake.enter(long)
		grant := access.Grant{
			User: ana.User.ID, Stage: arn, Capabilities: stage.Publish | stage.Subscribe,
			MaxTTL: stage.MaxTTL,
		}
		ok(t, h.SetGrant(t.Context(), op, grant))
		ok(t, h.MayStay(t.Context(), long)) // nothing has changed

		grant.MaxTTL = time.Hour
		ok(t, h.SetGrant(t.Context(), op, grant))
		refused(t, h.MayStay(t.Context(), long), stage.ErrDenied, "token_revoked")
		ok(t, h.MayStay(t.Context(), short))
		if away := h.Fake.sentAway(); len(away) != 1 || away[0] != long.ID {
			t.Errorf("sent away: got %v, want %v", away, long.ID)
		}
	})
}

func (on rules) TestAGrantWithoutALifeHasTheDefault(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		ok(t, h.SetGrant(t.Context(), op, access.Grant{
			User: ana.User.ID, Stage: arn, Capabilities: stage.Publish,
		}))
		if got := must(h.Stages.Of(t.Context(), ana))(t); got[0].MaxTTL != stage.DefaultTTL {
			t.Errorf("longest life of a token: got %v, want %v", got[0].MaxTTL, stage.DefaultTTL)
		}
	})
}
