package ivsemu

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/google/uuid"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A bridgeEvent is the message of Amazon EventBridge about a change on a stage ("Using EventBridge
// with IVS Real-Time").
type bridgeEvent struct {
	Version    string       `json:"version"`
	ID         string       `json:"id"`
	DetailType string       `json:"detail-type"`
	Source     string       `json:"source"`
	Account    string       `json:"account"`
	Time       string       `json:"time"`
	Region     string       `json:"region"`
	Resources  []string     `json:"resources"`
	Detail     bridgeDetail `json:"detail"`
}

type bridgeDetail struct {
	SessionID     string `json:"session_id"`
	EventName     string `json:"event_name"`
	EventTime     string `json:"event_time"`
	UserID        string `json:"user_id"`
	ParticipantID string `json:"participant_id"`
	ErrorCode     string `json:"error_code,omitempty"`
}

// announce queues an event. It never blocks, because the stage must not wait for receivers. If the
// queue is full, the event is lost. EventBridge does not guarantee delivery, either.
func (e *Emulator) announce(
	arn stage.ARN, session *sessionRecord, p *participantRecord, name, code string,
) {
	if e.cfg.EventsURL == "" {
		return
	}
	now := e.cfg.Now().UTC().Format(time.RFC3339)
	event := bridgeEvent{
		Version: "0", ID: uuid.NewString(), DetailType: "IVS Stage Update", Source: "aws.ivs",
		Account: arn.Account(), Time: now, Region: arn.Region(), Resources: []string{string(arn)},
		Detail: bridgeDetail{
			SessionID: session.ID, EventName: name, EventTime: now,
			UserID: p.UserID, ParticipantID: p.ID, ErrorCode: code,
		},
	}
	select {
	case e.outbox <- event:
	default:
		e.cfg.Log.Warn("an event is lost: too many wait to be delivered", "event",
			name, "stage", arn)
	}
}

func (e *Emulator) deliver(ctx context.Context) error {
	client := &http.Client{Timeout: 5 * time.Second}
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-e.outbox:
			e.post(ctx, client, event)
		}
	}
}

// post tries up to three times to send an event.
func (e *Emulator) post(ctx context.Context, client *http.Client, event bridgeEvent) {
	body, err := json.Marshal(event)
	if err != nil {
		e.cfg.Log.ErrorContext(ctx, "an event cannot be written", "err", err)
		return
	}
	for try := range 3 {
		sleep(ctx, time.Duration(try)*500*time.Millisecond)
		if err = e.postOnce(ctx, client, body); err == nil || ctx.Err() != nil {
			return
		}
		e.cfg.Log.WarnContext(ctx, "an event was not accepted", "event", event.Detail.EventName,
			"try",
			try+1, "err", err)
	}
}

func (e *Emulator) postOnce(ctx context.Context, client *http.Client, body []byte) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.cfg.EventsURL,
		bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Amazon/EventBridge/ApiDestinations (stagedoor-emulator)")
	if !e.cfg.EventsSecret.Empty() {
		r.Header.Set("X-Stagedoor-Secret", e.cfg.EventsSecret.Reveal())
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 64<<10))
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s answered %s", r.URL.Host, answer.Status)
	}
	return nil
}
