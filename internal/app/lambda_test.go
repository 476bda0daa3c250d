package app_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/app"
	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/fakekms"
	"github.com/stagedoor/stagedoor/internal/apptest/pg"
	"github.com/stagedoor/stagedoor/internal/apptest/replicas"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

const lambdaRIE = "github.com/aws/aws-lambda-runtime-interface-emulator/cmd/aws-lambda-rie"

// A lambdaFront imitates what Lambda does in front of a function. It converts HTTP requests to
// events of a Function URL, and streamed responses to HTTP. An instance handles one invocation at a
// time, so each invocation waits for a free instance.
type lambdaFront struct {
	t         testing.TB
	url       string
	roots     *x509.CertPool
	instances chan string // the address of each instance that is free
	out       *replicas.Lines
}

// startLambda starts instances of the function, each in AWS's own emulator of the runtime API.
func startLambda(t testing.TB, instances int, env ...string) *lambdaFront {
	t.Helper()
	rie := buildLambdaRIE(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var addresses []string
	out := &replicas.Lines{}
	for range instances {
		addresses = append(addresses,
			startInstance(t, rie, self, append(env, apptest.AsProgram+"=1"), out))
	}
	f := newLambdaFront(t, addresses...)
	f.out = out
	return f
}

func buildLambdaRIE(t testing.TB) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "rie")
	build := exec.Command("go", "-C", "../../tools/lambda", "build", "-o", path, lambdaRIE)
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the emulator of Lambda: %v\n%s", err, said)
	}
	return path
}

func newLambdaFront(t testing.TB, instances ...string) *lambdaFront {
	f := &lambdaFront{t: t, instances: make(chan string, len(instances)), roots: x509.NewCertPool()}
	for _, address := range instances {
		f.instances <- address
	}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	f.url = server.URL
	f.roots.AddCert(server.Certificate())
	return f
}

func startInstance(
	t testing.TB, rie, program string, env []string, out *replicas.Lines,
) (address string) {
	t.Helper()
	address = replicas.FreeAddress(t)
	c := exec.Command(rie, "--runtime-interface-emulator-address", address,
		"--runtime-api-address", replicas.FreeAddress(t), "--log-level", "error", program)
	c.Env = append(os.Environ(), append(env, "HOME="+t.TempDir())...)
	c.Stdout, c.Stderr = out, out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Signal(os.Interrupt)
		c.Wait()
		if t.Failed() {
			t.Logf("an instance wrote:\n%s", out)
		}
	})
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return address
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the emulator of Lambda does not listen: %v\n%s", err, out)
		}
	}
}

// invoke invokes the function as a schedule, EventBridge or an administrator does.
func (f *lambdaFront) invoke(payload []byte) (answer []byte) {
	f.t.Helper()
	address := <-f.instances
	defer func() { f.instances <- address }()
	r, err := http.Post("http://"+address+"/2015-03-31/functions/function/invocations",
		"application/json", bytes.NewReader(payload))
	if err != nil {
		f.t.Errorf("invoke: %v", err)
		return nil
	}
	defer r.Body.Close()
	answer, err = io.ReadAll(r.Body)
	if err != nil {
		f.t.Errorf("invoke: %v", err)
	}
	return answer
}

// ServeHTTP is the Function URL ("Invoking Lambda function URLs", payload format 2.0).
func (f *lambdaFront) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	headers := map[string]string{}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	delete(headers, "cookie") // Lambda passes cookies only in the field cookies
	var cookies []string
	for _, c := range r.Cookies() {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	client, _, _ := net.SplitHostPort(r.RemoteAddr)
	payload, err := json.Marshal(map[string]any{
		"version": "2.0", "rawPath": r.URL.EscapedPath(), "rawQueryString": r.URL.RawQuery,
		"headers": headers, "cookies": cookies, "body": string(body),
		"requestContext": map[string]any{
			"domainName": r.Host,
			"http": map[string]any{
				"method": r.Method, "path": r.URL.Path, "sourceIp": client,
				"userAgent": r.UserAgent(),
			},
		},
	})
	if err != nil {
		f.t.Error(err)
		return
	}
	f.respond(w, f.invoke(payload))
}

// respond writes what the function has streamed as a response of HTTP. The function streams a
// prelude with status and headers, eight zero bytes, and the body.
func (f *lambdaFront) respond(w http.ResponseWriter, answer []byte) {
	head, body, ok := bytes.Cut(answer, make([]byte, 8))
	var prelude struct {
		StatusCode int
		Headers    map[string]string
		Cookies    []string
	}
	if err := json.Unmarshal(head, &prelude); err != nil || !ok {
		f.t.Errorf("the function answered %q", answer)
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	for name, value := range prelude.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range prelude.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(prelude.StatusCode)
	w.Write(body)
}

// operator becomes the operator olga by the link that the set-up returns.
func (f *lambdaFront) operator() *apptest.Client {
	f.t.Helper()
	var setup struct{ Path string }
	if err := json.Unmarshal(f.invoke([]byte(`{"stagedoor":"setup"}`)), &setup); err != nil {
		f.t.Fatal(err)
	}
	olga := apptest.NewClient(f.t, f.url, f.roots)
	olga.Must(http.StatusCreated, "POST", "/api/setup",
		web.SetUp{Code: apptest.Code(setup.Path), Name: "olga", Password: apptest.Password}, nil)
	return olga
}

// startFunction starts instances of the function on one PostgreSQL, with an emulated Amazon IVS,
// AWS KMS and EventBridge.
func startFunction(
	t *testing.T, instances int, env ...string,
) (front *lambdaFront, database *pg.Server) {
	t.Helper()
	database = &pg.Server{}
	t.Cleanup(database.Stop)
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	where := database.Database(t)
	rule := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		event, _ := io.ReadAll(r.Body)
		front.invoke(event)
	}))
	t.Cleanup(rule.Close)
	emulator := apptest.Emulate(t, "--events-url", rule.URL)
	front = startLambda(t, instances, append([]string{
		"AWS_REGION=us-west-2", "AWS_ENDPOINT_URL_KMS=" + fakekms.Serve(t, key),
		"STAGEDOOR_DATABASE=" + where, "STAGEDOOR_IVS_ENDPOINT=" + emulator,
		"STAGEDOOR_LAMBDA_KMS_KEY=alias/stagedoor", "STAGEDOOR_DATA=" + t.TempDir(),
	}, env...)...)
	return front, database
}

// invocationID matches the request IDs of Lambda.
var invocationID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// TestAFunctionOnLambda follows docs/lambda.md after the deployment, from the set-up to a broadcast
// and the housekeeping: two instances, PostgreSQL, and an emulated Amazon IVS and AWS KMS.
func TestAFunctionOnLambda(t *testing.T) {
	t.Parallel()
	front, _ := startFunction(t, 2)
	browser := func() *apptest.Client { return apptest.NewClient(t, front.url, front.roots) }

	t.Log("an administrator invokes the set-up, and becomes the operator by the link")
	olga := front.operator()
	if status, _, page := olga.Do("GET", "/dock", nil); status != http.StatusOK ||
		!bytes.Contains(page, []byte("<title>")) {
		t.Errorf("the dock: got %d %.80s", status, page)
	}

	t.Log("a refusal is found in the log by the ID of its invocation")
	_, header, text := browser().Do("POST", "/api/login",
		web.Credentials{Name: "olga", Password: "not her password"})
	var refusal web.Problem
	must(t, json.Unmarshal(text, &refusal))
	if id := header.Get("X-Request-Id"); !invocationID.MatchString(id) || refusal.RequestID != id ||
		!strings.Contains(front.out.String(), "request="+id) && !strings.Contains(front.out.String(), `"request":"`+id) {
		t.Errorf("the response has %q, the problem %+v, the log %s", id, refusal, front.out)
	}

	t.Log("a stage on AWS is created; local stages are refused with a sentence")
	p := olga.Refused(http.StatusBadRequest, "invalid", "POST", "/api/stages",
		web.NewStage{Name: "here"})
	if !strings.Contains(p.Detail, "no local stages") {
		t.Errorf("a local stage: got %q", p.Detail)
	}
	var made web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Name: "studio", Region: "us-west-2"}, &made)

	t.Log("a token is signed by the key in AWS KMS, and EventBridge reports a broadcast")
	token := awsToken(t, olga, made)
	var tokens web.Tokens
	olga.Must(http.StatusOK, "GET", "/api/tokens?all=1", nil, &tokens)
	if by := tokens.Tokens[0].IssuedBy; !strings.HasPrefix(by, "own key arn:aws:ivs:us-west-2:") {
		t.Errorf("the token was issued by %q, want the own key", by)
	}
	// The instances share the folder of the keys, as processes before and after a reset do.
	for range 4 {
		awsToken(t, olga, made)
	}
	if strings.Contains(front.out.String(), "the key in AWS KMS") {
		t.Errorf("the log has %s, want that each instance uses the key", front.out)
	}
	published, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if text := awaitEvent(t, olga, `"kind":"publishing"`); !strings.Contains(text, "retry: 4000") {
		t.Errorf("the event stream: got %s, want when to come back", text)
	}

	t.Log("a kick ends the broadcast; the dock learns it from EventBridge")
	olga.Must(http.StatusNoContent, "DELETE", "/api/stages/"+url.PathEscape(string(made.ARN))+
		"/participants/"+string(token.ParticipantID), web.Removal{Reason: "time is up"}, nil)
	<-published.Closed()
	awaitEvent(t, olga, `"kind":"ended"`)

	t.Log("the page Keys does not change the key: the other instance would go on signing with it")
	for _, change := range [][2]string{{"POST", ""}, {"POST", "/rotate"}, {"DELETE", ""}} {
		olga.Refused(http.StatusBadRequest, "key_is_set", change[0],
			"/api/v1/keys/us-west-2"+change[1], nil)
	}
	var keys web.V1Keys
	olga.Must(http.StatusOK, "GET", "/api/v1/keys", nil, &keys)
	if keys.Setting != "STAGEDOOR_LAMBDA_KMS_KEY" {
		t.Errorf("what changes the key: got %q, want the variable", keys.Setting)
	}

	t.Log("the schedule invokes the housekeeping; another payload is refused")
	if got := front.invoke([]byte(`{"stagedoor":"housekeeping"}`)); string(got) != "null" {
		t.Errorf("housekeeping: got %s, want null", got)
	}
	if got := front.invoke([]byte(`{"stagedoor":"nonsense"}`)); !bytes.Contains(got, []byte("an event or an operation")) {
		t.Errorf("nonsense: got %s, want an error that names what is expected", got)
	}
	if got := front.invoke([]byte(`{"stagedoor":"setup"}`)); !bytes.Contains(got, []byte("errorMessage")) {
		t.Errorf("a second set-up: got %s", got)
	}
	if status, _, text := browser().Do("POST", "/whip", nil); status != http.StatusNotFound ||
		!bytes.Contains(text, []byte("no local stages")) {
		t.Errorf("/whip: got %d %s, want 404 and why", status, text)
	}
}

// TestAFunctionSaysWhoIssuesTokens: the pages Stages and Keys are right with a key in AWS KMS,
// without one, and with one that cannot be used.
func TestAFunctionSaysWhoIssuesTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ key, before, after string }{
		{"alias/stagedoor", "From the next token on, signed with the key in AWS KMS that the " +
			"variable STAGEDOOR_LAMBDA_KMS_KEY names.", "Signed here with the own key"},
		{"", "By the AWS API: the variable STAGEDOOR_LAMBDA_KMS_KEY names no key in AWS KMS.",
			"By the AWS API: the variable STAGEDOOR_LAMBDA_KMS_KEY names no key in AWS KMS."},
		{"alias/missing", "From the next token on, signed with the key in AWS KMS that the " +
			"variable STAGEDOOR_LAMBDA_KMS_KEY names.",
			"By the AWS API: the own key alias/missing cannot be used (AWS KMS"},
	} {
		t.Run(c.key, func(t *testing.T) {
			t.Parallel()
			front, _ := startFunction(t, 1, "STAGEDOOR_LAMBDA_KMS_KEY="+c.key)
			olga := front.operator()
			var made web.Stage
			olga.Must(http.StatusCreated, "POST", "/api/stages",
				web.NewStage{Name: "studio", Region: "us-west-2"}, &made)
			issuer := func() string {
				var list web.Stages
				olga.Must(http.StatusOK, "GET", "/api/stages", nil, &list)
				return list.Stages[0].IssuedBy
			}
			if got := issuer(); got != c.before {
				t.Errorf("before the first token: got %q, want %q", got, c.before)
			}
			awsToken(t, olga, made)
			if got := issuer(); !strings.HasPrefix(got, c.after) {
				t.Errorf("after a token: got %q, want %q", got, c.after)
			}
			p := olga.Refused(http.StatusBadRequest, "key_is_set", "POST",
				"/api/v1/keys/us-west-2", nil)
			if !strings.Contains(p.Detail, "otherwise the AWS API issues them") {
				t.Errorf("a change of the key: got %q, want a sentence that is true without a key",
					p.Detail)
			}
		})
	}
}

// TestAFunctionIsExamined: the checks of the page System are those that apply to a function.
func TestAFunctionIsExamined(t *testing.T) {
	t.Parallel()
	front, _ := startFunction(t, 1)
	var found web.V1Doctor
	front.operator().Must(http.StatusOK, "GET", "/api/v1/doctor", nil, &found)
	var names []string
	for _, f := range found.Checks {
		names = append(names, f.Check)
		if f.Level != "ok" {
			t.Errorf("got %+v, want that the check finds nothing", f)
		}
	}
	want := []string{"settings", "data folder", "database", "clock", "AWS", "AWS policy"}
	if !slices.Equal(names, want) {
		t.Errorf("the checks: got %q, want %q", names, want)
	}
}

// TestAKickByAFunctionWithoutTheDatabase: while PostgreSQL hangs, a kick ends the broadcast, and
// the invocation ends before its time is over, at which AWS would end the process. The log says
// what is not stored. The revocation is stored when PostgreSQL answers again.
func TestAKickByAFunctionWithoutTheDatabase(t *testing.T) {
	t.Parallel()
	const timeout = 20 * time.Second
	front, database := startFunction(t, 1,
		fmt.Sprintf("AWS_LAMBDA_FUNCTION_TIMEOUT=%.0f", timeout.Seconds()))
	t.Cleanup(func() { database.Thaw() })
	olga := front.operator()
	var made web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Name: "studio", Region: "us-west-2"}, &made)
	token := awsToken(t, olga, made)
	published, err := rtcpeer.Publish(t, rtcpeer.HTTP(token.Endpoint, token.Token),
		rtcpeer.PublishOptions{})
	must(t, err)
	awaitEvent(t, olga, `"kind":"publishing"`)

	must(t, database.Freeze())
	begin := time.Now()
	status, _, _ := olga.Do("DELETE", "/api/stages/"+url.PathEscape(string(made.ARN))+
		"/participants/"+string(token.ParticipantID), nil)
	if took := time.Since(begin); status != http.StatusNoContent || took > timeout-time.Second {
		t.Errorf("the kick: got %d after %v, want %d before %v", status, took,
			http.StatusNoContent, timeout)
	}
	select {
	case <-published.Closed():
	case <-time.After(time.Minute):
		t.Error("the broadcast goes on after a minute")
	}
	begin = time.Now()
	status, _, _ = olga.Do("GET", "/api/me", nil)
	if took := time.Since(begin); status != http.StatusServiceUnavailable ||
		took > timeout-time.Second {
		t.Errorf("the next request: got %d after %v, want %d before %v", status, took,
			http.StatusServiceUnavailable, timeout)
	}
	if log := front.out.String(); !strings.Contains(log, `"level":"WARN"`) ||
		!strings.Contains(log, "1 revocations not stored yet, of the participants ["+
			string(token.ParticipantID)) {
		t.Errorf("the log has %s, want the participant whose revocation is not stored", log)
	}

	must(t, database.Thaw())
	eventually(t, time.Minute, "the revocation is stored", func() bool {
		status, _, text := olga.Do("GET", "/api/tokens/"+string(token.ParticipantID), nil)
		var state web.TokenState
		return status == http.StatusOK && json.Unmarshal(text, &state) == nil &&
			state.RevokedAt != nil
	})
}

// awaitEvent requests event streams, which end after a second, until one contains the text.
func awaitEvent(t *testing.T, c *apptest.Client, want string) string {
	t.Helper()
	for begin := time.Now(); ; {
		status, _, text := c.Do("GET", "/api/events", nil)
		if status != http.StatusOK {
			t.Fatalf("the event stream: got %d %s, want %v", status, text, http.StatusOK)
		}
		if strings.Contains(string(text), want) {
			return string(text)
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("the event stream never had %s: %s", want, text)
		}
	}
}

// TestLambdaRefusesWhatIsOfAMachine: a function refuses settings that only servers have. It does
// not start outside AWS Lambda, or without a database or a region.
func TestLambdaRefusesWhatIsOfAMachine(t *testing.T) {
	t.Parallel()
	env := func(more ...string) []string {
		return append([]string{"AWS_LAMBDA_RUNTIME_API=127.0.0.1:1"}, more...)
	}
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "docs/lambda.md"},
		{env(), "--database"},
		{env("STAGEDOOR_DATABASE=postgres://127.0.0.1:1/x", "STAGEDOOR_MEDIA=0.0.0.0:8189"),
			"no local stages"},
		{env("STAGEDOOR_DATABASE=postgres://127.0.0.1:1/x", "STAGEDOOR_LISTEN=0.0.0.0:80"),
			"no port"},
		{env("STAGEDOOR_DATABASE=postgres://127.0.0.1:1/x"), "--ivs-region"},
		{env("STAGEDOOR_DATABASE=postgres://127.0.0.1:1/x", "AWS_REGION=us-west-2"),
			"cannot be reached"},
	} {
		var b bytes.Buffer
		err := app.Run(t.Context(), []string{"lambda"}, c.env, nil, &b, &b)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("with %v: got %v, want a sentence about %s", c.env, err, c.want)
		}
	}
}
