// Package encoders reads the table of OBS's H.264 encoders from static/lib/encoders.js, with the
// settings that make each fit for WHIP. The dock, the commands and the script in OBS share that
// file.
package encoders

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/static"
)

// An Encoder is one of OBS's encoders.
type Encoder struct {
	ID       string `json:"id"`
	Name     string `json:"name"` // for people
	Hardware bool   `json:"hardware"`
	// the first version of OBS that has the encoder; empty if all do
	Since string `json:"since"`
	Until string `json:"until"` // the last version that has the encoder; empty if the newest has it
	// the content of streamEncoder.json, with the placeholders "{kbits}" and "{seconds}"
	Settings map[string]any `json:"settings"`
}

// A Request contains the settings for the script to write.
type Request struct {
	Encoder  string `json:"encoder"`
	Bitrate  int    `json:"bitrate"` // kb/s
	Interval int    `json:"keyint_sec"`
}

const (
	kbitsOf   = "{kbits}"
	secondsOf = "{seconds}"
)

// Table returns all encoders, in order of preference. It returns an error only if the embedded file
// is invalid.
func Table() ([]Encoder, error) {
	text, err := static.FS.ReadFile("lib/encoders.js")
	if err != nil {
		return nil, err
	}
	_, table, _ := strings.Cut(string(text), "ENCODERS = ")
	table, _, _ = strings.Cut(table, "];\n")
	var all []Encoder
	if err := json.Unmarshal([]byte(table+"]"), &all); err != nil {
		return nil, fmt.Errorf("static/lib/encoders.js: %w", err)
	}
	return all, nil
}

// Find returns the encoder with that ID.
func Find(id string) (Encoder, bool) {
	return first(func(e Encoder) bool { return e.ID == id })
}

// BestHardware returns the first hardware encoder among those that an OBS has.
func BestHardware(ids []string) (Encoder, bool) {
	return first(func(e Encoder) bool { return e.Hardware && slices.Contains(ids, e.ID) })
}

func first(wanted func(Encoder) bool) (Encoder, bool) {
	all, err := Table()
	if i := slices.IndexFunc(all, wanted); err == nil && i >= 0 {
		return all[i], true
	}
	return Encoder{}, false
}

// Fit returns the settings for a bitrate and a keyframe interval.
func (e Encoder) Fit(kbits, seconds int) map[string]any {
	settings := maps.Clone(e.Settings)
	for name, value := range settings {
		switch value {
		case kbitsOf:
			settings[name] = float64(kbits)
		case secondsOf:
			settings[name] = float64(seconds)
		}
	}
	return settings
}

// Unfit returns the names of the settings that do not fit a stage. It ignores the quality preset,
// which the person may choose.
func (e Encoder) Unfit(settings map[string]any, limits stage.Limits) (names []string) {
	within := func(name string, most float64) bool {
		n, ok := settings[name].(float64)
		return ok && n > 0 && n <= most
	}
	for _, name := range slices.Sorted(maps.Keys(e.Settings)) {
		fits := settings[name] == e.Settings[name]
		switch e.Settings[name] {
		case secondsOf:
			fits = within(name, math.Max(1, limits.MaxKeyframeInterval))
		case kbitsOf:
			fits = within(name, float64(limits.AdvisedBitrate)/1000)
		}
		if !fits && !slices.Contains([]string{"preset", "preset2", "target_usage"}, name) {
			names = append(names, name)
		}
	}
	return names
}

// Request returns the settings for the script to write. It keeps a bitrate that is lower than
// advised, because the uplink is probably slow.
func (e Encoder) Request(settings map[string]any, limits stage.Limits) Request {
	advised := min(50_000, limits.AdvisedBitrate/1000)
	if n, ok := settings["bitrate"].(float64); ok && n == math.Trunc(n) && n >= 300 &&
		n < float64(advised) {
		advised = int(n)
	}
	return Request{e.ID, advised, min(4, max(1, int(limits.MaxKeyframeInterval)))}
}

// Lua returns the table in Lua, for stagedoor.lua.
func Lua() (string, error) {
	all, err := Table()
	if err != nil {
		return "", err
	}
	var text strings.Builder
	text.WriteString("{\n")
	for _, e := range all {
		fmt.Fprintf(&text, "  { %q, {", e.ID)
		for i, name := range slices.Sorted(maps.Keys(e.Settings)) {
			if i > 0 {
				text.WriteString(",")
			}
			if i%4 == 0 {
				text.WriteString("\n     ")
			}
			value, err := json.Marshal(e.Settings[name])
			if err != nil {
				return "", err
			}
			fmt.Fprintf(&text, " %s = %s", name, value)
		}
		text.WriteString(" } },\n")
	}
	text.WriteString("}")
	return text.String(), nil
}
