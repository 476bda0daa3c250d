package folder

import "strings"

// An ini is an ini file of OBS, as a list of lines. The method `set` changes only one line: the
// others stay the same byte for byte.
type ini []string

func parseINI(text string) ini { return strings.SplitAfter(text, "\n") }

func (f ini) String() string { return strings.Join(f, "") }

// find returns the index of a key's line, or -1, and the index after the end of its section, or -1.
func (f ini) find(section, key string) (line, end int) {
	line, end = -1, -1
	inside := false
	for i, text := range f {
		text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
		name, _, isKey := strings.Cut(text, "=")
		switch {
		case strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]"):
			inside = text == "["+section+"]"
			if inside {
				end = i + 1
			}
		case inside && isKey:
			end = i + 1
			if strings.TrimSpace(name) == key {
				line = i
			}
		}
	}
	return line, end
}

var unescape = strings.NewReplacer(`\\`, `\`, `\n`, "\n", `\r`, "\r")

var escape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`)

func (f ini) get(section, key string) (string, bool) {
	line, _ := f.find(section, key)
	if line < 0 {
		return "", false
	}
	_, value, _ := strings.Cut(strings.TrimRight(f[line], "\r\n"), "=")
	return unescape.Replace(strings.TrimSpace(value)), true
}

// set returns the file with a new value.
func (f ini) set(section, key, value string) ini {
	line, end := f.find(section, key)
	ending := "\n"
	if strings.Contains(f.String(), "\r\n") {
		ending = "\r\n"
	}
	text := key + "=" + escape.Replace(value) + ending
	switch {
	case line >= 0:
		return f.with(line, line+1, text)
	case end >= 0:
		return f.with(end, end, text)
	}
	if last := f.String(); last != "" && !strings.HasSuffix(last, "\n") {
		text = ending + "[" + section + "]" + ending + text
	} else {
		text = "[" + section + "]" + ending + text
	}
	return append(f[:len(f):len(f)], text)
}

// drop returns the file without the line of a key.
func (f ini) drop(section, key string) ini {
	line, _ := f.find(section, key)
	if line < 0 {
		return f
	}
	return f.with(line, line+1)
}

func (f ini) with(from, to int, lines ...string) ini {
	all := append(ini{}, f[:from]...)
	if len(lines) > 0 && from > 0 && !strings.HasSuffix(all[from-1], "\n") {
		all[from-1] += "\n"
	}
	return append(append(all, lines...), f[to:]...)
}
