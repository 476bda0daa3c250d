package access

import (
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// everything contains the capabilities of an operator, on every stage.
const everything = stage.Publish | stage.Subscribe

// A StageAccess is a stage with the access of a user to it.
type StageAccess struct {
	Stage        stage.Stage
	Limits       stage.Limits
	Capabilities stage.Capabilities
	MaxTTL       time.Duration
	EndpointsAt  time.Time // when the endpoints were read from AWS
}

// A Reach contains the stages that a principal may enter, and those from which they are barred.
type Reach struct {
	Stages []StageAccess // sorted by name
	Bars   []StageBar    // sorted by the name of the stage
}

// A StageBar is a stage that the holder of a grant may not enter at present.
type StageBar struct {
	Stage  stage.Stage
	At     time.Time
	Reason string // as the moderator wrote it; the barred user may read it
}

// Stages lists the stages to which a principal has access, by name: all of them for an operator.
func (c *Control) Stages(ctx context.Context, who Principal) ([]StageAccess, error) {
	reach, err := c.Reach(ctx, who)
	return reach.Stages, err
}

// Reach returns the stages to which a principal has access, and those from which they are barred.
func (c *Control) Reach(ctx context.Context, who Principal) (Reach, error) {
	return c.stages.reach(ctx, who, c.stages.current)
}

// ReachOfStream is Reach for an event stream after a change of access. It may use a list of stages
// that was just read for another stream.
func (c *Control) ReachOfStream(ctx context.Context, who Principal) (Reach, error) {
	return c.stages.reach(ctx, who, c.stages.cached)
}

// effective returns a grant with the capabilities that count: all of them for an operator, and none
// for a barred user.
func effective(role Role, g Grant) Grant {
	switch {
	case role == Operator:
		g.Capabilities, g.MaxTTL = everything, stage.MaxTTL
	case !g.BarredAt.IsZero():
		g.Capabilities = 0
	}
	return g
}

// Stage returns a stage without a check of permissions. Requests may use it only for a stage that
// they have just added, or whose ARN is in an object that they may read.
func (c *Control) Stage(ctx context.Context, arn stage.ARN) (StageRecord, error) {
	return stageOf(ctx, c.cfg.Store, arn)
}

func stageOf(ctx context.Context, s Store, arn stage.ARN) (StageRecord, error) {
	if _, err := stage.ParseARN(string(arn)); err != nil {
		return StageRecord{}, noSuch("stage")
	}
	record, err := s.Stage(ctx, arn)
	return record, notFoundIs(err, noSuch("stage"))
}

// Endpoints lists the endpoints of all stages, each pair once. They are not secret, since the
// Content-Security-Policy of pages that join stages contains their origins.
func (c *Control) Endpoints(ctx context.Context) ([]stage.Endpoints, error) {
	return c.cfg.Store.Endpoints(ctx)
}

// AllStages lists every stage, for the server itself. It must not be used for requests.
func (c *Control) AllStages(ctx context.Context) ([]StageRecord, error) {
	return c.cfg.Store.Stages(ctx)
}

// FirstStage adds a first stage to a database that has none.
func (c *Control) FirstStage(ctx context.Context, name string) error {
	all, err := c.cfg.Store.Stages(ctx)
	if err != nil || len(all) > 0 {
		return err
	}
	if _, err = c.addLocalStage(ctx, CommandLine(), name); errors.Is(err, stage.ErrConflict) {
		return nil // another replica was faster
	}
	return err
}

// AddLocalStage adds a local stage. The names of local stages are unique.
func (c *Control) AddLocalStage(
	ctx context.Context, by Principal, name string,
) (stage.Stage, error) {
	if err := by.Require(ScopeStages); err != nil {
		return stage.Stage{}, err
	}
	return c.addLocalStage(ctx, by, name)
}

func (c *Control) addLocalStage(
	ctx context.Context, by Principal, name string,
) (stage.Stage, error) {
	if c.cfg.NoLocalStages {
		return stage.Stage{}, noLocalStages()
	}
	name, err := cleanName(name)
	if err != nil {
		return stage.Stage{}, err
	}
	made := stage.Stage{ARN: stage.LocalARN(stage.NewID()), Name: name}
	err = c.cfg.Store.Atomically(ctx, func(tx Store) error {
		record := StageRecord{
			Stage: made, Key: nameKey(name), Limits: stage.DefaultLimits(), CreatedAt: c.cfg.Now(),
		}
		if err := tx.PutStage(ctx, record); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, by, stageEntry(ActionStageCreated, made))
	})
	if err != nil {
		return stage.Stage{}, nameTaken(err, name)
	}
	c.caches.changed("")
	return made, nil
}

func noLocalStages() error {
	return words.Error(stage.ErrInvalid, "said.invalid.noLocalStages", nil)
}

// AddStage adds an AWS stage with endpoints that were just read from AWS.
func (c *Control) AddStage(ctx context.Context, by Principal, s stage.Stage) error {
	if err := by.Require(ScopeStages); err != nil {
		return err
	}
	if _, err := stage.ParseARN(string(s.ARN)); err != nil {
		return err
	}
	if s.ARN.Local() {
		return stage.Errorf(stage.ErrInvalid,
			"A local stage is created by its name, not added by its ARN.")
	}
	now := c.cfg.Now()
	s.Name = awsStageName(s)
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		_, err := tx.Stage(ctx, s.ARN)
		if err == nil {
			return words.Error(stage.ErrConflict, "said.conflict.stageThere", nil).
				WithCode("conflict")
		}
		if !errors.Is(err, stage.ErrNotFound) {
			return err
		}
		record := StageRecord{
			Stage: s, Limits: stage.DefaultLimits(), CreatedAt: now, EndpointsAt: now,
		}
		if err := tx.PutStage(ctx, record); err != nil {
			return err
		}
		return c.trail.note(ctx, tx, by, stageEntry(ActionStageCreated, s))
	})
	if err != nil {
		return err
	}
	c.caches.changed("")
	return nil
}

// awsStageName returns the name to show. A stage of IVS may have no name, and names may repeat.
func awsStageName(s stage.Stage) string {
	if name, err := cleanName(clipName(s.Name)); err == nil {
		return name
	}
	return s.ARN.ID()
}

// KeepEndpoints stores the endpoints of an AWS stage that were just read from AWS.
func (c *Control) KeepEndpoints(
	ctx context.Context, arn stage.ARN, endpoints stage.Endpoints,
) error {
	return c.editStage(ctx, arn, func(_ Store, record *StageRecord) error {
		record.Endpoints, record.EndpointsAt = endpoints, c.cfg.Now()
		return nil
	})
}

// UpdateStage changes the name and the limits of a stage. An empty name and nil limits keep the
// current ones.
func (c *Control) UpdateStage(
	ctx context.Context, by Principal, arn stage.ARN, name string, limits *stage.Limits,
) error {
	if err := by.Require(ScopeStages); err != nil {
		return err
	}
	err := c.editStage(ctx, arn, func(tx Store, record *StageRecord) error {
		if err := rename(record, name); err != nil {
			return err
		}
		if limits != nil {
			record.Limits = *limits
			if err := limits.Check(); err != nil {
				return err
			}
		}
		return c.trail.note(ctx, tx, by, stageEntry(ActionStageChanged, record.Stage))
	})
	if err != nil {
		return nameTaken(err, name)
	}
	c.caches.changed("")
	return nil
}

func (c *Control) editStage(
	ctx context.Context, arn stage.ARN, edit func(Store, *StageRecord) error,
) error {
	return c.cfg.Store.Atomically(ctx, func(tx Store) error {
		record, err := stageOf(ctx, tx, arn)
		if err != nil {
			return err
		}
		if err := edit(tx, &record); err != nil {
			return err
		}
		return tx.PutStage(ctx, record)
	})
}

func rename(record *StageRecord, name string) error {
	if name == "" {
		return nil
	}
	clean, err := cleanName(name)
	if err != nil {
		return err
	}
	record.Name = clean
	if record.ARN.Local() {
		record.Key = nameKey(clean)
	}
	return nil
}

// RemoveStage deletes a stage with its grants and viewing keys, revokes its tokens and disconnects
// its participants.
func (c *Control) RemoveStage(ctx context.Context, by Principal, arn stage.ARN) error {
	if err := by.Require(ScopeStages); err != nil {
		return err
	}
	record, err := stageOf(ctx, c.cfg.Store, arn)
	if err != nil {
		return err
	}
	if err := c.cfg.Store.CloseStage(ctx, arn, c.cfg.Now()); err != nil {
		return notFoundIs(err, noSuch("stage"))
	}
	c.trail.noteLate(ctx, by, stageEntry(ActionStageRemoved, record.Stage))
	c.caches.changed("")
	if c.cfg.Removed != nil {
		c.cfg.Removed(arn)
	}
	// The stage is closed. If clearStage fails, the next Prune deletes the rest.
	revoked, err := c.clearStage(context.WithoutCancel(ctx), arn)
	if err != nil {
		return err
	}
	return c.sessions.end(ctx, revoked, reasonStage.sentence())
}

// clearStage deletes the rows of a closed stage, in transactions so short that tokens for other
// stages hardly wait.
func (c *Control) clearStage(ctx context.Context, arn stage.ARN) ([]Issuance, error) {
	var revoked []Issuance
	for {
		var some []Issuance
		err := c.cfg.Store.Atomically(ctx, func(tx Store) (err error) {
			some, err = c.outbox.revokeOpen(ctx, tx, Revocation{Stage: arn, Limit: batch})
			return err
		})
		if err != nil {
			return revoked, err
		}
		revoked = append(revoked, some...)
		if len(some) < batch {
			break
		}
	}
	for more := true; more; {
		var err error
		if more, err = c.cfg.Store.ClearStage(ctx, arn, batch); err != nil {
			return revoked, err
		}
	}
	return revoked, c.cfg.Store.DeleteStage(ctx, arn)
}

func stageEntry(action Action, s stage.Stage) Entry {
	return Entry{Action: action, Target: string(s.ARN), TargetName: s.Name, Stage: s.ARN}
}
