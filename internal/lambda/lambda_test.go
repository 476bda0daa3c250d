package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/stagedoor/stagedoor/internal/lambda"
)

const (
	aRequest = `{"rawPath": "/", "requestContext": {"domainName": "x.lambda-url.us-west-2.on.aws",
		"http": {"method": "DELETE", "sourceIp": "192.0.2.1"}}}`
	anEvent      = `{"source": "aws.ivs", "detail-type": "IVS Stage Update"}`
	anOperation  = `{"stagedoor": "wait"}`
	timeout      = 30 * time.Second // of the function in deploy/aws/template.yaml
	shortTimeout = 3 * time.Second  // the default of AWS Lambda
)

// A memory is what the invocations of an instance leave in memory while the database is away.
type memory struct {
	away  bool
	calls int
}

func (m *memory) settle(ctx context.Context) error {
	m.calls++
	if !m.away {
		return nil
	}
	<-ctx.Done()
	return errors.New("1 revocation is not stored yet")
}

// A served is a function whose handlers take as long as their contexts permit, and its log.
type served struct {
	lambda.Function
	memory memory
	log    bytes.Buffer
}

func newServed(hang bool) *served {
	s := &served{}
	work := func(ctx context.Context) error {
		if !hang {
			return nil
		}
		<-ctx.Done()
		return ctx.Err()
	}
	s.Function = lambda.Function{
		HTTP: func(string) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if work(r.Context()) != nil {
					w.WriteHeader(http.StatusServiceUnavailable)
					return
				}
				w.WriteHeader(http.StatusNoContent)
			}), nil
		},
		Event: func(ctx context.Context, _ json.RawMessage) error { return work(ctx) },
		Operations: map[string]lambda.Operation{
			"wait": func(ctx context.Context) (any, error) { return nil, work(ctx) },
		},
		Settle: s.memory.settle, Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	return s
}

// invoke invokes the function, reads its response to the end, and returns the time until then.
func (s *served) invoke(t *testing.T, payload string, limit time.Duration) time.Duration {
	t.Helper()
	begin := time.Now()
	ctx, cancel := context.WithDeadline(t.Context(), begin.Add(limit))
	defer cancel()
	answer, _ := s.Invoke(ctx, json.RawMessage(payload))
	if streamed, ok := answer.(*events.LambdaFunctionURLStreamingResponse); ok {
		if _, err := io.Copy(io.Discard, streamed.Body); err != nil {
			t.Error(err)
		}
	}
	return time.Since(begin)
}

// TestAnInvocationEndsBeforeAWSEndsTheProcess: the database stays away. Each kind of invocation
// ends some seconds before its deadline, also if it takes as long as it may, and says in the log
// what is left in memory. The next invocation tries again.
func TestAnInvocationEndsBeforeAWSEndsTheProcess(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"request": aRequest, "event": anEvent, "operation": anOperation,
	} {
		for _, c := range []struct {
			hang         bool
			limit, until time.Duration
		}{
			{false, timeout, 5 * time.Second}, {true, timeout, 28 * time.Second},
			{false, shortTimeout, 1500 * time.Millisecond},
			{true, shortTimeout, 2250 * time.Millisecond},
		} {
			synctest.Test(t, func(t *testing.T) {
				s := newServed(c.hang)
				s.memory.away = true
				if took := s.invoke(t, payload, c.limit); took > c.until {
					t.Errorf("%s (%+v): it ended after %v, want after at most %v", name, c, took,
						c.until)
				}
				if log := s.log.String(); !strings.Contains(log, "level=WARN") ||
					!strings.Contains(log, "1 revocation is not stored yet") {
					t.Errorf("%s (%+v): the log has %q, want a warning with what is left", name, c,
						log)
				}
				s.memory.away = false
				s.log.Reset()
				s.invoke(t, payload, c.limit)
				if s.memory.calls != 2 || s.log.Len() > 0 {
					t.Errorf("%s (%+v): %d calls of Settle, and the log has %q, want a second call "+
						"that succeeds", name, c, s.memory.calls, &s.log)
				}
			})
		}
	}
}
