package script_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs/script"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	serverID = "0123456789abcdef0123456789abcdef"
	server   = "https://stage.example"
	code     = "sde_enrolment-code_1"
)

// inAnHour is the same for all tests. So most of their scripts are the same, and Lua compiles these
// only once.
var inAnHour = time.Now().Add(time.Hour)

func made(t *testing.T, change func(*script.Script)) string {
	t.Helper()
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	s := script.Script{
		Server: address, ID: serverID, User: "Ada", Code: stage.NewSecret(code),
		Expires: inAnHour, Language: "en",
	}
	if change != nil {
		change(&s)
	}
	text, err := s.Lua()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// newOBS returns a simulated OBS with the files that this version writes.
func newOBS(t *testing.T, version string) *fakeOBS {
	t.Helper()
	parent := t.TempDir()
	o := &fakeOBS{
		t: t, dir: filepath.Join(parent, "obs-studio"),
		modules: []string{"frontend-tools", "obs-websocket", "obs-browser"},
		kinds:   []string{"rtmp_custom", "whip_custom"},
		encode:  []string{"obs_x264"},
	}
	copyFolder(t, "../testdata/obs-"+version, o.dir, parent)
	o.user = readIni(t, o.dir+"/global.ini")
	if version != "30.2" {
		o.app, o.user = o.user, readIni(t, o.dir+"/user.ini")
	}
	o.profile = readIni(t, o.dir+"/basic/profiles/Untitled/basic.ini")
	var major, minor int
	_, _ = fmt.Sscanf(version, "%d.%d", &major, &minor)
	o.version = major<<24 | minor<<16
	return o
}

func copyFolder(t *testing.T, from, to, config string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
			return err
		}
		return os.WriteFile(target, []byte(strings.ReplaceAll(string(text), "@CONFIG@", config)),
			0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// snapshot returns the text of every file below a folder.
func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, dir)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func compare(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if got[name] != text {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], text)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("the file %s is left over", name)
		}
	}
}

func (o *fakeOBS) docks() string {
	text, _ := o.user.get("BasicWindow", "ExtraBrowserDocks")
	return text
}

// handed returns the values that the dock receives after the "#" of its address.
func (o *fakeOBS) handed() url.Values {
	o.t.Helper()
	return o.handedAt(server)
}

func (o *fakeOBS) handedAt(server string) url.Values {
	o.t.Helper()
	var docks []struct{ Title, URL, UUID string }
	if err := json.Unmarshal([]byte(o.docks()), &docks); err != nil {
		o.t.Fatalf("the docks of OBS cannot be read: %v: %s", err, o.docks())
	}
	for _, d := range docks {
		if address, fragment, ok := strings.Cut(d.URL, "#"); ok && address == server+"/dock" {
			values, err := url.ParseQuery(fragment)
			if err != nil {
				o.t.Fatal(err)
			}
			return values
		}
	}
	o.t.Fatalf("got the docks %s, want one with secrets in its address", o.docks())
	return nil
}

func (o *fakeOBS) websocket() map[string]any {
	o.t.Helper()
	text, err := os.ReadFile(o.dir + "/plugin_config/obs-websocket/config.json")
	if err != nil {
		o.t.Fatal(err)
	}
	var values map[string]any
	if err := json.Unmarshal(text, &values); err != nil {
		o.t.Fatalf("the file cannot be read: %v: %s", err, text)
	}
	return values
}

func TestTheScriptPairsAndUndoesByteForByte(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"30.2", "31", "32"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			text, o := made(t, nil), newOBS(t, version)
			before, docks := snapshot(t, o.dir), o.docks()

			// First run: the script is added while OBS runs. The running OBS has not loaded the
			// dock, so it does not save the dock at its end.
			o.start(text)
			password, _ := o.websocket()["server_password"].(string)
			if on := o.websocket(); on["server_enabled"] != true || on["auth_required"] != true ||
				len(password) < 16 {
				t.Errorf("the WebSocket server is %v, want it on, with a password", on)
			}
			if strings.Contains(snapshot(t, o.dir)["/user.ini"]+snapshot(t, o.dir)["/global.ini"],
				"password=") {
				t.Error("secrets stand in a file of OBS")
			}
			o.quit(docks)

			// Second run: OBS opens the dock with the password, the port, the code and the secret.
			o.start(text)
			handed := o.handed()
			port := fmt.Sprint(o.websocket()["server_port"])
			if handed.Get("obs-password") != password || handed.Get("obs-port") != port ||
				handed.Get("enrol") != code || len(handed.Get("obs-secret")) != 64 {
				t.Errorf("the dock is given %v, want password %q, port %s, the code and a secret",
					handed, password, port)
			}
			loaded := o.docks()
			if strings.Count(loaded, "stagedoor"+serverID) != 1 ||
				!strings.HasPrefix(loaded, strings.TrimSuffix(docks, "]")) {
				t.Errorf("docks are %s, want %s and ours, once", loaded, docks)
			}
			o.quit(loaded)
			if saved := o.docks(); strings.Contains(saved, "#") ||
				!strings.Contains(saved, server+"/dock") {
				t.Errorf("after the end of OBS the docks are %s, want ours without secrets", saved)
			}

			// Undo works although OBS ends with the dock still in its list.
			o.start(text)
			loaded = o.docks()
			o.press("undo")
			if !strings.Contains(o.status, "taken back") {
				t.Errorf("the pane says %q", o.status)
			}
			o.quit(loaded)
			compare(t, snapshot(t, o.dir), before)

			// The script stays undone until the person clicks Pair again.
			o.start(text)
			o.quit(o.docks())
			compare(t, snapshot(t, o.dir), before)
			o.start(text)
			o.press("pair")
			o.handed()
		})
	}
}

func TestADockAddedByHandIsTakenOverAndGivenBack(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "31")
	mine := `[{"title": "My \"stage\"", "url": "` + server + `/dock/", "uuid": "77"}, {"title": "x", "url": "https://x.example", "uuid": "1"}]`
	o.user.set("BasicWindow", "ExtraBrowserDocks", mine)
	o.start(made(t, nil))
	if got := o.docks(); strings.Count(got, "/dock") != 1 || !strings.Contains(got, `"uuid": "77"`) || !strings.Contains(got, `My \"stage\"`) {
		t.Errorf("docks are %s, want the person's own entry, once", got)
	}
	o.handed()
	o.press("undo")
	if got := o.docks(); got != mine {
		t.Errorf("docks are %s, want %s", got, mine)
	}
}

func TestNoDocksBeforeMeansNoneAfter(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "31")
	o.user.remove("BasicWindow", "ExtraBrowserDocks")
	o.start(made(t, nil))
	o.handed()
	o.press("undo")
	if got, there := o.user.get("BasicWindow", "ExtraBrowserDocks"); there {
		t.Errorf("docks are %s, want no such key", got)
	}
}

func TestTheCodeIsGivenNoLongerThanItIsGood(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "32")
	o.start(made(t, func(s *script.Script) { s.Expires = time.Now().Add(-time.Minute) }))
	if handed := o.handed(); handed.Has("enrol") || !handed.Has("obs-password") {
		t.Errorf("the dock is given %v, want all but the code", handed)
	}
}

func TestAnotherPasswordIsGivenAtTheNextStart(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "32")
	o.start(made(t, nil))
	if got, want := o.handed().Get("obs-password"), "a #&=\"%+ß password"; got != want {
		t.Errorf("the password is %q, want %q", got, want)
	}
	o.quit(o.docks())
	path := o.dir + "/plugin_config/obs-websocket/config.json"
	if err := os.WriteFile(path, []byte(`{"server_enabled":true,"server_password":"another","server_port":4455}`), 0o600); err != nil {
		t.Fatal(err)
	}
	o.start(made(t, nil))
	if got := o.handed().Get("obs-password"); got != "another" {
		t.Errorf("the password is %q, want the new one", got)
	}
}

func TestAPasswordChosenSinceStays(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "31") // its WebSocket server has no password
	o.start(made(t, nil))
	path := o.dir + "/plugin_config/obs-websocket/config.json"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	chosen := strings.Replace(string(text), o.handed().Get("obs-password"), `chosen, by \"me\"`, 1)
	if err := os.WriteFile(path, []byte(chosen), 0o600); err != nil {
		t.Fatal(err)
	}
	o.press("undo")
	if got := o.websocket(); got["server_password"] != `chosen, by "me"` || got["server_enabled"] != false {
		t.Errorf("after Undo the server is %v, want it off, and the person's password", got)
	}
}

func TestTwoServersShareAnOBS(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "30.2")
	before := snapshot(t, o.dir)
	o.start(made(t, nil))
	other := *o // a second script in the same OBS
	other.settings, other.callbacks = nil, nil
	theirs := made(t, func(s *script.Script) {
		s.ID = strings.Repeat("f", 32)
		s.Server = &url.URL{Scheme: "http", Host: "127.0.0.1:8080"}
	})
	other.start(theirs)
	other.start(theirs) // the dock keeps its title, although the list contains that title now
	if got := o.docks(); strings.Count(got, `"title": "Stagedoor"`) != 1 ||
		strings.Count(got, `"title": "Stagedoor (127.0.0.1:8080)"`) != 1 {
		t.Errorf("docks are %s, want two of ours that a person can tell apart", got)
	}
	o.press("undo")
	if got := o.docks(); strings.Contains(got, server) ||
		!strings.Contains(got, "127.0.0.1:8080/dock") {
		t.Errorf("docks are %s, want the other server's alone", got)
	}
	if on := o.websocket()["server_enabled"]; on != true {
		t.Error("the WebSocket server is off, and the other dock needs it")
	}
	other.press("undo")
	o.user.save()
	compare(t, snapshot(t, o.dir), before)
}

func TestAnOpenWebSocketServerIsLeftAndSaid(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "31")
	path := o.dir + "/plugin_config/obs-websocket/config.json"
	text := `{"server_enabled": true, "auth_required": false, "server_port": 4455}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	o.start(made(t, nil))
	if got := snapshot(t, o.dir)["/plugin_config/obs-websocket/config.json"]; got != text {
		t.Errorf("the file is %s, want it untouched", got)
	}
	if !slices.ContainsFunc(o.log, func(line string) bool {
		return strings.Contains(line, "asks for no password")
	}) {
		t.Errorf("log %q says nothing of the open server", o.log)
	}
}

// ask sends a request as the dock does, as a parameter of the profile. It returns the script's
// answer, or nil.
func (o *fakeOBS) ask(secret string, at int64, more map[string]any) map[string]any {
	o.t.Helper()
	request := map[string]any{"at": at}
	for k, v := range more {
		request[k] = v
	}
	body, _ := json.Marshal(request)
	o.profile.set("Stagedoor", "Ask", sign(secret, "ask ", string(body)))
	o.profile.remove("Stagedoor", "Answer")
	o.tick()
	answer, ok := o.profile.get("Stagedoor", "Answer")
	if !ok {
		return nil
	}
	_, text, _ := strings.Cut(answer, " ")
	if answer != sign(secret, "answer ", text) {
		o.t.Errorf("the answer is not signed: %s", answer)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		o.t.Fatal(err)
	}
	return got
}

func sign(secret, purpose, text string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(purpose + text))
	return hex.EncodeToString(mac.Sum(nil)) + " " + text
}

func (o *fakeOBS) selectProfile(name string) {
	o.t.Helper()
	o.event("PROFILE_CHANGING")
	o.user.set("Basic", "Profile", name)
	o.user.set("Basic", "ProfileDir", name)
	path := o.dir + "/basic/profiles/" + name + "/basic.ini"
	o.profile, o.service = &ini{path: path}, nil
	o.profile.set("General", "Name", name)
	o.profile.save()
	o.event("PROFILE_CHANGED")
}

func TestTheEncoderFileIsWrittenForThePairedDockAlone(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"30.2", "31", "32"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			o := newOBS(t, version)
			o.encode = []string{"obs_nvenc_h264_tex", "obs_x264"}
			o.start(made(t, nil))
			secret := o.handed().Get("obs-secret")
			if got := o.handed().Get("obs-encoders"); got != "obs_nvenc_h264_tex obs_x264" {
				t.Errorf("the dock is given the encoders %q", got)
			}
			write := map[string]any{"do": "write", "encoder": "obs_nvenc_h264_tex", "bitrate": 2500,
				"keyint_sec": 2}

			if got := o.ask(secret, 1, write); got["result"] != "not_our_profile" {
				t.Errorf("in the person's own profile: %v, want it refused", got)
			}
			o.selectProfile("Stagedoor")
			if got := o.ask(secret, 2, write); got != nil {
				t.Errorf("right after a change of profile: %v, want nothing to be looked at", got)
			}
			o.now += 2e9
			file := o.dir + "/basic/profiles/Stagedoor/streamEncoder.json"

			// The script ignores a request without a valid signature, and refuses a request whose
			// time is not later than that of the last one.
			if got := o.ask(strings.Repeat("0", 64), 3, write); got != nil {
				t.Errorf("with a foreign secret: %v, want no answer", got)
			}
			for _, bare := range []string{"", "{}", `{"at":3}`, "zz {}", strings.Repeat("a", 64) + " {}"} {
				o.profile.set("Stagedoor", "Ask", bare)
				o.tick()
			}
			if _, err := os.Stat(file); err == nil {
				t.Fatal("a file was written for a stranger")
			}

			got := o.ask(secret, 4, write)
			want := `{"bf":0,"bitrate":2500,"keyint_sec":2,"lookahead":false,"multipass":"disabled","preset":"p4","profile":"baseline","rate_control":"CBR","tune":"ll"}`
			if text, _ := os.ReadFile(file); string(text) != want || got["result"] != "done" ||
				got["settings"] != want || got["at"] != 4.0 {
				t.Errorf("got the answer %v and the file %s, want %s in both", got, text, want)
			}
			if got := o.ask(secret, 4,
				map[string]any{"do": "write", "encoder": "obs_x264", "bitrate": 900,
					"keyint_sec": 1}); got["result"] != "too_old" {
				t.Errorf("a request of the same time: %v, want too_old", got)
			}
			for i, bad := range []map[string]any{
				// this computer has no encoder of that ID
				{"do": "write", "encoder": "h264_texture_amf", "bitrate": 900, "keyint_sec": 1},
				{"do": "write", "encoder": "../../x", "bitrate": 900, "keyint_sec": 1},
				{"do": "write", "encoder": "obs_x264", "bitrate": 1, "keyint_sec": 1},
				{"do": "write", "encoder": "obs_x264", "bitrate": 900, "keyint_sec": 250},
				{"do": "write"},
			} {
				if got := o.ask(secret, int64(10+i), bad); got["result"] == "done" ||
					got["settings"] != want {
					t.Errorf("%v: %v, want it refused and the file as it was", bad, got)
				}
			}
			o.active = true
			if got := o.ask(secret, 20, write); got["result"] != "streaming" {
				t.Errorf("a write while OBS streams: got %v, want it refused as streaming", got)
			}
			if got := o.ask(secret, 21, nil); got["settings"] != want {
				t.Errorf("a look: %v, want the settings", got)
			}
			o.active = false
			o.press("undo")
			if _, err := os.Stat(file); err == nil {
				t.Error("Undo left the encoder's file")
			}
			if got := o.ask(secret, 22, nil); got != nil {
				t.Errorf("after Undo: %v, want no answer", got)
			}
		})
	}
}

func TestUndoGivesTheEncoderFileBack(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "32")
	o.selectProfile("Stagedoor")
	file := o.dir + "/basic/profiles/Stagedoor/streamEncoder.json"
	mine := "{\n    \"bitrate\": 1234\n}\n"
	if err := os.WriteFile(file, []byte(mine), 0o600); err != nil {
		t.Fatal(err)
	}
	o.start(made(t, nil))
	secret := o.handed().Get("obs-secret")
	// the values of the first write must not count as the person's in the second
	for at := range int64(2) {
		if got := o.ask(secret, at+1,
			map[string]any{"do": "write", "encoder": "obs_x264", "bitrate": 900,
				"keyint_sec": 1}); got["result"] != "done" {
			t.Fatalf("a write by the script: got %v, want done", got)
		}
	}
	o.press("undo")
	if text, _ := os.ReadFile(file); string(text) != mine {
		t.Errorf("the file is %s, want %s", text, mine)
	}
}

// TestAFailedSetUpGivesTheEncoderFileBack: after a failed set-up, the script restores the encoder's
// file byte for byte. It does so only for the paired dock. After that, Undo still restores the
// person's original file.
func TestAFailedSetUpGivesTheEncoderFileBack(t *testing.T) {
	t.Parallel()
	for name, mine := range map[string]string{
		"a file": "{\n    \"bitrate\": 1234\n}\n", "none": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOBS(t, "32")
			o.selectProfile("Stagedoor")
			file := o.dir + "/basic/profiles/Stagedoor/streamEncoder.json"
			if mine != "" {
				if err := os.WriteFile(file, []byte(mine), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			o.start(made(t, nil))
			secret, at := o.handed().Get("obs-secret"), int64(0)
			ask := func(request map[string]any) any {
				at++
				return o.ask(secret, at, request)["result"]
			}
			write := func(setUp, kbits int) {
				t.Helper()
				got := ask(map[string]any{
					"do": "write", "encoder": "obs_x264", "bitrate": kbits, "keyint_sec": 1,
					"setup": setUp,
				})
				if got != "done" {
					t.Fatalf("write: got %v, want done", got)
				}
			}
			restore := func(setUp int) any {
				return ask(map[string]any{"do": "restore", "setup": setUp})
			}
			is := func(what, want string) {
				t.Helper()
				if text, _ := os.ReadFile(file); string(text) != want {
					t.Errorf("%s: the file is %q, want %q", what, text, want)
				}
			}

			write(70, 900)
			write(70, 800) // a second write of the same set-up
			if got := restore(71); got != "nothing_kept" {
				t.Errorf("another set-up's: got %v, want nothing_kept", got)
			}
			if got := restore(70); got != "done" {
				t.Errorf("got %v, want done", got)
			}
			is("given back", mine)

			write(72, 900)
			ours, _ := os.ReadFile(file)
			write(73, 700)
			if got := restore(73); got != "done" {
				t.Errorf("got %v, want done", got)
			}
			is("the second set-up failed", string(ours))
			o.press("undo")
			is("Undo", mine)
		})
	}
}

func TestEveryEncoderIsMadeFitForWHIP(t *testing.T) {
	t.Parallel()
	own := map[string]string{
		"obs_nvenc_h264_tex": `"tune":"ll"`,
		"jim_nvenc":          `"preset2":"p4"`,
		"h264_texture_amf":   `"preset":"speed"`,
		"com.apple.videotoolbox.videoencoder.ave.avc":  `"bframes":false`,
		"com.apple.videotoolbox.videoencoder.h264.gva": `"max_bitrate":1800`,
		"obs_qsv11_v2":     `"latency":"low"`,
		"ffmpeg_vaapi_tex": `"profile":578`,
		"ffmpeg_vaapi":     `"profile":578`,
		"obs_x264":         `"tune":"zerolatency"`,
	}
	o := newOBS(t, "32")
	for id := range own {
		o.encode = append(o.encode, id)
	}
	o.start(made(t, nil))
	secret := o.handed().Get("obs-secret")
	if got := strings.Fields(o.handed().Get("obs-encoders")); len(got) != len(own) ||
		got[len(got)-1] != "obs_x264" {
		t.Errorf("encoders are %q, want all %d, x264 last", got, len(own))
	}
	o.selectProfile("Stagedoor")
	o.now += 2e9
	at := int64(0)
	for id, setting := range own {
		at++
		got := o.ask(secret, at,
			map[string]any{"do": "write", "encoder": id, "bitrate": 1800, "keyint_sec": 1})
		settings := fmt.Sprint(got["settings"])
		for _, want := range []string{setting, `"keyint_sec":1`, `"bf":0`, `"bitrate":1800`, `"profile":`, `"rate_control":`} {
			if got["result"] != "done" || !strings.Contains(settings, want) {
				t.Errorf("%s: %v %s, want %s", id, got["result"], settings, want)
			}
		}
	}
}

func TestAScriptIsMadeForOnePersonAndNoCode(t *testing.T) {
	t.Parallel()
	text := made(t, func(s *script.Script) {
		s.User = "Eve\nos.execute('x')\r\"]]\\"
	})
	if lines := strings.SplitN(text, "\n", 3); !strings.HasPrefix(lines[0],
		"-- Stagedoor for OBS, made for Eve ") || lines[1] != "--" {
		t.Errorf("the head is %q", lines[:2])
	}
	newOBS(t, "32").start(text)
	for _, never := range []string{"script_unload", "io.popen", "os.execute", "http://", "{{"} {
		if strings.Contains(made(t, nil), never) {
			t.Errorf("the script has %q in it", never)
		}
	}
	for _, language := range []string{"de", "es", "xx", ""} {
		o := newOBS(t, "32")
		o.start(made(t, func(s *script.Script) { s.Language = language }))
		o.press("pair")
		if got := map[string]string{"de": "Schließe OBS",
			"es": "Cierra OBS"}[language]; !strings.Contains(o.status, got) || o.status == "" {
			t.Errorf("language %q: the pane says %q", language, o.status)
		}
	}
}

// TestANewerScriptCounts: OBS has two scripts of a server, because the server's address has
// changed. Only the newer script acts.
func TestANewerScriptCounts(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "32")
	newer := made(t, func(s *script.Script) {
		s.Server = &url.URL{Scheme: "https", Host: "new.example"}
		s.Expires = s.Expires.Add(time.Hour)
	})
	o.start(newer)
	o.quit(o.docks())
	o.start(made(t, nil))
	if !strings.Contains(o.status+strings.Join(o.log, ""), "A newer script") {
		t.Errorf("the older script says %q, %q", o.status, o.log)
	}
	o.quit(o.docks())
	o.start(newer)
	if docks := o.docks(); strings.Contains(docks, server) ||
		strings.Count(docks, "https://new.example/dock") != 1 {
		t.Errorf("the docks are %s", docks)
	}
}

func TestNoScriptForAServerInClear(t *testing.T) {
	t.Parallel()
	for address, ok := range map[string]bool{
		"https://stage.example": true, "http://127.0.0.1:8080": true, "http://localhost:8080": true,
		"http://[::1]:8080":    true,
		"http://stage.example": false, "http://192.168.1.4:8080": false,
		"http://127.0.0.1.example": false,
	} {
		u, _ := url.Parse(address)
		_, err := script.Script{Server: u, ID: "ab", User: "Ada", Language: "en"}.Lua()
		if (err == nil) != ok {
			t.Errorf("%s: got the error %v, want a script: %v", address, err, ok)
		}
	}
}
