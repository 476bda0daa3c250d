package web

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// readyLimit limits the time of one check.
const readyLimit = 2 * time.Second

// A Check tests one dependency of the server, such as the database.
type Check struct {
	Name string
	Run  func(context.Context) error
}

type (
	// Readiness says whether a load balancer should send requests to this server.
	Readiness struct {
		Ready  bool          `json:"ready"`
		Checks []CheckResult `json:"checks"`
	}
	// A CheckResult is the result of one check. Its reason is in the server's log.
	CheckResult struct {
		Name string `json:"name"`
		OK   bool   `json:"ok"`
	}
)

// health serves the endpoints that monitors and load balancers call.
type health struct {
	checks []Check
	log    *slog.Logger
}

func (s *health) routes(a *adapter) []route {
	return []route{
		{"GET /healthz", http.HandlerFunc(s.alive)},
		{"GET /readyz", a.open(s.readiness)},
		{"GET /api/probe", probe(a.proxies)},
	}
}

// alive serves /healthz, which only shows that the server answers. It checks no dependency, because
// a supervisor restarts a server that fails this check. A restart would not bring back a database,
// but would end the broadcasts.
func (s *health) alive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte("ok\n"))
}

// readiness runs every check, and returns 503 if one fails.
func (s *health) readiness(r *http.Request, _ access.Principal) (any, error) {
	out := s.checkAll(r.Context())
	status := http.StatusOK
	if !out.Ready {
		status = http.StatusServiceUnavailable
	}
	return reply{status: status, body: out}, nil
}

func (s *health) checkAll(ctx context.Context) Readiness {
	out := Readiness{Ready: true, Checks: []CheckResult{}}
	for _, c := range s.checks {
		limited, cancel := context.WithTimeout(ctx, readyLimit)
		err := c.Run(limited)
		cancel()
		if err != nil {
			s.log.WarnContext(ctx, "a check of readiness failed", "check", c.Name, "err", err)
		}
		out.Ready = out.Ready && err == nil
		out.Checks = append(out.Checks, CheckResult{c.Name, err == nil})
	}
	return out
}
