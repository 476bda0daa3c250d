package ivs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	looking = 15 * time.Second // how long a stage is polled after the last request for its presence
	// a stage that is polled only because of barred participants, and that no page watches, is
	// polled less often by this factor
	barredPolls = 5
	// the most participants whose events are read per poll, since ListParticipantEvents allows 5
	// calls a second for all stages together
	eventsPerLook = 5
)

// A watch is a stage that is polled, once for all pages that watch it.
type watch struct {
	arn stage.ARN

	mu        sync.Mutex
	looked    time.Time // when a page last requested the presence
	began     time.Time // when the latest poll began
	polled    time.Time // when the latest poll ended
	presences []stage.Presence
	err       error
	// participants who must not be on the stage, with the time until which they are barred
	barred map[stage.ParticipantID]time.Time

	// The running poll owns the following fields. Service.flights allows one poll of a stage at a
	// time.
	session string
	people  map[stage.ParticipantID]*person
}

// A person is what AWS has reported about a participant of the stage session, in several responses.
type person struct {
	participant stage.Participant
	joined      time.Time
	published   bool // has ever published; the API does not report more
	gone        int  // polls since AWS last listed the participant as connected
	asked       time.Time
}

// Participants returns the presence of a stage. It polls the stage if the last poll is older than
// Config.Poll.
func (s *Service) Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error) {
	if _, err := s.region(arn.Region()); err != nil {
		return nil, err
	}
	w := s.watch(arn)
	w.mu.Lock()
	w.looked = s.cfg.Now()
	fresh := s.cfg.Now().Sub(w.polled) < s.cfg.Poll
	presences, err := slices.Clone(w.presences), w.err
	w.mu.Unlock()
	if fresh {
		return presences, err
	}
	return s.look(ctx, w)
}

func (s *Service) watch(arn stage.ARN) *watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.watches[arn]
	if w == nil {
		w = &watch{
			arn: arn, barred: map[stage.ParticipantID]time.Time{},
			people: map[stage.ParticipantID]*person{},
		}
		s.watches[arn] = w
	}
	return w
}

// Disconnect disconnects a participant, and reports the end with its reason. AWS disconnects only
// participants who have been on the stage, and does not document whether it refuses their tokens
// afterwards. So the Service bars the participant, and each poll that finds the participant on the
// stage disconnects it again.
func (s *Service) Disconnect(
	ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	err := s.disconnectAs(ctx, arn, id, kicked(reason), true)
	if err == nil || errors.Is(err, stage.ErrNotFound) {
		s.bar(arn, id, s.cfg.Now().Add(stage.MaxTTL))
	}
	return err
}

// disconnectAs disconnects a participant, and reports the end with a reason. If `present` is false,
// it reports the end only if the participant is known to be connected.
func (s *Service) disconnectAs(
	ctx context.Context, arn stage.ARN, id stage.ParticipantID, why report, present bool,
) error {
	undo := s.tracker.disconnecting(arn, id, why)
	reason := passedReason{
		Stage: arn, Participant: id, Kind: why.kind, Code: why.code, Detail: why.detail,
	}
	s.passReason(reason)
	if err := s.disconnect(ctx, arn, id, why.detail); err != nil {
		if !errors.Is(err, stage.ErrNotFound) {
			undo()
			reason.Undone = true
			s.passReason(reason)
		}
		return err
	}
	s.tracker.disconnected(arn, id, present)
	return nil
}

// kicked returns the end of a kicked participant, in the same words as on a local stage.
func kicked(reason string) report {
	return report{stage.EventEnded, stage.CodeKicked, cmp.Or(reason, stage.NoReason)}
}

// revoked returns the end of a participant whose token was revoked, in the same words as on a local
// stage.
func revoked() report {
	return report{
		stage.EventEnded, "token_revoked",
		"The token was revoked, or the access to this stage was taken back.",
	}
}

// bar records that a participant must not be on a stage until a certain time. The stage is polled
// until then. In this package, a barred participant has a token that was revoked; the user may get
// a new one.
func (s *Service) bar(arn stage.ARN, id stage.ParticipantID, until time.Time) {
	w := s.watch(arn)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.barred[id] = until
}

// KeepOut disconnects participants whose tokens were revoked elsewhere: by a command, by another
// replica or during an earlier run. Run calls KeepOut every few seconds.
func (s *Service) KeepOut(ctx context.Context) {
	list, err := s.cfg.Barred(ctx)
	if err != nil {
		s.cfg.Log.WarnContext(ctx, "the list of barred participants cannot be read", "err", err)
		return
	}
	for _, p := range s.newlyBarred(list) {
		if s.keepOut(ctx, p) {
			s.mu.Lock()
			s.barred[p.ID] = true
			s.mu.Unlock()
		}
	}
}

// newlyBarred replaces the list of barred participants. It returns the participants whom AWS has
// not disconnected yet.
func (s *Service) newlyBarred(list []stage.Participant) (added []stage.Participant) {
	s.mu.Lock()
	defer s.mu.Unlock()
	done := s.barred
	s.barred = map[stage.ParticipantID]bool{}
	for _, p := range list {
		s.barred[p.ID] = done[p.ID]
		if !done[p.ID] && s.serves(p.Stage) {
			added = append(added, p)
		}
	}
	return added
}

// keepOut disconnects and bars a participant whose token was revoked. It reports whether that
// succeeded.
func (s *Service) keepOut(ctx context.Context, p stage.Participant) bool {
	// The participant may have left long ago. So the end is reported only for a known connection.
	err := s.disconnectAs(as(ctx, "revoked"), p.Stage, p.ID, revoked(), false)
	if err != nil && !unknownToAWS(err) {
		return false
	}
	s.bar(p.Stage, p.ID, p.ExpiresAt)
	return true
}

func (s *Service) disconnect(
	ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	client, err := s.region(arn.Region())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MaxWait)
	defer cancel()
	_, err = call(ctx, s, string(arn), client.DisconnectParticipant,
		&ivsrealtime.DisconnectParticipantInput{
			StageArn: aws.String(string(arn)), ParticipantId: aws.String(string(id)),
			Reason: aws.String(shorten(reason)),
		})
	if err != nil {
		return fmt.Errorf("disconnect %s from %s: %w", id, arn, err)
	}
	return nil
}

// shorten limits a reason to the 128 characters of the model.
func shorten(reason string) string {
	if runes := []rune(reason); len(runes) > 128 {
		return string(runes[:127]) + "…"
	}
	return reason
}

// Run polls the watched stages until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	var looks errgroup.Group
	if s.cfg.Barred != nil {
		looks.Go(func() error { return s.keepOutUntil(ctx) })
	}
	tick := time.NewTicker(s.cfg.Poll)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return looks.Wait()
		case <-tick.C:
			s.tracker.forget()
			due := s.due()
			if !s.cfg.Leads() {
				continue
			}
			for _, w := range due {
				looks.Go(func() error {
					s.look(ctx, w) // `look` stores its result and its error in w
					return nil
				})
			}
		}
	}
}

// keepOutUntil searches for new revocations until ctx ends.
func (s *Service) keepOutUntil(ctx context.Context) error {
	tick := time.NewTicker(barredPolls * s.cfg.Poll)
	defer tick.Stop()
	for {
		if s.cfg.Leads() {
			s.KeepOut(ctx)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// due lists the watches to poll now, and removes those that are no longer needed.
func (s *Service) due() []*watch {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*watch
	// Stages that are polled only because of barred participants take turns, so that together they
	// are polled at most once per Config.Poll.
	barredEvery := time.Duration(max(barredPolls, len(s.watches))) * s.cfg.Poll
	for arn, w := range s.watches {
		needed, due := w.needed(s.cfg.Now(), s.cfg.Poll, barredEvery)
		if !needed {
			delete(s.watches, arn)
		} else if due {
			list = append(list, w)
		}
	}
	return list
}

func (w *watch) needed(now time.Time, poll, barredEvery time.Duration) (needed, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.DeleteFunc(w.barred, func(_ stage.ParticipantID,
		until time.Time) bool {
		return now.After(until)
	})
	seen := now.Sub(w.looked) < looking
	wait := barredEvery
	if seen {
		wait = poll
	}
	// with a margin, since a poll begins slightly after its tick
	return seen || len(w.barred) > 0, now.Sub(w.began) >= wait-poll/2
}

// Sessions lists the latest stage sessions of a stage, newest first.
func (s *Service) Sessions(ctx context.Context, arn stage.ARN) ([]stage.StageSession, error) {
	client, err := s.region(arn.Region())
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.MaxWait)
	defer cancel()
	out, err := call(ctx, s, string(arn), client.ListStageSessions,
		&ivsrealtime.ListStageSessionsInput{StageArn: aws.String(string(arn))})
	if err != nil {
		return nil, fmt.Errorf("sessions of %s: %w", arn, err)
	}
	list := make([]stage.StageSession, len(out.StageSessions))
	for i, found := range out.StageSessions {
		list[i] = stage.StageSession{
			ID: aws.ToString(found.SessionId), Start: aws.ToTime(found.StartTime),
			End: aws.ToTime(found.EndTime),
		}
	}
	slices.SortFunc(list, func(a, b stage.StageSession) int { return b.Start.Compare(a.Start) })
	return list, nil
}
