// Package lambda runs a program as an AWS Lambda function: it handles requests to its Function URL,
// events of Amazon EventBridge, and operations that a schedule or an administrator invokes.
package lambda

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/aws/aws-lambda-go/lambdaurl"
)

const (
	// settleLimit limits the time of Settle.
	settleLimit = 5 * time.Second
	// answerTime is the time between the end of Settle and the deadline of an invocation, at which
	// AWS kills the process, with all that it has in memory.
	answerTime = 2 * time.Second
)

// An Operation is invoked by its name in {"stagedoor": "name"}. Its result is returned as JSON.
// Requests to the Function URL cannot invoke an Operation, because Lambda wraps their bodies.
type Operation func(context.Context) (any, error)

// A Function handles the invocations of a Lambda function.
type Function struct {
	// HTTP returns the handler for requests to a host.
	HTTP       func(host string) (http.Handler, error)
	Event      func(ctx context.Context, event json.RawMessage) error // for EventBridge
	Operations map[string]Operation
	// Settle stores the data that an invocation left in memory, because Lambda freezes the process
	// after the response. If its context ends before, it keeps the data for the next call, and its
	// error says what is left, for the log.
	Settle func(context.Context) error
	Log    *slog.Logger
}

// Run serves invocations through the Lambda runtime API. It does not return.
func (f *Function) Run(ctx context.Context) {
	lambda.StartWithOptions(f.Invoke, lambda.WithContext(ctx))
}

// An invocation contains the fields of a payload that show the origin of the invocation.
type invocation struct {
	RequestContext struct {
		HTTP json.RawMessage `json:"http"`
	} `json:"requestContext"` // from a Function URL
	Source     string `json:"source"`      // from EventBridge
	DetailType string `json:"detail-type"` // from EventBridge
	Operation  string `json:"stagedoor"`
}

// Invoke handles one invocation.
func (f *Function) Invoke(ctx context.Context, payload json.RawMessage) (any, error) {
	var i invocation
	if err := json.Unmarshal(payload, &i); err != nil {
		return nil, errors.New("the payload is not a JSON object")
	}
	if i.RequestContext.HTTP != nil {
		return f.request(ctx, payload)
	}
	work, cancel := leave(ctx, settleLimit+answerTime)
	defer cancel()
	answer, err := f.direct(work, i, payload)
	return answer, errors.Join(err, f.settle(ctx))
}

// settle calls Settle, within settleLimit and before the deadline of the invocation. What is left
// is in the log, because it is lost if AWS ends this instance before the next invocation.
func (f *Function) settle(ctx context.Context) error {
	early, cancel := leave(ctx, answerTime)
	defer cancel()
	limited, cancel := context.WithTimeout(early, settleLimit)
	defer cancel()
	err := f.Settle(limited)
	if err != nil {
		f.Log.WarnContext(ctx, "an invocation ends before everything is stored; the next one tries "+
			"again", "err", err)
	}
	return err
}

// leave returns a context that ends before ctx, so that the time d is left, or half of the time if
// that is less.
func leave(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline.Add(-min(d, time.Until(deadline)/2)))
}

// direct handles an invocation that did not come from the Function URL.
func (f *Function) direct(
	ctx context.Context, i invocation, payload json.RawMessage,
) (any, error) {
	if i.Source != "" && i.DetailType != "" {
		return nil, f.Event(ctx, payload)
	}
	operation := f.Operations[i.Operation]
	if operation == nil {
		return nil, fmt.Errorf("the payload is not a request, an event or an operation: "+
			"got {\"stagedoor\": %q}", i.Operation)
	}
	return operation(ctx)
}

// request serves a request to a Function URL with the invoke mode RESPONSE_STREAM.
func (f *Function) request(ctx context.Context, payload json.RawMessage) (any, error) {
	var r events.LambdaFunctionURLRequest
	if err := json.Unmarshal(payload, &r); err != nil {
		return nil, fmt.Errorf("the request cannot be read: %w", err)
	}
	handler, err := f.HTTP(r.RequestContext.DomainName)
	if err != nil {
		return nil, err
	}
	addCookies(&r)
	return lambdaurl.Wrap(f.around(handler))(ctx, &r)
}

// RequestID returns the ID of the Lambda invocation, under which CloudWatch Logs has its records,
// or "".
func RequestID(r *http.Request) string {
	about, ok := lambdacontext.FromContext(r.Context())
	if !ok {
		return ""
	}
	return about.AwsRequestID
}

// addCookies copies the cookies into the header if it lacks them. Payload format 2.0 has them in a
// separate field ("Invoking Lambda function URLs", Request payload format).
func addCookies(r *events.LambdaFunctionURLRequest) {
	if r.Headers == nil {
		r.Headers = map[string]string{}
	}
	if r.Headers["cookie"] == "" && len(r.Cookies) > 0 {
		r.Headers["cookie"] = strings.Join(r.Cookies, "; ")
	}
}

// around recovers from a panic in a handler, as net/http does. With lambdaurl, the panic would end
// the process. It also ends the request's context before the invocation's deadline, and calls
// Settle before the response ends.
func (f *Function) around(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &streamed{ResponseWriter: w}
		defer func() {
			fault := recover()
			if fault != nil && fault != http.ErrAbortHandler {
				f.Log.ErrorContext(r.Context(), "a handler panicked", "fault", fault,
					"stack", string(debug.Stack()))
			}
			if fault != nil && !s.began {
				http.Error(s, "internal error", http.StatusInternalServerError)
			}
			f.settle(r.Context())
		}()
		r.Host = r.URL.Host
		work, cancel := leave(r.Context(), settleLimit+answerTime)
		defer cancel()
		handler.ServeHTTP(s, r.WithContext(work))
	})
}

// streamed implements flushing for http.ResponseController. Flushing does nothing, because
// lambdaurl sends each write at once.
type streamed struct {
	http.ResponseWriter
	began bool
}

func (s *streamed) WriteHeader(status int) {
	s.began = true
	s.ResponseWriter.WriteHeader(status)
}

func (s *streamed) Write(p []byte) (int, error) {
	s.began = true
	return s.ResponseWriter.Write(p)
}

// FlushError implements the interface that http.ResponseController looks for.
func (s *streamed) FlushError() error { return nil }
