// Package keys manages own keys for AWS stages. It creates or imports them, imports their public
// halves into AWS, and rotates them without making a token invalid. It also chooses the issuer of
// each stage's tokens: an own key or the API.
//
// The private half is only in a file of mode 0600 or in AWS KMS.
package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/words"
)

// maxKeys is the quota of AWS per account and region, which cannot be raised ("Service Quotas:
// Real-Time Streaming").
const maxKeys = 3

// AWS contains the calls to Amazon IVS and AWS KMS that this package needs. Errors are those of
// package stage. For a deleted key, the error is stage.ErrNotFound.
type AWS interface {
	ImportPublicKey(ctx context.Context, region, name, material string) (arn string, err error)
	PublicKeys(ctx context.Context, region string) (names map[string]string, err error) // by ARN
	PublicKey(ctx context.Context, arn string) (material string, err error)
	DeletePublicKey(ctx context.Context, arn string) error
	// KMSKey finds a key by its ID, alias or ARN. It also returns the ARN, because an alias may be
	// moved to another key.
	KMSKey(ctx context.Context, region, id string) (key crypto.Signer, arn string, err error)
}

// Config is what a Manager needs.
type Config struct {
	Dir string // <data>/keys
	AWS AWS
	Now func() time.Time
	Log *slog.Logger
}

// A Manager manages the keys in a folder. It is safe for concurrent use, also by several processes.
type Manager struct {
	cfg Config

	mu      sync.Mutex
	known   state                    // guarded by mu: content of the file when it was last read
	info    fs.FileInfo              // guarded by mu: identifies the file with that content
	signers map[string]crypto.Signer // guarded by mu: by the key's name
}

// New returns a Manager. It does not read the file yet.
func New(cfg Config) *Manager {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Manager{cfg: cfg, signers: map[string]crypto.Signer{}}
}

// A Source is the origin of a private half. The zero value creates a new key.
type Source struct {
	Private *ecdsa.PrivateKey // from ParsePEM
	KMS     string            // the ID, alias or ARN of an ECC_NIST_P384 key in AWS KMS
}

// ParsePEM parses a private key on P-384, as SEC 1 or PKCS #8. If the text contains no key, it
// returns an error: a Source without a key would create a new key, as if that were the imported
// one.
func ParsePEM(text stage.Secret) (*ecdsa.PrivateKey, error) {
	private, err := token.ParseKey([]byte(text.Reveal()))
	if err != nil {
		return nil, stage.Errorf(stage.ErrInvalid, "The key cannot be imported: %v.", err)
	}
	return private, nil
}

// List returns the keys, oldest first.
func (m *Manager) List(context.Context) ([]Key, error) {
	s, err := m.read()
	return s.Keys, err
}

// Add creates or imports the first own key of a region. From then on the key signs the region's
// tokens. If the source is a key in AWS KMS that signs already, Add returns this key.
func (m *Manager) Add(ctx context.Context, region string, from Source) (Key, error) {
	return m.exclusively(ctx, region, from, func() (Key, error) {
		k, err := m.current(ctx, region)
		switch {
		case err != nil:
			return Key{}, err
		case k.Name == "":
			return m.begin(ctx, region, from)
		}
		if from.KMS != "" {
			if same, err := m.isFrom(ctx, k, from); same || err != nil {
				return k, err
			}
		}
		return Key{}, words.Error(stage.ErrConflict, "said.conflict.ownKey",
			words.Values{"region": region, "key": k.Name})
	})
}

// Rotate replaces the key of a region. It returns when the new key is imported and signs. The old
// key is kept until its last token has expired; Tidy deletes it later.
func (m *Manager) Rotate(ctx context.Context, region string, from Source) (Key, error) {
	return m.exclusively(ctx, region, from, func() (Key, error) {
		if k, err := m.current(ctx, region); err != nil || k.Name == "" {
			return k, cmpErr(err, stage.Errorf(stage.ErrNotFound,
				"%s has no own key to rotate: create one first", region))
		}
		return m.begin(ctx, region, from)
	})
}

// Retire ends the use of own keys in a region. From then on the API issues tokens, and the key is
// deleted when its last token has expired. An unfinished key, which never signed, is removed at
// once.
func (m *Manager) Retire(ctx context.Context, region string) (Key, error) {
	unlock, err := m.lock(ctx, "aws.lock")
	if err != nil {
		return Key{}, err
	}
	defer unlock()
	dropped, err := m.giveUp(ctx, region)
	if err != nil {
		return Key{}, err
	}
	k, err := m.current(ctx, region)
	switch {
	case k.Name == "" && dropped.Name != "":
		return dropped, nil // there is no other key, so ignore the error of m.current
	case err != nil || k.Name == "":
		return k, cmpErr(err, stage.Errorf(stage.ErrNotFound,
			"%s has no own key to retire", region))
	}
	err = m.update(ctx, func(s *state) error {
		if found := s.find(k.Name); found != nil {
			found.State = StateRetiring
			k = *found
		}
		return nil
	})
	return k, err
}

// giveUp removes the unfinished keys of a region, and returns one of them.
func (m *Manager) giveUp(ctx context.Context, region string) (dropped Key, err error) {
	s, err := m.read()
	if err != nil {
		return Key{}, err
	}
	for _, k := range s.Keys {
		if k.State != StateNew || k.Region != region {
			continue
		}
		if err := m.forgetImport(ctx, k); err != nil {
			m.cfg.Log.WarnContext(ctx,
				"AWS may still hold the public half of an abandoned key; it verifies "+
					"nothing any more", "key", k.Name, "err", err)
		}
		if err := m.abandon(ctx, k); err != nil {
			return dropped, err
		}
		dropped = k
		dropped.State = StateGivenUp
	}
	return dropped, nil
}

// forgetImport deletes a key at AWS if the import succeeded and only the response was lost.
func (m *Manager) forgetImport(ctx context.Context, k Key) error {
	listed, err := m.cfg.AWS.PublicKeys(ctx, k.Region)
	if err != nil {
		return err
	}
	for arn, name := range listed {
		if name == k.Name {
			return m.cfg.AWS.DeletePublicKey(ctx, arn)
		}
	}
	return nil
}

// cmpErr returns err if it is not nil, and otherwise the refusal.
func cmpErr(err error, refusal *stage.Error) error {
	if err != nil {
		return err
	}
	return refusal
}

// exclusively runs one change of keys at a time. Before that, it finishes an interrupted change of
// the region. If the key of that change is the requested one, it returns this key.
func (m *Manager) exclusively(
	ctx context.Context, region string, from Source, change func() (Key, error),
) (Key, error) {
	unlock, err := m.lock(ctx, "aws.lock")
	if err != nil {
		return Key{}, err
	}
	defer unlock()
	finished, err := m.resume(ctx, func(k Key) bool { return k.Region == region })
	if err != nil {
		return Key{}, err
	}
	for _, k := range finished {
		if same, err := m.isFrom(ctx, k, from); same || err != nil {
			return k, err
		}
	}
	return change()
}

// isFrom reports whether a key is the one that a source describes.
func (m *Manager) isFrom(ctx context.Context, k Key, from Source) (bool, error) {
	switch {
	case from.KMS != "":
		_, arn, err := m.cfg.AWS.KMSKey(ctx, k.Region, from.KMS)
		return arn == k.KMS, err
	case from.Private != nil:
		signer, err := m.private(ctx, k)
		return err == nil && from.Private.PublicKey.Equal(signer.Public()), err
	}
	return !k.Imported, nil
}

// current returns the active key of the region in the credentials' account, or a Key without a
// name. A key of another account, which belongs to earlier credentials, is not in the list of AWS
// and is ignored.
func (m *Manager) current(ctx context.Context, region string) (Key, error) {
	s, err := m.read()
	if err != nil {
		return Key{}, err
	}
	listed, err := m.cfg.AWS.PublicKeys(ctx, region)
	if err != nil {
		return Key{}, err
	}
	for _, k := range s.Keys {
		if _, ours := listed[k.ARN]; ours && k.State == StateActive && k.Region == region {
			return k, nil
		}
	}
	return Key{}, nil
}

// begin stores the intended key and then finishes it. If it is interrupted, `resume` finishes the
// key later.
func (m *Manager) begin(ctx context.Context, region string, from Source) (Key, error) {
	// The name contains the time and is unique. If the response to the import is lost, the key is
	// found at AWS by this name.
	name := fmt.Sprintf("stagedoor-%s-%s-%s", region, m.cfg.Now().UTC().Format("20060102T150405"),
		strings.ToLower(stage.NewID()[:4]))
	k := Key{
		Name: name, Region: region, KMS: from.KMS, State: StateNew,
		Imported:  from.Private != nil || from.KMS != "",
		CreatedAt: m.cfg.Now().UTC().Truncate(time.Second),
	}
	if k.KMS != "" {
		var err error
		if _, k.KMS, err = m.cfg.AWS.KMSKey(ctx, region, k.KMS); err != nil {
			return Key{}, err
		}
	}
	if from.Private != nil {
		if err := m.keep(k, from.Private); err != nil {
			return Key{}, err
		}
	}
	if err := m.update(ctx, func(s *state) error {
		s.Keys = append(s.Keys,
			k)
		return nil
	}); err != nil {
		return Key{}, err
	}
	return m.finish(ctx, k)
}

// keep writes an imported key to its file, as PKCS #8.
func (m *Manager) keep(k Key, private *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	content := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
	f, err := os.OpenFile(m.file(k), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// resume finishes the interrupted changes of the keys for which the function `wanted` returns true.
// If one key fails, `resume` continues with the next.
func (m *Manager) resume(ctx context.Context, wanted func(Key) bool) (finished []Key, err error) {
	s, err := m.read()
	if err != nil {
		return nil, err
	}
	var failed []error
	for _, k := range s.Keys {
		if k.State != StateNew || !wanted(k) {
			continue
		}
		done, err := m.finish(ctx, k)
		switch {
		case hopeless(err): // the key is abandoned, so that others are not blocked
			m.cfg.Log.WarnContext(ctx, "an interrupted change of keys is abandoned", "key", k.Name,
				"err", err)
		case err != nil:
			failed = append(failed, fmt.Errorf("finish the interrupted change of the key %s: %w",
				k.Name, err))
		default:
			m.cfg.Log.InfoContext(ctx, "an interrupted change of keys is finished", "key", k.Name)
			finished = append(finished, done)
		}
	}
	return finished, errors.Join(failed...)
}

// finish takes a new key through its steps. If a retry cannot succeed, it abandons the key.
func (m *Manager) finish(ctx context.Context, k Key) (Key, error) {
	done, err := m.step(ctx, k)
	if hopeless(err) {
		return Key{}, errors.Join(err, m.abandon(ctx, k))
	}
	return done, err
}

// hopeless reports whether a retry cannot succeed, because AWS refuses the key or the quota of keys
// is reached.
func hopeless(err error) bool {
	return errors.Is(err, stage.ErrConflict) || errors.Is(err, stage.ErrInvalid)
}

// step takes a new key through its remaining steps. A second call does not repeat steps that are
// done.
func (m *Manager) step(ctx context.Context, k Key) (Key, error) {
	signer, err := m.private(ctx, k)
	if err != nil {
		return k, err
	}
	public, ok := signer.Public().(*ecdsa.PublicKey)
	if !ok {
		return k, stage.Errorf(stage.ErrInvalid, "the key %s is not an EC key", k.Name)
	}
	material, err := token.PublicPEM(public)
	if err != nil {
		return k, err
	}
	if k.ARN, err = m.imported(ctx, k, string(material)); err != nil {
		return k, err
	}
	if err := m.confirm(ctx, k, public); err != nil {
		return k, err
	}
	return k, m.activate(ctx, &k)
}

// confirm reads the public key back from AWS and compares it, so that no token is signed before AWS
// can verify it.
func (m *Manager) confirm(ctx context.Context, k Key, want *ecdsa.PublicKey) error {
	material, err := m.cfg.AWS.PublicKey(ctx, k.ARN)
	if err != nil {
		return err
	}
	block, _ := pem.Decode([]byte(material))
	if block == nil {
		return stage.Errorf(stage.ErrUnavailable,
			"AWS returned no key for %s; try again", k.ARN)
	}
	if got, err := x509.ParsePKIXPublicKey(block.Bytes); err != nil || !want.Equal(got) {
		return words.Error(stage.ErrConflict, "said.conflict.otherKey",
			words.Values{"key": k.Name})
	}
	return nil
}

// private loads the private half of a key from AWS KMS or from its file. If an unfinished key has
// no file yet, `private` creates the private half.
func (m *Manager) private(ctx context.Context, k Key) (crypto.Signer, error) {
	if k.KMS != "" {
		key, _, err := m.cfg.AWS.KMSKey(ctx, k.Region, k.KMS)
		return key, err
	}
	private, err := token.LoadKey(m.file(k))
	if errors.Is(err, fs.ErrNotExist) && k.State == StateNew && k.ARN == "" {
		return token.CreateKey(m.file(k))
	}
	return private, err
}

// activate makes the new key sign and the previous one retire, in one write.
func (m *Manager) activate(ctx context.Context, k *Key) error {
	return m.update(ctx, func(s *state) error {
		entry := s.find(k.Name)
		if entry == nil {
			return words.Error(stage.ErrConflict, "said.conflict.keyRemoved",
				words.Values{"key": k.Name})
		}
		for i := range s.Keys {
			if other := &s.Keys[i]; other.State == StateActive && other.Region == k.Region &&
				other.Account() == k.Account() {
				other.State = StateRetiring
			}
		}
		entry.ARN, entry.State = k.ARN, StateActive
		*k = *entry
		return nil
	})
}

// Run finishes interrupted changes and deletes retired keys that are due, until ctx ends.
func (m *Manager) Run(ctx context.Context) error {
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for {
		if m.pending() {
			if _, err := m.Tidy(ctx); err != nil && ctx.Err() == nil {
				m.cfg.Log.WarnContext(ctx, "a change of keys cannot be finished", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// pending reports whether any key is unfinished or retiring. If none is, Run does not call AWS.
func (m *Manager) pending() bool {
	s, err := m.read()
	return err == nil && slices.ContainsFunc(s.Keys,
		func(k Key) bool { return k.State != StateActive })
}
