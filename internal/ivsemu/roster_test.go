package ivsemu_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A roster replaces the events socket: it has a list of participants who have joined.
type roster struct {
	mu   sync.Mutex
	list []stage.Presence
}

func (r *roster) Participants(context.Context, stage.ARN) ([]stage.Presence, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list, nil
}

func (r *roster) Disconnect(context.Context, stage.ARN, stage.ParticipantID, string) error {
	return nil
}

func (r *roster) set(list ...stage.Presence) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = list
}

func TestWhoJoinsOverTheSocketIsAParticipant(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	r := &roster{}
	e.Roster = r
	c := client(base, "us-west-2")
	s := newStage(t, c, "main")
	arn := stage.ARN(*s.Arn)
	r.set(stage.Presence{Participant: stage.Participant{ID: "guest", Stage: arn, UserID: "g"}})
	e.Changed(arn)
	session := func(over bool) *types.StageSessionSummary {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(
			5 * time.Millisecond) {
			out, err := c.ListStageSessions(t.Context(), &ivsrealtime.ListStageSessionsInput{
				StageArn: s.Arn,
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(out.StageSessions) == 1 && (out.StageSessions[0].EndTime != nil) == over {
				return &out.StageSessions[0]
			}
		}
		t.Fatalf("no session that is over: %v", over)
		return nil
	}
	began := session(false)
	out, err := c.ListParticipants(t.Context(), &ivsrealtime.ListParticipantsInput{
		StageArn: s.Arn, SessionId: began.SessionId,
	})
	if err != nil || len(out.Participants) != 1 || *out.Participants[0].UserId != "g" ||
		out.Participants[0].State != types.ParticipantStateConnected {
		t.Errorf("ListParticipants: got %+v, %v; want the guest", out, err)
	}
	r.set()
	e.Changed(arn)
	session(true)
}
