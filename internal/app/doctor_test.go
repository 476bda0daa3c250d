package app_test

import (
	"encoding/json"
	"io"
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
	"github.com/stagedoor/stagedoor/internal/ivs"
)

type finding struct{ Check, Level, Detail, Advice string }

// doctor runs `stagedoor doctor` and returns its findings by check, and its error.
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
		t.Errorf("the doctor of a healthy server: got %v, want no error", err)
	}
	for _, check := range []string{"settings", "data folder", "database", "local key", "server",
		"media", "public URL", "clock", "WebSocket", "proxy", "streaming"} {
		if found[check].Level != "ok" {
			t.Errorf("%s: got %+v, want ok", check, found[check])
		}
	}
	out, err := run(t, "doctor", "--data", a.Data)
	if err != nil || strings.Count(out, "\n") != len(found) || !strings.HasPrefix(out, "ok ") {
		t.Errorf("got %v and %s, want one line for each check", err, out)
	}
}

// TestDoctorOfBrokenSetUps: for each kind of broken set-up, one check reports the fault and gives
// advice.
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
	for path, text := range map[string]string{file: "",
		filepath.Join(damaged, "local-key.pem"): "no key"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	withoutUpgrade := httptest.NewServer(
		&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Header.Del("Upgrade")
			r.Out.Header.Del("Connection")
		}})
	t.Cleanup(withoutUpgrade.Close)
	naming := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
	}})
	t.Cleanup(naming.Close)
	buffering := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, err := http.Get(a.URL + r.URL.Path)
		if err != nil {
			return // the server has stopped
		}
		defer answer.Body.Close()
		body, _ := io.ReadAll(answer.Body)
		w.WriteHeader(answer.StatusCode)
		w.Write(body)
	}))
	t.Cleanup(buffering.Close)
	denying := denyingAWS(t, apptest.Emulate(t))
	elsewhere := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(elsewhere.Close)
	wrongClock := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
	}))
	t.Cleanup(wrongClock.Close)
	unknown := httptest.NewUnstartedServer(
		http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	unknown.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	unknown.StartTLS()
	t.Cleanup(unknown.Close)

	free := []string{"--listen", "127.0.0.1:0", "--media", "127.0.0.1:0"}
	for _, c := range []struct {
		name, check, level, want string
		args                     []string
	}{
		{"settings that do not go together", "settings", "error", "--max-publishers",
			append(free, "--data", t.TempDir(), "--max-publishers", "0")},
		{"a data folder that cannot be", "data folder", "error", "--data",
			append(free, "--data", filepath.Join(file, "data"))},
		{"no database yet", "database", "warning", "first start",
			append(free, "--data", t.TempDir())},
		{"a database that is away", "database", "error", "cannot be reached",
			append(free, "--data", t.TempDir(), "--database",
				"postgres://"+closedPort(t)+"/stagedoor")},
		{"a damaged key", "local key", "error", "backup", append(free, "--data", damaged)},
		{"no server", "server", "warning", "start the server", append(free, "--data", t.TempDir())},
		{"a taken port", "server", "error", "is taken",
			[]string{"--data", t.TempDir(), "--listen", taken.Addr().String(), "--media",
				"127.0.0.1:0"}},
		{"media for this machine alone", "media", "warning", "--media",
			append(free, "--data", t.TempDir(), "--public-url", "https://stage.example.com")},
		{"a public URL that nobody answers", "public URL", "error", "firewall",
			[]string{"--data", a.Data, "--public-url", "http://" + closedPort(t)}},
		{"a public URL that leads elsewhere", "public URL", "error", "404",
			[]string{"--data", a.Data, "--public-url", elsewhere.URL}},
		{"a certificate of nobody known", "certificate", "error", "OBS",
			[]string{"--data", a.Data, "--public-url", unknown.URL}},
		{"a clock that differs", "clock", "warning", "1h",
			[]string{"--data", a.Data, "--public-url", wrongClock.URL}},
		{"a proxy without upgrades", "WebSocket", "error", "Upgrade",
			[]string{"--data", a.Data, "--public-url", withoutUpgrade.URL}},
		{"a proxy that is not trusted", "proxy", "warning", "--trusted-proxies",
			[]string{"--data", a.Data, "--public-url", naming.URL}},
		{"a proxy that holds events back", "streaming", "error", "buffering",
			[]string{"--data", a.Data, "--public-url", buffering.URL}},
		{"media that is not announced where clients see it", "NAT", "warning", "203.0.113.7",
			append(free, "--data", t.TempDir(), "--turn", "stun:"+stunServer(t))},
		{"a STUN server that does not answer", "NAT", "warning", "UDP",
			append(free, "--data", t.TempDir(), "--turn", "stun:"+closedPort(t))},
		{"an action that AWS does not allow", "AWS policy", "error", "ivs:DisconnectParticipant",
			append(free, "--data", t.TempDir(), "--ivs-region", "us-west-2", "--ivs-endpoint",
				denying)},
		{"a provider that does not answer", "sign-in", "error", "--oidc-issuer",
			append(free, "--data", t.TempDir(), "--oidc-issuer", "http://"+closedPort(t),
				"--oidc-client-id", "stagedoor")},
		{"AWS that does not answer", "AWS", "error", "us-west-2",
			append(free, "--data", t.TempDir(), "--ivs-region", "us-west-2", "--ivs-endpoint",
				"http://"+closedPort(t))},
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

// denyingAWS returns the URL of an emulated Amazon IVS with one stage. It refuses to disconnect
// participants, as if the credentials lacked this permission.
func denyingAWS(t *testing.T, emulator string) string {
	t.Helper()
	target, err := url.Parse(emulator)
	if err != nil {
		t.Fatal(err)
	}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.Out.Host = r.In.Host
	}}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/DisconnectParticipant" {
			forward.ServeHTTP(w, r)
			return
		}
		w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `{"exceptionMessage":"not authorized"}`)
	}))
	t.Cleanup(server.Close)
	loaded, err := ivs.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	there, err := ivs.New(ivs.Config{Regions: []string{"us-west-2"}, AWS: loaded,
		Endpoint: emulator})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := there.CreateStage(t.Context(), "us-west-2", "studio"); err != nil {
		t.Fatal(err)
	}
	return server.URL
}

// stunServer starts a STUN server that reports the address 203.0.113.7 to every client.
func stunServer(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		var b [1500]byte
		for {
			n, from, err := conn.ReadFrom(b[:])
			if err != nil {
				return
			}
			// a success response with XOR-MAPPED-ADDRESS, family IPv4, port 4096 (RFC 8489)
			answer := append([]byte{1, 1, 0, 12}, b[4:min(n, 20)]...)
			answer = append(answer, 0, 0x20, 0, 8, 0, 1, 0x10^0x21, 0x00^0x12,
				203^0x21, 0^0x12, 113^0xa4, 7^0x42)
			conn.WriteTo(answer, from)
		}
	}()
	return conn.LocalAddr().String()
}
