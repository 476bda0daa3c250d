package access

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	ruleBatch = 200 // accounts that are read at once
	// applyFor is how long one transaction applies rules. Other writers wait meanwhile, and a
	// transaction that takes too long fails (callLimit in package store).
	applyFor = 250 * time.Millisecond
	// While the database does not answer, applyInParts repeats a transaction applyRepeats times,
	// with pauses of applyPause.
	applyRepeats, applyPause = 4, time.Second
)

// applyToAll applies the rules to every account, in short transactions, so that tokens can be
// issued between them.
func (c *Control) applyToAll(ctx context.Context, by Principal) error {
	// The rule is stored already, so applyToAll must finish even if the client disconnects.
	ctx = context.WithoutCancel(ctx)
	revoked, err := c.applyInParts(ctx, by)
	c.caches.changed("")
	return cmp.Or(err, c.sessions.end(ctx, revoked, reasonChanged.sentence()))
}

// applyInParts applies the rules to every account. It goes on after an outage of a few seconds.
func (c *Control) applyInParts(
	ctx context.Context, by Principal,
) (revoked []Issuance, err error) {
	for last, failures := UserID(""), 0; ; {
		upTo, lost, err := c.applyToSome(ctx, by, last)
		switch {
		case errors.Is(err, stage.ErrUnavailable) && failures < applyRepeats:
			failures++
			if err := rest(ctx, applyPause); err != nil {
				return revoked, err
			}
			continue
		case errors.Is(err, stage.ErrUnavailable):
			return revoked, stage.Errorf(stage.ErrUnavailable, "The change is stored, but the "+
				"database stopped answering before it applied to every user: save any rule once "+
				"more to finish it.").WithCode("rule_unfinished").WithCause(err)
		case err != nil:
			return revoked, err
		}
		revoked = append(revoked, lost...)
		if upTo == "" {
			return revoked, nil
		}
		last, failures = upTo, 0
	}
}

// applyToSome applies the rules to some of the accounts whose ID follows the given one, in one
// transaction. It returns the ID of the last account, or "" if no account follows.
func (c *Control) applyToSome(
	ctx context.Context, by Principal, after UserID,
) (last UserID, revoked []Issuance, err error) {
	err = c.cfg.Store.Atomically(ctx, func(tx Store) error {
		begin := c.cfg.Now()
		last, revoked = "", nil // the database may repeat the transaction
		rules, err := tx.Rules(ctx)
		if err != nil {
			return err
		}
		batch, err := tx.AccountsAfter(ctx, after, ruleBatch)
		if err != nil {
			return err
		}
		for _, account := range batch {
			lost, err := c.applyStored(ctx, tx, ruling{by: by}, rules, account)
			if err != nil {
				return err
			}
			last, revoked = account.ID, append(revoked, lost...)
			if c.cfg.Now().Sub(begin) >= applyFor {
				break
			}
		}
		return nil
	})
	return last, revoked, err
}

// applyStored applies the rules with the claims of the user's last sign-ins.
func (c *Control) applyStored(
	ctx context.Context, tx Store, why ruling, rules []Rule, account Account,
) ([]Issuance, error) {
	identities, err := tx.IdentitiesOf(ctx, account.ID)
	if err != nil {
		return nil, err
	}
	why.rules = rules
	if !c.signIns.byPassword(account) && allRefused(identities) {
		rules = nil // the provider refused the user: no rule applies, not even rules for every user
	}
	return c.apply(ctx, tx, why, rules, account, claimsOf(identities))
}

func (c *Control) applyRules(
	ctx context.Context, tx Store, why ruling, account Account, claims map[string][]string,
) ([]Issuance, error) {
	rules, err := tx.Rules(ctx)
	if err != nil {
		return nil, err
	}
	why.rules = rules
	return c.apply(ctx, tx, why, rules, account, claims)
}

// A ruling is the reason for applying the rules, for the audit trail.
type ruling struct {
	by    Principal
	rules []Rule // all rules, so that the trail can describe them
	lost  string // the reason if access ends; empty means that the rules no longer give it
	// widened collects the users who got access to a stage that was created for another user. It
	// may be nil.
	widened *[]UserID
}

// noteRuled records in the audit trail the access that the rules gave or removed.
func (c *Control) noteRuled(
	ctx context.Context, tx Store, why ruling, account Account, g Grant,
) error {
	e := userEntry(ActionAccessGiven, account)
	e.Stage, e.Detail = g.Stage, g.Capabilities.String()+", by rule"
	if g.Capabilities == 0 {
		e.Action, e.Detail = ActionAccessRemoved, cmp.Or(why.lost, "by rule")
	}
	return c.trail.note(ctx, tx, why.by, e)
}

// apply replaces the grants that rules gave earlier by those that the rules give now. It keeps the
// grants that an operator gave.
func (c *Control) apply(
	ctx context.Context, tx Store, why ruling, rules []Rule, account Account,
	claims map[string][]string,
) ([]Issuance, error) {
	wanted, err := c.wanted(ctx, tx, why, rules, account, claims)
	if err != nil {
		return nil, err
	}
	wide := wantedOfRules(rules, account.ID, claims)
	wideThere, err := ruleGrantsOf(ctx, tx, account.ID)
	if err != nil {
		return nil, err
	}
	if err := c.widen(ctx, tx, why, account, wide, wideThere); err != nil {
		return nil, err
	}
	there, err := tx.Grants(ctx, account.ID)
	if err != nil {
		return nil, err
	}
	var revoked []Issuance
	for _, g := range there {
		want, stays := wanted[g.Stage]
		delete(wanted, g.Stage)
		if !g.ByRule {
			continue
		}
		lost, err := c.applyTo(ctx, tx, why, account, g, want, stays, wide)
		if err != nil {
			return nil, err
		}
		revoked = append(revoked, lost...)
	}
	lost, err := c.shrink(ctx, tx, why, account, wide, wideThere)
	if err != nil {
		return nil, err
	}
	revoked = append(revoked, lost...)
	return revoked, c.giveByRule(ctx, tx, why, account, wanted)
}

// applyTo replaces a grant that a rule gave earlier by the one that the rules give now, or deletes
// it.
func (c *Control) applyTo(
	ctx context.Context, tx Store, why ruling, account Account, g, want Grant, stays bool,
	wide map[RuleID]RuleGrant,
) ([]Issuance, error) {
	want.BarredAt, want.BarredReason, want.BarredBy = g.BarredAt, g.BarredReason, g.BarredBy
	if stays && want == g {
		return nil, nil
	}
	if !stays {
		// putBar may have stored this grant to bar a user who has access to all stages of a rule.
		// It stays, since removing the grant would end the bar.
		covered, err := madeBy(ctx, tx, g.Stage, wide)
		if err != nil || covered && !g.BarredAt.IsZero() {
			return nil, err
		}
		if err := tx.DeleteGrant(ctx, account.ID, g.Stage); err != nil || covered {
			return nil, err
		}
		want = Grant{User: account.ID, Stage: g.Stage}
	} else if err := tx.PutGrant(ctx, want); err != nil {
		return nil, err
	}
	lost, err := c.narrow(ctx, tx, account, g.Stage)
	if err != nil {
		return nil, err
	}
	return lost, c.noteRuled(ctx, tx, why, account, want)
}

// giveByRule adds the grants that rules give and that do not exist yet.
func (c *Control) giveByRule(
	ctx context.Context, tx Store, why ruling, account Account, wanted map[stage.ARN]Grant,
) error {
	for _, g := range wanted {
		if err := tx.PutGrant(ctx, g); err != nil {
			return err
		}
		if err := tx.Advance(ctx, account.ID); err != nil {
			return err
		}
		if err := c.noteRuled(ctx, tx, why, account, g); err != nil {
			return err
		}
	}
	return nil
}

// wantedOfRules returns the RuleGrants that the rules give a user now.
func wantedOfRules(
	rules []Rule, id UserID, claims map[string][]string,
) map[RuleID]RuleGrant {
	grants := map[RuleID]RuleGrant{}
	for _, r := range rules {
		if r.OwnOf == "" || !r.holdsFor(claims) {
			continue
		}
		g := grants[r.OwnOf]
		grants[r.OwnOf] = RuleGrant{
			User: id, Rule: r.OwnOf, Capabilities: g.Capabilities | r.Capabilities,
			MaxTTL: max(g.MaxTTL, r.MaxTTL),
		}
	}
	return grants
}

func (r Rule) holdsFor(claims map[string][]string) bool {
	return r.Claim.Name == "" || r.Claim.Holds(claims)
}

// wanted returns the grants that the rules give a user on single stages. If several rules give the
// same stage, the grant has all their capabilities and the longest life.
func (c *Control) wanted(
	ctx context.Context, tx Store, why ruling, rules []Rule, account Account,
	claims map[string][]string,
) (map[stage.ARN]Grant, error) {
	grants := map[stage.ARN]Grant{}
	for _, r := range rules {
		if r.OwnOf != "" || !r.holdsFor(claims) {
			continue
		}
		arn := r.Stage
		if r.Own != "" {
			own, err := c.ownStage(ctx, tx, why, r, account)
			if err != nil {
				return nil, err
			}
			if own == "" {
				continue // the stage must be created at AWS first
			}
			arn = own
		}
		g := grants[arn]
		grants[arn] = Grant{
			User: account.ID, Stage: arn, Capabilities: g.Capabilities | r.Capabilities,
			MaxTTL: max(g.MaxTTL, r.MaxTTL), ByRule: true,
		}
	}
	return grants, nil
}

// ownStage returns the stage that a rule gives to one user alone, or creates it. It returns ""
// while AWS must still create it.
func (c *Control) ownStage(
	ctx context.Context, tx Store, why ruling, r Rule, account Account,
) (stage.ARN, error) {
	arn, err := tx.OwnStage(ctx, r.ID, account.ID)
	if !errors.Is(err, stage.ErrNotFound) {
		return arn, err
	}
	if r.Region != "" {
		return "", tx.WantOwnStage(ctx, r.ID, account.ID, c.cfg.Now())
	}
	name, err := freeStageName(ctx, tx, ownName(r.Own, account.Name))
	if err != nil {
		return "", err
	}
	made := stage.Stage{ARN: stage.LocalARN(stage.NewID()), Name: name}
	record := StageRecord{
		Stage: made, Key: nameKey(name), Limits: stage.DefaultLimits(), CreatedAt: c.cfg.Now(),
	}
	if err := tx.PutStage(ctx, record); err != nil {
		return "", err
	}
	if err := c.trail.note(ctx, tx, why.by, ownStageEntry(made, account)); err != nil {
		return "", err
	}
	if why.widened != nil {
		holders, err := tx.RuleHolders(ctx, r.ID)
		if err != nil {
			return "", err
		}
		*why.widened = append(*why.widened, holders...)
	}
	return made.ARN, tx.PutOwnStage(ctx, r.ID, account.ID, made.ARN)
}

func freeStageName(ctx context.Context, tx Store, wanted string) (string, error) {
	return freeName(wanted, func(key string) error {
		_, err := tx.StageNamed(ctx, key)
		return err
	})
}
