package folder_test

import (
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/obs/folder"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const server = "https://stage.example"

// lua returns the lines of stagedoor.lua that Pair parses. The tests of internal/web use the real
// script.
func lua(server, id string) string {
	return "-- Stagedoor for OBS\nlocal server = \"" + server + "\"\nlocal id = \"" + id +
		"\" -- of that server\nlocal code, code_expires = \"once\", 1900000000 -- seconds\n"
}

// install returns a configuration folder with the files that a version of OBS writes.
func install(t *testing.T, version string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "obs-studio")
	if err := os.CopyFS(dir, os.DirFS("../testdata/obs-"+version)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func snapshot(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			text, failed := os.ReadFile(path)
			all[strings.TrimPrefix(path, dir+"/")], err = string(text), failed
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func same(t *testing.T, got, want map[string]string) {
	t.Helper()
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s is\n%s\nwant\n%s", name, got[name], want[name])
		}
	}
	for name := range maps.Keys(got) {
		if _, there := want[name]; !there {
			t.Errorf("the file %s is left over", name)
		}
	}
}

func change(t *testing.T, dir, name, old, text string) {
	t.Helper()
	path := filepath.Join(dir, name)
	now, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(now), old) {
		t.Fatalf("%v: want %q in %s: %s", err, old, name, now)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(now), old, text, 1)),
		0o600); err != nil {
		t.Fatal(err)
	}
}

func code(err error) string {
	var e *stage.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func TestAPairingAndItsUndo(t *testing.T) {
	t.Parallel()
	for version, ini := range map[string]string{"30.2": "global.ini", "31": "user.ini",
		"32": "user.ini"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			dir := install(t, version)
			before := snapshot(t, dir)
			f := folder.Folder{Dir: dir}
			did, err := f.Pair(lua(server, "ab12"))
			if err != nil {
				t.Fatal(err)
			}
			after := snapshot(t, dir)
			ws, err := f.WebSocket()
			if err != nil || !ws.Enabled || !ws.Auth || ws.Password.Empty() || ws.Port != did.Port {
				t.Errorf("got %+v (%v), want it on, with a password and the port of Pair", ws, err)
			}
			if strings.Count(after[ini], `"url": "`+server+`/dock"`) != 1 ||
				strings.Contains(after[ini], "#obs-") {
				t.Errorf("%s is %s, want the dock once and no secrets", ini, after[ini])
			}
			for _, name := range []string{"basic/scenes/Untitled.json",
				"basic/scenes/Second.json"} {
				if strings.Count(after[name], "plugin_config/stagedoor/ab12.lua") != 1 {
					t.Errorf("%s is %s, want the script once", name, after[name])
				}
			}
			if len(did.Collections) != 2 ||
				after["plugin_config/stagedoor/ab12.lua"] != lua(server, "ab12") {
				t.Errorf("got %+v, want two collections, and the script stored", did)
			}

			if _, err := f.Pair(lua(server, "ab12")); err != nil {
				t.Fatal(err)
			}
			same(t, snapshot(t, dir), after) // a second Pair changes nothing
			if did, err := f.Undo(""); err != nil || did.Server != server {
				t.Fatalf("undo: got %+v (%v), want the server %s", did, err, server)
			}
			same(t, snapshot(t, dir), before)
			for _, address := range []string{"", server} {
				did, err := f.Undo(address)
				if err != nil || did.Server != "" ||
					!strings.HasPrefix(strings.Join(did.Notices, " "), "Nothing to undo: ") {
					t.Errorf("a second undo of %q: %+v, %v", address, did, err)
				}
			}
			same(t, snapshot(t, dir), before)
		})
	}
}

// TestUndoAfterOBSHasRun: Undo keeps what OBS has written since Pair, and removes Stagedoor's
// entries.
func TestUndoAfterOBSHasRun(t *testing.T) {
	t.Parallel()
	dir := install(t, "32")
	before := snapshot(t, dir)
	f := folder.Folder{Dir: dir}
	if _, err := f.Pair(lua(server, "ab12")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"user.ini", "basic/scenes/Untitled.json",
		"plugin_config/obs-websocket/config.json"} {
		old, text := "AlwaysOnTop=false", "AlwaysOnTop=true"
		switch filepath.Ext(name) {
		case ".json":
			old, text = "{", "{\"new\": 1, "
		}
		change(t, dir, name, old, text)
	}
	if _, err := f.Undo(server + "/"); err != nil {
		t.Fatal(err)
	}
	after := snapshot(t, dir)
	for name, text := range after {
		if strings.Contains(text, "stagedoor") || strings.Contains(text, server) {
			t.Errorf("after the undo, %s still names Stagedoor: %s", name, text)
		}
	}
	if want := strings.Replace(before["user.ini"], "AlwaysOnTop=false", "AlwaysOnTop=true",
		1); after["user.ini"] != want {
		t.Errorf("user.ini is %s, want %s", after["user.ini"], want)
	}
	if want := strings.Replace(before["basic/scenes/Untitled.json"], "{", "{\"new\": 1, ",
		1); after["basic/scenes/Untitled.json"] != want {
		t.Errorf("the scenes are %s, want %s", after["basic/scenes/Untitled.json"], want)
	}
	if ws, err := f.WebSocket(); err != nil || ws.Enabled != strings.Contains(before["plugin_config/obs-websocket/config.json"], `"server_enabled": true`) {
		t.Errorf("got %+v (%v), want the server on or off as before", ws, err)
	}
}

// TestUndoGivesBackWhatTheScriptTookOver: Undo restores a dock that a person had added and that the
// script took over. It keeps a dock with the same ID if it opens another page now.
func TestUndoGivesBackWhatTheScriptTookOver(t *testing.T) {
	t.Parallel()
	mine := `{"title": "My stage", "url": "` + server + `/dock/", "uuid": "77"}`
	for now, want := range map[string]string{
		"https://moved.example/dock":               mine,
		"https://moved.example/dock#obs-port=4455": mine,
		server + "/dock":                           mine,
		"https://chat.example/dock":                `{"uuid": "77", "url": "https://chat.example/dock"}`,
	} {
		dir := install(t, "31")
		f := folder.Folder{Dir: dir}
		if _, err := f.Pair(lua(server, "ab12")); err != nil {
			t.Fatal(err)
		}
		notes, _ := json.Marshal(map[string]string{"adopted": mine,
			"server": "https://moved.example", "left": " " + server, "secret": "s"})
		name := filepath.Join(dir, "plugin_config", "stagedoor", "ab12.json")
		if err := os.WriteFile(name, notes, 0o600); err != nil {
			t.Fatal(err)
		}
		change(t, dir, "user.ini", "ExtraBrowserDocks=[",
			`ExtraBrowserDocks=[{"uuid": "77", "url": "`+now+`"}, `)
		if _, err := f.Undo(server); err != nil {
			t.Fatal(err)
		}
		text, _ := os.ReadFile(filepath.Join(dir, "user.ini"))
		if !strings.Contains(string(text), "ExtraBrowserDocks=["+want+"]") {
			t.Errorf("opened at %s: user.ini is %s, want %s", now, text, want)
		}
	}
}

// TestAnEmptyListOfScriptsStaysEmpty: Undo removes the only script of a collection and leaves the
// empty list as OBS 32 writes it.
func TestAnEmptyListOfScriptsStaysEmpty(t *testing.T) {
	t.Parallel()
	dir := install(t, "32")
	name := filepath.Join(dir, "basic", "scenes", "Untitled.json")
	const was = "{\n    \"modules\": {\n        \"scripts-tool\": []\n    }\n}"
	if err := os.WriteFile(name, []byte(was), 0o600); err != nil {
		t.Fatal(err)
	}
	f := folder.Folder{Dir: dir}
	if _, err := f.Pair(lua(server, "ab12")); err != nil {
		t.Fatal(err)
	}
	change(t, dir, "basic/scenes/Untitled.json", "[{", "[\n            {")
	change(t, dir, "basic/scenes/Untitled.json", "}]", "}\n        ]")
	if _, err := f.Undo(""); err != nil {
		t.Fatal(err)
	}
	if got := snapshot(t, dir)["basic/scenes/Untitled.json"]; got != was {
		t.Errorf("the scenes are %q, want %q", got, was)
	}
}

func TestTwoServersShareAnOBS(t *testing.T) {
	t.Parallel()
	dir := install(t, "31")
	before := snapshot(t, dir)
	f := folder.Folder{Dir: dir}
	for range 2 { // the second time, the titles stay
		for _, p := range []struct{ id, at string }{
			{"ab12", server}, {"cd34", "https://other.example"},
		} {
			if _, err := f.Pair(lua(p.at, p.id)); err != nil {
				t.Fatal(err)
			}
		}
		if text := snapshot(t, dir)["user.ini"]; strings.Count(text, `"title": "Stagedoor"`) != 1 ||
			strings.Count(text, `"title": "Stagedoor (other.example)"`) != 1 {
			t.Errorf("the docks in %s cannot be told apart", text)
		}
	}
	if _, err := f.Undo(""); code(err) != "obs_several_pairings" {
		t.Errorf("undo of none of both: %v", err)
	}
	if _, err := f.Undo(server); err != nil {
		t.Fatal(err)
	}
	now := snapshot(t, dir)
	if text := now["user.ini"]; strings.Contains(text, server) ||
		!strings.Contains(text, "https://other.example/dock") {
		t.Errorf("user.ini is %s", text)
	}
	if text := now["basic/scenes/Untitled.json"]; strings.Contains(text, "ab12.lua") ||
		!strings.Contains(text, "cd34.lua") {
		t.Errorf("the scenes are %s", text)
	}
	if _, err := f.Undo(""); err != nil {
		t.Fatal(err)
	}
	if now := snapshot(t, dir); strings.Contains(now["user.ini"], "other.example") ||
		now["basic/scenes/Untitled.json"] != before["basic/scenes/Untitled.json"] {
		t.Errorf("user.ini is %s", now["user.ini"])
	}
}

// TestPairingAgainWithANewAddress: pairing again after the server's address changed replaces the
// dock.
func TestPairingAgainWithANewAddress(t *testing.T) {
	t.Parallel()
	dir := install(t, "32")
	f := folder.Folder{Dir: dir}
	for _, at := range []string{server, "https://new.example"} {
		if _, err := f.Pair(lua(at, "ab12")); err != nil {
			t.Fatal(err)
		}
	}
	text := snapshot(t, dir)["user.ini"]
	if strings.Contains(text, server) || strings.Count(text, "https://new.example/dock") != 1 {
		t.Errorf("user.ini is %s", text)
	}
}

func TestAFolderIsFoundOnEverySystem(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	place := func(parts ...string) string {
		dir := filepath.Join(append([]string{home}, parts...)...)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "global.ini"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	env := func(name string) string {
		return map[string]string{"HOME": home, "APPDATA": filepath.Join(home, "Roaming")}[name]
	}
	if _, err := folder.Find("", "linux", env); code(err) != "obs_no_config" {
		t.Errorf("without any: %v", err)
	}
	flatpak := place(".var", "app", "com.obsproject.Studio", "config", "obs-studio")
	mac, windows := place("Library", "Application Support", "obs-studio"),
		place("Roaming", "obs-studio")
	portable := place("Portable", "config", "obs-studio")
	for _, tt := range []struct{ given, goos, want string }{
		{"", "linux", flatpak}, {"", "darwin", mac}, {"", "windows", windows},
		{filepath.Join(home, "Portable"), "windows", portable}, {portable, "linux", portable},
		{home, "linux", ""},
	} {
		got, err := folder.Find(tt.given, tt.goos, env)
		if got.Dir != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q on %s: %q, %v; want %q", tt.given, tt.goos, got.Dir, err, tt.want)
		}
	}
	place(".config", "obs-studio")
	if _, err := folder.Find("", "linux", env); code(err) != "obs_no_config" ||
		!strings.Contains(err.Error(), flatpak) {
		t.Errorf("with two: %v", err)
	}
}

func TestNothingIsChangedWhileOBSRuns(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("elsewhere any OBS counts")
	}
	dir := install(t, "32")
	if err := os.MkdirAll(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	// OBS keeps its log file open while it runs. Here, this process imitates that.
	log, err := os.Create(filepath.Join(dir, "logs", "now.txt"))
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	f := folder.Folder{Dir: dir}
	if _, err := f.Pair(lua(server, "ab12")); code(err) != "obs_running" {
		t.Errorf("pair: %v", err)
	}
	if _, err := f.Undo(""); code(err) != "obs_running" {
		t.Errorf("undo: %v", err)
	}
	same(t, snapshot(t, dir), before)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Pair(lua(server, "ab12")); err != nil {
		t.Errorf("after OBS has ended: %v", err)
	}
}

func TestATextThatIsNoScriptIsRefused(t *testing.T) {
	t.Parallel()
	if _, err := (folder.Folder{Dir: install(t, "32")}).Pair("<html>"); code(
		err) != "not_stagedoor" {
		t.Error(err)
	}
}

// TestAnOBSThatCannotBePairedIsRefused: if the files show that OBS cannot be paired, Pair refuses
// and changes nothing.
func TestAnOBSThatCannotBePairedIsRefused(t *testing.T) {
	t.Parallel()
	for want, spoil := range map[string]func(t *testing.T, dir string){
		"obs_too_old": func(t *testing.T, dir string) {
			change(t, dir, "global.ini", "LastVersion=503447555", "LastVersion=486539266")
		},
		"obs_no_config": func(t *testing.T, dir string) {
			if err := os.RemoveAll(filepath.Join(dir, "basic", "scenes")); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			dir := install(t, "30.2")
			spoil(t, dir)
			before := snapshot(t, dir)
			_, err := folder.Folder{Dir: dir}.Pair(lua(server, "ab12"))
			if code(err) != want || !strings.HasSuffix(err.Error(), "Nothing was changed.") {
				t.Errorf("got %v, want %s", err, want)
			}
			same(t, snapshot(t, dir), before)
		})
	}
}

// TestAServerThatIsNotPairedIsRefused: Undo for a server that is not paired fails. The error names
// the paired server.
func TestAServerThatIsNotPairedIsRefused(t *testing.T) {
	t.Parallel()
	dir := install(t, "32")
	f := folder.Folder{Dir: dir}
	if _, err := f.Pair(lua(server, "ab12")); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	_, err := f.Undo("https://nowhere.example")
	if code(err) != "obs_not_paired" || !strings.Contains(err.Error(), server) {
		t.Errorf("got %v, want a refusal that names %s", err, server)
	}
	same(t, snapshot(t, dir), before)
}

// TestUndoOfAPairingByTheScript: the script of a server was downloaded and has paired OBS. Undo
// removes the dock and the notes of the script, and restores the docks that the script took over.
// It also removes the script from the scene collection, since the script would pair OBS again. It
// keeps the scripts of other servers.
func TestUndoOfAPairingByTheScript(t *testing.T) {
	t.Parallel()
	dir := install(t, "31")
	mine := `[{"title": "A", "url": "` + server + `/dock", "uuid": "1"}, ` +
		`{"title": "B", "url": "` + server + `/dock/", "uuid": "2"}, ` +
		`{"title": "C", "url": "https://c.example", "uuid": "3"}]`
	change(t, dir, "user.ini", "ExtraBrowserDocks=[]", "ExtraBrowserDocks="+mine)
	home := t.TempDir()
	entry := map[string]string{}
	for id, at := range map[string]string{"ab12": server, "cd34": "https://other.example"} {
		path := filepath.Join(home, id+".lua")
		if err := os.WriteFile(path, []byte(lua(at, id)), 0o600); err != nil {
			t.Fatal(err)
		}
		entry[id] = `{"path": "` + path + `", "settings": {}}`
	}
	scenes := func(scripts string) {
		t.Helper()
		text := `{"modules": {"scripts-tool": [` + scripts + `]}}`
		name := filepath.Join(dir, "basic", "scenes", "Untitled.json")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	scenes(entry["cd34"])
	before := snapshot(t, dir)

	scenes(entry["ab12"] + ", " + entry["cd34"])
	change(t, dir, "user.ini", mine, `[{"title": "A", "url": "`+server+`/dock", "uuid": "1"}, `+
		`{"title": "C", "url": "https://c.example", "uuid": "3"}]`)
	config := "plugin_config/obs-websocket/config.json"
	change(t, dir, config, `"server_enabled": false`, `"server_enabled": true`)
	change(t, dir, config, `"server_password": ""`, `"server_password": "made"`)
	adopted, _ := json.Marshal(strings.TrimSuffix(strings.TrimPrefix(mine, "["),
		`, {"title": "C", "url": "https://c.example", "uuid": "3"}]`))
	for name, text := range map[string]string{
		"ab12.json": `{"server": "` + server + `", "secret": "s", "adopted": ` + string(adopted) + `}`,
		"before.json": `{"docks": "some", "server_enabled": "false", "server_password": "",` +
			` "made_password": "made"}`,
	} {
		path := filepath.Join(dir, "plugin_config", "stagedoor", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := (folder.Folder{Dir: dir}).Undo(server); err != nil {
		t.Fatal(err)
	}
	same(t, snapshot(t, dir), before)
}

// TestAPairingIsFoundByEveryAddressOfItsServer: the addresses are those in the notes of two
// scripts. The server of the first script has moved three times. The server of the second one now
// has an earlier address of the first server.
func TestAPairingIsFoundByEveryAddressOfItsServer(t *testing.T) {
	t.Parallel()
	const first, second = "ab12", "cd34"
	paired := func() folder.Folder {
		f := folder.Folder{Dir: install(t, "31")}
		for id, notes := range map[string]map[string]string{
			first: {"server": "https://second.example", "moved_to": "https://third.example",
				"left": " http://127.0.0.1:8080 https://first.example"},
			second: {"server": "http://127.0.0.1:8080"},
			"ef56": {"server": "https://unused.example"}, // its script has not run yet
		} {
			if id != "ef56" {
				notes["secret"] = "secret of " + id
			}
			text, _ := json.Marshal(notes)
			name := filepath.Join(f.Dir, "plugin_config", "stagedoor", id+".json")
			if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700),
				os.WriteFile(name, text, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
		return f
	}
	f := paired()
	for server, id := range map[string]string{
		"https://first.example": first, "https://second.example": first,
		"https://third.example": first, "http://127.0.0.1:8080": second,
	} {
		if got := f.Secret(server).Reveal(); got != "secret of "+id {
			t.Errorf("%s: got the %q, want the secret of %s", server, got, id)
		}
		f := paired()
		if _, err := f.Undo(server); err != nil {
			t.Fatal(err)
		}
		if _, left := snapshot(t, f.Dir)["plugin_config/stagedoor/"+id+".json"]; left {
			t.Errorf("%s: Undo has not undone the pairing of %s", server, id)
		}
	}
	for _, server := range []string{"", "https://fourth.example"} {
		if got := f.Secret(server).Reveal(); got != "" {
			t.Errorf("%s: got the %q, want no secret, because there are two", server, got)
		}
	}
	broken := filepath.Join(f.Dir, "plugin_config", "stagedoor", second+".json")
	if err := os.WriteFile(broken, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := f.Secret("").Reveal(); got != "secret of "+first {
		t.Errorf("got the %q, want the secret of the only pairing that can be read", got)
	}
}

// TestUndoRemovesAScriptThatThePaneHasUndone: Undo in the pane has reverted the pairing by a
// downloaded script, which stays in the scene collection.
func TestUndoRemovesAScriptThatThePaneHasUndone(t *testing.T) {
	t.Parallel()
	dir := install(t, "31")
	f := folder.Folder{Dir: dir}
	before := snapshot(t, dir)
	if _, err := f.Pair(lua("https://other.example", "cd34")); err != nil {
		t.Fatal(err)
	}
	paired := snapshot(t, dir)
	path := filepath.Join(t.TempDir(), "stagedoor.lua")
	if err := os.WriteFile(path, []byte(lua(server, "ab12")), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func() {
		other := `{"path": "` + dir + `/plugin_config/stagedoor/cd34.lua"`
		change(t, dir, "basic/scenes/Untitled.json", other,
			`{"path": "`+path+`", "settings": {"undone": 1900000000}}, `+other)
	}
	add()
	did, err := f.Undo(server)
	if err != nil || did.Server != server ||
		!strings.Contains(strings.Join(did.Notices, " "), "Only its script was left") {
		t.Errorf("%+v, %v", did, err)
	}
	same(t, snapshot(t, dir), paired)

	add()
	if did, err := f.Undo(""); err != nil || did.Server != "https://other.example" {
		t.Errorf("without a server: %+v, %v; want the pairing undone", did, err)
	}
	if did, err := f.Undo(""); err != nil || did.Server != server {
		t.Errorf("without a server: %+v, %v; want the script removed", did, err)
	}
	if got := snapshot(t, dir)["basic/scenes/Untitled.json"]; got !=
		before["basic/scenes/Untitled.json"] {
		t.Errorf("the scenes are %s", got)
	}
}

// TestThePersonsPasswordStays: Undo keeps a password that the person has chosen after the pairing.
func TestThePersonsPasswordStays(t *testing.T) {
	t.Parallel()
	dir := install(t, "31") // its WebSocket server has no password
	f := folder.Folder{Dir: dir}
	if _, err := f.Pair(lua(server, "ab12")); err != nil {
		t.Fatal(err)
	}
	ws, err := f.WebSocket()
	if err != nil {
		t.Fatal(err)
	}
	config := "plugin_config/obs-websocket/config.json"
	change(t, dir, config, ws.Password.Reveal(), "chosen")
	if _, err := f.Undo(""); err != nil {
		t.Fatal(err)
	}
	if ws, err := f.WebSocket(); err != nil || ws.Enabled || ws.Password.Reveal() != "chosen" {
		t.Errorf("%v: the server is on: %t, with the password %q", err, ws.Enabled,
			ws.Password.Reveal())
	}
}
