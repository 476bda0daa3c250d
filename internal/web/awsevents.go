package web

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// awsEvents receives the events of AWS stages.
type awsEvents struct {
	deliver func(*http.Request) error // nil if this server receives no events
	client  clientOf
	log     *slog.Logger
}

func (s *awsEvents) routes(a *adapter) []route {
	return []route{{"POST /api/aws/events", a.open(s.take)}}
}

// take receives what EventBridge posts.
func (s *awsEvents) take(r *http.Request, _ access.Principal) (any, error) {
	if s.deliver == nil {
		return nil, stage.Errorf(stage.ErrNotFound,
			"This server does not accept events of AWS: start Stagedoor with --ivs-region and "+
				"--ivs-events-secret.")
	}
	err := s.deliver(r)
	if errors.Is(err, stage.ErrUnauthorized) {
		s.log.WarnContext(r.Context(), "an event of AWS was refused: wrong secret",
			"from", s.client(r).Address)
	}
	return nil, err
}
