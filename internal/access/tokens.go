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
	clockSkew          = time.Minute // by which the clocks of replicas may differ

	tokensListed  = 500
	tokensListAge = 14 * 24 * time.Hour
	// A decision is made again when what it rested on changed before it was recorded; this often is somebody's joke.
	issueTries = 10
	// How long sending somebody away may take once it is decided, whatever becomes of the request that asked for it.
	disconnectLimit = time.Minute
	// Above this, ask who is there before knocking at every door: AWS takes 5 requests a second.
	fewParticipants = 10
)

// forView is the purpose of a view token.
const forView = "view"

// An IssueRequest asks for a token. All else is the server's to decide.
type IssueRequest struct {
	Stage   stage.ARN
	TTL     time.Duration // 0: the default
	For     string        // "publish" or "view": that capability alone; "": all that the grant has
	Address string
}

// Issue is the one place where tokens come from: grant, life, limit, issuer, record.
func (c *Control) Issue(ctx context.Context, who Principal, req IssueRequest) (stage.ParticipantToken, error) {
	if err := who.Require(ScopeTokens); err != nil {
		return stage.ParticipantToken{}, err
	}
	rests := basis{user: who.User.ID, bucket: string(who.User.ID)}
	if who.Kind == KindLogin && req.For == forView {
		rests.credential = who.CredentialID
	}
	return c.issue(ctx, rests, req)
}

// A basis is what a token rests on beside the grant: its user, the bucket of the rate limit, and, of a view token, the
// login or viewing key with which it ends.
type basis struct {
	user       UserID
	bucket     string
	credential string
}

// issue decides, and decides again when what the decision rested on has changed.
//
// The first decision rests on what is remembered of the account and its grant: the database refuses the record when the
// account's revision has moved on. So a token costs one statement, and no replica is ever behind.
func (c *Control) issue(ctx context.Context, rests basis, req IssueRequest) (stage.ParticipantToken, error) {
	if _, err := stage.ParseARN(string(req.Stage)); err != nil {
		return stage.ParticipantToken{}, err
	}
	key := permitKey{rests.user, req.Stage}
	if permit, _, known := c.permits.recall(key); known {
		token, err := c.issueOn(ctx, permit, rests, req)
		if err == nil {
			return token, nil
		}
		c.permits.forget(key)
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
	return stage.ParticipantToken{}, stage.Errorf(stage.ErrUnavailable, "Too much changes at this moment; try again.").WithRetry(time.Second)
}

var errDecideAgain = errors.New("what the decision rested on has changed")

// readPermit reads what the decision rests on, and refuses while the rate is used up: before anything is signed.
func (c *Control) readPermit(ctx context.Context, key permitKey, bucket string) (Permit, error) {
	_, age, _ := c.permits.recall(key)
	rate := c.rate(bucket)
	permit, err := c.Store.Permit(ctx, key.user, key.stage, rate)
	if err != nil {
		return Permit{}, notFoundIs(err, signInAgain())
	}
	switch {
	case !mayEnter(permit): // decide says why; it is not remembered, since only a record is checked against the revision
	case !permit.Full.IsZero():
		return Permit{}, c.tooManyTokens(permit.Full, rate)
	default:
		c.permits.keep(key, permit, age)
	}
	return permit, nil
}

// issueOn asks the issuer and records what it gave.
func (c *Control) issueOn(ctx context.Context, permit Permit, rests basis, req IssueRequest) (stage.ParticipantToken, error) {
	if err := c.still(ctx, rests); err != nil {
		return stage.ParticipantToken{}, err
	}
	ask, err := decide(permit, req)
	if err != nil {
		return stage.ParticipantToken{}, err
	}
	token, err := c.Issuer.IssueToken(ctx, ask)
	if err != nil {
		return stage.ParticipantToken{}, fmt.Errorf("token of %s for %s: %w", permit.Account.ID, req.Stage, err)
	}
	issuance := c.record(permit, rests, token, req)
	err = c.Store.AddIssuance(ctx, issuance, permit.Account.Revision, c.rate(rests.bucket))
	if errors.Is(err, stage.ErrConflict) {
		return stage.ParticipantToken{}, errDecideAgain
	}
	if err != nil {
		return stage.ParticipantToken{}, err
	}
	c.announceToken(ctx, issuance)
	return token, c.remember(ctx, permit, token)
}

func mayEnter(p Permit) bool { return p.Stage && p.grant().Capabilities != 0 }

// grant is what the account may do on the stage at present.
func (p Permit) grant() Grant {
	if !p.Account.SuspendedAt.IsZero() {
		return Grant{}
	}
	return effective(p.Account.Role, p.Grant)
}

// decide turns what was asked for into what is given.
func decide(p Permit, req IssueRequest) (stage.TokenRequest, error) {
	if err := p.Account.active(); err != nil {
		return stage.TokenRequest{}, err
	}
	grant := p.grant()
	if grant.Capabilities == 0 {
		return stage.TokenRequest{}, noGrant()
	}
	if !p.Stage {
		return stage.TokenRequest{}, noSuch("stage")
	}
	capabilities, err := cut(grant.Capabilities, req.For)
	if err != nil {
		return stage.TokenRequest{}, err
	}
	ttl := cmp.Or(req.TTL, stage.DefaultTTL)
	if ttl < stage.MinTTL {
		return stage.TokenRequest{}, stage.Errorf(stage.ErrInvalid, "A token lives from 1 minute to 14 days.")
	}
	return stage.TokenRequest{
		Stage: req.Stage, UserID: string(p.Account.ID), Attributes: map[string]string{"name": p.Account.Name},
		Capabilities: capabilities, TTL: min(ttl, grant.MaxTTL, stage.MaxTTL),
	}, nil
}

func noGrant() error {
	return stage.Errorf(stage.ErrDenied, "You have no access to this stage; ask the operator for it.").WithCode("no_grant")
}

// cut leaves of the granted capabilities what the token is for.
func cut(granted stage.Capabilities, purpose string) (stage.Capabilities, error) {
	want, ok := map[string]stage.Capabilities{"": granted, "publish": stage.Publish, forView: stage.Subscribe}[purpose]
	if !ok {
		return 0, stage.Errorf(stage.ErrInvalid, `A token is for "publish" or for "view", not for %q; leave it out for both.`, purpose)
	}
	if !granted.Has(want) {
		return 0, stage.Errorf(stage.ErrDenied, "Your access to this stage does not include %s; ask the operator for it.", want).WithCode("no_capability")
	}
	return want, nil
}

func (c *Control) rate(bucket string) Rate {
	window, now := cmp.Or(c.TokenWindow, defaultTokenWindow), c.Now()
	return Rate{
		Bucket: bucket, Limit: max(0, cmp.Or(c.TokenLimit, defaultTokenLimit)), Since: now.Add(-window), Until: now.Add(clockSkew),
	}
}

func (c *Control) tooManyTokens(oldest time.Time, rate Rate) error {
	wait := max(time.Second, oldest.Sub(rate.Since))
	window := cmp.Or(c.TokenWindow, defaultTokenWindow)
	return stage.Errorf(stage.ErrTooMany, "%s in %s is the limit; try again in %s.", count(float64(rate.Limit), "token"), inWords(window), inWords(wait)).
		WithCode("too_many_tokens").WithRetry(wait)
}

func (c *Control) record(p Permit, rests basis, token stage.ParticipantToken, req IssueRequest) Issuance {
	by := token.IssuedBy
	if by == "" && req.Stage.Local() {
		by = "local key"
	}
	return Issuance{
		ID: token.Participant.ID, User: p.Account.ID, UserName: p.Account.Name, Stage: req.Stage,
		Capabilities: token.Participant.Capabilities, IssuedBy: by, Bucket: rests.bucket, Credential: rests.credential,
		IssuedAt: c.Now(), ExpiresAt: token.ExpiresAt, Address: cleanText(req.Address, 64),
	}
}

// Tokens lists the newest records: one's own, or everybody's for an operator who asks for all.
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
	list, err := c.Store.ListIssuances(ctx, f, c.Now(), Page{Limit: tokensListed})
	oldest := c.Now().Add(-tokensListAge)
	return slices.DeleteFunc(list.Items, func(i Issuance) bool { return i.IssuedAt.Before(oldest) }), err
}

// Token is the record of one token: one's own, or anybody's for an operator.
func (c *Control) Token(ctx context.Context, who Principal, id stage.ParticipantID) (Issuance, error) {
	if !who.Allows(ScopeAudit) {
		if err := who.Require(ScopeTokens); err != nil {
			return Issuance{}, err
		}
	}
	i, err := c.issuance(ctx, id)
	if err != nil {
		return Issuance{}, err
	}
	if !i.own(who) && !who.Allows(ScopeAudit) {
		return Issuance{}, noSuch("token")
	}
	return i, nil
}

func (c *Control) issuance(ctx context.Context, id stage.ParticipantID) (Issuance, error) {
	if !plainID(id) {
		return Issuance{}, noSuch("token")
	}
	i, err := c.Store.Issuance(ctx, id)
	return i, notFoundIs(err, noSuch("token"))
}

// own reports whether a token was issued to the principal's user.
func (i Issuance) own(who Principal) bool {
	return who.User.ID != "" && i.User == who.User.ID && who.Allows(ScopeTokens)
}

// Revoke ends a token and its session: one's own, or anybody's for those who may kick. Twice is once.
func (c *Control) Revoke(ctx context.Context, who Principal, id stage.ParticipantID) error {
	if !who.Allows(ScopeModerate) {
		if err := who.Require(ScopeTokens); err != nil {
			return err
		}
	}
	i, err := c.issuance(ctx, id)
	if err != nil {
		return err
	}
	if !i.own(who) && (who.User.Role != Operator || !who.Allows(ScopeModerate)) {
		return noSuch("token")
	}
	if err := c.revokeOne(ctx, who, i); err != nil {
		return err
	}
	return c.disconnect(ctx, []Issuance{i}, "The token was revoked.")
}

// Kick sends a participant away and bars the token. The participant need not be one of ours: on AWS others issue tokens, too.
func (c *Control) Kick(ctx context.Context, who Principal, arn stage.ARN, id stage.ParticipantID, reason string) error {
	if err := c.mayKick(ctx, who, arn); err != nil {
		return err
	}
	if !plainID(id) {
		return noSuch("participant")
	}
	i, err := c.Store.Issuance(ctx, id)
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		return err
	}
	ours := i.Stage == arn
	if ours {
		if _, err := c.Store.RevokeIssuances(ctx, Revocation{ID: id}, c.Now()); err != nil {
			return err
		}
	}
	err = c.sendAway(ctx, arn, id, kickReason(reason))
	if err == nil || ours {
		c.noteLate(ctx, who, Entry{
			Action: ActionKicked, Target: string(id), TargetName: i.UserName, Stage: arn, Detail: kickReason(reason),
		})
	}
	if ours {
		return notFoundIs(err, nil)
	}
	return notFoundIs(err, noSuch("participant"))
}

// mayKick reports why a principal may not send participants away from a stage. A moderator may where
// they have access.
func (c *Control) mayKick(ctx context.Context, who Principal, arn stage.ARN) error {
	if err := who.Require(ScopeModerate); err != nil {
		return err
	}
	if _, err := stageOf(ctx, c.Store, arn); err != nil {
		return err
	}
	if who.User.Role == Operator {
		return nil
	}
	permit, err := c.Store.Permit(ctx, who.User.ID, arn, Rate{})
	if err != nil {
		return notFoundIs(err, signInAgain())
	}
	if !mayEnter(permit) {
		return noGrant()
	}
	return nil
}

// revokeOne marks a token as revoked, once.
func (c *Control) revokeOne(ctx context.Context, who Principal, i Issuance) error {
	return c.Store.Atomically(ctx, func(tx Store) error {
		revoked, err := tx.RevokeIssuances(ctx, Revocation{ID: i.ID}, c.Now())
		if err != nil || len(revoked) == 0 {
			return err
		}
		if err := c.announce(ctx, tx, MessageTokenRevoked, tokenMessage(i)); err != nil {
			return err
		}
		return c.note(ctx, tx, who, Entry{
			Action: ActionTokenRevoked, Target: string(i.ID), TargetName: i.UserName, Stage: i.Stage,
		})
	})
}

// kickReason keeps within what DisconnectParticipant takes (0–128 characters).
func kickReason(reason string) string {
	return cmp.Or(cleanText(reason, 128), "Removed by the operator.")
}

func (c *Control) sendAway(ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectLimit)
	defer cancel()
	return c.Moderator.Disconnect(ctx, arn, id, reason)
}

// revokeOpen marks the matching tokens that could still be used, or whose session may still run: a session outlives its
// token's expiry by at most a session's longest life.
func (c *Control) revokeOpen(ctx context.Context, tx Store, match Revocation) ([]Issuance, error) {
	now := c.Now()
	match.ExpiresAfter = now.Add(-stage.MaxSession)
	match.IssuedAfter = match.ExpiresAfter.Add(-stage.MaxTTL - clockSkew)
	return tx.RevokeIssuances(ctx, match, now)
}

// revokeOrphans revokes a user's view tokens whose login or viewing key is gone, those included that are being issued now.
func (c *Control) revokeOrphans(ctx context.Context, tx Store, id UserID) ([]Issuance, error) {
	if err := tx.Advance(ctx, id); err != nil {
		return nil, err
	}
	return c.revokeOpen(ctx, tx, Revocation{User: id, Orphaned: true})
}

// disconnectOrLog is disconnect where the caller has done what was asked, whatever becomes of the sessions.
func (c *Control) disconnectOrLog(ctx context.Context, revoked []Issuance, reason string) {
	if err := c.disconnect(ctx, revoked, reason); err != nil && c.Log != nil {
		c.Log.Warn("sessions of revoked tokens were not ended", "user", revoked[0].User, "err", err)
	}
}

// disconnect ends the sessions of tokens that were revoked, after the commit. It tries all before it reports what failed.
func (c *Control) disconnect(ctx context.Context, revoked []Issuance, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectLimit)
	defer cancel()
	of := map[stage.ARN][]stage.ParticipantID{}
	for _, i := range revoked {
		of[i.Stage] = append(of[i.Stage], i.ID)
	}
	var failed []error
	for arn, ids := range of {
		for _, id := range c.present(ctx, arn, ids) {
			if err := c.Moderator.Disconnect(ctx, arn, id, reason); err != nil && !errors.Is(err, stage.ErrNotFound) {
				failed = append(failed, fmt.Errorf("disconnect %s: %w", id, err))
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return stage.Errorf(stage.ErrUnavailable, "It is done, but a session that is running could not be ended; try again.").WithCause(errors.Join(failed...))
}

// present narrows many participants down to those who are on the stage, if the stage can be asked.
func (c *Control) present(ctx context.Context, arn stage.ARN, ids []stage.ParticipantID) []stage.ParticipantID {
	if len(ids) <= fewParticipants {
		return ids
	}
	there, err := c.Moderator.Participants(ctx, arn)
	if err != nil {
		return ids
	}
	wanted := map[stage.ParticipantID]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	var present []stage.ParticipantID
	for _, p := range there {
		if wanted[p.Participant.ID] {
			present = append(present, p.Participant.ID)
		}
	}
	return present
}

// A Verifier checks the signature and the claims of a token for a local stage. With an error the participant is at most
// a claim: an ID and a stage that nothing proves.
type Verifier interface {
	Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error)
}

// Verify checks a token for a local stage: its signature, its record, and the access on which it rests. The participant
// carries the view of a viewing key's token, which only the record knows. With an error it is at most a claim, as of a
// Verifier.
func (c *Control) Verify(ctx context.Context, bearer stage.Secret) (stage.Participant, error) {
	p, err := c.Verifier.Verify(ctx, bearer)
	if err != nil {
		return p, err
	}
	known, err := c.recognize(ctx, p)
	if err != nil {
		return stage.Participant{ID: p.ID, Stage: p.Stage}, err
	}
	return known, nil
}

// recognize decides about a participant whose token is genuine: it was issued here and is not revoked, its user still
// exists and still has the access that it needs.
func (c *Control) recognize(ctx context.Context, p stage.Participant) (stage.Participant, error) {
	if !plainID(p.ID) {
		return p, tokenRevoked()
	}
	i, err := c.Store.Issuance(ctx, p.ID)
	if err != nil {
		return p, notFoundIs(err, tokenRevoked())
	}
	if !i.RevokedAt.IsZero() || i.Stage != p.Stage || !i.Capabilities.Has(p.Capabilities) {
		return p, tokenRevoked()
	}
	p.Capabilities = cmp.Or(p.Capabilities, i.Capabilities) // a token for AWS is known by its hash alone
	permit, err := c.Store.Permit(ctx, i.User, i.Stage, Rate{})
	if err != nil {
		return p, notFoundIs(err, tokenRevoked())
	}
	if !permit.Stage || !permit.grant().Capabilities.Has(p.Capabilities) {
		return p, noGrant()
	}
	if i.Credential != "" {
		cred, err := c.holds(ctx, i.User, i.Credential)
		if err != nil {
			return p, notFoundIs(err, tokenRevoked())
		}
		p.View = stage.View(cred.View)
	}
	return p, nil
}

// MayStay returns why a participant of a local stage may not stay there any more, or nil.
func (c *Control) MayStay(ctx context.Context, p stage.Participant) error {
	_, err := c.recognize(ctx, p)
	return err
}

// still returns an error when the credential that asks for a view token has ended.
func (c *Control) still(ctx context.Context, rests basis) error {
	if rests.credential == "" {
		return nil
	}
	_, err := c.holds(ctx, rests.user, rests.credential)
	return notFoundIs(err, credentialEnded())
}

// holds reads a credential of a user, or returns stage.ErrNotFound when it is gone or has expired.
func (c *Control) holds(ctx context.Context, user UserID, id string) (Credential, error) {
	found, err := c.Store.Credentials(ctx, Match{ID: id, User: user})
	if err != nil {
		return Credential{}, err
	}
	if len(found) == 0 || !found[0].ExpiresAt.IsZero() && !c.Now().Before(found[0].ExpiresAt) {
		return Credential{}, stage.ErrNotFound
	}
	return found[0], nil
}

func credentialEnded() error {
	return stage.Errorf(stage.ErrUnauthorized, "This sign-in or key has ended.").WithCode("unauthorized")
}

func tokenRevoked() error {
	return stage.Errorf(stage.ErrDenied, "This token was revoked or is not known here; get a new one from the dock.").WithCode("token_revoked")
}
