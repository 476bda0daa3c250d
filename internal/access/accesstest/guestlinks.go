package accesstest

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// invited returns a new guest link and its principal.
func (h *Harness) invited(
	t *testing.T, by access.Principal, req access.GuestLinkRequest,
) (access.GuestLink, access.Principal) {
	t.Helper()
	link, secret, err := h.GuestLinks.Create(t.Context(), by, req)
	ok(t, err)
	return link, must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
}

func (on rules) TestAGuestByLink(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		link, guest := h.invited(t, ana, access.GuestLinkRequest{
			Stage: arn, Role: access.GuestPublishes, Name: "interview", Uses: 2, Life: time.Hour,
		})

		t.Log("a guest has a name and an identity of their own, and what the link says")
		token := must(h.AdmitGuest(t.Context(), guest, " Gil ", "192.0.2.7"))(t)
		p := must(h.Verify(t.Context(), token.Secret))(t)
		if p.Name() != "Gil" || p.UserID == string(ana.User.ID) ||
			!p.Capabilities.Has(stage.Publish|stage.Subscribe) {
			t.Errorf("got the guest %+v, want Gil, not with Ana's user ID, who may do both", p)
		}
		h.Fake.enter(token.Participant)
		if !token.ExpiresAt.Equal(link.ExpiresAt) {
			t.Errorf("the token expires at %v, want %v, like the link", token.ExpiresAt,
				link.ExpiresAt)
		}
		if _, err := h.AdmitGuest(t.Context(), guest, "\u202e", ""); !errors.Is(err,
			stage.ErrInvalid) {
			t.Errorf("a name that deceives: got %v", err)
		}
		h.Clock.Pass(time.Second)
		h.Fake.enter(must(h.AdmitGuest(t.Context(), guest, "Gus", ""))(t).Participant)
		_, err := h.AdmitGuest(t.Context(), guest, "Gina", "")
		refused(t, err, stage.ErrDenied, "guest_link_used")

		t.Log("its owner and operators see the link with its uses")
		for _, who := range []access.Principal{ana, op} {
			list := must(h.GuestLinks.List(t.Context(), who, arn))(t)
			if len(list) != 1 || list[0].Uses != 2 || list[0].MaxUses != 2 ||
				list[0].Name != "interview" {
				t.Errorf("the links as %s sees them: got %+v", who.User.Name, list)
			}
		}

		t.Log("the audit trail has the link without its secret")
		trail := must(h.Audit(t.Context(), op,
			access.AuditFilter{Action: access.ActionGuestAdmitted}, access.Page{}))(t)
		if len(trail.Items) != 2 || trail.Items[1].TargetName != "Gil" ||
			trail.Items[1].Detail != "interview" {
			t.Errorf("the trail: got %+v, want two, Gil's with the link's name",
				trail.Items)
		}

		t.Log("after the link is revoked, the guests are off the stage, and the link admits nobody")
		ok(t, h.GuestLinks.Revoke(t.Context(), ana, link.ID))
		if got := h.Fake.sentAway(); len(got) != 2 {
			t.Errorf("disconnected: got %v, want both guests", got)
		}
		_, err = h.Verify(t.Context(), token.Secret)
		refused(t, err, stage.ErrDenied, "token_revoked")
		_, err = h.AdmitGuest(t.Context(), guest, "Gil", "")
		if err == nil {
			t.Error("a revoked link let a guest in")
		}
	})
}

func (on rules) TestAGuestLinkGivesNoMoreThanItsOwnerHas(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		vera, _ := h.Broadcaster(op, "vera")
		eve, _ := h.Broadcaster(op, "eve")
		ok(t, h.SetGrant(t.Context(), op,
			access.Grant{User: vera.User.ID, Stage: arn, Capabilities: stage.Subscribe}))
		create := func(by access.Principal, req access.GuestLinkRequest) error {
			req.Stage = arn
			_, _, err := h.GuestLinks.Create(t.Context(), by, req)
			return err
		}
		refused(t, create(vera, access.GuestLinkRequest{Role: access.GuestPublishes}),
			stage.ErrDenied, "no_capability")
		ok(t, create(vera, access.GuestLinkRequest{Role: access.GuestViews}))
		refused(t, create(eve, access.GuestLinkRequest{Role: access.GuestViews}), stage.ErrDenied,
			"no_grant")
		if err := create(ana, access.GuestLinkRequest{Role: access.GuestViews,
			Owner: vera.User.ID}); !errors.Is(err, stage.ErrDenied) {
			t.Errorf("a link on another's access: got %v", err)
		}
		ok(t, create(op, access.GuestLinkRequest{Role: access.GuestViews, Owner: vera.User.ID}))
		for _, bad := range []access.GuestLinkRequest{
			{Role: "boss"}, {Role: access.GuestViews, Life: time.Second},
			{Role: access.GuestViews, Uses: -1},
			{Role: access.GuestViews, Uses: 1001}, {Role: access.GuestViews, Name: "a\nb"},
		} {
			if err := create(ana, bad); !errors.Is(err, stage.ErrInvalid) {
				t.Errorf("%+v: got %v, want %v", bad, err, stage.ErrInvalid)
			}
		}

		t.Log("the owner loses publish: so do the guests, at once")
		_, guest := h.invited(t, ana,
			access.GuestLinkRequest{Stage: arn, Role: access.GuestPublishes})
		token := must(h.AdmitGuest(t.Context(), guest, "Gil", ""))(t)
		ok(t, h.SetGrant(t.Context(), op,
			access.Grant{User: ana.User.ID, Stage: arn, Capabilities: stage.Subscribe}))
		_, err := h.Verify(t.Context(), token.Secret)
		refused(t, err, stage.ErrDenied, "token_revoked")

		t.Log("a link for viewing does not let guests publish")
		_, viewer := h.invited(t, ana, access.GuestLinkRequest{Stage: arn, Role: access.GuestViews})
		seen := must(h.AdmitGuest(t.Context(), viewer, "Vic", ""))(t)
		if got := seen.Participant.Capabilities; got != stage.Subscribe {
			t.Errorf("a viewing guest: got %v, want %v", got, stage.Subscribe)
		}

		t.Log("users cannot find links of others, and expired links admit nobody")
		link, _ := h.invited(t, ana,
			access.GuestLinkRequest{Stage: arn, Role: access.GuestViews, Life: time.Hour})
		if err := h.GuestLinks.Revoke(t.Context(), vera, link.ID); !errors.Is(err,
			stage.ErrNotFound) {
			t.Errorf("another's link: got %v", err)
		}
		_, secret, err := h.GuestLinks.Create(t.Context(), ana,
			access.GuestLinkRequest{Stage: arn, Role: access.GuestViews, Life: time.Hour})
		ok(t, err)
		short := must(h.Authenticate(t.Context(), access.Presented{Bearer: secret}))(t)
		in := must(h.AdmitGuest(t.Context(), short, "Gus", ""))(t)
		ok(t, h.MayStay(t.Context(), in.Participant))
		h.Clock.Pass(time.Hour)
		refused(t, h.MayStay(t.Context(), in.Participant), stage.ErrDenied, "token_revoked")
		_, err = h.Authenticate(t.Context(), access.Presented{Bearer: secret})
		refused(t, err, stage.ErrUnauthorized, "guest_link")
	})
}

// When a moderator bars a guest, the guest's link ends. The owner of the link keeps their access.
func (on rules) TestBarringAGuestEndsTheLink(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		_, guest := h.invited(t, ana,
			access.GuestLinkRequest{Stage: arn, Role: access.GuestPublishes, Uses: 9})
		token := must(h.AdmitGuest(t.Context(), guest, "Gil", ""))(t)
		h.Fake.enter(token.Participant)
		ok(t, h.Moderation.KickAndBar(t.Context(), op, arn, token.Participant.ID, "Enough."))
		if got := h.Fake.sentAway(); len(got) != 1 || got[0] != token.Participant.ID {
			t.Errorf("disconnected: got %v, want only the guest", got)
		}
		if _, err := h.AdmitGuest(t.Context(), guest, "Gil again", ""); err == nil {
			t.Error("a guest came back by the link after being barred")
		}
		ok(t, h.Moderation.KickAndBar(t.Context(), op, arn, token.Participant.ID, "Enough."))
		h.Issued(ana, arn)
	})
}

// The record of a token decides whether a guest may publish: it changes when the guest is promoted
// or demoted.
func (on rules) TestPromotingAndDemotingAGuest(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op, ana, arn := h.Scene()
		_, guest := h.invited(t, ana, access.GuestLinkRequest{Stage: arn, Role: access.GuestViews})
		token := must(h.AdmitGuest(t.Context(), guest, "Gil", ""))(t)
		id := token.Participant.ID
		can := func(want stage.Capabilities) {
			t.Helper()
			if p := must(h.Verify(t.Context(), token.Secret))(t); p.Capabilities != want {
				t.Errorf("the guest may %v, want %v", p.Capabilities, want)
			}
		}
		can(stage.Subscribe)
		err := h.Moderation.SetGuestRole(t.Context(), ana, arn, id, access.GuestPublishes)
		if !errors.Is(err, stage.ErrDenied) {
			t.Errorf("promoted by a broadcaster: got %v", err)
		}
		h.Fake.enter(token.Participant)
		ok(t, h.Moderation.SetGuestRole(t.Context(), op, arn, id, access.GuestPublishes))
		can(stage.Publish | stage.Subscribe)
		if got := h.Fake.sentAway(); len(got) != 1 {
			t.Errorf("sessions that ended: got %v, want one", got)
		}
		// Promoting a guest again is no error.
		ok(t, h.Moderation.SetGuestRole(t.Context(), op, arn, id, access.GuestPublishes))
		ok(t, h.Moderation.SetGuestRole(t.Context(), op, arn, id, access.GuestViews))
		can(stage.Subscribe)

		t.Log("an account's access decides for its own tokens")
		own := h.Issued(ana, arn)
		err = h.Moderation.SetGuestRole(t.Context(), op, arn, own.Participant.ID, access.GuestViews)
		refused(t, err, stage.ErrConflict, "not_a_guest")
		if err := h.Moderation.SetGuestRole(t.Context(), op, arn, id, "boss"); !errors.Is(err,
			stage.ErrInvalid) {
			t.Errorf("a role that is none: got %v", err)
		}

		t.Log("guests never get more than the owner of the link has")
		h.Grant(op, ana, arn, stage.Subscribe)
		err = h.Moderation.SetGuestRole(t.Context(), op, arn, id, access.GuestPublishes)
		refused(t, err, stage.ErrDenied, "no_capability")
		can(stage.Subscribe)
	})
}

// Eight guests compete on two replicas for the three uses of a link.
func (on rules) TestTheLastUseIsOneGuests(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		_, ana, arn := h.Scene()
		other := h.Replica()
		_, guest := h.invited(t, ana,
			access.GuestLinkRequest{Stage: arn, Role: access.GuestViews, Uses: 3})
		var in atomic.Int32
		for _, err := range race(8, func(i int) error {
			_, err := []*Harness{h, other}[i%2].AdmitGuest(t.Context(), guest, "Gil", "")
			if err == nil {
				in.Add(1)
			} else if !errors.Is(err, stage.ErrDenied) {
				return err
			}
			return nil
		}) {
			ok(t, err)
		}
		if in.Load() != 3 {
			t.Errorf("%d guests came in by a link for 3", in.Load())
		}
	})
}
