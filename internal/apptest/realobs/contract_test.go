package realobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/stagedoor/stagedoor/internal/apptest/fakeobs"
	"github.com/stagedoor/stagedoor/internal/apptest/realobs"
)

const password = "a good password"

// TestTheFakeIsLikeTheRealOne sends the same requests to the fake OBS 29 and to a real one, and
// compares their responses, events and close codes. It ignores the default settings of inputs, the
// reason of the close code 4002, and the order of events of different types.
func TestTheFakeIsLikeTheRealOne(t *testing.T) {
	t.Parallel()
	real := realobs.Start(t, password)
	fake := fakeobs.Start(t, fakeobs.Options{
		Version: fakeobs.OBS29, Password: password, Screen: [2]int{1280, 800}, NoReplayBuffer: true,
		NoVirtualCam: true, NoBrowser: true,
	})
	t.Run("requests", func(t *testing.T) {
		compare(t, tell(t, real.URL(), stories()), tell(t, fake.URL(), stories()))
	})
	t.Run("closing", func(t *testing.T) {
		compare(t, offend(t, real.URL()), offend(t, fake.URL()))
	})
	// This part runs last: OBS may crash if a stream is started twice while it connects.
	t.Run("failing start", func(t *testing.T) {
		story := []step{
			{"SetStreamServiceSettings", `{"streamServiceType":"rtmp_custom","streamServiceSettings":{"server":"rtmp://127.0.0.1:9/x","key":"k"}}`, ""},
			{"StartStream", ``, "OBS_WEBSOCKET_OUTPUT_STOPPED"},
			{"GetStreamStatus", ``, ""},
			{"StopStream", ``, ""},
		}
		compare(t, tell(t, real.URL(), story), tell(t, fake.URL(), story))
	})
}

// compare fails the test for every line that differs between the fake and the real OBS.
func compare(t *testing.T, real, fake []string) {
	t.Helper()
	for i := range max(len(real), len(fake)) {
		r, f := "(nothing)", "(nothing)"
		if i < len(real) {
			r = real[i]
		}
		if i < len(fake) {
			f = fake[i]
		}
		if r != f {
			t.Errorf("line %d differs\nreal: %s\nfake: %s", i+1, r, f)
		}
	}
	if len(real) == 0 {
		t.Error("the real OBS answered nothing, so nothing was compared")
	}
}

// A step is a request and, if `until` is set, the state to wait for afterwards.
type step struct{ request, data, until string }

func stories() []step {
	profile := func(name string) string { return fmt.Sprintf(`{"profileName":%q}`, name) }
	param := func(key, value string) string {
		category, name, _ := strings.Cut(key, "/")
		if value != "" {
			value = `,"parameterValue":` + value
		}
		return fmt.Sprintf(`{"parameterCategory":%q,"parameterName":%q%s}`, category, name, value)
	}
	service := func(kind, settings string) string {
		return fmt.Sprintf(`{"streamServiceType":%q,"streamServiceSettings":%s}`, kind, settings)
	}
	steps := []step{
		{"Nope", "", ""}, {"Sleep", `{"sleepMillis":1}`, ""},
		{"GetProfileList", "", ""}, {"GetStreamServiceSettings", "", ""},
		{"GetVideoSettings", "", ""},
		{"GetStreamStatus", "", ""}, {"GetRecordStatus", "", ""}, {"GetReplayBufferStatus", "", ""},
		{"GetVirtualCamStatus", "", ""}, {"StopStream", "", ""},
		// Service settings are checked in a certain order, then merged or replaced, or refused with
		// 700.
		{"SetStreamServiceSettings", "", ""}, {"SetStreamServiceSettings", `{}`, ""}, {"SetStreamServiceSettings", `[]`, ""},
		{"SetStreamServiceSettings", `{"streamServiceType":5}`, ""}, {"SetStreamServiceSettings", `{"streamServiceType":""}`, ""},
		{"SetStreamServiceSettings", `{"streamServiceType":"rtmp_custom"}`, ""},
		{"SetStreamServiceSettings", service("rtmp_custom", `5`), ""}, {"SetStreamServiceSettings", service("rtmp_custom", `{}`), ""},
		{"SetStreamServiceSettings", service("whip_custom", `{"server":"x"}`), ""}, {"GetStreamServiceSettings", "", ""},
		{"SetStreamServiceSettings", service("rtmp_custom", `{"server":"x","key":"k","odd":7}`), ""}, {"GetStreamServiceSettings", "", ""},
		{"SetStreamServiceSettings", service("rtmp_custom", `{"server":"y"}`), ""}, {"GetStreamServiceSettings", "", ""},
		// Parameters are strings, with null and defaults.
		{"SetProfileParameter", param("A/B", `null`), ""}, {"SetProfileParameter", param("A/B", ""), ""}, {"SetProfileParameter", param("A/B", `5`), ""},
		{"SetProfileParameter", param("A/B", `"x"`), ""}, {"GetProfileParameter", param("A/B", ""), ""},
		{"SetProfileParameter", param("A/B", `""`), ""}, {"GetProfileParameter", param("A/B", ""), ""},
		{"SetProfileParameter", param("A/B", `null`), ""}, {"GetProfileParameter", param("A/B", ""), ""},
		{"GetProfileParameter", `{"parameterCategory":"","parameterName":"x"}`, ""}, {"GetProfileParameter", ``, ""},
		{"SetVideoSettings", `{}`, ""}, {"SetVideoSettings", ``, ""}, {"SetVideoSettings", `{"outputWidth":640}`, ""}, {"SetVideoSettings", `{"outputWidth":4,"outputHeight":4}`, ""},
		{"SetVideoSettings", `{"outputWidth":5000,"outputHeight":400}`, ""},
		{"SetVideoSettings", `{"outputWidth":853,"outputHeight":481,"fpsNumerator":30000,"fpsDenominator":1001}`, ""}, {"GetVideoSettings", "", ""},
		{"GetPersistentData", `{"realm":"OBS_WEBSOCKET_DATA_REALM_GLOBAL","slotName":"s"}`, ""}, {"GetPersistentData", `{"realm":"X","slotName":"s"}`, ""},
		{"SetPersistentData", `{"realm":"OBS_WEBSOCKET_DATA_REALM_GLOBAL","slotName":"s","slotValue":{"a":1}}`, ""}, {"GetPersistentData", `{"realm":"OBS_WEBSOCKET_DATA_REALM_GLOBAL","slotName":"s"}`, ""},
		{"SetPersistentData", `{"realm":"OBS_WEBSOCKET_DATA_REALM_GLOBAL","slotName":"s"}`, ""},
		// Profiles and their events.
		{"SetCurrentProfile", profile("nobody"), ""},
		{"SetCurrentProfile", profile("Untitled"), ""}, {"RemoveProfile", profile("Untitled"), ""},
		{"RemoveProfile", profile("nobody"), ""},
		{"CreateProfile", profile("Untitled"), ""}, {"CreateProfile", profile("Stagedoor"), ""},
		{"GetProfileList", "", ""},
		{"GetVideoSettings", "", ""}, {"GetStreamServiceSettings", "", ""}, {"SetProfileParameter", param("SimpleOutput/StreamAudioEncoder", `"opus"`), ""},
		{"SetPersistentData", `{"realm":"OBS_WEBSOCKET_DATA_REALM_PROFILE","slotName":"p","slotValue":"q"}`, ""},
		{"SetCurrentProfile", profile("Untitled"), ""}, {"GetVideoSettings", "", ""},
		{"GetStreamServiceSettings", "", ""}, {"GetProfileParameter",
			param("SimpleOutput/StreamAudioEncoder", ""), ""},
		{"GetPersistentData", `{"realm":"OBS_WEBSOCKET_DATA_REALM_PROFILE","slotName":"p"}`, ""},
		{"SetCurrentProfile", profile("Stagedoor"), ""},
		{"GetProfileParameter", param("SimpleOutput/StreamAudioEncoder", ""), ""},
		{"GetPersistentData", `{"realm":"OBS_WEBSOCKET_DATA_REALM_PROFILE","slotName":"p"}`, ""},
		{"SetCurrentProfile", profile("Untitled"), ""}, {"RemoveProfile", profile("Stagedoor"), ""},
		{"GetProfileList", "", ""},
		{"CreateProfile", profile("Brief"), ""}, {"RemoveProfile", profile("Brief"), ""},
		{"GetProfileList", "", ""},
		// Scenes and inputs.
		{"GetSceneList", "", ""}, {"GetCurrentProgramScene", "", ""},
		{"CreateInput", `{"sceneName":"Scene","inputName":"b","inputKind":"browser_source","inputSettings":{"url":"http://x"}}`, ""},
		{"CreateInput", `{"sceneName":"Nowhere","inputName":"c","inputKind":"color_source_v3"}`, ""},
		{"CreateInput", `{"sceneName":"Scene","inputName":"c","inputKind":"color_source_v3","inputSettings":{"color":1}}`, ""},
		{"CreateInput", `{"sceneName":"Scene","inputName":"c","inputKind":"color_source_v3"}`, ""},
		{"GetInputSettings", `{"inputName":"c"}`, ""}, {"GetInputSettings", `{"inputName":"nobody"}`, ""},
		{"SetInputSettings", `{"inputName":"c","inputSettings":{"width":5}}`, ""}, {"GetInputSettings", `{"inputName":"c"}`, ""},
		{"SetInputSettings", `{"inputName":"c","inputSettings":{"width":6},"overlay":false}`, ""}, {"GetInputSettings", `{"inputName":"c"}`, ""},
		{"PressInputPropertiesButton", `{"inputName":"c","propertyName":"refreshnocache"}`, ""},
		{"CreateSceneItem", `{"sceneName":"Scene","sourceName":"c"}`, ""}, {"GetInputList", `{"inputKind":"color_source_v3"}`, ""}, {"RemoveInput", `{"inputName":"c"}`, ""},
		{"CallVendorRequest", `{"vendorName":"x","requestType":"y"}`, ""},
		{"BroadcastCustomEvent", `{"eventData":{"a":1}}`, ""}, {"BroadcastCustomEvent", ``, ""}, {"BroadcastCustomEvent", `{"eventData":{}}`, ""},
	}
	for _, key := range []string{
		"Output/Mode", "Output/Reconnect", "Output/RetryDelay", "Output/MaxRetries",
		"Output/DelayEnable", "SimpleOutput/StreamEncoder", "SimpleOutput/StreamAudioEncoder",
		"SimpleOutput/VBitrate", "SimpleOutput/ABitrate", "SimpleOutput/UseAdvanced",
		"SimpleOutput/Preset", "SimpleOutput/NVENCPreset2", "SimpleOutput/x264Settings",
		"AdvOut/Encoder", "AdvOut/AudioEncoder", "AdvOut/ApplyServiceSettings", "AdvOut/TrackIndex",
		"AdvOut/Track1Bitrate", "AdvOut/Track6Bitrate",
		"Stream1/IgnoreRecommended", "Stream1/WHIPSimulcastTotalLayers",
		"Stream1/EnableMultitrackVideo", "Audio/SampleRate", "Audio/ChannelSetup", "Auth/Type",
	} {
		steps = append(steps, step{"GetProfileParameter", param(key, ""), ""})
	}
	return steps
}

// A wire is a connection without a client library, since the test also violates the protocol.
type wire struct {
	t    *testing.T
	conn *websocket.Conn
}

type packet struct {
	Op int            `json:"op"`
	D  map[string]any `json:"d"`
}

func dial(t *testing.T, url string) (*wire, map[string]any) {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{
		Subprotocols: []string{"obswebsocket.json"},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseNow() })
	conn.SetReadLimit(1 << 20)
	w := &wire{t, conn}
	hello := w.read()
	return w, hello.D
}

func (w *wire) read() (p packet) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	_, text, err := w.conn.Read(ctx)
	if err != nil {
		w.t.Fatalf("reading: %v", err)
	}
	if err := json.Unmarshal(text, &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *wire) write(text string) {
	w.t.Helper()
	if err := w.conn.Write(w.t.Context(), websocket.MessageText, []byte(text)); err != nil {
		w.t.Fatal(err)
	}
}

func identify(hello map[string]any) string {
	a := hello["authentication"].(map[string]any)
	return fmt.Sprintf(`{"op":1,"d":{"rpcVersion":1,"eventSubscriptions":75,"authentication":%q}}`,
		fakeobs.Authentication(password, a["salt"].(string), a["challenge"].(string)))
}

// tell runs a story and records the received messages, one per line: first the responses, then the
// events. They are separate, because in the real OBS a response may arrive before the event that
// the request caused.
func tell(t *testing.T, url string, story []step) (lines []string) {
	t.Helper()
	w, hello := dial(t, url)
	w.write(identify(hello))
	w.read()
	var events []string
	for i, s := range story {
		data := s.data
		if data == "" {
			data = "null"
		}
		w.write(fmt.Sprintf(`{"op":6,"d":{"requestType":%q,"requestId":"%d","requestData":%s}}`, s.request, i, data))
		answer, reached := "", s.until == ""
		for answer == "" || !reached {
			p := w.read()
			if p.Op == 5 {
				events = append(events, event(p.D))
				reached = reached || strings.Contains(events[len(events)-1], s.until)
				continue
			}
			answer = normal(p.D["requestStatus"]) + " " + normal(p.D["responseData"])
		}
		lines = append(lines, fmt.Sprintf("%s %s → %s", s.request, s.data, answer))
	}
	return append(lines, byType(append(events, w.lastEvents()...))...)
}

// byType sorts events by their type, and keeps the order of those of one type. OBS sends each event
// from a thread of its own, so two events of one request may arrive in either order. The events
// CurrentProfileChanging and CurrentProfileChanged count as one type, since clients rely on their
// order.
func byType(events []string) []string {
	kind := func(event string) string {
		name, _, _ := strings.Cut(event, "/")
		return strings.Replace(name, "ProfileChanging", "ProfileChanged", 1)
	}
	slices.SortStableFunc(events, func(a, b string) int {
		return strings.Compare(kind(a), kind(b))
	})
	return events
}

// lastEvents reads the events that arrive after the last response. It sends an event of its own,
// and stops when this event arrives.
func (w *wire) lastEvents() (events []string) {
	w.write(`{"op":6,"d":{"requestType":"BroadcastCustomEvent","requestId":"end","requestData":{"eventData":{"the":"end"}}}}`)
	for {
		if p := w.read(); p.Op == 5 {
			events = append(events, event(p.D))
			if strings.Contains(events[len(events)-1], "the") {
				return events
			}
		}
	}
}

func event(d map[string]any) string {
	return fmt.Sprintf("%v/%v %s", d["eventType"], d["eventIntent"], normal(d["eventData"]))
}

// normal formats a value without the parts that the fake does not imitate.
func normal(v any) string {
	if m, ok := v.(map[string]any); ok {
		for _, key := range []string{"defaultInputSettings"} {
			delete(m, key)
		}
	}
	text, _ := json.Marshal(v)
	return string(text)
}

// offend violates the protocol in different ways, and records how each session was closed.
func offend(t *testing.T, url string) (lines []string) {
	t.Helper()
	after := func(text string) []string { return []string{"identify", text} }
	for _, messages := range [][]string{
		{`{{{`}, {`[]`}, {`"x"`}, {`{"d":{}}`}, {`{"op":"1","d":{}}`}, {`{"op":1}`}, {`{"op":1,"d":null}`}, {`{"op":1,"d":[]}`},
		{`{"op":6,"d":{"requestType":"GetVersion","requestId":"1"}}`}, {`{"op":77,"d":{}}`},
		{`{"op":1,"d":{"rpcVersion":1}}`}, {`{"op":1,"d":{"rpcVersion":1,"authentication":"x"}}`}, {`{"op":1,"d":{"authentication":"x"}}`},
		{"no version"}, {"version text"}, {"version 2"}, {"subscriptions 1.5"},
		{"subscriptions -1"}, {"identify", "identify"},
		after(`{"op":77,"d":{}}`), after(`{"op":0,"d":{}}`), after(`{"op":6,"d":{"requestId":"1"}}`), after(`{"op":6,"d":{"requestType":"GetVersion"}}`),
		after(`{"op":8,"d":{"requestId":"1"}}`), after(`{"op":8,"d":{"requestId":"1","executionType":9,"requests":[]}}`), after(`{"op":3,"d":{"eventSubscriptions":1.5}}`),
	} {
		w, hello := dial(t, url)
		for i, m := range messages {
			w.write(spell(m, hello))
			if m == "identify" && i == 0 { // messages are handled concurrently
				w.read()
			}
		}
		lines = append(lines, fmt.Sprintf("%v → %s", messages, w.end()))
	}
	return lines
}

func spell(message string, hello map[string]any) string {
	right := identify(hello)
	switch message {
	case "identify":
		return right
	case "no version":
		return strings.Replace(right, `"rpcVersion":1,`, ``, 1)
	case "version text":
		return strings.Replace(right, `"rpcVersion":1,`, `"rpcVersion":"1",`, 1)
	case "version 2":
		return strings.Replace(right, `"rpcVersion":1,`, `"rpcVersion":2,`, 1)
	case "subscriptions 1.5":
		return strings.Replace(right, `:75`, `:1.5`, 1)
	case "subscriptions -1":
		return strings.Replace(right, `:75`, `:-1`, 1)
	}
	return message
}

// end reads until the session is closed, and returns the close code and reason.
func (w *wire) end() string {
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	for {
		_, _, err := w.conn.Read(ctx)
		if err == nil {
			continue
		}
		code := int(websocket.CloseStatus(err))
		if slices.Contains([]int{-1, 4002}, code) { // the reason of 4002 is the message of a parser
			return fmt.Sprint(code)
		}
		return err.Error()
	}
}
