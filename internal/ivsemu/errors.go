package ivsemu

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// A fault is an error as the API answers it: a type that SDKs turn into a class of its own, and a message for people.
type fault struct {
	Type    string
	Status  int
	Message string
	// Modelled errors carry their text as exceptionMessage; the common errors of all AWS services, which no model of IVS
	// names, carry it as message.
	common bool
}

func (f *fault) Error() string { return f.Type + ": " + f.Message }

// body says the message under the name that the SDKs look for.
func (f *fault) body() []byte {
	name := "exceptionMessage"
	if f.common {
		name = "message"
	}
	text, _ := json.Marshal(map[string]string{name: f.Message}) // a map of strings always encodes
	return text
}

// The errors of the model (ivs-realtime, 2020-07-14) with their statuses.

func invalid(format string, args ...any) *fault {
	return &fault{Type: "ValidationException", Status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...)}
}

func overQuota(format string, args ...any) *fault {
	return &fault{Type: "ServiceQuotaExceededException", Status: http.StatusPaymentRequired, Message: fmt.Sprintf(format, args...)}
}

func notFound(format string, args ...any) *fault {
	return &fault{Type: "ResourceNotFoundException", Status: http.StatusNotFound, Message: fmt.Sprintf(format, args...)}
}

func conflict(format string, args ...any) *fault {
	return &fault{Type: "ConflictException", Status: http.StatusConflict, Message: fmt.Sprintf(format, args...)}
}

func pendingVerification() *fault {
	return &fault{Type: "PendingVerification", Status: http.StatusForbidden, Message: "Your account is pending verification."}
}

func internalError() *fault {
	return &fault{Type: "InternalServerException", Status: http.StatusInternalServerError, Message: "Internal server error."}
}

// The errors that every AWS service has ("Common Errors"); their types and statuses here are those that SDKs treat as such.

func common(kind string, status int, format string, args ...any) *fault {
	return &fault{Type: kind, Status: status, Message: fmt.Sprintf(format, args...), common: true}
}

func throttled() *fault {
	return common("ThrottlingException", http.StatusTooManyRequests, "Rate exceeded")
}

func expiredCredentials() *fault {
	return common("ExpiredTokenException", http.StatusForbidden, "The security token included in the request is expired")
}

func serialization(format string, args ...any) *fault {
	return common("SerializationException", http.StatusBadRequest, format, args...)
}

func unknownOperation() *fault {
	return common("UnknownOperationException", http.StatusNotFound, "The IVS real-time API has no such operation.")
}

// notEmulated is an answer that AWS never gives: an SDK must not mistake it for one that is worth a retry.
func notEmulated(operation string) *fault {
	return common("NotEmulatedException", http.StatusNotImplemented, "%s exists in Amazon IVS, but this emulator does not have it.", operation)
}
