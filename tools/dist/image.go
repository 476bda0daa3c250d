package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is the user ID of the program in a container. It is a number, because orchestrators cannot
// see from a name that the user is not root.
const user = 65532

// An entry is a file or a folder of a layer.
type entry struct {
	name string // the name of a folder ends with /
	mode fs.FileMode
	text []byte
	mine bool // whether the user of the program owns the entry
}

// image builds a container image in the OCI format, as a tar that `docker load`, `podman load` and
// skopeo read. It contains the program, CA certificates and time zones, and nothing else.
func (r *release) image(p platform, binary string, texts map[string][]byte) error {
	program, err := os.ReadFile(binary)
	if err != nil {
		return err
	}
	zones, err := r.timeZones()
	if err != nil {
		return err
	}
	system, err := r.layer([]entry{
		{name: "data/", mode: 0o700, mine: true},
		// A new volume that is mounted here gets the owner of this folder.
		{name: "data/keys/", mode: 0o700, mine: true},
		{name: "etc/group", mode: 0o644, text: []byte("root:x:0:\nstagedoor:x:65532:\n")},
		{name: "etc/passwd", mode: 0o644, text: []byte("root:x:0:0:root:/:/sbin/nologin\n" +
			"stagedoor:x:65532:65532::/data:/sbin/nologin\n")},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, text: roots()},
		{name: "tmp/", mode: 0o1777},
		{name: "usr/share/doc/stagedoor/THIRD-PARTY-LICENSES.txt", mode: 0o644,
			text: texts["licenses"]},
		{name: "usr/share/zoneinfo.zip", mode: 0o644, text: zones},
	})
	if err != nil {
		return err
	}
	own, err := r.layer([]entry{{name: "usr/bin/stagedoor", mode: 0o755, text: program}})
	if err != nil {
		return err
	}
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		system, own)
	if err != nil {
		return err
	}
	image = mutate.ConfigMediaType(image, types.OCIConfigJSON)
	image, err = mutate.ConfigFile(image, r.imageConfig(p, image))
	if err != nil {
		return err
	}
	return r.writeImage(r.path(p, "-image.tar"), image)
}

func (r *release) imageConfig(p platform, image v1.Image) *v1.ConfigFile {
	layers, err := image.ConfigFile() // an image in memory: cannot fail
	if err != nil {
		panic(err)
	}
	c := layers.DeepCopy()
	c.OS, c.Architecture, c.Author = p.os, p.arch, "Stagedoor"
	c.Created = v1.Time{Time: r.date}
	for i := range c.History {
		c.History[i] = v1.History{Created: c.Created, CreatedBy: "stagedoor tools/dist"}
	}
	c.Config = v1.Config{
		User:       "65532:65532",
		WorkingDir: "/data",
		Env: []string{
			"PATH=/usr/bin", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt",
			"ZONEINFO=/usr/share/zoneinfo.zip", "STAGEDOOR_DATA=/data",
			"STAGEDOOR_LISTEN=0.0.0.0:8080", "STAGEDOOR_MEDIA=0.0.0.0:8189",
		},
		Entrypoint:   []string{"/usr/bin/stagedoor"},
		Cmd:          []string{"serve"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}, "8189/udp": {}},
		Volumes:      map[string]struct{}{"/data": {}},
		StopSignal:   "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/usr/bin/stagedoor", "health"},
			Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: 10 * time.Second,
			Retries: 3,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Stagedoor",
			"org.opencontainers.image.version":  r.version,
			"org.opencontainers.image.revision": r.commit,
			"org.opencontainers.image.created":  r.date.Format(time.RFC3339),
			"org.opencontainers.image.licenses": "MIT",
		},
	}
	return c
}

// layer returns an image layer with the entries and their parent folders.
func (r *release) layer(entries []entry) (v1.Layer, error) {
	var packed bytes.Buffer
	w := tar.NewWriter(&packed)
	made := map[string]bool{}
	for _, e := range entries {
		for _, above := range foldersAbove(e.name) {
			if !made[above] {
				made[above] = true
				if err := r.pack(w, entry{name: above, mode: 0o755}); err != nil {
					return nil, err
				}
			}
		}
		made[e.name] = true
		if err := r.pack(w, e); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(packed.Bytes())), nil
	}, tarball.WithMediaType(types.OCILayer))
}

func (r *release) pack(w *tar.Writer, e entry) error {
	h := &tar.Header{
		Name: e.name, Mode: int64(e.mode), Size: int64(len(e.text)), ModTime: r.date,
		Typeflag: tar.TypeReg, Format: tar.FormatPAX,
	}
	if strings.HasSuffix(e.name, "/") {
		h.Typeflag = tar.TypeDir
	}
	if e.mine {
		h.Uid, h.Gid = user, user
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(e.text)
	return err
}

func foldersAbove(name string) (folders []string) {
	parts := strings.Split(strings.TrimSuffix(name, "/"), "/")
	for i := 1; i < len(parts); i++ {
		folders = append(folders, strings.Join(parts[:i], "/")+"/")
	}
	return folders
}

// roots returns the root certificates of Mozilla from golang.org/x/crypto. It omits certificates
// with constraints, because a PEM file cannot express constraints.
func roots() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate})
		}
	}
	return text.Bytes()
}

// timeZones returns the time zones of the Go toolchain.
func (r *release) timeZones() ([]byte, error) {
	root, err := r.command(context.Background(), nil, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(root, "lib/time/zoneinfo.zip"))
}

// writeImage writes an OCI layout, and the manifest.json that older versions of Docker need.
func (r *release) writeImage(path string, image v1.Image) error {
	folder, err := os.MkdirTemp("", "stagedoor-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	tag, err := name.NewTag("stagedoor:" + strings.ReplaceAll(r.version, "+", "-"))
	if err != nil {
		return err
	}
	l, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	if err := l.AppendImage(image, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": tag.TagStr(),
		"io.containerd.image.name": "docker.io/library/" + tag.RepositoryStr() + ":" +
			tag.TagStr(),
	})); err != nil {
		return err
	}
	if err := dockerManifest(folder, image, "stagedoor:"+tag.TagStr()); err != nil {
		return err
	}
	return create(path, func(w io.Writer) error { return r.packFolder(w, folder) })
}

func dockerManifest(folder string, image v1.Image, tag string) error {
	blob := func(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
	config, err := image.ConfigName()
	if err != nil {
		return err
	}
	manifest := struct {
		Config   string
		RepoTags []string
		Layers   []string
	}{blob(config), []string{tag}, nil}
	layers, err := image.Layers()
	if err != nil {
		return err
	}
	for _, l := range layers {
		digest, err := l.Digest()
		if err != nil {
			return err
		}
		manifest.Layers = append(manifest.Layers, blob(digest))
	}
	text, err := json.Marshal([]any{manifest})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "manifest.json"), text, 0o644)
}

func (r *release) packFolder(to io.Writer, folder string) error {
	var names []string
	err := filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			names = append(names, path)
		}
		return err
	})
	if err != nil {
		return err
	}
	slices.Sort(names)
	w := tar.NewWriter(to)
	for _, path := range names {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if err := r.pack(w, entry{name: filepath.ToSlash(relative), mode: 0o644,
			text: text}); err != nil {
			return err
		}
	}
	return w.Close()
}
