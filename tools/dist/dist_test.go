package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/rand"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
)

// TestRelease builds a release twice, in different folders and with different umasks, and checks
// its files. With STAGEDOOR_COLD=1 the builds do not use the build cache.
func TestRelease(t *testing.T) {
	t.Parallel()
	public, key, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := minisign.EncryptKey("pass word", key)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := filepath.Join(t.TempDir(), "minisign.key")
	if err := os.WriteFile(keyFile, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"VERSION": "v1.2.3", "COMMIT": "0123456789abcdef", "SOURCE_DATE_EPOCH": "1700000000",
		"SIGN_KEY": keyFile, "SIGN_PASSWORD": "pass word",
	}
	first := buildCopy(t, "one", "022", env)
	second := buildCopy(t, "another/deeper", "077", env)

	for name, text := range first {
		if strings.HasSuffix(name, ".minisig") {
			continue // a signature contains the time at which it was made
		}
		if !bytes.Equal(text, second[name]) {
			t.Errorf("%s differs between two folders: %d and %d bytes", name, len(text),
				len(second[name]))
		}
		if bytes.Contains(text, []byte(t.TempDir())) {
			t.Errorf("%s holds the folder that it was built in", name)
		}
	}
	checkSums(t, first)
	if !minisign.Verify(public, first["SHA256SUMS"], first["SHA256SUMS.minisig"]) {
		t.Error("the signature of SHA256SUMS is wrong")
	}
	checkBill(t, first["stagedoor-v1.2.3-linux-amd64.cdx.json"])
	checkBinary(t, first["stagedoor-v1.2.3-linux-amd64"])
	checkImage(t, first["stagedoor-v1.2.3-linux-amd64-image.tar"],
		first["stagedoor-v1.2.3-linux-amd64"])
}

// buildCopy builds one platform from a copy of what git tracks, and returns the files.
func buildCopy(t *testing.T, folder, umask string, env map[string]string) map[string][]byte {
	t.Helper()
	root := filepath.Join(t.TempDir(), folder)
	out := filepath.Join(t.TempDir(), "dist")
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	script := `umask ` + umask + `; cd ../.. &&
		git ls-files -z --cached --others --exclude-standard | xargs -0 -r tar -cf - | tar -xf - --no-same-permissions -C "$1"
		cd tools/dist && exec go run . -root "$1" -out "$2" -platforms linux/amd64`
	c := exec.CommandContext(t.Context(), "bash", "-c", script, "bash", root, out)
	c.Env = append(os.Environ(), "TZ="+folder, "LC_ALL=C")
	for name, value := range env {
		c.Env = append(c.Env, name+"="+value)
	}
	if os.Getenv("STAGEDOOR_COLD") != "" {
		c.Env = append(c.Env, "GOCACHE="+t.TempDir())
	}
	began := time.Now()
	if said, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	t.Logf("built %s in %v", folder, time.Since(began).Round(time.Second))
	files := map[string][]byte{}
	entries, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if files[e.Name()], err = os.ReadFile(filepath.Join(out, e.Name())); err != nil {
			t.Fatal(err)
		}
	}
	for _, extension := range []string{"", ".deb", ".rpm", ".cdx.json", "-image.tar"} {
		if len(files["stagedoor-v1.2.3-linux-amd64"+extension]) == 0 {
			t.Errorf("there is no %s file", extension)
		}
	}
	return files
}

func checkSums(t *testing.T, files map[string][]byte) {
	t.Helper()
	listed := 0
	for lines := bufio.NewScanner(bytes.NewReader(files["SHA256SUMS"])); lines.Scan(); listed++ {
		sum, name, _ := strings.Cut(lines.Text(), "  ")
		if got := fmt.Sprintf("%x", sha256.Sum256(files[name])); got != sum {
			t.Errorf("SHA256SUMS has %s for %s, want %s", sum, name, got)
		}
	}
	if want := len(files) - 2; listed != want { // the list omits itself and its signature
		t.Errorf("SHA256SUMS lists %d files, want %d", listed, want)
	}
}

func checkBill(t *testing.T, text []byte) {
	t.Helper()
	var bom struct {
		BOMFormat string
		Metadata  struct {
			Component struct{ Name, Version string }
		}
		Components []struct{ Name, Version, PURL string }
	}
	if err := json.Unmarshal(text, &bom); err != nil {
		t.Fatal(err)
	}
	if bom.BOMFormat != "CycloneDX" || bom.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("the bill of materials begins with %+v", bom.Metadata)
	}
	for _, wanted := range []string{"modernc.org/sqlite", "github.com/pion/dtls/v3", "std"} {
		found := slices.ContainsFunc(bom.Components,
			func(c struct{ Name, Version, PURL string }) bool {
				return c.Name == wanted && c.Version != ""
			})
		if !found {
			t.Errorf("the bill of materials lacks %s", wanted)
		}
	}
}

// checkBinary runs the binary, and checks that it prints its version, its commit and its date. It
// also checks that the binary is static: it names no program that would load shared libraries.
func checkBinary(t *testing.T, text []byte) {
	t.Helper()
	program, err := elf.NewFile(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	loads := func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }
	if slices.ContainsFunc(program.Progs, loads) {
		t.Error("the binary needs shared libraries, want a static one")
	}
	path := filepath.Join(t.TempDir(), "stagedoor")
	if err := os.WriteFile(path, text, 0o700); err != nil {
		t.Fatal(err)
	}
	said, err := exec.CommandContext(t.Context(), path, "--version").CombinedOutput()
	for _, want := range []string{"stagedoor v1.2.3\n", "0123456789abcdef",
		"2023-11-14T22:13:20Z"} {
		if err != nil || !strings.Contains(string(said), want) {
			t.Errorf("--version: got %v, %s, want %q in it", err, said, want)
		}
	}
}

// checkImage unpacks the image as a container engine does, and checks its configuration and its
// files.
func checkImage(t *testing.T, text, binary []byte) {
	t.Helper()
	blobs := map[string][]byte{}
	unpack(t, bytes.NewReader(text), func(h *tar.Header, text []byte) { blobs[h.Name] = text })
	var index struct{ Manifests []struct{ Digest string } }
	decode(t, blobs["index.json"], &index)
	blob := func(digest string) []byte {
		t.Helper()
		text := blobs["blobs/"+strings.Replace(digest, ":", "/", 1)]
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256(text)); got != digest {
			t.Fatalf("the blob %s has the digest %s", digest, got)
		}
		return text
	}
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	decode(t, blob(index.Manifests[0].Digest), &manifest)
	var config struct {
		OS, Architecture string
		Config           struct {
			User            string
			Entrypoint, Cmd []string
			Env             []string
			Healthcheck     struct{ Test []string }
			Volumes         map[string]struct{}
			ExposedPorts    map[string]struct{}
			Labels          map[string]string
		}
	}
	decode(t, blob(manifest.Config.Digest), &config)
	c := config.Config
	if config.OS != "linux" || config.Architecture != "amd64" || c.User != "65532:65532" ||
		!slices.Equal(append(c.Entrypoint, c.Cmd...), []string{"/usr/bin/stagedoor", "serve"}) ||
		!slices.Equal(c.Healthcheck.Test, []string{"CMD", "/usr/bin/stagedoor", "health"}) ||
		len(c.Volumes) != 1 {
		t.Errorf("the image is configured as %+v", config)
	}
	files := map[string]*tar.Header{}
	for _, l := range manifest.Layers {
		z, err := gzip.NewReader(bytes.NewReader(blob(l.Digest)))
		if err != nil {
			t.Fatal(err)
		}
		unpack(t, z, func(h *tar.Header, text []byte) {
			files[h.Name] = h
			if h.Name == "usr/bin/stagedoor" && !bytes.Equal(text, binary) {
				t.Error("the program in the image is not the one beside it")
			}
			if h.Name == "etc/ssl/certs/ca-certificates.crt" &&
				bytes.Count(text, []byte("BEGIN CERTIFICATE")) < 100 {
				t.Error("the image has too few CA certificates")
			}
		})
	}
	if h := files["data/"]; h == nil || h.Uid != 65532 || h.Mode != 0o700 {
		t.Errorf("the data folder of the image is %+v", h)
	}
	if h := files["usr/bin/stagedoor"]; h == nil || h.Uid != 0 || h.Mode != 0o755 {
		t.Errorf("the program of the image is %+v", h)
	}
	for _, name := range []string{"etc/passwd", "usr/share/zoneinfo.zip", "tmp/"} {
		if files[name] == nil {
			t.Errorf("the image lacks %s", name)
		}
	}
}

func unpack(t *testing.T, from io.Reader, each func(*tar.Header, []byte)) {
	t.Helper()
	for r := tar.NewReader(from); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		each(h, text)
	}
}

func decode(t *testing.T, text []byte, v any) {
	t.Helper()
	if err := json.Unmarshal(text, v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
}
