package web

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// AWS reads and creates AWS stages. Its error for a stage that does not exist is stage.ErrNotFound.
type AWS interface {
	Stage(ctx context.Context, arn stage.ARN) (stage.Stage, error)
	StagesOf(ctx context.Context, region string) ([]stage.Stage, error)
	CreateStage(ctx context.Context, region, name string) (stage.Stage, error)
	Served() []string // regions
	// Why names the issuer of a stage's tokens, and the reason for this issuer.
	Why(ctx context.Context, arn stage.ARN) string
	Sessions(ctx context.Context, arn stage.ARN) ([]stage.StageSession, error)
}

// stages serves stages, with their presence and their stage sessions.
type stages struct {
	control   *access.Control
	moderator stage.Moderator
	aws       AWS // nil if no AWS stages are served
	log       *slog.Logger
}

func (s *stages) routes(a *adapter) []route {
	kicks := moderation{s.control.Moderation}
	return []route{
		{"GET /api/stages", a.api(access.ScopeStages, s.list)},
		{"POST /api/stages", a.api(access.ScopeStages, s.add)},
		{"PATCH /api/stages/{arn}", a.api(access.ScopeStages, s.change)},
		{"DELETE /api/stages/{arn}", a.api(access.ScopeStages, s.remove)},
		{"GET /api/stages/{arn}/sessions", a.api(access.ScopeStages, s.sessions)},
		{"DELETE /api/stages/{arn}/participants/{participant}",
			a.api(access.ScopeModerate, kicks.kick)},
		{"PUT /api/stages/{arn}/participants/{participant}/role",
			a.api(access.ScopeModerate, kicks.role)},
		{"GET /api/aws/stages", a.api(access.ScopeStages, s.listAWS)},
	}
}

// A presenceOf lists the presence of a stage.
type presenceOf func(context.Context, stage.ARN) []stage.Presence

// present returns the presence of a stage. A stage that does not answer counts as empty.
func (s *stages) present(ctx context.Context, arn stage.ARN) []stage.Presence {
	present, err := s.moderator.Participants(ctx, arn)
	if err != nil {
		s.log.DebugContext(ctx, "presence on a stage is unknown", "stage", arn, "err", err)
	}
	return present
}

func (s *stages) list(r *http.Request, who access.Principal) (any, error) {
	found, err := s.control.Stages.Of(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out := Stages{Stages: make([]Stage, len(found))}
	var asks sync.WaitGroup // in parallel, so that the slowest stage determines the time
	for i, a := range found {
		asks.Go(func() { out.Stages[i] = s.stageFor(r.Context(), a, who.User) })
	}
	asks.Wait()
	return out, nil
}

// stageFor describes a stage to an operator. A stage that does not answer has a Trouble.
func (s *stages) stageFor(ctx context.Context, a access.StageAccess, who access.User) Stage {
	out := Stage{
		ARN: a.Stage.ARN, Name: a.Stage.Name, Served: served(a.Stage.ARN), Limits: a.Limits,
	}
	out.Participants, out.Trouble = s.presences(ctx, a.Stage.ARN, who)
	if s.aws != nil && !a.Stage.ARN.Local() {
		out.IssuedBy = s.aws.Why(ctx, a.Stage.ARN)
	}
	return out
}

// presences returns the presence of a stage, or the reason why it is not known.
func (s *stages) presences(
	ctx context.Context, arn stage.ARN, who access.User,
) (there []Presence, trouble string) {
	present, err := s.moderator.Participants(ctx, arn)
	if err != nil {
		p := problemOf(err)
		trouble = p.Detail
		s.log.WarnContext(ctx, "presence on a stage is unknown", "stage", arn, "err", err)
	}
	return feed.NewPresences(present, viewerOf(who)), trouble
}

// participants lists the presence of the stages that the caller moderates. A stage that does not
// answer has a Trouble.
func (s *stages) participants(r *http.Request, who access.Principal) (any, error) {
	arn := stage.ARN(r.URL.Query().Get("stage"))
	found, err := s.control.Moderation.Stages(r.Context(), who, arn)
	if err != nil {
		return nil, err
	}
	lists := make([]V1StageParticipants, len(found))
	var asks sync.WaitGroup
	for i, st := range found {
		asks.Go(func() {
			there, trouble := s.presences(r.Context(), st.ARN, who.User)
			lists[i] = V1StageParticipants{st.ARN, st.Name, there, trouble}
		})
	}
	asks.Wait()
	return V1Participants{slices.DeleteFunc(lists, func(l V1StageParticipants) bool {
		return len(l.Participants) == 0 && l.Trouble == ""
	})}, nil
}

func (s *stages) add(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewStage](r)
	if err != nil {
		return nil, err
	}
	st, err := s.newStage(r.Context(), who, in)
	if err != nil {
		return nil, err
	}
	added := access.StageAccess{Stage: st, Limits: stage.DefaultLimits()}
	return created(s.stageFor(r.Context(), added, who.User)), nil
}

func (s *stages) newStage(
	ctx context.Context, who access.Principal, in NewStage,
) (stage.Stage, error) {
	if in.ARN == "" && in.Region == "" {
		return s.control.Stages.AddLocal(ctx, who, in.Name)
	}
	if err := checkRegion(in); err != nil {
		return stage.Stage{}, err
	}
	if s.aws == nil {
		return stage.Stage{}, stage.Errorf(stage.ErrUnavailable,
			"This server serves no AWS region: start Stagedoor with --ivs-region.")
	}
	found, err := s.fromAWS(ctx, in)
	if err != nil {
		return stage.Stage{}, err
	}
	if err := s.control.Stages.AddAWS(ctx, who, found); err != nil {
		return stage.Stage{}, err
	}
	kept, err := s.control.Stages.Get(ctx, found.ARN) // AddAWS may have changed the name
	return kept.Stage, err
}

// checkRegion refuses a region without real-time stages.
func checkRegion(in NewStage) error {
	region := in.Region
	if in.ARN != "" {
		arn, err := stage.ParseARN(string(in.ARN))
		if err != nil {
			return err
		}
		region = arn.Region()
	}
	switch {
	case region == stage.LocalRegion:
		return words.Error(stage.ErrInvalid, "said.invalid.localARN", nil)
	case !slices.Contains(stage.AWSRegions(), region):
		return words.Error(stage.ErrInvalid, "said.invalid.awsRegion", words.Values{
			"region": region, "regions": strings.Join(stage.AWSRegions(), ", "),
		})
	}
	return nil
}

func (s *stages) fromAWS(ctx context.Context, in NewStage) (stage.Stage, error) {
	if in.ARN == "" {
		return s.aws.CreateStage(ctx, in.Region, in.Name)
	}
	return s.aws.Stage(ctx, in.ARN)
}

// listAWS lists the stages in the AWS account, and marks those that are added already. For a region
// that does not answer, the list has a Trouble.
func (s *stages) listAWS(r *http.Request, who access.Principal) (any, error) {
	out := AWSStages{Regions: []string{}, Stages: []AWSStage{}}
	if s.aws == nil {
		return out, nil
	}
	known, err := s.control.Stages.Of(r.Context(), who)
	if err != nil {
		return nil, err
	}
	out.Regions = s.aws.Served()
	lists := make([][]stage.Stage, len(out.Regions))
	failed := make([]error, len(out.Regions))
	var asks sync.WaitGroup
	for i, region := range out.Regions {
		asks.Go(func() { lists[i], failed[i] = s.aws.StagesOf(r.Context(), region) })
	}
	asks.Wait()
	for i, region := range out.Regions {
		if err := failed[i]; err != nil {
			p := problemOf(err)
			out.Troubles = append(out.Troubles,
				AWSTrouble{Region: region, Code: p.Code, Trouble: p.Detail})
			s.log.WarnContext(r.Context(), "the stages of a region cannot be listed",
				"region", region, "err", err)
		}
		for _, st := range lists[i] {
			added := slices.ContainsFunc(known,
				func(a access.StageAccess) bool { return a.Stage.ARN == st.ARN })
			out.Stages = append(out.Stages, AWSStage{ARN: st.ARN, Name: st.Name, Added: added})
		}
	}
	return out, nil
}

// sessions lists the stage sessions of an AWS stage, as Amazon IVS stores them.
func (s *stages) sessions(r *http.Request, who access.Principal) (any, error) {
	arn := stageARN(r)
	if s.aws == nil || arn.Local() {
		return nil, stage.Errorf(stage.ErrNotFound,
			"Only Amazon IVS lists the sessions of a stage; for a local stage, see the list of "+
				"tokens.")
	}
	found, err := s.aws.Sessions(r.Context(), arn)
	if err != nil {
		return nil, err
	}
	out := StageSessions{Sessions: make([]StageSession, len(found))}
	for i, session := range found {
		out.Sessions[i] = StageSession{
			ID: session.ID, StartedAt: session.Start, EndedAt: optional(session.End),
		}
	}
	return out, nil
}

func (s *stages) change(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[StageChange](r)
	if err != nil {
		return nil, err
	}
	return nil, s.control.Stages.Update(r.Context(), who, stageARN(r), in.Name, in.Limits)
}

func (s *stages) remove(r *http.Request, who access.Principal) (any, error) {
	return nil, s.control.Stages.Remove(r.Context(), who, stageARN(r))
}
