package keys

import (
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// imported imports the public half into AWS, unless AWS has it. It returns the ARN.
func (m *Manager) imported(ctx context.Context, k Key, material string) (string, error) {
	listed, err := m.cfg.AWS.PublicKeys(ctx, k.Region)
	if err != nil {
		return "", err
	}
	for arn, name := range listed {
		if name == k.Name {
			return arn, nil // imported by an earlier attempt whose response was lost
		}
	}
	if arn, err := m.adopted(ctx, k, listed, material); arn != "" || err != nil {
		return arn, err
	}
	if len(listed) >= maxKeys {
		return "", stage.Errorf(stage.ErrConflict,
			"AWS holds %d public keys in %s (%s) and allows no more: wait until a retiring one "+
				"is deleted, or delete one that nothing uses", maxKeys, k.Region,
			strings.Join(names(listed), ", ")).WithCode("key_limit")
	}
	return m.cfg.AWS.ImportPublicKey(ctx, k.Region, k.Name, material)
}

// adopted finds the public half at AWS under another name, if the AWS console or another program
// has imported it. A second import would fail, because AWS accepts a key only once. `adopted`
// ignores keys that were created here, whose names at AWS are known.
func (m *Manager) adopted(
	ctx context.Context, k Key, listed map[string]string, material string,
) (string, error) {
	if !k.Imported {
		return "", nil
	}
	for _, arn := range slices.Sorted(maps.Keys(listed)) {
		there, err := m.cfg.AWS.PublicKey(ctx, arn)
		if errors.Is(err, stage.ErrNotFound) {
			continue // AWS has deleted the key meanwhile
		}
		if err != nil {
			return "", err
		}
		if !sameKey(there, material) {
			continue
		}
		s, err := m.read()
		if err != nil {
			return "", err
		}
		for _, other := range s.Keys {
			if other.ARN == arn && other.Name != k.Name {
				return "", words.Error(stage.ErrConflict, "said.conflict.keyImported",
					words.Values{"key": other.Name, "state": other.State})
			}
		}
		m.cfg.Log.InfoContext(ctx, "a public key that AWS already has is used", "key", k.Name,
			"arn", arn)
		return arn, nil
	}
	return "", nil
}

// sameKey compares two public keys in PEM, regardless of line breaks.
func sameKey(a, b string) bool {
	one, _ := pem.Decode([]byte(a))
	other, _ := pem.Decode([]byte(b))
	return one != nil && other != nil && bytes.Equal(one.Bytes, other.Bytes)
}

func names(listed map[string]string) []string {
	var list []string
	for _, arn := range slices.Sorted(maps.Keys(listed)) {
		name := listed[arn]
		if name == "" {
			name = arn
		}
		list = append(list, name)
	}
	return list
}
