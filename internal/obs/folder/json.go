package folder

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

func unmarshal(text string, into any) error { return json.Unmarshal([]byte(text), into) }

func websocketOfJSON(text string) (WebSocket, error) {
	settings := struct {
		Enabled  bool   `json:"server_enabled"`
		Port     int    `json:"server_port"`
		Auth     bool   `json:"auth_required"`
		Password string `json:"server_password"`
	}{Port: defaultPort, Auth: true}
	err := unmarshal(text, &settings)
	return WebSocket{settings.Enabled, settings.Port, settings.Auth,
		stage.NewSecret(settings.Password)}, err
}

// aValue is a regular expression for a JSON value that is neither an object nor an array.
const aValue = `("(?:[^"\\]|\\.)*"|[\w.+-]+)`

// setMember returns the text of a JSON object with a new value of a member. The rest stays the same
// byte for byte. A new member is inserted as the first one, as the script does.
func setMember(text, name, value string) string {
	member := regexp.MustCompile(`(` + regexp.QuoteMeta(quote(name)) + `\s*:\s*)` + aValue)
	if at := member.FindStringSubmatchIndex(text); at != nil {
		return text[:at[4]] + value + text[at[5]:]
	}
	before, after, found := strings.Cut(text, "{")
	if !found {
		return "{" + quote(name) + ": " + value + "}"
	}
	separator := ", "
	if strings.HasPrefix(strings.TrimSpace(after), "}") {
		separator = ""
	}
	return before + "{" + quote(name) + ": " + value + separator + after
}

// dropMember returns the text of a JSON object without a member and its comma.
func dropMember(text, name string) string {
	member := regexp.QuoteMeta(quote(name)) + `\s*:\s*` + aValue
	at := regexp.MustCompile(member + `, ?`).FindStringIndex(text)
	if at == nil {
		at = regexp.MustCompile(`(?:,\s*)?` + member).FindStringIndex(text) // the last member
	}
	if at == nil {
		return text
	}
	return text[:at[0]] + text[at[1]:]
}

// An element is the position of an element of a JSON array in a text.
type element struct{ from, to int64 }

// elements returns the elements of the array at the path `names`. The result `at` is where a first
// element would be inserted, or -1 if there is no array. elements only finds positions, so that the
// rest of the text can stay the same byte for byte.
func elements(text string, names ...string) (list []element, at int64, err error) {
	dec := json.NewDecoder(strings.NewReader(text))
	for _, name := range names {
		if found, err := enter(dec, name); err != nil || !found {
			return nil, -1, err
		}
	}
	if t, err := dec.Token(); err != nil || t != json.Delim('[') {
		return nil, -1, err
	}
	at = dec.InputOffset()
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, -1, err
		}
		list = append(list, element{dec.InputOffset() - int64(len(raw)), dec.InputOffset()})
	}
	return list, at, nil
}

// enter reads an object up to the value of a member.
func enter(dec *json.Decoder, name string) (bool, error) {
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return false, errors.Join(err, errors.New("no JSON object"))
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil || key == name {
			return err == nil, err
		}
		var skipped json.RawMessage
		if err := dec.Decode(&skipped); err != nil {
			return false, err
		}
	}
	return false, nil
}

// cut returns the text without the matching elements and their commas.
func cut(text string, match func(element string) bool, names ...string) (string, error) {
	for {
		list, _, err := elements(text, names...)
		i := slices.IndexFunc(list, func(e element) bool { return match(text[e.from:e.to]) })
		if err != nil || i < 0 {
			return text, err
		}
		switch e := list[i]; {
		case i+1 < len(list):
			text = text[:e.from] + text[list[i+1].from:]
		case i > 0:
			text = text[:list[i-1].to] + text[e.to:]
		default: // OBS writes an empty list as []
			text = strings.TrimRight(text[:e.from], " \t\r\n") +
				strings.TrimLeft(text[e.to:], " \t\r\n")
		}
	}
}

// insert returns the text with a new first element in the array at the path `names`. It adds the
// array if there is none.
func insert(text, element string, names ...string) (string, error) {
	list, at, err := elements(text, names...)
	if err != nil {
		return text, err
	}
	if at >= 0 {
		if len(list) > 0 {
			element += ", "
			at = list[0].from
		}
		return text[:at] + element + text[at:], nil
	}
	member := "[" + element + "]"
	for depth := len(names) - 1; depth >= 0; depth-- {
		member = quote(names[depth]) + ": " + member
		dec := json.NewDecoder(strings.NewReader(text))
		if opened(dec, names[:depth]) {
			at := dec.InputOffset()
			if dec.More() {
				member += ", "
			}
			return text[:at] + member + text[at:], nil
		}
		member = "{" + member + "}"
	}
	return text, errors.New("no JSON object")
}

// opened reads until the first member of the object at the path `names`.
func opened(dec *json.Decoder, names []string) bool {
	for _, name := range names {
		if found, err := enter(dec, name); err != nil || !found {
			return false
		}
	}
	t, err := dec.Token()
	return err == nil && t == json.Delim('{')
}

// quote returns a text as a JSON string, without the escapes for HTML.
func quote(text string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(text)
	return strings.TrimSpace(b.String())
}
