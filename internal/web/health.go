package web

import (
	"context"
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// readyLimit is how long one check may take.
const readyLimit = 2 * time.Second

// A Check is one thing that the server needs to serve.
type Check struct {
	Name string
	Run  func(context.Context) error
}

type (
	// Readiness says whether a load balancer should send requests here.
	Readiness struct {
		Ready  bool          `json:"ready"`
		Checks []CheckResult `json:"checks"`
	}
	// A CheckResult is one check and what it found. The reason is in the server's log.
	CheckResult struct {
		Name string `json:"name"`
		OK   bool   `json:"ok"`
	}
)

// readiness runs every check. It answers 503 as soon as one fails.
func (s *Server) readiness(r *http.Request, _ access.Principal) (any, error) {
	out := s.checkAll(r.Context())
	status := http.StatusOK
	if !out.Ready {
		status = http.StatusServiceUnavailable
	}
	return reply{status: status, body: out}, nil
}

func (s *Server) checkAll(ctx context.Context) Readiness {
	out := Readiness{Ready: true, Checks: []CheckResult{}}
	for _, c := range s.Checks {
		limited, cancel := context.WithTimeout(ctx, readyLimit)
		err := c.Run(limited)
		cancel()
		if err != nil {
			s.Log.Warn("not ready", "check", c.Name, "err", err)
		}
		out.Ready = out.Ready && err == nil
		out.Checks = append(out.Checks, CheckResult{c.Name, err == nil})
	}
	return out
}
