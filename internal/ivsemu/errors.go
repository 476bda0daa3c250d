package ivsemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// A fault is an error in the format of the API. SDKs turn its type into a class.
type fault struct {
	Type    string
	Status  int
	Message string
	common  bool // an error of all AWS services, which is not in the model of IVS
}

func (f *fault) Error() string { return f.Type + ": " + f.Message }

// body returns the response body. It has the message under two names: exceptionMessage, as in the
// model, and message, which AWS CLI v1, boto3 and the JavaScript SDK read.
func (f *fault) body() []byte {
	members := map[string]string{"message": f.Message}
	if !f.common {
		members["exceptionMessage"] = f.Message
	}
	text, _ := json.Marshal(members) // a map of strings can always be encoded
	return text
}

// missing reports whether an error says that the resource does not exist. In the model, the
// operations that list sessions, participants, events and replicas cannot return this error, so
// they return empty lists.
func missing(err error) bool {
	var f *fault
	return errors.As(err, &f) && f.Type == "ResourceNotFoundException"
}

// The errors of the model (ivs-realtime, 2020-07-14) with their statuses.

func invalid(format string, args ...any) *fault {
	return &fault{
		Type: "ValidationException", Status: http.StatusBadRequest,
		Message: fmt.Sprintf(format, args...),
	}
}

func overQuota(format string, args ...any) *fault {
	return &fault{
		Type: "ServiceQuotaExceededException", Status: http.StatusPaymentRequired,
		Message: fmt.Sprintf(format, args...),
	}
}

func notFound(format string, args ...any) *fault {
	return &fault{
		Type: "ResourceNotFoundException", Status: http.StatusNotFound,
		Message: fmt.Sprintf(format, args...),
	}
}

func conflict(format string, args ...any) *fault {
	return &fault{
		Type: "ConflictException", Status: http.StatusConflict,
		Message: fmt.Sprintf(format, args...),
	}
}

func pendingVerification() *fault {
	return &fault{
		Type: "PendingVerification", Status: http.StatusForbidden,
		Message: "Your account is pending verification.",
	}
}

func internalError() *fault {
	return &fault{
		Type: "InternalServerException", Status: http.StatusInternalServerError,
		Message: "Internal server error.",
	}
}

// The errors that every AWS service has ("Common Errors"). SDKs recognize them by these types and
// statuses.

func common(kind string, status int, format string, args ...any) *fault {
	return &fault{Type: kind, Status: status, Message: fmt.Sprintf(format, args...), common: true}
}

func throttled() *fault {
	return common("ThrottlingException", http.StatusTooManyRequests, "Rate exceeded")
}

func expiredCredentials() *fault {
	return common("ExpiredTokenException", http.StatusForbidden,
		"The security token included in the request is expired")
}

func serialization(format string, args ...any) *fault {
	return common("SerializationException", http.StatusBadRequest, format, args...)
}

func unknownOperation() *fault {
	return common("UnknownOperationException", http.StatusNotFound,
		"The IVS real-time API has no such operation.")
}

// notEmulated is an error that AWS never returns, so that SDKs do not retry.
func notEmulated(operation string) *fault {
	return common("NotEmulatedException", http.StatusNotImplemented,
		"%s exists in Amazon IVS, but this emulator does not have it.", operation)
}
