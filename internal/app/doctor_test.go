package app_test

import (
	"encoding/json"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

type finding struct{ Check, Level, Detail, Advice string }

// doctor runs the command and returns its findings by check, and its error.
func doctor(t *testing.T, args ...string) (map[string]finding, error) {
	t.Helper()
	out, err := run(t, append([]string{"doctor", "--json"}, args...)...)
	var answer struct{ Checks []finding }
	if decode := json.Unmarshal([]byte(out), &answer); decode != nil {
		t.Fatalf("doctor %v: %v in %s", args, decode, out)
	}
	found := map[string]finding{}
	for _, f := range answer.Checks {
		found[f.Check] = f
	}
	return found, err
}

func TestDoctorOfAHealthyServer(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	found, err := doctor(t, "--data", a.Data)
	if err != nil {
		t.Errorf("got %v", err)
	}
	for _, check := range []string{"settings", "data folder", "database", "local key", "server", "media", "public URL", "clock", "WebSocket"} {
		if found[check].Level != "ok" {
			t.Errorf("%s: got %+v, want ok", check, found[check])
		}
	}
	out, err := run(t, "doctor", "--data", a.Data)
	if err != nil || strings.Count(out, "\n") != len(found) || !strings.HasPrefix(out, "ok ") {
		t.Errorf("got %v and %s, want one line for each check", err, out)
	}
}

// TestDoctorOfBrokenSetUps: each is found by its own check, and says what to do.
func TestDoctorOfBrokenSetUps(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	target, err := url.Parse(a.URL)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	file := filepath.Join(t.TempDir(), "file")
	damaged := t.TempDir()
	for path, text := range map[string]string{file: "", filepath.Join(damaged, "local-key.pem"): "no key"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	withoutUpgrade := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Header.Del("Upgrade")
		r.Out.Header.Del("Connection")
	}})
	t.Cleanup(withoutUpgrade.Close)
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	wrongClock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	}))
	t.Cleanup(wrongClock.Close)
	unknown := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	unknown.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	unknown.StartTLS()
	t.Cleanup(unknown.Close)

	free := []string{"--listen", "127.0.0.1:0", "--media", "127.0.0.1:0"}
	for _, c := range []struct {
		name, check, level, want string
		args                     []string
	}{
		{"settings that do not go together", "settings", "error", "--max-publishers", append(free, "--data", t.TempDir(), "--max-publishers", "0")},
		{"a data folder that cannot be", "data folder", "error", "--data", append(free, "--data", filepath.Join(file, "data"))},
		{"no database yet", "database", "warning", "first start", append(free, "--data", t.TempDir())},
		{"a database that is away", "database", "error", "cannot be reached", append(free, "--data", t.TempDir(), "--database", "postgres://"+closedPort(t)+"/stagedoor")},
		{"a damaged key", "local key", "error", "backup", append(free, "--data", damaged)},
		{"no server", "server", "warning", "start it", append(free, "--data", t.TempDir())},
		{"a taken port", "server", "error", "is taken", []string{"--data", t.TempDir(), "--listen", taken.Addr().String(), "--media", "127.0.0.1:0"}},
		{"media for this machine alone", "media", "warning", "--media", append(free, "--data", t.TempDir(), "--public-url", "https://stage.example.com")},
		{"a public URL that nobody answers", "public URL", "error", "firewall", []string{"--data", a.Data, "--public-url", "http://" + closedPort(t)}},
		{"a public URL that leads elsewhere", "public URL", "error", "404", []string{"--data", a.Data, "--public-url", elsewhere.URL}},
		{"a certificate of nobody known", "certificate", "error", "OBS", []string{"--data", a.Data, "--public-url", unknown.URL}},
		{"a clock that differs", "clock", "warning", "1h", []string{"--data", a.Data, "--public-url", wrongClock.URL}},
		{"a proxy without upgrades", "WebSocket", "error", "Upgrade", []string{"--data", a.Data, "--public-url", withoutUpgrade.URL}},
		{"AWS that does not answer", "AWS", "error", "us-west-2", append(free, "--data", t.TempDir(), "--ivs-region", "us-west-2", "--ivs-endpoint", "http://"+closedPort(t))},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			found, err := doctor(t, c.args...)
			f := found[c.check]
			if f.Level != c.level || !strings.Contains(f.Detail+" "+f.Advice, c.want) {
				t.Errorf("%s: got %+v, want %s with %q", c.check, f, c.level, c.want)
			}
			failed := false
			for _, f := range found {
				failed = failed || f.Level == "error"
			}
			if (err != nil) != failed {
				t.Errorf("got the error %v, and the findings %+v", err, found)
			}
		})
	}
}
