package web

import (
	"reflect"
	"strings"
	"testing"
)

// TestMemberNamesAreCaseSensitive: a member name in the wrong case is refused, also in nested and
// in embedded structs.
func TestMemberNamesAreCaseSensitive(t *testing.T) {
	t.Parallel()
	type request struct {
		V1Reason
		V1DockLinkRequest
	}
	for text, misspelt := range map[string]string{
		`{"externalId":"17","name":"Kim","reason":"","stages":[{"arn":"x"}]}`: "",
		`{"externalID":"17","name":"Kim"}`:                                    "externalID",
		`{"externalId":"17","externalID":"18"}`:                               "externalID",
		`{"Reason":""}`:                                                       "Reason",
		`{"stages":[{"arn":"x"},{"ARN":"y"}]}`:                                "ARN",
		`{"stages":null}`:                                                     "",
		`null`:                                                                "",
	} {
		err := exactMembers([]byte(text), reflect.TypeFor[request]())
		if (err == nil) != (misspelt == "") ||
			err != nil && !strings.Contains(err.Error(), `"`+misspelt+`"`) {
			t.Errorf("%s: got %v, want an error about %q, if any", text, err, misspelt)
		}
	}
}
