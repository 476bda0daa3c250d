// Package stagedoor_test checks the whole tree: which package may import which, and what its files
// may contain.
package stagedoor_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "github.com/stagedoor/stagedoor/"

// allowedImports lists for each package the packages of the project that it may import. The
// packages are grouped by level, from the lowest up. With few exceptions, a package imports only
// packages of lower levels. To use another package it declares an interface, and package app passes
// the implementation.
var allowedImports = map[string][]string{
	// Level 0: the types that all packages share. It imports only the standard library.
	"internal/stage": {},
	// A map of limited size.
	"internal/bounded": {},
	// Above these: what several HTTP packages share, such as bearer tokens and client addresses.
	"internal/httpkit": {"internal/stage", "internal/bounded"},

	// Also level 0: the pages, which are files without Go code.
	"static": {},
	// The English sentences that Go shares with the pages.
	"internal/words": {"internal/stage", "static"},

	// Level 1: access, which decides who may do what, and packages for external protocols. They
	// import no other package of this level, except one of the same subject, such as obs/encoders.
	"internal/access":     {"internal/stage", "internal/bounded", "internal/words"},
	"internal/token":      {"internal/stage"},
	"internal/whip":       {"internal/stage", "internal/bounded", "internal/httpkit"},
	"internal/ivs":        {"internal/stage", "internal/bounded", "internal/words"},
	"internal/obs":        {"internal/stage", "internal/words", "internal/obs/encoders"},
	"internal/obs/script": {"internal/stage", "static", "internal/obs/encoders"},

	// Reads and changes OBS's own files, while OBS is closed.
	"internal/obs/folder": {"internal/stage"},

	// The table of encoders, shared by the dock, the terminal and the script.
	"internal/obs/encoders": {"internal/stage", "static"},

	// Elects the replica that does work for all replicas.
	"internal/lease": {},

	// Gives each local stage a home among the replicas, and forwards requests to the home.
	"internal/homes": {"internal/stage", "internal/httpkit"},

	// Signs people in with an OpenID Connect provider.
	"internal/oidc": {"internal/stage"},

	// Exports metrics for Prometheus.
	"internal/metrics": {"internal/stage"},

	// Checks any WHIP endpoint. It shares only internal/stage with the server, because a mistake in
	// shared code would be in both.
	"internal/whipcheck": {"internal/stage"},

	// Level 2: the adapters. Each implements an interface of level 1, or serves level 1 to clients.
	"internal/keys":   {"internal/stage", "internal/token", "internal/words"},
	"internal/sfu":    {"internal/stage", "internal/whip", "internal/words"},
	"internal/signal": {"internal/stage", "internal/httpkit", "internal/whip"},
	"internal/store": {"internal/stage", "internal/access", "internal/feed", "internal/lease",
		"internal/homes"},
	"internal/webhook": {"internal/stage", "internal/access"},
	"internal/passkey": {"internal/stage", "internal/access"},
	// The emulator must not import ivs: if both shared a mistake, tests would not find it.
	"internal/ivsemu": {"internal/stage", "internal/httpkit", "internal/token", "internal/whip"},
	"internal/feed":   {"internal/stage", "internal/bounded", "internal/access", "internal/words"},
	"internal/web": {"internal/stage", "internal/bounded", "internal/httpkit", "internal/access",
		"internal/feed", "internal/oidc", "static", "internal/obs/script", "internal/words"},

	// Serves a handler as an AWS Lambda function.
	"internal/lambda": {},

	// Certificates: from files, or by ACME.
	"internal/certs": {},

	// Level 3: app builds and connects all parts.
	"internal/app":  {"internal/..."},
	"cmd/stagedoor": {"internal/app"},

	// A client for other programs. It imports no package of the project.
	"client": {},

	// The test kit. Only tests import it.
	"internal/access/accesstest":  {"internal/stage", "internal/access"},
	"internal/apptest":            {"internal/..."},
	"internal/apptest/acme":       {},
	"internal/apptest/bigdata":    {},
	"internal/apptest/browser":    {"internal/apptest/quick"},
	"internal/apptest/fakeivs":    {"internal/stage", "internal/ivsemu"},
	"internal/apptest/fakekms":    {},
	"internal/apptest/fakeobs":    {},
	"internal/apptest/httpscript": {},
	"internal/apptest/feedtest":   {"internal/stage", "internal/access", "internal/feed"},
	"internal/apptest/issuertest": {"internal/stage"},
	"internal/apptest/lossy":      {},
	"internal/apptest/migrated":   {"internal/store"},
	"internal/apptest/pg":         {"internal/store", "internal/apptest/quick"},
	"internal/apptest/quick":      {},
	"internal/apptest/realobs":    {"internal/apptest/quick"},
	"internal/apptest/replicas":   {"internal/token", "internal/apptest", "internal/apptest/pg"},
	"internal/apptest/rtcpeer":    {},

	// Tests of the whole tree, and programs for developers.
	"":                       {},
	"tools/figures":          {},
	"tools/pictures":         {},
	"tools/site":             {},
	"internal/web/docktest":  {},
	"internal/web/stagetest": {},
	"internal/sfu/bench":     {"internal/stage", "internal/sfu"},
}

// kit lists the packages that only tests import.
var kit = []string{"internal/apptest/...", "internal/access/accesstest"}

// A restriction names the packages that may import certain third-party code. It keeps the code
// replaceable and its types local.
type restriction struct {
	code  []string // prefixes of import paths
	in    []string // packages of the project that may import the code
	tests bool     // whether the tests of every package may import the code
}

var restrictions = []restriction{
	{code: []string{"github.com/aws/"},
		in: []string{"internal/ivs", "internal/keys", "internal/lambda"}, tests: true},
	{code: []string{"github.com/pion/"},
		in: []string{"internal/sfu/...", "internal/apptest/rtcpeer", "internal/whipcheck"}},
	{code: []string{"github.com/bluenviron/mediacommon"}, in: []string{"internal/sfu"}},
	{code: []string{"modernc.org/", "github.com/jackc/", "github.com/pressly/goose",
		"database/sql"}, in: []string{"internal/store", "internal/apptest/pg",
		"internal/apptest/bigdata"}},
	{code: []string{"github.com/golang-jwt/"}, tests: true},
	{code: []string{"github.com/coreos/go-oidc", "golang.org/x/oauth2"},
		in: []string{"internal/oidc"}},
	{code: []string{"github.com/go-webauthn/"}, in: []string{"internal/passkey"}},
	{code: []string{"github.com/prometheus/"}, in: []string{"internal/metrics"}, tests: true},
	{code: []string{"github.com/standard-webhooks/"}, in: []string{"internal/webhook"},
		tests: true},
	{code: []string{"github.com/alexedwards/argon2id"}, in: []string{"internal/access"}},
	{code: []string{"github.com/alecthomas/kong"}, in: []string{"internal/app"}},
	{code: []string{"github.com/caddyserver/certmagic", "go.uber.org/zap"},
		in: []string{"internal/certs"}},
	{code: []string{"github.com/letsencrypt/pebble", "github.com/miekg/dns"},
		in: []string{"internal/apptest/acme"}},
	{code: []string{"go.yaml.in/yaml"}, in: []string{"internal/app"}, tests: true},
	{code: []string{"github.com/coder/websocket"},
		in: []string{"internal/obs", "internal/signal", "internal/apptest/fakeobs"}, tests: true},
	{code: []string{"github.com/chromedp/"}, in: []string{"internal/apptest/browser"}},
	{code: []string{"github.com/yuin/gopher-lua"}, in: []string{}, tests: true},
	{code: []string{"testing", "net/http/httptest"}, in: kit, tests: true},
}

// A listed package is an entry in the output of go list.
type listed struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

// name returns the folder of a package, which is "" for the root.
func (p listed) name() string {
	return strings.TrimSuffix(strings.TrimPrefix(p.ImportPath+"/", module), "/")
}

func (p listed) tests() []string { return slices.Concat(p.TestImports, p.XTestImports) }

func goList(t *testing.T) []listed {
	t.Helper()
	packages, err := listOnce()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	return packages
}

var listOnce = sync.OnceValues(func() (packages []listed, err error) {
	out, err := exec.Command("go", "list", "-e",
		"-json=ImportPath,Imports,TestImports,XTestImports", "./...").Output()
	if err != nil {
		return nil, err
	}
	for list := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := list.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
})

func TestEveryPackageImportsDownwards(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t) {
		may, ok := allowedImports[p.name()]
		if !ok {
			t.Errorf("%s has no row in imports_test.go: add one that lists what it may "+
				"import", p.name())
			continue
		}
		for _, path := range p.Imports {
			ours, ok := strings.CutPrefix(path, module)
			if ok && !within(ours, may) {
				t.Errorf("%s imports %s, but may import only %v: declare an interface in "+
					"%[1]s, whose implementation internal/app passes, or change the row in "+
					"imports_test.go", p.name(), ours, may)
			}
			if !ok && p.name() == "internal/stage" && !standard(path) {
				t.Errorf("internal/stage imports %s: it may import only the standard "+
					"library", path)
			}
		}
	}
}

func TestTheTestKitIsForTests(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t) {
		for _, path := range p.Imports {
			if ours := strings.TrimPrefix(path, module); within(ours, kit) &&
				!within(p.name(), kit) {
				t.Errorf("%s imports %s outside its tests: the program must not contain its test kit",
					p.name(), ours)
			}
		}
	}
}

func TestThirdPartyCodeIsImportedWhereItMay(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t) {
		for _, r := range restrictions {
			if within(p.name(), r.in) {
				continue
			}
			imports := p.Imports
			if !r.tests {
				imports = slices.Concat(imports, p.tests())
			}
			for _, path := range imports {
				if slices.ContainsFunc(r.code, func(prefix string) bool {
					return path == prefix ||
						strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/")
				}) {
					t.Errorf("%s imports %s, which only %s may import: add what you need there, "+
						"with the types of internal/stage", p.name(), path,
						strings.Join(r.in, " and "))
				}
			}
		}
	}
}

// TestEveryRowNamesAPackage: allowedImports has no row for a package that no longer exists.
func TestEveryRowNamesAPackage(t *testing.T) {
	t.Parallel()
	var names []string
	for _, p := range goList(t) {
		names = append(names, p.name())
	}
	for row := range allowedImports {
		if !slices.Contains(names, row) {
			t.Errorf("imports_test.go has a row for %s, which does not exist: remove it", row)
		}
	}
}

// within reports whether a package is in the list, or below an entry that ends in "/...".
func within(name string, list []string) bool {
	return slices.ContainsFunc(list, func(allowed string) bool {
		if above, all := strings.CutSuffix(allowed, "/..."); all {
			return name == above || strings.HasPrefix(name, above+"/")
		}
		return name == allowed
	})
}

// standard reports whether an import is of the standard library: the first part of its path has no
// dot.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// TestOnlyTheCommandLineActsAsIt: only commands use the principal access.CommandLine. Requests have
// their own principals.
func TestOnlyTheCommandLineActsAsIt(t *testing.T) {
	t.Parallel()
	commands := []string{"internal/app/apikeys.go", "internal/app/directory.go",
		"internal/app/keys.go", "internal/app/stages.go", "internal/app/tokens.go",
		"internal/app/users.go"}
	tree(t, func(path string, text []byte) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") ||
			strings.HasPrefix(path, "internal/access/") || slices.Contains(commands, path) {
			return
		}
		for _, borrowed := range []string{"access.CommandLine", "access.KindCommandLine"} {
			if bytes.Contains(text, []byte(borrowed)) {
				t.Errorf("%s uses %s: add a narrow method with a rule of its own to access", path,
					borrowed)
			}
		}
	})
}
