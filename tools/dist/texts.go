package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// texts returns texts for the packages: the man page and the completions, which the program prints,
// and the licences of the program's modules.
func (r *release) texts(ctx context.Context) (map[string][]byte, error) {
	texts := map[string][]byte{}
	// With HOME=~ the manual contains no path of the building machine.
	neutral := []string{"HOME=~", "XDG_DATA_HOME=", "STAGEDOOR_CONFIG=", "COLUMNS=80"}
	for name, args := range map[string][]string{
		"manual": {"manual"}, "bash": {"completion", "bash"}, "zsh": {"completion", "zsh"},
		"fish": {"completion", "fish"},
	} {
		text, err := r.command(ctx, neutral, r.host, args...)
		if err != nil {
			return nil, err
		}
		texts[name] = []byte(text + "\n")
	}
	licenses, err := r.licenses(ctx)
	if err != nil {
		return nil, err
	}
	texts["licenses"] = licenses
	return texts, nil
}

var licenseFile = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice)([.-].*)?$`)

// licenses collects the licence texts of the modules in the binary, as most licences require.
func (r *release) licenses(ctx context.Context) ([]byte, error) {
	list, err := r.command(ctx, []string{"CGO_ENABLED=0", "GOFLAGS=", "GOOS=linux", "GOARCH=amd64"},
		"go", "list", "-deps", "-f",
		"{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}",
		"./cmd/stagedoor")
	if err != nil {
		return nil, err
	}
	root, err := r.command(ctx, nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(list, "\n")
	lines = append(lines, "The Go standard library\t"+root)
	slices.Sort(lines)
	var out bytes.Buffer
	for _, line := range slices.Compact(lines) {
		name, dir, ok := strings.Cut(line, "\t")
		if !ok {
			continue
		}
		texts, err := licensesIn(dir)
		if err != nil {
			return nil, err
		}
		if len(texts) == 0 {
			return nil, fmt.Errorf("%s has no licence: it cannot be shipped", name)
		}
		fmt.Fprintf(&out, "==== %s ====\n\n%s\n\n", name, bytes.Join(texts, []byte("\n\n")))
	}
	return out.Bytes(), nil
}

func licensesIn(dir string) (texts [][]byte, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if entry.IsDir() || !licenseFile.MatchString(entry.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, entry.Name()))
		if err != nil {
			return nil, err
		}
		texts = append(texts, bytes.TrimSpace(text))
	}
	return texts, nil
}

// zipped compresses a text with gzip. The header has no name and no time, so that the bytes are the
// same each time.
func zipped(text []byte) ([]byte, error) {
	var out bytes.Buffer
	w, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(text); err != nil {
		return nil, err
	}
	err = w.Close()
	return out.Bytes(), err
}
