package app_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
)

// TestTheProxySettingsOfTheGuide: behind a proxy with a file of deploy/proxy, the checks of
// `stagedoor doctor` that concern the proxy succeed, and nginx redirects plain HTTP. The test
// changes only the addresses, the certificate and the Host header in the file.
func TestTheProxySettingsOfTheGuide(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "nginx and Caddy")
	type starter func(t *testing.T, server, proxy string) (url string, flags []string)
	for name, start := range map[string]starter{
		"nginx": startNginx,
		"Caddy": startCaddy,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, proxy := replicas.FreeAddress(t), replicas.FreeAddress(t)
			public, flags := start(t, server, proxy)
			settings := []string{"--public-url", public, "--trusted-proxies", "127.0.0.1"}
			a := apptest.Start(t, append(settings, "--listen", server)...)
			found, err := doctor(t, slices.Concat(settings, []string{"--data", a.Data}, flags)...)
			if err != nil {
				t.Errorf("doctor: got %v and %+v, want no error", err, found)
			}
			for _, check := range []string{"public URL", "WebSocket", "proxy", "streaming"} {
				if found[check].Level != "ok" {
					t.Errorf("%s: got %+v, want ok", check, found[check])
				}
			}
			if !strings.Contains(found["proxy"].Detail,
				"the proxy passes on the addresses of clients") {
				t.Errorf("proxy: got %+v, want that clients' addresses arrive", found["proxy"])
			}
		})
	}
}

// readDeploy reads a file of deploy/proxy.
func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../deploy/proxy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func startNginx(t *testing.T, server, proxy string) (string, []string) {
	t.Helper()
	dir := t.TempDir()
	cert, key, _ := certificate(t)
	ipv6 := regexp.MustCompile(`(?m)^\s*listen \[::\].*\n`)
	config := ipv6.ReplaceAllString(readDeploy(t, "nginx.conf"), "")
	plain := replicas.FreeAddress(t)
	for from, to := range map[string]string{
		// The test's port is not the default one, so the Host header must contain it.
		"Host              $host;": "Host $http_host;",
		"listen 80;":               "listen " + plain + ";",
		"listen 443 ssl http2;":    "listen " + proxy + " ssl http2;",
		"http://127.0.0.1:8080":    "http://" + server,
		"/etc/letsencrypt/live/stage.example.com/fullchain.pem": cert,
		"/etc/letsencrypt/live/stage.example.com/privkey.pem":   key,
	} {
		if !strings.Contains(config, from) {
			t.Fatalf("deploy/proxy/nginx.conf has no %q", from)
		}
		config = strings.ReplaceAll(config, from, to)
	}
	file := filepath.Join(dir, "nginx.conf")
	main := fmt.Sprintf(nginxMain, dir, config)
	if err := os.WriteFile(file, []byte(main), 0o600); err != nil {
		t.Fatal(err)
	}
	startProxy(t, proxy, nil, "nginx", "-p", dir, "-c", file, "-e", "stderr")
	answer, err := http.DefaultTransport.RoundTrip(
		httptest.NewRequestWithContext(t.Context(), "POST", "http://"+plain+"/dock?x=1", nil))
	if err != nil || answer.StatusCode != http.StatusPermanentRedirect ||
		answer.Header.Get("Location") != "https://127.0.0.1/dock?x=1" {
		t.Errorf("plain HTTP: got %+v, %v; want 308 to the same path of https", answer, err)
	}
	return "https://" + proxy, []string{"--roots", cert}
}

// nginxMain is a main config file that includes a file of conf.d, as Debian's nginx.conf does.
const nginxMain = `
daemon off;
pid %[1]s/pid;
error_log stderr error;
events {}
http {
	access_log off;
	client_body_temp_path %[1]s/body;
	proxy_temp_path %[1]s/proxy;
	fastcgi_temp_path %[1]s/fastcgi;
	uwsgi_temp_path %[1]s/uwsgi;
	scgi_temp_path %[1]s/scgi;
	%[2]s
}
`

func startCaddy(t *testing.T, server, proxy string) (string, []string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	// Caddy's administration port is off, because it has a fixed number: two tests could not run in
	// parallel.
	config := "{\n\tadmin off\n}\n" + readDeploy(t, "Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	env := []string{
		"STAGEDOOR_DOMAIN=http://" + proxy, "STAGEDOOR_UPSTREAM=" + server,
		"HOME=" + home, "XDG_DATA_HOME=" + home, "XDG_CONFIG_HOME=" + home,
	}
	startProxy(t, proxy, env, "caddy", "run", "--config", file, "--adapter", "caddyfile")
	return "http://" + proxy, nil
}

// startProxy runs a proxy until the test ends, and returns when it accepts connections.
func startProxy(t *testing.T, address string, env []string, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is not installed; run the tests by `make test`, which installs it", name)
	}
	var out replicas.Lines
	cmd := exec.Command(path, args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
	})
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s does not start: %s", name, out.String())
		}
	}
}
