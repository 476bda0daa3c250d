package main

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/deb" // registers the format
	"github.com/goreleaser/nfpm/v2/files"
	_ "github.com/goreleaser/nfpm/v2/rpm" // registers the format
)

// packages builds the Debian and the RPM package of a platform.
func (r *release) packages(p platform, binary string, texts map[string][]byte) error {
	folder, err := os.MkdirTemp("", "stagedoor-package-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	manual, err := zipped(texts["manual"])
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"manual": manual, "bash": texts["bash"], "zsh": texts["zsh"], "fish": texts["fish"],
		"licenses": texts["licenses"],
	} {
		if err := os.WriteFile(filepath.Join(folder, name), text, 0o644); err != nil {
			return err
		}
	}
	for _, format := range []string{"deb", "rpm"} {
		info := r.packageInfo(p, format)
		info.Contents = r.contents(format, binary, folder)
		err := create(r.path(p, "."+format), func(w io.Writer) error {
			packager, err := nfpm.Get(format)
			if err != nil {
				return err
			}
			return packager.Package(info, w)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", format, err)
		}
	}
	return nil
}

func (r *release) packageInfo(p platform, format string) *nfpm.Info {
	script := func(name string) string {
		return filepath.Join(r.root, "deploy/package", name+"."+format)
	}
	info := nfpm.WithDefaults(&nfpm.Info{
		Name: "stagedoor", Arch: p.arch, Platform: p.os, Version: packageVersion(r.version),
		VersionSchema: "semver", Release: "1", Section: "net", Priority: "optional",
		Maintainer: "Stagedoor maintainers <maintainers@stagedoor.invalid>",
		Description: "Real-time stages for broadcasters with OBS\n" +
			"Broadcasters sign in on a page docked inside OBS, which gets a participant token, " +
			"makes\n" +
			"OBS fit for WHIP and goes live, on stages of Amazon IVS or of Stagedoor itself.",
		License: "MIT", MTime: r.date, DisableGlobbing: true,
	})
	info.Umask = 0o022
	info.Scripts = nfpm.Scripts{
		PreInstall: script("preinstall"), PostInstall: script("postinstall"),
		PreRemove: script("preremove"), PostRemove: script("postremove"),
	}
	info.RPM.Summary = "Real-time stages for broadcasters with OBS"
	info.RPM.BuildHost = "stagedoor"
	info.RPM.Packager = info.Maintainer
	info.Deb.Compression = "gzip" // every dpkg reads it, and it is fast to write
	info.Recommends = []string{"ca-certificates"}
	return info
}

// packageVersion returns a version that packages accept. If git has no tag, the version is only a
// hash, and packageVersion puts 0.0.0 before it.
func packageVersion(version string) string {
	if version[0] >= '0' && version[0] <= '9' || version[0] == 'v' {
		if _, err := fmt.Sscanf(version, "v%d.", new(int)); err == nil {
			return version
		}
		if _, err := fmt.Sscanf(version, "%d.", new(int)); err == nil {
			return version
		}
	}
	return "0.0.0-" + version
}

func (r *release) contents(format, binary, texts string) files.Contents {
	deploy := func(name string) string { return filepath.Join(r.root, "deploy", name) }
	text := func(name string) string { return filepath.Join(texts, name) }
	zsh := map[string]string{
		"deb": "/usr/share/zsh/vendor-completions/_stagedoor",
		"rpm": "/usr/share/zsh/site-functions/_stagedoor",
	}[format]
	file := func(from, to string, mode fs.FileMode) *files.Content {
		return &files.Content{Source: from, Destination: to, FileInfo: &files.ContentFileInfo{
			Owner: "root", Group: "root", Mode: mode, MTime: r.date,
		}}
	}
	config := func(from, to string, mode fs.FileMode) *files.Content {
		c := file(from, to, mode)
		c.Type = files.TypeConfigNoReplace
		return c
	}
	folder := file("", "/etc/stagedoor", 0o755)
	folder.Type = files.TypeDir
	return files.Contents{
		file(binary, "/usr/bin/stagedoor", 0o755),
		file(deploy("systemd/stagedoor.service"), "/usr/lib/systemd/system/stagedoor.service",
			0o644),
		folder,
		config(deploy("package/stagedoor.yaml"), "/etc/stagedoor/stagedoor.yaml", 0o640),
		config(deploy("package/default"), "/etc/default/stagedoor", 0o640),
		file(text("manual"), "/usr/share/man/man1/stagedoor.1.gz", 0o644),
		file(text("bash"), "/usr/share/bash-completion/completions/stagedoor", 0o644),
		file(text("zsh"), zsh, 0o644),
		file(text("fish"), "/usr/share/fish/vendor_completions.d/stagedoor.fish", 0o644),
		file(filepath.Join(r.root, "LICENSE"), "/usr/share/doc/stagedoor/copyright", 0o644),
		file(filepath.Join(r.root, "CHANGELOG.md"), "/usr/share/doc/stagedoor/CHANGELOG.md", 0o644),
		file(text("licenses"), "/usr/share/doc/stagedoor/THIRD-PARTY-LICENSES.txt", 0o644),
	}
}
