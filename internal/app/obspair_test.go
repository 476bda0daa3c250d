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
	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestOBSIsPairedFromTheTerminal: `obs pair` pairs an OBS that is closed. Then the obs commands
// read the WebSocket password from the files of OBS. `obs pair --undo` undoes the pairing.
func TestOBSIsPairedFromTheTerminal(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	ada := a.Broadcaster(a.Operator(), "Ada", "publish")
	var key web.NewAccessKey
	ada.Must(http.StatusCreated, "POST", "/api/keys", web.NewKey{Name: "pair"}, &key)
	portable := t.TempDir() // a portable OBS keeps its folder beside the program
	dir := filepath.Join(portable, "config", "obs-studio")
	if err := os.CopyFS(dir, os.DirFS("../obs/testdata/obs-32")); err != nil {
		t.Fatal(err)
	}

	out, err := run(t, "obs", "pair", "--server", a.URL, "--key", "sdk_wrong", "--obs-config",
		portable, "--json")
	if err == nil || !strings.Contains(out, `"unauthorized"`) {
		t.Errorf("with a wrong key: %v, %s", err, out)
	}
	out, err = run(t, "obs", "pair", "--server", a.URL, "--key", key.Key, "--obs-config", portable)
	if err != nil || !strings.Contains(out, "its WebSocket server is on, port 4455") ||
		strings.Contains(out, "#") {
		t.Fatalf("obs pair: got %v, %s, want the port and no secret", err, out)
	}
	var settings struct {
		Password string `json:"server_password"`
	}
	file := filepath.Join(dir, "plugin_config", "obs-websocket", "config.json")
	text, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(text, &settings) != nil || settings.Password == "" {
		t.Fatalf("the settings of the WebSocket server: got %v, %s, want a password", err, text)
	}
	const card = "obs_nvenc_h264_tex"
	far := fakeobs.Start(t, fakeobs.Options{Password: settings.Password, Script: fakeobs.Script{
		Secret: "shared", Encoders: []string{card, "obs_x264"},
		Fit: func(id string, kbits, seconds int) map[string]any {
			e, _ := encoders.Find(id)
			return e.Fit(kbits, seconds)
		},
	}})
	text = []byte(strings.Replace(string(text), `"server_port": 4455`, `"server_port": `+far.Port(), 1))
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := run(t, "obs", "status", "--obs-config", portable); err != nil ||
		!strings.Contains(out, "OBS 32.1.2") {
		t.Errorf("port and password from OBS's own file: %v, %s", err, out)
	}
	// Each server's script stores its own secret in its own file.
	ours := filepath.Join(dir, "plugin_config", "stagedoor")
	backups, _ := filepath.Glob(filepath.Join(ours, "pair-*.json"))
	if len(backups) != 1 {
		t.Fatalf("got %q, want one backup", backups)
	}
	id := strings.TrimPrefix(filepath.Base(backups[0]), "pair-")
	for name, notes := range map[string]string{
		id:          `{"secret": "shared", "server": "` + a.URL + `"}`,
		"cd34.json": `{"secret": "foreign", "server": "https://other.example"}`,
	} {
		if err := os.WriteFile(filepath.Join(ours, name), []byte(notes), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err = run(t, "obs", "setup", "--encoder", "auto", "--server", a.URL, "--key", key.Key,
		"--obs-config", portable)
	if mode := far.State().Encoders.Mode; err != nil || mode != "Advanced" ||
		far.File("Stagedoor")["keyint_sec"] != 2.0 {
		t.Errorf("setup --encoder auto: %v, %s; mode %s, file %v", err, out, mode,
			far.File("Stagedoor"))
	}
	undo := func(more ...string) (string, error) {
		args := append([]string{"obs", "pair", "--undo", "--obs-config", portable}, more...)
		return run(t, args...)
	}
	out, err = undo("--server", "https://nowhere.example", "--json")
	if err == nil || !strings.Contains(out, `"obs_not_paired"`) ||
		!strings.Contains(out, a.URL) || !strings.Contains(out, "https://other.example") {
		t.Errorf("undo of another server: %v, %s; want it refused, both named", err, out)
	}
	if out, err := undo(); err == nil {
		t.Errorf("undo of one of two: %s; want it refused", out)
	}
	out, err = undo("--server", a.URL)
	if err != nil || !strings.Contains(out, "still paired with https://other.example") {
		t.Errorf("undo of one of two: got %v, %s, want the other pairing named", err, out)
	}
	if out, err := undo("--server", a.URL); err == nil {
		t.Errorf("a second undo of the same pairing: got %s, want an error", out)
	}
	out, err = undo("--json")
	if err != nil || !strings.Contains(out, `"undone": "https://other.example"`) {
		t.Errorf("undo of the last pairing: got %v, %s, want its server in the JSON", err, out)
	}
	if out, err := undo(); err != nil || !strings.HasPrefix(out, "Nothing to undo: ") {
		t.Errorf("undo without a pairing: got %v, %s, want it to succeed and say so", err, out)
	}
	if out, err := undo("--json"); err != nil || !strings.Contains(out, `"undone": ""`) {
		t.Errorf("undo without a pairing: got %v, %s, want no server in the JSON", err, out)
	}
}
