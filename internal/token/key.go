package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const localKeyPrefix = "arn:aws:ivs:" + stage.LocalRegion + ":000000000000:public-key/"

// CreateKey creates a key in a new file of mode 0600. If the file exists, it returns ErrConflict
// and does not change the file.
func CreateKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a key: %w", err)
	}
	if err := writeNew(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY",
		Bytes: der})); err != nil {
		return nil, err
	}
	return key, nil
}

// writeNew creates either the whole file or nothing. It uses a link, which fails if the file
// exists. A rename would replace the file.
func writeNew(path string, content []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return keyError(path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return keyError(path, err)
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		return keyError(path, err)
	}
	return syncDir(dir)
}

// syncDir makes the name of a new file durable. The content of the file must be synced before.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows has no such call for folders
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// LoadKey reads a key in PEM, as PKCS #8 or as the SEC 1 that openssl ecparam writes. It refuses a
// file that other users can read. The error for a file that cannot be used is ErrUnavailable, since
// clients of the API cannot correct the file.
func LoadKey(path string) (*ecdsa.PrivateKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, keyError(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, keyError(path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, stage.Errorf(stage.ErrUnavailable,
			"%s must be the file of a key, but is a folder or something else: move it away", path)
	}
	if exposed(info) {
		return nil, stage.Errorf(stage.ErrUnavailable,
			"the key %s can be read by others (mode %04o): run chmod 600 on it; if others may "+
				"have seen it, make a new one", path, info.Mode().Perm())
	}
	content, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, keyError(path, err)
	}
	key, err := ParseKey(content)
	if err != nil {
		return nil, stage.Errorf(stage.ErrUnavailable, "the key %s: %v", path, err).
			WithCode("key_damaged")
	}
	return key, nil
}

// exposed reports whether other users can read the file, or its group can write it. The group may
// read the file, because containers mount secrets that way.
func exposed(info fs.FileInfo) bool {
	return runtime.GOOS != "windows" && info.Mode().Perm()&0o037 != 0
}

// ParseKey reads a private key in PEM, as LoadKey does.
func ParseKey(content []byte) (*ecdsa.PrivateKey, error) {
	for {
		var block *pem.Block
		if block, content = pem.Decode(content); block == nil {
			return nil, stage.Errorf(stage.ErrInvalid, "there is no private key in PEM in it")
		}
		switch block.Type {
		case "EC PARAMETERS": // openssl ecparam without -noout writes this before the key
			continue
		case "ENCRYPTED PRIVATE KEY":
			return nil, errEncrypted()
		case "EC PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errEncrypted()
			}
			key, err := x509.ParseECPrivateKey(block.Bytes)
			return p384(key, err)
		case "PRIVATE KEY":
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			return p384(key, err)
		default:
			return nil, stage.Errorf(stage.ErrInvalid,
				"it holds a %s, not a private key", block.Type)
		}
	}
}

func p384(key any, err error) (*ecdsa.PrivateKey, error) {
	if err != nil {
		return nil, stage.Errorf(stage.ErrInvalid,
			"it is damaged, or not an EC key on the curve P-384")
	}
	private, ok := key.(*ecdsa.PrivateKey)
	if !ok || private.Curve != elliptic.P384() {
		return nil, stage.Errorf(stage.ErrInvalid,
			"tokens are signed with an EC key on the curve P-384 (secp384r1), and this is "+
				"another one")
	}
	return private, nil
}

func errEncrypted() error {
	return stage.Errorf(stage.ErrInvalid,
		"it is encrypted; write it without a passphrase (openssl pkcs8 -topk8 -nocrypt) and keep "+
			"the file to yourself")
}

func keyError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return stage.Errorf(stage.ErrNotFound, "there is no key at %s", path).WithCause(err)
	case errors.Is(err, fs.ErrExist):
		return stage.Errorf(stage.ErrConflict,
			"there is a file at %s already, and a key is never overwritten", path).WithCause(err)
	case errors.Is(err, fs.ErrPermission):
		return stage.Errorf(stage.ErrUnavailable,
			"this user may not use the key %s: check who owns the file and its folder", path).
			WithCause(err)
	}
	return stage.Errorf(stage.ErrUnavailable, "the key %s cannot be used", path).WithCause(err)
}

// PublicPEM returns the public half in the format of ImportPublicKey.
func PublicPEM(key *ecdsa.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a public key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

// LocalKeyID returns the ID of a key that has no ARN of AWS. It is derived from the key, so that it
// need not be stored.
func LocalKeyID(key *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return "", fmt.Errorf("name a public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return localKeyPrefix + hex.EncodeToString(sum[:16]), nil
}
