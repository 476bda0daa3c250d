package folder

import (
	"path/filepath"
	"regexp"
)

// ourProfile is the name of the profile that the set-up makes.
const ourProfile = "Stagedoor"

// profile returns the folder of a profile, or "". The folder may have another name than the
// profile.
func (f Folder) profile(name string) string {
	files, _ := filepath.Glob(filepath.Join(f.Dir, "basic", "profiles", "*", "basic.ini"))
	for _, path := range files {
		dir := filepath.Base(filepath.Dir(path))
		text, _ := f.read("basic/profiles/" + dir + "/basic.ini")
		if found, _ := parseINI(text).get("General", "Name"); found == name && name != "" {
			return dir
		}
	}
	return ""
}

var bearerToken = regexp.MustCompile(`("bearer_token"\s*:\s*)"[^"]+"`)

// forgetToken removes the token from the files of Stagedoor's profile. OBS keeps the version before
// the last one as "….bak".
func (f Folder) forgetToken() error {
	dir := f.profile(ourProfile)
	if dir == "" {
		return nil
	}
	for _, file := range []string{"service.json", "service.json.bak"} {
		name := "basic/profiles/" + dir + "/" + file
		text, err := f.read(name)
		if clean := bearerToken.ReplaceAllString(text, `$1""`); err == nil && clean != text {
			err = f.write(name, clean)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// previousProfile returns the name of the profile that the person had before the set-up, or "". The
// set-up has stored that name in the persistent data of OBS's WebSocket server.
func (f Folder) previousProfile() string {
	for _, name := range []string{
		"plugin_config/obs-websocket/persistent_data.json", // since OBS 30.2
		"obsWebSocketPersistentData.json",
	} {
		var data struct {
			Stagedoor struct{ PreviousProfile string }
		}
		text, _ := f.read(name)
		if unmarshal(text, &data) == nil && data.Stagedoor.PreviousProfile != "" {
			return data.Stagedoor.PreviousProfile
		}
	}
	return ""
}

// leaveProfile selects the profile that the person had before the set-up, if Stagedoor's profile is
// selected. It returns true if Stagedoor's profile stays selected, because the other one no longer
// exists.
func (f Folder) leaveProfile() (stays bool, err error) {
	name := f.dockFile()
	text, err := f.read(name)
	file := parseINI(text)
	if now, _ := file.get("Basic", "Profile"); err != nil || now != ourProfile {
		return false, err
	}
	previous := f.previousProfile()
	dir := f.profile(previous)
	if dir == "" {
		return true, nil
	}
	file = file.set("Basic", "Profile", previous).set("Basic", "ProfileDir", dir)
	return false, f.write(name, file.String())
}
