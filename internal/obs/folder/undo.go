package folder

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// Undo reverts a pairing, and returns the address of its server. It restores files that OBS has not
// changed since byte for byte, and removes Stagedoor's entries from the others. If server is empty,
// it reverts the only pairing.
func (f Folder) Undo(server string) (string, error) {
	if err := f.mustBeClosed(); err != nil {
		return "", err
	}
	b, err := f.pairingOf(server)
	if err != nil {
		return "", err
	}
	if b.taken, err = f.taken(b); err != nil {
		return "", err
	}
	for name, was := range b.Files {
		if err := f.restore(b, name, was); err != nil {
			return "", err
		}
	}
	scenes, err := f.collections() // also those that were created after Pair
	for _, name := range scenes {
		if _, known := b.Files[name]; !known {
			err = f.restore(b, name, saved{})
		}
		if err != nil {
			return "", err
		}
	}
	return b.Server, f.forget(b)
}

func (f Folder) pairingOf(server string) (backup, error) {
	paths, _ := filepath.Glob(filepath.Join(f.Dir, filepath.FromSlash(ours+"pair-*.json")))
	var all []backup
	var servers []string
	for _, path := range paths {
		id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "pair-"), ".json")
		b, err := f.backup(id)
		if err != nil {
			return backup{}, err
		}
		if b.Server == strings.TrimSuffix(server, "/") {
			return b, nil
		}
		all, servers = append(all, b), append(servers, b.Server)
	}
	switch len(all) {
	case 0:
		return backup{}, stage.Errorf(stage.ErrNotFound,
			"This OBS was not paired by this command").WithCode("obs_not_paired")
	case 1:
		return all[0], nil
	}
	return backup{}, stage.Errorf(stage.ErrInvalid,
		"This OBS is paired with %s: say which with --server",
		strings.Join(servers, " and ")).WithCode("obs_several_pairings")
}

func (f Folder) restore(b backup, name string, was saved) error {
	now, err := f.read(name)
	if err != nil {
		return err
	}
	switch {
	case was.After == sum(now) && was.Before == nil, strings.HasSuffix(name, ".lua"):
		return f.remove(name)
	case was.After == sum(now):
		return f.write(name, *was.Before)
	case !f.exists(name):
		return nil
	}
	clean, err := b.without(name, now)
	if err != nil || clean == now {
		return err
	}
	return f.write(name, clean)
}

// without removes Stagedoor's entries from a file.
func (b backup) without(name, text string) (string, error) {
	switch {
	case strings.HasPrefix(name, "basic/scenes/"):
		return cut(text, b.isScript, "modules", "scripts-tool")
	case name == websocketFile:
		return b.withoutJSON(text)
	case strings.HasSuffix(name, ".ini"):
		return b.withoutINI(text)
	}
	return text, nil
}

// withoutJSON restores those settings that Pair changed and that still have Pair's values.
func (b backup) withoutJSON(text string) (string, error) {
	o, err := parseObject(text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", websocketFile, err)
	}
	changed := false
	for name, before := range b.WebSocket {
		if string(o[name]) != b.Set[name] {
			continue
		}
		changed = true
		if delete(o, name); before != nil {
			o[name] = json.RawMessage(*before)
		}
	}
	if !changed {
		return text, nil
	}
	return o.like(text), nil
}

func (b backup) withoutINI(text string) (string, error) {
	file := parseINI(text)
	if docks, there := file.get("BasicWindow", "ExtraBrowserDocks"); there {
		clean, err := cut(docks, b.isOwnDock)
		if err == nil {
			clean, err = b.taken.giveBack(clean)
		}
		if err != nil {
			return "", err
		}
		switch {
		case clean == docks:
		case b.NoDocks && strings.Trim(clean, "[] ") == "":
			file = file.drop("BasicWindow", "ExtraBrowserDocks")
		default:
			file = file.set("BasicWindow", "ExtraBrowserDocks", clean)
		}
	}
	for name, before := range b.WebSocket {
		key := iniNames[name]
		if now, there := file.get("OBSWebSocket", key); !there || now != b.Set[name] {
			continue
		}
		if before == nil {
			file = file.drop("OBSWebSocket", key)
		} else {
			file = file.set("OBSWebSocket", key, *before)
		}
	}
	return file.String(), nil
}

// forget removes the notes of this pairing. After the last pairing it also restores the encoder's
// file, as the Undo of the script does.
func (f Folder) forget(b backup) error {
	for _, name := range []string{b.ID + ".json", "pair-" + b.ID + ".json"} {
		if err := f.remove(ours + name); err != nil {
			return err
		}
	}
	dir := filepath.Join(f.Dir, filepath.FromSlash(ours))
	others, _ := filepath.Glob(filepath.Join(dir, "*.lua"))
	notes, _ := filepath.Glob(filepath.Join(dir, "*.json"))
	for _, path := range notes {
		if strings.Trim(strings.TrimSuffix(filepath.Base(path), ".json"),
			"0123456789abcdef") == "" {
			others = append(others, path)
		}
	}
	if len(others) > 0 {
		return nil
	}
	if err := f.restoreEncoder(); err != nil {
		return err
	}
	_ = f.remove(ours + "websocket.json")
	_ = os.Remove(dir) // the folder stays if a person has put a file there
	return nil
}

func (f Folder) restoreEncoder() error {
	text, err := f.read(ours + "encoder.json")
	if err != nil || text == "" {
		return err
	}
	var notes struct{ File, Before string }
	if err := unmarshal(text, &notes); err != nil {
		return err
	}
	name, err := filepath.Rel(f.Dir, filepath.FromSlash(notes.File))
	// do not change a file outside OBS's folder
	if err != nil || !filepath.IsLocal(name) {
		return f.remove(ours + "encoder.json")
	}
	if notes.Before == "none" {
		err = f.remove(filepath.ToSlash(name))
	} else {
		err = f.write(filepath.ToSlash(name), notes.Before)
	}
	if err != nil {
		return err
	}
	return f.remove(ours + "encoder.json")
}
