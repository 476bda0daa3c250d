package access

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	maxRules       = 500
	maxClaimLength = 256
	ruleBatch      = 200 // accounts that are read at once
	// applyFor is how long one transaction applies rules. Other writers wait meanwhile, and a
	// transaction that takes too long fails (callLimit in package store).
	applyFor = 250 * time.Millisecond
	// While the database does not answer, applyInParts repeats a transaction applyRepeats times,
	// with pauses of applyPause.
	applyRepeats, applyPause = 4, time.Second
)

// A RuleID identifies a rule.
type RuleID string

// A Rule gives users access to a stage: those with a certain value of a claim, or every user.
type Rule struct {
	ID    RuleID
	Claim Claim     // empty for every user
	Stage stage.ARN // empty: see Own and OwnOf
	// Own is the name of the stage that each user gets; {name} stands for the name of the user.
	Own string
	// OwnOf names another rule, which has the field Own. This rule gives access to every stage that
	// the other rule creates.
	OwnOf        RuleID
	Region       string // AWS region of the stages that the rule creates; empty for local stages
	Capabilities stage.Capabilities
	MaxTTL       time.Duration
	CreatedAt    time.Time
}

// A RuleStore stores rules, the stages that they created, and the stages that they still have to
// create at AWS.
type RuleStore interface {
	// Rules lists all rules, oldest first.
	Rules(ctx context.Context) ([]Rule, error)
	PutRule(ctx context.Context, r Rule) error
	// DeleteRule returns stage.ErrNotFound for an unknown ID.
	DeleteRule(ctx context.Context, id RuleID) error
	// OwnStage returns the stage that a rule created for a user, or stage.ErrNotFound.
	OwnStage(ctx context.Context, rule RuleID, user UserID) (stage.ARN, error)
	PutOwnStage(ctx context.Context, rule RuleID, user UserID, arn stage.ARN) error
	// WantOwnStage records, once, that a stage must be created at AWS.
	WantOwnStage(ctx context.Context, rule RuleID, user UserID, now time.Time) error
	// ClaimOwnStages returns the requests for stages that are due, and counts the attempt. Until a
	// certain time, it does not return them to other replicas.
	ClaimOwnStages(ctx context.Context, now, until time.Time, limit int) ([]OwnWanted, error)
	// PostponeOwnStage sets the time at which a stage is due again.
	PostponeOwnStage(ctx context.Context, w OwnWanted, until time.Time) error
	// DropOwnStage deletes the request for a stage, because the stage exists now or is no longer
	// wanted.
	DropOwnStage(ctx context.Context, w OwnWanted) error
	// AccountsAfter lists accounts by ID, at most limit.
	AccountsAfter(ctx context.Context, after UserID, limit int) ([]Account, error)
}

// Rules lists the rules.
func (c *Control) Rules(ctx context.Context, by Principal) ([]Rule, error) {
	if err := by.Require(ScopeUsers); err != nil {
		return nil, err
	}
	return c.cfg.Store.Rules(ctx)
}

// PutRule adds a rule, or changes the one with its ID, and applies it to all users.
func (c *Control) PutRule(ctx context.Context, by Principal, r Rule) (Rule, error) {
	if err := by.Require(ScopeUsers); err != nil {
		return Rule{}, err
	}
	action := ActionRuleChanged
	if r.ID == "" {
		action = ActionRuleCreated
	}
	given := r
	err := c.cfg.Store.Atomically(ctx, func(tx Store) (err error) {
		if r, err = c.checkedRule(ctx, tx, given); err != nil {
			return err
		}
		rules, err := tx.Rules(ctx)
		if err != nil {
			return err
		}
		if r, err = c.placeRule(rules, r); err != nil {
			return err
		}
		if err := tx.PutRule(ctx, r); err != nil {
			return err
		}
		return c.noteRule(ctx, tx, by, action, rules, r)
	})
	if err != nil {
		return Rule{}, err
	}
	err = c.applyToAll(ctx, by)
	c.wakeMaker()
	return r, err
}

// checkPlace refuses a rule for own stages that this server cannot create.
func (c *Control) checkPlace(r Rule) error {
	switch {
	case r.Own == "" && r.Region != "":
		return stage.Errorf(stage.ErrInvalid, "region is only for a rule that creates stages: it "+
			"needs own.")
	case r.Own != "" && r.Region == "" && c.cfg.NoLocalStages:
		return noLocalStages()
	case r.Region != "" && (c.cfg.StageMaker == nil || !c.cfg.StageMaker.ServesRegion(r.Region)):
		return stage.Errorf(stage.ErrInvalid,
			"This server does not serve the region %s; start it with --ivs-region.", r.Region)
	}
	return nil
}

func (c *Control) wakeMaker() {
	if c.cfg.Wanted != nil {
		c.cfg.Wanted()
	}
}

// placeRule sets the ID of a new rule, and the time of creation of an existing one.
func (c *Control) placeRule(rules []Rule, r Rule) (Rule, error) {
	if r.OwnOf != "" {
		if err := checkMaker(rules, r); err != nil {
			return r, err
		}
	}
	if r.ID == "" {
		if len(rules) >= maxRules {
			return r, stage.Errorf(stage.ErrConflict,
				"There are %d rules; remove one that is not needed.", maxRules)
		}
		r.ID, r.CreatedAt = RuleID(stage.NewID()), c.cfg.Now()
		return r, nil
	}
	i := slices.IndexFunc(rules, func(old Rule) bool { return old.ID == r.ID })
	if i < 0 {
		return r, noSuch("rule")
	}
	if r.Own == "" {
		if err := spareMaker(rules, r.ID); err != nil {
			return r, err
		}
	}
	r.CreatedAt = rules[i].CreatedAt
	return r, nil
}

func checkRule(r Rule) (Rule, error) {
	if (r.Claim.Name == "") != (r.Claim.Value == "") || len(r.Claim.Name) > maxClaimLength ||
		len(r.Claim.Value) > maxClaimLength {
		return r, stage.Errorf(stage.ErrInvalid,
			"A rule needs a claim and its value, or neither for every user.")
	}
	kinds := 0
	for _, given := range []bool{r.Stage != "", r.Own != "", r.OwnOf != ""} {
		if given {
			kinds++
		}
	}
	if kinds != 1 {
		return r, stage.Errorf(stage.ErrInvalid, "A rule gives one stage, or a stage of one's "+
			"own with a name such as \"{name}\", or all stages that another rule makes.")
	}
	if r.Own != "" {
		if _, err := cleanName(ownName(r.Own, "x")); err != nil {
			return r, err
		}
		if !strings.Contains(r.Own, "{name}") {
			return r, stage.Errorf(stage.ErrInvalid,
				"The name of the users' own stages must contain {name}.")
		}
	}
	g, err := checkGrant(Grant{Stage: r.Stage, Capabilities: r.Capabilities, MaxTTL: r.MaxTTL})
	r.MaxTTL = g.MaxTTL
	return r, err
}

func ownName(pattern, name string) string { return strings.ReplaceAll(pattern, "{name}", name) }

// RemoveRule deletes a rule and removes the access that only this rule gave.
func (c *Control) RemoveRule(ctx context.Context, by Principal, id RuleID) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		rules, err := tx.Rules(ctx)
		if err != nil {
			return err
		}
		if err := spareMaker(rules, id); err != nil {
			return err
		}
		if err := tx.DeleteRule(ctx, id); err != nil {
			return notFoundIs(err, noSuch("rule"))
		}
		i := slices.IndexFunc(rules, func(r Rule) bool { return r.ID == id })
		return c.noteRule(ctx, tx, by, ActionRuleRemoved, rules, rules[i])
	})
	if err != nil {
		return err
	}
	return c.applyToAll(ctx, by)
}

// applyToAll applies the rules to every account, in short transactions, so that tokens can be
// issued between them.
func (c *Control) applyToAll(ctx context.Context, by Principal) error {
	// The rule is stored already, so applyToAll must finish even if the client disconnects.
	ctx = context.WithoutCancel(ctx)
	revoked, err := c.applyInParts(ctx, by)
	c.changed("")
	return cmp.Or(err, c.disconnect(ctx, revoked, "The access to this stage was changed."))
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

// applyToSome applies the rules to accounts after one of them, in one transaction. It returns the
// last of these accounts, or "" if there are none.
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
	if !c.signsInByPassword(account) && allRefused(identities) {
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
	return c.note(ctx, tx, why.by, e)
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
	name, err := c.freeStageName(ctx, tx, ownName(r.Own, account.Name))
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
	if err := c.note(ctx, tx, why.by, ownStageEntry(made, account)); err != nil {
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

func (c *Control) freeStageName(ctx context.Context, tx Store, wanted string) (string, error) {
	return freeName(wanted, func(key string) error {
		_, err := tx.StageNamed(ctx, key)
		return err
	})
}
