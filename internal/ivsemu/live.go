package ivsemu

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"strings"

	"github.com/stagedoor/stagedoor/internal/httpkit"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/whip"
)

// This file records the events of the real stage as stage sessions, participants and events.

// The events of participants, and their errors, by their names in the model of the API.
const (
	joined         = "JOINED"
	left           = "LEFT"
	publishStarted = "PUBLISH_STARTED"
	publishStopped = "PUBLISH_STOPPED"
	publishError   = "PUBLISH_ERROR"
	subscribed     = "SUBSCRIBE_STARTED"
	unsubscribed   = "SUBSCRIBE_STOPPED"
	subscribeError = "SUBSCRIBE_ERROR"
)

// The ways to join. The model has no name for the web SDK.
const (
	protocolWHIP    = "WHIP"
	protocolUnknown = "UNKNOWN"
)

// errorCode returns the code of IVS for an event of the real stage, or "" for an end that is not an
// error.
func errorCode(code string) string {
	switch code {
	case "b_frame_present", "bitrate_exceeded", "resolution_exceeded", "stream_duration_exceeded",
		"invalid_audio_codec", "invalid_video_codec":
		return strings.ToUpper(code)
	case "no_h264":
		return "INVALID_VIDEO_CODEC"
	case "no_opus":
		return "INVALID_AUDIO_CODEC"
	case "bad_sdp":
		return "INVALID_INPUT"
	case "stage_full", "server_full":
		return "QUOTA_EXCEEDED"
	case "no_capability":
		return "INSUFFICIENT_CAPABILITIES"
	case "not_publishing":
		return "PUBLISHER_NOT_FOUND"
	}
	return ""
}

// isWHIP reports whether the rest of a path, after the label of a stage, is a WHIP or WHEP
// endpoint.
func isWHIP(rest string) bool { return rest == "whip" || strings.HasPrefix(rest, "whip/") }

// serveWHIP serves the global WHIP endpoint and the endpoints of the stages. "The global endpoint
// returns a 307 Temporary Redirect. WHIP clients must handle 307 redirects correctly and persist
// headers" (AWS guide, "IVS WHIP Publishing").
func (e *Emulator) serveWHIP(w http.ResponseWriter, r *http.Request, first string) {
	path := strings.Trim(r.URL.Path, "/")
	if path == "whip" && r.Method == http.MethodPost {
		if target := e.redirection(r); target != "" {
			http.Redirect(w, r, target, http.StatusTemporaryRedirect)
			return
		}
	}
	if first != "whip" {
		r = r.Clone(r.Context())
		r.URL.Path = strings.TrimPrefix(r.URL.Path, "/"+first)
		r.URL.RawPath = ""
	}
	if r.Method == http.MethodPost && (path == first+"/whip" ||
		strings.HasPrefix(r.URL.Path, "/whip/publish/")) {
		e.noteIncapable(r)
	}
	e.whip.ServeHTTP(w, r)
}

// noteIncapable records an attempt to publish with a token that does not permit publishing. The
// endpoint then refuses it.
func (e *Emulator) noteIncapable(r *http.Request) {
	p, err := e.bearer(r)
	if err != nil || p.Capabilities.Has(stage.Publish) {
		return
	}
	e.Join(p, protocolWHIP)
	e.note(p.Stage, p.ID, publishError, errorCode("no_capability"), "")
	e.Leave(p.Stage, p.ID)
}

func (e *Emulator) bearer(r *http.Request) (stage.Participant, error) {
	return e.verifier.Verify(r.Context(), httpkit.Bearer(r))
}

// redirection returns the address at the WHIP endpoint of the token's stage. For an invalid token
// it returns "", and the global endpoint then refuses the token.
func (e *Emulator) redirection(r *http.Request) string {
	p, err := e.bearer(r)
	if err != nil {
		return ""
	}
	endpoints, err := e.endpoints(r.Context(), p.Stage)
	if err != nil {
		return ""
	}
	return endpoints.WHIP + "/publish/" + string(p.ID)
}

// admit refuses participants that DisconnectParticipant has disconnected.
func (e *Emulator) admit(_ context.Context, p stage.Participant) (stage.Participant, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s, err := e.state.anyStage(p.Stage); err == nil && s.Barred[string(p.ID)] {
		return p, stage.Errorf(stage.ErrDenied,
			"The participant has been disconnected and cannot join again with this token.").
			WithCode("participant_disconnected")
	}
	return p, nil
}

// A recorder is a whip.Media that passes calls to the media plane and records the participants.
type recorder struct{ e *Emulator }

var _ whip.Media = recorder{}

// Publish records a publisher, or the error if the media plane refuses the offer.
func (m recorder) Publish(
	ctx context.Context, p stage.Participant, offer string,
) (whip.Session, string, error) {
	if m.e.Media == nil {
		return nil, "", errNoMedia()
	}
	m.e.Join(p, protocolWHIP)
	s, answer, err := m.e.Media.Publish(ctx, p, offer)
	if err != nil {
		m.e.note(p.Stage, p.ID, publishError, errorCodeOf(err), "")
		m.e.Leave(p.Stage, p.ID)
		return nil, "", err
	}
	m.e.follow(s, func() { m.e.Leave(p.Stage, p.ID) })
	return s, answer, nil
}

// Subscribe records a viewer, or the error if the media plane refuses the offer.
func (m recorder) Subscribe(
	ctx context.Context, p stage.Participant, publisher stage.ParticipantID, offer string,
) (whip.Session, string, error) {
	if m.e.Media == nil {
		return nil, "", errNoMedia()
	}
	m.e.Join(p, protocolUnknown)
	s, answer, err := m.e.Media.Subscribe(ctx, p, publisher, offer)
	if err != nil {
		m.e.note(p.Stage, p.ID, subscribeError, errorCodeOf(err), publisher)
		m.e.Leave(p.Stage, p.ID)
		return nil, "", err
	}
	m.e.note(p.Stage, p.ID, subscribed, "", publisher)
	m.e.follow(s, func() {
		m.e.note(p.Stage, p.ID, unsubscribed, "", publisher)
		m.e.Leave(p.Stage, p.ID)
	})
	return s, answer, nil
}

// Participants lists the participants with sessions.
func (m recorder) Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error) {
	if m.e.Media == nil {
		return nil, errNoMedia()
	}
	return m.e.Media.Participants(ctx, arn)
}

func (e *Emulator) follow(s whip.Session, over func()) {
	e.sessions.Go(func() {
		<-s.Done()
		over()
		if err := e.save(); err != nil {
			e.cfg.Log.Error("ivs", "err", err)
		}
	})
}

func errNoMedia() error {
	return stage.Errorf(stage.ErrUnavailable,
		"This emulator was started without a stage behind it.").WithCode("unavailable")
}

func errorCodeOf(err error) string {
	var e *stage.Error
	if errors.As(err, &e) {
		if code := errorCode(e.Code); code != "" {
			return code
		}
	}
	return "INTERNAL_SERVER_EXCEPTION"
}

// Observe receives the events of publishers from the media plane, and the refusals from WHIP and
// WHEP.
func (e *Emulator) Observe(event stage.Event) {
	switch event.Kind {
	case stage.EventPublishing:
		e.startPublishing(event)
	case stage.EventEnded:
		if code := errorCode(event.Code); code != "" {
			e.note(event.Stage, event.Participant, publishError, code, "")
		}
		e.stopPublishing(event.Stage, event.Participant)
	}
}

// Join records that a participant has connected. Each Join needs one Leave.
func (e *Emulator) Join(p stage.Participant, protocol string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.anyStage(p.Stage)
	if err != nil {
		return // the stage was deleted while the token was verified
	}
	session := s.active()
	if session == nil {
		session = &sessionRecord{Seq: e.state.next(), ID: newSessionID(), Start: e.cfg.Now()}
		s.Sessions = append(s.Sessions, session)
	}
	known := session.participant(string(p.ID))
	if known == nil {
		known = &participantRecord{
			Seq: e.state.next(), ID: string(p.ID), UserID: p.UserID,
			Attributes: maps.Clone(p.Attributes),
			Joined:     e.cfg.Now(), Protocol: protocol,
		}
		session.Participants = append(session.Participants, known)
	}
	if protocol == protocolWHIP {
		known.Protocol = protocol
	}
	if known.Open++; known.Open == 1 {
		e.record(known, joined, "", "")
	}
}

// Leave records that one connection of a participant has ended. When the last participant leaves,
// the stage session ends.
func (e *Emulator) Leave(arn stage.ARN, id stage.ParticipantID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	session, p := e.present(arn, id)
	if p == nil || p.Open == 0 {
		return
	}
	if p.Open--; p.Open > 0 {
		return
	}
	e.unpublish(arn, session, p)
	e.record(p, left, "", "")
	for _, other := range session.Participants {
		if other.Open > 0 {
			return
		}
	}
	session.End = e.cfg.Now()
}

// present returns a participant of the current stage session. The caller holds e.mu.
func (e *Emulator) present(
	arn stage.ARN, id stage.ParticipantID,
) (*sessionRecord, *participantRecord) {
	s, err := e.state.anyStage(arn)
	if err != nil {
		return nil, nil
	}
	session := s.active()
	if session == nil {
		return nil, nil
	}
	return session, session.participant(string(id))
}

// latest returns a participant of the last stage session. The stage session may have ended, because
// the reason for an end may arrive after it. The caller holds e.mu.
func (e *Emulator) latest(
	arn stage.ARN, id stage.ParticipantID,
) (*sessionRecord, *participantRecord) {
	s, err := e.state.anyStage(arn)
	if err != nil || len(s.Sessions) == 0 {
		return nil, nil
	}
	session := s.Sessions[len(s.Sessions)-1]
	return session, session.participant(string(id))
}

func (e *Emulator) startPublishing(event stage.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	session, p := e.present(event.Stage, event.Participant)
	if p == nil || p.Publishing {
		return
	}
	p.Published, p.Publishing = true, true
	e.record(p, publishStarted, "", "")
	e.announce(event.Stage, session, p, "Participant Published", "")
}

func (e *Emulator) stopPublishing(arn stage.ARN, id stage.ParticipantID) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if session, p := e.present(arn, id); p != nil {
		e.unpublish(arn, session, p)
	}
}

// unpublish records that a participant stopped publishing. The caller holds e.mu.
func (e *Emulator) unpublish(arn stage.ARN, session *sessionRecord, p *participantRecord) {
	if !p.Publishing {
		return
	}
	p.Publishing = false
	e.record(p, publishStopped, "", "")
	e.announce(arn, session, p, "Participant Unpublished", "")
}

// note records an event of a participant, and announces an error in publishing.
func (e *Emulator) note(
	arn stage.ARN, id stage.ParticipantID, name, code string, remote stage.ParticipantID,
) {
	e.mu.Lock()
	defer e.mu.Unlock()
	session, p := e.latest(arn, id)
	if p == nil {
		return
	}
	e.record(p, name, code, string(remote))
	if name == publishError {
		e.announce(arn, session, p, "Participant Publish Error", code)
	}
}

// record adds an event to a participant. The caller holds e.mu.
func (e *Emulator) record(p *participantRecord, name, code, remote string) {
	p.Events = append(p.Events, eventRecord{
		Seq: e.state.next(), Name: name, ErrorCode: code, Remote: remote, Time: e.cfg.Now(),
	})
}
