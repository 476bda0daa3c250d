package access

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	ownBatch = 20
	// ownClaim is how long other replicas do not create a stage that one replica has claimed. It is
	// longer than a batch can wait for AWS's rate limit.
	ownClaim = 10 * time.Minute
	// The pause after an attempt is ownPause, doubled once for each attempt so far, and at most
	// ownPauseMax.
	ownPause    = 10 * time.Second
	ownPauseMax = 10 * time.Minute
)

// A StageMaker creates stages at Amazon IVS.
type StageMaker interface {
	// ServesRegion reports whether stages of the region are served.
	ServesRegion(region string) bool
	// EnsureStage creates a stage with these tags. If `again` is true, it first looks for an
	// existing stage with them.
	EnsureStage(ctx context.Context, region, name string, tags map[string]string, again bool) (
		stage.Stage, error)
}

// Tags of a stage that a rule created. After an interrupted attempt, the next one finds the stage
// by these tags.
const (
	TagRule = "stagedoor-rule"
	TagUser = "stagedoor-user"
)

// An OwnWanted is a user's own stage that must be created at AWS.
type OwnWanted struct {
	Rule  RuleID
	User  UserID
	Tries int // attempts that have begun, including this one
}

// MakeOwnStages creates the users' own stages that are due, and reports whether there may be more.
// A stage that AWS refuses is retried after a pause, and delays no other stage.
func (c *Control) MakeOwnStages(ctx context.Context) (more bool, err error) {
	if c.cfg.StageMaker == nil {
		return false, nil
	}
	now := c.cfg.Now()
	due, err := c.cfg.Store.ClaimOwnStages(ctx, now, now.Add(ownClaim), ownBatch)
	if err != nil || len(due) == 0 {
		return false, err
	}
	rules, err := c.cfg.Store.Rules(ctx)
	if err != nil {
		return false, err
	}
	for _, w := range due {
		err := c.makeOwnStage(ctx, rules, w)
		if err == nil {
			continue
		}
		if ctx.Err() != nil {
			return false, ctx.Err() // the claim expires by itself
		}
		if c.cfg.Log != nil {
			c.cfg.Log.WarnContext(ctx, "a user's own stage is not created yet", "rule", w.Rule,
				"user",
				w.User, "err", err)
		}
		pause := min(ownPause<<min(w.Tries, 10), ownPauseMax)
		if err := c.cfg.Store.PostponeOwnStage(ctx, w, c.cfg.Now().Add(pause)); err != nil {
			return false, err
		}
	}
	return len(due) == ownBatch, nil
}

func (c *Control) makeOwnStage(ctx context.Context, rules []Rule, w OwnWanted) error {
	var rule Rule
	for _, r := range rules {
		if r.ID == w.Rule {
			rule = r
		}
	}
	account, err := c.cfg.Store.Account(ctx, w.User)
	if rule.Region == "" || errors.Is(err, stage.ErrNotFound) {
		return c.cfg.Store.DropOwnStage(ctx, w) // no rule gives the stage any more
	}
	if err != nil {
		return err
	}
	name := ownName(rule.Own, account.Name)
	made, err := c.cfg.StageMaker.EnsureStage(ctx, rule.Region, awsName(name),
		map[string]string{TagRule: string(w.Rule), TagUser: string(w.User)}, w.Tries > 1)
	if err != nil {
		return err
	}
	if clean, err := cleanName(clipName(name)); err == nil {
		made.Name = clean
	}
	if err := c.keepOwnStage(ctx, rule, w, made); err != nil {
		return err
	}
	c.caches.changed("")
	return nil
}

// keepOwnStage stores a stage that was created, and applies the rules again, because the user may
// have lost the claim meanwhile.
func (c *Control) keepOwnStage(
	ctx context.Context, rule Rule, w OwnWanted, made stage.Stage,
) error {
	return c.cfg.Store.Atomically(ctx, func(tx Store) error {
		now := c.cfg.Now()
		account, err := tx.Account(ctx, w.User)
		if err != nil {
			return err
		}
		record := StageRecord{
			Stage: made, Limits: stage.DefaultLimits(), CreatedAt: now,
		}
		if made.Endpoints.WHIP != "" {
			record.EndpointsAt = now
		}
		if err := tx.PutStage(ctx, record); err != nil {
			return err
		}
		if err := tx.PutOwnStage(ctx, w.Rule, w.User, made.ARN); err != nil {
			return err
		}
		if err := tx.DropOwnStage(ctx, w); err != nil {
			return err
		}
		rules, err := tx.Rules(ctx)
		if err != nil {
			return err
		}
		by := Principal{User: User{Name: "rule: " + rule.words(rule.stages(nil))}}
		if err := c.trail.note(ctx, tx, by, ownStageEntry(made, account)); err != nil {
			return err
		}
		_, err = c.applyStored(ctx, tx, ruling{by: by}, rules, account)
		return err
	})
}

func ownStageEntry(made stage.Stage, account Account) Entry {
	e := stageEntry(ActionStageCreated, made)
	e.TargetUser, e.Detail = account.ID, "a stage of their own for "+account.Name
	return e
}

// awsName returns a name in the form that Amazon IVS accepts: at most 128 letters, digits, - and _.
func awsName(name string) string {
	plain := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '-'
	}, name)
	return plain[:min(len(plain), 128)]
}
