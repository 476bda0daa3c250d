package app

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

// LocalKeySettings name the file of the local key.
type LocalKeySettings struct {
	LocalKey string `help:"Key that signs the tokens of local stages (PEM); servers on one database share it. By default local-key.pem in the data folder, made at the first start." placeholder:"FILE"`
}

func (s LocalKeySettings) file(data string) string {
	if s.LocalKey != "" {
		return s.LocalKey
	}
	return filepath.Join(data, "local-key.pem")
}

// localKey loads the key that signs tokens of local stages. Without --new-local-key, it creates a
// key only if no token was signed before. The database stores the ID of the key, so that a server
// with another key does not start: that server would refuse all earlier tokens, and the tokens of
// other servers.
func (s *server) localKey(ctx context.Context) (*ecdsa.PrivateKey, error) {
	path := s.settings.LocalKeySettings.file(s.settings.Data)
	key, err := token.LoadKey(path)
	created := false
	switch damaged := (*stage.Error)(nil); {
	case errors.Is(err, fs.ErrNotExist):
		key, err = s.newLocalKey(ctx, path)
		created = err == nil
	case errors.As(err, &damaged) && damaged.Code == "key_damaged":
		err = fmt.Errorf(
			"%w; restore it from a backup, or move it away and start with --new-local-key: "+
				"the open tokens of local stages end then", err)
	}
	if err != nil {
		return nil, err
	}
	if err := s.registerLocalKey(ctx, path, key); err != nil {
		if created {
			// another server on the database has stored its key first
			err = errors.Join(err, os.Remove(path))
		}
		return nil, err
	}
	return key, nil
}

func (s *server) newLocalKey(ctx context.Context, path string) (*ecdsa.PrivateKey, error) {
	if s.settings.LocalKey != "" && !s.settings.NewLocalKey {
		return nil, fmt.Errorf("there is no key at %s, which --local-key names", path)
	}
	keyID, err := s.store.LocalKey(ctx)
	if err != nil && !errors.Is(err, stage.ErrNotFound) {
		return nil, err
	}
	issued, err := s.store.Issued(ctx)
	if err != nil {
		return nil, err
	}
	if (keyID != "" || issued) && !s.settings.NewLocalKey {
		return nil, fmt.Errorf(
			"the local key is missing: the database has tokens that it signed, and there is "+
				"no %s; restore it from a backup, name it with --local-key, or start with "+
				"--new-local-key, "+
				"which ends the open tokens of local stages", path)
	}
	return token.CreateKey(path)
}

func (s *server) registerLocalKey(
	ctx context.Context, path string, key *ecdsa.PrivateKey,
) error {
	keyID, err := token.LocalKeyID(&key.PublicKey)
	if err != nil {
		return err
	}
	registered, err := s.store.RegisterLocalKey(ctx, keyID, time.Now(), s.settings.NewLocalKey)
	if err != nil || registered == keyID {
		return err
	}
	return fmt.Errorf(
		"%s is not the local key of this database: its servers sign with %s, and this is %s; "+
			"give this server their file with --local-key, or replace the key with "+
			"--new-local-key, "+
			"which ends the open tokens of local stages", path, registered, keyID)
}
