package web

import (
	"encoding/json"
	"reflect"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// exactMembers refuses member names that differ from those of the API only in case. encoding/json
// would accept "externalID" for "externalId", which other JSON libraries would not.
func exactMembers(text []byte, into reflect.Type) error {
	switch into.Kind() {
	case reflect.Pointer:
		return exactMembers(text, into.Elem())
	case reflect.Slice:
		var items []json.RawMessage
		if json.Unmarshal(text, &items) != nil {
			return nil // null, or a type with its own decoding
		}
		for _, item := range items {
			if err := exactMembers(item, into.Elem()); err != nil {
				return err
			}
		}
	case reflect.Struct:
		var members map[string]json.RawMessage
		if json.Unmarshal(text, &members) != nil {
			return nil
		}
		for _, field := range reflect.VisibleFields(into) {
			if err := exactMember(members, field); err != nil {
				return err
			}
		}
	}
	return nil
}

func exactMember(members map[string]json.RawMessage, field reflect.StructField) error {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if name == "" {
		return nil // embedded struct: VisibleFields also lists its fields
	}
	for member := range members {
		if member != name && strings.EqualFold(member, name) {
			return stage.Errorf(stage.ErrInvalid,
				"There is no member %q; did you mean %q?", member, name).
				WithCode("unknown_field")
		}
	}
	if value, there := members[name]; there {
		return exactMembers(value, field.Type)
	}
	return nil
}
