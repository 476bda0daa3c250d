// Package script generates stagedoor.lua, the script that pairs an OBS with a Stagedoor server. OBS
// runs it under Tools → Scripts.
package script

import (
	_ "embed"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/static"
)

//go:embed stagedoor.lua
var template string

// Name is the file name of the script.
const Name = "stagedoor.lua"

// A Script contains the values of a script that differ between servers and persons.
type Script struct {
	Server *url.URL // address of the Stagedoor server
	// ID of the Stagedoor server, in hexadecimal; it does not change with the address
	ID       string
	User     string       // the name of the person
	Code     stage.Secret // the enrolment code; empty if the person signs in by hand
	Expires  time.Time    // expiry of the code
	Language string       // language of the sentences: "en", "de" or "es"
}

// Lua returns the text of the script. Since the dock receives the password of OBS, Lua returns an
// error if the dock would be loaded over a network without encryption.
func (s Script) Lua() (string, error) {
	if s.Server.Scheme != "https" && !loopback(s.Server.Hostname()) {
		return "", stage.Errorf(stage.ErrConflict,
			"OBS is paired over https only; this server's address is %s.", s.Server).
			WithCode("needs_https")
	}
	if strings.Trim(s.ID, "0123456789abcdef") != "" || s.ID == "" {
		return "", fmt.Errorf("the ID of the server is not hexadecimal: %q", s.ID)
	}
	table, err := encoders.Lua()
	if err != nil {
		return "", err
	}
	say, err := sentences(s.Language)
	if err != nil {
		return "", err
	}
	server := strings.TrimSuffix(s.Server.Scheme+"://"+s.Server.Host+s.Server.EscapedPath(), "/")
	return strings.NewReplacer(
		"{{name}}", plain(s.User),
		"{{server}}", plain(server),
		"{{id}}", s.ID,
		"{{code}}", plain(s.Code.Reveal()),
		"{{expires}}", fmt.Sprint(s.Expires.Unix()),
		"{{until}}", s.Expires.UTC().Format("2006-01-02 15:04 MST"),
		"{{sentences}}", say,
		"{{encoders}}", table,
	).Replace(template), nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// plain replaces characters that would end a comment or a string in Lua by blanks.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '"' || r == '\\' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
}

// shared are the keys of the sentences that the script has in common with the pages.
var shared = []string{"find.whip.old", "find.whip.missing"}

// sentences returns the sentences of the script in a language, as a Lua table. They have no soft
// hyphens, since OBS's log would show them.
func sentences(language string) (string, error) {
	words, err := static.Sentences(language)
	if err != nil {
		return "", err
	}
	lines := []string{"{"}
	for _, key := range slices.Sorted(maps.Keys(words)) {
		name, own := strings.CutPrefix(key, "script.")
		if !own && !slices.Contains(shared, key) {
			continue
		}
		text := strings.ReplaceAll(plain(words[key]), "\u00ad", "")
		lines = append(lines, fmt.Sprintf("  [%q] = \"%s\",", name, text))
	}
	return strings.Join(append(lines, "}"), "\n"), nil
}
