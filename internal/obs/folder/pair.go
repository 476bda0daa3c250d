package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Paired is the result of Pair.
type Paired struct {
	Folder       string `json:"folder"`
	Server       string `json:"server"`
	Port         int    `json:"port"`         // port of OBS's WebSocket server
	MadePassword bool   `json:"madePassword"` // the server had no password
	// the scene collections that contain the script now
	Collections []string  `json:"collections"`
	SignInUntil time.Time `json:"signInUntil"` // until this time, the dock can sign itself in once
}

// ours is the folder with the script's notes. Pair also stores the script there.
const ours = "plugin_config/stagedoor/"

// scenesDir contains the scene collections.
const scenesDir = "basic/scenes/"

// A made contains the values that the server has written into a script, and the script's text.
type made struct {
	server, id, code string
	expires          time.Time
	lua              string
}

var (
	serverLine = regexp.MustCompile(`(?m)^local server = "([^"]+)"\r?$`)
	idLine     = regexp.MustCompile(`(?m)^local id = "([0-9a-f]+)"`)
	codeLine   = regexp.MustCompile(`(?m)^local code, code_expires = "([^"]*)", (\d+)`)
)

func parseLua(lua string) (made, error) {
	server, id, code := serverLine.FindStringSubmatch(lua), idLine.FindStringSubmatch(lua),
		codeLine.FindStringSubmatch(lua)
	if server == nil || id == nil || code == nil {
		return made{}, stage.Errorf(stage.ErrUnavailable,
			"The server sent no script for OBS").WithCode("not_stagedoor")
	}
	seconds, err := strconv.ParseInt(code[2], 10, 64)
	return made{server[1], id[1], code[1], time.Unix(seconds, 0), lua}, err
}

// A backup contains what Undo needs: the text of each file before Pair changed it, and the hash of
// the text that Pair wrote.
type backup struct {
	Server string           `json:"server"`
	ID     string           `json:"id"`
	Script string           `json:"script"` // path of the script
	Files  map[string]saved `json:"files"`  // scene collections and the file with the docks

	notes   map[string]string // the script's notes; empty after Undo in the script's pane
	undone  bool              // only a downloaded script is left, in a scene collection
	noDocks bool              // OBS had no list of docks before its first pairing
	taken   taken             // docks that the script took over
}

type saved struct {
	Before *string `json:"before"`
	After  string  `json:"after"` // SHA-256
}

func sum(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// Pair does the work of the script for a closed OBS: it adds the script to every scene collection,
// adds the dock, and switches the WebSocket server on. A second call updates all of this. Pair
// writes no secrets into the address of the dock, since the script adds them when OBS starts.
func (f Folder) Pair(lua string) (Paired, error) {
	m, err := parseLua(lua)
	if err != nil {
		return Paired{}, err
	}
	if err := f.mustBeClosed(); err != nil {
		return Paired{}, err
	}
	if err := f.mustBeFit(); err != nil {
		return Paired{}, err
	}
	b, err := f.backup(m.id)
	if err != nil {
		return Paired{}, err
	}
	b.Server = m.server
	p := &pairing{f: f, m: m, backup: b, files: map[string]string{}}
	p.did = Paired{Folder: f.Dir, Server: m.server, SignInUntil: m.expires}
	if err := p.run(); err != nil {
		return Paired{}, err
	}
	return p.did, p.save()
}

// mustBeFit returns an error if the files show that the script would refuse this OBS. They do not
// show whether OBS has WHIP. If it has none, the script undoes the pairing when OBS starts.
func (f Folder) mustBeFit() error {
	if v := f.version(); v != 0 && v < 30<<24 {
		return stage.Errorf(stage.ErrConflict,
			"This OBS is too old: WHIP came with OBS 30. Update OBS, start it once, close it, and "+
				"pair again. Nothing was changed.").WithCode("obs_too_old")
	}
	if scenes, err := f.collections(); err != nil || len(scenes) == 0 {
		return stage.Errorf(stage.ErrConflict,
			"There is no scene collection yet: start OBS once, close it, and pair again. Nothing "+
				"was changed.").WithCode("obs_no_config").WithCause(err)
	}
	return nil
}

// A pairing is one run of Pair. It collects the new texts of all files before it writes any.
type pairing struct {
	f      Folder
	m      made
	backup backup
	files  map[string]string
	did    Paired
}

func (p *pairing) run() error {
	before, err := p.f.before()
	if err != nil {
		return err
	}
	if err := p.switchOn(before); err != nil {
		return err
	}
	if err := p.addDock(before); err != nil {
		return err
	}
	if p.files[ours+beforeFile], err = marshal(before); err != nil {
		return err
	}
	if err := p.addNotes(); err != nil {
		return err
	}
	p.files[ours+p.m.id+".lua"] = p.m.lua
	scenes, err := p.f.collections()
	for _, name := range scenes {
		if err := p.addScript(name); err != nil {
			return err
		}
	}
	return err
}

// addNotes adds the script's notes, which say that this server is paired. The script completes them
// when OBS starts. The note `restart`, which makes the script ask for a restart of OBS, is removed,
// because OBS is closed.
func (p *pairing) addNotes() (err error) {
	all, err := p.f.strings(p.m.id + ".json")
	if err != nil {
		return err
	}
	delete(all, "restart")
	if all["server"] == "" {
		all["server"] = p.m.server
	}
	p.files[ours+p.m.id+".json"], err = marshal(all)
	return err
}

// text returns the text of a file, including the changes of this run.
func (p *pairing) text(name string) (string, error) {
	if text, changed := p.files[name]; changed {
		return text, nil
	}
	return p.f.read(name)
}

// switchOn switches the WebSocket server on, and adds the earlier settings to `before`, from which
// Undo restores them. It keeps the port, and the password if there is one. Otherwise it makes a
// password.
func (p *pairing) switchOn(before map[string]string) error {
	now, err := p.f.WebSocket()
	if err != nil {
		return fmt.Errorf("the WebSocket server's settings: %w", err)
	}
	p.did.Port = now.Port
	change := map[string]string{}
	if !now.Enabled {
		change["server_enabled"] = "true"
	}
	if !now.Auth {
		change["auth_required"] = "true"
	}
	if now.Password.Empty() {
		change["server_password"], change["first_load"] = rand.Text()+rand.Text(), "false"
		before["made_password"] = change["server_password"]
		p.did.MadePassword = true
	}
	if len(change) == 0 {
		return nil
	}
	name := p.f.settingsFile()
	text, err := p.text(name)
	if err != nil {
		return err
	}
	for option, value := range change {
		if _, known := before[option]; !known {
			before[option] = setting(name, text, option)
		}
		text = withSetting(name, text, option, value)
	}
	p.files[name] = text
	return nil
}

// dockFile returns the name of the file with the list of docks: user.ini since OBS 31, global.ini
// before.
func (f Folder) dockFile() string {
	if f.exists("user.ini") {
		return "user.ini"
	}
	return "global.ini"
}

// addDock adds the dock to the list. It does not change a dock that a person has added for this
// server, because the script adds the password to that dock when OBS starts.
func (p *pairing) addDock(before map[string]string) error {
	name := p.f.dockFile()
	text, err := p.text(name)
	if err != nil {
		return err
	}
	file := parseINI(text)
	docks, there := file.get("BasicWindow", "ExtraBrowserDocks")
	if before["docks"] == "" {
		before["docks"] = map[bool]string{true: "some", false: none}[there]
	}
	if strings.TrimSpace(docks) == "" {
		docks = "[]"
	}
	list, _, err := elements(docks)
	if err != nil {
		return fmt.Errorf("the docks in %s: %w", name, err)
	}
	entry := fmt.Sprintf(`{"title": %s, "url": %s, "uuid": %s}`,
		quote(p.title(docks, list)), quote(p.m.server+"/dock"), quote("stagedoor"+p.m.id))
	own := slices.IndexFunc(list, func(e element) bool {
		return p.backup.isOwnDock(docks[e.from:e.to])
	})
	switch {
	case own >= 0: // the dock may have an earlier address
		docks = docks[:list[own].from] + entry + docks[list[own].to:]
	case !slices.ContainsFunc(list, func(e element) bool {
		return p.backup.isDock(docks[e.from:e.to])
	}):
		docks, err = appended(docks, list, entry)
	}
	p.files[name] = file.set("BasicWindow", "ExtraBrowserDocks", docks).String()
	return err
}

// title returns the title of this server's dock. Another server's dock may be named "Stagedoor"
// already.
func (p *pairing) title(docks string, list []element) string {
	title := "Stagedoor"
	for _, e := range list {
		var d dock
		text := docks[e.from:e.to]
		switch {
		case unmarshal(text, &d) != nil:
		case p.backup.isOwnDock(text) && d.Title != "":
			return d.Title
		case d.Title == "Stagedoor":
			_, host, _ := strings.Cut(p.m.server, "://")
			title = "Stagedoor (" + host + ")"
		}
	}
	return title
}

func appended(array string, list []element, element string) (string, error) {
	if len(list) == 0 {
		return insert(array, element)
	}
	at := list[len(list)-1].to
	return array[:at] + ", " + element + array[at:], nil
}

type dock struct{ Title, URL, UUID string }

// isOwnDock reports whether Pair or the script has created an entry in the list of docks.
func (b backup) isOwnDock(text string) bool {
	var d dock
	return unmarshal(text, &d) == nil && d.UUID == "stagedoor"+b.ID
}

// isDock reports whether an entry is Stagedoor's own dock, or opens the dock of this server.
func (b backup) isDock(text string) bool {
	var d dock
	address, _, _ := strings.Cut(d.URL, "#")
	if unmarshal(text, &d) == nil {
		address, _, _ = strings.Cut(d.URL, "#")
	}
	return b.isOwnDock(text) || strings.TrimSuffix(address, "/") == b.Server+"/dock"
}

// collections returns the names of the scene collections' files, which contain the lists of
// scripts.
func (f Folder) collections() (names []string, err error) {
	entries, err := os.ReadDir(filepath.Join(f.Dir, "basic", "scenes"))
	if os.IsNotExist(err) {
		return nil, nil
	}
	for _, e := range entries {
		if e.Type().IsRegular() && filepath.Ext(e.Name()) == ".json" {
			names = append(names, scenesDir+e.Name())
		}
	}
	return names, err
}

type script struct{ Path string }

// isOwnScript reports whether an element of a list of scripts is the script that Pair stored.
func (b backup) isOwnScript(text string) bool {
	var s script
	return unmarshal(text, &s) == nil && path.Clean(strings.ReplaceAll(s.Path, `\`, "/")) == b.Script
}

// isScript reports whether an element of a list of scripts belongs to this pairing: the script that
// Pair stored, or one that the person downloaded from this server.
func (b backup) isScript(text string) bool {
	if b.isOwnScript(text) {
		return true
	}
	m, ok := scriptAt(text)
	return ok && m.id == b.ID
}

// scriptAt reads the script that an element of a list of scripts names. It returns false for a
// script that is missing or is not Stagedoor's.
func scriptAt(text string) (made, bool) {
	var s script
	if unmarshal(text, &s) != nil {
		return made{}, false
	}
	lua, err := os.ReadFile(filepath.FromSlash(s.Path))
	m, failed := parseLua(string(lua))
	return m, err == nil && failed == nil
}

func (p *pairing) addScript(name string) error {
	text, err := p.text(name)
	if err != nil {
		return err
	}
	scripts := []string{"modules", "scripts-tool"}
	list, _, err := elements(text, scripts...)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	p.did.Collections = append(p.did.Collections, strings.TrimSuffix(path.Base(name), ".json"))
	if slices.ContainsFunc(list, func(e element) bool {
		return p.backup.isOwnScript(text[e.from:e.to])
	}) {
		return nil
	}
	added := `{"path": ` + quote(p.backup.Script) + `, "settings": {}}`
	text, err = insert(text, added, scripts...)
	p.files[name] = text
	return err
}

// version returns the version of OBS that last used this folder: 30.2 is 30<<24 | 2<<16.
func (f Folder) version() int {
	for _, name := range []string{"global.ini", "user.ini"} {
		text, _ := f.read(name)
		value, _ := parseINI(text).get("General", "LastVersion")
		if n, err := strconv.Atoi(value); err == nil {
			return n
		}
	}
	return 0
}

// save writes the backup before any other file, so that Undo finds the original files even after a
// crash.
func (p *pairing) save() error {
	for name, text := range p.files {
		if !isBackedUp(name) {
			continue
		}
		was, known := p.backup.Files[name]
		now, err := p.f.read(name)
		if err != nil {
			return err
		}
		if !known || was.After != sum(now) { // not written by Pair, or changed by OBS afterwards
			clean, err := p.backup.without(name, now)
			if err != nil {
				return err
			}
			was.Before = &clean
		}
		p.backup.Files[name] = saved{was.Before, sum(text)}
	}
	if err := p.f.saveBackup(p.backup); err != nil {
		return err
	}
	for name, text := range p.files {
		if err := p.f.write(name, text); err != nil {
			return err
		}
	}
	return nil
}

// isBackedUp reports whether the backup contains a file. Undo restores such a file as a whole, if
// OBS has not changed it since Pair.
func isBackedUp(name string) bool {
	return strings.HasSuffix(name, ".ini") || strings.HasPrefix(name, scenesDir)
}

func (f Folder) saveBackup(b backup) error {
	text, err := marshal(b)
	if err != nil {
		return err
	}
	return f.write(backupFile(b.ID), text)
}

func backupFile(id string) string { return ours + "pair-" + id + ".json" }

// backup returns the backup of an earlier pairing, or an empty one.
func (f Folder) backup(id string) (backup, error) {
	b := backup{ID: id, Files: map[string]saved{},
		Script: filepath.ToSlash(filepath.Join(f.Dir, filepath.FromSlash(ours+id+".lua")))}
	text, err := f.read(backupFile(id))
	if err == nil && text != "" {
		err = unmarshal(text, &b)
	}
	return b, err
}
