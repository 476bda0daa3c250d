package app_test

import (
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

// TestKeysAreImportedFromPrivateKeysAlone: `keys import` and `keys rotate` refuse a file without a
// private key. They do not create a key in its place, and the stored keys do not change.
func TestKeysAreImportedFromPrivateKeysAlone(t *testing.T) {
	t.Parallel()
	flags := []string{"--region", "us-west-2", "--data", t.TempDir(), "--ivs-endpoint",
		apptest.Emulate(t)}
	folder := t.TempDir()
	for name, content := range map[string]string{
		"empty.pem": "",
		"text.pem":  "my key\n",
		"certificate.pem": string(
			pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("x")})),
		"public.pem": string(pem.EncodeToMemory(
			&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")})),
	} {
		file := filepath.Join(folder, name)
		must(t, os.WriteFile(file, []byte(content), 0o600))
		for _, command := range []string{"import", "rotate"} {
			out, err := run(t, append([]string{"keys", command, "--pem", file}, flags...)...)
			if err == nil || !strings.Contains(err.Error(), file) ||
				!strings.Contains(err.Error(), "private key") {
				t.Errorf("keys %s --pem %s: got %v %s, want the file and what it lacks", command,
					name, err, out)
			}
		}
	}
	// A file that is larger than any key. Only its beginning is read, because a path may also name
	// a device that never ends, such as /dev/zero.
	wrong := filepath.Join(folder, "film.mp4")
	must(t, os.WriteFile(wrong, make([]byte, 128<<10), 0o600))
	if out, err := run(t, append([]string{"keys", "import", "--pem", wrong},
		flags...)...); err == nil ||
		!strings.Contains(err.Error(), "has more than 65536 bytes") {
		t.Errorf("a large file: got %v %s, want that it is not read to its end", err, out)
	}
	out, err := run(t, "keys", "list", "--data", flags[3])
	must(t, err)
	if strings.Contains(out, "us-west-2") {
		t.Errorf("keys: got %s, want none", out)
	}
}
