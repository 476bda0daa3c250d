package obs

import (
	"cmp"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// simpleGOP is the default number of frames between keyframes of every encoder in Simple mode
// (x264, NVENC, AMF, QSV).
const simpleGOP = 250

// quick reports whether a preset of x264 is at least as fast as "veryfast", the preset that Amazon
// advises.
func quick(preset string) bool {
	return slices.Contains([]string{"ultrafast", "superfast", "veryfast"}, preset)
}

func judgePreset(chosen, options string, change Change) Finding {
	preset := cmp.Or(option(options, "preset"), chosen, "veryfast")
	if quick(preset) {
		return ok("preset", "find.preset.ok", words.Values{"preset": preset})
	}
	return fix("preset", "find.preset.slow", words.Values{"preset": preset},
		change.with("SimpleOutput/Preset", "veryfast"))
}

func judgeKeyframes(options string, v Video, limits stage.Limits, change Change) Finding {
	every := float64(whole(option(options, "keyint", "keyint-max"), 0)) / v.FPS()
	if every > 0 && every <= limits.MaxKeyframeInterval {
		return ok("keyframes", "find.keyframes.ok", words.Values{"seconds": round(every)})
	}
	if every == 0 || math.IsNaN(every) {
		every = simpleGOP / v.FPS()
	}
	return fix("keyframes", "find.keyframes.far", words.Values{"seconds": round(every),
		"wanted": limits.MaxKeyframeInterval}, change)
}

func judgeBFrames(options string, change Change) Finding {
	if whole(option(options, "bframes", "b"), 0) > 0 {
		return fix("bframes", "find.bframes.set", nil, change)
	}
	return ok("bframes", "find.bframes.ok", nil)
}

// judgeOptions checks for the settings of x264 that Amazon documents: Baseline, tuned for low
// latency, without sliced threads.
func judgeOptions(options string, change Change) []Finding {
	profile := cmp.Or(option(options, "profile"), "High")
	tunes := strings.FieldsFunc(option(options, "tune"),
		func(r rune) bool { return strings.ContainsRune(",./+-", r) })
	tuned := slices.Contains(tunes, "zerolatency")
	sliced := option(options, "sliced-threads")
	if sliced == "" && tuned {
		sliced = "1" // this tune turns sliced threads on
	}
	findings := []Finding{
		ok("h264Profile", "find.h264Profile.ok", nil),
		ok("tune", "find.tune.ok", nil),
		ok("slices", "find.slices.ok", nil),
	}
	if profile != "baseline" {
		findings[0] = fix("h264Profile", "find.h264Profile.other",
			words.Values{"profile": profile}, change)
	}
	if !tuned {
		findings[1] = fix("tune", "find.tune.off", nil, change)
	}
	if !slices.Contains([]string{"", "0", "false", "no"}, sliced) {
		findings[2] = fix("slices", "find.slices.on", nil, change)
	}
	return findings
}

// keyframes returns the longest interval that the stage allows, in frames.
func keyframes(v Video, limits stage.Limits) int {
	return max(1, int(math.Floor(v.FPS()*limits.MaxKeyframeInterval)))
}

// parsed splits the options at blanks, as OBS does. x264 reads "_" as "-".
func parsed(options string) (all []struct{ name, value, text string }) {
	for _, text := range strings.Split(options, " ") {
		if text != "" {
			name, value, _ := strings.Cut(text, "=")
			all = append(all, struct {
				name, value,
				text string
			}{strings.ReplaceAll(name, "_", "-"), value, text})
		}
	}
	return all
}

// option returns the last value of an option, which is the one that x264 uses.
func option(options string, names ...string) (value string) {
	for _, o := range parsed(options) {
		if slices.Contains(names, o.name) {
			value = o.value
		}
	}
	return value
}

// x264Options returns Stagedoor's options and the person's other options, without a preset that is
// too slow.
func x264Options(options string, keyint int) string {
	ours := []string{"keyint", "keyint-max", "bframes", "b", "profile", "tune", "sliced-threads"}
	all := []string{
		"keyint=" + strconv.Itoa(keyint), "bframes=0", "profile=baseline", "tune=zerolatency",
		"sliced-threads=0",
	}
	for _, o := range parsed(options) {
		if !slices.Contains(ours, o.name) && (o.name != "preset" || quick(o.value)) {
			all = append(all, o.text)
		}
	}
	return strings.Join(all, " ")
}
