package app

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// BrandSettings set the look of the pages. The branding that operators set on their page overrides
// these settings.
type BrandSettings struct {
	BrandName    string `help:"Name on all pages, in place of Stagedoor." placeholder:"NAME"`
	BrandAccent  string `help:"Colour of the main buttons, on which white text has a contrast of 4.5:1 or more." placeholder:"#RRGGBB"`
	BrandSupport string `help:"Where people find help: an e-mail address or a URL, linked on every page." placeholder:"ADDRESS"`
	BrandImprint string `help:"URL of the imprint, linked on every page." placeholder:"URL"`
	BrandLogo    string `help:"Logo on all pages: a PNG or JPEG of at most 48 KiB." placeholder:"FILE"`
}

// brand converts the settings to a branding.
func (s BrandSettings) brand() (access.Branding, error) {
	b, err := access.CheckBranding(access.Branding{
		Name: s.BrandName, Accent: s.BrandAccent, Support: s.BrandSupport, Imprint: s.BrandImprint,
	})
	if err != nil {
		return b, fmt.Errorf("--brand-…: %w", forPerson(err))
	}
	if s.BrandLogo == "" {
		return b, nil
	}
	data, err := os.ReadFile(s.BrandLogo)
	if err != nil {
		return b, fmt.Errorf("--brand-logo: %s cannot be read: %w", s.BrandLogo, reason(err))
	}
	if b.Logo, err = access.CheckLogo(data); err != nil {
		return b, fmt.Errorf("--brand-logo: %w", forPerson(err))
	}
	return b, nil
}

func (s BrandSettings) check() error {
	_, err := s.brand()
	return err
}

// about returns the description of the server for the operator's pages.
func (s *server) about() web.About {
	a := web.About{
		Started: time.Now(), Database: s.settings.databaseName(), LocalKey: s.keyID,
	}
	for _, each := range s.inForce {
		a.Settings = append(a.Settings, web.Setting(each))
	}
	a.Examine = s.examine
	if s.aws != nil {
		a.OwnKeys, a.OwnRegions = ownKeys{s.aws.keys, s.aws.regions}, s.aws.regions
	}
	return a
}

// examine runs the checks of `stagedoor doctor` with the settings in force.
func (s *server) examine(ctx context.Context) []web.V1Diagnosis {
	return diagnoses(ctx, &doctor{settings: s.settings})
}

func diagnoses(ctx context.Context, d *doctor) (list []web.V1Diagnosis) {
	for _, f := range d.examine(ctx) {
		list = append(list, web.V1Diagnosis(f))
	}
	return list
}

// ownKeys lets operators change the own keys of the served regions on their page.
type ownKeys struct {
	*keys.Manager
	regions []string
}

var _ web.OwnKeys = ownKeys{}

// List implements web.OwnKeys.
func (k ownKeys) List(ctx context.Context) ([]web.OwnKey, error) {
	list, err := k.Manager.List(ctx)
	var out []web.OwnKey
	for _, key := range list {
		own := web.OwnKey{
			Name: key.Name, Region: key.Region, ARN: key.ARN, KMS: key.KMS, State: key.State,
			CreatedAt: key.CreatedAt.UTC(),
		}
		if !key.LastExpiry.IsZero() {
			last := key.LastExpiry.UTC()
			own.LastExpiry = &last
		}
		out = append(out, own)
	}
	return out, err
}

// Create implements web.OwnKeys.
func (k ownKeys) Create(ctx context.Context, region, kms string) (string, error) {
	return k.change(region, func() (keys.Key, error) {
		return k.Manager.Add(ctx, region,
			keys.Source{KMS: kms})
	})
}

// Rotate implements web.OwnKeys.
func (k ownKeys) Rotate(ctx context.Context, region, kms string) (string, error) {
	return k.change(region, func() (keys.Key, error) {
		return k.Manager.Rotate(ctx, region,
			keys.Source{KMS: kms})
	})
}

// Retire implements web.OwnKeys.
func (k ownKeys) Retire(ctx context.Context, region string) (string, error) {
	return k.change(region, func() (keys.Key, error) { return k.Manager.Retire(ctx, region) })
}

func (k ownKeys) change(region string, do func() (keys.Key, error)) (string, error) {
	if !slices.Contains(k.regions, region) {
		return "", stage.Errorf(stage.ErrInvalid,
			"This server does not serve the region %q.", region)
	}
	key, err := do()
	return key.Name, err
}
