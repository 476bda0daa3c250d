package app_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

func TestSecretsThatOthersCanReadAreWarnedOf(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	for mode, want := range map[os.FileMode]int{0o755: 4, 0o700: 0, 0o750: 0} {
		data := filepath.Join(t.TempDir(), "data")
		if err := os.Mkdir(data, 0o700); err != nil {
			t.Fatal(err)
		}
		config := filepath.Join(t.TempDir(), "stagedoor.yaml")
		if err := os.WriteFile(config, []byte("turn-secret: hush\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		ours := filepath.Join(t.TempDir(), "key.pem")
		text, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(ours, text, 0o600); err != nil {
			t.Fatal(err)
		}
		secret := filepath.Join(t.TempDir(), "client-secret")
		if err := os.WriteFile(secret, []byte("hush"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{data, ours, config, secret} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
		a := apptest.StartIn(t, data, "--tls-cert", cert, "--tls-key", ours, "--config", config,
			"--oidc-client-secret-file", secret)
		a.Stop()
		if got := strings.Count(a.Output(),
			"others on this machine can read secrets"); got != want {
			t.Errorf("mode %04o: got %d warnings, want %d:\n%s", mode, got, want, a.Output())
		}
	}
}
