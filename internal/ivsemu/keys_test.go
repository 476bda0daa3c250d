package ivsemu_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

func newKey(t testing.TB) (*ecdsa.PrivateKey, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := token.PublicPEM(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key, string(text)
}

func importKey(t testing.TB, c *ivsrealtime.Client) *types.PublicKey {
	t.Helper()
	_, material := newKey(t)
	out, err := c.ImportPublicKey(t.Context(), &ivsrealtime.ImportPublicKeyInput{
		PublicKeyMaterial: &material,
	})
	if err != nil {
		t.Fatalf("ImportPublicKey: got %v, want nil", err)
	}
	return out.PublicKey
}

func TestThreeKeysAndNoMore(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	first := importKey(t, c)
	_, err := c.ImportPublicKey(t.Context(), &ivsrealtime.ImportPublicKeyInput{
		PublicKeyMaterial: first.PublicKeyMaterial,
	})
	wantError(t, "the same key again", err, "ConflictException", 409)
	importKey(t, c)
	importKey(t, c)
	_, material := newKey(t)
	_, err = c.ImportPublicKey(t.Context(), &ivsrealtime.ImportPublicKeyInput{
		PublicKeyMaterial: &material,
	})
	wantError(t, "a fourth key", err, "ServiceQuotaExceededException", 402)
	var quota *types.ServiceQuotaExceededException
	if !errors.As(err, &quota) {
		t.Errorf("a fourth key: got %T, want the SDK's own type", err)
	}
	_, err = c.ImportPublicKey(t.Context(), &ivsrealtime.ImportPublicKeyInput{
		PublicKeyMaterial: aws.String(
			"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"),
	})
	wantError(t, "what is no key", err, "ValidationException", 400)
}

func TestATokenOfAnImportedKeyIsGoodUntilTheKeyIsDeleted(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	s := newStage(t, c, "main")
	private, material := newKey(t)
	key, err := c.ImportPublicKey(t.Context(), &ivsrealtime.ImportPublicKeyInput{
		PublicKeyMaterial: &material, Name: aws.String("mine"),
	})
	if err != nil {
		t.Fatal(err)
	}
	signer := token.Signer{
		Key: private, KeyID: *key.PublicKey.Arn, Now: time.Now,
		Endpoints: func(context.Context, stage.ARN) (stage.Endpoints, error) {
			return stage.Endpoints{WHIP: *s.Endpoints.Whip, Events: *s.Endpoints.Events}, nil
		},
	}
	made, err := signer.IssueToken(t.Context(), stage.TokenRequest{
		Stage: stage.ARN(*s.Arn), Capabilities: stage.Publish, TTL: time.Hour,
	})
	if err != nil {
		t.Fatal(err)
	}
	if p, err := e.Verifier().Verify(t.Context(), made.Secret); err != nil ||
		p.ID != made.Participant.ID {
		t.Errorf("the token: got %+v, %v; want it to be good", p, err)
	}
	got, err := c.GetPublicKey(t.Context(), &ivsrealtime.GetPublicKeyInput{Arn: key.PublicKey.Arn})
	if err != nil || *got.PublicKey.PublicKeyMaterial != material {
		t.Errorf("GetPublicKey: got %+v, %v; want the material", got, err)
	}
	if _, err := c.DeletePublicKey(t.Context(),
		&ivsrealtime.DeletePublicKeyInput{Arn: key.PublicKey.Arn}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Verifier().Verify(t.Context(), made.Secret); !errors.Is(err,
		stage.ErrUnauthorized) {
		t.Errorf("after DeletePublicKey: got %v, want a refusal", err)
	}
}
