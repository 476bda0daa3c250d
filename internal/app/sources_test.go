package app

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
)

// TestAnEmptyVariableIsNotSet: an empty variable, which compose files often have, counts as not
// set. An empty STAGEDOOR_LISTEN must not open the server to the network.
func TestAnEmptyVariableIsNotSet(t *testing.T) {
	t.Parallel()
	s := parsed(t, []string{"serve"}, map[string]string{
		"STAGEDOOR_LISTEN": "", "STAGEDOOR_MAX_PUBLISHERS": "", "STAGEDOOR_CUT_AT_EXPIRY": "",
		"STAGEDOOR_LOST_AFTER": "1m",
	}).Serve
	if s.Listen != "127.0.0.1:8080" || s.MaxPublishers != 12 || s.CutAtExpiry ||
		s.LostAfter != time.Minute {
		t.Errorf("got %+v; want the defaults, and --lost-after 1m", s)
	}
}

// TestPrecedence: a flag overrides a variable, a variable overrides the config file, and the file
// overrides the default.
func TestPrecedence(t *testing.T) {
	t.Parallel()
	file := config(t, "listen: 127.0.0.1:1\nmedia: 127.0.0.1:1\nlog-level: debug # more\n"+
		"trusted-proxies: [10.0.0.0/8, 192.0.2.1]\ncut-at-expiry: yes\nmax-publishers: "+
		"3\npublic-url: ~\n")
	env := map[string]string{"STAGEDOOR_LISTEN": "127.0.0.1:2", "STAGEDOOR_MEDIA": "127.0.0.1:2",
		"STAGEDOOR_CONFIG": file}
	s := parsed(t, []string{"serve", "--listen", "127.0.0.1:3"}, env).Serve
	if s.Listen != "127.0.0.1:3" || s.Media != "127.0.0.1:2" || s.LogLevel != "debug" ||
		s.LostAfter != 30*time.Second {
		t.Errorf("got %q, %q, %q, %v; want one of each source", s.Listen, s.Media, s.LogLevel,
			s.LostAfter)
	}
	if len(s.TrustedProxies) != 2 || s.TrustedProxies[1].String() != "192.0.2.1/32" ||
		!s.CutAtExpiry || s.MaxPublishers != 3 || s.PublicURL != "" {
		t.Errorf("got %v, %v, %v, %q from the file", s.TrustedProxies, s.CutAtExpiry,
			s.MaxPublishers, s.PublicURL)
	}
	other := config(t, "data: /from/the/file\nregion: nowhere\n")
	if _, err := tryParse([]string{"serve"},
		map[string]string{"STAGEDOOR_CONFIG": other}); err == nil {
		t.Error("a setting of another command: got no error")
	}
	users := parsed(t, []string{"users", "list", "--config", config(t, "data: /from/the/file\n")},
		nil)
	if got := users.Users.List.Data; got != "/from/the/file" {
		t.Errorf("users list: got the data folder %s, want that of the file", got)
	}
	if got := parsed(t, []string{"obs", "status", "--config", file},
		nil).OBS.Status.Server; got != "http://127.0.0.1:8080" {
		t.Errorf("obs status: got the server %s, want the default", got)
	}
}

func TestInvalidConfigFiles(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"listen: 127.0.0.1:1\nlisen: 127.0.0.1:1\n", `line 2: there is no setting "lisen"; did you mean "listen"?`},
		{"public_url: https://a.example\n", `did you mean "public-url"?`},
		{"publicURL: https://a.example\n", `did you mean "public-url"?`},
		{"log-levle: info\n", `did you mean "log-level"?`},
		{"frobnicate: 1\n", "serve --help"},
		{"help: true\n", `no setting "help"`},
		{"config: other.yaml\n", `no setting "config"`},
		{"listen: a\nlisten: b\n", "line 2: listen is set in line 1 already"},
		{"listen: [a, b]\n", "one plain value"},
		{"media-hosts: {a: b}\n", "a list of plain values"},
		{"media-hosts: [[a]]\n", "a list of plain values"},
		{"- listen\n", "has lines like"},
		{"listen: [\n", "stagedoor.yaml"},
		{"listen: a\n---\nlisten: b\n", "several YAML documents"},
	} {
		_, err := tryParse([]string{"serve", "--config", config(t, c.text)}, nil)
		if err == nil || !strings.Contains(err.Error(), c.want) ||
			strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, want %q in one line", c.text, err, c.want)
		}
	}
	if _, err := tryParse([]string{"serve", "--config", "/nowhere/at/all.yaml"}, nil); err == nil ||
		!strings.Contains(err.Error(), "/nowhere/at/all.yaml") {
		t.Errorf("no file: got %v", err)
	}
	if s := parsed(t, []string{"serve", "--config", config(t, "# nothing yet\n")},
		nil); s.Serve.MaxPublishers != 12 {
		t.Errorf("a file of comments alone: got %+v, want the defaults", s.Serve)
	}
}

// TestConfigCheck: `config check` prints each setting in force with its source, and masks secrets.
func TestConfigCheck(t *testing.T) {
	t.Parallel()
	file := config(t, "ivs-events-secret: hush-hush-hush-hush\ndatabase: "+
		"postgres://u:hunter2@db/s?sslpassword=hunter3\n")
	var out bytes.Buffer
	err := Run(t.Context(), []string{"config", "check", "--config", file, "--token-limit", "7"},
		[]string{"STAGEDOOR_LOG_LEVEL=debug"}, nil, &out, &out)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"token-limit 7 command line", "log-level debug STAGEDOOR_LOG_LEVEL",
		"ivs-events-secret ******** " + file + ", line 1",
		"postgres://u:xxxxx@db/s?sslpassword=xxxxx " + file + ", line 2",
		"max-publishers 12 default",
	} {
		if !strings.Contains(lines, want) {
			t.Errorf("got %s, want %q in it", out.String(), want)
		}
	}
	if strings.Contains(lines, "hush") || strings.Contains(lines, "hunter") {
		t.Errorf("a secret is shown: %s", out.String())
	}
	if err := Run(t.Context(), []string{"config", "check", "--max-publishers", "0"}, nil, nil, &out,
		&out); err == nil || !strings.Contains(err.Error(), "--max-publishers") {
		t.Errorf("a setting that cannot be: got %v", err)
	}
}

// TestEveryVariableHasOneMeaning: flags with the same variable have the same name and type, and are
// the same setting of `serve` or belong to the same group of commands.
func TestEveryVariableHasOneMeaning(t *testing.T) {
	t.Parallel()
	p := &process{env: map[string]string{}}
	parser, err := newParser(&commands{}, p, func(int) {})
	if err != nil {
		t.Fatal(err)
	}
	type meaning struct {
		flag, kind, group string
		setting           bool
	}
	known := map[string]meaning{}
	for _, command := range parser.Model.Leaves(true) {
		group := strings.Fields(command.FullPath())[1]
		for _, flag := range command.Flags {
			n, ok := p.sources.names[flag.Value]
			if !ok {
				continue
			}
			m := meaning{flag.Name, flag.Target.Type().String(), group, p.sources.isSetting(flag)}
			if m.setting {
				m.group = ""
			}
			if before, twice := known[n.variable]; twice && !reflect.DeepEqual(before, m) {
				t.Errorf("the variable %s has two meanings: %+v and %+v", n.variable, before, m)
			}
			known[n.variable] = m
		}
	}
	for _, name := range []string{"LISTEN", "MEDIA", "ALLOW_ORIGINS"} {
		if m := known["STAGEDOOR_"+name]; !m.setting {
			t.Errorf("STAGEDOOR_%s is not the setting of serve: %+v", name, m)
		}
	}
}

// TestOldNamesOfVariables: old names of variables work, with a warning. If both names are set, the
// new one is used.
func TestOldNamesOfVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args          []string
		was, is, text string
		got           func(*commands) string
	}{
		{[]string{"obs", "live"}, "STAGEDOOR_STAGE", "STAGEDOOR_OBS_STAGE", "a",
			func(c *commands) string { return c.OBS.Live.Stage }},
		{[]string{"obs", "live"}, "STAGEDOOR_KEY", "STAGEDOOR_OBS_KEY", "a",
			func(c *commands) string { return c.OBS.Live.Key }},
		{[]string{"obs", "live"}, "STAGEDOOR_PASSWORD", "STAGEDOOR_OBS_PASSWORD", "a",
			func(c *commands) string { return c.OBS.Live.Password }},
		{[]string{"users", "add", "ana"}, "STAGEDOOR_STAGE", "STAGEDOOR_USERS_STAGE", "a",
			func(c *commands) string { return strings.Join(c.Users.Add.Stage, ",") }},
		{[]string{"keys", "create"}, "STAGEDOOR_REGION", "STAGEDOOR_KEYS_REGION", "a",
			func(c *commands) string { return c.Keys.Create.Region }},
		{[]string{"emulate"}, "STAGEDOOR_LISTEN", "STAGEDOOR_EMULATE_LISTEN", "a",
			func(c *commands) string { return c.Emulate.Listen }},
		{[]string{"emulate"}, "STAGEDOOR_REGION", "STAGEDOOR_EMULATE_REGION", "a",
			func(c *commands) string { return c.Emulate.Region }},
	} {
		var warned bytes.Buffer
		p := &process{env: map[string]string{c.was: "old"}, out: &warned, err: &warned}
		old := parsedBy(t, p, c.args)
		if got := c.got(old); got != "old" || !strings.Contains(warned.String(), c.is) {
			t.Errorf("%v with %s: got %q and the warning %q", c.args, c.was, got, warned.String())
		}
		both := parsed(t, c.args, map[string]string{c.was: "old", c.is: "new"})
		if got := c.got(both); got != "new" {
			t.Errorf("%v with both: got %q, want new", c.args, got)
		}
	}
}

func config(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "stagedoor.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func tryParse(args []string, env map[string]string) (*commands, error) {
	var out bytes.Buffer
	cli, _, err := parseInto(&process{env: env, out: &out, err: &out}, args)
	return cli, err
}

func parsed(t *testing.T, args []string, env map[string]string) *commands {
	t.Helper()
	cli, err := tryParse(args, env)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return cli
}

func parsedBy(t *testing.T, p *process, args []string) *commands {
	t.Helper()
	cli, _, err := parseInto(p, args)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	return cli
}

func parseInto(p *process, args []string) (*commands, *kong.Context, error) {
	var cli commands
	parser, err := newParser(&cli, p, func(int) {})
	if err != nil {
		return nil, nil, err
	}
	parsed, err := parser.Parse(args)
	return &cli, parsed, err
}

// TestNetworksAreThoseOfClients: networks that are written as IPv4-mapped IPv6 become IPv4
// networks, as the addresses of clients do.
func TestNetworksAreThoseOfClients(t *testing.T) {
	t.Parallel()
	s := parsed(t, []string{
		"serve", "--trusted-proxies", "::ffff:10.0.0.0/104,::ffff:192.0.2.1,fd00::1/8",
	}, nil)
	if got := fmt.Sprint(s.Serve.TrustedProxies); got != "[10.0.0.0/8 192.0.2.1/32 fd00::/8]" {
		t.Errorf("got %s, want [10.0.0.0/8 192.0.2.1/32 fd00::/8]", got)
	}
}

// TestSecretsComeFromFiles: secrets are read from files, as containers and service managers provide
// them.
func TestSecretsComeFromFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("hush-hush-hush-hush\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const byFile = "STAGEDOOR_IVS_EVENTS_SECRET_FILE="
	s := parsed(t, []string{"serve"}, map[string]string{"STAGEDOOR_IVS_EVENTS_SECRET_FILE": file})
	if got := s.Serve.IVSEventsSecret; got != "hush-hush-hush-hush" {
		t.Errorf("got %q, want the content of the file", got)
	}
	var out bytes.Buffer
	for want, env := range map[string][]string{
		"cannot be read":       {byFile + file + "x"},
		"are both set":         {byFile + file, "STAGEDOOR_IVS_EVENTS_SECRET=hush-hush-hush-hush"},
		"at least 16":          {"STAGEDOOR_IVS_EVENTS_SECRET=hush"},
		"no such file or dire": {"STAGEDOOR_TURN_SECRET_FILE=" + file + "x"},
	} {
		err := Run(t.Context(), []string{"config", "check"}, env, nil, &out, &out)
		if err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "hush-") {
			t.Errorf("%q: got %v, want %q in it", env, err, want)
		}
	}
	for mode, want := range map[os.FileMode]int{0o600: 0, 0o640: 0, 0o644: 1} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		out.Reset()
		if err := Run(t.Context(), []string{"config", "check"}, []string{byFile + file}, nil, &out,
			&out); err != nil {
			t.Fatal(err)
		}
		got := strings.Count(out.String(),
			"others on this machine can read the secret in "+byFile[:len(byFile)-1])
		if got != want {
			t.Errorf("mode %04o: got %d warnings, want %d: %s", mode, got, want, &out)
		}
	}
	out.Reset()
	args := []string{"config", "check", "--ivs-events-secret", "hush-hush-hush-hush", "--database",
		"postgres://db/s"}
	if err := Run(t.Context(), args, nil, nil, &out, &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); strings.Count(got, "on the command line: set") != 1 ||
		strings.Contains(got, "hush-") ||
		!strings.Contains(got, "set STAGEDOOR_IVS_EVENTS_SECRET, or "+
			"STAGEDOOR_IVS_EVENTS_SECRET_FILE") {
		t.Errorf("a secret on the command line: got %s, want one warning", got)
	}
}
