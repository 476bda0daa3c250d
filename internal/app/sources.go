package app

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/alecthomas/kong"
)

// sources resolves the flags that are not on the command line: first from the environment variable,
// then from the config file, then by the default.
//
// Each variable has one meaning. The variables for settings of `serve` have short names, such as
// STAGEDOOR_LISTEN, in all commands. The variables for other flags contain the name of the command,
// such as STAGEDOOR_OBS_STAGE. The former short names of these other flags still work, with a
// warning.
type sources struct {
	env    map[string]string
	warn   io.Writer
	server map[string]*kong.Flag // the settings of `serve` by name; a config file may set them
	names  map[*kong.Value]names

	file   *configFile           // nil until a command needs the file
	from   map[*kong.Flag]origin // the source of each resolved flag
	warned map[string]bool
}

// names are the environment variables of a flag. The field `old` has a former name.
type names struct{ variable, old string }

// An origin is the variable or the line of the file that set a flag.
type origin string

// learn determines the environment variables of every flag.
func (s *sources) learn(model *kong.Application) {
	s.server, s.names = map[string]*kong.Flag{}, map[*kong.Value]names{}
	s.from, s.warned = map[*kong.Flag]origin{}, map[string]bool{}
	for _, command := range model.Children {
		if command.Name == "serve" {
			for _, flag := range command.Flags {
				s.server[flag.Name] = flag
			}
		}
	}
	for _, flag := range model.Flags {
		if flag.Name == "config" {
			s.names[flag.Value] = names{variable: bareVariable(flag.Name)}
		}
	}
	for _, group := range model.Children {
		s.learnFlags(group.Name, group)
	}
}

func (s *sources) learnFlags(group string, node *kong.Node) {
	for _, flag := range node.Flags {
		if flag.Name != "help" {
			s.names[flag.Value] = s.namesOf(group, flag)
		}
	}
	for _, child := range node.Children {
		s.learnFlags(group, child)
	}
}

func (s *sources) namesOf(group string, flag *kong.Flag) names {
	bare := bareVariable(flag.Name)
	if s.isSetting(flag) {
		return names{variable: bare}
	}
	n := names{variable: bareVariable(group + "-" + flag.Name)}
	if flag.Name == group {
		n.variable = bare
	} else if flag.Tag.Has("old") {
		n.old = bare
	}
	return n
}

// isSetting reports whether a flag is a setting of `serve`. The tag "own" marks a flag that has the
// same name as a setting, and another meaning.
func (s *sources) isSetting(flag *kong.Flag) bool {
	return s.server[flag.Name] != nil && !flag.Tag.Has("own")
}

func bareVariable(flag string) string {
	return "STAGEDOOR_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// Validate implements kong.Resolver.
func (s *sources) Validate(*kong.Application) error { return nil }

// Resolve implements kong.Resolver.
func (s *sources) Resolve(c *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	n, ok := s.names[flag.Value]
	if !ok {
		return nil, nil
	}
	value, variable := s.lookUp(n)
	if flag.Tag.Has("secret") && s.server[flag.Name+"-file"] == nil {
		var err error
		if value, variable, err = s.secretFile(n, value, variable); err != nil {
			return nil, err
		}
	}
	if value != "" {
		s.from[flag] = origin(variable)
		return value, nil
	}
	if !s.isSetting(flag) {
		return nil, nil
	}
	if err := s.openFile(c); err != nil || s.file == nil {
		return nil, err
	}
	if entry, ok := s.file.entries[flag.Name]; ok {
		s.from[flag] = origin(fmt.Sprintf("%s, line %d", s.file.path, entry.line))
		return entry.value, nil
	}
	return nil, nil
}

// lookUp returns the value of a flag's current variable, or of the old one. An empty variable
// counts as not set, since compose files have lines like `STAGEDOOR_LISTEN=`.
func (s *sources) lookUp(n names) (value, variable string) {
	if value := s.env[n.variable]; value != "" {
		return value, n.variable
	}
	value = s.env[n.old]
	if value != "" && !s.warned[n.old] {
		s.warned[n.old] = true
		fmt.Fprintf(
			s.warn, "stagedoor: %s is now called %s; the old name is read for this command "+
				"until the next major version\n", n.old, n.variable)
	}
	return value, n.old
}

// secretFile reads a secret from the file that a variable with _FILE names, if the variable itself
// is not set. Containers and service managers pass secrets in such files.
func (s *sources) secretFile(n names, value, variable string) (string, string, error) {
	byFile := n.variable + "_FILE"
	path := s.env[byFile]
	switch {
	case path == "":
		return value, variable, nil
	case value != "":
		return "", "", fmt.Errorf("%s and %s are both set: leave one of them out", variable, byFile)
	}
	text, err := readSecret(path)
	if err != nil {
		return "", "", fmt.Errorf("the file of %s cannot be read: %w", byFile, err)
	}
	if value = strings.TrimSpace(text); value == "" {
		return "", "", fmt.Errorf("the file of %s, %s, is empty", byFile, path)
	}
	if info, err := os.Stat(path); err == nil && readByOthers(info) && info.Mode().IsRegular() {
		fmt.Fprintf(s.warn, "stagedoor: others on this machine can read the secret in %s "+
			"(%s, mode "+
			"%04o): chmod o= %[2]s\n", byFile, path, info.Mode().Perm())
	}
	return value, byFile, nil
}

// maxSecret limits the size of a file with a secret, so that a wrong file, such as a device, is not
// read to its end. Keys and passwords are much shorter.
const maxSecret = 64 << 10

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSecret+1))
	if err == nil && len(text) > maxSecret {
		err = fmt.Errorf("it has more than %d bytes", maxSecret)
	}
	return string(text), err
}

// configWithSecrets returns the path of the config file if it contains secrets.
func (s *sources) configWithSecrets() string {
	if s.file == nil {
		return ""
	}
	for name, entry := range s.file.entries {
		if flag := s.server[name]; flag.Tag.Has("secret") &&
			mask(flag, entry.value) != entry.value {
			return s.file.path
		}
	}
	return ""
}

// warnOfSecrets warns of secrets on the command line: other users of the machine can read them
// there.
func (s *sources) warnOfSecrets(parsed *kong.Context) {
	for _, element := range parsed.Path {
		flag := element.Flag
		if flag == nil || element.Resolved || !flag.Tag.Has("secret") ||
			shown(flag) == plainText(flag.Target) {
			continue
		}
		n := s.names[flag.Value]
		fmt.Fprintf(s.warn, "stagedoor: others on this machine can read --%s on the command line: "+
			"set %s, or %[2]s_FILE to the name of a file\n", flag.Name, n.variable)
	}
}

// openFile reads the config file when a command resolves its first setting.
func (s *sources) openFile(c *kong.Context) (err error) {
	path := s.env["STAGEDOOR_CONFIG"]
	for _, flag := range c.Model.Flags {
		if flag.Name == "config" {
			given, _ := c.FlagValue(flag).(string)
			path = cmp.Or(given, path)
		}
	}
	if path == "" || s.file != nil {
		return nil
	}
	s.file, err = readConfig(path, s.server)
	return err
}

// where returns the source of a flag of a command: a variable or a line of the config file. It
// returns "" if the flag is on the command line or has its default.
func (s *sources) where(node *kong.Node, flag string) origin {
	for _, f := range node.Flags {
		if f.Name == flag {
			return s.from[f]
		}
	}
	return ""
}

// help returns the help text of a flag, with its environment variable.
func (s *sources) help(v *kong.Value) string {
	text := v.Help
	n, ok := s.names[v]
	if !ok {
		return text
	}
	// kong shows either the default or a placeholder, so the text needs the default.
	if v.HasDefault && v.Flag.PlaceHolder != "" {
		text += " By default " + v.Default + "."
	}
	return text + " [" + n.variable + "]"
}
