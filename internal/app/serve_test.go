package app_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/acme"
	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/web"
)

func TestInvalidSettings(t *testing.T) {
	t.Parallel()
	cert, key, _ := certificate(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--tls-cert", cert}, "needs --tls-key"},
		{[]string{"--tls-key", key}, "needs --tls-cert"},
		{[]string{"--tls-cert", cert, "--tls-key", cert}, "cannot be used"},
		{[]string{"--tls-cert", cert + "x", "--tls-key", key}, "cannot be used"},
		{[]string{"--public-url", "https://:8080"}, "--public-url"},
		{[]string{"--public-url", "https://stage.example.com:80800"}, "--public-url"},
		{[]string{"--public-url", "https://stage.example.com:"}, "--public-url"},
		{[]string{"--public-url", "https://stage.example.com/?"}, "--public-url"},
		{[]string{"--public-url", "http://0.0.0.0:8080"}, "others cannot open"},
		{[]string{"--public-url", "http://[::]:8080"}, "others cannot open"},
		{[]string{"--allow-origins", "https://app.example.com/"}, "without a slash"},
		{[]string{"--allow-origins", "app.example.com"}, "--allow-origins"},
		{[]string{"--listen", "8080"}, "HOST:PORT"},
		{[]string{"--media", "8189"}, "--media"},
		{[]string{"--media", "127.0.0.1:99999"}, "--media"},
		{[]string{"--media", "foo"}, "--media takes HOST:PORT"},
		{[]string{"--media="}, "--media takes HOST:PORT"},
		{[]string{"--listen="}, "--listen takes HOST:PORT"},
		{[]string{"--data="}, "--data names a folder"},
		{[]string{"--max-publishers", "0"}, "--max-publishers must be 1 or more"},
		{[]string{"--lost-after", "0s"}, "--lost-after must be 5s or more"},
		{[]string{"--token-window=-1m"}, "--token-window must be 1s or more"},
		{[]string{"--audit-retention=-1h"}, "--audit-retention must be 1h0m0s or more"},
		{[]string{"--trusted-proxies", "fe80::1%eth0/64"}, "zones"},
		{[]string{"--token-limit", "0"}, "--token-limit must be 1 or more"},
		{[]string{"--ivs-region", "us-west-2", "--ivs-endpoint", "127.0.0.1:4566"},
			"--ivs-endpoint must be a URL"},
		{[]string{"--ivs-endpoint", "http://127.0.0.1:4566"}, "needs --ivs-region"},
	} {
		data := filepath.Join(t.TempDir(), "data")
		if got := refused(t, append([]string{"--data", data}, c.args...)...); !strings.Contains(got,
			c.want) {
			t.Errorf("%v: got %q, want %q in it", c.args, got, c.want)
		}
	}
}

func TestEveryWayToListen(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ listen, media, url string }{
		{"[::1]:0", "[::1]:0", "http://[::1]:"},
		{"0.0.0.0:0", "0.0.0.0:0", "http://127.0.0.1:"},
		{":0", ":0", "http://127.0.0.1:"},
		{"localhost:0", "localhost:0", "http://"},
	} {
		a := apptest.Start(t, "--listen", c.listen, "--media", c.media)
		if !strings.HasPrefix(a.SetupURL, c.url) {
			t.Errorf("--listen %s: the setup link is %s, want it on %s…", c.listen, a.SetupURL,
				c.url)
		}
		link, err := url.Parse(a.SetupURL)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.Get("http://" + link.Host + "/healthz")
		if err != nil {
			t.Errorf("--listen %s: %v", c.listen, err)
			continue
		}
		answer.Body.Close()
	}
}

// TestEventsOverHTTP2: an event stream without events stays open for longer than the time limit for
// writing an event.
func TestEventsOverHTTP2(t *testing.T) {
	t.Parallel()
	quick.LeavesOut(t, "a wait of 15 seconds")
	cert, key, roots := certificate(t)
	a := apptest.Start(t, "--tls-cert", cert, "--tls-key", key)
	link, err := url.Parse(a.SetupURL)
	if err != nil || link.Scheme != "https" {
		t.Fatalf("the setup link is %s, want https", a.SetupURL)
	}
	a.URL = "https://" + link.Host
	olga := a.Browser()
	olga.HTTP.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots},
		ForceAttemptHTTP2: true}
	olga.Must(http.StatusCreated, "POST", "/api/setup",
		web.SetUp{Code: apptest.Code(a.SetupURL), Name: "olga", Password: apptest.Password}, nil)

	olga.HTTP.Timeout = 0
	answer, err := olga.HTTP.Get(a.URL + "/api/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.ProtoMajor != 2 {
		t.Errorf("got %s, want HTTP/2", answer.Proto)
	}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), ": still here") {
			return
		}
	}
	t.Errorf("the stream ended before its first sign of life: %v", lines.Err())
}

// TestAGuestFollowsAStage: with a participant token and no login, a client reads the events of the
// stage, writes in its chat, and reads which SDK to load.
func TestAGuestFollowsAStage(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	token := a.Operator().Token("view")
	guest := a.Browser()
	guest.Key = token.Token
	path := "/api/stages/" + url.PathEscape(string(token.Stage))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", a.URL+path+"/events", nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+token.Token)
	events, err := http.DefaultClient.Do(r)
	must(t, err)
	defer events.Body.Close()
	guest.Must(http.StatusCreated, "POST", path+"/chat", web.NewMessage{Text: "Hello"}, nil)
	lines := bufio.NewScanner(events.Body)
	for lines.Scan() && !strings.Contains(lines.Text(), `"text":"Hello"`) {
	}
	if lines.Text() == "" {
		t.Errorf("the events of the stage ended (%s) without the guest's message", events.Status)
	}

	var sdk web.IVSSDK
	guest.Must(http.StatusOK, "GET", "/api/ivs", nil, &sdk)
	if !strings.HasPrefix(sdk.URL, "https://web-broadcast.live-video.net/") {
		t.Errorf("Amazon's SDK is loaded from %q", sdk.URL)
	}
	guest.Key = "a.b.c"
	guest.Refused(http.StatusUnauthorized, "token_malformed", "POST", path+"/chat",
		web.NewMessage{Text: "Hello"})
}

// certificate creates a certificate for 127.0.0.1, and the files for --tls-cert and --tls-key.
func certificate(t *testing.T) (certFile, keyFile string, roots *x509.CertPool) {
	t.Helper()
	dir := t.TempDir()
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	pair := acme.SelfSigned(t, certFile)
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})
	if err := os.WriteFile(keyFile, text, 0o600); err != nil {
		t.Fatal(err)
	}
	roots = x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	return certFile, keyFile, roots
}
