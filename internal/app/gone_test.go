package app_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/internal/apptest"
)

// join joins a stage on the events socket, as Amazon's web SDK does. The result `next` is a
// function that returns the next message.
func join(t *testing.T, events, token string) (next func() string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	conn, _, err := websocket.Dial(ctx, events,
		&websocket.DialOptions{Subprotocols: []string{token}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	next = func() string {
		t.Helper()
		_, text, err := conn.Read(ctx)
		if err != nil {
			t.Fatalf("the socket ended: %v", err)
		}
		return string(text)
	}
	next() // the confirmation that the participant has joined
	return next
}

// goodbye reads messages until one disconnects the participant.
func goodbye(t *testing.T, next func() string) {
	t.Helper()
	for {
		text := next()
		if strings.Contains(text, "DISCONNECT") {
			if !strings.Contains(text, "STAGE_DELETED") {
				t.Errorf("got %s, want STAGE_DELETED", text)
			}
			return
		}
	}
}

func TestWhoIsOnARemovedStageIsTold(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	next := join(t, "ws"+strings.TrimPrefix(a.URL, "http")+"/stage-events",
		olga.Token("view").Token)
	olga.Must(http.StatusNoContent, "DELETE", "/api/stages/"+url.PathEscape(olga.MainStage()), nil,
		nil)
	goodbye(t, next)
}

func TestWhoIsOnAStageDeletedAtTheEmulatorIsTold(t *testing.T) {
	t.Parallel()
	c := ivsrealtime.New(ivsrealtime.Options{
		Region: "us-west-2", BaseEndpoint: aws.String(apptest.Emulate(t)),
		Credentials: credentials.NewStaticCredentialsProvider(apptest.AccessKey, apptest.SecretKey,
			""),
	})
	made, err := c.CreateStage(t.Context(),
		&ivsrealtime.CreateStageInput{Name: aws.String("studio")})
	if err != nil {
		t.Fatal(err)
	}
	token, err := c.CreateParticipantToken(t.Context(),
		&ivsrealtime.CreateParticipantTokenInput{StageArn: made.Stage.Arn})
	if err != nil {
		t.Fatal(err)
	}
	next := join(t, *made.Stage.Endpoints.Events, *token.ParticipantToken.Token)
	if _, err := c.DeleteStage(t.Context(),
		&ivsrealtime.DeleteStageInput{Arn: made.Stage.Arn}); err != nil {
		t.Fatal(err)
	}
	goodbye(t, next)
}
