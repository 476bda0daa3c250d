package app_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/apptest/rtcpeer"
	"github.com/stagedoor/stagedoor/internal/web"
)

// TestAWSStageFromEndToEnd follows docs/ivs.md on the emulator: it adds a stage, publishes with a
// token of the API and with one of an own key, rotates the key, kicks a participant, and lists the
// stage sessions.
func TestAWSStageFromEndToEnd(t *testing.T) {
	t.Parallel()
	emulator := apptest.Emulate(t)
	a := apptest.Start(t, "--ivs-region", "us-west-2", "--ivs-endpoint", emulator)
	olga := a.Operator()

	t.Log("the operator makes a stage at AWS, and finds it in the list to choose from")
	var made web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages",
		web.NewStage{Name: "studio", Region: "us-west-2"}, &made)
	if made.Served != "aws" || !strings.HasPrefix(made.IssuedBy, "By the AWS API") {
		t.Errorf("the new stage: got %+v, want it on AWS, with tokens of the API", made)
	}
	var there web.AWSStages
	olga.Must(http.StatusOK, "GET", "/api/aws/stages", nil, &there)
	if len(there.Stages) != 1 || !there.Stages[0].Added || there.Stages[0].ARN != made.ARN {
		t.Errorf("the stages at AWS: got %+v, want the new one, marked as added", there)
	}
	var unnamed web.Stage
	olga.Must(http.StatusCreated, "POST", "/api/stages", web.NewStage{Region: "us-west-2"},
		&unnamed)
	if unnamed.Name != unnamed.ARN.ID() {
		t.Errorf("a stage without a name: got %q, want the one that lists show", unnamed.Name)
	}
	olga.Refused(http.StatusConflict, "conflict", "POST", "/api/stages",
		web.NewStage{ARN: made.ARN})
	for _, wrong := range []web.NewStage{{ARN: "arn:aws:ivs:local:000000000000:stage/x"},
		{Name: "x", Region: "local"}, {ARN: "arn:aws:ivs:mars-north-1:123456789012:stage/x"}} {
		if p := olga.Refused(http.StatusBadRequest, "invalid", "POST", "/api/stages",
			wrong); strings.Contains(p.Detail, "--ivs-region") {
			t.Errorf("%+v: got the advice %q, which helps nobody", wrong, p.Detail)
		}
	}
	olga.Refused(http.StatusNotFound, "stage_gone", "POST", "/api/stages",
		web.NewStage{ARN: "arn:aws:ivs:us-west-2:123456789012:stage/nowhere"})

	t.Log("ana goes live with a token of the API")
	ana := a.Broadcaster(olga, "ana", "publish", "subscribe")
	grant := "/api/users/" + string(ana.Me().ID) + "/grants/" + url.PathEscape(string(made.ARN))
	olga.Must(http.StatusNoContent, "PUT", grant,
		web.GrantRequest{Capabilities: []string{"publish", "subscribe"}}, nil)
	dock := ana.Events()
	byAPI := awsToken(t, ana, made)
	first, err := rtcpeer.Publish(t, rtcpeer.HTTP(byAPI.Endpoint, byAPI.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	apptest.Await(dock, "stage", of(byAPI, "publishing"))

	t.Log("the operator makes an own key; the next token is signed here, and IVS lets it in")
	keyFlags := []string{"--region", "us-west-2", "--data", a.Data, "--ivs-endpoint", emulator}
	if out, err := run(t, append([]string{"keys", "create"}, keyFlags...)...); err != nil {
		t.Fatalf("keys create: %v %s", err, out)
	}
	signed := awsToken(t, ana, made)
	second, err := rtcpeer.Publish(t, rtcpeer.HTTP(signed.Endpoint, signed.Token),
		rtcpeer.PublishOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var tokens web.Tokens
	olga.Must(http.StatusOK, "GET", "/api/tokens?all=1", nil, &tokens)
	if by := tokens.Tokens[0].IssuedBy; !strings.HasPrefix(by, "own key arn:aws:ivs:us-west-2:") {
		t.Errorf("the second token was issued by %q, want the own key", by)
	}

	t.Log("the key is rotated while both broadcasts run, and both go on")
	if out, err := run(t, append([]string{"keys", "rotate"}, keyFlags...)...); err != nil {
		t.Fatalf("keys rotate: %v %s", err, out)
	}
	rotated := awsToken(t, ana, made)
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(rotated.Endpoint, rotated.Token),
		rtcpeer.PublishOptions{}); err != nil {
		t.Errorf("a token of the new key: %v", err)
	}
	select {
	case <-first.Closed():
		t.Error("the broadcast with the API's token broke")
	case <-second.Closed():
		t.Error("the broadcast with the old key's token broke")
	default:
	}
	if out, err := run(t, "keys", "list", "--data", a.Data); err != nil ||
		strings.Count(out, "arn:aws:ivs:us-west-2:") != 2 {
		t.Errorf("keys list: got %v %s, want both keys until the last token of the old one "+
			"has ended", err, out)
	}

	t.Log("the operator kicks ana: her session ends, her dock is told why, and the token is barred")
	olga.Must(http.StatusNoContent, "DELETE",
		"/api/stages/"+url.PathEscape(string(made.ARN))+"/participants/"+
			string(byAPI.ParticipantID), web.Removal{Reason: "Your sound is off."}, nil)
	<-first.Closed()
	if end := apptest.Await(dock, "stage", of(byAPI, "ended")); end.Code != "kicked" ||
		end.Detail != "Your sound is off." {
		t.Errorf("the dock was told %+v, want that she was kicked and why", end)
	}
	if _, err := rtcpeer.Publish(t, rtcpeer.HTTP(byAPI.Endpoint, byAPI.Token),
		rtcpeer.PublishOptions{}); err == nil {
		t.Error("the kicked participant came back")
	}

	t.Log("the operator sees that there is a session on the stage; a local stage keeps none")
	sessions := "/api/stages/" + url.PathEscape(string(made.ARN)) + "/sessions"
	var kept web.StageSessions
	olga.Must(http.StatusOK, "GET", sessions, nil, &kept)
	if len(kept.Sessions) != 1 || kept.Sessions[0].EndedAt != nil {
		t.Errorf("sessions: got %+v, want the one that goes on", kept.Sessions)
	}
	ana.Refused(http.StatusForbidden, "denied", "GET", sessions, nil)
	olga.Refused(http.StatusNotFound, "not_found", "GET",
		"/api/stages/"+url.PathEscape(olga.MainStage())+"/sessions", nil)
}

func awsToken(t *testing.T, c *apptest.Client, st web.Stage) (token web.Token) {
	t.Helper()
	c.Must(http.StatusCreated, "POST", "/api/tokens",
		map[string]any{"stage": st.ARN, "for": "publish"}, &token)
	return token
}

// TestStagesOfARegionThatCannotBeListed: if AWS refuses to list the stages of a region, the request
// succeeds nevertheless, and the response has the reason for each region.
func TestStagesOfARegionThatCannotBeListed(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--ivs-region", "us-west-2", "--ivs-region", "eu-west-1",
		"--ivs-endpoint", apptest.Emulate(t, "--faults", "ListStages=expired-key"))
	olga := a.Operator()
	var there web.AWSStages
	olga.Must(http.StatusOK, "GET", "/api/aws/stages", nil, &there)
	if len(there.Regions) != 2 || len(there.Troubles) != 2 ||
		!strings.Contains(there.Troubles[0].Trouble, "have expired") ||
		there.Troubles[0].Code != "aws_credentials" {
		t.Errorf("got %+v, want both regions and why they cannot be listed", there)
	}
}

func TestStagesOfAWSNeedARegion(t *testing.T) {
	t.Parallel()
	olga := apptest.Start(t).Operator()
	olga.Refused(http.StatusServiceUnavailable, "unavailable", "POST", "/api/stages",
		web.NewStage{Name: "studio", Region: "us-west-2"})
	if got := refused(t, "--data", t.TempDir(), "--ivs-region",
		"mars-north-1"); !strings.Contains(got, "us-west-2") {
		t.Errorf("a region that is none: got %q, want those that are", got)
	}
}

// TestKeysSayOnceWhatWentWrong: the keys commands report a failure once, in one sentence. Only
// --log-level debug also prints the error of AWS.
func TestKeysSayOnceWhatWentWrong(t *testing.T) {
	t.Parallel()
	emulator := apptest.Emulate(t, "--faults", "ListPublicKeys=expired-key")
	flags := []string{"keys", "create", "--region", "us-west-2", "--data", t.TempDir(),
		"--ivs-endpoint", emulator}
	out, err := run(t, flags...)
	if err == nil || !strings.Contains(err.Error(), "have expired") ||
		strings.Contains(err.Error(), "operation error") || out != "" {
		t.Errorf("got %v, and %q before it; want the sentence alone", err, out)
	}
	if out, err := run(t, append(flags, "--log-level", "debug")...); err == nil ||
		!strings.Contains(out, "operation error") {
		t.Errorf("--log-level debug: got %v, and %q before it; want also what AWS said", err, out)
	}
	flags[len(flags)-1] = strings.TrimPrefix(emulator, "http://")
	if _, err := run(t, flags...); err == nil ||
		!strings.Contains(err.Error(), "--ivs-endpoint must be a URL") {
		t.Errorf("an endpoint without http: got %v, want that it must be a URL", err)
	}
}

// TestARuleMakesStagesAtAWS: a rule creates an AWS stage for each user, who gets tokens for it.
func TestARuleMakesStagesAtAWS(t *testing.T) {
	t.Parallel()
	emulator := apptest.Emulate(t)
	a := apptest.Start(t, "--ivs-region", "us-west-2", "--ivs-endpoint", emulator)
	olga := a.Operator()
	ana := a.Broadcaster(olga, "ana", "publish")
	dock := ana.Events()
	olga.Must(http.StatusCreated, "POST", "/api/v1/rules",
		web.V1Rule{OwnStage: "{name}", Region: "us-west-2", Capabilities: []string{"publish"}}, nil)
	me := apptest.Await(dock, "me", func(me web.Me) bool { return len(me.Stages) == 2 })
	own := me.Stages[slices.IndexFunc(me.Stages, func(s web.MyStage) bool {
		return s.Served == "aws"
	})]
	if own.Name != "ana" {
		t.Errorf("the stage is %+v", own)
	}
	ana.Must(http.StatusCreated, "POST", "/api/tokens", web.TokenRequest{Stage: own.ARN}, nil)
	var there web.AWSStages
	olga.Must(http.StatusOK, "GET", "/api/aws/stages", nil, &there)
	var names []string
	for _, s := range there.Stages {
		if s.Added {
			names = append(names, s.Name)
		}
	}
	if !slices.Contains(names, "ana") {
		t.Errorf("AWS has %v", there.Stages)
	}
}
