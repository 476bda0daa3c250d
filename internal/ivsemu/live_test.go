package ivsemu_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
)

func apiToken(t *testing.T, c *ivsrealtime.Client, s *types.Stage) *types.ParticipantToken {
	t.Helper()
	out, err := c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
		StageArn: s.Arn,
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.ParticipantToken
}

func TestAViewerSeesThePublisherAndBothAreRecorded(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	withMedia(t, e)
	c := client(base, "us-west-2")
	s := newStage(t, c, "main")
	ana, bob := apiToken(t, c, s), apiToken(t, c, s)
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(e.WHIPEndpoint(), *ana.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	viewer, err := rtcpeer.View(t, rtcpeer.HTTP(*s.Endpoints.Whip+"/subscribe/"+*ana.ParticipantId,
		*bob.Token), rtcpeer.ViewOptions{})
	if err != nil {
		t.Fatal(err)
	}
	within, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := viewer.WaitFrames(within, 30); err != nil {
		t.Errorf("30 frames: got %v, want nil", err)
	}
	session := activeSession(t, c, s)
	if got := eventNames(t, c, s, session, bob); got != "SUBSCRIBE_STARTED JOINED" {
		t.Errorf("the viewer's events: got %s, want SUBSCRIBE_STARTED JOINED", got)
	}
	if got := eventNames(t, c, s, session, ana); got != "PUBLISH_STARTED JOINED" {
		t.Errorf("the publisher's events: got %s, want PUBLISH_STARTED JOINED", got)
	}
	played, err := c.GetStageSession(t.Context(), &ivsrealtime.GetStageSessionInput{
		StageArn: s.Arn, SessionId: &session,
	})
	if err != nil || played.StageSession.StartTime == nil || played.StageSession.EndTime != nil {
		t.Errorf("GetStageSession: got %+v, %v; want one that goes on", played, err)
	}
	replicas, err := c.ListParticipantReplicas(t.Context(),
		&ivsrealtime.ListParticipantReplicasInput{
			SourceStageArn: s.Arn, ParticipantId: ana.ParticipantId,
		})
	if err != nil || len(replicas.Replicas) != 0 {
		t.Errorf("ListParticipantReplicas: got %+v, %v; want none", replicas, err)
	}
	// DeleteStage disconnects the viewer, too.
	if _, err := c.DeleteStage(t.Context(), &ivsrealtime.DeleteStageInput{Arn: s.Arn}); err != nil {
		t.Fatal(err)
	}
	select {
	case <-viewer.Closed():
	case <-within.Done():
		t.Error("the viewer is still there, want it sent away")
	}
}

func activeSession(t *testing.T, c *ivsrealtime.Client, s *types.Stage) string {
	t.Helper()
	out, err := c.GetStage(t.Context(), &ivsrealtime.GetStageInput{Arn: s.Arn})
	if err != nil || out.Stage.ActiveSessionId == nil {
		t.Fatalf("GetStage: got %+v, %v; want an active session", out, err)
	}
	if id := *out.Stage.ActiveSessionId; len(id) != 16 || !strings.HasPrefix(id, "st-") {
		t.Errorf("session: got %q, want 16 characters that begin with st-", id)
	}
	return *out.Stage.ActiveSessionId
}

func eventNames(
	t *testing.T, c *ivsrealtime.Client, s *types.Stage, session string, p *types.ParticipantToken,
) string {
	t.Helper()
	out, err := c.ListParticipantEvents(t.Context(), &ivsrealtime.ListParticipantEventsInput{
		StageArn: s.Arn, SessionId: &session, ParticipantId: p.ParticipantId,
	})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, event := range out.Events {
		names = append(names, string(event.Name))
	}
	return strings.Join(names, " ")
}

func TestATokenForWatchingCannotPublishAndThatIsRecorded(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	withMedia(t, e)
	c := client(base, "us-west-2")
	s := newStage(t, c, "main")
	out, err := c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
		StageArn: s.Arn, Capabilities: []types.ParticipantTokenCapability{
			types.ParticipantTokenCapabilitySubscribe,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	var refused *rtcpeer.StatusError
	_, err = rtcpeer.Publish(t, rtcpeer.HTTP(e.WHIPEndpoint(), *out.ParticipantToken.Token),
		rtcpeer.PublishOptions{})
	if !errors.As(err, &refused) || refused.Status != http.StatusForbidden {
		t.Fatalf("publish: got %v, want 403", err)
	}
	sessions, err := c.ListStageSessions(t.Context(), &ivsrealtime.ListStageSessionsInput{
		StageArn: s.Arn,
	})
	if err != nil || len(sessions.StageSessions) != 1 {
		t.Fatalf("sessions: got %+v, %v; want one", sessions, err)
	}
	events, err := c.ListParticipantEvents(t.Context(), &ivsrealtime.ListParticipantEventsInput{
		StageArn: s.Arn, SessionId: sessions.StageSessions[0].SessionId,
		ParticipantId: out.ParticipantToken.ParticipantId,
	})
	if err != nil || len(events.Events) != 3 ||
		events.Events[1].ErrorCode != types.EventErrorCodeInsufficientCapabilities {
		t.Errorf("events: got %+v, %v; want a PUBLISH_ERROR for want of the capability",
			events, err)
	}
}
