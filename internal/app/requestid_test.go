package app_test

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestARefusalIsFoundInTheLog: the log has the request ID from the problem details (RFC 9457) of a
// refused request.
func TestARefusalIsFoundInTheLog(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--log-level", "info")
	olga := a.Operator()
	_, header, text := a.Browser().Do("POST", "/api/login",
		web.Credentials{Name: "olga", Password: "not her password"})
	var p web.Problem
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	if id := header.Get("X-Request-Id"); id == "" || p.RequestID != id ||
		!strings.Contains(a.Output(), "request="+id) {
		t.Errorf("the response has %q, the problem %+v, the log %s", id, p, a.Output())
	}
	if strings.Contains(a.Output(), "not her password") {
		t.Error("the log holds the password")
	}

	t.Log("a revoked token at the WHIP endpoint")
	token := olga.Token("publish")
	olga.Must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(token.ParticipantID), nil, nil)
	publisher := a.Browser()
	publisher.Key = token.Token
	_, header, _ = publisher.Send("POST", "/whip", "application/sdp", strings.NewReader("v=0\r\n"))
	id := header.Get("X-Request-Id")
	found := slices.ContainsFunc(strings.Split(a.Output(), "\n"), func(line string) bool {
		return strings.Contains(line, "a request of a participant was refused") &&
			strings.Contains(line, string(token.ParticipantID)) &&
			strings.Contains(line, "request="+id)
	})
	if id == "" || !found {
		t.Errorf("the refusal of request %q is not in the log:\n%s", id, a.Output())
	}
	status, _, _ := a.Browser().Do("GET", "/readyz", nil)
	if status != http.StatusOK {
		t.Errorf("/readyz: got %d, want 200", status)
	}
}

// TestTheAWSQueueAndCredentialsAreMonitored: the metrics have the length of the queue of calls to
// AWS, and /readyz checks the AWS credentials.
func TestTheAWSQueueAndCredentialsAreMonitored(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t),
		"--metrics-listen", "127.0.0.1:0")
	olga := a.Operator()
	olga.Must(http.StatusOK, "GET", "/api/aws/stages", nil, nil)
	text := scrape(t, a)
	for _, want := range []string{`stagedoor_aws_queue_calls 0`, `stagedoor_aws_queue_seconds_count{operation="ListStages"} 1`, `stagedoor_media_sent_bytes_total 0`} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	var ready web.Readiness
	a.Browser().Must(http.StatusOK, "GET", "/readyz", nil, &ready)
	var names []string
	for _, c := range ready.Checks {
		names = append(names, c.Name)
	}
	if got := strings.Join(names, ", "); got != "database, aws credentials, media, signing key, "+
		"running" {
		t.Errorf("the checks are %s", got)
	}
}

// TestNoPathIsInTheLog: the log contains no paths, because people may paste tokens and keys into a
// path by mistake.
func TestNoPathIsInTheLog(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--log-level", "debug")
	olga := a.Operator()
	const secret = "sdk_dI8axxs3D7byCQ2XjpO"
	for _, path := range []string{
		"/api/tokens/", "/api/views/", "/api/users/", "/api/keys/", "/api/v1/users/",
		"/api/stages/",
		"/whip/s/", "/whip/publish/", "/whep/", "/device/", "/",
	} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			for _, b := range []*apptest.Client{olga, a.Browser()} {
				b.Do(method, path+secret, nil)
			}
		}
	}
	log := a.Output()
	if !strings.Contains(log, `route="DELETE /api/tokens/{participant}"`) {
		t.Error("the log does not name the route of a refusal")
	}
	for line := range strings.Lines(log) {
		if strings.Contains(line, secret) {
			t.Errorf("the log holds a secret that was in a path: %s", line)
		}
	}
}
