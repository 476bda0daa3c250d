package ivs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/ivs"
	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const region = "us-west-2"

func service(t testing.TB, endpoint string, change func(*ivs.Config)) *ivs.Service {
	t.Helper()
	cfg := ivs.Config{
		Regions:  []string{region},
		Endpoint: endpoint,
		AWS: aws.Config{
			Credentials: credentials.NewStaticCredentialsProvider(fakeivs.AccessKey, fakeivs.SecretKey,
				""),
		},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := ivs.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func create(t testing.TB, s *ivs.Service, name string) stage.Stage {
	t.Helper()
	made, err := s.CreateStage(t.Context(), region, name)
	if err != nil {
		t.Fatalf("CreateStage: got %v, want nil", err)
	}
	return made
}

func request(arn stage.ARN) stage.TokenRequest {
	return stage.TokenRequest{
		Stage: arn, UserID: "ana", Attributes: map[string]string{"name": "Ana"},
		Capabilities: stage.Publish, TTL: 90 * time.Second,
	}
}

func TestTokenIsWhatAWSAnswers(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	s := service(t, base, nil)
	made := create(t, s, "main")
	got, err := s.IssueToken(t.Context(), request(made.ARN))
	if err != nil {
		t.Fatalf("IssueToken: got %v, want nil", err)
	}
	if got.WHIPEndpoint != e.WHIPEndpoint() {
		t.Errorf("endpoint: got %s, want the emulator's global one, %s", got.WHIPEndpoint,
			e.WHIPEndpoint())
	}
	// The life of 90 s is rounded down, because a token must not outlive the grant.
	if life := time.Until(got.ExpiresAt); life > time.Minute || life < 50*time.Second {
		t.Errorf("life: got %v, want a minute", life)
	}
	p, err := e.Verifier().Verify(t.Context(), got.Secret)
	if err != nil || p.ID != got.Participant.ID || !p.ExpiresAt.Equal(got.ExpiresAt) ||
		p.UserID != "ana" || p.Attributes["name"] != "Ana" || p.Capabilities != stage.Publish {
		t.Errorf("the token speaks for %+v, %v; want %+v", p, err, got.Participant)
	}
}

func TestStagesOfAllRegionsAreListed(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) { cfg.Quotas = true })
	s := service(t, base, func(cfg *ivs.Config) {
		cfg.Regions = []string{"us-west-2",
			"eu-west-1"}
	})
	want := map[stage.ARN]bool{}
	for i, where := range []string{"us-west-2", "us-west-2", "eu-west-1"} {
		made, err := s.CreateStage(t.Context(), where, fmt.Sprint("stage-", i))
		if err != nil {
			t.Fatal(err)
		}
		want[made.ARN] = true
	}
	for where, count := range map[string]int{"us-west-2": 2, "eu-west-1": 1} {
		list, err := s.StagesOf(t.Context(), where)
		if err != nil || len(list) != count {
			t.Fatalf("StagesOf %s: got %+v, %v; want %d", where, list, err, count)
		}
		for _, found := range list {
			if !want[found.ARN] {
				t.Errorf("%s was not made here", found.ARN)
			}
		}
	}
	for where, advice := range map[string]string{"us-east-1": "--ivs-region us-east-1",
		"mars-north-1": "its regions are"} {
		if _, err := s.StagesOf(t.Context(), where); err == nil ||
			!strings.Contains(err.Error(), advice) {
			t.Errorf("StagesOf %s: got %v, want the advice %q", where, err, advice)
		}
	}
	if _, err := s.CreateStage(t.Context(), region, "my stage"); !errors.Is(err, stage.ErrInvalid) {
		t.Errorf("a name with a space: got %v, want a refusal", err)
	}
}

func TestEndpointsAreCachedForAtMost14Days(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	var ahead time.Duration
	s := service(
		t, base, func(cfg *ivs.Config) {
			cfg.Now = func() time.Time {
				return time.Now().
					Add(ahead)
			}
		})
	made := create(t, s, "main")
	away := service(t, base, nil)
	if _, err := away.Stage(t.Context(), made.ARN); err != nil {
		t.Fatal(err)
	}
	deleteStage(t, base, made.ARN)
	for _, test := range []struct {
		days int
		want bool
	}{{0, true}, {13, true}, {15, false}} {
		days, want := test.days, test.want
		ahead = time.Duration(days) * 24 * time.Hour
		_, err := s.Stage(t.Context(), made.ARN)
		if got := err == nil; got != want {
			t.Errorf("after %d days: got %v, want the cached stage: %v", days, err, want)
		}
	}
	var e *stage.Error
	if _, err := s.Stage(t.Context(), made.ARN); !errors.As(err, &e) || e.Code != "stage_gone" {
		t.Errorf("a deleted stage: got %v, want that it is gone", err)
	}
}

func TestErrorsOfAWSSayWhatToDo(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	_, base := fakeivs.Serve(t, nil)
	s := service(t, base, func(cfg *ivs.Config) {
		cfg.Log = slog.New(slog.NewTextHandler(&log, nil))
		cfg.MaxWait = time.Minute // only a limit: AWS answers at once
	})
	// A call that AWS throttles fails after MaxWait.
	throttled := service(t, base, func(cfg *ivs.Config) { cfg.MaxWait = 2 * time.Second })
	for name, want := range map[string]string{
		"expired-key":          "aws_credentials",
		"pending-verification": "aws_unverified",
		"internal-error":       "aws_error",
		"throttle":             "aws_busy",
	} {
		made, asked := create(t, s, name), s
		if name == "throttle" {
			asked = throttled
		}
		_, err := asked.IssueToken(t.Context(), request(made.ARN))
		var e *stage.Error
		if !errors.As(err, &e) || e.Code != want || !errors.Is(err, stage.ErrUnavailable) {
			t.Errorf("%s: got %v, want %s", name, err, want)
		} else if strings.Contains(e.Detail, "operation error") ||
			strings.Contains(e.Detail, "StatusCode") {
			t.Errorf("%s: a raw AWS error reaches people: %s", name, e.Detail)
		}
	}
	if !strings.Contains(log.String(), "Your account is pending verification.") {
		t.Errorf("the log lacks what AWS said:\n%s", log.String())
	}
}

// answering starts an AWS that gives the same answer to every call, for errors that the emulator
// cannot cause.
func answering(t *testing.T, status int, kind, body string) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Amzn-Errortype", kind)
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(server.Close)
	return server.URL
}

func TestAccessDeniedNamesThePolicyLine(t *testing.T) {
	t.Parallel()
	base := answering(t, 403, "AccessDeniedException:http://internal.amazon.com/", `{"exceptionMessage":"User: arn:aws:iam::1:user/x is not authorized"}`)
	arn := stage.ARN("arn:aws:ivs:us-west-2:123456789012:stage/abc")
	_, err := service(t, base, nil).Stage(t.Context(), arn)
	var e *stage.Error
	want := `{"Effect": "Allow", "Action": "ivs:GetStage", "Resource": "` + string(arn) + `"}`
	if !errors.As(err, &e) || !strings.Contains(e.Detail, want) {
		t.Errorf("got %v, want the line %s", err, want)
	}
	if !strings.Contains(err.Error(), "is not authorized") {
		t.Errorf("for the log: got %v, want what AWS said", err)
	}
}

func TestQuotaIsNamed(t *testing.T) {
	t.Parallel()
	base := answering(t, 402, "ServiceQuotaExceededException", `{"exceptionMessage":"no"}`)
	_, err := service(t, base, nil).CreateStage(t.Context(), region, "x")
	var e *stage.Error
	if !errors.As(err, &e) || e.Code != "aws_quota" || !strings.Contains(e.Detail, "1,000") {
		t.Errorf("got %v, want the quota of stages", err)
	}
}

func TestWithoutCredentialsItSaysSo(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	api := func(code string) error {
		return &smithy.OperationError{
			ServiceID: "SSO OIDC", OperationName: "CreateToken", Err: &smithy.GenericAPIError{
				Code: code,
			},
		}
	}
	for _, test := range []struct {
		why  error
		want string
	}{
		{errors.New("no EC2 IMDS role found"), "no AWS credentials"},
		{&ssocreds.InvalidTokenError{}, "have expired"},
		{errors.New(
			"refresh cached SSO token failed, cached SSO token is expired, or not present, and " +
				"cannot be refreshed"), "have expired"},
		{fmt.Errorf("refresh cached SSO token failed, unable to refresh SSO token, %w",
			api("InvalidGrantException")), "have expired"},
		{api("UnauthorizedException"), "have expired"},
		{api("AccessDenied"), "refuses to give"},
	} {
		s := service(t, base, func(cfg *ivs.Config) {
			cfg.AWS.Credentials = aws.CredentialsProviderFunc(
				func(context.Context) (aws.Credentials, error) {
					return aws.Credentials{},
						test.why
				})
		})
		_, err := s.CreateStage(t.Context(), region, "x")
		var e *stage.Error
		if !errors.As(err, &e) || e.Code != "aws_credentials" ||
			!strings.Contains(e.Detail, test.want) {
			t.Errorf("%v: got %v, want that they say %q", test.why, err, test.want)
		}
	}
}

func TestThrottlingByAWSIsWaitedOut(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) { cfg.Quotas = true })
	s := service(t, base, nil)
	made := create(t, s, "main")
	// Another program uses the same account, and so shares its quota of 50 calls a second.
	other := service(t, base, nil)
	if _, err := other.Stage(t.Context(), made.ARN); err != nil {
		t.Fatal(err)
	}
	var g sync.WaitGroup
	for i := range 80 {
		for _, s := range []*ivs.Service{s, other} {
			g.Go(func() {
				req := request(made.ARN)
				req.UserID = fmt.Sprint("user-", i)
				if _, err := s.IssueToken(t.Context(), req); err != nil {
					t.Errorf("token %d: got %v, want nil", i, err)
				}
			})
		}
	}
	g.Wait()
}

func TestWebhookTellsOnceAndOnlyTheTrusted(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	var mu sync.Mutex
	var events []stage.Event
	s := service(t, base, func(cfg *ivs.Config) {
		cfg.Events = func(e stage.Event) {
			mu.Lock()
			defer mu.Unlock()
			events = append(events,
				e)
		}
	})
	hook := served(s.Webhook(stage.NewSecret("hush")))
	post := func(secret, body string) int {
		r := httptest.NewRequest(http.MethodPost, "/hooks/ivs", strings.NewReader(body))
		r.Header.Set("X-Stagedoor-Secret", secret)
		w := httptest.NewRecorder()
		hook.ServeHTTP(w, r)
		return w.Code
	}
	now := time.Now().UTC().Format(time.RFC3339)
	published := `{"version":"0","id":"db65fc17","detail-type":"IVS Stage Update","source":"aws.ivs","account":"123456789012","time":"` + now + `","region":"us-west-2",
		"resources":["arn:aws:ivs:us-west-2:123456789012:stage/oWXSOfbOLMte"],
		"detail":{"session_id":"st-1CVugbu2cf2n8","event_name":"Participant Published","event_time":"` + now + `","user_id":"ana","participant_id":"03JY4smU3eXc"}}`
	for _, test := range []struct {
		secret, body string
		want         int
	}{
		{"wrong", published, 401}, {"", published, 401}, {"hush", published, 204},
		{"hush", published, 204},
		{"hush", `{"source":"aws.ec2","detail-type":"x"}`, 204}, {"hush", `{`, 400},
		{"hush", strings.NewReplacer("us-west-2", "us-east-1", "db65fc17", "2").Replace(published),
			204},
	} {
		if got := post(test.secret, test.body); got != test.want {
			t.Errorf("%q with %.40s: got %d, want %d", test.secret, test.body, got, test.want)
		}
	}
	if len(events) != 1 || events[0].Kind != stage.EventPublishing ||
		events[0].Participant != "03JY4smU3eXc" || events[0].UserID != "ana" {
		t.Errorf("events: got %+v, want publishing, once", events)
	}
}

// TestWebhookRefusesWhatIsNoWholeEvent: a body that is not a whole event is refused. A rule in
// EventBridge sends such bodies if its target is set to change the matched event.
func TestWebhookRefusesWhatIsNoWholeEvent(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	var log bytes.Buffer
	s := service(t, base, func(cfg *ivs.Config) {
		cfg.Log = slog.New(
			slog.NewTextHandler(&log, nil))
	})
	hook := served(s.Webhook(stage.NewSecret("hush")))
	detail := `{"event_name":"Participant Published","user_id":"ana","participant_id":"03JY4smU3eXc"}`
	for body, want := range map[string]string{
		detail:                                   "the detail of an event alone",
		`{"Type":"Notification","Message":"{}"}`: "Amazon SNS",
		`{"source":"aws.ivs","detail-type":"IVS Stage Update","detail":` + detail + `}`: "lacks its resources",
		`{"source":"aws.ivs","detail-type":"IVS Stage Update","resources":["arn:aws:ivs:us-west-2:123456789012:stage/a"],
			"detail":{"event_name":"Participant Published"}}`: "or the participant",
		`{"source":"aws.ivs","detail-type":"IVS Stage Update","detail":null}`:                                              "lacks its detail",
		`{"source":"aws.ivs","detail-type":"IVS Stage Update","resources":["arn:aws:ivs:us-west-2:123456789012:stage/a"]}`: "lacks its detail",
		`{"hello":"world"}`: "no source and no detail-type",
		`"text"`:            "which is a JSON object",
	} {
		r := httptest.NewRequest(http.MethodPost, "/hooks/ivs", strings.NewReader(body))
		r.Header.Set("X-Stagedoor-Secret", "hush")
		w := httptest.NewRecorder()
		hook.ServeHTTP(w, r)
		if w.Code != 400 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: got %d %q, want 400 with %q", body, w.Code, w.Body, want)
		}
	}
	if lines := strings.Count(log.String(),
		"an event from EventBridge cannot be read"); lines != 1 {
		t.Errorf("got %d lines in the log, want one:\n%s", lines, log.String())
	}
}

// served returns a webhook in an HTTP handler, as package web serves it.
func served(take func(*http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch err := take(r); {
		case err == nil:
			w.WriteHeader(http.StatusNoContent)
		case errors.Is(err, stage.ErrUnauthorized):
			w.WriteHeader(http.StatusUnauthorized)
		case errors.Is(err, stage.ErrInvalid):
			http.Error(w, err.Error(), http.StatusBadRequest)
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
}

func deleteStage(t testing.TB, base string, arn stage.ARN) {
	t.Helper()
	if _, err := stock(base).DeleteStage(t.Context(), deleteInput(arn)); err != nil {
		t.Fatal(err)
	}
}
