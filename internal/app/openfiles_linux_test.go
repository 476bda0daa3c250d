package app_test

import (
	"bufio"
	"crypto/tls"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

// TestNoPortUsesUpTheFiles: a server may open 128 files, and receives 200 idle connections on the
// port for metrics, and then 200 on the port that redirects to HTTPS. It still answers on its main
// port.
func TestNoPortUsesUpTheFiles(t *testing.T) {
	t.Parallel()
	cert, key, roots := certificate(t)
	server := exec.Command("sh", "-c", `ulimit -n 128; exec "$0" "$@"`, os.Args[0], "serve",
		"--data", t.TempDir(), "--listen", "127.0.0.1:0", "--media", "127.0.0.1:0",
		"--metrics-listen", "127.0.0.1:0", "--listen-http", "127.0.0.1:0",
		"--tls-cert", cert, "--tls-key", key, "--public-url", "https://stage.example.com")
	server.Env = append(os.Environ(), apptest.AsProgram+"=1")
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Process.Kill(); server.Wait() })
	ports := map[string]string{}
	printed := regexp.MustCompile(`(127\.0\.0\.1:\d+)`)
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Stop with") {
		name, _, _ := strings.Cut(strings.Replace(lines.Text(), " ", ":", 1), ":")
		if found := printed.FindStringSubmatch(lines.Text()); found != nil {
			ports[name] = found[1]
		}
	}
	pages := &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		Timeout:   2 * time.Second,
	}
	t.Cleanup(pages.CloseIdleConnections)
	healthy := func() bool {
		answer, err := pages.Get("https://" + ports["Stagedoor"] + "/healthz")
		if err == nil {
			answer.Body.Close()
		}
		return err == nil && answer.StatusCode == http.StatusOK
	}
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	for _, name := range []string{"Metrics", "Also"} {
		for range 200 {
			c, err := stranger.DialContext(t.Context(), "tcp", ports[name])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
		}
		// Connections that send nothing are closed after ten seconds.
		for begin := time.Now(); !healthy(); {
			if time.Since(begin) > 6*time.Second {
				t.Fatalf("%s: the pages do not answer beside mute connections", ports[name])
			}
		}
	}
}
