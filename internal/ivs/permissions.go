package ivs

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Permission is the result of trying one action at AWS.
type Permission struct {
	Action  string // as IAM writes it
	Missing bool   // true if the IAM policy lacks the permission
	Err     error  // why the result is not known; otherwise nil
}

// Permissions tries actions on a stage and a participant that do not exist, so that nothing
// changes. That is sufficient, because AWS denies an action before it looks for the resource. The
// ARNs contain the account of a stage in the region. If there is no stage, only the list operations
// can be tried.
func (s *Service) Permissions(ctx context.Context, region string) ([]Permission, error) {
	client, err := s.region(region)
	if err != nil {
		return nil, err
	}
	list := []Permission{
		permission("ListStages", func() error {
			_, err := client.ListStages(ctx, &ivsrealtime.ListStagesInput{MaxResults: aws.Int32(1)})
			return err
		}),
		permission("ListPublicKeys", func() error {
			_, err := client.ListPublicKeys(ctx, &ivsrealtime.ListPublicKeysInput{
				MaxResults: aws.Int32(1),
			})
			return err
		}),
	}
	stages, err := s.StagesOf(ctx, region)
	if err != nil || len(stages) == 0 {
		return list, nil // the entry for ListStages contains the error
	}
	return append(list, permissionsOnStages(ctx, client, stages[0].ARN)...), nil
}

// permissionsOnStages tries the actions that Stagedoor performs on stages.
func permissionsOnStages(
	ctx context.Context, client *ivsrealtime.Client, like stage.ARN,
) []Permission {
	arn := aws.String("arn:aws:ivs:" + like.Region() + ":" + like.Account() +
		":stage/stagedoordoctor")
	nothing := aws.String("stagedoordoctor")
	session := aws.String("st-stagedoordoctor")
	return []Permission{
		permission("GetStage", func() error {
			_, err := client.GetStage(ctx, &ivsrealtime.GetStageInput{Arn: arn})
			return err
		}),
		permission("CreateParticipantToken", func() error {
			_, err := client.CreateParticipantToken(ctx, &ivsrealtime.CreateParticipantTokenInput{
				StageArn: arn,
			})
			return err
		}),
		permission("DisconnectParticipant", func() error {
			_, err := client.DisconnectParticipant(ctx,
				&ivsrealtime.DisconnectParticipantInput{StageArn: arn, ParticipantId: nothing})
			return err
		}),
		permission("ListStageSessions", func() error {
			_, err := client.ListStageSessions(ctx, &ivsrealtime.ListStageSessionsInput{
				StageArn: arn,
			})
			return err
		}),
		permission("ListParticipants", func() error {
			_, err := client.ListParticipants(ctx,
				&ivsrealtime.ListParticipantsInput{StageArn: arn, SessionId: session})
			return err
		}),
		permission("GetParticipant", func() error {
			_, err := client.GetParticipant(ctx,
				&ivsrealtime.GetParticipantInput{
					StageArn: arn, SessionId: session, ParticipantId: nothing,
				})
			return err
		}),
		permission("ListParticipantEvents", func() error {
			_, err := client.ListParticipantEvents(ctx,
				&ivsrealtime.ListParticipantEventsInput{
					StageArn: arn, SessionId: session, ParticipantId: nothing,
				})
			return err
		}),
	}
}

// permission interprets the response to an action. Only a caller with the permission learns that
// the resource does not exist or that its ID is invalid.
func permission(operation string, try func() error) Permission {
	p := Permission{Action: "ivs:" + operation}
	err := try()
	if err == nil {
		return p
	}
	told := sentence(err, operation, "")
	switch {
	case told.Code == "aws_access_denied":
		p.Missing = true
	case errors.Is(told, stage.ErrNotFound), errors.Is(told, stage.ErrInvalid):
	default:
		p.Err = told
	}
	return p
}
