package obs_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest/quick"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/obs/encoders"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// judged is a finding in the form that the Go and the JavaScript rules print.
type judged struct {
	ID     string            `json:"id"`
	Level  obs.Level         `json:"level"`
	Text   string            `json:"text"`
	Params map[string]string `json:"params"`
	Video  map[string]int    `json:"video"`

	Encoder *encoders.Request `json:"encoder"`
	Blocks  bool              `json:"blocks"`
}

// TestRulesAlike runs the same random readings of OBS through the Go and the JavaScript rules:
// likely values, and empty and malformed ones. Findings, sentences, changes and their order have to
// be the same.
func TestRulesAlike(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(2026, 11))
	var input bytes.Buffer
	var want [][]judged
	write := json.NewEncoder(&input)
	for range quick.Few(5_000) {
		r, limits := randomReading(random), randomLimits(random)
		if err := write.Encode([]any{r, limits}); err != nil {
			t.Fatal(err)
		}
		want = append(want, goFindings(obs.Judge(r, limits)))
	}
	inputs := strings.Split(input.String(), "\n")
	differ := 0
	for i, line := range node(t, &input, "judge.mjs") {
		var got []judged
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if !reflect.DeepEqual(got, want[i]) {
			if differ++; differ <= 3 {
				t.Errorf("%s\nJavaScript: %+v\nGo:         %+v", inputs[i], got, want[i])
			}
		}
	}
	if differ > 0 {
		t.Errorf("%d of %d readings are judged differently", differ, len(want))
	}
}

// node runs a script of static/jstest and returns the lines that it prints.
func node(t *testing.T, input *bytes.Buffer, script string) []string {
	t.Helper()
	lines := strings.Count(input.String(), "\n")
	cmd := exec.CommandContext(t.Context(), "node",
		quick.Runs(t, "../../static/jstest/"+script))
	var problems bytes.Buffer
	cmd.Stdin, cmd.Stderr = input, &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("node %s (see make install): %v\n%s", script, err, problems.String())
	}
	var got []string
	scan := bufio.NewScanner(bytes.NewReader(out))
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		got = append(got, scan.Text())
	}
	if len(got) != lines {
		t.Fatalf("node %s: got %d lines for %d", script, len(got), lines)
	}
	return got
}

func goFindings(findings []obs.Finding) (all []judged) {
	for _, f := range findings {
		j := judged{f.ID, f.Level, f.Text, f.Change.Params, f.Change.Video, f.Change.Encoder,
			f.Blocks}
		if j.Params == nil {
			j.Params = map[string]string{}
		}
		if j.Video == nil {
			j.Video = map[string]int{}
		}
		all = append(all, j)
	}
	return all
}

func pick[T any](random *rand.Rand, from ...T) T { return from[random.IntN(len(from))] }

// odd contains values that OBS itself never writes, but a person or a plug-in may.
var odd = []string{"", " ", "abc", "-1", "+5", "0", "00060", "2.5", "1e3", "0x10", " 160", "160 ",
	"99999999999999999999", "TRUE", "yes", "None", "null"}

func randomReading(random *rand.Rand) obs.Reading {
	likely := map[string][]string{
		"Output/Mode":       {"Simple", "Simple", "Advanced"},
		"Output/Reconnect":  {"true", "true", "false"},
		"Output/RetryDelay": {"2", "10", "11", "30"}, "Output/MaxRetries": {"25", "0", "1"},
		"Output/DelayEnable": {"false", "false", "true"},
		"SimpleOutput/StreamEncoder": {"x264", "x264", "x264_lowcpu", "nvenc", "nvenc_hevc",
			"nvenc_av1", "amd", "amd_hevc", "qsv", "apple_h264", "apple_hevc"},
		"SimpleOutput/StreamAudioEncoder": {"aac", "opus"},
		"SimpleOutput/VBitrate":           {"300", "2500", "2501", "6000", "8500", "8501", "9000"},
		"SimpleOutput/ABitrate":           {"96", "160", "161", "192", "256", "320"},
		"SimpleOutput/UseAdvanced":        {"true", "true", "false"},
		"SimpleOutput/Preset": {"veryfast", "ultrafast", "superfast", "faster",
			"medium"},
		"SimpleOutput/x264Settings": {"",
			"keyint=60 bframes=0 profile=baseline tune=zerolatency sliced-threads=0"},
		"AdvOut/Encoder": {"obs_x264", "obs_nvenc_h264_tex", "obs_nvenc_av1_tex",
			"com.apple.videotoolbox.videoencoder.ave.avc", "ffmpeg_svt_av1", "h264_texture_amf"},
		"AdvOut/AudioEncoder":         {"ffmpeg_aac", "ffmpeg_opus"},
		"AdvOut/ApplyServiceSettings": {"true", "false"},
		"AdvOut/TrackIndex":           {"1", "2", "6"}, "AdvOut/Track1Bitrate": {"160", "192"},
		"AdvOut/Track2Bitrate": {"160", "320"}, "AdvOut/Track6Bitrate": {"128", "320"},
		"Stream1/WHIPSimulcastTotalLayers": {"1", "2", "4"},
		"Stream1/EnableMultitrackVideo":    {"false", "true"},
		"Audio/SampleRate":                 {"48000", "44100"},
		"Audio/ChannelSetup":               {"Stereo", "Stereo", "Mono", "5.1"},
		"Auth/Type":                        {"None", "Twitch", "YouTube - RTMP"},
	}
	r := obs.Reading{
		Version: pick(random, "32.1.2", "32.2.2", "30.0.0", "29.1.3", "100.0.0", "31.0.0-beta1",
			"", "v30", "abc", "-30"),
		Platform: "windows", Profile: pick(random, "Stagedoor", "Untitled", "Church"),
		Profiles: pick(random, []string{"Stagedoor", "Untitled", "Church"},
			[]string{"Untitled", "Church"}),
		Params: map[string]string{}, NoWHIP: random.IntN(20) == 0,
		Service: obs.Service{Type: pick(random, "whip_custom", "whip_custom", "rtmp_common",
			"rtmp_custom", ""), Settings: randomSettings(random)},
		Video: obs.Video{
			BaseWidth: 1920, BaseHeight: 1080,
			OutputWidth:    pick(random, 1280, 1280, 1920, 720, 853, 641, 160, 2560, 4096, 8, 0),
			OutputHeight:   pick(random, 720, 720, 1080, 1280, 481, 361, 90, 1440, 4096, 8, 0),
			FPSNumerator:   pick(random, 30, 30, 60, 30000, 60000, 24000, 5, 10, 144, 0),
			FPSDenominator: pick(random, 1, 1, 1001, 1, 0, 2),
		},
		Active: obs.Active{Stream: random.IntN(9) == 0, Record: random.IntN(9) == 0,
			Replay: random.IntN(9) == 0, Camera: random.IntN(9) == 0},
	}
	for name, values := range likely {
		switch random.IntN(12) {
		case 0: // the parameter is absent: OBS has no value and no default for it
		case 1:
			r.Params[name] = pick(random, odd...)
		default:
			r.Params[name] = pick(random, values...)
		}
	}
	if random.IntN(2) == 0 {
		r.Encoder = randomEncoder(random)
	}
	if random.IntN(2) == 0 {
		r.Params["SimpleOutput/x264Settings"] = randomOptions(random)
	}
	return r
}

func randomEncoder(random *rand.Rand) map[string]any {
	settings := map[string]any{}
	if e, found := encoders.Find(
		pick(random, "obs_x264", "obs_nvenc_h264_tex", "h264_texture_amf", "obs_qsv11_v2")); found {
		settings = e.Fit(pick(random, 300, 2500, 9000), pick(random, 1, 2, 5))
	}
	for range random.IntN(3) {
		name := pick(random, "keyint_sec", "bf", "bframes", "bitrate", "profile", "preset", "tune",
			"x264opts")
		settings[name] = pick[any](random, 0.0, 1.0, 1.5, -1.0, 2500.0, "2", "baseline", "high", "",
			true, false, nil)
	}
	return settings
}

func randomOptions(random *rand.Rand) string {
	var options []string
	for range random.IntN(7) {
		name := pick(random, "keyint", "keyint-max", "keyint_max", "min-keyint", "bframes", "b",
			"profile", "tune", "sliced-threads", "sliced_threads", "preset", "rc-lookahead", "")
		value := pick(random, "60", "0", "1", "2", "59", "120", "250", "infinite", "60:bframes=0",
			"baseline", "main", "high", "zerolatency", "film", "film,zerolatency",
			"zerolatency+fastdecode", "true", "false", "no", "veryfast", "ultrafast", "slow", "",
			"-1", "=", "60=3")
		options = append(options, name+pick(random, "=", "=", "=", "", " = ")+value)
	}
	return strings.Join(options, pick(random, " ", " ", "  ", "\t", ":"))
}

func randomSettings(random *rand.Rand) map[string]any {
	settings := map[string]any{}
	for _, name := range []string{"service", "server"} {
		switch random.IntN(4) {
		case 0:
		default:
			settings[name] = pick[any](random, "WHIP", "WHIP", "Twitch", "",
				"rtmp://a.example/app/key", "rtmps://ana:secret@b.example:443/app?x#y",
				"https://stage.example/whip", "nowhere", 5, true, nil)
		}
	}
	return settings
}

func randomLimits(random *rand.Rand) stage.Limits {
	if random.IntN(2) == 0 {
		return stage.DefaultLimits()
	}
	return stage.Limits{
		MaxHeight:           pick(random, 720, 1080, 480, 719),
		AdvisedBitrate:      pick(random, 2_500_000, 1_999_999, 6_000_000),
		MaxBitrate:          pick(random, 8_500_000, 3_000_500),
		MaxKeyframeInterval: pick(random, 2, 1, 0.5, 4.2, 10),
	}
}
