package app

import (
	"cmp"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"text/tabwriter"

	"github.com/alecthomas/kong"
)

// ConfigCommand is `stagedoor config`.
type ConfigCommand struct {
	Check ConfigCheckCommand `cmd:"" help:"Print the settings of serve that are in force and where each comes from, and check them."`
}

// ConfigCheckCommand is `stagedoor config check`. It takes the flags of `serve`.
type ConfigCheckCommand struct {
	ServeSettings
	AnswerSettings
}

// A settingInForce is a setting with its value and its source.
type settingInForce struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// Run prints the settings. Its error lists the invalid ones.
func (cmd *ConfigCheckCommand) Run(c *kong.Context, p *process) error {
	cmd.derive(p.sources.byDefault(c))
	settings := p.sources.inForce(c)
	wrong := (&server{settings: cmd.ServeSettings}).check()
	if cmd.JSON {
		answer := struct {
			Settings []settingInForce `json:"settings"`
			Error    string           `json:"error,omitempty"`
		}{Settings: settings}
		if wrong != nil {
			answer.Error = wrong.Error()
		}
		return cmp.Or(printJSON(p.out, answer), wrong)
	}
	w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tFROM")
	for _, s := range settings {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Name, cmp.Or(s.Value, "-"), s.From)
	}
	return cmp.Or(w.Flush(), wrong)
}

// given returns the flags on the command line.
func given(c *kong.Context) map[*kong.Flag]bool {
	flags := map[*kong.Flag]bool{}
	for _, step := range c.Path {
		if step.Flag != nil && !step.Resolved {
			flags[step.Flag] = true
		}
	}
	return flags
}

// byDefault returns a function that reports whether a flag of the command has its default value.
func (s *sources) byDefault(c *kong.Context) func(flag string) bool {
	given := given(c)
	return func(name string) bool {
		for _, flag := range c.Selected().Flags {
			if flag.Name == name {
				return !given[flag] && s.from[flag] == ""
			}
		}
		return true
	}
}

// inForce lists the settings of `serve` among the flags of the command.
func (s *sources) inForce(c *kong.Context) (list []settingInForce) {
	given := given(c)
	for _, flag := range c.Selected().Flags {
		if !s.isSetting(flag) || flag.Name == "help" {
			continue
		}
		from := cmp.Or(string(s.from[flag]), "default")
		if given[flag] {
			from = "command line"
		}
		list = append(list, settingInForce{flag.Name, shown(flag), from})
	}
	return list
}

// shown returns the value of a flag in the form of the command line, with secrets masked.
func shown(flag *kong.Flag) string { return mask(flag, plainText(flag.Target)) }

func mask(flag *kong.Flag, text string) string {
	switch {
	case text == "" || !flag.Tag.Has("secret"):
		return text
	case flag.Tag.Get("secret") == "password": // a password in a URL
		if u, err := url.Parse(text); err == nil && u.Scheme != "" {
			return masked(u)
		}
	}
	return "********"
}

// masked hides the passwords in a database URL: in the user part, and in the query parameters in
// which PostgreSQL accepts passwords.
func masked(u *url.URL) string {
	hidden := *u
	query := hidden.Query()
	for _, name := range []string{"password", "sslpassword"} {
		if query.Has(name) {
			query.Set(name, "xxxxx")
			hidden.RawQuery = query.Encode()
		}
	}
	return hidden.Redacted()
}

func plainText(v reflect.Value) string {
	if v.Kind() == reflect.Slice {
		items := make([]string, v.Len())
		for i := range items {
			items[i] = plainText(v.Index(i))
		}
		return strings.Join(items, ",")
	}
	return fmt.Sprint(v.Interface())
}
