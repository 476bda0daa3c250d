package sfu

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// mutedAfter is how long a kind of media must be silent to count as muted.
const mutedAfter = 3 * time.Second

// Participants implements stage.Moderator. It returns every participant with a session, publishers
// and viewers.
func (s *SFU) Participants(_ context.Context, arn stage.ARN) ([]stage.Presence, error) {
	now := s.cfg.Now()
	found := make(map[stage.ParticipantID]*stage.Presence)
	for _, p := range s.peersOn(arn) {
		seen := found[p.who.ID]
		if seen == nil {
			seen = &stage.Presence{
				Participant: p.who, Since: p.since, AudioMuted: true, VideoMuted: true,
			}
			found[p.who.ID] = seen
		}
		if p.since.Before(seen.Since) {
			seen.Since = p.since
		}
		if publisher, ok := p.role.(*publisher); ok {
			publisher.describe(seen, now)
		}
	}
	list := make([]stage.Presence, 0, len(found))
	for _, p := range found {
		list = append(list, *p)
	}
	stage.SortPresences(list)
	return list, nil
}

// Disconnect implements stage.Moderator.
func (s *SFU) Disconnect(
	_ context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	gone := false
	for _, p := range s.peersOn(arn) {
		if p.who.ID == id {
			p.end(stage.CodeKicked, cmp.Or(reason, stage.NoReason))
			gone = true
		}
	}
	if !gone {
		return stage.Errorf(stage.ErrNotFound, "This participant is not on the stage.").
			WithCode("not_found")
	}
	return nil
}

func (s *SFU) peersOn(arn stage.ARN) (list []*peer) {
	for _, p := range s.peers() {
		if p.who.Stage == arn {
			list = append(list, p)
		}
	}
	return list
}

func (p *publisher) describe(seen *stage.Presence, now time.Time) {
	p.pub.mu.Lock()
	defer p.pub.mu.Unlock()
	if p.pub.source != p {
		return
	}
	seen.Publishing = p.publishing
	if p.publishing {
		seen.Reception = p.reception(now)
	}
	seen.AudioMuted = !alive(p.audio, now)
	seen.VideoMuted = true
	for _, t := range p.layers {
		seen.VideoMuted = seen.VideoMuted && !alive(t, now)
	}
	seen.Stalled = p.publishing && seen.AudioMuted && seen.VideoMuted && p.sentBefore()
	for _, list := range p.pub.viewers {
		seen.Viewers += len(list)
	}
}

// sentBefore reports whether the publisher has ever sent media. The caller holds pub.mu.
func (p *publisher) sentBefore() bool {
	sent := func(t *track) bool { return t != nil && !t.receivedAt.IsZero() }
	return sent(p.audio) || slices.ContainsFunc(p.layers, sent)
}

func alive(t *track, now time.Time) bool { return t != nil && now.Sub(t.receivedAt) < mutedAfter }
