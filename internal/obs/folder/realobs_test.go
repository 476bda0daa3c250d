package folder_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/realobs"
	"github.com/stagedoor/stagedoor/internal/obs"
	"github.com/stagedoor/stagedoor/internal/obs/folder"
	"github.com/stagedoor/stagedoor/internal/obs/script"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestARealOBSIsPairedWhileItIsClosed pairs a real OBS that is closed. After its start, OBS listens
// with the password of its own file and has the script and the dock. Undo restores all files.
func TestARealOBSIsPairedWhileItIsClosed(t *testing.T) {
	t.Parallel()
	r := realobs.Prepare(t)
	r.WriteIni(t, "[OBSWebSocket]\nServerPort="+r.Port+"\n")
	r.Launch(t).Quit(t)
	r.Launch(t).Quit(t) // OBS writes some of its files only when it ends for the second time
	before := r.Stable(t)
	made := script.Script{
		Server: &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, ID: "ab12", User: "Ada",
		Code: stage.NewSecret("once"), Expires: time.Now().Add(time.Hour), Language: "en",
	}
	lua, err := made.Lua()
	if err != nil {
		t.Fatal(err)
	}
	f := folder.Folder{Dir: r.Dir}
	if _, err := f.Pair(lua); err != nil {
		t.Fatal(err)
	}
	o := r.Launch(t)
	o.Await(t)
	if _, err := f.Undo(""); code(err) != "obs_running" {
		t.Errorf("undo while OBS runs: %v", err)
	}
	settings, err := f.WebSocket()
	if err != nil || settings.Password.Empty() {
		t.Fatalf("%v: no password", err)
	}
	c, err := obs.Connect(t.Context(), obs.Options{URL: o.URL(), Password: settings.Password})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.Close()
	o.Quit(t)
	if !strings.Contains(o.Log(), "[Lua: ab12.lua] This OBS is too old") {
		t.Errorf("the script was not loaded:\n%s", o.Log())
	}
	if text := r.Stable(t)["/global.ini"]; !strings.Contains(text, "127.0.0.1:1/dock") {
		t.Errorf("the dock is gone: %s", text)
	}
	if _, err := f.Undo(""); err != nil {
		t.Fatal(err)
	}
	same(t, r.Stable(t), before)
}
