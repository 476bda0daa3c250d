package app

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// AWSSettings select the regions and the endpoint of Amazon IVS. Credentials come from the
// default chain of the AWS SDK.
type AWSSettings struct {
	IVSRegion   []string `help:"AWS region whose Amazon IVS stages are served; repeatable." name:"ivs-region" placeholder:"REGION"`
	IVSEndpoint string   `help:"Endpoint of the IVS real-time API; only for an emulator." name:"ivs-endpoint" placeholder:"URL"`
}

// check refuses an --ivs-endpoint that is no valid URL, or that is set without a region, since no
// stage would be served.
func (s AWSSettings) check() error {
	if s.IVSEndpoint == "" {
		return nil
	}
	if u, err := url.Parse(s.IVSEndpoint); err != nil || u.Host == "" ||
		u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--ivs-endpoint must be a URL like http://127.0.0.1:4566, not %q",
			s.IVSEndpoint)
	}
	if len(s.IVSRegion) == 0 {
		return errors.New(
			"--ivs-endpoint needs --ivs-region, the region whose stages are served from there")
	}
	return nil
}

// An aws is the part of the server that serves AWS stages.
type aws struct {
	*ivs.Service
	regions []string
	keys    *keys.Manager
	router  *keys.Router
}

// openAWS returns the part that serves AWS stages. It sends no request to AWS yet. The function
// noKey is None of the Router; it may be nil.
func openAWS(
	ctx context.Context, settings AWSSettings, data string, cfg ivs.Config,
	noKey func(arn stage.ARN, where string) string,
) (*aws, error) {
	loaded, err := ivs.Load(ctx)
	if err != nil {
		return nil, err
	}
	cfg.Regions, cfg.Endpoint, cfg.AWS, cfg.Now = settings.IVSRegion, settings.IVSEndpoint, loaded,
		time.Now
	service, err := ivs.New(cfg)
	if err != nil {
		return nil, err
	}
	manager := keys.New(keys.Config{
		Dir: keysFolder(data), AWS: service, Now: time.Now, Log: cfg.Log,
	})
	return &aws{Service: service, regions: settings.IVSRegion, keys: manager, router: &keys.Router{
		Keys: manager, API: service, Endpoints: service.Endpoints,
		WHIPEndpoint: ivs.WHIPEndpoint, Now: time.Now, None: noKey,
	}}, nil
}

func keysFolder(data string) string { return filepath.Join(data, "keys") }

// Served returns the AWS regions whose stages are served.
func (a *aws) Served() []string { return a.regions }

// Why returns the issuer of a stage's tokens, and the reason why this issuer is used.
func (a *aws) Why(ctx context.Context, arn stage.ARN) string { return a.router.Why(ctx, arn) }

// endpointCache stores the endpoints of AWS stages in the database.
type endpointCache struct{ stages *access.Stages }

// CachedStage implements ivs.Cache.
func (c endpointCache) CachedStage(
	ctx context.Context, arn stage.ARN,
) (stage.Stage, time.Time, error) {
	record, err := c.stages.Get(ctx, arn)
	return record.Stage, record.EndpointsAt, err
}

// CacheStage implements ivs.Cache. It ignores a stage that was not added to the server.
func (c endpointCache) CacheStage(ctx context.Context, s stage.Stage, _ time.Time) error {
	err := c.stages.KeepEndpoints(ctx, s.ARN, s.Endpoints)
	if errors.Is(err, stage.ErrNotFound) {
		return nil
	}
	return err
}
