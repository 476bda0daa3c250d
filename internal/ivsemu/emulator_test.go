package ivsemu_test

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/aws/smithy-go"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeivs"
	"github.com/stagedoor/stagedoor/internal/ivsemu"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	accessKey = fakeivs.AccessKey
	secretKey = fakeivs.SecretKey
)

// client returns the stock client of AWS with the emulator's endpoint.
func client(base, region string) *ivsrealtime.Client {
	return ivsrealtime.New(ivsrealtime.Options{
		Region:       region,
		BaseEndpoint: &base,
		Credentials:  credentials.NewStaticCredentialsProvider(accessKey, secretKey, ""),
		Retryer:      aws.NopRetryer{},
	})
}

func newStage(t testing.TB, c *ivsrealtime.Client, name string) *types.Stage {
	t.Helper()
	out, err := c.CreateStage(t.Context(), &ivsrealtime.CreateStageInput{Name: &name})
	if err != nil {
		t.Fatalf("CreateStage: got %v, want nil", err)
	}
	return out.Stage
}

// code returns the type of an error, as the SDK reports it, and its HTTP status.
func code(err error) (string, int) {
	var api smithy.APIError
	var response interface{ HTTPStatusCode() int }
	if !errors.As(err, &api) || !errors.As(err, &response) {
		return "", 0
	}
	return api.ErrorCode(), response.HTTPStatusCode()
}

func wantError(t *testing.T, what string, err error, wantCode string, wantStatus int) {
	t.Helper()
	if gotCode, gotStatus := code(err); gotCode != wantCode || gotStatus != wantStatus {
		t.Errorf("%s: got %s with %d (%v), want %s with %d", what, gotCode, gotStatus, err,
			wantCode, wantStatus)
	}
}

func TestStagesLiveInTheirRegion(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	oregon, ireland := client(base, "us-west-2"), client(base, "eu-west-1")
	made := newStage(t, oregon, "main")
	if !strings.HasPrefix(*made.Arn, "arn:aws:ivs:us-west-2:123456789012:stage/") {
		t.Errorf("arn: got %s, want one of us-west-2", *made.Arn)
	}
	got, err := oregon.GetStage(t.Context(), &ivsrealtime.GetStageInput{Arn: made.Arn})
	if err != nil || *got.Stage.Name != "main" ||
		*got.Stage.Endpoints.Whip != *made.Endpoints.Whip {
		t.Errorf("GetStage: got %+v, %v; want what CreateStage answered", got, err)
	}
	_, err = ireland.GetStage(t.Context(), &ivsrealtime.GetStageInput{Arn: made.Arn})
	wantError(t, "GetStage elsewhere", err, "ResourceNotFoundException", 404)

	name := "renamed"
	if _, err := oregon.UpdateStage(t.Context(), &ivsrealtime.UpdateStageInput{Arn: made.Arn,
		Name: &name}); err != nil {
		t.Errorf("UpdateStage: got %v, want nil", err)
	}
	list, err := oregon.ListStages(t.Context(), &ivsrealtime.ListStagesInput{})
	if err != nil || len(list.Stages) != 1 || *list.Stages[0].Name != name {
		t.Errorf("ListStages: got %+v, %v; want the renamed stage", list, err)
	}
	if _, err := oregon.DeleteStage(t.Context(),
		&ivsrealtime.DeleteStageInput{Arn: made.Arn}); err != nil {
		t.Errorf("DeleteStage: got %v, want nil", err)
	}
	_, err = oregon.DeleteStage(t.Context(), &ivsrealtime.DeleteStageInput{Arn: made.Arn})
	wantError(t, "DeleteStage again", err, "ResourceNotFoundException", 404)
}

func TestPagesNeitherRepeatNorHide(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	var arns []string
	for range 7 {
		arns = append(arns, *newStage(t, c, "s").Arn)
	}
	two := int32(2)
	first, err := c.ListStages(t.Context(), &ivsrealtime.ListStagesInput{MaxResults: &two})
	if err != nil || first.NextToken == nil {
		t.Fatalf("first page: got %+v, %v; want a nextToken", first, err)
	}
	// The stage at which the first page ended is deleted before the second page is requested.
	if _, err := c.DeleteStage(t.Context(),
		&ivsrealtime.DeleteStageInput{Arn: &arns[1]}); err != nil {
		t.Fatal(err)
	}
	got := []string{*first.Stages[0].Arn, *first.Stages[1].Arn}
	for next := first.NextToken; next != nil; {
		more, err := c.ListStages(t.Context(), &ivsrealtime.ListStagesInput{
			MaxResults: &two, NextToken: next,
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range more.Stages {
			got = append(got, *s.Arn)
		}
		next = more.NextToken
	}
	if strings.Join(got, " ") != strings.Join(arns, " ") {
		t.Errorf("pages: got %v, want %v", got, arns)
	}
	_, err = c.ListPublicKeys(t.Context(), &ivsrealtime.ListPublicKeysInput{
		NextToken: first.NextToken,
	})
	wantError(t, "the token of another list", err, "ValidationException", 400)
}

func TestTokensHaveWhatTheRequestSays(t *testing.T) {
	t.Parallel()
	e, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	s := newStage(t, c, "main")
	minutes := int32(15)
	out, err := c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
		StageArn: s.Arn, Duration: &minutes, UserId: aws.String("u"), Attributes: map[string]string{
			"name": "Ana",
		},
		Capabilities: []types.ParticipantTokenCapability{types.ParticipantTokenCapabilityPublish},
	})
	if err != nil {
		t.Fatalf("CreateParticipantToken: got %v, want nil", err)
	}
	made := out.ParticipantToken
	p, err := e.Verifier().Verify(t.Context(), stage.NewSecret(*made.Token))
	if err != nil || string(p.ID) != *made.ParticipantId || p.UserID != "u" ||
		p.Capabilities != stage.Publish || p.Attributes["name"] != "Ana" {
		t.Errorf("the token speaks for %+v, %v; want what was asked for", p, err)
	}
	if life := time.Until(*made.ExpirationTime); life < 14*time.Minute || life > 15*time.Minute {
		t.Errorf("life: got %v, want 15 minutes", life)
	}
	if !p.ExpiresAt.Equal(*made.ExpirationTime) {
		t.Errorf("expirationTime: got %v, want that of the token, %v",
			made.ExpirationTime, p.ExpiresAt)
	}
}

func TestValidationSaysEverythingThatIsWrong(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	s := newStage(t, c, "main")
	long := int32(20161)
	_, err := c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
		StageArn: s.Arn, Duration: &long, UserId: aws.String(strings.Repeat("ü", 129)),
	})
	wantError(t, "two mistakes", err, "ValidationException", 400)
	var invalid *types.ValidationException
	if !errors.As(err, &invalid) || !strings.HasPrefix(aws.ToString(invalid.ExceptionMessage),
		"2 validation errors detected: ") {
		t.Errorf("message: got %v, want both mistakes in exceptionMessage",
			aws.ToString(invalid.ExceptionMessage))
	}
	if _, err = c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
		StageArn: s.Arn, UserId: aws.String(strings.Repeat("ü", 128)),
		Attributes: map[string]string{
			"k": strings.Repeat("x", 1023),
		},
	}); err != nil {
		t.Errorf("the longest that is allowed: got %v, want nil", err)
	}
	for what, in := range map[string]*ivsrealtime.CreateStageInput{
		"a name with a space": {Name: aws.String("a b")},
		"a name of 129":       {Name: aws.String(strings.Repeat("a", 129))},
		"an empty tag key":    {Tags: map[string]string{"": "v"}},
		"a reserved tag":      {Tags: map[string]string{"aws:x": "v"}},
		"13 tokens": {ParticipantTokenConfigurations: make(
			[]types.ParticipantTokenConfiguration, 13)},
		"1025 bytes": {ParticipantTokenConfigurations: []types.ParticipantTokenConfiguration{
			{Attributes: map[string]string{"k": strings.Repeat(
				"x", 1024)}}}},
		"an unknown capability": {
			ParticipantTokenConfigurations: []types.ParticipantTokenConfiguration{
				{Capabilities: []types.ParticipantTokenCapability{"ADMIN"}}}},
		"recording without where": {
			AutoParticipantRecordingConfiguration: &types.AutoParticipantRecordingConfiguration{
				StorageConfigurationArn: aws.String(
					"nowhere")}},
	} {
		_, err := c.CreateStage(t.Context(), in)
		wantError(t, what, err, "ValidationException", 400)
	}
}

func TestSignaturesAreChecked(t *testing.T) {
	t.Parallel()
	clock := time.Now
	_, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) {
		cfg.Now = func() time.Time { return clock() }
	})
	list := func(change func(*ivsrealtime.Options)) error {
		o := client(base, "us-west-2").Options()
		change(&o)
		_, err := ivsrealtime.New(o).ListStages(t.Context(), &ivsrealtime.ListStagesInput{})
		return err
	}
	key := func(id, secret string) func(*ivsrealtime.Options) {
		return func(o *ivsrealtime.Options) {
			o.Credentials = credentials.NewStaticCredentialsProvider(
				id, secret, "")
		}
	}
	if err := list(func(*ivsrealtime.Options) {}); err != nil {
		t.Errorf("the right key: got %v, want nil", err)
	}
	wantError(t, "a wrong secret", list(key(accessKey, "wrong")), "InvalidSignatureException", 403)
	wantError(t, "an unknown key", list(key("AKIDOTHER", secretKey)),
		"UnrecognizedClientException", 403)
	wantError(t, "a region without stages", list(
		func(o *ivsrealtime.Options) { o.Region = "eu-west-2" }), "InvalidSignatureException", 403)
	answer, err := http.Post(base+"/ListStages", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if got := answer.Header.Get("X-Amzn-Errortype"); answer.StatusCode != 403 ||
		got != "MissingAuthenticationTokenException" {
		t.Errorf("no signature: got %d %s, want 403 MissingAuthenticationTokenException",
			answer.StatusCode, got)
	}
}

func TestOldSignaturesAreRefused(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) {
		cfg.Now = func() time.Time { return time.Now().Add(5*time.Minute + time.Second) }
	})
	_, err := client(base, "us-west-2").ListStages(t.Context(), &ivsrealtime.ListStagesInput{})
	wantError(t, "five minutes ago", err, "InvalidSignatureException", 403)
}

func TestTagsOfEveryKindOfResource(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	ingest, err := c.CreateIngestConfiguration(t.Context(),
		&ivsrealtime.CreateIngestConfigurationInput{IngestProtocol: types.IngestProtocolRtmps})
	if err != nil {
		t.Fatal(err)
	}
	for _, arn := range []*string{newStage(t, c, "main").Arn, importKey(t, c).Arn,
		ingest.IngestConfiguration.Arn} {
		if _, err := c.TagResource(t.Context(), &ivsrealtime.TagResourceInput{ResourceArn: arn,
			Tags: map[string]string{"a": "1", "b c": "2", "d/e?": "3"}}); err != nil {
			t.Errorf("TagResource %s: got %v, want nil", *arn, err)
		}
		if _, err := c.UntagResource(t.Context(), &ivsrealtime.UntagResourceInput{ResourceArn: arn,
			TagKeys: []string{"b c", "d/e?"}}); err != nil {
			t.Errorf("UntagResource %s: got %v, want nil", *arn, err)
		}
		got, err := c.ListTagsForResource(t.Context(), &ivsrealtime.ListTagsForResourceInput{
			ResourceArn: arn,
		})
		if err != nil || len(got.Tags) != 1 || got.Tags["a"] != "1" {
			t.Errorf("ListTagsForResource %s: got %v, %v; want a=1", *arn, got, err)
		}
	}
	gone := "arn:aws:ivs:us-west-2:123456789012:stage/nobody"
	_, err = c.ListTagsForResource(t.Context(), &ivsrealtime.ListTagsForResourceInput{
		ResourceArn: &gone,
	})
	wantError(t, "tags of nothing", err, "ResourceNotFoundException", 404)
}

func TestIngestConfigurationsFollowTheirStage(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	s := newStage(t, c, "main")
	_, err := c.CreateIngestConfiguration(t.Context(), &ivsrealtime.CreateIngestConfigurationInput{
		IngestProtocol: types.IngestProtocolRtmp,
	})
	wantError(t, "RTMP without insecureIngest", err, "ValidationException", 400)
	made, err := c.CreateIngestConfiguration(t.Context(),
		&ivsrealtime.CreateIngestConfigurationInput{
			IngestProtocol: types.IngestProtocolRtmp, InsecureIngest: true, StageArn: s.Arn,
		})
	if err != nil || !strings.HasPrefix(*made.IngestConfiguration.StreamKey,
		"rt_123456789012_us-west-2_") {
		t.Fatalf("CreateIngestConfiguration: got %+v, %v; want a stream key", made, err)
	}
	listed, err := c.ListIngestConfigurations(t.Context(),
		&ivsrealtime.ListIngestConfigurationsInput{FilterByStageArn: s.Arn})
	if err != nil || len(listed.IngestConfigurations) != 1 {
		t.Errorf("ListIngestConfigurations: got %+v, %v; want one", listed, err)
	}
	if _, err := c.DeleteStage(t.Context(), &ivsrealtime.DeleteStageInput{Arn: s.Arn}); err != nil {
		t.Fatal(err)
	}
	got, err := c.GetIngestConfiguration(t.Context(), &ivsrealtime.GetIngestConfigurationInput{
		Arn: made.IngestConfiguration.Arn,
	})
	if err != nil || *got.IngestConfiguration.StageArn != "" {
		t.Errorf("its stage is gone: got %+v, %v; want stageArn \"\"", got, err)
	}
	other := newStage(t, c, "other")
	if _, err := c.UpdateIngestConfiguration(t.Context(),
		&ivsrealtime.UpdateIngestConfigurationInput{Arn: made.IngestConfiguration.Arn,
			StageArn: other.Arn}); err != nil {
		t.Errorf("UpdateIngestConfiguration: got %v, want nil", err)
	}
	if _, err := c.DeleteIngestConfiguration(t.Context(),
		&ivsrealtime.DeleteIngestConfigurationInput{
			Arn: made.IngestConfiguration.Arn}); err != nil {
		t.Errorf("DeleteIngestConfiguration: got %v, want nil", err)
	}
}

func TestQuotasThrottle(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) { cfg.Quotas = true })
	c := client(base, "us-west-2")
	var err error
	for range 20 {
		if _, err = c.ListPublicKeys(t.Context(), &ivsrealtime.ListPublicKeysInput{}); err != nil {
			break
		}
	}
	wantError(t, "20 calls at 3 a second", err, "ThrottlingException", 429)
}

func TestFaultsComeByOptionAndByName(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, func(cfg *ivsemu.Config) {
		cfg.Faults = []string{"ListStages=internal-error", "GetPublicKey=slow"}
		cfg.SlowBy = 50 * time.Millisecond
	})
	c := client(base, "us-west-2")
	_, err := c.ListStages(t.Context(), &ivsrealtime.ListStagesInput{})
	if _, status := code(err); status != 500 {
		t.Errorf("ListStages: got %v, want a 500", err)
	}
	began := time.Now()
	c.GetPublicKey(t.Context(), &ivsrealtime.GetPublicKeyInput{
		Arn: aws.String("arn:aws:ivs:us-west-2:123456789012:public-key/none"),
	})
	if took := time.Since(began); took < 50*time.Millisecond {
		t.Errorf("slow: got an answer after %v, want at least 50ms", took)
	}
	for name, want := range map[string]struct {
		code   string
		status int
	}{
		"throttle":               {"ThrottlingException", 429},
		"expired-key-2":          {"ExpiredTokenException", 403},
		"pending-verification":   {"PendingVerification", 403},
		"internal-error-at-noon": {"InternalServerException", 500},
	} {
		s := newStage(t, c, name)
		_, err := c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
			StageArn: s.Arn,
		})
		wantError(t, name, err, want.code, want.status)
		if _, err := c.GetStage(t.Context(), &ivsrealtime.GetStageInput{Arn: s.Arn}); err != nil {
			t.Errorf("GetStage of %s: got %v, want nil", name, err)
		}
	}
	if _, err := ivsemu.New(ivsemu.Config{BaseURL: base, AnyCredentials: true,
		Faults: []string{"explode"}}); !errors.Is(err, stage.ErrInvalid) {
		t.Errorf("an unknown fault: got %v, want a refusal", err)
	}
}

func TestOperationsThatAreNotEmulated(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	c := client(base, "us-west-2")
	_, err := c.ListCompositions(t.Context(), &ivsrealtime.ListCompositionsInput{})
	wantError(t, "ListCompositions", err, "NotEmulatedException", 501)
	_, err = c.StartParticipantReplication(t.Context(),
		&ivsrealtime.StartParticipantReplicationInput{
			SourceStageArn: aws.String("a"), DestinationStageArn: aws.String("b"),
			ParticipantId: aws.String("c"),
		})
	wantError(t, "StartParticipantReplication", err, "NotEmulatedException", 501)
}

func TestInvalidSettings(t *testing.T) {
	t.Parallel()
	for want, cfg := range map[string]ivsemu.Config{
		"12 digits":  {Account: "12"},
		"events are": {EventsURL: "foo"},
		"not \"x\"":  {BaseURL: "x"},
		"us-west-2":  {Region: "moon-1"},
		"throttle":   {Faults: []string{"bogus"}},
		"operation":  {Faults: []string{"Nope=slow"}},
	} {
		cfg.AnyCredentials, cfg.BaseURL = true, cmp.Or(cfg.BaseURL, "http://127.0.0.1:1")
		if _, err := ivsemu.New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want a refusal that says so", want, err)
		}
	}
}

func TestAStateThatCannotBeKeptIsToldAtTheStart(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/missing/state.json"
	_, err := ivsemu.New(ivsemu.Config{
		BaseURL: "http://127.0.0.1:1", AnyCredentials: true, StateFile: file,
	})
	if err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("New: got %v, want an error that names the file", err)
	}
}

func TestStateIsKeptWhenAsked(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/state.json"
	keep := func(cfg *ivsemu.Config) { cfg.StateFile = file }
	first, base := fakeivs.Serve(t, keep)
	c := client(base, "us-west-2")
	s := newStage(t, c, "kept")
	made, err := c.CreateParticipantToken(t.Context(), &ivsrealtime.CreateParticipantTokenInput{
		StageArn: s.Arn,
	})
	if err != nil {
		t.Fatal(err)
	}
	// The second run has the same address, because the token contains the address.
	second, err := ivsemu.New(ivsemu.Config{BaseURL: base, AnyCredentials: true, StateFile: file})
	if err != nil {
		t.Fatal(err)
	}
	for name, e := range map[string]*ivsemu.Emulator{"first": first, "second": second} {
		if _, err := e.Verifier().Verify(t.Context(),
			stage.NewSecret(*made.ParticipantToken.Token)); err != nil {
			t.Errorf("the %s run and the token: got %v, want nil", name, err)
		}
	}
}

func TestThePageSaysThatThisIsNotAmazonIVS(t *testing.T) {
	t.Parallel()
	_, base := fakeivs.Serve(t, nil)
	answer, err := http.Get(base + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	page := new(strings.Builder)
	if err := answer.Write(page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Server: stagedoor-emulator (not Amazon IVS)",
		"This is not Amazon IVS", base + "/whip"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}
