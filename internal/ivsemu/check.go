package ivsemu

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The patterns of the model (ivs-realtime 2020-07-14). For the ARNs of tagged resources, the
// patterns of the model are not used, because they are evidently wrong (they allow one character
// for the kind).
var (
	namePattern        = regexp.MustCompile(`^[a-zA-Z0-9-_]*$`)
	participantPattern = regexp.MustCompile(`^[a-zA-Z0-9-]*$`)
	sessionPattern     = regexp.MustCompile(`^st-[a-zA-Z0-9]+$`)
	nextTokenPattern   = regexp.MustCompile(`^[a-zA-Z0-9+/=_-]*$`)
	publicKeyPattern   = regexp.MustCompile(`^-----BEGIN PUBLIC KEY-----\r?\n([a-zA-Z0-9+/=\r\n]+)\r?\n-----END PUBLIC KEY-----(\r?\n)?$`)
	stagePattern       = arnPattern(kindStage)
	keyPattern         = arnPattern(kindKey)
	ingestPattern      = arnPattern(kindIngest)
)

// The kinds of resources, as they appear in ARNs.
const (
	kindStage  = "stage"
	kindKey    = "public-key"
	kindIngest = "ingest-configuration"
)

func arnPattern(kind string) *regexp.Regexp {
	return regexp.MustCompile(`^arn:aws:ivs:[a-z0-9-]+:[0-9]+:` + kind + `/[a-zA-Z0-9-]+$`)
}

// A checker collects the violations of the model in a request. Like AWS, it reports all of them
// together.
type checker struct{ failures []string }

func (c *checker) fail(value any, field, format string, args ...any) {
	c.failures = append(c.failures, fmt.Sprintf("Value %s at '%s' failed to satisfy constraint: %s",
		shown(value), field, fmt.Sprintf(format, args...)))
}

// shown quotes a value for a message, and shortens it if it is long.
func shown(value any) string {
	if value == nil {
		return "null"
	}
	text := fmt.Sprint(value)
	if len(text) > 100 {
		text = strings.ToValidUTF8(text[:100], "") + "…"
	}
	return "'" + text + "'"
}

func (c *checker) err() error {
	switch n := len(c.failures); n {
	case 0:
		return nil
	case 1:
		return invalid("1 validation error detected: %s", c.failures[0])
	default:
		return invalid("%d validation errors detected: %s", n, strings.Join(c.failures, "; "))
	}
}

func (c *checker) required(field string, set bool) bool {
	if !set {
		c.fail(nil, field, "Member must not be null")
	}
	return set
}

// length checks the number of characters, as the length trait of Smithy (the language of the model)
// does.
func (c *checker) length(field, value string, least, most int) {
	switch n := utf8.RuneCountInString(value); {
	case n < least:
		c.fail(value, field, "Member must have length greater than or equal to %d", least)
	case n > most:
		c.fail(value, field, "Member must have length less than or equal to %d", most)
	}
}

func (c *checker) pattern(field, value string, pattern *regexp.Regexp) {
	if !pattern.MatchString(value) {
		c.fail(value, field, "Member must satisfy regular expression pattern: %s",
			strings.Trim(pattern.String(), "^$"))
	}
}

func (c *checker) name(value *string) {
	if value != nil {
		c.length("name", *value, 0, 128)
		c.pattern("name", *value, namePattern)
	}
}

func (c *checker) userID(value *string) {
	if value != nil {
		c.length("userId", *value, 0, stage.MaxUserID)
	}
}

func (c *checker) between(field string, value *int, least, most int) {
	switch {
	case value == nil:
	case *value < least:
		c.fail(*value, field, "Member must have value greater than or equal to %d", least)
	case *value > most:
		c.fail(*value, field, "Member must have value less than or equal to %d", most)
	}
}

func (c *checker) oneOf(field string, value *string, words ...string) {
	if value == nil {
		return
	}
	for _, word := range words {
		if *value == word {
			return
		}
	}
	c.fail(*value, field, "Member must satisfy enum value set: [%s]", strings.Join(words, ", "))
}

// arn checks a required ARN. The pattern is that of the expected kind.
func (c *checker) arn(field string, value *string, pattern *regexp.Regexp) {
	if c.required(field, value != nil) {
		c.length(field, *value, 1, 128)
		c.pattern(field, *value, pattern)
	}
}

func (c *checker) session(value *string) {
	if c.required("sessionId", value != nil) {
		c.length("sessionId", *value, 16, 16)
		c.pattern("sessionId", *value, sessionPattern)
	}
}

func (c *checker) participant(value *string) {
	if c.required("participantId", value != nil) {
		c.length("participantId", *value, 0, 64)
		c.pattern("participantId", *value, participantPattern)
	}
}

// attributes enforces the limit "1 KB total". It counts the bytes of all keys and values. AWS does
// not document what it counts.
func (c *checker) attributes(attributes map[string]string) {
	size := 0
	for k, v := range attributes {
		size += len(k) + len(v)
	}
	if size > stage.MaxAttributes {
		c.fail(fmt.Sprintf("%d bytes", size), "attributes",
			"Member must have at most %d bytes in total", stage.MaxAttributes)
	}
}

func (c *checker) tags(tags map[string]string) {
	if len(tags) > maxTags {
		c.fail(len(tags), "tags", "Member must have length less than or equal to %d", maxTags)
	}
	for k, v := range tags {
		c.tagKey("tags", k)
		c.length("tags", v, 0, 256)
	}
}

func (c *checker) tagKey(field, key string) {
	c.length(field, key, 1, 128)
	if strings.HasPrefix(strings.ToLower(key), "aws:") {
		c.fail(key, field, "Member must not begin with aws:, which is reserved")
	}
}
