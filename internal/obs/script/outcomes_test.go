package script_test

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs/script"
)

// The sentences of the pane.
const (
	restart = "Close OBS and start it again: then the dock “Stagedoor” is there."
	reopen  = "Close OBS and start it again."
	ready   = "OBS is paired. The dock “Stagedoor” is in the menu Docks."
	noDocks = "This OBS has no browser docks. Open " + server + "/dock in a browser on this " +
		"computer. The password is under Tools → WebSocket Server Settings → Show Connect Info."
	wayland = "OBS has no docks on Wayland. Start it with QT_QPA_PLATFORM=xcb, or open " + server +
		"/dock in a browser on this computer; the password is under Tools → WebSocket Server " +
		"Settings → Show Connect Info."
	openServer = "OBS’s WebSocket server asks for no password: every program that reaches this " +
		"computer can control OBS. Tick “Enable Authentication” under Tools → WebSocket Server " +
		"Settings."
	enable = "Tick “Enable WebSocket server” under Tools → WebSocket Server Settings: before OBS " +
		"30.2 a script cannot do that."

	tooOld = "OBS 29.0.0 is too old: WHIP came with OBS 30. Update OBS. Until then, you can use a " +
		"token by hand in other WHIP programs."
	noWHIP = "This OBS was built without WHIP, as the packages of Ubuntu and Debian (.deb, PPA) " +
		"are. Install OBS from Flathub (Flatpak) or from obsproject.com."
	noWebSocket = "This OBS has no WebSocket server (obs-websocket)."
	unchanged   = "Nothing was changed."

	takenBack = "The pairing is taken back."
	others    = "OBS’s WebSocket server and the profile “Stagedoor” stay, because another " +
		"Stagedoor in this OBS uses them. The profile has no token now: the other dock writes its " +
		"own."
	stillOn = "OBS’s WebSocket server is still on: before OBS 30.2 a script cannot switch it off. " +
		"Untick “Enable WebSocket server” under Tools → WebSocket Server Settings if nothing else " +
		"needs it."
	keeps    = "The profile “Stagedoor” stays, without a token."
	selected = "The profile “Stagedoor” is still selected, without a token: choose yours in the " +
		"menu Profile."
	undone    = "Close OBS; after that you can remove this script."
	removable = "You can remove this script."
	undoRest  = "Close OBS and run “stagedoor obs pair --undo --server " + server + "” in a " +
		"terminal: it takes back what a script cannot, and takes this script out of OBS."
	busy  = "OBS is streaming or recording. Stop that and press “Undo” again. Nothing was changed."
	older = "A newer script of this Stagedoor is in this OBS. Remove this one."
)

// TestEveryOutcomeEndsWithOneSentence: for each situation, the pane and the log show first what
// prevents the pairing, and last the state or the one step that the person has to do.
func TestEveryOutcomeEndsWithOneSentence(t *testing.T) {
	t.Parallel()
	start := func(m *machine) { m.open() }
	end := func(m *machine) { m.close() }
	again := func(m *machine) { m.close(); m.open() }
	press := func(button string) func(*machine) {
		return func(m *machine) { m.scripts[server].press(button) }
	}
	command := func(m *machine) { m.pair(server) }
	set := func(change func(*fakeOBS)) func(*machine) { return func(m *machine) { change(m.obs) } }
	version := func(v int) func(*machine) { return set(func(o *fakeOBS) { o.version = v }) }
	without := func(module string) func(*machine) {
		return set(func(o *fakeOBS) {
			o.modules = slices.DeleteFunc(slices.Clone(o.modules), func(m string) bool {
				return m == module
			})
		})
	}
	blind := set(func(o *fakeOBS) { o.kinds = nil })
	onWayland := set(func(o *fakeOBS) { o.env = map[string]string{"WAYLAND_DISPLAY": "wayland-0"} })
	webSocket := func(text string) func(*machine) {
		return func(m *machine) {
			path := m.obs.dir + "/plugin_config/obs-websocket/config.json"
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				m.t.Fatal(err)
			}
		}
	}
	on := webSocket(`{"server_enabled": true, "auth_required": true, "server_password": "a"}`)
	off := webSocket(`{"server_enabled": false, "auth_required": true, "server_password": "a"}`)
	bare := webSocket(`{"server_enabled": true, "auth_required": false}`)
	iniOn := set(func(o *fakeOBS) {
		o.user.set("OBSWebSocket", "ServerEnabled", "true")
		o.user.save()
	})
	other := func(m *machine) { m.pair(otherServer) }
	setUp := func(previous string) func(*machine) {
		return set(func(o *fakeOBS) { o.setUp(previous); o.user.save() })
	}
	newer := func(m *machine) {
		m.texts[server] = made(m.t, func(s *script.Script) { s.Expires = s.Expires.Add(time.Hour) })
		m.add(server)
		m.texts[server] = made(m.t, nil)
	}
	streams := set(func(o *fakeOBS) { o.active = true })

	for _, tt := range []struct {
		name  string
		steps []func(*machine)
		says  []string
	}{
		// paired
		{"added", []func(*machine){start}, []string{restart}},
		{"Pair again before the restart", []func(*machine){start, press("pair")},
			[]string{restart}},
		{"after the restart", []func(*machine){start, again}, []string{ready}},
		{"by the command", []func(*machine){command, start}, []string{ready}},
		{"server switched off since", []func(*machine){start, end, off, start}, []string{restart}},
		{"open server", []func(*machine){bare, start}, []string{openServer, restart}},
		{"open server, paired", []func(*machine){bare, start, again}, []string{openServer, ready}},
		{"Undo, then Pair again", []func(*machine){start, again, press("undo"), press("pair")},
			[]string{restart}},

		// paired, without docks
		{"no docks", []func(*machine){off, without("obs-browser"), start},
			[]string{reopen, noDocks}},
		{"no docks, paired", []func(*machine){off, without("obs-browser"), start, again},
			[]string{noDocks}},
		{"no docks, server on", []func(*machine){on, without("obs-browser"), start},
			[]string{noDocks}},
		{"Wayland", []func(*machine){off, onWayland, start}, []string{reopen, wayland}},
		{"Wayland, paired", []func(*machine){off, onWayland, start, again}, []string{wayland}},
		{"Wayland, by the command", []func(*machine){command, onWayland, start},
			[]string{wayland}},

		// paired, before OBS 30.2
		{"30.1", []func(*machine){version(30<<24 | 1<<16), start}, []string{enable, restart}},
		{"30.1, paired", []func(*machine){version(30<<24 | 1<<16), start, again}, []string{enable}},
		{"30.1, server on", []func(*machine){version(30<<24 | 1<<16), iniOn, start, again},
			[]string{ready}},
		{"30.1, no docks", []func(*machine){version(30<<24 | 1<<16), without("obs-browser"), start},
			[]string{enable, noDocks}},

		// not paired
		{"too old", []func(*machine){version(29 << 24), start}, []string{tooOld, unchanged}},
		{"no WHIP", []func(*machine){blind, start}, []string{noWHIP, unchanged}},
		{"no WHIP, Pair again", []func(*machine){blind, start, press("pair")},
			[]string{noWHIP, unchanged}},
		{"no WHIP, Undo", []func(*machine){blind, start, press("undo")},
			[]string{noWHIP, unchanged}},
		{"no WebSocket server", []func(*machine){without("obs-websocket"), start},
			[]string{noWebSocket, unchanged}},
		{"no WHIP, by the command", []func(*machine){command, blind, start},
			[]string{noWHIP, takenBack, undoRest}},
		{"no WHIP, by the command, next start", []func(*machine){command, blind, start, again},
			[]string{noWHIP, undoRest}},
		{"no WHIP any more", []func(*machine){start, blind, again}, []string{noWHIP, takenBack}},
		{"no WebSocket server, by the command",
			[]func(*machine){command, without("obs-websocket"), start},
			[]string{noWebSocket, takenBack, undoRest}},
		{"too old, paired before", []func(*machine){start, version(29 << 24), again},
			[]string{tooOld, undoRest}},
		{"older script", []func(*machine){newer, start}, []string{older}},
		{"older script, Undo", []func(*machine){newer, start, press("undo")}, []string{older}},

		// undone
		{"Undo", []func(*machine){start, press("undo")}, []string{takenBack, undone}},
		{"Undo, next start", []func(*machine){start, press("undo"), again},
			[]string{takenBack, removable}},
		{"Undo, by the command", []func(*machine){command, start, press("undo")},
			[]string{takenBack, undoRest}},
		{"Undo, next start, by the command", []func(*machine){command, start, press("undo"), again},
			[]string{takenBack, undoRest}},
		{"Undo, another server", []func(*machine){other, start, press("undo")},
			[]string{takenBack, others, undone}},
		{"Undo, 30.1, by the command",
			[]func(*machine){version(30<<24 | 1<<16), command, iniOn, start, press("undo")},
			[]string{takenBack, undoRest}},
		{"Undo, 30.1", []func(*machine){version(30<<24 | 1<<16), iniOn, start, press("undo")},
			[]string{takenBack, stillOn, undone}},
		{"Undo, profile", []func(*machine){start, setUp("Untitled"), again, press("undo")},
			[]string{takenBack, keeps, undone}},
		{"Undo, profile gone", []func(*machine){start, setUp("Gone"), again, press("undo")},
			[]string{takenBack, selected, undone}},
		{"Undo, live", []func(*machine){start, setUp("Untitled"), streams, again, press("undo")},
			[]string{busy}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, "30.2")
			m.scripts[server] = &fakeOBS{t: t}
			for _, step := range tt.steps {
				step(m)
			}
			s := m.scripts[server]
			log := s.log[max(0, len(s.log)-len(tt.says)):]
			s.call(s.state.GetGlobal("script_properties"))
			if want := strings.Join(tt.says, "\n\n"); s.status != want ||
				!slices.Equal(log, tt.says) {
				t.Errorf("pane %q, log %q; want %q", s.status, log, want)
			}
		})
	}
}

// TestAnOBSThatCannotBePairedGetsEverythingBack: `obs pair` cannot see whether OBS has WHIP. In an
// OBS without WHIP, the script undoes the pairing at its first start, except for the parts that
// only `obs pair --undo` can undo.
func TestAnOBSThatCannotBePairedGetsEverythingBack(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"30.2", "31", "32"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, version)
			before := snapshot(t, m.obs.dir)
			m.pair(server)
			m.obs.kinds = nil
			m.open()
			if strings.Contains(m.obs.docks(), server) {
				t.Errorf("OBS opens the docks %s", m.obs.docks())
			}
			m.close()
			after := snapshot(t, m.obs.dir)
			for name, text := range after {
				if strings.HasPrefix(name, "/plugin_config/stagedoor/") ||
					strings.HasPrefix(name, "/basic/scenes/") {
					after[name] = before[name] // --undo takes these back
				}
				if strings.Contains(text, code) && !strings.HasSuffix(name, serverID+".lua") {
					t.Errorf("%s has the enrolment code", name)
				}
			}
			for name, text := range after {
				if text == "" {
					delete(after, name)
				}
			}
			compare(t, after, before)
			m.command(server)
			compare(t, snapshot(t, m.obs.dir), before)
		})
	}
}
