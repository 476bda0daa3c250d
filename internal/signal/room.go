package signal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A room is a stage that somebody joined. Server.mu guards it with everything in it.
type room struct {
	members  map[stage.ParticipantID]*member
	sequence int    // of the states; it grows as long as anybody is there to compare
	state    string // the last one: its participants
	counts   int    // the sequence of the subscriber counts
	viewers  int    // the last of them
}

// A member is a participant who joined over the socket. It outlives its socket for a while.
type member struct {
	participant stage.Participant
	bearer      stage.Secret
	since       time.Time
	socket      *socket     // nil while it is lost
	leave       *time.Timer // runs while the socket is lost

	told                     bool // the participant has said what is muted
	audioMuted, videoStopped bool
}

// stop ends the wait for a lost socket.
func (m *member) stop() {
	if m.leave != nil {
		m.leave.Stop()
		m.leave = nil
	}
}

// join lets a participant in. Of two sockets with one token the last one wins, and the first is told.
func (s *Server) join(k *socket, p stage.Participant, bearer stage.Secret) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return stage.Errorf(stage.ErrUnavailable, "The server is stopping: try again in a moment.").WithCode("shutdown")
	}
	r := s.rooms[p.Stage]
	if r == nil {
		r = &room{members: map[stage.ParticipantID]*member{}}
		s.rooms[p.Stage] = r
	}
	m := r.members[p.ID]
	if m == nil {
		m = &member{since: s.cfg.Now()}
		r.members[p.ID] = m
	}
	m.stop()
	if m.socket != nil {
		m.socket.send(disconnect("TOKEN_REUSED", "The same token joined again."))
		m.socket.close()
	}
	m.participant, m.bearer, m.socket = p, bearer, k
	s.sockets.Add(1)
	return nil
}

// lost is called when a socket is closed. Who closed it on purpose has left; who lost it may come back.
func (s *Server) lost(k *socket, arn stage.ARN, id stage.ParticipantID, onPurpose bool) {
	defer s.sockets.Done()
	s.mu.Lock()
	m := s.memberOf(k, arn, id)
	switch {
	case m == nil: // it has been replaced or sent away
	case onPurpose || !s.running:
		s.forget(arn, id)
	default:
		m.socket = nil
		m.leave = time.AfterFunc(s.cfg.Grace, func() { s.expire(arn, id, m) })
	}
	s.mu.Unlock()
	s.changed(arn)
}

func (s *Server) expire(arn stage.ARN, id stage.ParticipantID, m *member) {
	s.mu.Lock()
	if r := s.rooms[arn]; r != nil && r.members[id] == m && m.socket == nil {
		s.forget(arn, id)
	}
	s.mu.Unlock()
	s.changed(arn)
}

// memberOf is the member that the socket still speaks for, or nil. The caller holds mu.
func (s *Server) memberOf(k *socket, arn stage.ARN, id stage.ParticipantID) *member {
	if r := s.rooms[arn]; r != nil {
		if m := r.members[id]; m != nil && m.socket == k {
			return m
		}
	}
	return nil
}

// forget takes a member off the stage. The caller holds mu.
func (s *Server) forget(arn stage.ARN, id stage.ParticipantID) {
	r := s.rooms[arn]
	if r == nil {
		return
	}
	if m := r.members[id]; m != nil {
		m.stop()
		delete(r.members, id)
	}
	if len(r.members) == 0 {
		delete(s.rooms, arn)
	}
}

func (r *room) joined(id stage.ParticipantID) bool { return r.members[id] != nil }

// Participants are all who are on the stage: those who joined, and those who have a session without having joined.
func (s *Server) Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error) {
	present, err := s.cfg.Media.Participants(ctx, arn)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[arn]
	if r == nil {
		return present, nil
	}
	return r.merge(present), nil
}

// merge adds the members to those with sessions. What a member says of itself is newer than what its sessions know: who
// muted a microphone goes on sending silence, and a token may have been exchanged since.
func (r *room) merge(sessions []stage.Presence) []stage.Presence {
	all := slices.Clone(sessions)
	seen := map[stage.ParticipantID]bool{}
	for i := range all {
		p := &all[i]
		seen[p.Participant.ID] = true
		if m := r.members[p.Participant.ID]; m != nil {
			m.speak(p)
		}
	}
	for id, m := range r.members {
		if !seen[id] {
			all = append(all, stage.Presence{Participant: m.participant, Since: m.since, AudioMuted: true, VideoMuted: true})
		}
	}
	stage.SortPresences(all)
	return all
}

func (m *member) speak(p *stage.Presence) {
	p.Participant = m.participant
	if m.since.Before(p.Since) {
		p.Since = m.since
	}
	if m.told && p.Publishing {
		p.AudioMuted, p.VideoMuted = m.audioMuted, m.videoStopped
	}
}

// Disconnect sends a participant away: a joined SDK is told why and leaves, sessions end. That the token opens nothing any
// more is for whoever admits tokens to see to.
func (s *Server) Disconnect(ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string) error {
	joined := s.sendAway(arn, id, disconnect("PARTICIPANT_DISCONNECTED", reason))
	err := s.cfg.Media.Disconnect(ctx, arn, id, reason)
	// The doors know those, too, who still negotiate.
	s.cfg.Doors.Close(id, "kicked", cmp.Or(reason, "An operator ended the session."))
	s.changed(arn)
	if joined {
		return nil
	}
	return err
}

// CloseStage sends everyone away because the stage is deleted.
func (s *Server) CloseStage(ctx context.Context, arn stage.ARN) error {
	present, err := s.Participants(ctx, arn)
	for _, p := range present {
		s.sendAway(arn, p.Participant.ID, disconnect("STAGE_DELETED", "The stage was deleted."))
		s.cfg.Doors.Close(p.Participant.ID, "stage_deleted", "The stage was deleted.")
	}
	s.changed(arn)
	return err
}

// sendAway says goodbye to a member and forgets it; it answers whether there was one.
func (s *Server) sendAway(arn stage.ARN, id stage.ParticipantID, goodbye []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[arn]
	if r == nil || r.members[id] == nil {
		return false
	}
	if k := r.members[id].socket; k != nil {
		k.send(goodbye)
		k.close()
	}
	s.forget(arn, id)
	return true
}

// tell hands the state of the stage to everyone who does not have it yet, and answers whether it is a new one.
func (s *Server) tell(ctx context.Context, arn stage.ARN) bool {
	present, err := s.cfg.Media.Participants(ctx, arn)
	if err != nil {
		s.cfg.Log.Error("who is on the stage?", "stage", arn, "err", err)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[arn]
	return r != nil && r.tell(r.merge(present), s.cfg.Features)
}

func (r *room) tell(present []stage.Presence, features []string) (news bool) {
	if state := stateOf(present, r.joined); state != r.state {
		r.state, news = state, true
		r.sequence++
	}
	if viewers := watching(present); viewers != r.viewers {
		r.viewers, news = viewers, true
		r.counts++
	}
	for _, m := range r.members {
		if k := m.socket; k != nil {
			k.show(r.sequence, func() []byte { return stageState(r.sequence, r.stateFor(m, present), features) })
			if m.participant.View == "" {
				k.count(r.counts, func() []byte { return subscriberCount(r.counts, r.viewers) })
			}
		}
	}
	return news
}

// stateFor is the state as a member may see it.
func (r *room) stateFor(m *member, present []stage.Presence) string {
	if m.participant.View == "" {
		return r.state
	}
	return stateOf(inView(m.participant, present), r.joined)
}
