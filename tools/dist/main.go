// Dist builds a release: static binaries, Debian and RPM packages, container images, bills of
// materials and checksums. Builds are reproducible: a commit gives the same bytes in any folder, on
// any machine and at any time.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("dist: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv); err != nil {
		log.Fatal(err)
	}
}

// A release is the build of one version, for all platforms.
type release struct {
	root    string // root of the repository
	out     string
	version string
	commit  string
	date    time.Time // time of the commit, for every file in every archive
	// a binary for the building machine; it prints the man page and the completions
	host string
}

// A platform is an operating system and an architecture to build for.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "/" + p.arch }

func run(ctx context.Context, args []string, getenv func(string) string) error {
	flags := flag.NewFlagSet("dist", flag.ContinueOnError)
	root := flags.String("root", ".", "folder of the repository")
	out := flags.String("out", "dist", "folder that the release is written to; it is emptied first")
	version := flags.String("version", getenv("VERSION"), "version; by default as git describes it")
	wanted := flags.String("platforms",
		"linux/amd64,linux/arm64,darwin/arm64,darwin/amd64,windows/amd64", "platforms to build for")
	if err := flags.Parse(args); err != nil {
		return err
	}
	r := &release{root: *root, out: *out, version: *version}
	if err := r.describe(ctx, getenv); err != nil {
		return err
	}
	platforms, err := parsePlatforms(*wanted)
	if err != nil {
		return err
	}
	signer, err := loadSigner(getenv)
	if err != nil {
		return err
	}
	if err := r.build(ctx, platforms); err != nil {
		return err
	}
	return r.sum(signer)
}

func parsePlatforms(list string) (platforms []platform, err error) {
	for _, text := range strings.Split(list, ",") {
		system, arch, ok := strings.Cut(text, "/")
		if !ok {
			return nil, fmt.Errorf("a platform is like linux/amd64, not %q", text)
		}
		platforms = append(platforms, platform{system, arch})
	}
	return platforms, nil
}

// describe reads the version, the commit and the date from git if they are not set. In a folder
// without git, such as an unpacked archive, VERSION and SOURCE_DATE_EPOCH must be set.
func (r *release) describe(ctx context.Context, getenv func(string) string) (err error) {
	if r.root, err = filepath.Abs(r.root); err != nil {
		return err
	}
	if r.out, err = filepath.Abs(r.out); err != nil {
		return err
	}
	if r.version == "" {
		r.version, err = r.git(ctx, "describe", "--tags", "--always", "--dirty")
		if err != nil {
			return fmt.Errorf("%w; set VERSION where there is no git", err)
		}
	}
	if r.commit = getenv("COMMIT"); r.commit == "" {
		r.commit, _ = r.git(ctx, "rev-parse", "HEAD") // unknown outside git
	}
	seconds := getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		if seconds, err = r.git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return fmt.Errorf("%w; set SOURCE_DATE_EPOCH where there is no git", err)
		}
	}
	n, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return fmt.Errorf("SOURCE_DATE_EPOCH must be a number of seconds, not %q", seconds)
	}
	r.date = time.Unix(n, 0).UTC()
	return nil
}

func (r *release) git(ctx context.Context, args ...string) (string, error) {
	return r.command(ctx, nil, "git", args...)
}

// command runs a program in the repository and returns its output.
func (r *release) command(
	ctx context.Context, env []string, name string, args ...string,
) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	c.Dir, c.Env = r.root, append(os.Environ(), env...)
	text, err := c.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, failed.Stderr)
	}
	return strings.TrimSpace(string(text)), err
}

func (r *release) build(ctx context.Context, platforms []platform) error {
	if err := os.RemoveAll(r.out); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	temporary, err := os.MkdirTemp("", "stagedoor-dist-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(temporary)
	r.host = filepath.Join(temporary, "stagedoor")
	if err := r.compile(ctx, platform{}, r.host); err != nil {
		return err
	}
	texts, err := r.texts(ctx)
	if err != nil {
		return err
	}
	for _, p := range platforms {
		if err := r.buildFor(ctx, p, texts); err != nil {
			return fmt.Errorf("%v: %w", p, err)
		}
	}
	return r.write("THIRD-PARTY-LICENSES.txt", texts["licenses"])
}

func (r *release) buildFor(ctx context.Context, p platform, texts map[string][]byte) error {
	log.Print(p)
	binary := r.path(p, "")
	if p.os == "windows" {
		binary = r.path(p, ".exe")
	}
	if err := r.compile(ctx, p, binary); err != nil {
		return err
	}
	if err := r.billOfMaterials(p, binary); err != nil {
		return err
	}
	if p.os != "linux" {
		return nil
	}
	if err := r.packages(p, binary, texts); err != nil {
		return err
	}
	return r.image(p, binary, texts)
}

// compile builds a static binary that contains no paths and no other data of the building machine.
func (r *release) compile(ctx context.Context, p platform, to string) error {
	const vars = "github.com/stagedoor/stagedoor/internal/app."
	env := []string{"CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0"}
	if p != (platform{}) {
		env = append(env, "GOOS="+p.os, "GOARCH="+p.arch)
	}
	_, err := r.command(ctx, env, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags",
		"-s -w -buildid= -X "+vars+"Version="+r.version+" -X "+vars+"Commit="+r.commit+
			" -X "+vars+"Date="+r.date.Format(time.RFC3339),
		"-o", to, "./cmd/stagedoor")
	return err
}

// path returns the path of the release's file for a platform.
func (r *release) path(p platform, extension string) string {
	return filepath.Join(r.out,
		fmt.Sprintf("stagedoor-%s-%s-%s%s", r.version, p.os, p.arch, extension))
}

func (r *release) write(name string, text []byte) error {
	return os.WriteFile(filepath.Join(r.out, name), text, 0o644)
}

// create creates a file of the release, and lets the given function write its content.
func create(path string, write func(io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}
