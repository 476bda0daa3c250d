package web

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
)

// An SDK is the address of Amazon's web SDK, for AWS stages. Only AWS may distribute the SDK, so it
// is not part of the binary.
type SDK struct {
	URL       string // of the UMD build
	Integrity string // "sha384-…" (W3C Subresource Integrity); empty for no check
}

// awsHosts are the hosts that the SDK calls: signalling, media, telemetry and its configuration.
const awsHosts = "https://*.live-video.net wss://*.live-video.net"

// stagePages serves the pages that join stages.
type stagePages struct {
	control *access.Control
	assets  assets
	sdk     SDK
	aws     bool // whether AWS stages are served
	log     *slog.Logger
}

func (s *stagePages) routes(a *adapter) []route {
	return []route{
		{"GET /api/ivs", a.open(s.ivsSDK)},
		{"GET /dock", s.page("dock/index.html")}, // the tab People joins stages
		{"GET /dock/stage", s.pageBelow("stage/index.html", 1)},
		{"GET /source", s.page("source/index.html")},
		{"GET /watch", s.page("watch/index.html")},
		{"GET /guest", s.page("guest/index.html")},
	}
}

// ivsSDK returns the SDK that pages load.
func (s *stagePages) ivsSDK(*http.Request, access.Principal) (any, error) {
	return IVSSDK(s.sdk), nil
}

// page serves a page that joins stages, which may load the SDK and connect to the endpoints of the
// stages.
func (s *stagePages) page(name string) http.Handler { return s.pageBelow(name, 0) }

// pageBelow is like `page`, but for an address that has folders, such as /dock/stage. The parameter
// `below` is the number of folders.
func (s *stagePages) pageBelow(name string, below int) http.Handler {
	page := s.assets.pageBelow(name, below)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", s.policy(r.Context()))
		page.ServeHTTP(w, r)
	})
}

// policy is the Content-Security-Policy of pages that join stages. Where AWS stages are
// served, it also allows the file of the SDK and the endpoints of the stages.
func (s *stagePages) policy(ctx context.Context) string {
	if !s.aws {
		return contentPolicy
	}
	script, connect := "script-src 'self'", awsHosts
	if source := scriptSource(s.sdk.URL); source != "" {
		script += " " + source
	}
	for _, origin := range s.origins(ctx) {
		connect += " " + origin
	}
	return strings.Replace(contentPolicy, "connect-src 'self'",
		script+"; connect-src 'self' "+connect, 1)
}

// origins lists the origins of endpoints outside awsHosts.
func (s *stagePages) origins(ctx context.Context) []string {
	all, err := s.control.Stages.Endpoints(ctx)
	if err != nil {
		s.log.WarnContext(ctx, "the endpoints of the stages cannot be read", "err", err)
	}
	found := map[string]bool{}
	for _, endpoints := range all {
		for _, endpoint := range []string{endpoints.WHIP, endpoints.Events} {
			if origin := originOf(endpoint); origin != "" &&
				!strings.HasSuffix(origin, ".live-video.net") {
				found[origin] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// scriptSource returns a script's source expression for the policy. The expression has no query.
// Its commas and semicolons are escaped, because they separate policies and directives (CSP Level
// 3, 2.3.1).
func scriptSource(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return originOf(address) + strings.NewReplacer(";", "%3B", ",", "%2C").Replace(u.EscapedPath())
}

func originOf(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host
}
