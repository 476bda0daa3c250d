package app_test

import (
	"crypto/tls"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/acme"
)

// TestHTTPSByItself: with --tls-domain, the server obtains a certificate, serves HTTP/2, and
// redirects browsers from HTTP to its domain. `stagedoor health` reaches this server, too.
func TestHTTPSByItself(t *testing.T) {
	t.Parallel()
	authority := acme.New(t)
	const name = "stage.example.com"
	a := apptest.Start(t, "--tls-domain", name, "--listen-http", "127.0.0.1:0", "--tls-directory",
		authority.Directory,
		"--tls-roots", authority.Roots, "--log-level", "info")
	secure := regexp.MustCompile(`(?:HTTP|HTTPS) (127\.0\.0\.1:\d+)`).FindStringSubmatch(a.Output())
	plain := regexp.MustCompile(`HTTP → HTTPS (127\.0\.0\.1:\d+)`).FindStringSubmatch(a.Output())
	if secure == nil || plain == nil {
		t.Fatalf("the server printed %s", a.Output())
	}
	port := func(address string) int {
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	authority.Serve(t, port(plain[1]), port(secure[1]))

	client := &http.Client{
		Timeout: 30 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig:   &tls.Config{ServerName: name, RootCAs: authority.Pool()},
			ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}
	deadline := time.Now().Add(time.Minute)
	for {
		answer, err := client.Get("https://" + secure[1] + "/healthz")
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
				t.Errorf("GET /healthz: got %s %s, want HTTP/2 and 200",
					answer.Proto, answer.Status)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("no certificate in time: %v\n%s", err, a.Output())
		}
		time.Sleep(50 * time.Millisecond)
	}
	answer, err := client.Get("http://" + plain[1] + "/dock?lang=de")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	want := "https://" + name + ":" + strconv.Itoa(port(secure[1])) + "/dock?lang=de"
	if got := answer.Header.Get("Location"); answer.StatusCode != http.StatusPermanentRedirect ||
		got != want {
		t.Errorf("GET http://…/dock: got %s to %q, want 308 to %q", answer.Status, got, want)
	}
	if out, err := run(t, "health", "--data", a.Data); err != nil {
		t.Errorf("health: got %v, %s", err, out)
	}
}
