package homes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	orderPath  = "/peer/order"
	orderLimit = 3 * time.Second
	maxOrder   = 16 << 10
)

// An Order is a request of one replica to another. Without a Participant it concerns the whole
// stage.
type Order struct {
	Verb        string              `json:"verb"`
	Stage       stage.ARN           `json:"stage"`
	Participant stage.ParticipantID `json:"participant,omitempty"`
	Reason      string              `json:"reason,omitempty"`
}

// The verbs of orders. Each ends something.
const (
	Disconnect = "disconnect" // a participant; not found if it has no session there
	CloseStage = "close"      // a stage that was removed
)

// Send sends an order to all other replicas at once. So the order reaches the home even if this
// replica does not know it, because the database is unavailable. Send succeeds if one replica
// carried the order out. It returns stage.ErrNotFound if all replicas answered that they had
// nothing to end.
func (p *Proxy) Send(ctx context.Context, o Order) error {
	ctx, cancel := context.WithTimeout(ctx, orderLimit)
	defer cancel()
	others := p.Homes.Others()
	results := make([]error, len(others))
	var all sync.WaitGroup
	for i, peer := range others {
		all.Go(func() { results[i] = p.sendTo(ctx, peer, o) })
	}
	all.Wait()
	var failed []error
	for _, err := range results {
		if err == nil {
			return nil
		}
		if !errors.Is(err, stage.ErrNotFound) {
			failed = append(failed, err)
		}
	}
	if len(failed) > 0 {
		return stage.Errorf(stage.ErrUnavailable, "A server that may carry this session does not "+
			"answer: try again in a moment.").WithRetry(retry).WithCause(errors.Join(failed...))
	}
	return stage.Errorf(stage.ErrNotFound, "This participant is not connected.")
}

func (p *Proxy) sendTo(ctx context.Context, peer Peer, o Order) error {
	u, err := address(peer, orderPath)
	if err != nil {
		return err
	}
	text, err := json.Marshal(o)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(text))
	if err != nil {
		return err
	}
	answer, err := p.client.RoundTrip(r)
	if err != nil {
		return fmt.Errorf("%s: %w", peer.URL, err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNoContent:
		return nil
	case http.StatusNotFound:
		return stage.ErrNotFound
	}
	return fmt.Errorf("%s answers %s", peer.URL, answer.Status)
}

func (p *Proxy) takeOrder(w http.ResponseWriter, r *http.Request) {
	var o Order
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxOrder)).Decode(&o)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	switch err := p.Order(r.Context(), o); {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, stage.ErrNotFound):
		w.WriteHeader(http.StatusNotFound)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}
