package ivsemu

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
)

// A fault is an error in the format of the API: a type that SDKs turn into a class, and a message.
type fault struct {
	Type    string
	Status  int
	Message string
	common  bool // an error of all AWS services, which the model of IVS does not contain
}

func (f *fault) Error() string { return f.Type + ": " + f.Message }

// body contains the message under both names that clients read: exceptionMessage is in the model,
// and message is read by AWS CLI v1, boto3 and the JavaScript SDK for any error.
func (f *fault) body() []byte {
	members := map[string]string{"message": f.Message}
	if !f.common {
		members["exceptionMessage"] = f.Message
	}
	text, _ := json.Marshal(members) // a map of strings always encodes
	return text
}

// missing reports whether an error says that the resource does not exist. The model has no such
// error for the operations that list sessions, participants, events and replicas: their lists are
// empty.
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

// The errors that every AWS service has ("Common Errors"), with types and statuses that SDKs
// recognize as such.

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
