package app_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stagedoor/stagedoor/internal/apptest"
	"github.com/stagedoor/stagedoor/internal/web"
)

// A trace contains the arguments for a command, and the entry that the command adds to the audit
// trail. If the command adds no entry, the field `none` contains the reason.
type trace struct {
	action string
	args   []string
	none   string
}

// traces has a trace for each command whose name `reads` does not match. In the arguments,
// {api-key} and {token} are output of earlier commands, and {pem} is a file with a private key.
var traces = map[string]trace{
	"users add":    {action: "user.created", args: []string{"ana"}},
	"users invite": {action: "user.invited", args: []string{"ana"}},
	"users grant":  {action: "access.given", args: []string{"ana", "main"}},
	"users revoke": {action: "access.removed", args: []string{"ana", "main"}},
	"users remove": {action: "user.removed", args: []string{"ana"}},

	"stages add":    {action: "stage.created", args: []string{"side"}},
	"stages set":    {action: "stage.changed", args: []string{"side", "--max-height", "480"}},
	"stages remove": {action: "stage.removed", args: []string{"side"}},

	"tokens create": {action: "token.issued", args: []string{"--user", "ana", "--stage", "main"}},
	"tokens revoke": {action: "token.revoked", args: []string{"{token}"}},

	"api-keys create": {action: "key.created", args: []string{"studio"}},
	"api-keys revoke": {action: "key.revoked", args: []string{"{api-key}"}},

	"keys create": {action: "own_key.created", args: []string{"--region", "us-west-2"}},
	"keys import": {action: "own_key.created",
		args: []string{"--region", "eu-west-1", "--pem", "{pem}"}},
	"keys rotate": {action: "own_key.rotated", args: []string{"--region", "us-west-2"}},
	"keys retire": {action: "own_key.retired", args: []string{"--region", "us-west-2"}},

	"serve":  {none: "what its pages and its API do is in the trail"},
	"lambda": {none: "as serve"}, "emulate": {none: "it has no accounts"},
	"backup": {none: "it reads"}, "restore": {none: "it writes a trail of before, as it was"},
}

// order lists the commands that add an entry, in the order in which the test runs them.
var order = []string{
	"users add", "users invite", "users grant", "tokens create", "tokens revoke", "users revoke",
	"users remove", "stages add", "stages set", "stages remove", "api-keys create",
	"api-keys revoke", "keys create", "keys import", "keys rotate", "keys retire",
}

// reads matches the names of commands that change nothing on the server.
var reads = regexp.MustCompile(
	`^obs |^whip |(^| )(list|check|version|help|completion|doctor|health|manual)$`)

var commandHeading = regexp.MustCompile("(?m)^### `stagedoor ([a-z -]+?)(?: [A-Z].*)?`")

// TestEveryCommandIsInTheTrail runs every command that changes something, and looks for its entry
// in the audit trail.
func TestEveryCommandIsInTheTrail(t *testing.T) {
	t.Parallel()
	manual, err := os.ReadFile("../../docs/operate.md")
	if err != nil {
		t.Fatal(err)
	}
	found := commandHeading.FindAllStringSubmatch(string(manual), -1)
	if len(found) < 25 {
		t.Errorf("%d commands were found in the manual", len(found))
	}
	for _, m := range found {
		if _, known := traces[m[1]]; !known && !reads.MatchString(m[1]) {
			t.Errorf("say in traces what `stagedoor %s` leaves in the trail", m[1])
		}
	}

	emulator := apptest.Emulate(t)
	a := apptest.Start(t)
	olga := a.Operator()
	names := map[string]string{"{pem}": filepath.Join(t.TempDir(), "key.pem")}
	writeKey(t, names["{pem}"])
	for _, command := range order {
		d := traces[command]
		args := append(strings.Fields(command), "--data", a.Data)
		if strings.HasPrefix(command, "keys ") {
			args = append(args, "--ivs-endpoint", emulator)
		}
		for _, arg := range d.args {
			if name, ok := names[arg]; ok {
				arg = name
			}
			args = append(args, arg)
		}
		if command == "tokens create" || command == "api-keys create" {
			args = append(args, "--json")
		}
		before := trailOf(t, olga, d.action)
		out, err := run(t, args...)
		if err != nil {
			t.Fatalf("%s: %v %s", command, err, out)
		}
		after := trailOf(t, olga, d.action)
		if len(after) != len(before)+1 || after[0].Credential != "command line" {
			t.Errorf("the audit trail after %s: got %+v, want one more entry by the command line",
				command, after)
		}
		var printed map[string]any
		if json.Unmarshal([]byte(out), &printed) == nil {
			names["{token}"], _ = printed["participantId"].(string)
			names["{api-key}"], _ = printed["id"].(string)
		}
	}
}

// writeKey writes a new private key to a file, for `keys import`.
func writeKey(t *testing.T, file string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, err)
	der, err := x509.MarshalECPrivateKey(key)
	must(t, err)
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	must(t, os.WriteFile(file, block, 0o600))
}

func trailOf(t *testing.T, olga *apptest.Client, action string) []web.V1Entry {
	t.Helper()
	var page web.V1Audit
	olga.Must(http.StatusOK, "GET", "/api/v1/audit?action="+action, nil, &page)
	return page.Entries
}
