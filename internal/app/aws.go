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

// AWSSettings say which part of AWS is ours. Credentials come by the default chain of AWS's SDK.
type AWSSettings struct {
	IVSRegion   []string `help:"AWS region whose Amazon IVS stages are served; repeatable." name:"ivs-region" placeholder:"REGION"`
	IVSEndpoint string   `help:"Endpoint of the IVS real-time API, for an emulator." name:"ivs-endpoint" placeholder:"URL"`
}

// check refuses what would silently serve nothing.
func (s AWSSettings) check() error {
	if s.IVSEndpoint == "" {
		return nil
	}
	if u, err := url.Parse(s.IVSEndpoint); err != nil || u.Host == "" ||
		u.Scheme != "http" && u.Scheme != "https" {
		return fmt.Errorf("--ivs-endpoint is a URL like http://127.0.0.1:4566, not %q",
			s.IVSEndpoint)
	}
	if len(s.IVSRegion) == 0 {
		return errors.New(
			"--ivs-endpoint needs --ivs-region, the region whose stages are served from there")
	}
	return nil
}

// An aws is the side of the server that serves AWS stages.
type aws struct {
	*ivs.Service
	regions []string
	keys    *keys.Manager
	router  *keys.Router
}

// openAWS prepares the AWS side; nothing is called yet.
func openAWS(ctx context.Context, settings AWSSettings, data string, cfg ivs.Config) (*aws, error) {
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
		WHIPEndpoint: service.WHIPEndpoint, Now: time.Now,
	}}, nil
}

func keysFolder(data string) string { return filepath.Join(data, "keys") }

// Served are the regions.
func (a *aws) Served() []string { return a.regions }

// Why says who issues the tokens of a stage.
func (a *aws) Why(ctx context.Context, arn stage.ARN) string { return a.router.Why(ctx, arn) }

// endpointCache keeps the endpoints of AWS's stages in the database.
type endpointCache struct{ *access.Control }

// CachedStage implements ivs.Cache.
func (c endpointCache) CachedStage(
	ctx context.Context, arn stage.ARN,
) (stage.Stage, time.Time, error) {
	record, err := c.Stage(ctx, arn)
	return record.Stage, record.EndpointsAt, err
}

// CacheStage implements ivs.Cache. A stage that is only being looked at is not remembered.
func (c endpointCache) CacheStage(ctx context.Context, s stage.Stage, _ time.Time) error {
	err := c.KeepEndpoints(ctx, s.ARN, s.Endpoints)
	if errors.Is(err, stage.ErrNotFound) {
		return nil
	}
	return err
}
