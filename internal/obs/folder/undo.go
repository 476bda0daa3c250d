package folder

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// An Undone is the result of Undo.
type Undone struct {
	Folder  string   `json:"folder"`
	Server  string   `json:"undone"` // the server of the pairing
	Notices []string `json:"notices"`
}

// Undo reverts a pairing by Pair or by the script, even if Undo in the script's pane has begun to
// revert it. If OBS has not changed a file since Pair, Undo restores the file byte for byte. From
// other files it removes Stagedoor's entries. If `server` is empty, there must be only one pairing.
// If OBS is not paired, Undo succeeds and says so, since a shell script may call it twice.
func (f Folder) Undo(server string) (Undone, error) {
	if err := f.mustBeClosed(); err != nil {
		return Undone{}, err
	}
	did := Undone{Folder: f.Dir, Notices: []string{}}
	b, found, err := f.pairingOf(strings.TrimSuffix(server, "/"))
	if err != nil {
		return did, err
	}
	if !found {
		did.say("Nothing to undo: OBS in " + f.Dir + " is not paired.")
		return did, nil
	}
	did.Server = b.address()
	err = f.undo(b, &did)
	return did, err
}

// undo reverts one pairing.
func (f Folder) undo(b backup, did *Undone) error {
	before, err := f.before()
	if err != nil {
		return err
	}
	b.noDocks = before["docks"] == none
	if b.taken, err = takenBy(b); err != nil {
		return err
	}
	scenes, err := f.collections() // including those that were created after Pair
	if err != nil {
		return err
	}
	others, err := f.others(b.ID)
	if err != nil {
		return err
	}
	for _, name := range append(scenes, f.dockFile()) {
		if err := f.restore(b, name); err != nil {
			return err
		}
	}
	if b.undone {
		did.say("Only its script was left in OBS. OBS does not load it any more.")
		return nil
	}
	if err := f.forgetToken(); err != nil {
		return err
	}
	if len(others) == 0 {
		err = f.undoLast(before, did)
	} else {
		did.say("OBS is still paired with " + strings.Join(others, " and ") + ": its WebSocket " +
			"server and the profile Stagedoor stay. The profile has no token now; the other dock " +
			"writes its own.")
	}
	if err != nil {
		return err
	}
	return f.forget(b)
}

func (u *Undone) say(notice string) { u.Notices = append(u.Notices, notice) }

// undoLast restores what all pairings share, when no other pairing is left.
func (f Folder) undoLast(before map[string]string, did *Undone) error {
	if err := f.restoreWebSocket(before); err != nil {
		return err
	}
	if err := f.restoreEncoder(); err != nil {
		return err
	}
	stays, err := f.leaveProfile()
	switch {
	case err != nil:
		return err
	case stays:
		did.say("The profile Stagedoor is still selected, without a token: choose yours in the " +
			"menu Profile of OBS.")
	case f.profile(ourProfile) != "":
		did.say("The profile Stagedoor stays, without a token.")
	}
	return f.remove(ours + beforeFile)
}

// pairings returns the pairings of this OBS, each of which has a backup by Pair or notes of the
// script. If the files of a pairing cannot be read, it returns the other pairings and an error.
func (f Folder) pairings() (all []backup, err error) {
	paths, _ := filepath.Glob(filepath.Join(f.Dir, filepath.FromSlash(ours), "*.json"))
	for _, path := range paths {
		id := strings.TrimPrefix(strings.TrimSuffix(filepath.Base(path), ".json"), "pair-")
		known := slices.ContainsFunc(all, func(b backup) bool { return b.ID == id })
		if known || !isID(id) {
			continue
		}
		b, failed := f.backup(id)
		if failed == nil {
			b.notes, failed = f.strings(id + ".json")
		}
		if failed != nil {
			err = cmp.Or(err, failed)
			continue
		}
		all = append(all, b)
	}
	return all, err
}

// isID reports whether the name of a file of notes is the ID of a server. The other files have
// other names.
func isID(name string) bool { return name != "" && strings.Trim(name, "0123456789abcdef") == "" }

// address returns the address of the server, which may have changed since Pair.
func (b backup) address() string {
	if moved := b.notes["moved_to"]; moved != "" {
		return moved
	}
	if b.Server != "" {
		return b.Server
	}
	return b.notes["server"]
}

// withServer returns the pairing whose server has this address now, otherwise the pairing whose
// server had it before. Another server may now have the earlier address of a server.
func withServer(all []backup, address string) (backup, bool) {
	if address == "" {
		return backup{}, false
	}
	for _, b := range all {
		if b.address() == address {
			return b, true
		}
	}
	for _, b := range all {
		earlier := append(strings.Fields(b.notes["left"]), b.Server, b.notes["server"])
		if slices.Contains(earlier, address) {
			return b, true
		}
	}
	return backup{}, false
}

// others returns the addresses of the other servers that are paired. A pairing that was undone in
// the pane of its script has no notes any more.
func (f Folder) others(id string) (addresses []string, err error) {
	all, err := f.pairings()
	for _, b := range all {
		if b.ID != id && len(b.notes) > 0 {
			addresses = append(addresses, b.address())
		}
	}
	return addresses, err
}

// pairingOf returns the pairing with a server, and false if OBS is not paired at all. Without a
// server it returns the only pairing, and an error if there are several.
func (f Folder) pairingOf(server string) (backup, bool, error) {
	all, err := f.pairings()
	if err != nil {
		return backup{}, false, err
	}
	left, err := f.leftScripts(all)
	if err != nil {
		return backup{}, false, err
	}
	if b, found := withServer(append(slices.Clone(all), left...), server); found {
		return b, true, nil
	}
	if len(all) == 0 {
		all = left
	}
	var servers []string
	for _, b := range all {
		servers = append(servers, b.address())
	}
	names := strings.Join(servers, " and ")
	switch {
	case len(all) == 0:
		return backup{}, false, nil
	case server != "":
		return backup{}, false, stage.Errorf(stage.ErrNotFound,
			"This OBS is not paired with %s, but with %s: say which with --server", server, names).
			WithCode("obs_not_paired")
	case len(all) > 1:
		return backup{}, false, stage.Errorf(stage.ErrInvalid,
			"This OBS is paired with %s: say which with --server", names).
			WithCode("obs_several_pairings")
	}
	return all[0], true, nil
}

// leftScripts returns the pairings of which only a downloaded script is left in a scene collection.
// Usually, Undo in the pane has reverted the rest. The result omits the pairings in the parameter
// `paired`.
func (f Folder) leftScripts(paired []backup) (left []backup, err error) {
	scenes, err := f.collections()
	if err != nil {
		return nil, err
	}
	for _, name := range scenes {
		text, err := f.read(name)
		if err != nil {
			return nil, err
		}
		list, _, err := elements(text, "modules", "scripts-tool")
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, e := range list {
			m, ok := scriptAt(text[e.from:e.to])
			same := func(b backup) bool { return b.ID == m.id }
			if ok && !slices.ContainsFunc(paired, same) && !slices.ContainsFunc(left, same) {
				left = append(left, backup{ID: m.id, Server: m.server, undone: true})
			}
		}
	}
	return left, nil
}

// restore removes a pairing from a file, and from the backups of this file that belong to other
// pairings.
func (f Folder) restore(b backup, name string) error {
	now, err := f.read(name)
	if err != nil || !f.exists(name) {
		return err
	}
	clean, err := b.cleaned(name, now)
	if err != nil || clean == now {
		return err
	}
	if err := f.passOn(b, name, now, clean); err != nil {
		return err
	}
	return f.write(name, clean)
}

// cleaned returns the text of a file without a pairing: as it was before Pair if nothing else has
// changed it, otherwise without the pairing's entries.
func (b backup) cleaned(name, text string) (string, error) {
	if was := b.Files[name]; was.After == sum(text) && was.Before != nil {
		return *was.Before, nil
	}
	return b.without(name, text)
}

// passOn removes a pairing from the backups of later pairings, so that these can also be undone
// byte for byte.
func (f Folder) passOn(b backup, name, now, clean string) error {
	all, err := f.pairings()
	if err != nil {
		return err
	}
	for _, other := range all {
		was, known := other.Files[name]
		if other.ID == b.ID || !known || was.Before == nil {
			continue
		}
		before, err := b.cleaned(name, *was.Before)
		if err != nil {
			return err
		}
		if was.After == sum(now) {
			was.After = sum(clean)
		}
		other.Files[name] = saved{&before, was.After}
		if err := f.saveBackup(other); err != nil {
			return err
		}
	}
	return nil
}

// without removes a pairing's entries from a file.
func (b backup) without(name, text string) (string, error) {
	if strings.HasPrefix(name, scenesDir) {
		return cut(text, b.isScript, "modules", "scripts-tool")
	}
	file := parseINI(text)
	docks, there := file.get("BasicWindow", "ExtraBrowserDocks")
	if !there {
		return text, nil
	}
	clean, err := b.taken.giveBack(docks, b.isOwnDock)
	if err == nil {
		clean, err = cut(clean, b.isOwnDock)
	}
	switch {
	case err != nil || clean == docks:
		return text, err
	case b.noDocks && strings.Trim(clean, "[] ") == "":
		return file.drop("BasicWindow", "ExtraBrowserDocks").String(), nil
	}
	return file.set("BasicWindow", "ExtraBrowserDocks", clean).String(), nil
}

// forget removes the files of this pairing.
func (f Folder) forget(b backup) error {
	for _, name := range []string{b.ID + ".lua", b.ID + ".json", "pair-" + b.ID + ".json"} {
		if err := f.remove(ours + name); err != nil {
			return err
		}
	}
	// The folder stays if it contains a file of another pairing or of a person.
	_ = os.Remove(filepath.Join(f.Dir, filepath.FromSlash(ours)))
	return nil
}

func (f Folder) restoreEncoder() error {
	all, err := f.strings("encoder.json")
	if err != nil || len(all) == 0 {
		return err
	}
	name, err := filepath.Rel(f.Dir, filepath.FromSlash(all["file"]))
	switch {
	case err != nil || !filepath.IsLocal(name): // do not change a file outside OBS's folder
		err = nil
	case all["before"] == none:
		err = f.remove(filepath.ToSlash(name))
	default:
		err = f.write(filepath.ToSlash(name), all["before"])
	}
	if err != nil {
		return err
	}
	return f.remove(ours + "encoder.json")
}
