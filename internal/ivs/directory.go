package ivs

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const (
	// maxAge is how long AWS allows endpoints to be cached: "can be cached for up to 14 days".
	maxAge = 14 * 24 * time.Hour
	// renewAge is the age at which endpoints are requested again. The cached endpoints are still
	// valid then.
	renewAge = 7 * 24 * time.Hour

	listWait = time.Minute // limit for all pages of a list, at 5 calls per second
)

// A Cache stores stages, so that the quota of 5 GetStage calls a second does not delay tokens. It
// is safe for concurrent use.
type Cache interface {
	// CachedStage returns stage.ErrNotFound for a stage that is not cached.
	CachedStage(ctx context.Context, arn stage.ARN) (s stage.Stage, fetched time.Time, err error)
	CacheStage(ctx context.Context, s stage.Stage, fetched time.Time) error
}

// Stage returns a stage with its endpoints, from the cache if they are recent enough.
func (s *Service) Stage(ctx context.Context, arn stage.ARN) (stage.Stage, error) {
	if _, err := s.region(arn.Region()); err != nil {
		return stage.Stage{}, err
	}
	cached, fetched, err := s.cfg.Cache.CachedStage(ctx, arn)
	age := s.cfg.Now().Sub(fetched)
	if err == nil && age < renewAge {
		return cached, nil
	}
	fresh, fetchErr := s.fetch(ctx, arn)
	if fetchErr != nil && err == nil && age < maxAge {
		return cached, nil
	}
	return fresh, fetchErr
}

// Endpoints returns the endpoints of a stage, for token.Signer.
func (s *Service) Endpoints(ctx context.Context, arn stage.ARN) (stage.Endpoints, error) {
	found, err := s.Stage(ctx, arn)
	return found.Endpoints, err
}

// fetch requests a stage from AWS and caches it. Concurrent callers share one request.
func (s *Service) fetch(ctx context.Context, arn stage.ARN) (stage.Stage, error) {
	found, err, _ := s.flights.Do("GetStage "+string(arn), func() (any, error) {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.MaxWait)
		defer cancel()
		got, err := s.getStage(bounded, arn)
		if err != nil {
			return stage.Stage{}, err
		}
		return stageOf(got), nil
	})
	return found.(stage.Stage), err
}

// getStage requests a stage from AWS and updates the cache.
func (s *Service) getStage(ctx context.Context, arn stage.ARN) (*types.Stage, error) {
	client, err := s.region(arn.Region())
	if err != nil {
		return nil, err
	}
	out, err := call(ctx, s, string(arn), client.GetStage, &ivsrealtime.GetStageInput{
		Arn: aws.String(string(arn)),
	})
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", arn, err)
	}
	if out.Stage == nil || out.Stage.Endpoints == nil {
		return nil, stage.Errorf(stage.ErrUnavailable,
			"Amazon IVS answered without the stage's endpoints; try again.").WithCode("aws_error")
	}
	if err := s.cfg.Cache.CacheStage(ctx, stageOf(out.Stage), s.cfg.Now()); err != nil {
		s.cfg.Log.WarnContext(ctx, "the endpoints of a stage were not stored", "stage", arn,
			"err", err)
	}
	return out.Stage, nil
}

func stageOf(s *types.Stage) stage.Stage {
	found := stage.Stage{ARN: stage.ARN(aws.ToString(s.Arn)), Name: aws.ToString(s.Name)}
	if s.Endpoints != nil {
		found.Endpoints = stage.Endpoints{
			WHIP: aws.ToString(s.Endpoints.Whip), Events: aws.ToString(s.Endpoints.Events),
		}
	}
	return found
}

// StagesOf lists the stages of a region. They have no endpoints, because AWS omits them in lists.
func (s *Service) StagesOf(ctx context.Context, region string) (found []stage.Stage, err error) {
	err = s.eachStage(ctx, region, func(item types.StageSummary) bool {
		found = append(found, stage.Stage{
			ARN: stage.ARN(aws.ToString(item.Arn)), Name: aws.ToString(item.Name),
		})
		return true
	})
	return found, err
}

// eachStage calls the function `see` with each stage of a region, until it returns false.
func (s *Service) eachStage(
	ctx context.Context, region string, see func(types.StageSummary) bool,
) error {
	client, err := s.region(region)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	in := &ivsrealtime.ListStagesInput{MaxResults: aws.Int32(100)}
	for {
		out, err := call(ctx, s, "", client.ListStages, in)
		if err != nil {
			return fmt.Errorf("stages of %s: %w", region, err)
		}
		for _, item := range out.Stages {
			if !see(item) {
				return nil
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return nil
		}
	}
}

var stageName = regexp.MustCompile(`^[a-zA-Z0-9-_]{0,128}$`)

// ServesRegion reports whether this Service is configured for a region.
func (s *Service) ServesRegion(region string) bool {
	_, err := s.region(region)
	return err == nil
}

// EnsureStage creates a stage with tags. If `again` is true, an interrupted attempt may have
// created the stage already, so EnsureStage first looks for a stage with these tags.
func (s *Service) EnsureStage(
	ctx context.Context, region, name string, tags map[string]string, again bool,
) (stage.Stage, error) {
	if again {
		there, err := s.tagged(ctx, region, tags)
		if err != nil || there != "" {
			return stage.Stage{ARN: there, Name: name}, err
		}
	}
	return s.createStage(ctx, region, name, tags)
}

// tagged returns a stage of the region that has these tags, or "".
func (s *Service) tagged(
	ctx context.Context, region string, tags map[string]string,
) (found stage.ARN, err error) {
	err = s.eachStage(ctx, region, func(item types.StageSummary) bool {
		for name, value := range tags {
			if item.Tags[name] != value {
				return true
			}
		}
		found = stage.ARN(aws.ToString(item.Arn))
		return false
	})
	return found, err
}

// CreateStage creates a stage in a region.
func (s *Service) CreateStage(ctx context.Context, region, name string) (stage.Stage, error) {
	return s.createStage(ctx, region, name, nil)
}

func (s *Service) createStage(
	ctx context.Context, region, name string, tags map[string]string,
) (stage.Stage, error) {
	if !stageName.MatchString(name) {
		return stage.Stage{}, words.Error(stage.ErrInvalid, "said.invalid.awsName", nil).
			WithCode("invalid")
	}
	client, err := s.region(region)
	if err != nil {
		return stage.Stage{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MaxWait)
	defer cancel()
	out, err := call(ctx, s, "", client.CreateStage, &ivsrealtime.CreateStageInput{
		Name: &name, Tags: tags,
	})
	if err != nil {
		return stage.Stage{}, fmt.Errorf("new stage in %s: %w", region, err)
	}
	made := stageOf(out.Stage)
	if made.Endpoints.WHIP == "" {
		return made, nil // the method Stage requests the endpoints later
	}
	if err := s.cfg.Cache.CacheStage(ctx, made, s.cfg.Now()); err != nil {
		s.cfg.Log.WarnContext(ctx, "the endpoints of a stage were not stored", "stage", made.ARN,
			"err", err)
	}
	return made, nil
}

// memory is a Cache in memory.
type memory struct {
	mu     sync.Mutex
	stages map[stage.ARN]kept
}

type kept struct {
	stage   stage.Stage
	fetched time.Time
}

func (m *memory) CachedStage(_ context.Context, arn stage.ARN) (stage.Stage, time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, ok := m.stages[arn]; ok {
		return k.stage, k.fetched, nil
	}
	return stage.Stage{}, time.Time{}, stage.Errorf(stage.ErrNotFound,
		"the endpoints of the stage were not stored")
}

func (m *memory) CacheStage(_ context.Context, s stage.Stage, fetched time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stages[s.ARN] = kept{s, fetched}
	return nil
}
