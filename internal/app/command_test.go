package app_test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/app"
	"github.com/stagedoor/stagedoor/internal/apptest"
)

// answer runs a command with --json and decodes its output.
func answer[T any](t *testing.T, args ...string) (v T) {
	t.Helper()
	out, err := run(t, append(args, "--json")...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("%v: %v in %s", args, err, out)
	}
	return v
}

func TestVersion(t *testing.T) {
	t.Parallel()
	flag, err := run(t, "--version")
	if err != nil || !regexp.MustCompile(`^stagedoor \S+\ncommit .*\ngo +go1\.\S+\nplatform +\S+/\S+\n$`).MatchString(
		regexp.MustCompile(`(?m)^date .*\n`).ReplaceAllString(flag, "")) {
		t.Errorf("--version: got %v, %q, want version, commit, Go and platform", err, flag)
	}
	if command, err := run(t, "version"); err != nil || command != flag {
		t.Errorf("version: got %v, %q; want the same as --version, %q", err, command, flag)
	}
	if v := answer[map[string]any](t, "version"); v["version"] == "" || v["platform"] == nil {
		t.Errorf("version --json: got %v, want the version and the platform", v)
	}
}

// TestGroupsShowTheirHelp: a group without a command prints its help and is no error.
func TestGroupsShowTheirHelp(t *testing.T) {
	t.Parallel()
	for _, group := range []string{"users", "stages", "tokens", "keys", "obs", "config"} {
		for _, args := range [][]string{{group}, {"help", group}, {group, "--help"}} {
			out, err := run(t, args...)
			if err != nil || !strings.HasPrefix(out, "Usage: stagedoor "+group+" <command>") {
				t.Errorf("%v: got %v, %s, want the usage of the group", args, err, out)
			}
		}
	}
	if out, err := run(t, "help", "users", "add"); err != nil ||
		!strings.Contains(out, "stagedoor users add <name>") {
		t.Errorf("help users add: got %v, %s, want its usage", err, out)
	}
}

// TestUsageErrorsPointToTheirHelp: the error message names the command that prints the help, and
// the source of the wrong value.
func TestUsageErrorsPointToTheirHelp(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "stagedoor.yaml")
	if err := os.WriteFile(file, []byte("log-level: info\ntoken-limit: many\n"),
		0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args, env []string
		want      string
	}{
		{[]string{"fly"}, nil, "see stagedoor --help"},
		{[]string{"users", "fly"}, nil, "see stagedoor users --help"},
		{[]string{"users", "add", "--fly"}, nil, "see stagedoor users add --help"},
		{[]string{"users", "add"}, nil, "see stagedoor users add --help"},
		{[]string{"serve", "--token-limit", "many"}, nil, `got "many"; see stagedoor serve --help`},
		{[]string{"serve"}, []string{"STAGEDOOR_TOKEN_LIMIT=many"},
			"(set by STAGEDOOR_TOKEN_LIMIT)"},
		{[]string{"serve", "--config", file}, nil, "(set by " + file + ", line 2)"},
	} {
		var b bytes.Buffer
		err := app.Run(t.Context(), c.args, c.env, strings.NewReader(""), &b, &b)
		var usage app.UsageError
		if !asUsage(err, &usage) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v %v: got %v, want a usage error with %q", c.args, c.env, err, c.want)
		}
	}
}

// TestANegativeNumberIsAValue: a negative number is accepted as the value of a flag, as the help of
// --token-limit suggests.
func TestANegativeNumberIsAValue(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t, "--token-limit", "-1")
	olga := a.Operator()
	for range 32 { // two more than the default
		olga.Token("view")
	}
	if got := refused(t, "--data", t.TempDir(), "--token-limit", "-2"); !strings.Contains(got,
		"not -2") {
		t.Errorf("--token-limit -2: got %q, want a refusal", got)
	}
	if got := refused(t, "--data", t.TempDir(), "--token-window", "-1m"); !strings.Contains(got,
		"not -1m0s") {
		t.Errorf("--token-window -1m: got %q, want a refusal", got)
	}
}

// TestBothPortsAreChecked: the server checks both ports before it reports an error, so that the
// operator can fix both at once.
func TestBothPortsAreChecked(t *testing.T) {
	t.Parallel()
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	got := refused(t, "--data", t.TempDir(), "--listen", tcp.Addr().String(), "--media",
		udp.LocalAddr().String())
	for _, want := range []string{tcp.Addr().String() + " is taken",
		udp.LocalAddr().String() + " (UDP) is taken", "--listen", "--media"} {
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
}

// TestLinksLeadToTheServer: printed links contain the server's own port, or its public URL, even
// after the server has stopped.
func TestLinksLeadToTheServer(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	type invited struct{ Invite struct{ URL string } }
	if got := answer[invited](t, "users", "add", "ana", "--data",
		a.Data).Invite.URL; !strings.HasPrefix(got, a.URL+"/invite") {
		t.Errorf("users add: got %s, want it on %s", got, a.URL)
	}
	a.Stop()
	if got := answer[invited](t, "users", "invite", "ana", "--data",
		a.Data).Invite.URL; !strings.HasPrefix(got, a.URL+"/invite") {
		t.Errorf("users invite after the stop: got %s, want it on %s", got, a.URL)
	}
	const public = "https://stage.example.com"
	again := apptest.StartIn(t, a.Data, "--public-url", public)
	if got := answer[invited](t, "users", "invite", "ana", "--data",
		again.Data).Invite.URL; !strings.HasPrefix(got, public+"/invite") {
		t.Errorf("users invite with --public-url at the server: got %s", got)
	}

	out, err := run(t, "users", "add", "ben", "--data", t.TempDir())
	if err != nil || !strings.Contains(out, "--public-url") {
		t.Errorf("users add before the first start: got %v, %s; want that the address is a guess",
			err, out)
	}
}

// TestUsersStagesAndTokens manages users, stages and tokens by commands beside a running server.
func TestUsersStagesAndTokens(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	must := func(args ...string) string {
		t.Helper()
		out, err := run(t, append(args, "--data", a.Data)...)
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		return out
	}
	must("stages", "add", "studio")
	must("stages", "set", "studio", "--max-bitrate", "4000", "--keyframe-interval", "1s")
	type stages struct {
		Stages []struct {
			ARN, Name, Served string
			Limits            struct {
				MaxBitrate, MaxHeight int
				MaxKeyframeInterval   float64
			}
		}
	}
	list := answer[stages](t, "stages", "list", "--data", a.Data).Stages
	if len(list) != 2 || list[1].Name != "studio" || list[1].Served != "local" ||
		list[1].Limits.MaxBitrate != 4_000_000 || list[1].Limits.MaxHeight != 720 ||
		list[1].Limits.MaxKeyframeInterval != 1 {
		t.Errorf("stages list: got %+v, want studio with the limits that were set", list)
	}

	must("users", "add", "ana")
	must("users", "grant", "ana", "studio", "main", "--can", "publish", "--max-ttl", "1h")
	must("users", "revoke", "ana", "main")
	type users struct {
		Users []struct {
			Name    string
			Invited bool
			Grants  []struct {
				Name         string
				Capabilities []string
				MaxTTL       int
			}
		}
	}
	people := answer[users](t, "users", "list", "--data", a.Data).Users
	if len(people) != 1 || !people[0].Invited || len(people[0].Grants) != 1 ||
		people[0].Grants[0].Name != "studio" || people[0].Grants[0].MaxTTL != 3600 ||
		len(people[0].Grants[0].Capabilities) != 1 {
		t.Errorf("users list: got %+v, want an invited user with a grant for studio", people)
	}

	type token struct{ ParticipantID, WHIP, Token string }
	made := answer[token](t, "tokens", "create", "--user", "ana", "--stage", "studio", "--data",
		a.Data)
	if !strings.HasPrefix(made.WHIP, a.URL) {
		t.Errorf("tokens create: got the endpoint %s, want it on %s", made.WHIP, a.URL)
	}
	post := func() int { // the offer is empty: 400 means that the token was accepted
		t.Helper()
		c := a.Browser()
		c.Key = made.Token
		status, _, _ := c.Send("POST", "/whip", "application/sdp", strings.NewReader(""))
		return status
	}
	if got := post(); got != http.StatusBadRequest {
		t.Errorf("an empty offer with the token: got %d, want 400", got)
	}
	must("tokens", "revoke", made.ParticipantID)
	if got := post(); got != http.StatusForbidden && got != http.StatusUnauthorized {
		t.Errorf("an empty offer with the revoked token: got %d, want a refusal", got)
	}
	if out := must("tokens", "list", "--user", "ana"); !strings.Contains(out, made.ParticipantID) ||
		!strings.Contains(out, "revoked") {
		t.Errorf("tokens list: got %s", out)
	}
	if out := must("tokens", "list", "--open"); strings.Contains(out, made.ParticipantID) {
		t.Errorf("tokens list --open: got %s", out)
	}
	must("stages", "remove", "studio")
	if _, err := run(t, "tokens", "create", "--user", "ana", "--stage", "studio", "--data",
		a.Data); err == nil {
		t.Error("a token for a stage that is gone")
	}
}

// TestOneDefaultLife: a grant without a longest token life gets the same default from a command and
// by HTTP.
func TestOneDefaultLife(t *testing.T) {
	t.Parallel()
	a := apptest.Start(t)
	olga := a.Operator()
	ben := a.Broadcaster(olga, "ben", "publish")
	if _, err := run(t, "users", "add", "ana", "--stage", "main", "--data", a.Data); err != nil {
		t.Fatal(err)
	}
	type users struct {
		Users []struct {
			Name   string
			Grants []struct{ MaxTTL int }
		}
	}
	const twelveHours = 12 * 60 * 60
	for _, u := range answer[users](t, "users", "list", "--data", a.Data).Users {
		if u.Name != "olga" && u.Grants[0].MaxTTL != twelveHours {
			t.Errorf("%s: got a longest life of %d s, want %d", u.Name, u.Grants[0].MaxTTL,
				twelveHours)
		}
	}
	if got := ben.Me().Stages[0].MaxTTL; got != twelveHours {
		t.Errorf("GET /api/me: got a longest life of %d s, want %d", got, twelveHours)
	}
}
