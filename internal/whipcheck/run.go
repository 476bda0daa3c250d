package whipcheck

import (
	"fmt"
	"net/url"
	"time"

	"cmp"
)

// A run is a running check of an endpoint.
type run struct {
	Options
	endpoint    *url.URL
	found       map[string]Check
	unreachable bool
}

func newRun(o Options, endpoint *url.URL) *run {
	o.Publish = cmp.Or(o.Publish, defaultPublish)
	o.AnswerLimit = cmp.Or(o.AnswerLimit, defaultAnswerLimit)
	o.ConnectLimit = cmp.Or(o.ConnectLimit, defaultConnectLimit)
	return &run{Options: o, endpoint: endpoint, found: map[string]Check{}}
}

// set records the result of a check. Later results of the same check are ignored.
func (r *run) set(id string, result Result, format string, args ...any) {
	if _, known := r.found[id]; known {
		return
	}
	e := entryOf(id)
	c := Check{
		ID: id, Title: e.title, Required: e.required, Result: result,
		Detail: fmt.Sprintf(format, args...), Source: e.source,
	}
	if result == Failed || result == Warned {
		c.Cure = e.cure
	}
	r.found[id] = c
	if r.Progress != nil {
		r.Progress(c)
	}
}

// pass, warn, fail and skip record a result. For a recommendation, `fail` records a warning.
func (r *run) pass(id, format string, args ...any) { r.set(id, Passed, format, args...) }
func (r *run) skip(id, format string, args ...any) { r.set(id, Skipped, format, args...) }
func (r *run) warn(id, format string, args ...any) { r.set(id, Warned, format, args...) }

func (r *run) fail(id, format string, args ...any) {
	result := Warned
	if entryOf(id).required {
		result = Failed
	}
	r.set(id, result, format, args...)
}

// is records the result of a check: passed if ok is true, otherwise as `fail` does.
func (r *run) is(id string, ok bool, format string, args ...any) bool {
	if ok {
		r.pass(id, format, args...)
	} else {
		r.fail(id, format, args...)
	}
	return ok
}

// rest records results for the checks that were not made. A required check that was not made counts
// as not passed.
func (r *run) rest() {
	for _, e := range catalog {
		r.skip(e.id, "Not reached: an earlier check failed.")
	}
}

func (r *run) report() Report {
	report := Report{URL: r.endpoint.String(), OK: true}
	for _, e := range catalog {
		c := r.found[e.id]
		report.Checks = append(report.Checks, c)
		if c.Required && c.Result != Passed {
			report.OK = false
		}
	}
	return report
}

// entryOf returns the entry of a check. It panics for an ID that is not in the catalog, which is an
// error in this package.
func entryOf(id string) entry {
	for _, e := range catalog {
		if e.id == id {
			return e
		}
	}
	panic("whipcheck: the catalog has no check " + id)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) }
