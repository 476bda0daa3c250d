package folder

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
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
	SignInUntil time.Time `json:"signInUntil"` // until then, the dock can sign itself in once
	Warnings    []string  `json:"warnings"`
}

// ours is the folder that contains the script's notes. Pair also stores the script there.
const ours = "plugin_config/stagedoor/"

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

// A backup contains what Undo needs: each file before Pair changed it, and the hash of the file
// after that.
type backup struct {
	Server string           `json:"server"`
	ID     string           `json:"id"`
	Script string           `json:"script"` // path of the script
	Files  map[string]saved `json:"files"`
	// earlier settings as JSON; nil for a setting that did not exist
	WebSocket map[string]*string `json:"websocket"`
	NoDocks   bool               `json:"noDocks"` // there was no list of docks
	Set       map[string]string  `json:"set"`     // these settings as Pair wrote them

	taken taken // docks that the script took over
}

type saved struct {
	Before *string `json:"before"` // nil if there was no file
	After  string  `json:"after"`  // SHA-256
}

func sum(text string) string {
	hash := sha256.Sum256([]byte(text))
	return hex.EncodeToString(hash[:])
}

// Pair does the work of the script for a closed OBS: it adds the script to every scene collection,
// adds the dock, and switches the WebSocket server on. A second call updates all of it.
func (f Folder) Pair(lua string) (Paired, error) {
	m, err := parseLua(lua)
	if err != nil {
		return Paired{}, err
	}
	if err := f.mustBeClosed(); err != nil {
		return Paired{}, err
	}
	b, err := f.backup(m.id)
	if err != nil {
		return Paired{}, err
	}
	b.Server, b.ID = m.server, m.id
	b.Script = filepath.ToSlash(filepath.Join(f.Dir, filepath.FromSlash(ours+m.id+".lua")))
	p := &pairing{f: f, m: m, backup: b, files: map[string]string{}}
	p.did = Paired{Folder: f.Dir, Server: m.server, SignInUntil: m.expires, Warnings: f.warnings()}
	if err := p.run(); err != nil {
		return Paired{}, err
	}
	return p.did, p.save()
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
	if err := p.switchOn(); err != nil {
		return err
	}
	if err := p.addDock(); err != nil {
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

// text returns the text of a file, including the changes of this run.
func (p *pairing) text(name string) (string, error) {
	if text, changed := p.files[name]; changed {
		return text, nil
	}
	return p.f.read(name)
}

// switchOn switches the WebSocket server on. It keeps the port and the password, and chooses each
// that is not set.
func (p *pairing) switchOn() error {
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
		change["server_password"], change["first_load"] = quote(rand.Text()+rand.Text()), "false"
		p.did.MadePassword = true
	}
	if len(change) == 0 {
		return nil
	}
	if p.f.exists(websocketFile) || !p.f.exists("global.ini") || p.f.version() >= 30<<24+2<<16 {
		return p.switchOnJSON(change)
	}
	return p.switchOnINI(change)
}

func (p *pairing) switchOnJSON(change map[string]string) error {
	text, err := p.text(websocketFile)
	if err != nil {
		return err
	}
	o, err := parseObject(text)
	if err != nil {
		return fmt.Errorf("%s: %w", websocketFile, err)
	}
	for name, value := range change {
		var before *string
		if raw, there := o[name]; there {
			text := string(raw)
			before = &text
		}
		p.remember(name, before, value)
		o[name] = json.RawMessage(value)
	}
	p.files[websocketFile] = o.like(text)
	return nil
}

// iniNames are the names of the WebSocket server's settings in global.ini, before OBS 30.2.
var iniNames = map[string]string{
	"server_enabled": "ServerEnabled", "auth_required": "AuthRequired",
	"server_password": "ServerPassword", "first_load": "FirstLoad",
}

func (p *pairing) switchOnINI(change map[string]string) error {
	text, err := p.text("global.ini")
	if err != nil {
		return err
	}
	file := parseINI(text)
	for name, value := range change {
		value = strings.Trim(value, `"`)
		var before *string
		if old, there := file.get("OBSWebSocket", iniNames[name]); there {
			before = &old
		}
		p.remember(name, before, value)
		file = file.set("OBSWebSocket", iniNames[name], value)
	}
	p.files["global.ini"] = file.String()
	return nil
}

func (p *pairing) remember(name string, before *string, set string) {
	if _, known := p.backup.WebSocket[name]; !known {
		p.backup.WebSocket[name] = before
	}
	p.backup.Set[name] = set
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
// server: the script gives that one the password when OBS starts.
func (p *pairing) addDock() error {
	name := p.f.dockFile()
	text, err := p.text(name)
	if err != nil {
		return err
	}
	file := parseINI(text)
	docks, there := file.get("BasicWindow", "ExtraBrowserDocks")
	if !there || strings.TrimSpace(docks) == "" {
		docks = "[]"
	}
	p.backup.NoDocks = p.backup.NoDocks || !there
	docks, err = cut(docks, p.backup.isOwnDock)
	if err != nil {
		return fmt.Errorf("the docks in %s: %w", name, err)
	}
	list, _, err := elements(docks)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(list, func(e element) bool {
		return p.backup.isDock(docks[e.from:e.to])
	}) {
		entry := fmt.Sprintf(`{"title": "Stagedoor", "url": %s, "uuid": %s}`, quote(p.address()), quote("stagedoor"+p.m.id))
		docks, err = appended(docks, list, entry)
	}
	p.files[name] = file.set("BasicWindow", "ExtraBrowserDocks", docks).String()
	return err
}

func appended(array string, list []element, element string) (string, error) {
	if len(list) == 0 {
		return insert(array, element)
	}
	at := list[len(list)-1].to
	return array[:at] + ", " + element + array[at:], nil
}

// address returns the dock's address, with the password after the "#", which browsers send to no
// server. The script removes the password from the file when OBS ends.
func (p *pairing) address() string {
	password := ""
	if set, changed := p.backup.Set["server_password"]; changed && p.did.MadePassword {
		password = strings.Trim(set, `"`)
	} else if now, err := p.f.WebSocket(); err == nil {
		password = now.Password.Reveal()
	}
	parts := []string{"obs-port=" + strconv.Itoa(p.did.Port), "obs-password=" + escaped(password)}
	if p.m.code != "" {
		parts = append(parts, "enrol="+escaped(p.m.code))
	}
	return p.m.server + "/dock#" + strings.Join(parts, "&")
}

func escaped(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

type dock struct{ URL, UUID string }

// isOwnDock reports whether Pair or the script has created an entry.
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
			names = append(names, "basic/scenes/"+e.Name())
		}
	}
	return names, err
}

func (b backup) isScript(text string) bool {
	var script struct{ Path string }
	return unmarshal(text, &script) == nil && path.Clean(strings.ReplaceAll(script.Path, `\`, "/")) == b.Script
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
		return p.backup.isScript(text[e.from:e.to])
	}) {
		return nil
	}
	text, err = insert(text, `{"path": `+quote(p.backup.Script)+`, "settings": {}}`, scripts...)
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

func (f Folder) warnings() (all []string) {
	if v := f.version(); v != 0 && v < 30<<24 {
		all = append(all, "This OBS is too old: WHIP came with OBS 30.")
	}
	if scenes, _ := f.collections(); len(scenes) == 0 {
		all = append(all, "There is no scene collection yet: start OBS once, close it, and "+
			"pair again.")
	}
	return all
}

// save writes the backup before any other file, so that Undo finds the original files even after a
// crash.
func (p *pairing) save() error {
	for name, text := range p.files {
		was, known := p.backup.Files[name]
		now, err := p.f.read(name)
		if err != nil {
			return err
		}
		if !known || was.After != sum(now) { // not written by Pair, or changed by OBS since
			was.Before = nil
			if p.f.exists(name) {
				clean, err := p.backup.without(name, now)
				if err != nil {
					return err
				}
				was.Before = &clean
			}
		}
		p.backup.Files[name] = saved{was.Before, sum(text)}
	}
	text, err := json.Marshal(p.backup)
	if err != nil {
		return err
	}
	if err := p.f.write(backupFile(p.m.id), string(text)); err != nil {
		return err
	}
	for name, text := range p.files {
		if err := p.f.write(name, text); err != nil {
			return err
		}
	}
	return nil
}

func backupFile(id string) string { return ours + "pair-" + id + ".json" }

// backup returns the backup of an earlier pairing, or an empty one.
func (f Folder) backup(id string) (backup, error) {
	b := backup{Files: map[string]saved{}, WebSocket: map[string]*string{},
		Set: map[string]string{}}
	text, err := f.read(backupFile(id))
	if err == nil && text != "" {
		err = unmarshal(text, &b)
	}
	return b, err
}
