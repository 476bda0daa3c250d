package script_test

import (
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/obs/script"
)

const moved = "https://moved.example:8443"

// move asks the script to open the dock at another address, and returns its result.
func (o *fakeOBS) move(secret string, at int64, to string) any {
	o.t.Helper()
	return o.ask(secret, at, map[string]any{"do": "move", "server": to})["result"]
}

// TestTheDockMovesWithTheServer: the dock at the new address asks the script to move. When OBS
// ends, its list of docks still has the old address. At the next start it has the new one. Undo
// restores every file.
func TestTheDockMovesWithTheServer(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"30.2", "31", "32"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			text, o := made(t, nil), newOBS(t, version)
			before, docks := snapshot(t, o.dir), o.docks()
			o.start(text)
			handed := o.handed()
			secret, loaded := handed.Get("obs-secret"), o.docks()
			if got := handed.Get("obs-server"); got != server {
				t.Errorf("the dock is told that the script opens %q, want %q", got, server)
			}
			if got := o.move(secret, 1, moved); got != "done" {
				t.Fatalf("got %v, want done", got)
			}
			o.quit(loaded)
			if got := o.docks(); strings.Contains(got, server) || strings.Contains(got, "#") ||
				strings.Count(got, moved+"/dock") != 1 ||
				!strings.HasPrefix(got, strings.TrimSuffix(docks, "]")) {
				t.Errorf("docks are %s, want %s and ours at the new address, without secrets", got, docks)
			}

			o.start(text)
			again := o.handedAt(moved)
			if again.Get("obs-server") != moved || again.Get("obs-secret") != secret {
				t.Errorf("the dock is given %v, want its new address and the same secret", again)
			}
			loaded = o.docks()
			if got := o.move(secret, 1, "https://evil.example"); got != "too_old" {
				t.Errorf("a request of the same time: got %v, want too_old", got)
			}
			o.press("undo")
			o.quit(loaded)
			compare(t, snapshot(t, o.dir), before)
		})
	}
}

// TestAMoveIsNotedAtOnce: the move is not lost if OBS crashes right after it.
func TestAMoveIsNotedAtOnce(t *testing.T) {
	t.Parallel()
	text, o := made(t, nil), newOBS(t, "32")
	o.start(text)
	o.move(o.handed().Get("obs-secret"), 1, moved)
	o.start(text)
	if got := o.docks(); strings.Contains(got, server) {
		t.Errorf("docks are %s, want ours at %s alone", got, moved)
	}
	o.handedAt(moved)
}

func TestTheDockMovesForThePairedPageAndToSafeAddressesAlone(t *testing.T) {
	t.Parallel()
	text, o := made(t, nil), newOBS(t, "32")
	o.start(text)
	secret, before := o.handed().Get("obs-secret"), o.docks()
	if got := o.move(strings.Repeat("0", 64), 1, moved); got != nil {
		t.Errorf("with a foreign secret: got %v, want no answer", got)
	}
	at := int64(1)
	for _, bad := range []string{
		"http://stage.example", "http://127.0.0.1.example", "http://localhost.example",
		"https://stage.example/", "https://stage.example/path", "https://stage.example?x",
		"https://stage.example#x", "https://user@stage.example", "https://u:p@stage.example:1",
		"https://", "https://stage.example:port", "//stage.example", "javascript:alert(1)",
		"https://a b", `https://a"b`, "https://a\nb", "https://a\\b", "https://[::1",
		"HTTPS://stage.example", "", "https://" + strings.Repeat("a", 300),
	} {
		at++
		if got := o.move(secret, at, bad); got != "not_allowed" {
			t.Errorf("%q: got %v, want not_allowed", bad, got)
		}
	}
	o.quit(before)
	if got := o.docks(); !strings.Contains(got, server+"/dock") {
		t.Errorf("docks are %s, want ours where it was", got)
	}
	for _, good := range []string{
		"https://stage.example", "https://xn--bhne-0ra.example:443", "https://[2001:db8::1]:8443",
		"http://localhost:8080", "http://127.0.0.1:8080", "http://[::1]:8080",
	} {
		o := newOBS(t, "32")
		o.start(text)
		if got := o.move(o.handed().Get("obs-secret"), 1, good); got != "done" {
			t.Errorf("%q: got %v, want done", good, got)
		}
	}
}

// TestDocksAddedByHandMoveAndAreGivenBack: docks that a person added for the server become one dock
// at the new address. Undo restores all of them, no matter whether OBS has loaded the old address
// or the new one.
func TestDocksAddedByHandMoveAndAreGivenBack(t *testing.T) {
	t.Parallel()
	mine := `[{"title": "My stage", "url": "` + server + `/dock", "uuid": "77"}, ` +
		`{"title": "Also mine", "url": "` + server + `/dock", "uuid": "78"}, ` +
		`{"title": "x", "url": "https://x.example", "uuid": "1"}]`
	for name, restarts := range map[string]bool{"before the restart": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text, o := made(t, nil), newOBS(t, "31")
			o.user.set("BasicWindow", "ExtraBrowserDocks", mine)
			o.start(text)
			loaded := o.docks()
			o.move(o.handed().Get("obs-secret"), 1, moved)
			if restarts {
				o.quit(loaded)
				if got := o.docks(); strings.Count(got, "/dock") != 1 ||
					!strings.Contains(got, moved+"/dock") || !strings.Contains(got, `"uuid": "77"`) {
					t.Errorf("docks are %s, want the person's own entry, moved, once", got)
				}
				o.start(text)
				o.handedAt(moved)
				loaded = o.docks()
			}
			o.press("undo")
			o.quit(loaded)
			if got := o.docks(); got != mine {
				t.Errorf("docks are\n%s, want\n%s", got, mine)
			}
		})
	}
}

// TestTheAddressLeftBehindIsNotOurs: after a move, the script keeps other docks at the old address,
// which another Stagedoor server may use now.
func TestTheAddressLeftBehindIsNotOurs(t *testing.T) {
	t.Parallel()
	text, o := made(t, nil), newOBS(t, "32")
	o.start(text)
	loaded := o.docks()
	o.move(o.handed().Get("obs-secret"), 1, moved)
	o.quit(loaded)
	theirs := []string{
		`{"title": "Theirs", "url": "` + server + `/dock", "uuid": "stagedoor` +
			strings.Repeat("f", 32) + `"}`,
		`{"title": "By hand", "url": "` + server + `/dock", "uuid": "99"}`,
	}
	o.user.set("BasicWindow", "ExtraBrowserDocks",
		strings.TrimSuffix(o.docks(), "]")+", "+strings.Join(theirs, ", ")+"]")
	o.start(text)
	o.handedAt(moved)
	o.press("undo")
	for _, entry := range theirs {
		if !strings.Contains(o.docks(), entry) {
			t.Errorf("docks are %s, want %s in it", o.docks(), entry)
		}
	}
}

// TestANewerScriptEndsAMove: a script that is downloaded after a move contains the current address
// of the server. That address replaces the one to which the dock was moved.
func TestANewerScriptEndsAMove(t *testing.T) {
	t.Parallel()
	text, o := made(t, nil), newOBS(t, "32")
	o.start(text)
	loaded := o.docks()
	o.move(o.handed().Get("obs-secret"), 1, moved)
	o.quit(loaded)
	newer := made(t, func(s *script.Script) {
		s.Server = &url.URL{Scheme: "https", Host: "third.example"}
		s.Expires = s.Expires.Add(time.Hour)
	})
	for range 2 {
		o.start(newer)
		o.handedAt("https://third.example")
		o.quit(o.docks())
	}
	if got := o.docks(); strings.Contains(got, moved) {
		t.Errorf("docks are %s, want none at %s", got, moved)
	}
}

func TestPairedAgainAfterUndoStaysPaired(t *testing.T) {
	t.Parallel()
	text, o := made(t, nil), newOBS(t, "32")
	o.start(text)
	loaded := o.docks()
	o.press("undo")
	o.press("pair")
	o.quit(loaded)
	if got := o.docks(); strings.Count(got, server+"/dock") != 1 {
		t.Errorf("docks are %s, want ours", got)
	}
	if _, err := os.Stat(o.dir + "/plugin_config/stagedoor/" + serverID + ".json"); err != nil {
		t.Error(err)
	}
}
