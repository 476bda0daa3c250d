package ivs

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// ImportPublicKey imports the public half of a key (PEM) into AWS, and returns its ARN.
func (s *Service) ImportPublicKey(
	ctx context.Context, region, name, material string,
) (string, error) {
	client, err := s.region(region)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MaxWait)
	defer cancel()
	out, err := call(ctx, s, "", client.ImportPublicKey, &ivsrealtime.ImportPublicKeyInput{
		Name: &name, PublicKeyMaterial: &material,
	})
	if err != nil {
		return "", fmt.Errorf("import a public key into %s: %w", region, err)
	}
	if out.PublicKey == nil || aws.ToString(out.PublicKey.Arn) == "" {
		return "", stage.Errorf(stage.ErrUnavailable,
			"Amazon IVS answered without the key's ARN; try again.").WithCode("aws_error")
	}
	return *out.PublicKey.Arn, nil
}

// PublicKeys returns the public keys of a region: a map of their names by ARN.
func (s *Service) PublicKeys(ctx context.Context, region string) (map[string]string, error) {
	client, err := s.region(region)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, listWait)
	defer cancel()
	names := map[string]string{}
	in := &ivsrealtime.ListPublicKeysInput{}
	for {
		out, err := call(ctx, s, "", client.ListPublicKeys, in)
		if err != nil {
			return nil, fmt.Errorf("public keys of %s: %w", region, err)
		}
		for _, key := range out.PublicKeys {
			names[aws.ToString(key.Arn)] = aws.ToString(key.Name)
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return names, nil
		}
	}
}

// PublicKey returns the public key with that ARN, as PEM.
func (s *Service) PublicKey(ctx context.Context, arn string) (string, error) {
	client, err := s.region(stage.ARN(arn).Region())
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MaxWait)
	defer cancel()
	out, err := call(ctx, s, arn, client.GetPublicKey, &ivsrealtime.GetPublicKeyInput{Arn: &arn})
	if err != nil {
		return "", fmt.Errorf("public key %s: %w", arn, err)
	}
	return aws.ToString(out.PublicKey.PublicKeyMaterial), nil
}

// DeletePublicKey deletes a public key. From then on, AWS refuses every token that was signed with
// the key.
func (s *Service) DeletePublicKey(ctx context.Context, arn string) error {
	client, err := s.region(stage.ARN(arn).Region())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MaxWait)
	defer cancel()
	_, err = call(ctx, s, arn, client.DeletePublicKey, &ivsrealtime.DeletePublicKeyInput{Arn: &arn})
	if err != nil {
		return fmt.Errorf("delete the public key %s: %w", arn, err)
	}
	return nil
}

// KMSKey returns a key in AWS KMS, by its ID, alias or ARN. It must be an ECC_NIST_P384 key for
// SIGN_VERIFY. The key never leaves KMS. KMSKey also returns the ARN, which still identifies the
// same key when the alias moves to another one (KMS API Reference, GetPublicKey, "KeyId").
func (s *Service) KMSKey(ctx context.Context, region, id string) (crypto.Signer, string, error) {
	if strings.HasPrefix(id, "arn:") {
		region = stage.ARN(id).Region()
	}
	client := kms.NewFromConfig(s.cfg.AWS, func(o *kms.Options) {
		o.Region = region
		o.Credentials = namedCredentials{s.cfg.AWS.Credentials}
		if s.cfg.KMSEndpoint != "" {
			o.BaseEndpoint = &s.cfg.KMSEndpoint
		}
	})
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MaxWait)
	defer cancel()
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &id})
	if err != nil {
		return nil, "", stage.Errorf(stage.ErrUnavailable,
			"AWS KMS does not give the public half of %s: check the key's ID and that the policy "+
				"allows kms:GetPublicKey and kms:Sign on it.", id).WithCode("kms_key").
			WithCause(err)
	}
	key, err := x509.ParsePKIXPublicKey(out.PublicKey)
	public, ok := key.(*ecdsa.PublicKey)
	if err != nil || !ok || public.Curve != elliptic.P384() ||
		out.KeyUsage != kmstypes.KeyUsageTypeSignVerify {
		return nil, "", stage.Errorf(stage.ErrInvalid,
			"the KMS key %s is not for signing on P-384: make one with the key spec "+
				"ECC_NIST_P384 and the usage SIGN_VERIFY", id).WithCode("kms_key")
	}
	arn := cmp.Or(aws.ToString(out.KeyId), id)
	return &kmsSigner{sign: client.Sign, id: arn, public: public, wait: s.cfg.MaxWait}, arn, nil
}

// A kmsSigner signs in AWS KMS. It stores only the operation Sign, because with the whole client,
// the linker would include all methods of the client, which are 2 MB.
type kmsSigner struct {
	sign   func(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	id     string
	public *ecdsa.PublicKey
	wait   time.Duration
}

func (k *kmsSigner) Public() crypto.PublicKey { return k.public }

// Sign returns the signature as DER. crypto.Signer has no context, so the field `wait` limits the
// time of the call.
func (k *kmsSigner) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if opts.HashFunc() != crypto.SHA384 {
		return nil, errors.New("a P-384 key in AWS KMS must sign a SHA-384 digest")
	}
	ctx, cancel := context.WithTimeout(context.Background(), k.wait)
	defer cancel()
	out, err := k.sign(ctx, &kms.SignInput{
		KeyId: &k.id, Message: digest, MessageType: kmstypes.MessageTypeDigest,
		SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha384,
	})
	if err != nil {
		return nil, fmt.Errorf("sign with the KMS key %s: %w", k.id, err)
	}
	return out.Signature, nil
}
