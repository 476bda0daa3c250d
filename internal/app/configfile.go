package app

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
	"go.yaml.in/yaml/v3"
)

// A configFile contains settings of `serve` by the names of their flags.
type configFile struct {
	path    string
	entries map[string]configEntry
}

// A configEntry is the value of one setting, in the form of its environment variable: the items of
// a list are joined by commas.
type configEntry struct {
	value string
	line  int
}

// A configError is an error whose text contains the name of the config file, and the line if known.
type configError struct{ error }

// readConfig reads the file. It refuses unknown and repeated names, and values that are neither
// scalars nor lists of scalars.
func readConfig(path string, known map[string]*kong.Flag) (*configFile, error) {
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, configError{fmt.Errorf("the config file %s cannot be read by this user: "+
			"run the command as the user of the service", path)}
	case err != nil:
		return nil, configError{
			fmt.Errorf("the config file %s cannot be read: %w", path, reason(err)),
		}
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&document); err != nil && !errors.Is(err, io.EOF) {
		return nil, configError{
			fmt.Errorf("%s: %s", path, strings.TrimPrefix(err.Error(), "yaml: ")),
		}
	}
	if err := decoder.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, configError{fmt.Errorf("%s has several YAML documents; use one", path)}
	}
	f := &configFile{path: path, entries: map[string]configEntry{}}
	if len(document.Content) == 0 || document.Content[0].ShortTag() == "!!null" { // only comments
		return f, nil
	}
	return f, f.read(document.Content[0], known)
}

func (f *configFile) read(root *yaml.Node, known map[string]*kong.Flag) error {
	if root.Kind != yaml.MappingNode {
		return f.errorf(root, "a config file has lines like `listen: 127.0.0.1:8080`")
	}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		flag := known[key.Value]
		if flag == nil || key.Value == "help" {
			return f.errorf(key, "there is no setting %q%s", key.Value, nearest(key.Value, known))
		}
		if earlier, twice := f.entries[key.Value]; twice {
			return f.errorf(key, "%s is set in line %d already", key.Value, earlier.line)
		}
		text, set, err := f.value(key, value, flag)
		if err != nil {
			return err
		}
		if set {
			f.entries[key.Value] = configEntry{text, key.Line}
		}
	}
	return nil
}

// value reads a scalar or a list of scalars. Null, an empty text and an empty list count as not
// set.
func (f *configFile) value(key, value *yaml.Node, flag *kong.Flag) (string, bool, error) {
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	switch {
	case value.Kind == yaml.ScalarNode:
		return value.Value, value.ShortTag() != "!!null" && value.Value != "", nil
	case value.Kind == yaml.SequenceNode && flag.IsSlice():
		var items []string
		for _, item := range value.Content {
			if item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null" {
				return "", false, f.errorf(item, "%s must be a list of plain values", key.Value)
			}
			items = append(items, strings.ReplaceAll(item.Value, ",", `\,`))
		}
		return strings.Join(items, ","), len(items) > 0, nil
	case flag.IsSlice():
		return "", false, f.errorf(key, "%s must be a list of plain values", key.Value)
	default:
		return "", false, f.errorf(key, "%s must be one plain value", key.Value)
	}
}

func (f *configFile) errorf(at *yaml.Node, format string, args ...any) error {
	return configError{fmt.Errorf("%s, line %d: %w", f.path, at.Line, fmt.Errorf(format, args...))}
}

// nearest returns the end of an error message: the known name that is most similar to a wrong name,
// or a command that lists all names, if none is similar.
func nearest(wrong string, known map[string]*kong.Flag) string {
	wrong = strings.ReplaceAll(strings.ToLower(wrong), "_", "-")
	best, least := "", len(wrong)/2+1
	for name := range known {
		if name == "help" {
			continue
		}
		d := distance(wrong, name)
		if d < least || d == least && best != "" && name < best {
			best, least = name, d
		}
	}
	if best == "" {
		return "; `stagedoor serve --help` lists them"
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// distance returns the edit distance of two words: the number of letters to insert, delete, replace
// or swap (Damerau–Levenshtein, optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			rows[i][j] = slices.Min([]int{
				rows[i-1][j] + 1, rows[i][j-1] + 1, rows[i-1][j-1] + change,
			})
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
