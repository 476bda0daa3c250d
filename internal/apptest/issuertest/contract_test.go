package issuertest_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/apptest/issuertest"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

func TestLocalSigner(t *testing.T) {
	t.Parallel()
	issuertest.Run(t, func(t *testing.T) issuertest.Subject {
		key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		here := stage.LocalARN("main")
		endpoints := func(_ context.Context, arn stage.ARN) (stage.Endpoints, error) {
			if arn != here {
				return stage.Endpoints{}, stage.Errorf(stage.ErrNotFound, "there is no such stage")
			}
			return stage.Endpoints{WHIP: "http://127.0.0.1:8080/whip",
				Events: "ws://127.0.0.1:8080/events"}, nil
		}
		verifier := token.Verifier{
			Keys: token.Keys{"k": &key.PublicKey}, Endpoints: endpoints, Now: time.Now,
		}
		return issuertest.Subject{
			Issuer: &token.Signer{
				Key: key, KeyID: "k", Endpoints: endpoints, Now: time.Now, Name: "local key",
			},
			Stage: here, Gone: stage.LocalARN("nobody"),
			Enter: func(ctx context.Context, made stage.ParticipantToken) (stage.Participant,
				error) {
				return verifier.Verify(ctx, made.Secret)
			},
		}
	})
}

// amazon returns an emulated AWS with one stage, and a client for it.
func amazon(t *testing.T) (*ivsemu.Emulator, *ivs.Service, stage.ARN) {
	t.Helper()
	e, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) { cfg.Quotas = true })
	service, err := ivs.New(ivs.Config{
		Regions: []string{"us-west-2"}, Endpoint: base,
		AWS: aws.Config{Credentials: credentials.NewStaticCredentialsProvider(
			fakeivs.AccessKey, fakeivs.SecretKey, "")},
	})
	if err != nil {
		t.Fatal(err)
	}
	made, err := service.CreateStage(t.Context(), "us-west-2", "main")
	if err != nil {
		t.Fatal(err)
	}
	return e, service, made.ARN
}

// overWHIP presents a token to the global WHIP endpoint, which redirects to the endpoint of the
// stage. The status for a valid token is 503, because the test has no media plane, or 403 if the
// token may not publish.
func overWHIP(
	e *ivsemu.Emulator,
) func(context.Context, stage.ParticipantToken) (stage.Participant, error) {
	return func(ctx context.Context, made stage.ParticipantToken) (stage.Participant, error) {
		p, err := e.Verifier().Verify(ctx, made.Secret)
		if err != nil {
			return p, err
		}
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, made.WHIPEndpoint,
			strings.NewReader("v=0"))
		if err != nil {
			return p, err
		}
		r.Header.Set("Authorization", "Bearer "+made.Secret.Reveal())
		r.Header.Set("Content-Type", "application/sdp")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			return p, err
		}
		answer.Body.Close()
		want := http.StatusServiceUnavailable // there is no media plane in this test
		if !p.Capabilities.Has(stage.Publish) {
			want = http.StatusForbidden
		}
		if answer.StatusCode != want {
			return p, fmt.Errorf("the endpoint answered %s, want %d", answer.Status, want)
		}
		return p, nil
	}
}

const nobody = stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/nobody")

func TestAPI(t *testing.T) {
	t.Parallel()
	issuertest.Run(t, func(t *testing.T) issuertest.Subject {
		e, service, arn := amazon(t)
		return issuertest.Subject{Issuer: service, Stage: arn, Gone: nobody, Enter: overWHIP(e)}
	})
}

func TestOwnKey(t *testing.T) {
	t.Parallel()
	issuertest.Run(t, func(t *testing.T) issuertest.Subject {
		e, service, arn := amazon(t)
		manager := keys.New(keys.Config{Dir: t.TempDir(), AWS: service})
		if _, err := manager.Add(t.Context(), "us-west-2", keys.Source{}); err != nil {
			t.Fatal(err)
		}
		router := &keys.Router{
			Keys: manager, API: never{}, Endpoints: service.Endpoints,
			WHIPEndpoint: ivs.WHIPEndpoint, Now: time.Now,
		}
		return issuertest.Subject{Issuer: router, Stage: arn, Gone: nobody, Enter: overWHIP(e)}
	})
}

// never is an API that must not be called.
type never struct{}

func (never) IssueToken(context.Context, stage.TokenRequest) (stage.ParticipantToken, error) {
	return stage.ParticipantToken{}, errors.New("the API was asked, though there is an own key")
}
