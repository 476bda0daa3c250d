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
	// rehearsalLife is the life of both tokens of a rehearsal, and the time after which the local
	// stage ends its sessions. It covers the twenty seconds that the dock measures, and the start
	// before them.
	rehearsalLife = 90 * time.Second
	// rehearsalLimit is the most tokens for rehearsals in a TokenWindow; each rehearsal needs two.
	rehearsalLimit = 20
	// rehearsalBucket is the bucket in which the tokens of rehearsals are counted, so that
	// rehearsals do not use up the rate limit for going live.
	rehearsalBucket = "rehearsal "
)

// A Rehearsal contains the tokens for a user's private stage: one to publish, one to watch.
type Rehearsal struct{ Publish, View stage.ParticipantToken }

// MayRehearse returns an error if a principal with access to these stages may not rehearse. A
// rehearsal requires a login whose user may publish on some stage. The server must have a local
// stage, since a server without one may not be reachable for media.
func (c *Control) MayRehearse(ctx context.Context, who Principal, stages []StageAccess) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	if who.Kind != KindLogin {
		return signInFirst()
	}
	all, err := c.stageList.cached(ctx)
	if err != nil {
		return err
	}
	local := func(s StageRecord) bool { return s.ARN.Local() }
	if c.cfg.NoLocalStages || !slices.ContainsFunc(all, local) {
		return stage.Errorf(stage.ErrConflict, "This server has no local stage to rehearse on.").
			WithCode("no_rehearsal")
	}
	return publishes(stages)
}

// publishes returns an error unless the user may publish to one of the stages.
func publishes(stages []StageAccess) error {
	if slices.ContainsFunc(stages, func(s StageAccess) bool {
		return s.Capabilities.Has(stage.Publish)
	}) {
		return nil
	}
	return stage.Errorf(stage.ErrDenied,
		"You may not publish on any stage; ask the operator for access.").WithCode("no_grant")
}

// Rehearse issues the tokens of a rehearsal. They end with the login that requested them.
func (c *Control) Rehearse(
	ctx context.Context, who Principal, address string,
) (Rehearsal, error) {
	stages, err := c.Stages.Of(ctx, who)
	if err != nil {
		return Rehearsal{}, err
	}
	if err := c.MayRehearse(ctx, who, stages); err != nil {
		return Rehearsal{}, err
	}
	publish, err := c.issueRehearsal(ctx, who, stage.Publish, address)
	if err != nil {
		return Rehearsal{}, err
	}
	view, err := c.issueRehearsal(ctx, who, stage.Subscribe, address)
	if err != nil {
		return Rehearsal{}, err
	}
	c.trail.noteLate(ctx, who, Entry{
		Action: ActionRehearsed, Target: string(publish.Participant.ID),
		TargetName: who.User.Name, TargetUser: who.User.ID,
	})
	return Rehearsal{Publish: publish, View: view}, nil
}

// Rehearses returns an error unless a participant belongs to a running rehearsal of the principal.
func (c *Control) Rehearses(ctx context.Context, who Principal, id stage.ParticipantID) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	i, err := c.issuance(ctx, id)
	if err != nil {
		return err
	}
	if !i.own(who) || !i.Stage.Rehearsal() || !c.cfg.Now().Before(i.ExpiresAt) {
		return noSuch("rehearsal")
	}
	return nil
}

// issueRehearsal issues one token, and passes the token or the error to Config.Asked.
func (c *Control) issueRehearsal(
	ctx context.Context, who Principal, can stage.Capabilities, address string,
) (stage.ParticipantToken, error) {
	req := IssueRequest{Stage: stage.RehearsalARN(string(who.User.ID)), Address: address}
	token, err := c.issueRehearsalInTurn(ctx, who, can, req)
	c.asked(req.Stage, token, err)
	return token, err
}

// issueRehearsalInTurn retries the decision while the account changes between decision and insert.
func (c *Control) issueRehearsalInTurn(
	ctx context.Context, who Principal, can stage.Capabilities, req IssueRequest,
) (stage.ParticipantToken, error) {
	rests := basis{
		user: who.User.ID, bucket: rehearsalBucket + string(who.User.ID),
		credential: who.CredentialID, kind: who.Kind, by: who.CredentialID,
	}
	rate := c.rate(rests.bucket)
	rate.Limit = min(rate.Limit, rehearsalLimit) // 0 means no limit
	for range issueTries {
		permit, err := c.cfg.Store.Permit(ctx, who.User.ID, req.Stage, rate)
		if err != nil {
			return stage.ParticipantToken{}, notFoundIs(err, signInAgain())
		}
		if err := cmp.Or(permit.Account.active(), c.stillHeld(ctx, rests)); err != nil {
			return stage.ParticipantToken{}, err
		}
		if !permit.Full.IsZero() {
			return stage.ParticipantToken{}, c.tooManyTokens(permit.Full, rate)
		}
		token, err := c.cfg.Issuer.IssueToken(ctx, stage.TokenRequest{
			Stage: req.Stage, UserID: string(who.User.ID), Capabilities: can,
			Attributes: map[string]string{"name": permit.Account.Name}, TTL: rehearsalLife,
		})
		if err != nil {
			return stage.ParticipantToken{}, fmt.Errorf("rehearsal of %s: %w", who.User.ID, err)
		}
		err = c.cfg.Store.AddIssuance(ctx, c.record(permit, rests, token, req),
			permit.Account.Revision, rate)
		if !errors.Is(err, stage.ErrConflict) {
			return token, err
		}
	}
	return stage.ParticipantToken{}, stage.Errorf(stage.ErrUnavailable,
		"The account is being changed at this moment; try again.").WithRetry(time.Second)
}

// stillRehearses returns an error when a rehearsal has ended, or when its user may no longer
// publish anywhere. A rehearsal ends exactly when its token expires, since OBS retries with the
// same token after the stage has ended the session.
func (c *Control) stillRehearses(ctx context.Context, i Issuance) error {
	if !c.cfg.Now().Before(i.ExpiresAt) || i.Stage != stage.RehearsalARN(string(i.User)) {
		return stage.Errorf(stage.ErrDenied, "The time of the rehearsal is over.").
			WithCode("rehearsal_over")
	}
	account, err := c.cfg.Store.Account(ctx, i.User)
	if err != nil {
		return notFoundIs(err, tokenRevoked())
	}
	if err := account.active(); err != nil {
		return err
	}
	reach, err := c.stageList.reachOf(ctx, account.User, c.stageList.current)
	if err != nil {
		return err
	}
	return publishes(reach.Stages)
}
