package folder

import (
	"fmt"
	"slices"
	"strings"
)

// A taken contains the docks that a person had added and that the script took over. The script
// changed their addresses to the server's current one, with the password.
type taken struct {
	entries   map[string]string // the original entries, by dock ID
	addresses []string          // current and earlier addresses of the dock
}

// taken reads the entries and addresses from the script's notes.
func (f Folder) taken(b backup) (taken, error) {
	t := taken{entries: map[string]string{}}
	text, err := f.read(ours + b.ID + ".json")
	if err != nil || text == "" {
		return t, err
	}
	var notes struct{ Adopted, Server, Left string }
	if err := unmarshal(text, &notes); err != nil {
		return t, fmt.Errorf("the script's notes: %w", err)
	}
	for _, server := range append(strings.Fields(notes.Left), notes.Server, b.Server) {
		t.addresses = append(t.addresses, server+"/dock")
	}
	list, _, err := elements("[" + notes.Adopted + "]")
	for _, e := range list {
		var d dock
		entry := notes.Adopted[e.from-1 : e.to-1]
		if err := unmarshal(entry, &d); err != nil {
			return t, err
		}
		t.entries[d.UUID] = entry
	}
	return t, err
}

// giveBack replaces the entries that the script took over by the original ones, unless they open
// another page now.
func (t taken) giveBack(docks string) (string, error) {
	list, _, err := elements(docks)
	for _, e := range slices.Backward(list) {
		var d dock
		if err := unmarshal(docks[e.from:e.to], &d); err != nil {
			return docks, err
		}
		address, _, _ := strings.Cut(d.URL, "#")
		entry, known := t.entries[d.UUID]
		if known && slices.Contains(t.addresses, strings.TrimSuffix(address, "/")) {
			docks = docks[:e.from] + entry + docks[e.to:]
		}
	}
	return docks, err
}
