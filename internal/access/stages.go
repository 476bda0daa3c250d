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

// Stages adds, changes and removes stages, and lists those to which a principal has access.
type Stages struct {
	*trail
	list     *stageList
	sessions *sessions
	caches   *caches
	noLocal  bool            // see Config.NoLocalStages
	removed  func(stage.ARN) // see Config.Removed; may be nil
}

// Of lists the stages to which a principal has access, by name: all of them for an operator.
func (s *Stages) Of(ctx context.Context, who Principal) ([]StageAccess, error) {
	reach, err := s.Reach(ctx, who)
	return reach.Stages, err
}

// Reach returns the stages to which a principal has access, and those from which they are barred.
func (s *Stages) Reach(ctx context.Context, who Principal) (Reach, error) {
	return s.list.reach(ctx, who, s.list.current)
}

// ReachOfStream is Reach for an event stream after a change of access. It may use a list of stages
// that was just read for another stream.
func (s *Stages) ReachOfStream(ctx context.Context, who Principal) (Reach, error) {
	return s.list.reach(ctx, who, s.list.cached)
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

// Get returns a stage without a check of permissions. Requests may use it only for a stage that
// they have just added, or whose ARN is in an object that they may read.
func (s *Stages) Get(ctx context.Context, arn stage.ARN) (StageRecord, error) {
	return stageOf(ctx, s.store, arn)
}

// Served returns an error unless a stage exists, or is the private stage of an existing user. The
// server calls it before it verifies the token that names the stage.
func (s *Stages) Served(ctx context.Context, arn stage.ARN) error {
	if !arn.Rehearsal() {
		_, err := s.Get(ctx, arn)
		return err
	}
	_, err := s.store.Account(ctx, UserID(arn.RehearsalUser()))
	return notFoundIs(err, noSuch("stage"))
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
func (s *Stages) Endpoints(ctx context.Context) ([]stage.Endpoints, error) {
	return s.store.Endpoints(ctx)
}

// All lists every stage, for the server itself. It must not be used for requests.
func (s *Stages) All(ctx context.Context) ([]StageRecord, error) {
	return s.store.Stages(ctx)
}

// AddFirst adds a first stage to a database that has none.
func (s *Stages) AddFirst(ctx context.Context, name string) error {
	all, err := s.store.Stages(ctx)
	if err != nil || len(all) > 0 {
		return err
	}
	if _, err = s.addLocal(ctx, CommandLine(), name); errors.Is(err, stage.ErrConflict) {
		return nil // another replica was faster
	}
	return err
}

// AddLocal adds a local stage. The names of local stages are unique.
func (s *Stages) AddLocal(
	ctx context.Context, by Principal, name string,
) (stage.Stage, error) {
	if err := by.Require(ScopeStages); err != nil {
		return stage.Stage{}, err
	}
	return s.addLocal(ctx, by, name)
}

func (s *Stages) addLocal(
	ctx context.Context, by Principal, name string,
) (stage.Stage, error) {
	if s.noLocal {
		return stage.Stage{}, noLocalStages()
	}
	name, err := cleanName(name)
	if err != nil {
		return stage.Stage{}, err
	}
	made := stage.Stage{ARN: stage.LocalARN(stage.NewID()), Name: name}
	err = s.store.Atomically(ctx, func(tx Store) error {
		record := StageRecord{
			Stage: made, Key: nameKey(name), Limits: stage.DefaultLimits(), CreatedAt: s.now(),
		}
		if err := tx.PutStage(ctx, record); err != nil {
			return err
		}
		return s.note(ctx, tx, by, stageEntry(ActionStageCreated, made))
	})
	if err != nil {
		return stage.Stage{}, nameTaken(err, name)
	}
	s.caches.changed("")
	return made, nil
}

func noLocalStages() error {
	return words.Error(stage.ErrInvalid, "said.invalid.noLocalStages", nil)
}

// AddAWS adds an AWS stage with endpoints that were just read from AWS.
func (s *Stages) AddAWS(ctx context.Context, by Principal, added stage.Stage) error {
	if err := by.Require(ScopeStages); err != nil {
		return err
	}
	if _, err := stage.ParseARN(string(added.ARN)); err != nil {
		return err
	}
	if added.ARN.Local() {
		return stage.Errorf(stage.ErrInvalid,
			"A local stage is created by its name, not added by its ARN.")
	}
	now := s.now()
	added.Name = awsStageName(added)
	err := s.store.Atomically(ctx, func(tx Store) error {
		_, err := tx.Stage(ctx, added.ARN)
		if err == nil {
			return words.Error(stage.ErrConflict, "said.conflict.stageThere", nil).
				WithCode("conflict")
		}
		if !errors.Is(err, stage.ErrNotFound) {
			return err
		}
		record := StageRecord{
			Stage: added, Limits: stage.DefaultLimits(), CreatedAt: now, EndpointsAt: now,
		}
		if err := tx.PutStage(ctx, record); err != nil {
			return err
		}
		return s.note(ctx, tx, by, stageEntry(ActionStageCreated, added))
	})
	if err != nil {
		return err
	}
	s.caches.changed("")
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
func (s *Stages) KeepEndpoints(
	ctx context.Context, arn stage.ARN, endpoints stage.Endpoints,
) error {
	return s.edit(ctx, arn, func(_ Store, record *StageRecord) error {
		record.Endpoints, record.EndpointsAt = endpoints, s.now()
		return nil
	})
}

// Update changes the name and the limits of a stage. An empty name and nil limits keep the
// current ones.
func (s *Stages) Update(
	ctx context.Context, by Principal, arn stage.ARN, name string, limits *stage.Limits,
) error {
	if err := by.Require(ScopeStages); err != nil {
		return err
	}
	err := s.edit(ctx, arn, func(tx Store, record *StageRecord) error {
		if err := rename(record, name); err != nil {
			return err
		}
		if limits != nil {
			record.Limits = *limits
			if err := limits.Check(); err != nil {
				return err
			}
		}
		return s.note(ctx, tx, by, stageEntry(ActionStageChanged, record.Stage))
	})
	if err != nil {
		return nameTaken(err, name)
	}
	s.caches.changed("")
	return nil
}

func (s *Stages) edit(
	ctx context.Context, arn stage.ARN, edit func(Store, *StageRecord) error,
) error {
	return s.store.Atomically(ctx, func(tx Store) error {
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

// Remove deletes a stage with its grants, viewing keys and guest links, revokes its tokens and
// disconnects its participants.
func (s *Stages) Remove(ctx context.Context, by Principal, arn stage.ARN) error {
	if err := by.Require(ScopeStages); err != nil {
		return err
	}
	record, err := stageOf(ctx, s.store, arn)
	if err != nil {
		return err
	}
	if err := s.store.CloseStage(ctx, arn, s.now()); err != nil {
		return notFoundIs(err, noSuch("stage"))
	}
	s.noteLate(ctx, by, stageEntry(ActionStageRemoved, record.Stage))
	s.caches.changed("")
	if s.removed != nil {
		s.removed(arn)
	}
	// The stage is closed. If clear fails, the next Prune deletes the rest.
	revoked, err := s.clear(context.WithoutCancel(ctx), arn)
	if err != nil {
		return err
	}
	return s.sessions.end(ctx, revoked, reasonStage.sentence())
}

// clear deletes the rows of a closed stage, in transactions so short that tokens for other
// stages hardly wait.
func (s *Stages) clear(ctx context.Context, arn stage.ARN) ([]Issuance, error) {
	var revoked []Issuance
	for {
		var some []Issuance
		err := s.store.Atomically(ctx, func(tx Store) (err error) {
			some, err = s.outbox.revokeOpen(ctx, tx, Revocation{Stage: arn, Limit: batch})
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
		if more, err = s.store.ClearStage(ctx, arn, batch); err != nil {
			return revoked, err
		}
	}
	return revoked, s.store.DeleteStage(ctx, arn)
}

func stageEntry(action Action, s stage.Stage) Entry {
	return Entry{Action: action, Target: string(s.ARN), TargetName: s.Name, Stage: s.ARN}
}
