package app_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/stage"
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
	ben := a.Broadcaster(operator, "ben", "publish")
	arn := operator.MainStage()
	operator.Must(http.StatusNoContent, "DELETE",
		"/api/stages/"+url.PathEscape(arn)+"/participants/"+string(ben.Token("publish").ParticipantID),
		web.Removal{Bar: true}, nil)
	ben.Refused(http.StatusForbidden, "barred", "POST", "/api/tokens",
		web.TokenRequest{Stage: stage.ARN(arn)})
	a.Browser().Refused(http.StatusUnauthorized, "wrong_password", "POST", "/api/login",
		web.Credentials{Name: "olga", Password: "not her password"})
	stream := operator.Events()
	apptest.Await(stream, "me", func(web.Me) bool { return true })

	text := scrape(t, a)
	for _, want := range []string{
		`stagedoor_tokens_total{result="ok",way="local_key"} 2`,
		`stagedoor_tokens_total{result="refused",way="local_key"} 1`,
		`stagedoor_sign_ins_total{result="refused",way="password"} 1`,
		`stagedoor_event_streams 1`,
		`stagedoor_database_up 1`,
		`stagedoor_participants{role="publisher"} 0`,
		`stagedoor_http_requests_total{route="POST /api/tokens",status="201"} 2`,
		`stagedoor_build_info{`,
		`go_goroutines `, `process_resident_memory_bytes `,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, secret := range []string{token.Token, string(token.ParticipantID), "olga",
		"not her password"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics hold %q", secret)
		}
	}
	if status, _, _ := a.Browser().Do("GET", "/metrics", nil); status != http.StatusNotFound {
		t.Errorf("the public address answers /metrics with %d", status)
	}
}

// TestTheDashboardAsksForRealMetrics: the server exports each metric and label that the dashboard
// queries. The dashboard and docs/operate.md contain each metric of Stagedoor.
func TestTheDashboardAsksForRealMetrics(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--metrics-listen", "127.0.0.1:0", "--webhook-networks", "127.0.0.0/8",
		"--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t))
	text := afterADay(t, a)
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
	asked := map[string]bool{}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			for _, name := range metricNames.FindAllString(target.Expr, -1) {
				asked[name] = true
				for _, label := range labelsOf(target.Expr) {
					if !hasMetric(text, name, label) {
						t.Errorf("%q asks for %s by %q, which there is not", panel.Title, name,
							label)
					}
				}
			}
		}
	}
	manual, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for _, line := range regexp.MustCompile(`(?m)^# TYPE (stagedoor_\w+) `).FindAllStringSubmatch(text, -1) {
		ours++
		if !strings.Contains(string(manual), "`"+line[1]) {
			t.Errorf("docs/operate.md does not describe %s", line[1])
		}
		if !asked[line[1]] && !asked[line[1]+"_bucket"] {
			t.Errorf("the dashboard shows %s nowhere", line[1])
		}
	}
	if ours < 20 || len(asked) < 20 {
		t.Errorf("%d metrics of ours, %d in the dashboard: they are not read as they should be",
			ours, len(asked))
	}
}

var (
	metricNames = regexp.MustCompile(`\b(?:stagedoor|process)_\w+`)
	byLabels    = regexp.MustCompile(`by \(([^)]*)\)`)
	matchLabels = regexp.MustCompile(`(\w+)=~?"`)
)

// labelsOf returns the labels that a query uses, and that the server must therefore export. The
// first one is "", which stands for the metric without a label.
func labelsOf(expr string) []string {
	labels := []string{""}
	for _, found := range byLabels.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(found[1], ",") {
			if label = strings.TrimSpace(label); label != "instance" { // added by Prometheus
				labels = append(labels, label)
			}
		}
	}
	for _, found := range matchLabels.FindAllStringSubmatch(expr, -1) {
		labels = append(labels, found[1])
	}
	return labels
}

func hasMetric(text, name, label string) bool {
	for line := range strings.Lines(text) {
		rest, found := strings.CutPrefix(line, name)
		if found && (label == "" && (rest[0] == ' ' || rest[0] == '{') ||
			label != "" && strings.Contains(rest, label+`="`)) {
			return true
		}
	}
	return false
}

// afterADay does what makes a server count: it signs in, publishes, sends webhooks and so on, so
// that each metric of the dashboard has a value. It returns the metrics.
func afterADay(t *testing.T, a *apptest.App) string {
	t.Helper()
	olga := a.Operator()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks",
		web.V1NewWebhook{URL: receiver.URL, Types: []string{"participant.ended"}}, nil)
	olga.Must(http.StatusOK, "GET", "/api/aws/stages", nil, nil)
	a.Browser().Refused(http.StatusUnauthorized, "wrong_password", "POST", "/api/login",
		web.Credentials{Name: "olga", Password: "not her password"})
	dock := olga.Events()
	token := olga.Token("publish")
	publisher, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apptest.Await(dock, "stage", of(token, "publishing"))
	olga.Must(http.StatusNoContent, "DELETE", "/api/tokens/"+string(token.ParticipantID), nil, nil)
	<-publisher.Closed()
	apptest.Await(dock, "stage", of(token, "ended"))
	return scrapeUntil(t, a, `stagedoor_webhook_attempts_total{result="ok"} 1`)
}

// TestABarIsNoKickInTheMetrics: the metrics distinguish a bar from a kick, although the media
// server ends a session in the same way for both.
func TestABarIsNoKickInTheMetrics(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--metrics-listen", "127.0.0.1:0")
	olga := a.Operator()
	kickedAndBarred(t, a, olga, olga.MainStage())
}

// TestABarOnAStageOfAWSInTheMetrics: on AWS stages, too, the metrics distinguish a bar from a kick.
func TestABarOnAStageOfAWSInTheMetrics(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--metrics-listen", "127.0.0.1:0",
		"--ivs-region", "us-west-2", "--ivs-endpoint", apptest.Emulate(t))
	olga := a.Operator()
	var made web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Name: "studio", Region: "us-west-2"}, &made)
	kickedAndBarred(t, a, olga, string(made.ARN))
}

// kickedAndBarred lets three people publish on a stage. It kicks one and bars the others, and waits
// until the metrics have both reasons.
func kickedAndBarred(t *testing.T, a *apptest.App, olga *apptest.Client, arn string) {
	t.Helper()
	for i, name := range []string{"ana", "ben", "cleo"} {
		ana := a.Broadcaster(olga, name, "publish")
		olga.Must(http.StatusNoContent, "PUT",
			"/api/users/"+string(ana.Me().ID)+"/grants/"+url.PathEscape(arn),
			web.GrantRequest{Capabilities: []string{"publish"}}, nil)
		var token web.Token
		ana.Must(http.StatusCreated, "POST", "/api/tokens",
			web.TokenRequest{Stage: stage.ARN(arn), For: "publish"}, &token)
		publisher, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
			rtcpeer.PublishOptions{})
		if err != nil {
			t.Fatal(err)
		}
		olga.Must(http.StatusNoContent, "DELETE", "/api/stages/"+url.PathEscape(arn)+
			"/participants/"+string(token.ParticipantID), web.Removal{Bar: i > 0}, nil)
		<-publisher.Closed()
	}
	const ended = `stagedoor_participant_events_total{kind="ended",reason=`
	scrapeUntil(t, a, ended+`"barred"} 2`)
	scrapeUntil(t, a, ended+`"kicked"} 1`)
}

// scrapeUntil reads the metrics until they contain a line.
func scrapeUntil(t *testing.T, a *apptest.App, line string) string {
	t.Helper()
	ctx := limit(t)
	for {
		text := scrape(t, a)
		if strings.Contains(text, line) {
			return text
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the metrics have no %s", line)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// TestTheQueueOfWebhooksIsMeasured: the metrics contain the length and the age of the queue of
// messages to a receiver that refuses them. After the status 410 (Gone), messages count as dead.
// When the webhook is deleted, its messages are gone.
func TestTheQueueOfWebhooksIsMeasured(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--metrics-listen", "127.0.0.1:0", "--webhook-networks", "127.0.0.0/8")
	olga := a.Operator()
	text := scrape(t, a)
	for _, want := range []string{
		"stagedoor_webhook_queue_messages 0", "stagedoor_webhook_queue_oldest_seconds 0",
		"stagedoor_webhook_dead_messages 0",
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("before the first webhook the metrics lack %q", want)
		}
	}
	var status atomic.Int32
	status.Store(http.StatusServiceUnavailable)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(receiver.Close)
	var hook web.V1CreatedWebhook
	olga.Must(http.StatusCreated, "POST", "/api/v1/webhooks",
		web.V1NewWebhook{URL: receiver.URL, Types: []string{"user.created"}}, &hook)
	path := "/api/v1/webhooks/" + string(hook.ID)

	t.Log("a receiver that refuses makes a queue")
	begin := time.Now()
	olga.Must(http.StatusAccepted, "POST", path+"/test", nil, nil)
	olga.Must(http.StatusAccepted, "POST", path+"/test", nil, nil)
	scrapeUntil(t, a, "stagedoor_webhook_queue_messages 2")
	scrapeUntil(t, a, `stagedoor_webhook_attempts_total{result="failed"}`)
	oldest := regexp.MustCompile(`(?m)^stagedoor_webhook_queue_oldest_seconds (.+)$`)
	age := func() float64 {
		found := oldest.FindStringSubmatch(scrape(t, a))
		if found == nil {
			t.Fatal("the metrics have no age of the oldest message")
		}
		seconds, err := strconv.ParseFloat(found[1], 64)
		must(t, err)
		return seconds
	}
	eventually(t, time.Minute, "the oldest message has an age", func() bool { return age() > 1 })
	if got, most := age(), time.Since(begin).Seconds(); got > most {
		t.Errorf("the oldest message is %v s old, want at most %v s", got, most)
	}

	t.Log("410 Gone: the messages are dead, and no longer in the queue")
	status.Store(http.StatusGone)
	olga.Must(http.StatusAccepted, "POST", path+"/test", nil, nil)
	scrapeUntil(t, a, "stagedoor_webhook_dead_messages 3")
	scrapeUntil(t, a, "stagedoor_webhook_queue_messages 0")

	t.Log("without the webhook there is no queue")
	olga.Must(http.StatusNoContent, "DELETE", path, nil, nil)
	text = scrape(t, a)
	for _, want := range []string{
		"stagedoor_webhook_queue_messages 0", "stagedoor_webhook_queue_oldest_seconds 0",
		"stagedoor_webhook_dead_messages 0",
	} {
		if !strings.Contains(text, "\n"+want+"\n") {
			t.Errorf("after the last webhook the metrics lack %q", want)
		}
	}
}

// TestMediaOutIsMeasured: the metrics count the bytes that were really sent to viewers, not the
// received bytes times the number of viewers.
func TestMediaOutIsMeasured(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--metrics-listen", "127.0.0.1:0")
	olga := a.Operator()
	token := olga.Token("publish")
	dock := olga.Events()
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	apptest.Await(dock, "stage", of(token, "publishing"))
	alone := scrape(t, a)
	if in, out := moved(t, alone, "received"), moved(t, alone, "sent"); in == 0 || out != 0 {
		t.Errorf("a broadcast without viewers: %v bytes in, %v out", in, out)
	}
	viewer, err := rtcpeer.View(t, rtcpeer.HTTP(
		a.URL+"/whep/"+string(token.ParticipantID), olga.Token("view").Token),
		rtcpeer.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := viewer.WaitFrames(limit(t), 60); err != nil {
		t.Fatal(err)
	}
	watched := scrape(t, a)
	in, out := moved(t, watched, "received"), moved(t, watched, "sent")
	// The viewer joined late, so it received at most the bytes that the publisher sent, plus
	// headers and repeated packets.
	if out == 0 || out > 1.2*in {
		t.Errorf("a broadcast with one viewer: %v bytes in, %v out", in, out)
	}
}

// moved returns the counter of media bytes in a direction, "received" or "sent".
func moved(t *testing.T, text, direction string) float64 {
	t.Helper()
	found := regexp.MustCompile(`(?m)^stagedoor_media_` + direction + `_bytes_total (\S+)$`).
		FindStringSubmatch(text)
	if found == nil {
		t.Fatalf("media %s is not measured", direction)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
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

// TestProfilesAreOffByDefault: profiles are served only if asked for, and only beside the metrics.
func TestProfilesAreOffByDefault(t *testing.T) {
	t.Parallel()
	status := func(address string) int {
		t.Helper()
		answer, err := http.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer.StatusCode
	}
	for _, tt := range []struct {
		flags []string
		want  int
	}{
		{nil, http.StatusNotFound}, {[]string{"--profiling"}, http.StatusOK},
	} {
		a := apptest.Start(t, append(tt.flags, "--metrics-listen", "127.0.0.1:0")...)
		found := metricsLine.FindStringSubmatch(a.Output())
		if found == nil {
			t.Fatalf("no address of metrics in %s", a.Output())
		}
		profiles := strings.TrimSuffix(found[1], "metrics") + "debug/pprof/goroutine"
		if got := status(profiles); got != tt.want {
			t.Errorf("%v: profiles answer %d, want %d", tt.flags, got, tt.want)
		}
		if got := status(a.URL + "/debug/pprof/goroutine"); got != http.StatusNotFound {
			t.Errorf("%v: the public port answers %d to a request for profiles", tt.flags, got)
		}
	}
}
