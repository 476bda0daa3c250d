package whipcheck

import (
	"context"
	"net/http"
	"slices"
	"strings"
)

// someOrigin is an origin that no endpoint lists. A preflight from it must still be answered.
const someOrigin = "https://studio.example"

// reachable sends OPTIONS, because every HTTP server answers this method in some way.
func (r *run) reachable(ctx context.Context) bool {
	x, err := r.do(ctx, request{method: http.MethodOptions, url: r.endpoint,
		header: map[string]string{
			"Origin":                         someOrigin,
			"Access-Control-Request-Method":  http.MethodPost,
			"Access-Control-Request-Headers": "authorization,content-type",
		}})
	if err != nil {
		r.unreachable = true
		r.fail("reachable", "No answer: %s.", r.clean(err.Error(), 200))
		return false
	}
	r.pass("reachable", "%s answered.", r.endpoint.Host)
	r.judgePreflight(x)
	return true
}

func (r *run) judgePreflight(x exchange) {
	allowed := strings.ToUpper(x.header.Get("Access-Control-Allow-Methods"))
	switch {
	case x.status < 200 || x.status > 299:
		r.fail("preflight", "OPTIONS answered %s; a browser's page cannot publish.", r.said(x))
	case x.header.Get("Access-Control-Allow-Origin") == "":
		r.warn("preflight",
			"OPTIONS answered %d without CORS headers for %s. Only pages of origins "+
				"that the endpoint allows can publish.", x.status, someOrigin)
	case !strings.Contains(allowed, "POST") || !strings.Contains(allowed, "DELETE"):
		r.fail("preflight", "Access-Control-Allow-Methods is %q.", r.clean(allowed, 80))
	default:
		r.pass("preflight", "OPTIONS answered %d and allows %s.", x.status, r.clean(allowed, 80))
	}
}

func (r *run) methods(ctx context.Context) {
	x, err := r.once(ctx, request{
		method: http.MethodGet, url: r.endpoint, bearer: r.Token.Reveal(),
	})
	if err != nil {
		r.fail("methods", "GET: %s.", r.clean(err.Error(), 160))
		return
	}
	r.is("methods", x.status == http.StatusMethodNotAllowed, "GET answered %s.", r.said(x))
}

// refusals are the statuses with which an endpoint may refuse a bearer.
var refusals = []int{http.StatusUnauthorized, http.StatusForbidden}

func (r *run) bearers(ctx context.Context) {
	if r.Token.Empty() {
		for _, id := range []string{"no-bearer", "wrong-bearer", "refusal-body"} {
			r.skip(id, "No token was given, so the endpoint is taken to be open.")
		}
		return
	}
	without := r.refused(ctx, "no-bearer", "")
	r.refused(ctx, "wrong-bearer", damaged(r.Token.Reveal()))
	if without.status >= 400 {
		r.is("refusal-body", len(without.body) > 0, "The refusal says: %s.", r.said(without))
	}
}

func (r *run) refused(ctx context.Context, id, bearer string) exchange {
	offer, err := plainOffer()
	if err != nil {
		r.fail(id, "No offer could be made: %v.", err)
		return exchange{}
	}
	x, err := r.post(ctx, offer, bearer)
	switch {
	case err != nil:
		r.fail(id, "No answer: %s.", r.clean(err.Error(), 160))
	case x.status == http.StatusCreated:
		r.fail(id, "The endpoint answered 201: anybody can publish.")
		r.endQuietly(ctx, x)
	case x.status == http.StatusTooManyRequests:
		r.warn(id, "The endpoint throttles (%s); try again later.", r.said(x))
	default:
		r.is(id, slices.Contains(refusals, x.status), "The endpoint answered %s.", r.said(x))
	}
	return x
}

// damaged changes the end of a token. After that, the signature of a JWT is wrong, and a stream key
// is unknown.
func damaged(token string) string {
	if len(token) < 8 {
		return token + "-wrong"
	}
	cut := len(token) - 6
	swap := func(c rune) rune {
		if c == 'A' {
			return 'B'
		}
		return 'A'
	}
	return token[:cut] + strings.Map(swap, token[cut:])
}

func (r *run) bodies(ctx context.Context) {
	offer, err := plainOffer()
	if err != nil {
		r.fail("wrong-type", "No offer could be made: %v.", err)
		return
	}
	post := request{method: http.MethodPost, url: r.endpoint, bearer: r.Token.Reveal()}
	post.contentType, post.body = "text/plain", offer
	if x, err := r.do(ctx, post); err != nil {
		r.fail("wrong-type", "No answer: %s.", r.clean(err.Error(), 160))
	} else {
		r.is("wrong-type", x.status == http.StatusUnsupportedMediaType,
			"text/plain was answered %s.", r.said(x))
		r.endQuietly(ctx, x)
	}
	post.contentType, post.body = sdpType, "v=0\r\nthis is no session description\r\n"
	if x, err := r.do(ctx, post); err != nil {
		r.fail("broken-offer", "No answer: %s.", r.clean(err.Error(), 160))
	} else {
		r.is("broken-offer", x.status >= 400 && x.status < 500,
			"A broken offer was answered %s.", r.said(x))
	}
}

// endQuietly deletes the session in an answer, if there is one, and ignores errors.
func (r *run) endQuietly(ctx context.Context, x exchange) {
	if u, err := x.session(); err == nil && x.status == http.StatusCreated {
		_, _ = r.withOurs(ctx, http.MethodDelete, u, request{})
	}
}
