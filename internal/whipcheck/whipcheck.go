// Package whipcheck checks whether a WHIP endpoint works with OBS, by RFC 9725 and by OBS's own
// requirements. It publishes a few seconds of real H.264 and Opus, and reports the results.
package whipcheck

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Options describe the endpoint, and contain the time limits of the check.
type Options struct {
	URL   string
	Token stage.Secret // sent as the bearer; may be empty
	// Publish is how long the main publication lasts.
	Publish time.Duration
	// AnswerLimit is how long the endpoint may take to answer an offer. OBS waits 8 s.
	AnswerLimit time.Duration
	// ConnectLimit is how long ICE and DTLS may take.
	ConnectLimit time.Duration
	// Transport sends the requests; nil means the default one, which verifies TLS as OBS does.
	Transport *http.Transport
	// Progress receives each check as soon as its result is known; it may be nil.
	Progress func(Check)
}

// The defaults of the durations in Options. The two limits are those of OBS.
const (
	defaultPublish      = 5 * time.Second
	defaultAnswerLimit  = 8 * time.Second
	defaultConnectLimit = 10 * time.Second
)

// A Result is the outcome of one check.
type Result string

// The results. A warning is a failed recommendation, or a requirement that could not be checked
// fully.
const (
	Passed  Result = "passed"
	Warned  Result = "warning"
	Failed  Result = "failed"
	Skipped Result = "skipped"
)

// A Check is one requirement and its result.
type Check struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Required bool   `json:"required"`
	Result   Result `json:"result"`
	Detail   string `json:"detail"`         // what the endpoint did
	Cure     string `json:"cure,omitempty"` // what to do if the check did not pass
	Source   string `json:"source"`         // where the requirement comes from
}

// A Report lists all checks of one endpoint.
type Report struct {
	URL    string  `json:"url"`
	OK     bool    `json:"ok"` // every required check passed
	Checks []Check `json:"checks"`
}

// Run checks the endpoint. An error means that the options are invalid. Faults of the endpoint are
// in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	endpoint, err := parseEndpoint(o.URL)
	if err != nil {
		return Report{}, err
	}
	r := newRun(o, endpoint)
	r.checkEndpoint(ctx)
	r.publish(ctx)
	r.rest()
	return r.report(), nil
}

func parseEndpoint(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, stage.Errorf(stage.ErrInvalid,
			"A WHIP endpoint is an http or https URL, such as https://stage.example.com/whip.")
	}
	if u.User != nil {
		return nil, stage.Errorf(stage.ErrInvalid,
			"Give the token with --token; OBS sends no name and password from a URL.")
	}
	return u, nil
}

// checkEndpoint makes the checks that need no publication.
func (r *run) checkEndpoint(ctx context.Context) {
	if !r.reachable(ctx) {
		return
	}
	r.methods(ctx)
	r.bearers(ctx)
	r.bodies(ctx)
}

// publish makes the checks that need a publication. Each publication ends before the next one
// begins, since an OBS has only one at a time.
func (r *run) publish(ctx context.Context) {
	if r.unreachable {
		return
	}
	if !r.mainPublication(ctx) {
		return // the other checks would fail for the same reason
	}
	r.closeThenDelete(ctx)
	r.bFrames(ctx)
	r.simulcast(ctx)
}
