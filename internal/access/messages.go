package access

import (
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The message types of webhooks.
const (
	MessageParticipantPublished = "participant.published"
	MessageParticipantEnded     = "participant.ended"
	MessageParticipantRefused   = "participant.refused"
	MessageTokenIssued          = "token.issued"
	MessageTokenRevoked         = "token.revoked"
	MessageUserCreated          = "user.created"
	MessageUserSuspended        = "user.suspended"
	MessageTest                 = "webhook.test" // sent only by Webhooks.Test
)

// MessageTypes lists the types that a webhook can select.
func MessageTypes() []string {
	return []string{
		MessageParticipantPublished, MessageParticipantEnded, MessageParticipantRefused,
		MessageTokenIssued, MessageTokenRevoked, MessageUserCreated, MessageUserSuspended,
	}
}

// MessageData returns a zero value of the data of each message type. The OpenAPI document describes
// the types by these values.
func MessageData() map[string]any {
	return map[string]any{
		MessageParticipantPublished: ParticipantMessage{},
		MessageParticipantEnded:     ParticipantMessage{},
		MessageParticipantRefused:   ParticipantMessage{},
		MessageTokenIssued:          TokenMessage{},
		MessageTokenRevoked:         TokenMessage{},
		MessageUserCreated:          UserMessage{},
		MessageUserSuspended:        UserMessage{},
		MessageTest:                 TestMessage{},
	}
}

// A Message is the body that a receiver gets (Standard Webhooks, "Payload structure").
type Message struct {
	Type      string    `json:"type"`
	Timestamp time.Time `json:"timestamp"`
	Data      any       `json:"data"`
}

// messageOfEvent returns the message type of a stage event, or "". The events of rehearsals have
// none, since rehearsals are private.
func messageOfEvent(e stage.Event) string {
	if e.Stage.Rehearsal() {
		return ""
	}
	switch e.Kind {
	case stage.EventPublishing:
		return MessageParticipantPublished
	case stage.EventEnded:
		return MessageParticipantEnded
	case stage.EventRefused:
		return MessageParticipantRefused
	}
	return ""
}

// A ParticipantMessage is the data of a message about a participant.
type ParticipantMessage struct {
	Participant stage.ParticipantID `json:"participantId"`
	Stage       stage.ARN           `json:"stage"`
	User        UserID              `json:"userId,omitempty"`
	Kind        string              `json:"kind"`
	Code        string              `json:"code,omitempty"`
	Detail      string              `json:"detail,omitempty"`
	Time        time.Time           `json:"time"`
	// Claimed marks the refusal of a token with a wrong signature, in which the participant may be
	// forged.
	Claimed bool    `json:"claimed,omitempty"`
	By      *Kicker `json:"by,omitempty"`     // the person who ended a session; nil if none did
	Barred  bool    `json:"barred,omitempty"` // see StoredEvent.Barred
}

// A Kicker is the operator or moderator who kicked or barred a participant.
type Kicker struct {
	User UserID `json:"userId,omitempty"` // empty for the command line and API keys
	Name string `json:"name"`
	Role Role   `json:"role"`
}

// Kicker returns who kicked or barred the participant of an event, or nil.
func (e StoredEvent) Kicker() *Kicker {
	if e.By.Role == "" {
		return nil
	}
	return &Kicker{e.By.ID, e.By.Name, e.By.Role}
}

func participantMessage(e StoredEvent) ParticipantMessage {
	return ParticipantMessage{
		Participant: e.Participant, Stage: e.Stage, User: e.User, Kind: string(e.Kind),
		Code: e.Code, Detail: e.Detail, Time: e.Time.UTC(), Claimed: e.Claimed(),
		By: e.Kicker(), Barred: e.Barred,
	}
}

// A TokenMessage is the data of a message about a token.
type TokenMessage struct {
	Participant stage.ParticipantID `json:"participantId"`
	Stage       stage.ARN           `json:"stage"`
	User        UserID              `json:"userId"`
	Name        string              `json:"name"`
	IssuedBy    string              `json:"issuedBy"`
	IssuedAt    time.Time           `json:"issuedAt"`
	ExpiresAt   time.Time           `json:"expiresAt"`
}

func tokenMessage(i Issuance) TokenMessage {
	return TokenMessage{
		i.ID, i.Stage, i.User, i.UserName, i.IssuedBy, i.IssuedAt.UTC(), i.ExpiresAt.UTC(),
	}
}

// A UserMessage is the data of a message about a user.
type UserMessage struct {
	ID   string `json:"userId"`
	Name string `json:"name"`
}

// A TestMessage is the data of a message that tests a webhook.
type TestMessage struct {
	By string `json:"by"` // name of the operator who sent it
}
