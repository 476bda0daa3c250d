package script_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/realobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/obs/folder"
	"github.com/stagedoor/stagedoor/internal/obs/script"
	"github.com/stagedoor/stagedoor/internal/stage"
)

//go:embed testdata/newer.lua
var newer string

// A real is a real OBS with the script in its scene collection.
type real struct {
	*realobs.Install
	t    *testing.T
	home string
}

func newReal(t *testing.T, loader string) *real {
	t.Helper()
	r := &real{realobs.Prepare(t), t, ""}
	r.home = filepath.Dir(r.Dir)
	r.Write(t, "../stagedoor.lua", made(t, func(s *script.Script) {
		s.Server = &url.URL{Scheme: "http", Host: "127.0.0.1:1"}
	}))
	if loader != "" {
		r.Write(t, "../newer.lua", newer)
	}
	return r
}

func (r *real) install(name string) {
	r.t.Helper()
	r.AddScripts(r.t, filepath.Join(r.home, name))
}

func (r *real) read(name string) string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.Dir, name))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

func (r *real) ini(key string) string {
	for line := range strings.Lines(r.read("global.ini")) {
		if value, ok := strings.CutPrefix(line, key+"="); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestTheScriptOnARealOBS adds the script and restarts OBS. OBS has the dock with the right
// password, and the script writes the encoder's file. Undo restores OBS's files, except what a
// set-up has written, and says in the log what it has left.
func TestTheScriptOnARealOBS(t *testing.T) {
	t.Parallel()
	r := newReal(t, "newer.lua")
	// Before OBS 30.2, only `stagedoor obs pair` can switch the WebSocket server on, and no script.
	r.WriteIni(t, "[OBSWebSocket]\nServerEnabled=true\nServerPort="+r.Port+"\n")
	r.install("newer.lua")
	r.Write(t, "../press", "undo\n") // an Undo without a pairing does not change OBS's files
	r.Launch(t).Quit(t)
	o := r.Launch(t)
	o.Await(t)
	call := r.connect(o, r.ini("ServerPassword"))
	// a new profile also changes other files of OBS, so create it before the files are compared
	call("CreateProfile", map[string]any{"profileName": "Stagedoor"}, nil)
	call("SetCurrentProfile", map[string]any{"profileName": "Untitled"}, nil)
	o.Quit(t)
	before := r.Stable(t)

	r.Write(t, "../press", "pair\n")
	began := time.Now()
	r.Launch(t).Quit(t)
	if docks := r.ini("ExtraBrowserDocks"); !strings.Contains(docks, `"url": "http://127.0.0.1:1/dock"`) {
		t.Fatalf("after the first end of OBS the docks are %q", docks)
	}
	o = r.Launch(t)
	o.Await(t)
	t.Logf("from the first start to the dock's address in the second: %v",
		time.Since(began).Round(100*time.Millisecond))
	handed := r.handed()
	if got, want := handed.Get("obs-password"), r.ini("ServerPassword"); got != want || got == "" {
		t.Errorf("the dock is given the password %q, OBS has %q", got, want)
	}
	if handed.Get("obs-port") != r.Port || handed.Get("obs-encoders") != "obs_x264" ||
		handed.Get("enrol") != code {
		t.Errorf("the dock is given %v", handed)
	}
	r.encode(o, handed)
	r.serve(o, handed)
	o.Quit(t)
	if docks := r.ini("ExtraBrowserDocks"); strings.Contains(docks, "#") {
		t.Errorf("secrets are left in %q", docks)
	}
	if got := tokenFiles(t, r.Dir); len(got) != 2 || r.ini("Profile") != "Stagedoor" {
		t.Errorf("profile %s, token in %q; want Stagedoor, service.json and its copy",
			r.ini("Profile"), got)
	}

	r.Write(t, "../press", "undo\n")
	o = r.Launch(t)
	o.Quit(t)
	if !strings.Contains(o.Log(), keeps) || !strings.Contains(o.Log(), stillOn) {
		t.Errorf("the log does not say what Undo has left:\n%s", o.Log())
	}
	if _, err := os.Stat(r.Dir + "/basic/profiles/Stagedoor/streamEncoder.json"); err == nil {
		t.Error("Undo left the encoder's file")
	}
	if got := tokenFiles(t, r.Dir); len(got) > 0 {
		t.Errorf("Undo left the token in %q", got)
	}
	compare(t, withoutSetUp(r.Stable(t)), withoutSetUp(before))
}

// withoutSetUp removes from the list what a set-up writes: the profile Stagedoor, and the file that
// contains the name of the previous profile.
func withoutSetUp(files map[string]string) map[string]string {
	maps.DeleteFunc(files, func(name, _ string) bool {
		return strings.HasPrefix(name, "/basic/profiles/Stagedoor/") ||
			name == "/obsWebSocketPersistentData.json"
	})
	return files
}

// serve does what SetUp does for the service, twice: it stores which profile was selected, selects
// the profile Stagedoor, and writes a token into the service. This OBS has no WHIP, so the service
// has another type.
func (r *real) serve(o *realobs.OBS, handed url.Values) {
	r.t.Helper()
	call := r.connect(o, handed.Get("obs-password"))
	call("SetPersistentData", map[string]any{"realm": "OBS_WEBSOCKET_DATA_REALM_GLOBAL",
		"slotName": "stagedoor", "slotValue": map[string]any{"previousProfile": "Untitled"}}, nil)
	call("SetCurrentProfile", map[string]any{"profileName": "Stagedoor"}, nil)
	for range 2 {
		call("SetStreamServiceSettings", map[string]any{"streamServiceType": "rtmp_custom",
			"streamServiceSettings": map[string]any{"server": "rtmp://127.0.0.1:9/x",
				"bearer_token": token}}, nil)
	}
}

// handed returns the values that OBS passes to the dock when OBS starts. They are only in its
// memory.
func (r *real) handed() url.Values {
	r.t.Helper()
	_, values := r.opened()
	return values
}

// opened returns the address at which OBS opens the dock when it starts, and the values after its
// "#".
func (r *real) opened() (string, url.Values) {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.home, "docks.txt"))
	if err != nil {
		r.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	var docks []struct{ URL string }
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &docks); err != nil || len(docks) != 1 {
		r.t.Fatalf("the docks in user.ini: got %v, %s, want one", err, lines[len(lines)-1])
	}
	address, fragment, _ := strings.Cut(docks[0].URL, "#")
	values, err := url.ParseQuery(fragment)
	if err != nil {
		r.t.Fatal(err)
	}
	return address, values
}

// encode does what SetUp does for an encoder: it selects the profile and Advanced mode, sends the
// request to the script, and selects the profile again. Then it makes a recording with the encoder
// of the stream, and measures the recording.
func (r *real) encode(o *realobs.OBS, handed url.Values) {
	t := r.t
	t.Helper()
	call := r.connect(o, handed.Get("obs-password"))
	set := func(name string, value any) {
		t.Helper()
		category, key, _ := strings.Cut(name, "/")
		call("SetProfileParameter",
			map[string]any{"parameterCategory": category, "parameterName": key,
				"parameterValue": value}, nil)
	}
	call("SetCurrentProfile", map[string]any{"profileName": "Stagedoor"}, nil)
	for name, value := range map[string]string{
		"Output/Mode": "Advanced", "AdvOut/Encoder": "obs_x264", "AdvOut/RecEncoder": "none",
		"AdvOut/RecType": "Standard", "AdvOut/RecFilePath": r.home, "AdvOut/RecFormat": "mkv",
	} {
		set(name, value)
	}
	began := time.Now()
	r.ask(call, handed.Get("obs-secret"),
		`"do":"write","encoder":"obs_x264","bitrate":600,"keyint_sec":1`)
	t.Logf("the script answered after %v", time.Since(began).Round(time.Millisecond))
	var settings map[string]any
	if err := json.Unmarshal([]byte(r.read("basic/profiles/Stagedoor/streamEncoder.json")),
		&settings); err != nil {
		t.Fatal(err)
	}
	if settings["keyint_sec"] != 1.0 || settings["bf"] != 0.0 ||
		settings["profile"] != "baseline" || settings["rate_control"] != "CBR" {
		t.Errorf("streamEncoder.json is %v", settings)
	}
	call("SetVideoSettings",
		map[string]any{"baseWidth": 320, "baseHeight": 180, "outputWidth": 320, "outputHeight": 180,
			"fpsNumerator": 30, "fpsDenominator": 1}, nil)
	call("SetCurrentProfile", map[string]any{"profileName": "Untitled"}, nil)
	call("SetCurrentProfile", map[string]any{"profileName": "Stagedoor"}, nil)
	call("StartRecord", nil, nil)
	var status struct {
		Active   bool    `json:"outputActive"`
		Duration float64 `json:"outputDuration"` // ms
	}
	for status.Duration < 3500 {
		call("GetRecordStatus", nil, &status)
		// pause between requests; the loop ends when OBS reports enough
		time.Sleep(50 * time.Millisecond)
	}
	var recorded struct {
		Path string `json:"outputPath"`
	}
	call("StopRecord", nil, &recorded)
	for status.Active = true; status.Active; {
		call("GetRecordStatus", nil, &status)
	}
	call("SetCurrentProfile", map[string]any{"profileName": "Untitled"}, nil)
	r.measure(recorded.Path)
}

// ask sends the script a request as the dock does, and waits for the answer.
func (r *real) ask(
	call func(request string, data map[string]any, into any), secret, request string,
) {
	r.t.Helper()
	parameter := map[string]any{"parameterCategory": "Stagedoor", "parameterName": "Ask",
		"parameterValue": sign(secret, "ask ",
			fmt.Sprintf(`{"at":%d,%s}`, time.Now().UnixMilli(), request))}
	call("SetProfileParameter", parameter, nil)
	parameter["parameterName"] = "Answer"
	var answer struct {
		Value *string `json:"parameterValue"`
	}
	for answer.Value == nil {
		call("GetProfileParameter", parameter, &answer)
	}
	_, text, _ := strings.Cut(*answer.Value, " ")
	if *answer.Value != sign(secret, "answer ", text) ||
		!strings.Contains(text, `"result":"done"`) {
		r.t.Fatalf("the answer is %s", *answer.Value)
	}
}

// connect returns a function that sends a request to OBS, and fails the test if OBS refuses it. The
// connection lasts for a minute.
func (r *real) connect(
	o *realobs.OBS, password string,
) func(request string, data map[string]any, into any) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 60*time.Second)
	r.t.Cleanup(cancel)
	client, err := obs.Connect(ctx, obs.Options{URL: o.URL(), Password: stage.NewSecret(password)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { _ = client.Close() })
	return func(request string, data map[string]any, into any) {
		r.t.Helper()
		if err := client.Call(ctx, request, data, into); err != nil {
			r.t.Fatalf("%s: %v; OBS's log:\n%s", request, err, o.Log())
		}
	}
}

// measure fails unless the recording has a keyframe every second and no B-frames.
func (r *real) measure(path string) {
	t := r.t
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ffprobe", "-v", "error", "-select_streams", "v",
		"-show_entries",
		"stream=profile,has_b_frames:frame=pict_type,best_effort_timestamp_time", "-of", "json",
		path).Output()
	if err != nil {
		t.Fatalf("ffprobe: %v", err)
	}
	var got struct {
		Streams []struct {
			Profile string
			BFrames int `json:"has_b_frames"`
		}
		Frames []struct {
			Kind string  `json:"pict_type"`
			At   float64 `json:"best_effort_timestamp_time,string"`
		}
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	var keyframes []float64
	for _, f := range got.Frames {
		switch f.Kind {
		case "B":
			t.Errorf("a B-frame at %.2f s", f.At)
		case "I":
			keyframes = append(keyframes, f.At)
		}
	}
	if len(got.Streams) != 1 || got.Streams[0].BFrames != 0 ||
		!strings.Contains(got.Streams[0].Profile, "Baseline") || len(keyframes) < 3 {
		t.Fatalf("streams %+v, keyframes at %v", got.Streams, keyframes)
	}
	for i := 1; i < len(keyframes); i++ {
		if apart := keyframes[i] - keyframes[i-1]; apart < 0.95 || apart > 1.05 {
			t.Errorf("keyframes at %v, want one every second", keyframes)
		}
	}
	t.Logf("%s, %d frames, keyframes at %v s", got.Streams[0].Profile, len(got.Frames), keyframes)
}

// TestTheDockMovesInARealOBS: the dock sends the script the new address of the server. When OBS
// ends, it saves the dock with the old address. Then the script writes the new address in its
// place. At its next start, OBS opens the dock there.
func TestTheDockMovesInARealOBS(t *testing.T) {
	t.Parallel()
	r := newReal(t, "newer.lua")
	r.WriteIni(t, "[OBSWebSocket]\nServerEnabled=true\nServerPort="+r.Port+"\n")
	r.install("newer.lua")
	r.Launch(t).Quit(t)
	o := r.Launch(t)
	o.Await(t)
	address, handed := r.opened()
	if want := "http://127.0.0.1:1"; address != want+"/dock" || handed.Get("obs-server") != want {
		t.Fatalf("the dock is opened at %s and given %v, want %s", address, handed, want)
	}
	call := r.connect(o, handed.Get("obs-password"))
	r.ask(call, handed.Get("obs-secret"), `"do":"move","server":"`+moved+`"`)
	o.Quit(t)
	if docks := r.ini("ExtraBrowserDocks"); !strings.Contains(docks, `"url": "`+moved+`/dock"`) ||
		strings.Count(docks, "/dock") != 1 {
		t.Errorf("after the end of OBS the docks are %q, want ours at %s", docks, moved)
	}
	o = r.Launch(t)
	o.Await(t)
	address, again := r.opened()
	if address != moved+"/dock" || again.Get("obs-server") != moved ||
		again.Get("obs-secret") != handed.Get("obs-secret") {
		t.Errorf("the dock is opened at %s and given %v, want %s and the same secret", address, again,
			moved)
	}
	o.Quit(t)
	r.Write(t, "../press", "undo\n")
	r.Launch(t).Quit(t)
	if docks := r.ini("ExtraBrowserDocks"); docks != "" {
		t.Errorf("after Undo the docks are %q, want none", docks)
	}
}

// TestARealOBSWithAnotherSceneCollection shows two facts on which the dock relies. When another
// scene collection is current, its scripts answer, and no others. When a service without the token
// is saved twice, the token is in no file of the profile any more.
func TestARealOBSWithAnotherSceneCollection(t *testing.T) {
	t.Parallel()
	r := newReal(t, "newer.lua")
	r.WriteIni(t, "[OBSWebSocket]\nServerEnabled=true\nServerPort="+r.Port+"\n")
	r.install("newer.lua")
	r.Launch(t).Quit(t)
	o := r.Launch(t)
	o.Await(t)
	handed := r.handed()
	call := r.connect(o, handed.Get("obs-password"))
	answers := func() bool {
		t.Helper()
		began := time.Now()
		at := began.UnixMilli()
		parameter := map[string]any{"parameterCategory": "Stagedoor", "parameterName": "Ask",
			"parameterValue": sign(handed.Get("obs-secret"), "ask ",
				fmt.Sprintf(`{"at":%d,"do":"read"}`, at))}
		call("SetProfileParameter", parameter, nil)
		parameter["parameterName"] = "Answer"
		for time.Since(began) < 2*time.Second { // the script looks for requests every 0.25 s
			var answer struct {
				Value *string `json:"parameterValue"`
			}
			call("GetProfileParameter", parameter, &answer)
			if answer.Value != nil && strings.Contains(*answer.Value, fmt.Sprintf(`"at":%d`, at)) {
				t.Logf("the script answered after %v", time.Since(began).Round(time.Millisecond))
				return true
			}
		}
		return false
	}
	if !answers() {
		t.Fatal("the script does not answer in its own scene collection")
	}
	// OBS 29 crashes when a collection without a scene becomes current.
	call("CreateScene", map[string]any{"sceneName": "Scene"}, nil)
	call("SetCurrentProgramScene", map[string]any{"sceneName": "Scene"}, nil)
	call("CreateSceneCollection", map[string]any{"sceneCollectionName": "Second"}, nil)
	if answers() {
		t.Error("the script answers in another scene collection")
	}
	call("SetCurrentSceneCollection", map[string]any{"sceneCollectionName": "Untitled"}, nil)
	if !answers() {
		t.Error("the script does not answer when its scene collection is back")
	}

	call("CreateProfile", map[string]any{"profileName": "Stagedoor"}, nil)
	r.serve(o, handed)
	if got := tokenFiles(t, r.Dir); len(got) != 2 {
		t.Errorf("the token is in %q, want service.json and its copy", got)
	}
	for range 2 {
		call("SetStreamServiceSettings", map[string]any{"streamServiceType": "rtmp_custom",
			"streamServiceSettings": map[string]any{"bearer_token": ""}}, nil)
	}
	if got := tokenFiles(t, r.Dir); len(got) > 0 {
		t.Errorf("the token is still in %q", got)
	}
	o.Quit(t)
}

// paired pairs the closed OBS with the command `obs pair`. It inserts newer.lua at the beginning of
// the script. It returns the files as they were before, and OBS's folder.
func (r *real) paired() (map[string]string, folder.Folder) {
	t := r.t
	t.Helper()
	r.WriteIni(t, "[OBSWebSocket]\nServerPort="+r.Port+"\n")
	r.Launch(t).Quit(t)
	r.Launch(t).Quit(t) // OBS writes some of its files only when it ends for the second time
	f := folder.Folder{Dir: r.Dir}
	if _, err := f.Pair(made(t, nil)); err == nil || !strings.Contains(err.Error(), "too old") {
		t.Errorf("pair with OBS 29: %v", err)
	}
	before := r.Stable(t)
	r.Write(t, "global.ini", regexp.MustCompile(`LastVersion=\d+`).
		ReplaceAllString(r.read("global.ini"), fmt.Sprint("LastVersion=", 30<<24)))
	script := strings.TrimSuffix(strings.TrimSpace(newer), `dofile(home .. "/stagedoor.lua")`) +
		made(t, func(s *script.Script) { s.Server = &url.URL{Scheme: "http", Host: "127.0.0.1:1"} })
	if _, err := f.Pair(script); err != nil {
		t.Fatal(err)
	}
	return before, f
}

// TestARealOBSIsPairedWhileItIsClosed pairs a real OBS that is closed. At its first start
// everything works: OBS listens with the password in its file, and has the script and the dock.
// Undo in the pane reverts what a script can revert, and `obs pair --undo` reverts the rest.
func TestARealOBSIsPairedWhileItIsClosed(t *testing.T) {
	t.Parallel()
	for name, button := range map[string]string{"command": "", "pane, then command": "undo"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newReal(t, "")
			before, f := r.paired()
			o := r.Launch(t)
			o.Await(t)
			if _, err := f.Undo(""); err == nil {
				t.Error("undone while OBS runs")
			}
			settings, err := f.WebSocket()
			if err != nil || settings.Password.Empty() {
				t.Fatalf("the WebSocket server has no password: %v", err)
			}
			r.connect(o, settings.Password.Reveal())
			if _, handed := r.opened(); handed.Get("obs-password") != settings.Password.Reveal() {
				t.Errorf("the dock is given %v", handed)
			}
			o.Quit(t)
			if !strings.Contains(o.Log(), serverID+".lua] "+ready) {
				t.Errorf("the script does not say that OBS is ready:\n%s", o.Log())
			}
			if docks := r.ini("ExtraBrowserDocks"); !strings.Contains(docks, "127.0.0.1:1/dock") ||
				strings.Contains(docks, "#") {
				t.Errorf("docks are %q, want ours without secrets", docks)
			}
			if button != "" {
				r.Write(t, "../press", button+"\n")
				o := r.Launch(t)
				o.Quit(t)
				docks := r.ini("ExtraBrowserDocks")
				if !strings.Contains(o.Log(), "obs pair --undo --server") || docks != "" {
					t.Errorf("docks are %q, and OBS's log is\n%s", docks, o.Log())
				}
			}
			if _, err := f.Undo(""); err != nil {
				t.Fatal(err)
			}
			compare(t, r.Stable(t), before)
		})
	}
}

// TestARealOBSWithoutWHIPGetsEverythingBack: the first start of a paired OBS shows that it has no
// WHIP. The script removes the dock, and says which step is left.
func TestARealOBSWithoutWHIPGetsEverythingBack(t *testing.T) {
	t.Parallel()
	r := newReal(t, "")
	before, f := r.paired()
	r.Write(t, "../no-whip", "")
	o := r.Launch(t)
	o.Quit(t)
	for _, want := range []string{noWHIP, takenBack, "pair --undo --server http://127.0.0.1:1”"} {
		if !strings.Contains(o.Log(), want) {
			t.Errorf("the script does not say %q:\n%s", want, o.Log())
		}
	}
	if docks := r.ini("ExtraBrowserDocks"); docks != "" {
		t.Errorf("docks are %q, want none", docks)
	}
	if _, err := os.Stat(r.Dir + "/plugin_config/stagedoor/" + serverID + ".json"); err == nil {
		t.Error("the notes with the secret are left")
	}
	if _, err := f.Undo(""); err != nil {
		t.Fatal(err)
	}
	compare(t, r.Stable(t), before)
}

// TestARealOBSEndsCleanlyWithTheScript: OBS 29 crashed when the script saved a file in
// script_unload, while OBS was ending.
func TestARealOBSEndsCleanlyWithTheScript(t *testing.T) {
	t.Parallel()
	r := newReal(t, "newer.lua")
	r.install("newer.lua")
	began := time.Now()
	for range 20 {
		r.Launch(t).Quit(t)
	}
	t.Logf("20 starts and ends took %v", time.Since(began).Round(time.Second))
	if docks := r.ini("ExtraBrowserDocks"); strings.Count(docks, "127.0.0.1:1/dock") != 1 {
		t.Errorf("docks are %q, want ours once", docks)
	}
}

// TestTheScriptInAnOBSThatIsTooOld runs the script in Debian's OBS, which is too old and has
// neither docks nor WHIP. The script says so and changes nothing.
func TestTheScriptInAnOBSThatIsTooOld(t *testing.T) {
	t.Parallel()
	r := newReal(t, "")
	r.Launch(t).Quit(t)
	before := r.Stable(t)
	r.install("stagedoor.lua")
	o := r.Launch(t)
	o.Quit(t)
	if !strings.Contains(o.Log(),
		" is too old: WHIP came with OBS 30. Update OBS.") {
		t.Errorf("OBS's log says nothing of it:\n%s", o.Log())
	}
	after := r.Stable(t)
	for name := range before {
		if strings.Contains(name, "/scenes/") {
			after[name] = before[name]
		}
	}
	compare(t, after, before)
}
