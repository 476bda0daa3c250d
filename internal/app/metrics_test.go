package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

var metricsLine = regexp.MustCompile(`Metrics:\s+(\S+)`)

// scrape reads the metrics of a server that was started with --metrics-listen.
func scrape(t *testing.T, a *apptest.App) string {
	t.Helper()
	found := metricsLine.FindStringSubmatch(a.Output())
	if found == nil {
		t.Fatalf("no address of metrics in %s", a.Output())
	}
	answer, err := http.Get(found[1])
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", found[1], answer.Status, err)
	}
	return string(text)
}

func TestMetricsCountWhatHappens(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--metrics-listen", "127.0.0.1:0")
	operator := a.Operator()
	token := operator.Token("publish")
	a.Browser().Refused(http.StatusUnauthorized, "wrong_password", "POST", "/api/login",
		web.Credentials{Name: "olga", Password: "not her password"})
	stream := operator.Events()
	apptest.Await(stream, "me", func(web.Me) bool { return true })

	text := scrape(t, a)
	for _, want := range []string{
		`stagedoor_tokens_total{result="ok",way="local_key"} 1`,
		`stagedoor_sign_ins_total{result="refused",way="password"} 1`,
		`stagedoor_event_streams 1`,
		`stagedoor_database_up 1`,
		`stagedoor_participants{role="publisher"} 0`,
		`stagedoor_http_requests_total{route="POST /api/tokens",status="201"} 1`,
		`stagedoor_build_info{`,
		`go_goroutines `, `process_resident_memory_bytes `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, secret := range []string{token.Token, string(token.ParticipantID), "olga", "not her password"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
	if status, _, _ := a.Browser().Do("GET", "/metrics", nil); status != http.StatusNotFound {
		t.Errorf("the public address answers /metrics with %d", status)
	}
}

// The dashboard asks for metrics that there are.
func TestTheDashboardAsksForRealMetrics(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--metrics-listen", "127.0.0.1:0")
	a.Operator().Token("publish")
	text := scrape(t, a)
	raw, err := os.ReadFile("../../deploy/grafana/stagedoor.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	// Counters with labels appear with their first count.
	later := []string{"stagedoor_participant_events_total", "stagedoor_sign_ins_total", "stagedoor_webhook_attempts_total"}
	asked := 0
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			for _, name := range regexp.MustCompile(`\b(?:stagedoor|process)_\w+`).FindAllString(target.Expr, -1) {
				asked++
				if !strings.Contains(text, "\n"+name) && !strings.Contains(strings.Join(later, " "), name) {
					t.Errorf("%q asks for %s, which there is not", panel.Title, name)
				}
			}
		}
	}
	if asked < 15 {
		t.Errorf("only %d metrics were found in the dashboard", asked)
	}
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	var got web.Readiness
	a.Browser().Must(http.StatusOK, "GET", "/readyz", nil, &got)
	if !got.Ready || len(got.Checks) != 4 {
		t.Errorf("a server that serves says %+v", got)
	}
}
