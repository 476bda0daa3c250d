package ivsemu

import (
	"context"
	"maps"
	"net/url"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
)

func (e *Emulator) arn(region, kind, id string) string {
	return "arn:aws:ivs:" + region + ":" + e.cfg.Account + ":" + kind + "/" + id
}

func createStage(e *Emulator, r *request, in *createStageIn) (*stageOut, error) {
	e.mu.Lock()
	if len(inRegion(e.state.Stages, r.region)) >= maxStages {
		e.mu.Unlock()
		return nil, overQuota(
			"Your account has %d stages in %s, which is the quota. Delete some, or ask "+
				"AWS for more.", maxStages, r.region)
	}
	s := &stageRecord{
		record: record{
			Seq: e.state.next(), Region: r.region, Arn: e.arn(r.region, kindStage, newID()),
			Name: deref(in.Name), Tags: tagsOf(in.Tags),
		},
		Label:     strings.ToLower(newID()),
		Recording: in.AutoParticipantRecordingConfiguration,
		Barred:    map[string]bool{},
	}
	e.state.Stages = append(e.state.Stages, s)
	out := &stageOut{Stage: e.stageShape(s)}
	e.mu.Unlock()

	for _, config := range in.ParticipantTokenConfigurations {
		t, err := e.makeToken(r.ctx, stage.ARN(s.Arn), config)
		if err != nil {
			return nil, err
		}
		out.ParticipantTokens = append(out.ParticipantTokens, t)
	}
	return out, nil
}

func getStage(e *Emulator, r *request, in *stageArnIn) (*stageOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.stage(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	return &stageOut{Stage: e.stageShape(s)}, nil
}

func listStages(e *Emulator, r *request, in *paged) (*stagesOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	list, next, err := page(e.pages, "stages/"+r.region, *in, inRegion(e.state.Stages, r.region),
		seqOf[*stageRecord])
	if err != nil {
		return nil, err
	}
	out := &stagesOut{Stages: make([]stageShape, len(list)), NextToken: next}
	for i, s := range list {
		out.Stages[i] = summary(s)
	}
	return out, nil
}

func updateStage(e *Emulator, r *request, in *updateStageIn) (*stageOut, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.stage(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	if recording := in.AutoParticipantRecordingConfiguration; recording != nil {
		if s.active() != nil {
			return nil, conflict(
				"The recording configuration of %s cannot be changed while the stage is in use.",
				s.Arn)
		}
		s.Recording = recording
	}
	if in.Name != nil {
		s.Name = *in.Name
	}
	return &stageOut{Stage: e.stageShape(s)}, nil
}

// deleteStage disconnects all participants, and removes the stage from ingest configurations.
func deleteStage(e *Emulator, r *request, in *stageArnIn) (*empty, error) {
	gone, err := e.removeStage(r.region, *in.Arn)
	if err != nil {
		return nil, err
	}
	if e.Closed != nil {
		e.Closed(stage.ARN(*in.Arn))
	}
	for _, p := range gone {
		e.whip.Close(p, "stage_deleted", "The stage was deleted.")
	}
	return &empty{}, nil
}

func (e *Emulator) removeStage(region, arn string) (gone []stage.ParticipantID, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.stage(region, arn)
	if err != nil {
		return nil, err
	}
	e.state.Stages = without(e.state.Stages, s)
	for _, c := range e.state.Ingests {
		if c.Shape.StageArn == arn {
			c.Shape.StageArn = ""
		}
	}
	if session := s.active(); session != nil {
		for _, p := range session.Participants {
			gone = append(gone, stage.ParticipantID(p.ID))
		}
	}
	return gone, nil
}

func (e *Emulator) stageShape(s *stageRecord) stageShape {
	shape := summary(s)
	shape.AutoParticipantRecordingConfiguration = s.Recording
	endpoints := e.endpointsOf(s)
	shape.Endpoints = &endpointsShape{
		Events: endpoints.Events,
		WHIP:   endpoints.WHIP,
		// The emulator has no RTMP. A client that tries it fails at once, because this name never
		// resolves (RFC 6761).
		RTMP:  "rtmp://" + s.Label + ".invalid/app/",
		RTMPS: "rtmps://" + s.Label + ".invalid:443/app/",
	}
	return shape
}

func summary(s *stageRecord) stageShape {
	shape := stageShape{Arn: s.Arn, Name: s.Name, Tags: maps.Clone(s.Tags)}
	if session := s.active(); session != nil {
		shape.ActiveSessionID = session.ID
	}
	return shape
}

// endpointsOf returns the URLs of a stage. As at AWS, each stage has its own WHIP endpoint, and a
// global endpoint redirects to it.
func (e *Emulator) endpointsOf(s *stageRecord) stage.Endpoints {
	events := url.URL{
		Scheme: "ws" + strings.TrimPrefix(e.base.Scheme, "http"), Host: e.base.Host,
		Path: "/events",
	}
	return stage.Endpoints{WHIP: e.cfg.BaseURL + "/" + s.Label + "/whip", Events: events.String()}
}

// endpoints returns the endpoints of a stage, for the verifier and the signer of tokens.
func (e *Emulator) endpoints(_ context.Context, arn stage.ARN) (stage.Endpoints, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s, err := e.state.anyStage(arn)
	if err != nil {
		return stage.Endpoints{}, stage.Errorf(stage.ErrNotFound,
			"There is no such stage (any more).")
	}
	return e.endpointsOf(s), nil
}

// WHIPEndpoint returns the global WHIP endpoint, the counterpart of
// https://global.whip.live-video.net.
func (e *Emulator) WHIPEndpoint() string { return e.cfg.BaseURL + "/whip" }

// Participant tokens

func createParticipantToken(e *Emulator, r *request, in *createTokenIn) (*createTokenOut, error) {
	e.mu.Lock()
	_, err := e.state.stage(r.region, *in.StageArn)
	e.mu.Unlock()
	if err != nil {
		return nil, err
	}
	t, err := e.makeToken(r.ctx, stage.ARN(*in.StageArn), in.tokenConfig)
	if err != nil {
		return nil, err
	}
	return &createTokenOut{t}, nil
}

func (e *Emulator) makeToken(
	ctx context.Context, arn stage.ARN, in tokenConfig,
) (tokenShape, error) {
	capabilities, err := stage.ParseCapabilities(in.Capabilities)
	if err != nil {
		return tokenShape{}, err
	}
	if capabilities == 0 {
		capabilities = stage.Publish | stage.Subscribe
	}
	minutes := int(stage.DefaultTTL / time.Minute)
	if in.Duration != nil {
		minutes = *in.Duration
	}
	signer := token.Signer{
		Key: e.state.APIKey, Form: token.APIMade, Endpoints: e.endpoints, Now: e.cfg.Now,
	}
	made, err := signer.IssueToken(ctx, stage.TokenRequest{
		Stage: arn, UserID: deref(in.UserID), Attributes: in.Attributes,
		Capabilities: capabilities, TTL: time.Duration(minutes) * time.Minute,
	})
	if err != nil {
		return tokenShape{}, err
	}
	words := capabilities.Words()
	for i := range words {
		words[i] = strings.ToUpper(words[i])
	}
	return tokenShape{
		ParticipantID: string(made.Participant.ID), Token: made.Secret.Reveal(),
		UserID: made.Participant.UserID, Attributes: in.Attributes,
		Duration: minutes, Capabilities: words, ExpirationTime: instant{made.ExpiresAt},
	}, nil
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// tagsOf returns a copy of the tags that is never nil, because AWS returns {} if there are none.
func tagsOf(tags map[string]string) map[string]string {
	own := map[string]string{}
	maps.Copy(own, tags)
	return own
}

func seqOf[T interface{ base() *record }](item T) int { return item.base().Seq }

func without[T comparable](list []T, gone T) []T {
	kept := make([]T, 0, len(list))
	for _, item := range list {
		if item != gone {
			kept = append(kept, item)
		}
	}
	return kept
}
