package script_test

import (
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs/folder"
	"github.com/stagedoor/stagedoor/internal/obs/script"
)

const (
	otherID     = "fedcba9876543210fedcba9876543210"
	otherServer = "https://other.example"
)

// A machine is a computer with an OBS that is started and closed several times.
type machine struct {
	t       *testing.T
	obs     *fakeOBS
	scripts map[string]*fakeOBS // the scripts in OBS, keyed by their server; each has its own state
	texts   map[string]string
	loaded  string // the list of docks as OBS has loaded it
}

func newMachine(t *testing.T, version string) *machine {
	t.Helper()
	m := &machine{t: t, obs: newOBS(t, version), scripts: map[string]*fakeOBS{},
		texts: map[string]string{}}
	for address, id := range map[string]string{server: serverID, otherServer: otherID} {
		m.texts[address] = made(t, func(s *script.Script) {
			s.Server, _ = url.Parse(address)
			s.ID = id
		})
	}
	return m
}

func (m *machine) folder() folder.Folder { return folder.Folder{Dir: m.obs.dir} }

// add adds the downloaded script of a server to OBS.
func (m *machine) add(address string) {
	m.t.Helper()
	m.scripts[address] = &fakeOBS{t: m.t}
	m.open()
	m.close()
}

// pair runs `stagedoor obs pair` while OBS is closed.
func (m *machine) pair(address string) {
	m.t.Helper()
	if _, err := m.folder().Pair(m.texts[address]); err != nil {
		m.t.Fatal(err)
	}
	if m.scripts[address] == nil {
		m.scripts[address] = &fakeOBS{t: m.t}
	}
}

// command runs `stagedoor obs pair --undo --server …`.
func (m *machine) command(address string) folder.Undone {
	m.t.Helper()
	did, err := m.folder().Undo(address)
	if err != nil {
		m.t.Fatal(err)
	}
	delete(m.scripts, address)
	return did
}

// pane presses Undo in the pane of a server's script, and returns what the pane says then.
func (m *machine) pane(address string) string {
	m.t.Helper()
	m.open()
	s := m.scripts[address]
	s.press("undo")
	m.close()
	return s.status
}

// open starts OBS with its scripts. Then OBS loads its docks.
func (m *machine) open() {
	m.t.Helper()
	o := m.obs
	o.user = readIni(m.t, o.user.path)
	for _, address := range slices.Sorted(maps.Keys(m.scripts)) {
		settings := m.scripts[address].settings
		now := *o
		now.settings = settings
		*m.scripts[address] = now
		m.scripts[address].start(m.texts[address])
	}
	m.loaded = o.docks()
}

// close ends OBS, which writes its docks as it has loaded them, and then ends its scripts.
func (m *machine) close() {
	m.t.Helper()
	if _, there := m.obs.user.get("BasicWindow", "ExtraBrowserDocks"); there || m.loaded != "" {
		m.obs.user.set("BasicWindow", "ExtraBrowserDocks", m.loaded)
	}
	for _, address := range slices.Sorted(maps.Keys(m.scripts)) {
		m.scripts[address].event("SCRIPTING_SHUTDOWN")
	}
	m.obs.user.save()
}

// TestUndoGivesBackWhatWasWhereverItIsBegun pairs by the script or by the command, and undoes in
// the pane or by the command. Afterwards the files are as they were before, byte for byte. A script
// that the command added stays until --undo, as the pane says.
func TestUndoGivesBackWhatWasWhereverItIsBegun(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"30.2", "31"} {
		for _, by := range []string{"script", "command", "script, then command"} {
			for _, undo := range []string{"pane", "command", "pane, then command"} {
				t.Run(version+" "+by+" undone by "+undo, func(t *testing.T) {
					t.Parallel()
					m := newMachine(t, version)
					before := snapshot(t, m.obs.dir)
					if strings.HasPrefix(by, "script") {
						m.add(server)
					}
					if strings.HasSuffix(by, "command") {
						m.pair(server)
					}
					m.open()
					m.close()
					if strings.HasPrefix(undo, "pane") {
						says := m.pane(server)
						rest := strings.Contains(says, "stagedoor obs pair --undo")
						if rest != strings.HasSuffix(by, "command") {
							t.Errorf("the pane says %q, want the command exactly if it paired", says)
						}
						if strings.HasSuffix(undo, "command") || rest {
							m.command(server) // if nothing is left to undo, it succeeds, too
						}
					}
					if undo == "command" {
						m.command(server)
					}
					compare(t, snapshot(t, m.obs.dir), before)
				})
			}
		}
	}
}

// TestTheLastUndoAloneSwitchesTheServerOff: with two pairings, the first Undo leaves the WebSocket
// server on for the other pairing, and the second restores the settings from before both.
func TestTheLastUndoAloneSwitchesTheServerOff(t *testing.T) {
	t.Parallel()
	undone := func(m *machine, how, address string) {
		if how == "command" {
			m.command(address)
			return
		}
		if strings.Contains(m.pane(address), "stagedoor obs pair --undo") {
			m.command(address)
		}
		delete(m.scripts, address)
	}
	pairs := func(a, b string) [][2]string { return [][2]string{{a, a}, {b, b}, {a, b}, {b, a}} }
	for _, by := range pairs("script", "command") {
		for _, how := range pairs("pane", "command") {
			for _, first := range []string{server, otherServer} {
				name := strings.Join(append(by[:], append(how[:], first)...), " ")
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					m := newMachine(t, "31")
					m.obs.user.remove("BasicWindow", "ExtraBrowserDocks")
					m.obs.user.save()
					before := snapshot(t, m.obs.dir)
					for i, address := range []string{server, otherServer} {
						if by[i] == "command" {
							m.pair(address)
						} else {
							m.add(address)
						}
					}
					m.open()
					m.close()
					last := map[string]string{server: otherServer, otherServer: server}[first]
					undone(m, how[0], first)
					docks := readIni(t, m.obs.user.path)
					if !has(docks, last) || has(docks, first) {
						t.Errorf("after the first Undo the docks are wrong, want %s alone", last)
					}
					if m.obs.websocket()["server_enabled"] != true {
						t.Error("the first Undo switched the WebSocket server off")
					}
					undone(m, how[1], last)
					compare(t, snapshot(t, m.obs.dir), before)
				})
			}
		}
	}
}

// TestTheFirstUndoOfTwoSaysWhatItDoes: the profile stays for the other server. Undo removes the
// token, which may be this server's, and says so.
func TestTheFirstUndoOfTwoSaysWhatItDoes(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"pane", "command"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, "32")
			m.add(server)
			m.add(otherServer)
			m.obs.setUp("Untitled")
			m.obs.user.save()
			var says string
			if how == "pane" {
				says = m.pane(server)
			} else {
				says = strings.Join(m.command(server).Notices, " ")
			}
			if want := "The profile has no token now"; !strings.Contains(says, want) {
				t.Errorf("got %q, want %q", says, want)
			}
			if got := tokenFiles(t, m.obs.dir); len(got) > 0 {
				t.Errorf("the token is still in %q", got)
			}
			profile, _ := readIni(t, m.obs.user.path).get("Basic", "Profile")
			if profile != "Stagedoor" || !has(readIni(t, m.obs.user.path), otherServer) {
				t.Errorf("the profile %q is selected, want the other server's, and its dock", profile)
			}
		})
	}
}

func has(f *ini, server string) bool {
	docks, _ := f.get("BasicWindow", "ExtraBrowserDocks")
	return strings.Contains(docks, server+"/dock")
}

const token = "eyJhbGciOiJFUzM4NCJ9.secret"

// setUp does what the dock's set-up does: it selects the profile Stagedoor, stores which profile
// was selected before, and writes a token into OBS, twice.
func (o *fakeOBS) setUp(previous string) {
	o.t.Helper()
	note, _ := json.Marshal(map[string]any{
		"stagedoor": map[string]string{"previousProfile": previous},
	})
	file := o.dir + "/plugin_config/obs-websocket/persistent_data.json"
	if err := os.WriteFile(file, note, 0o600); err != nil {
		o.t.Fatal(err)
	}
	o.selectProfile("Stagedoor")
	o.service = &data{map[string]any{"bearer_token": token}}
	o.saveService()
	o.saveService()
}

func tokenFiles(t *testing.T, dir string) (names []string) {
	t.Helper()
	for name, text := range snapshot(t, dir) {
		if strings.Contains(text, token) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// TestUndoLeavesTheProfile: Undo selects the profile that was selected before the set-up, and
// removes the token from OBS's memory and from every file.
func TestUndoLeavesTheProfile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, previous, undo, says, selected string }{
		{"in the pane", "Untitled", "pane", keeps, "Untitled"},
		{"by the command", "Untitled", "command", "The profile Stagedoor stays, without a token.",
			"Untitled"},
		{"in the pane, profile gone", "Gone", "pane", selected, "Stagedoor"},
		{"by the command, profile gone", "Gone", "command",
			"The profile Stagedoor is still selected", "Stagedoor"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, "32")
			m.add(server)
			m.obs.setUp(tt.previous)
			if got := tokenFiles(t, m.obs.dir); len(got) != 2 {
				t.Fatalf("the token is in %q, want service.json and its copy", got)
			}
			m.obs.user.save()
			var says string
			if tt.undo == "pane" {
				says = m.pane(server)
			} else {
				says = strings.Join(m.command(server).Notices, " ")
			}
			if !strings.Contains(says, tt.says) {
				t.Errorf("got %q, want %q", says, tt.says)
			}
			if got, _ := readIni(t, m.obs.user.path).get("Basic", "Profile"); got != tt.selected {
				t.Errorf("the profile %q is selected, want %q", got, tt.selected)
			}
			if got := tokenFiles(t, m.obs.dir); len(got) > 0 {
				t.Errorf("the token is still in %q", got)
			}
			if s := m.obs.service; s.values["bearer_token"] == token && tt.undo == "pane" {
				t.Error("OBS still has the token in memory")
			}
		})
	}
}

// TestAnOlderScriptDoesNotPairAfterUndo: an older script of the same server does not pair OBS when
// the newer script is undone.
func TestAnOlderScriptDoesNotPairAfterUndo(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "32")
	before := snapshot(t, o.dir)
	text := made(t, nil)
	newer := made(t, func(s *script.Script) { s.Expires = s.Expires.Add(time.Hour) })
	old := &fakeOBS{}
	start := func() {
		settings := old.settings
		*old = *o
		o.start(newer)
		old.settings = settings
		old.start(text)
	}
	o.settings = o.wrap(&data{values: map[string]any{}})
	start()
	docks := o.docks()
	o.press("undo")
	o.quit(docks)
	o.user = readIni(t, o.user.path)
	start()
	if strings.Contains(o.docks(), server) || strings.Contains(old.docks(), server) {
		t.Errorf("docks are %s", old.docks())
	}
	o.user.save()
	compare(t, snapshot(t, o.dir), before)

	// A newer file in place of the older script pairs OBS.
	o.settings = old.settings
	o.start(made(t, func(s *script.Script) { s.Expires = s.Expires.Add(2 * time.Hour) }))
	o.handed()
}

// TestUndoWaitsForTheStream: Undo changes nothing while OBS streams, because OBS cannot leave a
// profile then.
func TestUndoWaitsForTheStream(t *testing.T) {
	t.Parallel()
	o := newOBS(t, "32")
	o.start(made(t, nil))
	o.setUp("Untitled")
	o.active = true
	before := snapshot(t, o.dir)
	o.press("undo")
	if !strings.Contains(o.status, "press “Undo” again. Nothing was changed.") {
		t.Errorf("the pane says %q", o.status)
	}
	compare(t, snapshot(t, o.dir), before)
	o.active = false
	o.press("undo")
	if got := tokenFiles(t, o.dir); len(got) > 0 {
		t.Errorf("the token is still in %q", got)
	}
}

// TestUndoHoldsInEverySceneCollection: `obs pair` adds the script to every scene collection, and
// each has its own settings. Undo in one collection also applies in the others, until OBS is paired
// again.
func TestUndoHoldsInEverySceneCollection(t *testing.T) {
	t.Parallel()
	m := newMachine(t, "32")
	m.pair(server)
	m.pane(server)
	m.scripts[server].settings = nil // those of another scene collection
	before := snapshot(t, m.obs.dir)
	m.open()
	if says := m.scripts[server].log; !slices.Contains(says, undoRest) {
		t.Errorf("the script says %q, want %q", says, undoRest)
	}
	m.close()
	compare(t, snapshot(t, m.obs.dir), before)

	m.pair(server)
	m.open()
	m.obs.handed()
}
