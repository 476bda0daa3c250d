package ivs

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// look polls a stage, once for all concurrent callers.
func (s *Service) look(ctx context.Context, w *watch) ([]stage.Presence, error) {
	found, err, _ := s.flights.Do("look "+string(w.arn), func() (any, error) {
		bounded, cancel := context.WithTimeout(as(context.WithoutCancel(ctx), string(w.arn)),
			s.cfg.MaxWait)
		defer cancel()
		w.mu.Lock()
		w.began = s.cfg.Now()
		w.mu.Unlock()
		presences, err := s.ask(bounded, w)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.presences, w.err, w.polled = presences, err, s.cfg.Now()
		return presences, err
	})
	return slices.Clone(found.([]stage.Presence)), err
}

// ask requests the presence of a stage from AWS. Only `look` calls it, once at a time for each
// stage.
func (s *Service) ask(ctx context.Context, w *watch) ([]stage.Presence, error) {
	at, err := s.getStage(ctx, w.arn)
	if err != nil {
		return []stage.Presence{}, err
	}
	if session := aws.ToString(at.ActiveSessionId); session != w.session {
		s.readEvents(ctx, w) // reads the last events of the previous stage session
		w.session, w.people = session, map[stage.ParticipantID]*person{}
	}
	if w.session == "" {
		return []stage.Presence{}, nil
	}
	if err := s.listPeople(ctx, w); err != nil {
		return []stage.Presence{}, err
	}
	s.readEvents(ctx, w)
	return s.presences(w), nil
}

// listPeople lists the connected participants. It requests the attributes of new participants, and
// disconnects barred ones.
func (s *Service) listPeople(ctx context.Context, w *watch) error {
	client := s.regions[w.arn.Region()]
	for _, p := range w.people {
		p.gone++
	}
	in := &ivsrealtime.ListParticipantsInput{
		StageArn: aws.String(string(w.arn)), SessionId: &w.session, MaxResults: aws.Int32(100),
		FilterByState: types.ParticipantStateConnected,
	}
	for {
		out, err := call(ctx, s, string(w.arn), client.ListParticipants, in)
		if err != nil {
			return err
		}
		for _, listed := range out.Participants {
			if err := s.meet(ctx, w, listed); err != nil {
				return err
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			maps.DeleteFunc(w.people, func(_ stage.ParticipantID,
				p *person) bool {
				return p.gone > 2
			})
			return nil
		}
	}
}

func (s *Service) meet(ctx context.Context, w *watch, listed types.ParticipantSummary) error {
	id := stage.ParticipantID(aws.ToString(listed.ParticipantId))
	p := w.people[id]
	if p == nil {
		var err error
		if p, err = s.introduce(ctx, w, listed); err != nil {
			return err
		}
		w.people[id] = p
	}
	s.disconnectBarred(ctx, w, p)
	p.gone, p.published = 0, listed.Published
	return nil
}

// introduce requests the attributes of a participant. The list of participants that AWS returns has
// no attributes.
func (s *Service) introduce(
	ctx context.Context, w *watch, listed types.ParticipantSummary,
) (*person, error) {
	p := &person{
		participant: stage.Participant{
			ID: stage.ParticipantID(aws.ToString(listed.ParticipantId)), Stage: w.arn,
			UserID: aws.ToString(listed.UserId),
		},
		joined: aws.ToTime(listed.FirstJoinTime),
	}
	out, err := call(ctx, s, string(w.arn), s.regions[w.arn.Region()].GetParticipant,
		&ivsrealtime.GetParticipantInput{
			StageArn: aws.String(string(w.arn)), SessionId: &w.session,
			ParticipantId: listed.ParticipantId,
		})
	switch {
	case err != nil && !unknownToAWS(err):
		return nil, err
	case err == nil && out.Participant != nil:
		p.participant.Attributes = out.Participant.Attributes
	}
	return p, nil
}

// disconnectBarred disconnects a participant who is barred. It is called at every poll. AWS admits
// a token that was revoked before its first use. It does not document for how long it refuses a
// participant who was disconnected.
func (s *Service) disconnectBarred(ctx context.Context, w *watch, p *person) {
	if !s.isBarred(w, p.participant.ID) {
		return
	}
	if err := s.disconnectAs(ctx, w.arn, p.participant.ID, revoked(), true); err != nil &&
		!errors.Is(err, stage.ErrNotFound) {
		s.cfg.Log.WarnContext(ctx, "a barred participant is on the stage again", "participant",
			p.participant.ID, "stage", w.arn, "err", err)
	}
}

func (s *Service) isBarred(w *watch, id stage.ParticipantID) bool {
	s.mu.Lock()
	_, revoked := s.barred[id]
	s.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	_, awaited := w.barred[id]
	return revoked || awaited
}

// readEvents reads the events of a few participants: first of those who have left, then of those
// whose events were read longest ago.
func (s *Service) readEvents(ctx context.Context, w *watch) {
	list := slices.SortedFunc(maps.Values(w.people), func(a, b *person) int {
		return cmp.Or(cmp.Compare(b.gone, a.gone), a.asked.Compare(b.asked))
	})
	for _, p := range list[:min(len(list), eventsPerLook)] {
		p.asked = s.cfg.Now()
		err := s.readEventsOf(ctx, w, p)
		if err != nil && !unknownToAWS(err) {
			return // the next poll retries
		}
	}
}

// unknownToAWS reports whether an error means that AWS does not know a participant. The participant
// has left, or its ID contains "_", which tokens allow and these operations refuse.
func unknownToAWS(err error) bool {
	return errors.Is(err, stage.ErrNotFound) || errors.Is(err, stage.ErrInvalid)
}

// maxPages limits the pages of events that are read for one participant, who may join a thousand
// times.
const maxPages = 10

// readEventsOf reads the events of a participant and adds them in the order of their times, because
// AWS does not document their order.
func (s *Service) readEventsOf(ctx context.Context, w *watch, p *person) error {
	id := string(p.participant.ID)
	in := &ivsrealtime.ListParticipantEventsInput{
		StageArn: aws.String(string(w.arn)), SessionId: &w.session, ParticipantId: &id,
		MaxResults: aws.Int32(100),
	}
	var events []types.Event
	for range maxPages {
		out, err := call(ctx, s, string(w.arn), s.regions[w.arn.Region()].ListParticipantEvents, in)
		if err != nil {
			return err
		}
		events = append(events, out.Events...)
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
	}
	for _, event := range oldestFirst(events) {
		s.tracker.add(happening{
			stage: w.arn, participant: p.participant.ID, userID: p.participant.UserID,
			name: string(event.Name), code: string(event.ErrorCode),
			at: aws.ToTime(event.EventTime),
		})
	}
	return nil
}

// oldestFirst sorts events by time. If the list begins with the newest event, oldestFirst first
// reverses the list. Then events of the same millisecond, such as an error and the end that it
// caused, stay in their true order.
func oldestFirst(events []types.Event) []types.Event {
	at := func(i int) time.Time { return aws.ToTime(events[i].EventTime) }
	if n := len(events); n > 1 && at(0).After(at(n-1)) {
		slices.Reverse(events)
	}
	slices.SortStableFunc(events, func(a, b types.Event) int {
		return aws.ToTime(a.EventTime).Compare(aws.ToTime(b.EventTime))
	})
	return events
}

func (s *Service) presences(w *watch) []stage.Presence {
	list := []stage.Presence{}
	for id, p := range w.people {
		if p.gone > 0 {
			continue
		}
		live, known := s.tracker.publishing(w.arn, id)
		list = append(list, stage.Presence{
			Participant: p.participant, Since: p.joined, Publishing: live || !known && p.published,
		})
	}
	stage.SortPresences(list)
	return list
}
