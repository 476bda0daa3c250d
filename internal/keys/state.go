package keys

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The states of a key.
const (
	// The import or its check is not finished. After an interruption, the Manager finishes it.
	StateNew     = "new"
	StateActive  = "active"   // signs tokens
	StateGivenUp = "given up" // never signed; only returned, never stored
	// signs no more tokens; deleted when its last token has expired
	StateRetiring = "retiring"
)

// A Key is an own key and its state. None of its fields is secret.
type Key struct {
	Name       string    `json:"name"` // also of its file, and at AWS if Stagedoor imported it
	Region     string    `json:"region"`
	ARN        string    `json:"arn,omitempty"` // of the imported public half; "kid" of the tokens
	KMS        string    `json:"kms,omitempty"` // ARN of the key in AWS KMS; "" for a file
	State      string    `json:"state"`
	Imported   bool      `json:"imported,omitempty"` // not created here, so AWS may have it already
	CreatedAt  time.Time `json:"createdAt"`
	LastExpiry time.Time `json:"lastExpiry,omitzero"` // no token of the key expires later
}

// Account returns the AWS account of the key, or "" before the import.
func (k Key) Account() string { return stage.ARN(k.ARN).Account() }

// A state is the content of aws.json in the folder of the keys. The server and the operator's
// commands both use this file.
type state struct {
	Keys []Key `json:"keys"`
}

func (s *state) find(name string) *Key {
	i := slices.IndexFunc(s.Keys, func(k Key) bool { return k.Name == name })
	if i < 0 {
		return nil
	}
	return &s.Keys[i]
}

func (m *Manager) path() string { return filepath.Join(m.cfg.Dir, "aws.json") }

func (m *Manager) file(k Key) string { return filepath.Join(m.cfg.Dir, k.Name+".pem") }

func (m *Manager) read() (state, error) {
	var s state
	content, err := os.ReadFile(m.path())
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err == nil {
		err = json.Unmarshal(content, &s)
	}
	if err != nil {
		return s, stage.Errorf(stage.ErrUnavailable, "the list of own keys, %s, cannot be read",
			m.path()).WithCause(err)
	}
	return s, nil
}

// update changes the state under a lock. The lock is never held during a call to AWS, because
// tokens wait for it.
func (m *Manager) update(ctx context.Context, change func(*state) error) error {
	unlock, err := m.lock(ctx, "aws.json.lock")
	if err != nil {
		return err
	}
	defer unlock()
	s, err := m.read()
	if err != nil {
		return err
	}
	if err := change(&s); err != nil {
		return err
	}
	return m.write(s)
}

// write replaces the file atomically: after a crash, the file is either the old or the new one.
func (m *Manager) write(s state) error {
	content, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write the list of keys: %w", err)
	}
	tmp, err := os.CreateTemp(m.cfg.Dir, ".aws-*")
	if err != nil {
		return fmt.Errorf("write the list of keys: %w", err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(append(content, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write the list of keys: %w", err)
	}
	return os.Rename(tmp.Name(), m.path())
}

// lock waits until no other process holds the lock, at most a minute.
func (m *Manager) lock(ctx context.Context, name string) (unlock func(), err error) {
	if err := os.MkdirAll(m.cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the folder of keys: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	l := flock.New(filepath.Join(m.cfg.Dir, name), flock.SetPermissions(0o600))
	if ok, err := l.TryLockContext(ctx, 20*time.Millisecond); err != nil || !ok {
		return nil, stage.Errorf(stage.ErrUnavailable,
			"another command works on the keys; try again when it is done").
			WithCause(cmp.Or(err, errors.New("not locked")))
	}
	return func() { l.Unlock() }, nil
}

// Unchanged runs the function `do`, and meanwhile lets no process change the keys of a folder.
func Unchanged(ctx context.Context, dir string, do func() error) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return do()
	}
	unlock, err := New(Config{Dir: dir}).lock(ctx, "aws.json.lock")
	if err != nil {
		return err
	}
	defer unlock()
	return do()
}
