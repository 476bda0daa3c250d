package app_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/web"
)

// The road of a closed OBS: paired by the binary, its password read from its own file from then on, undone.
func TestOBSIsPairedFromTheTerminal(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	ada := a.Broadcaster(a.Operator(), "Ada", "publish")
	var key web.NewAccessKey
	ada.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "pair"}, &key)
	portable := t.TempDir() // as a portable OBS has its folder
	dir := filepath.Join(portable, "config", "obs-studio")
	if err := os.CopyFS(dir, os.DirFS("../obs/testdata/obs-32")); err != nil {
		t.Fatal(err)
	}

	out, err := run(t, "obs", "pair", "--server", a.URL, "--key", "sdk_wrong", "--obs-config", portable, "--json")
	if err == nil || !strings.Contains(out, `"unauthorized"`) {
		t.Errorf("with a wrong key: %v, %s", err, out)
	}
	out, err = run(t, "obs", "pair", "--server", a.URL, "--key", key.Key, "--obs-config", portable)
	if err != nil || !strings.Contains(out, "its WebSocket server is on, port 4455") || strings.Contains(out, "#") {
		t.Fatalf("%v: %s", err, out)
	}
	var settings struct {
		Password string `json:"server_password"`
	}
	file := filepath.Join(dir, "plugin_config", "obs-websocket", "config.json")
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &settings) != nil || settings.Password == "" {
		t.Fatalf("%v: %s", err, text)
	}
	far := fakeobs.Start(t, fakeobs.Options{Password: settings.Password})
	text = []byte(strings.Replace(string(text), `"server_port": 4455`, `"server_port": `+far.Port(), 1))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "obs", "status", "--obs-config", portable); err != nil || !strings.Contains(out, "OBS 32.1.2") {
		t.Errorf("port and password from OBS's own file: %v, %s", err, out)
	}
	if out, err := run(t, "obs", "pair", "--undo", "--obs-config", portable, "--json"); err != nil || !strings.Contains(out, `"undone"`) {
		t.Errorf("%v: %s", err, out)
	}
	out, err = run(t, "obs", "pair", "--undo", "--obs-config", portable, "--json")
	if err == nil || !strings.Contains(out, `"obs_not_paired"`) {
		t.Errorf("undone twice: %v, %s", err, out)
	}
}
