package ivs

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// IssuedBy is the name of the API in the records of tokens that it issued.
const IssuedBy = "AWS API"

// IssueToken requests a token from AWS. The token is opaque ("do not build functionality based on
// token contents"), so IssueToken takes the participant and the expiry from the response.
func (s *Service) IssueToken(
	ctx context.Context, req stage.TokenRequest,
) (stage.ParticipantToken, error) {
	if err := req.Validate(); err != nil {
		return stage.ParticipantToken{}, err
	}
	client, err := s.region(req.Stage.Region())
	if err != nil {
		return stage.ParticipantToken{}, err
	}
	ctx, cancel := context.WithTimeout(as(ctx, req.UserID), s.cfg.MaxWait)
	defer cancel()
	where, err := s.Stage(ctx, req.Stage)
	if err != nil {
		return stage.ParticipantToken{}, fmt.Errorf("endpoints of %s: %w", req.Stage, err)
	}
	asked := s.cfg.Now()
	out, err := call(ctx, s, string(req.Stage), client.CreateParticipantToken, tokenInput(req))
	if err != nil {
		return stage.ParticipantToken{}, fmt.Errorf("token for %s: %w", req.Stage, err)
	}
	made := out.ParticipantToken
	if made == nil || aws.ToString(made.Token) == "" || aws.ToString(made.ParticipantId) == "" {
		return stage.ParticipantToken{}, stage.Errorf(stage.ErrUnavailable,
			"Amazon IVS answered without a token; try again.").WithCode("aws_error")
	}
	expires := aws.ToTime(made.ExpirationTime)
	if expires.IsZero() {
		expires = asked.Add(minutes(req.TTL))
	}
	return stage.ParticipantToken{
		Participant: stage.Participant{
			ID: stage.ParticipantID(*made.ParticipantId), Stage: req.Stage, UserID: req.UserID,
			Attributes: req.Attributes, Capabilities: req.Capabilities, ExpiresAt: expires,
		},
		Secret:       stage.NewSecret(*made.Token),
		WHIPEndpoint: WHIPEndpoint(where.Endpoints),
		ExpiresAt:    expires,
		IssuedBy:     IssuedBy,
	}, nil
}

// minutes rounds a token life down to minutes, the unit of the API, so that no token lives longer
// than allowed.
func minutes(ttl time.Duration) time.Duration {
	return max(ttl.Truncate(time.Minute), stage.MinTTL)
}

func tokenInput(req stage.TokenRequest) *ivsrealtime.CreateParticipantTokenInput {
	in := &ivsrealtime.CreateParticipantTokenInput{
		StageArn:   aws.String(string(req.Stage)),
		Duration:   aws.Int32(int32(minutes(req.TTL) / time.Minute)),
		Attributes: req.Attributes,
	}
	if req.UserID != "" {
		in.UserId = &req.UserID
	}
	for _, word := range req.Capabilities.Words() {
		in.Capabilities = append(in.Capabilities, types.ParticipantTokenCapability(
			strings.ToUpper(word)))
	}
	return in
}
