package access

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// disconnectLimit is the time limit for disconnecting participants, which may continue after
	// the request has ended.
	disconnectLimit = time.Minute
	// fewParticipants is how many participants are disconnected without first reading who is
	// present. AWS accepts 5 requests per second.
	fewParticipants = 10
)

// sessions disconnects participants.
type sessions struct {
	moderator stage.Moderator
	log       *slog.Logger // may be nil
}

// endOne ends the sessions of a participant, even if the request ends first.
func (s *sessions) endOne(
	ctx context.Context, arn stage.ARN, id stage.ParticipantID, reason string,
) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectLimit)
	defer cancel()
	return s.moderator.Disconnect(ctx, arn, id, reason)
}

// endOrLog does what `end` does, for callers that succeed even if a session does not end.
func (s *sessions) endOrLog(ctx context.Context, revoked []Issuance, reason string) {
	if err := s.end(ctx, revoked, reason); err != nil && s.log != nil {
		s.log.WarnContext(ctx, "sessions of revoked tokens were not disconnected",
			"user", revoked[0].User, "err", err)
	}
}

// end ends the sessions of revoked tokens, after the commit. It tries all of them before it returns
// an error.
func (s *sessions) end(ctx context.Context, revoked []Issuance, reason string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), disconnectLimit)
	defer cancel()
	of := map[stage.ARN][]stage.ParticipantID{}
	for _, i := range revoked {
		of[i.Stage] = append(of[i.Stage], i.ID)
	}
	var failed []error
	for arn, ids := range of {
		for _, id := range s.present(ctx, arn, ids) {
			err := s.moderator.Disconnect(ctx, arn, id, reason)
			if err != nil && !errors.Is(err, stage.ErrNotFound) {
				failed = append(failed, fmt.Errorf("disconnect %s: %w", id, err))
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	return stage.Errorf(stage.ErrUnavailable,
		"It is done, but a running session could not be ended; try again.").
		WithCause(errors.Join(failed...))
}

// present returns the participants of a list who are on the stage. It returns the whole list if it
// is short, or if the stage does not answer.
func (s *sessions) present(
	ctx context.Context, arn stage.ARN, ids []stage.ParticipantID,
) []stage.ParticipantID {
	if len(ids) <= fewParticipants {
		return ids
	}
	there, err := s.moderator.Participants(ctx, arn)
	if err != nil {
		return ids
	}
	wanted := map[stage.ParticipantID]bool{}
	for _, id := range ids {
		wanted[id] = true
	}
	var present []stage.ParticipantID
	for _, p := range there {
		if wanted[p.Participant.ID] {
			present = append(present, p.Participant.ID)
		}
	}
	return present
}
