package access

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	guestLinkPrefix = "sdg_"
	guestIDPrefix   = "guest:"
	// guestAttribute is the attribute of a token by which other participants recognize a guest.
	guestAttribute   = "guest"
	defaultGuestLife = 24 * time.Hour
	minGuestLife     = 5 * time.Minute
	maxGuestLife     = 30 * 24 * time.Hour
	maxGuestUses     = 1000
	guestLinksListed = 200
)

// A GuestRole says what the guests of a guest link may do on its stage.
type GuestRole string

const (
	GuestPublishes GuestRole = "publish" // send picture and sound, and receive the others
	GuestViews     GuestRole = "view"    // receive only
)

func (r GuestRole) capabilities() stage.Capabilities {
	switch r {
	case GuestPublishes:
		return stage.Publish | stage.Subscribe
	case GuestViews:
		return stage.Subscribe
	}
	return 0
}

// A GuestLink lets people without an account onto one stage. It depends on the access of its owner,
// and its guests leave when it ends.
type GuestLink struct {
	ID         string
	Stage      stage.ARN
	Name       string // shown to the owner; may be empty
	Role       GuestRole
	Owner      UserID
	MaxUses    int
	Uses       int
	CreatedAt  time.Time
	ExpiresAt  time.Time
	LastUsedAt time.Time
}

// A GuestLinkRequest contains the fields that the owner of a link chooses.
type GuestLinkRequest struct {
	Stage stage.ARN
	Name  string
	Role  GuestRole
	Life  time.Duration // 0 means one day
	Uses  int           // 0 means one
	// Owner is the user on whose access the link depends; empty means the caller. Only operators
	// and their programs may name another user.
	Owner UserID
}

// GuestLinks creates and revokes guest links, for their owners and for operators.
type GuestLinks struct {
	*trail
	keys     keyring
	sessions *sessions
}

// Create creates a link for a stage. The owner must have at least the capabilities that the link
// gives. The secret of the link is returned only here.
func (g *GuestLinks) Create(
	ctx context.Context, by Principal, req GuestLinkRequest,
) (GuestLink, stage.Secret, error) {
	owner, err := guestOwner(by, req.Owner)
	if err != nil {
		return GuestLink{}, stage.Secret{}, err
	}
	if req, err = checkGuestLink(req); err != nil {
		return GuestLink{}, stage.Secret{}, err
	}
	if err := g.mayAdmit(ctx, owner, req.Stage, req.Role); err != nil {
		return GuestLink{}, stage.Secret{}, err
	}
	secret, now := newSecret(guestLinkPrefix), g.now()
	cred := Credential{
		ID: stage.NewID(), Kind: KindGuestLink, Hash: hashOf(secret), User: owner, Label: req.Name,
		Stage: req.Stage, Scopes: []Scope{Scope(req.Role)}, MaxUses: req.Uses,
		CreatedAt: now, ExpiresAt: now.Add(req.Life),
	}
	err = g.store.Atomically(ctx, func(tx Store) error {
		there, err := tx.Credentials(ctx, Match{Kind: KindGuestLink, User: owner})
		if err != nil {
			return err
		}
		if len(there) >= maxKeys {
			return words.Error(stage.ErrConflict, "said.conflict.guestLinks",
				words.Values{"n": len(there)}).WithCode("conflict")
		}
		if err := tx.PutCredential(ctx, cred); err != nil {
			return err
		}
		return g.note(ctx, tx, by, Entry{
			Action: ActionGuestLinkMade, Target: cred.ID, TargetName: cred.Label,
			TargetUser: owner, Stage: cred.Stage, Detail: string(req.Role),
		})
	})
	if err != nil {
		return GuestLink{}, stage.Secret{}, err
	}
	return guestLinkOf(cred), secret, nil
}

// guestOwner returns the user on whose access a link depends: the caller, or any user for operators
// and their programs.
func guestOwner(by Principal, wanted UserID) (UserID, error) {
	if by.Key != "" {
		return "", signInYourself()
	}
	if wanted == "" || wanted == by.User.ID {
		if err := by.Require(ScopeAccount); err != nil && by.Kind != KindAPIKey {
			return "", err
		}
		if by.User.ID == "" {
			return "", stage.Errorf(stage.ErrInvalid,
				"Name the owner: the user whose access the guest link depends on.")
		}
		return by.User.ID, nil
	}
	return wanted, by.Require(ScopeUsers)
}

func checkGuestLink(req GuestLinkRequest) (GuestLinkRequest, error) {
	if req.Role.capabilities() == 0 {
		return req, stage.Errorf(stage.ErrInvalid,
			`The role of a guest link must be "publish" or "view".`)
	}
	if req.Name != "" {
		name, err := cleanName(req.Name)
		if err != nil {
			return req, err
		}
		req.Name = name
	}
	req.Life, req.Uses = cmp.Or(req.Life, defaultGuestLife), cmp.Or(req.Uses, 1)
	if req.Life < minGuestLife || req.Life > maxGuestLife {
		return req, stage.Errorf(stage.ErrInvalid, "The life of a guest link must be 5 minutes "+
			"to 30 days.")
	}
	if req.Uses < 1 || req.Uses > maxGuestUses {
		return req, stage.Errorf(stage.ErrInvalid,
			"The number of uses of a guest link must be 1 to %d.", maxGuestUses)
	}
	return req, nil
}

// mayAdmit returns an error if a user may not admit guests with a role to a stage. Users cannot
// give capabilities that they do not have.
func (g *GuestLinks) mayAdmit(
	ctx context.Context, owner UserID, arn stage.ARN, role GuestRole,
) error {
	if _, err := stage.ParseARN(string(arn)); err != nil {
		return err
	}
	permit, err := g.store.Permit(ctx, owner, arn, Rate{})
	if err != nil {
		return notFoundIs(err, noSuch("user"))
	}
	if _, err := decide(permit, IssueRequest{Stage: arn}); err != nil {
		return err
	}
	if want := role.capabilities(); !permit.grant().Capabilities.Has(want) {
		return stage.Errorf(stage.ErrDenied,
			"This link needs access with %s to the stage; ask the operator for it.", want).
			WithCode("no_capability")
	}
	return nil
}

// List lists the links of the caller for one stage or for all, newest first. If an operator or an
// operator's program names a stage, the list contains the links of all users for this stage. A
// program must name a stage.
func (g *GuestLinks) List(
	ctx context.Context, who Principal, arn stage.ARN,
) ([]GuestLink, error) {
	if arn != "" && who.Allows(ScopeUsers) {
		creds, err := g.store.GuestLinks(ctx, arn, guestLinksListed)
		return guestLinksOf(creds), err
	}
	if who.Kind == KindAPIKey && who.Allows(ScopeUsers) {
		return nil, stage.Errorf(stage.ErrInvalid, "Name the stage: ?stage=ARN.")
	}
	creds, err := g.keys.list(ctx, KindGuestLink, who)
	if err != nil {
		return nil, err
	}
	var list []GuestLink
	for _, link := range guestLinksOf(creds) {
		if arn == "" || link.Stage == arn {
			list = append([]GuestLink{link}, list...)
		}
	}
	return list, nil
}

func guestLinksOf(creds []Credential) []GuestLink {
	list := make([]GuestLink, 0, len(creds))
	for _, cred := range creds {
		list = append(list, guestLinkOf(cred))
	}
	return list
}

func guestLinkOf(cred Credential) GuestLink {
	link := GuestLink{
		ID: cred.ID, Stage: cred.Stage, Name: cred.Label, Owner: cred.User, MaxUses: cred.MaxUses,
		Uses: cred.Uses, CreatedAt: cred.CreatedAt, ExpiresAt: cred.ExpiresAt,
		LastUsedAt: cred.UsedAt,
	}
	if len(cred.Scopes) == 1 {
		link.Role = GuestRole(cred.Scopes[0])
	}
	return link
}

// Revoke ends a link of the caller, or any link for an operator, and disconnects its guests.
func (g *GuestLinks) Revoke(ctx context.Context, who Principal, id string) error {
	scope := ScopeAccount
	if who.Kind == KindAPIKey {
		scope = ScopeUsers
	}
	if err := who.Require(scope); err != nil {
		return err
	}
	if !stage.ValidID(id) {
		return noSuch("guest link")
	}
	match := Match{Kind: KindGuestLink, ID: id}
	if !who.Allows(ScopeUsers) {
		match.User = who.User.ID
	}
	var revoked []Issuance
	err := g.store.Atomically(ctx, func(tx Store) (err error) {
		revoked, err = g.end(ctx, tx, who, match, "")
		return err
	})
	if err != nil {
		return err
	}
	return g.sessions.end(ctx, revoked, reasonGuestLink.sentence())
}

// end deletes a link. It returns the tokens that it revoked.
func (g *GuestLinks) end(
	ctx context.Context, tx Store, who Principal, match Match, reason string,
) ([]Issuance, error) {
	there, err := tx.Credentials(ctx, match)
	if err != nil || len(there) == 0 {
		return nil, cmpErr(err, noSuch("guest link"))
	}
	if _, err := tx.DeleteCredentials(ctx, match); err != nil {
		return nil, err
	}
	revoked, err := g.outbox.revokeOrphans(ctx, tx, there[0].User)
	if err != nil {
		return nil, err
	}
	return revoked, g.note(ctx, tx, who, Entry{
		Action: ActionGuestLinkEnded, Target: there[0].ID, TargetName: there[0].Label,
		TargetUser: there[0].User, Stage: there[0].Stage, Detail: reason,
	})
}

// guest reports whether a token was issued to a guest. The user of such a token is the owner of the
// link.
func (i Issuance) guest() bool { return strings.HasPrefix(i.Bucket, guestIDPrefix) }

// account returns the user of a token, or "" for that of a guest.
func (i Issuance) account() UserID {
	if i.guest() {
		return ""
	}
	return i.User
}

// principal returns the principal of a valid link. It accepts a link without uses left, since
// guests who are on the stage still send it with their requests.
func (g *GuestLinks) principal(ctx context.Context, secret stage.Secret) (Principal, error) {
	cred, account, err := g.store.Credential(ctx, KindGuestLink, hashOf(secret))
	if err != nil {
		return Principal{}, notFoundIs(err, guestLinkEnded())
	}
	if !g.now().Before(cred.ExpiresAt) {
		return Principal{}, guestLinkEnded()
	}
	link := guestLinkOf(cred)
	if err := g.mayAdmit(ctx, account.ID, link.Stage, link.Role); err != nil {
		if errors.Is(err, stage.ErrDenied) || errors.Is(err, stage.ErrNotFound) {
			return Principal{}, guestLinkEnded()
		}
		return Principal{}, err
	}
	who := principalOf(cred, account)
	who.User = User{ID: account.ID, Name: account.Name}
	who.Stage, who.Capabilities = link.Stage, link.Role.capabilities()
	who.guest = link
	return who, nil
}

func guestLinkEnded() error {
	return stage.Errorf(stage.ErrUnauthorized,
		"This guest link is not valid any more; ask the person who sent it for another one.").
		WithCode("guest_link")
}

// GuestLink describes the guest link with which a principal authenticated. Its owner is p.User.
func (p Principal) GuestLink() (GuestLink, error) { return p.guest, p.Require(ScopeGuest) }

// AdmitGuest issues a token to a guest with a link, and counts one use of the link. The token
// counts against the rate limit of the link, not of its owner.
func (c *Control) AdmitGuest(
	ctx context.Context, who Principal, name, address string,
) (stage.ParticipantToken, error) {
	link, err := who.GuestLink()
	if err != nil {
		return stage.ParticipantToken{}, err
	}
	if name, err = cleanName(name); err != nil {
		return stage.ParticipantToken{}, err
	}
	if err := c.cfg.Store.UseGuestLink(ctx, link.ID, c.cfg.Now()); err != nil {
		if errors.Is(err, stage.ErrConflict) {
			err = stage.Errorf(stage.ErrDenied, "This guest link has been used the allowed "+
				"number of times; "+
				"ask the person who sent it for another one.").WithCode("guest_link_used")
		}
		return stage.ParticipantToken{}, err
	}
	token, err := c.issue(ctx, basis{
		user: link.Owner, bucket: guestIDPrefix + link.ID, credential: link.ID, guest: name,
		kind: who.Kind, by: link.ID,
	}, IssueRequest{
		Stage: link.Stage, TTL: max(stage.MinTTL, min(link.ExpiresAt.Sub(c.cfg.Now()),
			stage.DefaultTTL)),
		Address: address, Capabilities: link.Role.capabilities(),
	})
	if err != nil {
		back := c.cfg.Store.ReturnGuestUse(context.WithoutCancel(ctx), link.ID)
		return stage.ParticipantToken{}, errors.Join(err, back)
	}
	c.trail.noteLate(ctx, who, Entry{
		Action: ActionGuestAdmitted, Target: string(token.Participant.ID), TargetName: name,
		Stage: link.Stage, Detail: link.Name,
	})
	return token, nil
}

// askForGuest turns a request for a token of the owner into a request for a token of a guest. That
// token has the guest's own ID and name, and at most the capabilities of the link.
func askForGuest(
	ask stage.TokenRequest, name string, want stage.Capabilities,
) (stage.TokenRequest, error) {
	if want == 0 || !ask.Capabilities.Has(want) {
		return ask, guestLinkEnded()
	}
	ask.Capabilities, ask.UserID = want, guestIDPrefix+stage.NewID()
	ask.Attributes = map[string]string{"name": name, guestAttribute: "true"}
	return ask, nil
}

// IsGuest reports whether a participant is a guest by a link, who has no account.
func IsGuest(p stage.Participant) bool { return strings.HasPrefix(p.UserID, guestIDPrefix) }

// guestID returns the user ID of a guest, and "" for everybody else.
func guestID(p stage.Participant) string {
	if IsGuest(p) {
		return p.UserID
	}
	return ""
}
