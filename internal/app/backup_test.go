package app_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestBackupWhileTokensAreIssued writes a backup while tokens are issued, and restores it. The
// restored server has a record of every token that was issued before the backup, and issues new
// tokens.
func TestBackupWhileTokensAreIssued(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--token-limit=-1")
	olga := a.Operator()
	arn := olga.MainStage()
	ctx := t.Context()
	var mu sync.Mutex
	var issued []stage.ParticipantID // guarded by mu
	var issuing sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		client := a.Browser()
		client.Must(http.StatusOK, "POST", "/api/login",
			web.Credentials{Name: "olga", Password: apptest.Password}, nil)
		issuing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				status, _, text := client.Do("POST", "/api/tokens", map[string]any{"stage": arn})
				if status != http.StatusCreated && ctx.Err() == nil {
					t.Errorf("a token during the backup: got %d %s, want 201", status, text)
				}
				var token web.Token
				if json.Unmarshal(text, &token) == nil {
					mu.Lock()
					issued = append(issued, token.ParticipantID)
					mu.Unlock()
				}
			}
		})
	}
	// Own keys and certificates are in folders below the data folder.
	must(t, os.MkdirAll(filepath.Join(a.Data, "keys"), 0o700))
	must(t, os.WriteFile(filepath.Join(a.Data, "keys", "one.pem"), []byte("a key"), 0o600))

	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(issued)
	}
	eventually(t, 30*time.Second, "tokens are issued", func() bool { return count() >= 20 })
	file := filepath.Join(t.TempDir(), "backup.tar.gz")
	before := count()
	out, err := run(t, "backup", file, "--data", a.Data)
	must(t, err)
	close(stop)
	issuing.Wait()
	if !strings.Contains(out, file) {
		t.Errorf("backup printed %q, want the file named", out)
	}
	private(t, file)
	if _, err := run(t, "backup", file, "--data", a.Data); err == nil ||
		!strings.Contains(err.Error(), "exists already") {
		t.Errorf("a second backup to the same file: got %v, want it refused", err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), ".stagedoor-*")); len(left) != 0 {
		t.Errorf("the backup left the temporary files %v", left)
	}

	data := filepath.Join(t.TempDir(), "restored")
	out, err = run(t, "restore", file, "--data", data)
	must(t, err)
	if !strings.Contains(out, data) {
		t.Errorf("restore printed %q, want the folder named", out)
	}
	private(t, filepath.Join(data, "stagedoor.db"), filepath.Join(data, "local-key.pem"),
		filepath.Join(data, "keys", "one.pem"))
	if _, err := run(t, "restore", file, "--data", data); err == nil ||
		!strings.Contains(err.Error(), "already") {
		t.Errorf("a restore over a database: got %v, want it refused", err)
	}
	if _, err := run(t, "restore", file, "--data", a.Data); err == nil ||
		!strings.Contains(err.Error(), "already serves") {
		t.Errorf("a restore under a running server: got %v, want it refused", err)
	}

	again := apptest.StartIn(t, data, "--token-limit=-1")
	client := again.Browser()
	client.Must(http.StatusOK, "POST", "/api/login",
		web.Credentials{Name: "olga", Password: apptest.Password}, nil)
	for _, id := range issued[:before] {
		client.Must(http.StatusOK, "GET", "/api/tokens/"+string(id), nil, nil)
	}
	client.Token("publish") // signed with the key from the backup
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// private checks that only the owner can read the files.
func private(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		info, err := os.Stat(file)
		must(t, err)
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s: got mode %o, want 600", file, mode)
		}
	}
}

// archive returns a compressed tar archive of entries, in the format of a backup.
func archive(t *testing.T, entries ...tar.Header) []byte {
	t.Helper()
	var file bytes.Buffer
	packed := gzip.NewWriter(&file)
	to := tar.NewWriter(packed)
	for _, header := range entries {
		content := header.Linkname
		header.Linkname, header.Size = "", int64(len(content))
		must(t, to.WriteHeader(&header))
		_, err := to.Write([]byte(content))
		must(t, err)
	}
	must(t, to.Close())
	must(t, packed.Close())
	return file.Bytes()
}

func TestRestoreRefusesWhatIsNoBackup(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(map[string]any{"format": 1, "database": "sqlite"})
	must(t, err)
	// The function `archive` takes the content of an entry from Linkname.
	first := tar.Header{Name: "backup.json", Linkname: string(text)}
	newer := tar.Header{Name: "backup.json", Linkname: `{"format": 2}`}
	whole := archive(t, first,
		tar.Header{Name: "stagedoor.db", Linkname: strings.Repeat("no database ", 1000)})
	for name, content := range map[string][]byte{
		"an empty file":   nil,
		"a text":          []byte("backup"),
		"another archive": archive(t, tar.Header{Name: "stagedoor.db"}),
		"a newer format":  archive(t, newer),
		"a way out": archive(t, first,
			tar.Header{Name: "../stagedoor.db", Linkname: "x"}),
		"a way to the root": archive(t, first,
			tar.Header{Name: "/tmp/stagedoor.db", Linkname: "x"}),
		"a damaged database":    whole,
		"no database":           archive(t, first),
		"a backup cut short":    whole[:len(whole)-9],
		"a backup with a crack": append(bytes.Clone(whole[:len(whole)-8]), 1, 2, 3, 4, 5, 6, 7, 8),
	} {
		file, data := filepath.Join(t.TempDir(), "backup"), t.TempDir()
		must(t, os.WriteFile(file, content, 0o600))
		_, err := run(t, "restore", file, "--data", data)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v, want one sentence", name, err)
		}
		must(t, filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && path != data && entry.Name() != "lock" {
				t.Errorf("%s: the refused restore left %s", name, path)
			}
			return err
		}))
	}
}

// TestRestoreOverwritesNothing: a refused restore leaves every file of the data folder as it was,
// and adds none. So the next attempt succeeds as soon as the file that was in the way is gone.
func TestRestoreOverwritesNothing(t *testing.T) {
	t.Parallel()
	text, err := json.Marshal(map[string]any{"format": 1, "database": "postgresql"})
	must(t, err)
	file := filepath.Join(t.TempDir(), "backup")
	must(t, os.WriteFile(file, archive(t, tar.Header{Name: "backup.json", Linkname: string(text)},
		tar.Header{Name: "certificates/new.pem", Linkname: "new"},
		tar.Header{Name: "keys/one.pem", Linkname: "a key"},
		tar.Header{Name: "notes/new", Linkname: "new"},
		tar.Header{Name: "tls.pem", Linkname: "new"}), 0o600))
	for name, old := range map[string]string{
		"a file":                  "tls.pem",
		"the first folder":        "certificates/old.pem",
		"a folder after the keys": "notes/old",
		"the log of a database":   "stagedoor.db-wal",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data := t.TempDir()
			path := filepath.Join(data, old)
			must(t, os.MkdirAll(filepath.Dir(path), 0o700))
			must(t, os.WriteFile(path, []byte("old"), 0o600))
			first, _, _ := strings.Cut(old, "/")
			if _, err := run(t, "restore", file, "--data", data); err == nil ||
				!strings.Contains(err.Error(), "there is a "+first+" in") {
				t.Errorf("a restore over %s: got %v, want it refused and %s named", old, err, first)
			}
			if content, err := os.ReadFile(path); err != nil || string(content) != "old" {
				t.Errorf("%s after the refused restore: got %q, %v, want it unchanged",
					old, content, err)
			}
			must(t, os.RemoveAll(filepath.Join(data, first)))
			if _, err := run(t, "restore", file, "--data", data); err != nil {
				t.Errorf("a restore when nothing is in the way: %v", err)
			}
			private(t, filepath.Join(data, "keys", "one.pem"), filepath.Join(data, "notes", "new"))
		})
	}
}

func TestTheLocalKeyIsThatOfTheDatabase(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	olga.Token("publish")
	a.Stop()
	key := filepath.Join(a.Data, "local-key.pem")
	elsewhere := filepath.Join(t.TempDir(), "key.pem")
	must(t, os.Rename(key, elsewhere))
	if got := refused(t, "--data", a.Data); !strings.Contains(got, "the local key is missing") ||
		!strings.Contains(got, key) {
		t.Errorf("without its key: got %q, want the missing file named", got)
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a refused start made a key")
	}
	if got := refused(t, "--data", a.Data, "--local-key", elsewhere+"x"); !strings.Contains(got,
		"--local-key") {
		t.Errorf("a key file that is not there: got %q", got)
	}
	other := apptest.Start(t)
	other.Stop()
	if got := refused(t, "--data", a.Data, "--local-key",
		filepath.Join(other.Data, "local-key.pem")); !strings.Contains(got,
		"is not the local key of this database") {
		t.Errorf("the key of another database: got %q", got)
	}
	apptest.StartIn(t, a.Data, "--local-key", elsewhere).Stop()
	apptest.StartIn(t, a.Data, "--new-local-key").Stop()
	if got := refused(t, "--data", a.Data, "--local-key", elsewhere); !strings.Contains(got,
		"is not the local key") {
		t.Errorf("the old key after it was replaced: got %q", got)
	}
	apptest.StartIn(t, a.Data).Stop()
}
