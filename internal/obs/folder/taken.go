package folder

import (
	"slices"
	"strings"
)

// A taken contains the docks that a person had added and that the script took over. The script
// replaced them by one dock with the current address of the server. That dock has the ID of one of
// them, or the script's own ID.
type taken struct {
	docks     []dock
	texts     []string // the original entries
	addresses []string // current and earlier addresses of the dock
}

// takenBy reads the entries and addresses from the script's notes.
func takenBy(b backup) (taken, error) {
	var t taken
	for _, server := range append(strings.Fields(b.notes["left"]), b.notes["server"], b.Server) {
		t.addresses = append(t.addresses, server+"/dock")
	}
	all := "[" + b.notes["adopted"] + "]"
	list, _, err := elements(all)
	for _, e := range list {
		var d dock
		if err := unmarshal(all[e.from:e.to], &d); err != nil {
			return t, err
		}
		t.docks, t.texts = append(t.docks, d), append(t.texts, all[e.from:e.to])
	}
	return t, err
}

// giveBack replaces the script's entry by the person's entries that the script took over. The
// script's entry is one with the script's own ID or with an address of this server's dock. An entry
// that has neither opens another page now, and stays.
func (t taken) giveBack(docks string, isOwn func(entry string) bool) (string, error) {
	list, _, err := elements(docks)
	there := make([]dock, len(list))
	for i, e := range list {
		if err := unmarshal(docks[e.from:e.to], &there[i]); err != nil {
			return docks, err
		}
	}
	has := func(uuid string) bool {
		return slices.ContainsFunc(there, func(d dock) bool { return d.UUID == uuid })
	}
	for i, e := range list {
		address, _, _ := strings.Cut(there[i].URL, "#")
		if !isOwn(docks[e.from:e.to]) &&
			!slices.Contains(t.addresses, strings.TrimSuffix(address, "/")) {
			continue
		}
		var back []string
		for n, d := range t.docks {
			if d.UUID == there[i].UUID || !has(d.UUID) {
				back = append(back, t.texts[n])
			}
		}
		if len(back) > 0 {
			return docks[:e.from] + strings.Join(back, ", ") + docks[e.to:], nil
		}
	}
	return docks, err
}
