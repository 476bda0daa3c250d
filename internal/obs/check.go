package obs

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Profile is the name of the profile that is ours.
const Profile = "Stagedoor"

// A Level says who can mend what was found.
type Level string

// The levels of a finding.
const (
	Fix    Level = "fix"    // setting OBS up changes it
	Person Level = "person" // only the person can
	OK     Level = "ok"
)

// A Finding is one thing about OBS, in a sentence.
type Finding struct {
	ID     string `json:"id"`
	Level  Level  `json:"level"`
	Text   string `json:"text"`
	Change Change `json:"change,omitzero"`  // empty unless the level is Fix
	Blocks bool   `json:"blocks,omitempty"` // nothing can be set up before the person has done it
}

// A Change is what setting up does about a finding.
type Change struct {
	Params map[string]string `json:"params,omitempty"` // "Category/Name" in our profile
	Video  map[string]int    `json:"video,omitempty"`  // fields of SetVideoSettings
}

// maxOpus in kb/s: above it OBS's Opus encoder does not start, with a message about AAC (obs-studio#12753).
const maxOpus = 256

// maxRetryDelay in seconds before OBS knocks again, which it makes half as long again each time; viewers wait for all of it.
const maxRetryDelay = 10

// simpleGOP is the frames between keyframes of every encoder in Simple mode that is not told otherwise (x264, NVENC, AMF, QSV).
const simpleGOP = 250

// Check reads OBS and judges it.
func Check(ctx context.Context, c *Client, limits stage.Limits) ([]Finding, error) {
	r, err := Read(ctx, c)
	if err != nil {
		return nil, err
	}
	return Judge(r, limits), nil
}

// Ready says that nothing is to be fixed and nothing is in the way.
func Ready(findings []Finding) bool {
	return len(findings) > 0 && !slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fix || f.Blocks })
}

// Judge holds a reading against what a stage takes. The dock's copy of these rules is static/lib/obs-check.js.
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
	findings = append(findings, judgeResolution(r, limits), judgeFPS(r))
	findings = append(findings, judgeReconnect(r)...)
	findings = append(findings, judgeDelay(r), judgeLayers(r), judgeAccount(r))
	toFix := slices.ContainsFunc(findings, func(f Finding) bool { return f.Level == Fix })
	if toFix && r.Profile != Profile {
		// What only the person could set here does not matter once our profile is selected; what is set there shows then.
		findings = slices.DeleteFunc(findings, func(f Finding) bool { return f.Level == Person && !f.Blocks })
	}
	findings = append([]Finding{whip, judgeProfile(r, toFix), judgeMode(r, toFix)}, findings...)
	if toFix {
		findings = append(judgeBusy(r), findings...)
	}
	return findings
}

func ok(id, format string, args ...any) Finding {
	return Finding{ID: id, Level: OK, Text: fmt.Sprintf(format, args...)}
}

func fix(id string, change Change, format string, args ...any) Finding {
	return Finding{ID: id, Level: Fix, Text: fmt.Sprintf(format, args...), Change: change}
}

func person(id string, blocks bool, format string, args ...any) Finding {
	return Finding{ID: id, Level: Person, Text: fmt.Sprintf(format, args...), Blocks: blocks}
}

func params(pairs ...string) Change {
	c := Change{Params: map[string]string{}}
	for i := 0; i+1 < len(pairs); i += 2 {
		c.Params[pairs[i]] = pairs[i+1]
	}
	return c
}

// judgeWHIP: WHIP came with OBS 30; Ubuntu's and Debian's packages are built without it, which only status 700 tells.
func judgeWHIP(r Reading) Finding {
	switch {
	case r.major() < 30:
		return person("whip", true, "OBS %s is too old: WHIP came with OBS 30. Update OBS.", r.Version)
	case r.NoWHIP:
		return person("whip", true, "This OBS has no WHIP: it was built without it, as the Ubuntu and Debian packages are. Install OBS from Flathub (Flatpak) or obsproject.com.")
	}
	return ok("whip", "OBS %s is new enough for WHIP.", r.Version)
}

// judgeMode: a profile of our own is made in Simple mode, whose settings can be read and set. Who has switched it to Advanced
// mode, for a hardware encoder, is respected; from another profile nobody can see that.
func judgeMode(r Reading, toFix bool) Finding {
	switch {
	case r.Params["Output/Mode"] != "Advanced":
		return ok("mode", "The output mode is Simple.")
	case r.Profile == Profile || !toFix:
		return ok("mode", "The output mode is Advanced.")
	}
	if slices.Contains(r.Profiles, Profile) {
		return fix("mode", Change{}, "The output mode is Advanced. “%s” has a mode of its own, which stays.", Profile)
	}
	return fix("mode", params("Output/Mode", "Simple"), "The output mode is Advanced, whose encoder settings cannot be set from here. “%s” is made in Simple mode.", Profile)
}

func judgeProfile(r Reading, toFix bool) Finding {
	switch {
	case r.Profile == Profile || !toFix:
		return ok("profile", "The profile “%s” is in use.", r.Profile)
	case slices.Contains(r.Profiles, Profile):
		return fix("profile", Change{}, "The profile “%s” will be selected, with the output mode that is set there; “%s” stays as it is.", Profile, r.Profile)
	}
	return fix("profile", Change{}, "A profile “%s” will be made; “%s” stays as it is.", Profile, r.Profile)
}

// judgeService wants the name, too: without it the settings dialog shows the first common service and, on OK, writes it over WHIP.
func judgeService(r Reading) Finding {
	switch {
	case r.Service.Type != whipCustom:
		return fix("service", Change{}, "OBS streams to “%s”. It will be given the stage's WHIP endpoint.", cmp.Or(r.Service.text("service"), r.Service.Type))
	case r.Service.text("service") != "WHIP":
		return fix("service", Change{}, "OBS's settings window would not show the service as WHIP, and overwrite it. The name will be added.")
	}
	return ok("service", "OBS streams by WHIP.")
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

// judgeAudio: OBS labels whatever its encoder makes as Opus, and nobody hears AAC.
func judgeAudio(opus bool) Finding {
	if opus {
		return ok("audio", "Sound is encoded as Opus.")
	}
	return fix("audio", params("SimpleOutput/StreamAudioEncoder", "opus", "AdvOut/AudioEncoder", "ffmpeg_opus"),
		"Sound is encoded as AAC, which no viewer would hear over WHIP. It becomes Opus.")
}

func judgeAudioBitrate(p map[string]string, name string) Finding {
	kbits := number(p[name], 160)
	if kbits <= maxOpus {
		return ok("audioBitrate", "Sound has %d kb/s.", kbits)
	}
	return fix("audioBitrate", params(name, "160"), "Opus does not start in OBS above %d kb/s; sound has %d. It becomes 160.", maxOpus, kbits)
}

// judgeSimpleEncoder: Simple mode lets the keyframe interval be set for x264 alone. Apple's encoder makes B-frames there
// (obs-studio#11237), and stages take nothing but H.264.
func judgeSimpleEncoder(r Reading, limits stage.Limits) []Finding {
	encoder := cmp.Or(r.Params["SimpleOutput/StreamEncoder"], "x264")
	options := ""
	if r.Params["SimpleOutput/UseAdvanced"] == "true" {
		options = r.Params["SimpleOutput/x264Settings"]
	}
	wanted := params("SimpleOutput/UseAdvanced", "true", "SimpleOutput/x264Settings", x264Options(options, keyframes(r.Video, limits)))
	if !strings.HasPrefix(encoder, "x264") {
		return []Finding{judgeHardware(encoder, r.Video, limits, wanted)}
	}
	return []Finding{ok("encoder", "Video is encoded by x264 (H.264)."), judgeKeyframes(options, r.Video, limits, wanted), judgeBFrames(options, wanted)}
}

func judgeHardware(encoder string, v Video, limits stage.Limits, wanted Change) Finding {
	wanted.Params["SimpleOutput/StreamEncoder"] = "x264"
	every := simpleGOP / v.FPS()
	switch {
	case strings.Contains(encoder, "hevc"), strings.Contains(encoder, "av1"):
		return fix("encoder", wanted, "The encoder “%s” does not make H.264, the only codec that stages take. It becomes x264.", encoder)
	case strings.HasPrefix(encoder, "apple"):
		return fix("encoder", wanted, "Apple's encoder makes B-frames, which stutter on a stage. It becomes x264.")
	case every <= limits.MaxKeyframeInterval:
		return ok("encoder", "Video is encoded by %s, with a keyframe every %.1f s.", encoder, every)
	}
	return fix("encoder", wanted, "The encoder “%s” makes a keyframe only every %.1f s, so viewers would wait for a picture. It becomes x264.", encoder, every)
}

func judgeKeyframes(options string, v Video, limits stage.Limits, wanted Change) Finding {
	keyint := float64(number(option(options, "keyint"), simpleGOP))
	every := keyint / v.FPS()
	if option(options, "keyint") != "" && every <= limits.MaxKeyframeInterval && every > 0 {
		return ok("keyframes", "A keyframe comes every %.1f s.", every)
	}
	return fix("keyframes", wanted, "A keyframe comes only every %.1f s, so viewers would wait for a picture. It becomes %v s.", every, limits.MaxKeyframeInterval)
}

func judgeBFrames(options string, wanted Change) Finding {
	if number(cmp.Or(option(options, "bframes"), option(options, "b")), 0) > 0 {
		return fix("bframes", wanted, "x264 is told to make B-frames, which stutter on a stage. They are switched off.")
	}
	return ok("bframes", "There are no B-frames.")
}

// judgeAdvanced: in Advanced mode the video encoder's settings lie in a file that no request reads or writes (obs-websocket#1288).
func judgeAdvanced(r Reading, limits stage.Limits) []Finding {
	p := r.Params
	encoder := cmp.Or(p["AdvOut/Encoder"], "obs_x264")
	findings := []Finding{
		judgeAudio(p["AdvOut/AudioEncoder"] == "ffmpeg_opus"),
		judgeAudioBitrate(p, "AdvOut/Track"+cmp.Or(p["AdvOut/TrackIndex"], "1")+"Bitrate"),
		judgeAdvancedEncoder(encoder),
		person("keyframes", false, "In Advanced mode only you can set the video encoder: under Settings → Output a keyframe interval of at most %v s, no B-frames, and at most %d kb/s.",
			limits.MaxKeyframeInterval, limits.AdvisedBitrate/1000),
	}
	lower := strings.ToLower(encoder)
	switch {
	case strings.Contains(lower, "videotoolbox"), strings.Contains(lower, "apple"):
		findings = append(findings, person("bframes", false, "Untick “Use B-Frames” for Apple's encoder under Settings → Output."))
	case p["AdvOut/ApplyServiceSettings"] == "false":
		findings = append(findings, fix("bframes", params("AdvOut/ApplyServiceSettings", "true"), "OBS is told to ignore what WHIP asks of the encoder, so B-frames may be sent. It will keep to it."))
	}
	return findings
}

func judgeAdvancedEncoder(encoder string) Finding {
	for _, other := range []string{"hevc", "h265", "av1", "aom", "svt"} {
		if strings.Contains(strings.ToLower(encoder), other) {
			return fix("encoder", params("AdvOut/Encoder", "obs_x264"), "The encoder “%s” does not make H.264, the only codec that stages take. It becomes x264.", encoder)
		}
	}
	return ok("encoder", "Video is encoded by %s.", encoder)
}

func judgeBitrate(p map[string]string, limits stage.Limits) Finding {
	kbits, advised := number(p["SimpleOutput/VBitrate"], 6000), limits.AdvisedBitrate/1000
	change := params("SimpleOutput/VBitrate", strconv.Itoa(advised))
	switch {
	case kbits <= advised:
		return ok("bitrate", "Video has %d kb/s.", kbits)
	case kbits*1000 > limits.MaxBitrate:
		return fix("bitrate", change, "Video has %d kb/s; the stage ends broadcasts above %d. It becomes %d.", kbits, limits.MaxBitrate/1000, advised)
	}
	return fix("bitrate", change, "Video has %d kb/s; at most %d are advised for this stage. It becomes %d.", kbits, advised, advised)
}

func judgeResolution(r Reading, limits stage.Limits) Finding {
	w, h := fitted(r.Video.OutputWidth, r.Video.OutputHeight, limits.MaxHeight)
	if w == r.Video.OutputWidth && h == r.Video.OutputHeight {
		return ok("resolution", "The picture has %d×%d.", w, h)
	}
	return fix("resolution", Change{Video: map[string]int{"outputWidth": w, "outputHeight": h}},
		"The picture has %d×%d; the stage takes even sides and up to %dp. It becomes %d×%d.", r.Video.OutputWidth, r.Video.OutputHeight, limits.MaxHeight, w, h)
}

// judgeFPS: IVS takes 10 to 60 frames a second.
func judgeFPS(r Reading) Finding {
	if fps := r.Video.FPS(); fps < 10 || fps > 60.001 {
		return fix("fps", Change{Video: map[string]int{"fpsNumerator": 30, "fpsDenominator": 1}}, "OBS makes %.4g frames a second; stages take 10 to 60. It becomes 30.", fps)
	}
	return ok("fps", "OBS makes %.4g frames a second.", r.Video.FPS())
}

// judgeReconnect: no retries are as good as none allowed (libobs, can_reconnect).
func judgeReconnect(r Reading) []Finding {
	wanted := params()
	if r.Params["Output/Reconnect"] == "false" {
		wanted.Params["Output/Reconnect"] = "true"
	}
	if number(r.Params["Output/MaxRetries"], 25) < 1 {
		wanted.Params["Output/MaxRetries"] = "25"
	}
	findings := []Finding{ok("reconnect", "OBS reconnects by itself.")}
	if len(wanted.Params) > 0 {
		findings[0] = fix("reconnect", wanted, "OBS would not reconnect by itself after a break. It will.")
	}
	if seconds := number(r.Params["Output/RetryDelay"], 2); seconds > maxRetryDelay {
		findings = append(findings, fix("retryDelay", params("Output/RetryDelay", "2"), "After a break OBS waits for %d s before it calls again, and viewers with it. It becomes 2 s.", seconds))
	}
	return findings
}

func judgeDelay(r Reading) Finding {
	if r.Params["Output/DelayEnable"] == "true" {
		return fix("delay", params("Output/DelayEnable", "false"), "A stream delay is on. It is switched off: a stage is live.")
	}
	return ok("delay", "There is no stream delay.")
}

func judgeLayers(r Reading) Finding {
	switch layers := number(r.Params["Stream1/WHIPSimulcastTotalLayers"], 1); {
	case layers > 1:
		return fix("layers", params("Stream1/WHIPSimulcastTotalLayers", "1"), "OBS would send %d simulcast layers, and stop if the stage takes fewer. It sends one.", layers)
	case r.Params["Stream1/EnableMultitrackVideo"] == "true":
		return fix("layers", params("Stream1/EnableMultitrackVideo", "false"), "Multitrack video is on, which is for Twitch alone. It is switched off.")
	}
	return ok("layers", "One picture is sent.")
}

// judgeAccount: a linked account writes its stream key into whatever service is set, at every start. It belongs to the profile.
func judgeAccount(r Reading) Finding {
	account := r.Params["Auth/Type"]
	switch {
	case account == "" || account == "None":
		return ok("account", "No account is linked to the profile.")
	case r.Profile == Profile:
		return person("account", true, "%s is linked to the profile “%s” and writes its stream key over ours: disconnect it under Settings → Stream.", account, Profile)
	}
	return fix("account", Change{}, "%s is linked to the profile “%s”; the profile “%s” has no account.", account, r.Profile, Profile)
}

func judgeBusy(r Reading) (findings []Finding) {
	sentences := map[string]string{
		"stream": "OBS is streaming: stop it first.",
		"record": "OBS is recording: stop it first.",
		"replay": "The replay buffer is on: stop it first.",
		"camera": "The virtual camera is on: stop it first.",
	}
	for _, name := range r.Active.names() {
		findings = append(findings, person("busy."+name, true, "%s", sentences[name]))
	}
	return findings
}

// keyframes is the longest interval that the stage bears, in frames.
func keyframes(v Video, limits stage.Limits) int {
	return max(1, int(math.Floor(v.FPS()*limits.MaxKeyframeInterval)))
}

func option(options, name string) string {
	for _, o := range strings.Fields(options) {
		if value, found := strings.CutPrefix(o, name+"="); found {
			return value
		}
	}
	return ""
}

var ourOptions = regexp.MustCompile(`^(keyint|bframes|b)=`)

// x264Options puts our two options in and leaves the person's others alone.
func x264Options(options string, keyint int) string {
	all := []string{"keyint=" + strconv.Itoa(keyint), "bframes=0"}
	for _, o := range strings.Fields(options) {
		if !ourOptions.MatchString(o) {
			all = append(all, o)
		}
	}
	return strings.Join(all, " ")
}

// fitted is the largest even size of the same shape whose short side is within the limit, and the long side within 16:9 of it.
func fitted(width, height, limit int) (int, int) {
	w, h := float64(width), float64(height)
	long := math.Floor(float64(limit) * 16 / 9)
	scale := min(1, float64(limit)/min(w, h), long/max(w, h))
	even := func(n float64) int { return max(8, int(math.Floor(n*scale/2+0.5))*2) }
	return even(w), even(h)
}

func number(text string, otherwise int) int {
	if n, err := strconv.Atoi(text); err == nil {
		return n
	}
	return otherwise
}
