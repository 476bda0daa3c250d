package signal

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A room contains the joined participants of one stage. Server.mu guards it and all its fields.
type room struct {
	members  map[stage.ParticipantID]*member
	sequence int    // sequence number of the last state
	state    string // the participants in the last state
	counts   int    // sequence number of the last subscriber count
	viewers  int    // the last subscriber count
}

// A member is a participant who joined over a socket. After the socket is lost, the member stays
// for a while, so that the client can reconnect.
type member struct {
	participant stage.Participant
	bearer      stage.Secret
	since       time.Time
	socket      *socket     // nil while the socket is lost
	leave       *time.Timer // runs while the socket is lost

	muteKnown                bool // whether the client has reported which of its media are muted
	audioMuted, videoStopped bool
}

// stop stops the timer that a lost socket has started.
func (m *member) stop() {
	if m.leave != nil {
		m.leave.Stop()
		m.leave = nil
	}
}

// join adds a participant. If the token joins again over another socket, the earlier socket
// receives the reason and is closed.
func (s *Server) join(k *socket, p stage.Participant, bearer stage.Secret) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		return stage.Errorf(stage.ErrUnavailable, "The server is stopping: try again in a moment.").
			WithCode("shutdown")
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

// lost handles the end of a socket. If the client closed it on purpose, the participant has left.
// Otherwise the client may reconnect.
func (s *Server) lost(k *socket, arn stage.ARN, id stage.ParticipantID, onPurpose bool) {
	defer s.sockets.Done()
	s.mu.Lock()
	m := s.memberOf(k, arn, id)
	switch {
	case m == nil: // the member was replaced or disconnected
	case onPurpose || !s.running:
		s.forget(arn, id)
	default:
		m.socket = nil
		m.leave = time.AfterFunc(s.timing.grace, func() { s.expire(arn, id, m) })
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

// memberOf returns the member of a socket, or nil if another socket has replaced it. The caller
// holds mu.
func (s *Server) memberOf(k *socket, arn stage.ARN, id stage.ParticipantID) *member {
	if r := s.rooms[arn]; r != nil {
		if m := r.members[id]; m != nil && m.socket == k {
			return m
		}
	}
	return nil
}

// forget removes a member. The caller holds mu.
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

// Participants lists the participants who joined, and those who have a session without having
// joined.
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

// merge adds the members to the participants with sessions. The state of a member takes precedence
// over the state of its sessions, for two reasons: a muted microphone still sends silence, and the
// member's token may have been exchanged.
func (r *room) merge(sessions []stage.Presence) []stage.Presence {
	all := slices.Clone(sessions)
	seen := map[stage.ParticipantID]bool{}
	for i := range all {
		p := &all[i]
		seen[p.Participant.ID] = true
		if m := r.members[p.Participant.ID]; m != nil {
			m.overlay(p)
		}
	}
	for id, m := range r.members {
		if !seen[id] {
			all = append(all, stage.Presence{
				Participant: m.participant, Since: m.since, AudioMuted: true, VideoMuted: true,
			})
		}
	}
	stage.SortPresences(all)
	return all
}

// overlay replaces the fields of a session's presence for which the member has newer values.
func (m *member) overlay(p *stage.Presence) {
	p.Participant = m.participant
	if m.since.Before(p.Since) {
		p.Since = m.since
	}
	if m.muteKnown && p.Publishing {
		p.AudioMuted, p.VideoMuted = m.audioMuted, m.videoStopped
		p.Stalled = p.Stalled && !(m.audioMuted && m.videoStopped)
	}
}

// Disconnect disconnects a participant: its sessions end, and a joined SDK receives the reason. It
// does not revoke the token.
func (s *Server) Disconnect(
	ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	joined := s.remove(arn, id, disconnect("PARTICIPANT_DISCONNECTED", reason))
	err := s.cfg.Media.Disconnect(ctx, arn, id, reason)
	// This also ends sessions that are still being negotiated, which Media does not know yet.
	s.cfg.Sessions.Close(id, stage.CodeKicked, cmp.Or(reason, stage.NoReason))
	s.changed(arn)
	if joined {
		return nil
	}
	return err
}

// CloseStage disconnects all participants because the stage is deleted.
func (s *Server) CloseStage(ctx context.Context, arn stage.ARN) error {
	present, err := s.Participants(ctx, arn)
	for _, p := range present {
		s.remove(arn, p.Participant.ID, disconnect("STAGE_DELETED", "The stage was deleted."))
		s.cfg.Sessions.Close(p.Participant.ID, "stage_deleted", "The stage was deleted.")
	}
	s.changed(arn)
	return err
}

// remove sends a member a last message and removes it. It reports whether the member existed.
func (s *Server) remove(arn stage.ARN, id stage.ParticipantID, last []byte) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[arn]
	if r == nil || r.members[id] == nil {
		return false
	}
	if k := r.members[id].socket; k != nil {
		k.send(last)
		k.close()
	}
	s.forget(arn, id)
	return true
}

// sendState sends the state of a stage to the sockets that have not received it yet. It reports
// whether the state is new.
func (s *Server) sendState(ctx context.Context, arn stage.ARN) bool {
	present, err := s.cfg.Media.Participants(ctx, arn)
	if err != nil {
		s.cfg.Log.ErrorContext(ctx, "the participants of a stage cannot be read", "stage", arn,
			"err", err)
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.rooms[arn]
	return r != nil && r.send(r.merge(present))
}

func (r *room) send(present []stage.Presence) (news bool) {
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
			k.show(r.sequence, func() [][]byte {
				return stageState(r.sequence,
					r.stateFor(m, present))
			})
			if m.participant.View == "" {
				k.count(r.counts, func() []byte { return subscriberCount(r.counts, r.viewers) })
			}
		}
	}
	return news
}

// stateFor returns the state that a member may see. The token of a viewing key sees only its view.
func (r *room) stateFor(m *member, present []stage.Presence) string {
	if m.participant.View == "" {
		return r.state
	}
	return stateOf(inView(m.participant, present), r.joined)
}
