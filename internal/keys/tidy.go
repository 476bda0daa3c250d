package keys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// abandon removes a key that was not finished, and so never signed.
func (m *Manager) abandon(ctx context.Context, k Key) error {
	return errors.Join(m.removeFile(k), m.drop(ctx, k))
}

func (m *Manager) removeFile(k Key) error {
	if err := os.Remove(m.file(k)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the key %s: %w", k.Name, err)
	}
	return nil
}

func (m *Manager) drop(ctx context.Context, k Key) error {
	return m.update(ctx, func(s *state) error {
		s.Keys = slices.DeleteFunc(s.Keys, func(other Key) bool { return other.Name == k.Name })
		return nil
	})
}

// Tidy finishes interrupted changes. Then it deletes retiring keys whose last token has expired, at
// AWS and here, and returns them. If one key fails, for example because its account has no
// credentials, Tidy continues with the next.
func (m *Manager) Tidy(ctx context.Context) (gone []Key, err error) {
	unlock, err := m.lock(ctx, "aws.lock")
	if err != nil {
		return nil, err
	}
	defer unlock()
	_, notFinished := m.resume(ctx, func(Key) bool { return true })
	s, err := m.read()
	failed := []error{notFinished, err}
	for _, k := range s.Keys {
		if k.State != StateRetiring {
			continue
		}
		deleted, err := m.tidy(ctx, k)
		if deleted {
			gone = append(gone, k)
		}
		failed = append(failed, err)
	}
	return gone, errors.Join(failed...)
}

// tidy deletes a key at AWS, then its file, then its entry. In this order every step can be
// repeated.
func (m *Manager) tidy(ctx context.Context, k Key) (bool, error) {
	if !m.cfg.Now().After(k.LastExpiry) {
		return false, nil
	}
	if err := m.cfg.AWS.DeletePublicKey(ctx, k.ARN); err != nil &&
		!errors.Is(err, stage.ErrNotFound) {
		return false, err
	}
	if err := m.removeFile(k); err != nil {
		return false, err
	}
	m.cfg.Log.InfoContext(ctx, "an own key is deleted: its last token has expired", "key", k.Name,
		"arn", k.ARN)
	return true, m.drop(ctx, k)
}
