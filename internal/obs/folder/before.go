package folder

import (
	"encoding/json"
	"fmt"
	"strings"
)

// beforeFile contains the state of OBS before its first pairing: the settings of the WebSocket
// server that a pairing changes, and whether there was a list of docks. Pair and the script write
// the same file, so Undo in the terminal and Undo in OBS restore the same state. They restore it
// when they undo a pairing and this OBS has no other.
const beforeFile = "before.json"

// none stands for a setting that did not exist.
const none = "none"

func (f Folder) before() (map[string]string, error) { return f.strings(beforeFile) }

// strings reads a file of the script's notes, which is a JSON object of strings.
func (f Folder) strings(name string) (map[string]string, error) {
	all := map[string]string{}
	text, err := f.read(ours + name)
	if err != nil || text == "" {
		return all, err
	}
	if err := unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("the script's notes in %s: %w", name, err)
	}
	return all, nil
}

func marshal(v any) (string, error) {
	text, err := json.Marshal(v)
	return string(text), err
}

// iniNames are the names of the WebSocket server's settings in global.ini, before OBS 30.2.
var iniNames = map[string]string{
	"server_enabled": "ServerEnabled", "auth_required": "AuthRequired",
	"server_password": "ServerPassword", "first_load": "FirstLoad",
}

// settingsFile returns the name of the file with the settings of the WebSocket server.
func (f Folder) settingsFile() string {
	if f.exists(websocketFile) || !f.exists("global.ini") || f.version() >= 30<<24+2<<16 {
		return websocketFile
	}
	return "global.ini"
}

// setting returns a setting of the WebSocket server from the text of its file, or `none`.
func setting(file, text, name string) string {
	if file != websocketFile {
		if value, there := parseINI(text).get("OBSWebSocket", iniNames[name]); there {
			return value
		}
		return none
	}
	var all map[string]json.RawMessage
	_ = unmarshal(text, &all) // a text that is not JSON has no settings
	raw, there := all[name]
	if !there {
		return none
	}
	var value string
	if unmarshal(string(raw), &value) == nil {
		return value
	}
	return string(raw)
}

// withSetting returns the text of the file with another value of a setting, or without it.
func withSetting(file, text, name, value string) string {
	switch {
	case file != websocketFile && value == none:
		return parseINI(text).drop("OBSWebSocket", iniNames[name]).String()
	case file != websocketFile:
		return parseINI(text).set("OBSWebSocket", iniNames[name], value).String()
	case value == none:
		return dropMember(text, name)
	case name == "server_password":
		value = quote(value)
	}
	return setMember(text, name, value)
}

// restoreWebSocket restores the settings of the WebSocket server as they were before the first
// pairing. It keeps a password that the person has chosen since then.
func (f Folder) restoreWebSocket(before map[string]string) error {
	file := f.settingsFile()
	text, err := f.read(file)
	if err != nil || text == "" {
		return err
	}
	own := setting(file, text, "server_password") != before["made_password"]
	now := text
	for name := range iniNames {
		value, changed := before[name]
		if !changed || own && (name == "server_password" || name == "first_load") {
			continue
		}
		now = withSetting(file, now, name, value)
	}
	switch {
	case now == text:
		return nil
	case strings.Trim(now, "{} \r\n") == "":
		return f.remove(file)
	}
	return f.write(file, now)
}
