package ivsemu

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	stateConnected    = "CONNECTED"
	stateDisconnected = "DISCONNECTED"
)

// newestFirst reverses a list and negates its keys, because `page` needs keys that increase.
func newestFirst[T any](list []T, seq func(T) int) ([]T, func(T) int) {
	turned := slices.Clone(list)
	slices.Reverse(turned)
	return turned, func(item T) int { return -seq(item) }
}

func listStageSessions(e *Emulator, r *request, in *listSessionsIn) (*sessionsOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.stage(r.region, *in.StageArn)
	if missing(err) {
		return &sessionsOut{StageSessions: []sessionShape{}}, nil
	}
	if err != nil {
		return nil, err
	}
	items, key := newestFirst(s.Sessions, func(s *sessionRecord) int { return s.Seq })
	list, next, err := page(e.pages, "sessions/"+s.Arn, in.paged, items, key)
	if err != nil {
		return nil, err
	}
	out := &sessionsOut{StageSessions: make([]sessionShape, len(list)), NextToken: next}
	for i, session := range list {
		out.StageSessions[i] = session.shape()
	}
	return out, nil
}

func getStageSession(e *Emulator, r *request, in *sessionIn) (*sessionOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	session, err := e.state.sessionOf(r.region, in)
	if err != nil {
		return nil, err
	}
	return &sessionOut{session.shape()}, nil
}

func (st *state) sessionOf(region string, in *sessionIn) (*sessionRecord, error) {
	s, err := st.stage(region, *in.StageArn)
	if err != nil {
		return nil, err
	}
	return s.session(*in.SessionID)
}

func (s *sessionRecord) shape() sessionShape {
	return sessionShape{SessionID: s.ID, StartTime: at(s.Start), EndTime: at(s.End)}
}

func listParticipants(e *Emulator, r *request, in *listParticipantsIn) (*participantsOut, error) {
	if in.filters() > 1 {
		return nil, invalid(
			"Only one of filterByUserId, filterByPublished, filterByState and " +
				"filterByRecordingState can be given.")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	session, err := e.state.sessionOf(r.region, &in.sessionIn)
	if missing(err) {
		return &participantsOut{Participants: []participantShape{}}, nil
	}
	if err != nil {
		return nil, err
	}
	matching := slices.DeleteFunc(slices.Clone(session.Participants),
		func(p *participantRecord) bool { return !in.wants(p) })
	list, next, err := page(e.pages, in.listName(), in.paged, matching,
		func(p *participantRecord) int { return p.Seq })
	if err != nil {
		return nil, err
	}
	out := &participantsOut{Participants: make([]participantShape, len(list)), NextToken: next}
	for i, p := range list {
		out.Participants[i] = p.summary()
	}
	return out, nil
}

// wants reports whether a participant matches the filter. The emulator does not record, so a filter
// with a recording state matches no participant.
func (in *listParticipantsIn) wants(p *participantRecord) bool {
	switch {
	case in.FilterByUserID != nil:
		return p.UserID == *in.FilterByUserID
	case in.FilterByPublished != nil:
		return p.Published == *in.FilterByPublished
	case in.FilterByState != nil:
		return p.state() == *in.FilterByState
	}
	return in.FilterByRecordingState == nil
}

func (in *listParticipantsIn) listName() string {
	published := ""
	if in.FilterByPublished != nil {
		published = strconv.FormatBool(*in.FilterByPublished)
	}
	return strings.Join([]string{"participants", *in.StageArn, *in.SessionID,
		deref(in.FilterByUserID), published, deref(in.FilterByState),
		deref(in.FilterByRecordingState)}, "/")
}

func (p *participantRecord) state() string {
	if p.Open > 0 {
		return stateConnected
	}
	return stateDisconnected
}

func (p *participantRecord) summary() participantShape {
	return participantShape{
		ParticipantID: p.ID, UserID: p.UserID, State: p.state(), FirstJoinTime: at(p.Joined),
		Published: p.Published, ReplicationType: "NONE",
	}
}

func getParticipant(e *Emulator, r *request, in *participantIn) (*participantOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.state.participantOf(r.region, in)
	if err != nil {
		return nil, err
	}
	shape := p.summary()
	shape.Attributes, shape.Protocol = maps.Clone(p.Attributes), p.Protocol
	return &participantOut{shape}, nil
}

func (st *state) participantOf(region string, in *participantIn) (*participantRecord, error) {
	session, err := st.sessionOf(region, &in.sessionIn)
	if err != nil {
		return nil, err
	}
	if p := session.participant(*in.ParticipantID); p != nil {
		return p, nil
	}
	return nil, notFound("Resource: %s not found", *in.ParticipantID)
}

// listParticipantEvents returns the newest events first, as the examples of the AWS CLI do. The
// user guide shows the oldest first.
func listParticipantEvents(e *Emulator, r *request, in *listEventsIn) (*eventsOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p, err := e.state.participantOf(r.region, &in.participantIn)
	if missing(err) {
		return &eventsOut{Events: []eventShape{}}, nil
	}
	if err != nil {
		return nil, err
	}
	items, key := newestFirst(p.Events, func(event eventRecord) int { return event.Seq })
	name := strings.Join([]string{"events", *in.StageArn, *in.SessionID, p.ID}, "/")
	list, next, err := page(e.pages, name, in.paged, items, key)
	if err != nil {
		return nil, err
	}
	out := &eventsOut{Events: make([]eventShape, len(list)), NextToken: next}
	for i, event := range list {
		out.Events[i] = eventShape{
			Name: event.Name, ParticipantID: p.ID, EventTime: at(event.Time),
			RemoteParticipantID: event.Remote, ErrorCode: event.ErrorCode,
		}
	}
	return out, nil
}

// listParticipantReplicas returns an empty list: the emulator has no replication.
func listParticipantReplicas(e *Emulator, r *request, in *replicasIn) (*replicasOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, err := e.state.stage(r.region, *in.SourceStageArn); err != nil && !missing(err) {
		return nil, err
	}
	return &replicasOut{Replicas: []empty{}}, nil
}

// disconnectParticipant kicks a participant and bars its token. It refuses a participant who never
// joined. AWS documents neither behaviour, but its web SDK has the error "Participant has been
// disconnected, unable to join".
func disconnectParticipant(e *Emulator, r *request, in *disconnectIn) (*empty, error) {
	if err := e.bar(r.region, *in.StageArn, *in.ParticipantID); err != nil {
		return nil, err
	}
	reason := deref(in.Reason)
	if reason == "" {
		reason = "The participant was disconnected."
	}
	e.whip.Close(stage.ParticipantID(*in.ParticipantID), "kicked", reason)
	if e.Kicked != nil {
		e.Kicked(stage.ARN(*in.StageArn), stage.ParticipantID(*in.ParticipantID), reason)
	}
	return &empty{}, nil
}

func (e *Emulator) bar(region, arn, participant string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.stage(region, arn)
	if err != nil {
		return err
	}
	for _, c := range e.state.Ingests {
		if c.Shape.ParticipantID == participant && c.Shape.StageArn == arn {
			c.Shape.StageArn = ""
			return nil
		}
	}
	if !slices.ContainsFunc(
		s.Sessions, func(session *sessionRecord) bool {
			return session.participant(
				participant) != nil
		}) {
		return notFound("Resource: %s not found", participant)
	}
	s.Barred[participant] = !e.cfg.NoBar
	return nil
}
