package signal

import (
	"encoding/json"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The types of messages. Older clients use the types without a prefix.
const (
	typePing          = "PING"
	typePong          = "PONG"
	typeFlatSetState  = "SET_STATE" // only V1
	typeSetState      = "aws:ivs:SET_STATE"
	typeSDPOffer      = "aws:ivs:SDP_OFFER"
	typeSDPAnswer     = "aws:ivs:SDP_ANSWER"
	typeExchangeToken = "aws:ivs:EXCHANGE_TOKEN"
	typeStageState    = "aws:ivs:STAGE_STATE"
	typeBareState     = "STAGE_STATE"
	typeJoinError     = "aws:ivs:JOIN_ERROR"
	typeDisconnect    = "aws:ivs:DISCONNECT"
	typeSubscribers   = "aws:ivs:SUBSCRIBER_COUNT"
)

// incoming is a message from a client.
type incoming struct {
	Type    string          `json:"type"`
	Payload json.RawMessage `json:"payload"`
	muting                  // V1 sends these fields beside the type
}

// muting is the state of a client's own media.
type muting struct {
	AudioMuted   bool `json:"audioMuted"`
	VideoStopped bool `json:"videoStopped"`
}

// setState is the message for the muting state in V2. V2 waits for a response with the same
// requestId.
type setState struct {
	muting
	RequestID string `json:"requestId"`
}

type sdpOffer struct {
	WHIPURL   string `json:"whipUrl"`
	RequestID string `json:"requestId"`
	Content   string `json:"content"`
	LayerPref string `json:"initialLayerPref"` // "highest", or the default
}

type sdpAnswer struct {
	RequestID             string `json:"requestId"`
	HTTPStatusCode        int    `json:"httpStatusCode"`
	Content               string `json:"content,omitempty"`
	ContentType           string `json:"contentType,omitempty"`
	Location              string `json:"location,omitempty"`
	SessionDeleteLink     string `json:"sessionDeleteLink,omitempty"`
	SubscriberControlLink string `json:"subscriberControlLink,omitempty"`
	VideoLayersLink       string `json:"videoLayersLink,omitempty"`
	ErrorCode             int    `json:"errorCode,omitempty"`
	ErrorMessage          string `json:"errorMessage,omitempty"`
}

type exchangeToken struct {
	OldToken  string `json:"oldToken"`
	NewToken  string `json:"newToken"`
	RequestID string `json:"requestId"`
	TraceID   string `json:"traceId"`
}

// exchanged is the response to an exchange of tokens. The field for the error is absent if there is
// no error.
type exchanged struct {
	RequestID string        `json:"requestId"`
	TraceID   string        `json:"traceId"`
	Error     *errorMessage `json:"error,omitempty"`
}

type errorMessage struct {
	Message string `json:"message"`
}

// A participant always has all fields that the SDK reads, because the SDK would pass on a missing
// field as undefined.
type participant struct {
	ID           stage.ParticipantID `json:"id"`
	UserID       string              `json:"userId"`
	Attributes   map[string]string   `json:"attributes"`
	IsPublishing bool                `json:"isPublishing"`
	AudioMuted   bool                `json:"audioMuted"`
	VideoStopped bool                `json:"videoStopped"`
	// Stalled is an extension for Stagedoor's pages, which IVS does not have.
	Stalled bool `json:"stalled,omitempty"`
}

// stateOf lists the participants who joined and those who publish, by any protocol. The result is
// JSON text, so that two states are easy to compare.
func stateOf(present []stage.Presence, joined func(stage.ParticipantID) bool) string {
	list := []participant{}
	for _, p := range present {
		if !p.Publishing && !joined(p.Participant.ID) {
			continue // a viewer by plain WHEP
		}
		attributes := p.Participant.Attributes
		if attributes == nil {
			attributes = map[string]string{}
		}
		list = append(list, participant{
			ID: p.Participant.ID, UserID: p.Participant.UserID, Attributes: attributes,
			IsPublishing: p.Publishing, AudioMuted: p.AudioMuted, VideoStopped: p.VideoMuted,
			Stalled: p.Stalled,
		})
	}
	return string(encode(list))
}

// inView returns the participants that the token of a viewing key may see: the publishers in its
// view, and the token's own participant.
func inView(who stage.Participant, present []stage.Presence) []stage.Presence {
	var seen []stage.Presence
	for _, p := range present {
		if p.Participant.ID == who.ID || p.Publishing && who.View.Shows(p.Participant) {
			seen = append(seen, p)
		}
	}
	return seen
}

// watching counts the participants who do not publish. IVS does not document which participants its
// subscriber count includes.
func watching(present []stage.Presence) (n int) {
	for _, p := range present {
		if !p.Publishing {
			n++
		}
	}
	return n
}

// stageState returns a state as two messages, because some clients know the message type only with
// the prefix, and some only without. The web SDK knows both types and ignores the second message as
// a repetition.
func stageState(sequence int, participants string) (messages [][]byte) {
	for _, kind := range []string{typeStageState, typeBareState} {
		messages = append(messages, message(kind, struct {
			SequenceNumber int             `json:"sequenceNumber"`
			Participants   json.RawMessage `json:"participants"`
			Disconnected   []string        `json:"disconnected"`
		}{sequence, json.RawMessage(participants), []string{}}))
	}
	return messages
}

func subscriberCount(sequence, count int) []byte {
	return message(typeSubscribers, struct {
		SequenceNumber int `json:"sequenceNumber"`
		Count          int `json:"count"`
	}{sequence, count})
}

func disconnect(code, reason string) []byte {
	return message(typeDisconnect, struct {
		Code   string `json:"code"`
		Reason string `json:"reason"`
	}{code, reason})
}

func joinError(code, text string) []byte {
	return message(typeJoinError, struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{code, text})
}

func message(kind string, payload any) []byte {
	return encode(struct {
		Type    string `json:"type"`
		Payload any    `json:"payload,omitempty"`
	}{kind, payload})
}

// encode returns a message as JSON. It cannot fail, because messages consist of strings, numbers
// and booleans.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
