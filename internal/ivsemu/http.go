package ivsemu

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// maxBody is far above the largest request of the model (12 token configurations with 1 KB of
// attributes each).
const maxBody = 256 << 10

// A request is the input of an operation.
type request struct {
	ctx       context.Context
	operation string
	region    string
	body      []byte
	arn       string     // for the tag operations, from the path
	query     url.Values // for UntagResource
}

// An operation handles a call.
type operation func(e *Emulator, r *request) (any, error)

// op returns an operation that decodes and validates a request, and calls a function with types of
// the model.
func op[In any, P interface {
	*In
	check(*checker)
}, Out any](do func(*Emulator, *request, P) (Out, error)) operation {
	return func(e *Emulator, r *request) (any, error) {
		in := P(new(In))
		if err := decode(r.body, in); err != nil {
			return nil, err
		}
		var c checker
		in.check(&c)
		if err := c.err(); err != nil {
			return nil, err
		}
		return do(e, r, in)
	}
}

// decode decodes a body. It ignores members that the model does not have, as AWS does, because
// newer SDKs send some.
func decode(body []byte, into any) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil // the body may be missing if no member is required
	}
	if err := json.Unmarshal(body, into); err != nil {
		return serialization("The body is not what the operation takes: %v", err)
	}
	return nil
}

// ServeHTTP routes a request by the first segment of its path to the API, the WHIP endpoints, the
// events socket or the page for people.
func (e *Emulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "stagedoor-emulator (not Amazon IVS)")
	if e.cfg.AnyCredentials && !fromHere(r) {
		e.fail(w, common("AccessDeniedException", http.StatusForbidden,
			"With any credentials allowed, the emulator serves this computer only."))
		return
	}
	path := rawPath(r)
	first, rest, _ := strings.Cut(strings.TrimLeft(path, "/"), "/")
	switch {
	case path == "/" && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		e.page(w)
	case first == "events" && e.Socket != nil:
		e.Socket.ServeHTTP(w, r)
	case first == "whip" || isWHIP(rest):
		e.serveWHIP(w, r, first)
	case first == "tags":
		e.api(w, r, tagOperation(r.Method), rest)
	case r.Method == http.MethodPost && rest == "":
		e.api(w, r, first, "")
	default:
		e.fail(w, unknownOperation())
	}
}

// fromHere reports whether a request comes from this computer. It also checks Host, because a
// foreign name may resolve to this computer (DNS rebinding).
func fromHere(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	host := (&url.URL{Host: r.Host}).Hostname()
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

func (e *Emulator) api(w http.ResponseWriter, r *http.Request, name, escapedARN string) {
	// Since no signature is required, any web page could call the emulator through a developer's
	// browser.
	if e.cfg.AnyCredentials && e.crossSite.Check(changing(r)) != nil {
		e.fail(w, common("AccessDeniedException", http.StatusForbidden,
			"This request comes from a web page of another site. Start the emulator with a key "+
				"pair to allow that."))
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		e.fail(w, common("RequestEntityTooLargeException", http.StatusRequestEntityTooLarge,
			"The body has more than %d bytes.", maxBody))
		return
	}
	started := e.cfg.Now()
	answer, err := e.call(r, name, escapedARN, body)
	if err != nil {
		e.cfg.Log.InfoContext(r.Context(), "ivs", "operation", name, "err", err,
			"took", e.cfg.Now().Sub(started))
		e.fail(w, err)
		return
	}
	e.cfg.Log.DebugContext(r.Context(), "ivs", "operation", name, "took", e.cfg.Now().Sub(started))
	e.answer(w, http.StatusOK, "", answer)
}

// call runs the steps of every operation: authentication, rate limit, simulated fault, and the
// operation itself.
func (e *Emulator) call(r *http.Request, name, escapedARN string, body []byte) (any, error) {
	region, err := e.authenticate(r, body)
	if err != nil {
		return nil, err
	}
	do, known := e.operations[name]
	if !known {
		return nil, unknownOperation()
	}
	call := &request{ctx: r.Context(), operation: name, region: region, body: body}
	if escapedARN != "" {
		if call.arn, err = url.PathUnescape(escapedARN); err != nil {
			return nil, invalid("The ARN in the path is not percent-escaped as it should be.")
		}
		if call.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
			return nil, invalid("The query cannot be read.")
		}
	}
	if e.cfg.Quotas && !e.rates.allow(region, name) {
		return nil, throttled()
	}
	if err := e.failOnPurpose(call); err != nil {
		return nil, err
	}
	answer, err := do(e, call)
	if err == nil && changes(name) {
		err = e.save()
	}
	return answer, err
}

func (e *Emulator) authenticate(r *http.Request, body []byte) (region string, err error) {
	if e.cfg.AnyCredentials {
		region = regionOf(r, e.cfg.Region)
	} else if region, err = e.signature.verify(r, body); err != nil {
		return "", err
	}
	if !slices.Contains(stage.AWSRegions(), region) {
		return "", badSignature(
			"Credential should be scoped to a valid region. Amazon IVS has no real-time "+
				"stages in %.40q.", region)
	}
	return region, nil
}

func changes(operation string) bool {
	return !strings.HasPrefix(operation, "Get") && !strings.HasPrefix(operation, "List") &&
		operation != "CreateParticipantToken"
}

// changing returns the request as a POST, because http.CrossOriginProtection does not check GET,
// and pages of other sites must not read the responses to GET either.
func changing(r *http.Request) *http.Request {
	r = r.WithContext(r.Context())
	r.Method = http.MethodPost
	return r
}

func (e *Emulator) answer(w http.ResponseWriter, status int, errorType string, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		e.cfg.Log.Error("ivs", "err", err)
		e.fail(w, internalError())
		return
	}
	e.write(w, status, errorType, text)
}

func (e *Emulator) fail(w http.ResponseWriter, err error) {
	var f *fault
	if !errors.As(err, &f) {
		e.cfg.Log.Error("ivs", "err", err)
		f = internalError()
	}
	e.write(w, f.Status, f.Type, f.body())
}

// write sends a response with the headers that the model of the API declares.
func (e *Emulator) write(w http.ResponseWriter, status int, errorType string, body []byte) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("X-Amzn-Requestid", uuid.NewString())
	header.Set("Access-Control-Allow-Origin", "*")
	header.Set("Access-Control-Expose-Headers",
		"Access-Control-Allow-Origin,Access-Control-Expose-Headers,Cache-Control,Content-Length,Content-Security-Policy,Content-Type,date,Server,Strict-Transport-Security,X-Amzn-ErrorType,X-Amzn-Requestid,X-Amz-Rid,X-Content-Type-Options,X-Frame-Options")
	header.Set("Cache-Control", "no-store, no-cache")
	header.Set("Content-Security-Policy", "default-src 'self'; upgrade-insecure-requests;")
	header.Set("Strict-Transport-Security", "max-age:47304000; includeSubDomains")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Frame-Options", "DENY")
	if errorType != "" {
		header.Set("X-Amzn-Errortype", errorType)
	}
	w.WriteHeader(status)
	w.Write(body)
}

// sleep waits for d, or until the client has disconnected.
func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
