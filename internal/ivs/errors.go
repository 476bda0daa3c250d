package ivs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/aws-sdk-go-v2/service/ivsrealtime/types"
	"github.com/aws/smithy-go"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func throttled(err error) bool {
	return err != nil && retry.IsErrorThrottles(retry.DefaultThrottles).
		IsErrorThrottle(err) == aws.TrueTernary
}

// explain turns an AWS error into an error that says what a person can do. The subject is the
// affected resource, or "". The text from AWS becomes the cause, for the log. It includes the
// message that the SDK's own error omits.
func explain(err error, subject string) error {
	var known *stage.Error
	if errors.As(err, &known) {
		return known // from this package's own queue
	}
	operation := "an operation"
	var failed *smithy.OperationError
	if errors.As(err, &failed) {
		operation = failed.OperationName
	}
	return sentence(err, operation, subject).WithCause(withMessage(err))
}

// withMessage adds the message of modelled errors, whose Error() is empty in the SDK.
func withMessage(err error) error {
	var text *string
	var denied *types.AccessDeniedException
	var missing *types.ResourceNotFoundException
	var quota *types.ServiceQuotaExceededException
	var pending *types.PendingVerification
	var invalid *types.ValidationException
	var conflict *types.ConflictException
	var internal *types.InternalServerException
	switch {
	case errors.As(err, &denied):
		text = denied.ExceptionMessage
	case errors.As(err, &missing):
		text = missing.ExceptionMessage
	case errors.As(err, &quota):
		text = quota.ExceptionMessage
	case errors.As(err, &pending):
		text = pending.ExceptionMessage
	case errors.As(err, &invalid):
		text = invalid.ExceptionMessage
	case errors.As(err, &conflict):
		text = conflict.ExceptionMessage
	case errors.As(err, &internal):
		text = internal.ExceptionMessage
	}
	if text == nil {
		return err
	}
	return fmt.Errorf("%w: %s", err, *text)
}

func sentence(err error, operation, subject string) *stage.Error {
	var missing noCredentials
	if errors.As(err, &missing) && !outOfTime(err) {
		return withoutCredentials(missing)
	}
	var api smithy.APIError
	if !errors.As(err, &api) {
		return unanswered(err)
	}
	switch api.ErrorCode() {
	case "AccessDeniedException":
		return stage.Errorf(stage.ErrUnavailable,
			"Stagedoor's AWS credentials do not allow this. The operator adds to their IAM "+
				"policy: %s.", policyLine(operation, subject)).WithCode("aws_access_denied")
	case "ResourceNotFoundException":
		return gone(operation)
	case "ServiceQuotaExceededException":
		return stage.Errorf(stage.ErrUnavailable,
			"%s The operator finds the numbers in the AWS console under Service Quotas, Amazon "+
				"Interactive Video Service.", quota(operation)).WithCode("aws_quota")
	case "PendingVerification":
		return stage.Errorf(stage.ErrUnavailable,
			"AWS is still verifying the account of this stage; that can take a day. The operator "+
				"asks AWS Support if it takes longer.").WithCode("aws_unverified")
	case "ConflictException":
		return stage.Errorf(stage.ErrConflict,
			"Amazon IVS cannot do this as things stand: the resource is in use, or there already.").
			WithCode("aws_conflict")
	case "ValidationException":
		return stage.Errorf(stage.ErrInvalid,
			"Amazon IVS refused the request as invalid; the operator's log says what it "+
				"did not like.").WithCode("aws_invalid")
	case "ExpiredTokenException", "ExpiredToken", "RequestExpired":
		return expired()
	case "UnrecognizedClientException", "InvalidClientTokenId":
		return credentials(
			"AWS does not know Stagedoor's access key: the operator checks AWS_ACCESS_KEY_ID, or " +
				"what the profile holds.")
	case "InvalidSignatureException", "SignatureDoesNotMatch", "IncompleteSignatureException",
		"MissingAuthenticationTokenException":
		return credentials(
			"AWS does not accept the signature of Stagedoor's requests: the operator checks the " +
				"secret access key and the clock of the server.")
	case "NotEmulatedException":
		return stage.Errorf(stage.ErrUnavailable,
			"This needs Amazon IVS itself: the emulator does not have it.").WithCode("not_emulated")
	}
	if throttled(err) {
		return stage.Errorf(stage.ErrUnavailable,
			"Amazon IVS takes no more requests at the moment; try again in a few seconds.").
			WithCode("aws_busy").WithRetry(5 * time.Second)
	}
	return stage.Errorf(stage.ErrUnavailable,
		"Amazon IVS has a problem of its own; try again in a minute.").WithCode("aws_error").
		WithRetry(time.Minute)
}

func outOfTime(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

func unanswered(err error) *stage.Error {
	if outOfTime(err) {
		return stage.Errorf(stage.ErrUnavailable,
			"Amazon IVS did not answer in time; try again in a few seconds.").
			WithCode("aws_timeout").WithRetry(5 * time.Second)
	}
	return stage.Errorf(stage.ErrUnavailable,
		"Amazon IVS cannot be reached from the server; try again in a few seconds.").
		WithCode("aws_unreachable").WithRetry(5 * time.Second)
}

// withoutCredentials returns why there are no credentials for AWS: they have expired, AWS refuses
// to issue them, or none are configured.
func withoutCredentials(err error) *stage.Error {
	var session *ssocreds.InvalidTokenError
	var api smithy.APIError
	switch {
	case errors.As(err, &session), endedSession(err.Error()):
		return expired()
	case errors.As(err, &api) && endedToken(api.ErrorCode()):
		return expired()
	case errors.As(err, &api):
		return credentials(
			"AWS refuses to give Stagedoor credentials: the operator checks the profile and its " +
				"role; the log says what AWS said.")
	}
	return credentials(
		"Stagedoor has no AWS credentials: the operator sets AWS_PROFILE or AWS_ACCESS_KEY_ID, " +
			"or gives the server a role.")
}

// endedSession recognizes the errors for an expired sign-in. The SDK's packages ssocreds and
// logincreds report them without a type.
func endedSession(text string) bool {
	return strings.Contains(text, "SSO token") || strings.Contains(text, "please reauthenticate")
}

// endedToken reports whether an error code of AWS SSO, of its OIDC service or of STS means that a
// token has expired.
func endedToken(code string) bool {
	return slices.Contains([]string{"UnauthorizedException", "InvalidGrantException",
		"ExpiredTokenException", "ExpiredToken", "InvalidClientException",
		"UnauthorizedClientException"}, code)
}

func expired() *stage.Error {
	return credentials(
		"Stagedoor's AWS credentials have expired: the operator renews them (aws sso login, or a " +
			"new session).")
}

func credentials(sentence string) *stage.Error {
	return stage.Errorf(stage.ErrUnavailable, "%s", sentence).WithCode("aws_credentials")
}

// policyLine returns the missing permission as a line of an IAM policy. Operations that list or
// create have no resource of their own.
func policyLine(operation, subject string) string {
	if subject == "" {
		subject = "*"
	}
	return fmt.Sprintf(`{"Effect": "Allow", "Action": "ivs:%s", "Resource": "%s"}`, operation, subject)
}

func gone(operation string) *stage.Error {
	switch operation {
	case "GetPublicKey", "DeletePublicKey":
		return stage.Errorf(stage.ErrNotFound, "The public key is gone from AWS.").
			WithCode("key_gone")
	case "DisconnectParticipant", "GetParticipant", "ListParticipantEvents", "ListParticipants",
		"GetStageSession":
		return stage.Errorf(stage.ErrNotFound, "The participant is not on the stage (any more).").
			WithCode("participant_gone")
	}
	return stage.Errorf(stage.ErrNotFound,
		"The stage is gone from AWS: somebody deleted it. The operator removes it here, too, or "+
			"picks another.").WithCode("stage_gone")
}

// quota returns a sentence about the quota that was exceeded, because the error of AWS (402) does
// not name the quota.
func quota(operation string) string {
	switch operation {
	case "CreateStage", "UpdateStage":
		return "The AWS account has as many stages in this region as its quota allows (1,000 " +
			"unless raised)."
	case "ImportPublicKey":
		return "The AWS account has 3 public keys in this region, and AWS allows no more: " +
			"retire one first."
	case "CreateParticipantToken":
		return "The AWS account has used up a quota for participants: 12 publishers or 10,000 " +
			"subscribers on a stage, or 1,000 publishers in the region."
	}
	return "The AWS account has used up a quota."
}
