package access

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	defaultTokenLimit  = 30
	defaultTokenWindow = 10 * time.Minute
	clockSkew          = time.Minute // largest difference between the clocks of replicas

	tokensListed  = 500
	tokensListAge = 14 * 24 * time.Hour
	// issueTries is the maximum of retries when the account changes between decision and insert.
	issueTries = 10
)

// forView is the purpose of a view token.
const forView = "view"

// An IssueRequest is a request for a token.
type IssueRequest struct {
	Stage   stage.ARN
	TTL     time.Duration // 0 means the default
	For     string        // "publish" or "view" alone; "": all that is granted
	Address string        // of the client, for the record

	Capabilities stage.Capabilities // capabilities of a guest
}

// Issue issues a token to a user: it applies the grant and the rate limit, and records the token.
func (c *Control) Issue(
	ctx context.Context, who Principal, req IssueRequest,
) (stage.ParticipantToken, error) {
	if err := who.Require(ScopeTokens); err != nil {
		return stage.ParticipantToken{}, err
	}
	rests := basis{
		user: who.User.ID, bucket: string(who.User.ID), kind: who.Kind, by: who.CredentialID,
	}
	if who.Kind == KindLogin && req.For == forView {
		// A view token ends with its login. AWS checks only its expiry.
		left := max(who.ExpiresAt.Sub(c.cfg.Now()), stage.MinTTL)
		rests.credential, req.TTL = who.CredentialID, min(cmp.Or(req.TTL, stage.DefaultTTL), left)
	}
	return c.issue(ctx, rests, req)
}

// A basis is what a token depends on besides its grant.
type basis struct {
	user   UserID
	kind   Kind   // kind of the requesting credential
	by     string // ID of the requesting credential
	bucket string // bucket of the rate limit
	// the login, viewing key or guest link with which the token ends; may be empty
	credential string
	guest      string // the name of a guest; empty for the user's own token
}

// issue issues a token, and passes the token or the error to Config.Asked.
func (c *Control) issue(
	ctx context.Context, rests basis, req IssueRequest,
) (stage.ParticipantToken, error) {
	if _, err := stage.ParseARN(string(req.Stage)); err != nil {
		return stage.ParticipantToken{}, err
	}
	token, err := c.issueInTurn(ctx, rests, req)
	c.asked(req.Stage, token, err)
	return token, err
}

func (c *Control) asked(arn stage.ARN, token stage.ParticipantToken, err error) {
	if c.cfg.Asked != nil {
		c.cfg.Asked(arn, token, err)
	}
}

// issueInTurn retries the decision while the account changes between decision and insert.
//
// The first decision uses the cached permit. The insert fails if the revision of the account has
// changed. So a token usually costs one statement, and no token is issued by an outdated permit.
func (c *Control) issueInTurn(
	ctx context.Context, rests basis, req IssueRequest,
) (stage.ParticipantToken, error) {
	key := permitKey{rests.user, req.Stage}
	if permit, _, found := c.permits.get(key); found {
		token, err := c.issueOn(ctx, permit, rests, req)
		if err == nil {
			return token, nil
		}
		c.permits.drop(key)
		if !errors.Is(err, errDecideAgain) && !errors.Is(err, stage.ErrDenied) {
			return stage.ParticipantToken{}, err
		}
	}
	for range issueTries {
		permit, err := c.readPermit(ctx, key, rests.bucket)
		if err != nil {
			return stage.ParticipantToken{}, err
		}
		token, err := c.issueOn(ctx, permit, rests, req)
		if !errors.Is(err, errDecideAgain) {
			return token, err
		}
	}
	return stage.ParticipantToken{}, stage.Errorf(stage.ErrUnavailable,
		"The account is being changed at this moment; try again.").WithRetry(time.Second)
}

var errDecideAgain = errors.New("the account changed between decision and insert")

// readPermit reads a permit. At the rate limit it returns an error, before anything is signed.
func (c *Control) readPermit(ctx context.Context, key permitKey, bucket string) (Permit, error) {
	_, generation, _ := c.permits.get(key)
	rate := c.rate(bucket)
	permit, err := c.cfg.Store.Permit(ctx, key.user, key.stage, rate)
	if err != nil {
		return Permit{}, notFoundIs(err, signInAgain())
	}
	switch {
	// The function `decide` will refuse this permit. The permit is not cached, because only the
	// insert of a token shows that a cached permit is outdated, and a refusal inserts nothing.
	case !mayEnter(permit):
	case !permit.Full.IsZero():
		return Permit{}, c.tooManyTokens(permit.Full, rate)
	default:
		c.permits.put(key, permit, generation)
	}
	return permit, nil
}

// issueOn issues and records a token by a permit.
func (c *Control) issueOn(
	ctx context.Context, permit Permit, rests basis, req IssueRequest,
) (stage.ParticipantToken, error) {
	if err := c.stillHeld(ctx, rests); err != nil {
		return stage.ParticipantToken{}, err
	}
	ask, err := decide(permit, req)
	if err == nil && rests.guest != "" {
		ask, err = askForGuest(ask, rests.guest, req.Capabilities)
	}
	if err != nil {
		return stage.ParticipantToken{}, err
	}
	token, err := c.cfg.Issuer.IssueToken(ctx, ask)
	if err != nil {
		return stage.ParticipantToken{},
			fmt.Errorf("token of %s for %s: %w", permit.Account.ID, req.Stage, err)
	}
	issuance := c.record(permit, rests, token, req)
	err = c.outbox.addIssuance(ctx, issuance, permit.Account.Revision, c.rate(rests.bucket))
	if errors.Is(err, stage.ErrConflict) {
		return stage.ParticipantToken{}, errDecideAgain
	}
	if err != nil {
		return stage.ParticipantToken{}, err
	}
	return token, c.keepHash(ctx, permit, token)
}

func mayEnter(p Permit) bool { return p.Stage && p.grant().Capabilities != 0 }

// grant returns the capabilities and the longest life that the account has on the stage now.
func (p Permit) grant() Grant {
	if !p.Account.SuspendedAt.IsZero() {
		return Grant{}
	}
	return effective(p.Account.Role, p.Grant)
}

// decide returns the token that the permit allows for a request, or an error.
func decide(p Permit, req IssueRequest) (stage.TokenRequest, error) {
	if err := p.Account.active(); err != nil {
		return stage.TokenRequest{}, err
	}
	grant := p.grant()
	if grant.Capabilities == 0 {
		return stage.TokenRequest{}, cmp.Or(p.Grant.barred(), noGrant())
	}
	if !p.Stage {
		return stage.TokenRequest{}, noSuch("stage")
	}
	capabilities, err := cut(grant.Capabilities, req.For)
	if err != nil {
		return stage.TokenRequest{}, err
	}
	ttl := cmp.Or(req.TTL, stage.DefaultTTL)
	if err := stage.CheckTTL(ttl); err != nil {
		return stage.TokenRequest{}, err
	}
	return stage.TokenRequest{
		Stage: req.Stage, UserID: string(p.Account.ID), Capabilities: capabilities,
		Attributes: map[string]string{"name": p.Account.Name},
		TTL:        min(ttl, grant.MaxTTL),
	}, nil
}

func noGrant() error {
	return stage.Errorf(stage.ErrDenied,
		"You have no access to this stage; ask the operator for it.").WithCode("no_grant")
}

// cut returns the capabilities of a token for a purpose.
func cut(granted stage.Capabilities, purpose string) (stage.Capabilities, error) {
	want, ok := map[string]stage.Capabilities{
		"": granted, "publish": stage.Publish, forView: stage.Subscribe,
	}[purpose]
	if !ok {
		return 0, stage.Errorf(stage.ErrInvalid,
			`A token is for "publish" or for "view", not for %q; leave it out for both.`, purpose)
	}
	if !granted.Has(want) {
		return 0, stage.Errorf(stage.ErrDenied,
			"Your access to this stage does not include %s; ask the operator for it.", want).
			WithCode("no_capability")
	}
	return want, nil
}

func (c *Control) rate(bucket string) Rate {
	window, now := cmp.Or(c.cfg.TokenWindow, defaultTokenWindow), c.cfg.Now()
	return Rate{
		Bucket: bucket, Limit: max(0, cmp.Or(c.cfg.TokenLimit, defaultTokenLimit)),
		Since: now.Add(-window), Until: now.Add(clockSkew),
	}
}

func (c *Control) tooManyTokens(oldest time.Time, rate Rate) error {
	wait := max(time.Second, oldest.Sub(rate.Since))
	window := cmp.Or(c.cfg.TokenWindow, defaultTokenWindow)
	return stage.Errorf(stage.ErrTooMany, "The limit is %s in %s; try again in %s.",
		count(float64(rate.Limit), "token"), inWords(window), inWords(wait)).
		WithCode("too_many_tokens").WithRetry(wait)
}

func (c *Control) record(
	p Permit, rests basis, token stage.ParticipantToken, req IssueRequest,
) Issuance {
	by := token.IssuedBy
	if by == "" && req.Stage.Local() {
		by = "local key"
	}
	return Issuance{
		ID: token.Participant.ID, User: p.Account.ID,
		UserName: cmp.Or(rests.guest, p.Account.Name), Stage: req.Stage,
		Capabilities: token.Participant.Capabilities, IssuedBy: by,
		Bucket: rests.bucket, Credential: rests.credential, Kind: rests.kind,
		CredentialID: rests.by,
		IssuedAt:     c.cfg.Now(), ExpiresAt: token.ExpiresAt, Address: cleanText(req.Address, 64),
	}
}

// Tokens lists the newest records of the caller's tokens. If `all` is set, it lists those of all
// users, for an operator.
func (c *Control) Tokens(ctx context.Context, who Principal, all bool) ([]Issuance, error) {
	f, scope := TokenFilter{User: who.User.ID}, ScopeAccount
	if all {
		f.User, scope = "", ScopeAudit
	}
	if err := who.Require(scope); err != nil {
		return nil, err
	}
	if f.User == "" && !all {
		return nil, nil
	}
	list, err := c.cfg.Store.ListIssuances(ctx, f, c.cfg.Now(), Page{Limit: tokensListed})
	oldest := c.cfg.Now().Add(-tokensListAge)
	return slices.DeleteFunc(list.Items, func(i Issuance) bool {
		return i.IssuedAt.Before(oldest)
	}), err
}

// Token returns the record of a token of the caller, or of any token for an operator.
func (c *Control) Token(
	ctx context.Context, who Principal, id stage.ParticipantID,
) (Issuance, error) {
	if !who.Allows(ScopeAudit) {
		if err := who.Require(ScopeTokens); err != nil {
			return Issuance{}, err
		}
	}
	i, err := c.issuance(ctx, id)
	if err != nil {
		return Issuance{}, err
	}
	if !i.own(who) && (!who.Allows(ScopeAudit) || i.Stage.Rehearsal()) {
		return Issuance{}, noSuch("token")
	}
	return i, nil
}

func (c *Control) issuance(ctx context.Context, id stage.ParticipantID) (Issuance, error) {
	if !stage.ValidID(id) {
		return Issuance{}, noSuch("token")
	}
	i, err := c.cfg.Store.Issuance(ctx, id)
	return i, notFoundIs(err, noSuch("token"))
}

// own reports whether a token was issued to the principal's user, and the principal has the scope
// for tokens.
func (i Issuance) own(who Principal) bool {
	return who.User.ID != "" && i.User == who.User.ID && who.Allows(ScopeTokens)
}

// Revoke revokes a token of the caller, or any token for an operator, and ends its session.
// Revoking it again is not an error.
func (c *Control) Revoke(ctx context.Context, who Principal, id stage.ParticipantID) error {
	if !who.Allows(ScopeModerate) {
		if err := who.Require(ScopeTokens); err != nil {
			return err
		}
	}
	short, cancel := c.Outage.beforeEnd(ctx, id)
	defer cancel()
	i, err := c.issuance(short, id)
	if err == nil && !i.own(who) && (who.User.Role != Operator || !who.Allows(ScopeModerate)) {
		return noSuch("token")
	}
	if err == nil {
		err = c.revokeOne(short, who, i)
	}
	switch {
	case errors.Is(err, stage.ErrUnavailable):
		return c.revokeWithout(ctx, who, id, err)
	case err != nil:
		return err
	}
	return c.sessions.end(ctx, []Issuance{i}, reasonRevoked.sentence())
}

// revokeWithout is Revoke without the database.
func (c *Control) revokeWithout(
	ctx context.Context, who Principal, id stage.ParticipantID, away error,
) error {
	if c.cfg.Present == nil || !stage.ValidID(id) {
		return away
	}
	p, found := c.cfg.Present(ctx, id)
	own := who.User.ID != "" && p.UserID == string(who.User.ID) && who.Allows(ScopeTokens)
	if !found || !own && (who.User.Role != Operator || !who.Allows(ScopeModerate)) {
		return away
	}
	return c.Outage.end(ctx, who, Entry{
		Action: ActionTokenRevoked, Target: string(id), Stage: p.Stage,
		Detail: reasonRevoked.sentence(),
	}, away)
}

// revokeOne marks a token as revoked, unless it is revoked already.
func (c *Control) revokeOne(ctx context.Context, who Principal, i Issuance) error {
	return c.cfg.Store.Atomically(ctx, func(tx Store) error {
		revoked, err := tx.RevokeIssuances(ctx, Revocation{ID: i.ID}, c.cfg.Now())
		if err != nil || len(revoked) == 0 {
			return err
		}
		if err := c.outbox.announceRevoked(ctx, tx, revoked); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, who, Entry{
			Action: ActionTokenRevoked, Target: string(i.ID), TargetName: i.UserName,
			TargetUser: i.account(), Stage: i.Stage,
		})
	})
}
