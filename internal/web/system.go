package web

import (
	"context"
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// About contains what the page System shows, apart from the checks of /readyz.
type About struct {
	Started    time.Time
	Database   string
	LocalKey   string    // the ID of the key that signs the tokens of local stages
	Settings   []Setting // secrets are masked already
	OwnKeys    OwnKeys   // nil if no AWS region is served
	OwnRegions []string
	KeySetting string // the setting that may name an own key; "" if operators change own keys
	// runs the checks of `stagedoor doctor`; nil if they are not offered
	Examine func(context.Context) []V1Diagnosis
}

// A Setting is a setting in force, and its source.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// OwnKeys are the key pairs whose public halves are imported into Amazon IVS. The methods that
// change them return the name of the key.
type OwnKeys interface {
	List(ctx context.Context) ([]OwnKey, error)
	Create(ctx context.Context, region, kms string) (name string, err error)
	Rotate(ctx context.Context, region, kms string) (name string, err error)
	Retire(ctx context.Context, region string) (name string, err error)
}

type (
	// A V1System describes the running server.
	V1System struct {
		Version   string    `json:"version"`
		StartedAt time.Time `json:"startedAt"`
		PublicURL string    `json:"publicUrl"`
		Database  string    `json:"database"`
		Readiness
		Settings []Setting `json:"settings"`
	}
	// V1Doctor is the result of `stagedoor doctor` on the server.
	V1Doctor struct {
		Checks []V1Diagnosis `json:"checks"`
	}
	// A V1Diagnosis is the result of one check.
	V1Diagnosis struct {
		Check  string `json:"check"`
		Level  string `json:"level"` // ok, warning or error
		Detail string `json:"detail"`
		Advice string `json:"advice,omitempty"` // what to do
	}
	// An OwnKey is a key pair of one region. None of its fields is secret.
	OwnKey struct {
		Name   string `json:"name"`
		Region string `json:"region"`
		ARN    string `json:"arn,omitempty"` // of the public half
		// the key in AWS KMS; absent if it is in a file
		KMS       string    `json:"kms,omitempty"`
		State     string    `json:"state"` // new, active or retiring
		CreatedAt time.Time `json:"createdAt"`
		// expiry of the last token that it signed
		LastExpiry *time.Time `json:"lastExpiry,omitempty"`
	}
	// A V1Keys lists the keys that sign tokens.
	V1Keys struct {
		LocalKey string   `json:"localKey"` // its ID
		Regions  []string `json:"regions"`  // AWS regions that are served
		Keys     []OwnKey `json:"keys"`
		// the setting that may name an own key; absent if operators change own keys
		Setting string `json:"setting,omitempty"`
	}
	// A V1KeyChange creates or rotates the own key of a region.
	V1KeyChange struct {
		KMS string `json:"kms,omitempty"` // a key in AWS KMS; absent: create a key in a file
	}
)

// system serves the description of the running server, and the own keys, to operators.
type system struct {
	ownKeys *access.OwnKeys
	about   About
	public  string
	version string
	ready   func(context.Context) Readiness
}

func (s system) get(r *http.Request, _ access.Principal) (any, error) {
	return V1System{
		Version: s.version, StartedAt: s.about.Started.UTC(), PublicURL: s.public,
		Database:  s.about.Database,
		Readiness: s.ready(r.Context()), Settings: append([]Setting{}, s.about.Settings...),
	}, nil
}

func (s system) doctor(r *http.Request, _ access.Principal) (any, error) {
	out := V1Doctor{Checks: []V1Diagnosis{}}
	if s.about.Examine != nil {
		out.Checks = append(out.Checks, s.about.Examine(r.Context())...)
	}
	return out, nil
}

func (s system) keys(r *http.Request, _ access.Principal) (any, error) {
	out := V1Keys{
		LocalKey: s.about.LocalKey, Regions: append([]string{}, s.about.OwnRegions...),
		Keys: []OwnKey{}, Setting: s.about.KeySetting,
	}
	if s.about.OwnKeys == nil {
		return out, nil
	}
	list, err := s.about.OwnKeys.List(r.Context())
	out.Keys = append(out.Keys, list...)
	return out, err
}

func (s system) createKey(r *http.Request, who access.Principal) (any, error) {
	body, err := s.changeKey(r, who, access.ActionOwnKeyCreated, OwnKeys.Create)
	if err != nil {
		return nil, err
	}
	return created(body), nil
}

func (s system) rotateKey(r *http.Request, who access.Principal) (any, error) {
	return s.changeKey(r, who, access.ActionOwnKeyRotated, OwnKeys.Rotate)
}

func (s system) retireKey(r *http.Request, who access.Principal) (any, error) {
	return s.changeKey(r, who, access.ActionOwnKeyRetired,
		func(k OwnKeys, ctx context.Context, region, _ string) (string,
			error) {
			return k.Retire(ctx, region)
		})
}

func (s system) changeKey(
	r *http.Request, who access.Principal, action access.Action,
	change func(k OwnKeys, ctx context.Context, region, kms string) (string, error),
) (any, error) {
	in, err := decodeIfAny[V1KeyChange](r)
	if err != nil {
		return nil, err
	}
	region := r.PathValue("region")
	if s.about.OwnKeys == nil {
		return nil, stage.Errorf(stage.ErrUnavailable,
			"This server serves no AWS region: start Stagedoor with --ivs-region.")
	}
	if s.about.KeySetting != "" {
		return nil, stage.Errorf(stage.ErrInvalid, "Own keys cannot be changed here. If the "+
			"variable %s names a key in AWS KMS, that key signs the tokens; otherwise the AWS API "+
			"issues them. Change that variable instead.", s.about.KeySetting).WithCode("key_is_set")
	}
	err = s.ownKeys.Change(r.Context(), who, action, region,
		func(ctx context.Context) (string, error) {
			return change(s.about.OwnKeys, ctx, region, in.KMS)
		})
	if err != nil {
		return nil, err
	}
	return s.keys(r, who)
}
