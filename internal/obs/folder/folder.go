// Package folder reads and changes OBS's configuration folder while OBS is closed: it finds the
// folder, reads the settings of the WebSocket server, and pairs OBS as the script does.
package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A Folder is OBS's configuration folder, which contains basic/, plugin_config/ and user.ini or
// global.ini.
type Folder struct{ Dir string }

// Find returns OBS's folder. The path given may name that folder, its parent folder, or the folder
// of a portable OBS, which has it in config/obs-studio. If the path is empty, Find looks in the
// places of the operating system.
func Find(given, goos string, env func(string) string) (Folder, error) {
	places := systemPlaces(goos, env)
	if given != "" {
		places = []string{given, filepath.Join(given, "config", "obs-studio"),
			filepath.Join(given, "obs-studio")}
	}
	var found []string
	for _, place := range places {
		if given == "" && !filepath.IsAbs(place) {
			continue // the environment does not name the home directory
		}
		if isFolder(place) {
			found = append(found, place)
		}
	}
	switch {
	case len(found) == 0 && given != "":
		return Folder{}, noFolder(
			"%s is no configuration of OBS: it has neither user.ini nor global.ini. Start OBS "+
				"once and close it.", given)
	case len(found) == 0:
		return Folder{}, noFolder(
			"OBS has no configuration here yet (%s). Start OBS once and close it, or say where "+
				"it is with --obs-config.", strings.Join(places, ", "))
	case len(found) > 1 && given == "":
		return Folder{}, noFolder("There are several OBS here: %s. Say which with --obs-config.",
			strings.Join(found, ", "))
	}
	return Folder{found[0]}, nil
}

func noFolder(format string, values ...any) error {
	return stage.Errorf(stage.ErrNotFound, format, values...).WithCode("obs_no_config")
}

func systemPlaces(goos string, env func(string) string) []string {
	home := env("HOME")
	switch goos {
	case "windows":
		return []string{filepath.Join(env("APPDATA"), "obs-studio")}
	case "darwin":
		return []string{filepath.Join(home, "Library", "Application Support", "obs-studio")}
	}
	config := env("XDG_CONFIG_HOME")
	if config == "" {
		config = filepath.Join(home, ".config")
	}
	return []string{
		filepath.Join(config, "obs-studio"),
		// OBS as a Flatpak
		filepath.Join(home, ".var", "app", "com.obsproject.Studio", "config", "obs-studio"),
	}
}

func isFolder(dir string) bool {
	for _, name := range []string{"user.ini", "global.ini"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// A WebSocket contains the settings of OBS's WebSocket server.
type WebSocket struct {
	Enabled  bool
	Port     int
	Auth     bool
	Password stage.Secret
}

const defaultPort = 4455

// websocketFile contains the settings of the server since OBS 30.2. Earlier versions have them in
// global.ini.
const websocketFile = "plugin_config/obs-websocket/config.json"

// WebSocket reads the settings of OBS's WebSocket server.
func (f Folder) WebSocket() (WebSocket, error) {
	text, err := f.read(websocketFile)
	if err != nil {
		return WebSocket{}, err
	}
	if text != "" {
		return websocketOfJSON(text)
	}
	text, err = f.read("global.ini")
	if err != nil {
		return WebSocket{}, err
	}
	get := func(name, otherwise string) string {
		if value, found := parseINI(text).get("OBSWebSocket", name); found {
			return value
		}
		return otherwise
	}
	port, err := strconv.Atoi(get("ServerPort", strconv.Itoa(defaultPort)))
	return WebSocket{
		Enabled: get("ServerEnabled", "false") == "true", Port: port,
		Auth:     get("AuthRequired", "true") != "false",
		Password: stage.NewSecret(get("ServerPassword", "")),
	}, err
}

// read returns the text of a file, or "" if it does not exist.
func (f Folder) read(name string) (string, error) {
	text, err := os.ReadFile(filepath.Join(f.Dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return string(text), err
}

func (f Folder) exists(name string) bool {
	_, err := os.Stat(filepath.Join(f.Dir, filepath.FromSlash(name)))
	return err == nil
}

// write replaces a file atomically: after a crash, the file is either the old or the new one.
func (f Folder) write(name, text string) error {
	path := filepath.Join(f.Dir, filepath.FromSlash(name))
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(path); err == nil {
		mode = info.Mode().Perm()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	temporary := path + ".stagedoor"
	if err := os.WriteFile(temporary, []byte(text), mode); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func (f Folder) remove(name string) error {
	err := os.Remove(filepath.Join(f.Dir, filepath.FromSlash(name)))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Secret returns the secret that the script in OBS shares with the dock of a server, or an empty
// secret. If OBS is not paired with that server and has only one pairing, Secret returns the secret
// of that one, because the script of any server can set up an encoder. So `stagedoor obs status`
// works without a server.
func (f Folder) Secret(server string) stage.Secret {
	all, _ := f.pairings() // those whose files can be read
	all = slices.DeleteFunc(all, func(b backup) bool { return b.notes["secret"] == "" })
	b, found := withServer(all, server)
	if !found && len(all) == 1 {
		b = all[0]
	}
	return stage.NewSecret(b.notes["secret"])
}
