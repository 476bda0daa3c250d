package obs

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

// Profile is the name of Stagedoor's own profile in OBS.
const Profile = "Stagedoor"

// A Level says by whom a finding can be fixed.
type Level string

const (
	Fix    Level = "fix"    // SetUp fixes it
	Person Level = "person" // only the person can fix it
	OK     Level = "ok"     // nothing has to be fixed
)

// A Finding is the result of checking one setting of OBS.
type Finding struct {
	ID    string `json:"id"`
	Level Level  `json:"level"`
	// the sentence in English; static/strings has it in every language
	Text   string `json:"text"`
	Change Change `json:"change,omitzero"`  // empty unless the level is Fix
	Blocks bool   `json:"blocks,omitempty"` // SetUp can do nothing until the person has fixed it
}

// Describe returns a finding as one line of text.
func (f Finding) Describe() string { return fmt.Sprintf("%-6s  %-12s  %s", f.Level, f.ID, f.Text) }

// A Change is what SetUp does about a finding.
type Change struct {
	Params map[string]string `json:"params,omitempty"` // "Category/Name" in Stagedoor's profile
	Video  map[string]int    `json:"video,omitempty"`  // fields of SetVideoSettings
	// Encoder is what the script in OBS must write.
	Encoder *encoders.Request `json:"encoder,omitempty"`
}

// minHeight is the smallest picture height that Amazon IVS accepts.
const minHeight = 160

// maxAudio is the highest audio bitrate, in kb/s, that Amazon IVS accepts. Above 256 kb/s, OBS's
// Opus encoder does not even start (obs-studio#12753).
const maxAudio = 160

// maxRetryDelay is the longest allowed delay, in seconds, before OBS's first attempt to reconnect.
// OBS makes each further delay 1.5 times as long, and viewers see nothing meanwhile.
const maxRetryDelay = 10

// Ready reports whether SetUp has nothing to fix and nothing blocks it.
func Ready(findings []Finding) bool {
	return len(findings) > 0 && !slices.ContainsFunc(findings,
		func(f Finding) bool { return f.Level == Fix || f.Blocks })
}

// Judge compares a reading with the limits of a stage. The dock has the same rules in
// static/lib/obs-check.js. Tests with testdata/cases.json and with random readings check that both
// copies are equal.
func Judge(r Reading, limits stage.Limits) []Finding {
	whip := judgeWHIP(r)
	if whip.Level == Person {
		return []Finding{whip}
	}
	encoders := judgeSimple
	if r.Params["Output/Mode"] == "Advanced" {
		encoders = judgeAdvanced
	}
	findings := append([]Finding{judgeService(r)}, encoders(r, limits)...)
	findings = append(findings, judgeChannels(r)...)
	findings = append(findings, judgeResolution(r, limits), judgeFPS(r))
	findings = append(findings, judgeReconnect(r)...)
	findings = append(findings, judgeDelay(r), judgeLayers(r), judgeAccount(r))
	toFix := slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fix })
	if toFix && r.Profile != Profile {
		// Drop the findings that only the person could fix, because SetUp selects Stagedoor's
		// profile and judges the settings there.
		findings = slices.DeleteFunc(findings, func(f Finding) bool {
			return f.Level == Person &&
				!f.Blocks
		})
	}
	findings = append([]Finding{whip, judgeProfile(r, toFix), judgeMode(r, toFix)}, findings...)
	if toFix {
		findings = append(judgeBusy(r), findings...)
	}
	return findings
}

func ok(id, text string, v words.Values) Finding {
	return Finding{ID: id, Level: OK, Text: words.English(text, v)}
}

func fix(id, text string, v words.Values, change Change) Finding {
	return Finding{ID: id, Level: Fix, Text: words.English(text, v), Change: change}
}

func person(id, text string, v words.Values) Finding {
	return Finding{ID: id, Level: Person, Text: words.English(text, v)}
}

// blocking returns a finding that the person must fix before SetUp can do anything.
func blocking(id, text string, v words.Values) Finding {
	f := person(id, text, v)
	f.Blocks = true
	return f
}

func params(pairs ...string) Change {
	c := Change{Params: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.Params[pairs[i]] = pairs[i+1]
	}
	return c
}

// with returns a copy of the change with one more parameter.
func (c Change) with(name, value string) Change {
	all := maps.Clone(c.Params)
	all[name] = value
	return Change{Params: all, Video: c.Video, Encoder: c.Encoder}
}

var wholeNumber = regexp.MustCompile(`^[+-]?\d{1,9}$`)

// whole parses a whole number as OBS writes it. Any other text counts as not set.
func whole(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil && wholeNumber.MatchString(text) {
		return n
	}
	return otherwise
}

// isOn reads a boolean setting as OBS does: "true" and every number but 0 are true.
func isOn(p map[string]string, name string, otherwise bool) bool {
	text, set := p[name]
	if !set {
		return otherwise
	}
	return strings.EqualFold(text, "true") || whole(text, 0) != 0
}

// round rounds to one decimal.
func round(n float64) float64 {
	if math.IsNaN(n) || math.IsInf(n, 0) {
		return 0
	}
	return math.Floor(n*10+0.5) / 10
}

// judgeWHIP checks that OBS can publish by WHIP. OBS has had WHIP since version 30. The packages of
// Ubuntu and Debian are built without it. That WHIP is missing shows only when OBS receives the
// WHIP service: it then answers with status 700.
func judgeWHIP(r Reading) Finding {
	switch {
	case r.major() < 30:
		return blocking("whip", "find.whip.old", words.Values{"version": r.Version})
	case r.NoWHIP:
		return blocking("whip", "find.whip.missing", nil)
	}
	return ok("whip", "find.whip.ok", words.Values{"version": r.Version})
}

// judgeMode checks the output mode. Stagedoor's profile uses Simple mode, because its settings can
// be read and written by requests. If a person chose Advanced mode in this profile for a hardware
// encoder, SetUp keeps that mode. The mode of a profile can be read only while the profile is
// selected.
func judgeMode(r Reading, toFix bool) Finding {
	switch {
	case r.Params["Output/Mode"] != "Advanced":
		return ok("mode", "find.mode.simple", nil)
	case r.Profile == Profile || !toFix:
		return ok("mode", "find.mode.advanced", nil)
	case slices.Contains(r.Profiles, Profile):
		return fix("mode", "find.mode.theirs", words.Values{"ours": Profile}, Change{})
	}
	return fix("mode", "find.mode.fix", words.Values{"ours": Profile},
		params("Output/Mode", "Simple"))
}

func judgeProfile(r Reading, toFix bool) Finding {
	switch {
	case r.Profile == Profile || !toFix:
		return ok("profile", "find.profile.ok", words.Values{"profile": r.Profile})
	case slices.Contains(r.Profiles, Profile):
		return fix("profile", "find.profile.select",
			words.Values{"profile": r.Profile, "ours": Profile}, Change{})
	}
	return fix("profile", "find.profile.create", words.Values{"profile": r.Profile,
		"ours": Profile}, Change{})
}

// judgeService checks the service, including its name. Without the name, OBS's settings dialog
// shows the first common service. If the person then clicks OK, OBS saves that service in place of
// WHIP.
func judgeService(r Reading) Finding {
	name := r.Service.name()
	switch {
	case r.Service.Type != whipCustom && name != "":
		return fix("service", "find.service.other", words.Values{"service": name}, Change{})
	case r.Service.Type != whipCustom:
		return fix("service", "find.service.none", nil, Change{})
	case r.Service.text("service") != "WHIP":
		return fix("service", "find.service.name", nil, Change{})
	}
	return ok("service", "find.service.ok", nil)
}

var hostOf = regexp.MustCompile(`(?i)^[a-z]+://(?:[^/@]*@)?([^/:?#]+)`)

// name returns where OBS streams to: the name of a service, or else only the host of the server,
// because the rest of the URL may contain a key. It returns "" for a service that was never set.
func (s Service) name() string {
	if name := s.text("service"); name != "" {
		return name
	}
	if host := hostOf.FindStringSubmatch(s.text("server")); host != nil {
		return host[1]
	}
	return ""
}

func judgeSimple(r Reading, limits stage.Limits) []Finding {
	p := r.Params
	findings := []Finding{
		judgeAudio(p["SimpleOutput/StreamAudioEncoder"] == "opus"),
		judgeAudioBitrate(p, "SimpleOutput/ABitrate"),
	}
	findings = append(findings, judgeSimpleEncoder(r, limits)...)
	return append(findings, judgeBitrate(p, limits))
}

// judgeAudio checks the audio encoder. OBS labels the output of any encoder as Opus, and browsers
// do not play AAC under that label.
func judgeAudio(opus bool) Finding {
	if opus {
		return ok("audio", "find.audio.ok", nil)
	}
	return fix("audio", "find.audio.aac", nil, params("SimpleOutput/StreamAudioEncoder", "opus",
		"AdvOut/AudioEncoder", "ffmpeg_opus"))
}

func judgeAudioBitrate(p map[string]string, name string) Finding {
	kbits := whole(p[name], maxAudio)
	if kbits <= maxAudio {
		return ok("audioBitrate", "find.audioBitrate.ok", words.Values{"kbits": kbits})
	}
	return fix("audioBitrate", "find.audioBitrate.high",
		words.Values{"kbits": kbits, "most": maxAudio, "wanted": maxAudio},
		params(name, strconv.Itoa(maxAudio)))
}

// judgeSimpleEncoder checks the encoder of Simple mode. Stages accept only H.264. In Simple mode,
// the keyframe interval can be set only for x264, and hardware encoders use 250 frames. So the
// encoder must be x264, unless 250 frames are within the limit.
func judgeSimpleEncoder(r Reading, limits stage.Limits) []Finding {
	encoder, preset, options := cmp.Or(r.Params["SimpleOutput/StreamEncoder"], "x264"), "", ""
	if isOn(r.Params, "SimpleOutput/UseAdvanced", false) {
		preset, options = r.Params["SimpleOutput/Preset"], r.Params["SimpleOutput/x264Settings"]
	}
	change := params("SimpleOutput/UseAdvanced", "true", "SimpleOutput/x264Settings",
		x264Options(options, keyframes(r.Video, limits)))
	if !strings.HasPrefix(encoder, "x264") {
		return judgeHardware(encoder, r.Video, limits,
			change.with("SimpleOutput/StreamEncoder", "x264"))
	}
	findings := []Finding{
		ok("encoder", "find.encoder.ok", nil),
		judgePreset(preset, options, change),
		judgeKeyframes(options, r.Video, limits, change),
		judgeBFrames(options, change),
	}
	return append(findings, judgeOptions(options, change)...)
}

// judgeHardware checks a hardware encoder. Apple's encoder sends B-frames in Simple mode
// (obs-studio#11237).
func judgeHardware(encoder string, v Video, limits stage.Limits, change Change) []Finding {
	every := simpleGOP / v.FPS()
	switch {
	case strings.Contains(encoder, "hevc"), strings.Contains(encoder, "av1"):
		return []Finding{
			fix("encoder", "find.encoder.codec", words.Values{"encoder": encoder}, change)}
	case strings.HasPrefix(encoder, "apple"):
		return []Finding{fix("encoder", "find.encoder.apple", nil, change)}
	case every > limits.MaxKeyframeInterval:
		return []Finding{
			fix("encoder", "find.encoder.hardware",
				words.Values{"encoder": encoder, "seconds": round(every)}, change),
		}
	}
	return []Finding{
		ok("encoder", "find.encoder.advanced", words.Values{"encoder": encoder}),
		ok("keyframes", "find.keyframes.ok", words.Values{"seconds": round(every)}),
	}
}

var notH264, appleEncoder = regexp.MustCompile(`(?i)hevc|h265|av1|aom|svt`), regexp.MustCompile(`(?i)videotoolbox|apple`)

// judgeAdvanced checks Advanced mode. Its encoder settings are in a file that no request reads or
// writes (obs-websocket#1288).
func judgeAdvanced(r Reading, limits stage.Limits) []Finding {
	p := r.Params
	encoder := cmp.Or(p["AdvOut/Encoder"], "obs_x264")
	if known, found := encoders.Find(encoder); found && r.Encoder != nil {
		return judgeKnown(p, known, r.Encoder, limits)
	}
	other := notH264.MatchString(encoder)
	findings := []Finding{
		judgeAudio(p["AdvOut/AudioEncoder"] == "ffmpeg_opus"),
		judgeAudioBitrate(p, "AdvOut/Track"+cmp.Or(p["AdvOut/TrackIndex"], "1")+"Bitrate"),
		ok("encoder", "find.encoder.advanced", words.Values{"encoder": encoder}),
		person("keyframes", "find.keyframes.advanced", words.Values{
			"wanted": limits.MaxKeyframeInterval, "bitrate": limits.AdvisedBitrate / 1000,
		}),
	}
	if other {
		findings[2] = fix("encoder", "find.encoder.codec", words.Values{"encoder": encoder},
			params("AdvOut/Encoder", "obs_x264"))
	}
	if other || strings.Contains(encoder, "x264") {
		findings = append(findings, person("tune", "find.tune.advanced", nil))
	}
	switch {
	case appleEncoder.MatchString(encoder):
		findings = append(findings, person("bframes", "find.bframes.apple", nil))
	case !isOn(p, "AdvOut/ApplyServiceSettings", true):
		findings = append(findings, fix("bframes", "find.bframes.ignored", nil,
			params("AdvOut/ApplyServiceSettings", "true")))
	}
	return findings
}

// judgeKnown checks Advanced mode with an encoder of the table in package encoders. The script in
// OBS has read the encoder's settings.
func judgeKnown(
	p map[string]string, e encoders.Encoder, settings map[string]any, limits stage.Limits,
) []Finding {
	findings := []Finding{
		judgeAudio(p["AdvOut/AudioEncoder"] == "ffmpeg_opus"),
		judgeAudioBitrate(p, "AdvOut/Track"+cmp.Or(p["AdvOut/TrackIndex"], "1")+"Bitrate"),
		ok("encoder", "find.encoder.advanced", words.Values{"encoder": e.Name}),
	}
	if unfit := e.Unfit(settings, limits); len(unfit) > 0 {
		request := e.Request(settings, limits)
		findings = append(findings, fix("encoderFile", "find.encoderFile.unfit",
			words.Values{"encoder": e.Name, "settings": strings.Join(unfit, ", ")}, Change{
				Encoder: &request,
			}))
	} else {
		seconds, _ := settings["keyint_sec"].(float64)
		kbits, _ := settings["bitrate"].(float64)
		findings = append(findings, ok("encoderFile", "find.encoderFile.ok",
			words.Values{"seconds": round(seconds), "kbits": int(kbits)}))
	}
	if !isOn(p, "AdvOut/ApplyServiceSettings", true) {
		findings = append(findings, fix("bframes", "find.bframes.ignored", nil,
			params("AdvOut/ApplyServiceSettings", "true")))
	}
	return findings
}

func judgeBitrate(p map[string]string, limits stage.Limits) Finding {
	kbits, wanted := whole(p["SimpleOutput/VBitrate"], 6000), limits.AdvisedBitrate/1000
	change := params("SimpleOutput/VBitrate", strconv.Itoa(wanted))
	switch {
	case kbits <= wanted:
		return ok("bitrate", "find.bitrate.ok", words.Values{"kbits": kbits})
	case kbits*1000 > limits.MaxBitrate:
		return fix("bitrate", "find.bitrate.forbidden",
			words.Values{"kbits": kbits, "most": limits.MaxBitrate / 1000, "wanted": wanted},
			change)
	}
	return fix("bitrate", "find.bitrate.high",
		words.Values{"kbits": kbits, "wanted": wanted}, change)
}

// judgeChannels checks the number of audio channels. OBS asks for a restart when this setting
// changes, so only the person can fix it.
func judgeChannels(r Reading) []Finding {
	channels := cmp.Or(r.Params["Audio/ChannelSetup"], "Stereo")
	if channels == "Stereo" || channels == "Mono" {
		return nil
	}
	return []Finding{person("channels", "find.channels", words.Values{"channels": channels})}
}

func judgeResolution(r Reading, limits stage.Limits) Finding {
	width, height := r.Video.OutputWidth, r.Video.OutputHeight
	w, h := fitted(width, height, limits.MaxHeight)
	if w == width && h == height {
		return ok("resolution", "find.resolution.ok",
			words.Values{"width": width, "height": height})
	}
	return fix("resolution", "find.resolution.large", words.Values{
		"width": width, "height": height, "w": w, "h": h, "most": limits.MaxHeight,
	},
		Change{Video: map[string]int{"outputWidth": w, "outputHeight": h}})
}

// judgeFPS checks the frame rate: Amazon IVS accepts 10 to 60 frames a second.
func judgeFPS(r Reading) Finding {
	fps := words.Values{"fps": round(r.Video.FPS())}
	if rate := r.Video.FPS(); rate < 10 || rate > 60.001 {
		return fix("fps", "find.fps.odd", fps, Change{
			Video: map[string]int{"fpsNumerator": 30, "fpsDenominator": 1},
		})
	}
	return ok("fps", "find.fps.ok", fps)
}

// judgeReconnect checks that OBS reconnects. Zero retries mean that it does not (libobs,
// can_reconnect).
func judgeReconnect(r Reading) []Finding {
	wanted := params()
	if !isOn(r.Params, "Output/Reconnect", true) {
		wanted.Params["Output/Reconnect"] = "true"
	}
	if whole(r.Params["Output/MaxRetries"], 25) < 1 {
		wanted.Params["Output/MaxRetries"] = "25"
	}
	findings := []Finding{ok("reconnect", "find.reconnect.ok", nil)}
	if len(wanted.Params) > 0 {
		findings[0] = fix("reconnect", "find.reconnect.off", nil, wanted)
	}
	if seconds := whole(r.Params["Output/RetryDelay"], 2); seconds > maxRetryDelay {
		findings = append(findings, fix("retryDelay", "find.retryDelay",
			words.Values{"seconds": seconds, "wanted": 2}, params("Output/RetryDelay", "2")))
	}
	return findings
}

func judgeDelay(r Reading) Finding {
	if isOn(r.Params, "Output/DelayEnable", false) {
		return fix("delay", "find.delay", nil, params("Output/DelayEnable", "false"))
	}
	return ok("delay", "find.delay.ok", nil)
}

func judgeLayers(r Reading) Finding {
	switch layers := whole(r.Params["Stream1/WHIPSimulcastTotalLayers"], 1); {
	case layers > 1:
		return fix("layers", "find.layers.many", words.Values{"layers": layers},
			params("Stream1/WHIPSimulcastTotalLayers", "1"))
	case isOn(r.Params, "Stream1/EnableMultitrackVideo", false):
		return fix("layers", "find.layers.multitrack", nil,
			params("Stream1/EnableMultitrackVideo", "false"))
	}
	return ok("layers", "find.layers.ok", nil)
}

// judgeAccount checks for a linked account. At every start, a linked account writes its stream key
// into the service that is set. The link belongs to the profile.
func judgeAccount(r Reading) Finding {
	account := r.Params["Auth/Type"]
	switch {
	case account == "" || account == "None":
		return ok("account", "find.account.ok", nil)
	case r.Profile == Profile:
		return blocking("account", "find.account.ours", words.Values{"account": account})
	}
	return fix("account", "find.account.linked", words.Values{"account": account,
		"ours": Profile}, Change{})
}

// judgeBusy checks that no output is active, because OBS rebuilds its encoders only then.
func judgeBusy(r Reading) (findings []Finding) {
	sentences := map[string]string{
		"stream": "find.busy.stream", "record": "find.busy.record", "replay": "find.busy.replay",
		"camera": "find.busy.camera",
	}
	for _, name := range r.Active.names() {
		findings = append(findings, blocking("busy."+name, sentences[name], nil))
	}
	return findings
}

// fitted returns the nearest even size with the same aspect ratio. Its short side is within the
// limit, and its long side within 16/9 of the limit.
func fitted(width, height, limit int) (int, int) {
	w, h := float64(width), float64(height)
	short := min(w, h)
	if short <= 0 {
		return width, height
	}
	long := math.Floor(float64(limit) * 16 / 9)
	scale := max(minHeight/short, min(1, float64(limit)/short, long/max(w, h)))
	even := func(n float64) int { return max(8, int(math.Floor(n*scale/2+0.5))*2) }
	return even(w), even(h)
}
