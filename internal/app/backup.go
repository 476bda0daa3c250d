package app

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/keys"
	"github.com/stagedoor/stagedoor/internal/store"
)

const (
	backupFormat  = 1
	manifestEntry = "backup.json"
	databaseEntry = "stagedoor.db"
)

// A manifest is the first entry of a backup, which is a tar archive compressed with gzip.
type manifest struct {
	Format    int       `json:"format"`
	CreatedAt time.Time `json:"createdAt"`
	Version   string    `json:"version"`
	// "sqlite" or "postgresql". A backup contains no data of PostgreSQL.
	Database string `json:"database"`
}

// BackupCommand is `stagedoor backup`.
type BackupCommand struct {
	DataSettings
	File string `arg:"" help:"File to write; it must not exist. It holds the keys: keep it as private as the data folder."`
}

// Run writes a consistent backup, even while the server changes the data.
func (cmd *BackupCommand) Run(ctx context.Context, p *process) error {
	if err := checkDatabase(cmd.DataSettings); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(filepath.Dir(cmd.File), ".stagedoor-backup-") // mode 0700
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", cmd.File, reason(err))
	}
	defer os.RemoveAll(folder)
	part := filepath.Join(folder, "part")
	if err := cmd.write(ctx, folder, part); err != nil {
		return err
	}
	// os.Link fails if the file exists; os.Rename would replace the file.
	if err := os.Link(part, cmd.File); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists already; name a new file", cmd.File)
		}
		return fmt.Errorf("%s cannot be written: %w", cmd.File, linkReason(err))
	}
	fmt.Fprintf(
		p.out, "The backup is in %s. It holds the keys: keep it as private as the data folder.\n",
		cmd.File)
	if cmd.Database != "" {
		fmt.Fprintln(
			p.out, "It has only the keys: the database is in PostgreSQL; run pg_dump for it.")
	}
	return nil
}

func linkReason(err error) error {
	if link := (*os.LinkError)(nil); errors.As(err, &link) {
		return link.Err
	}
	return err
}

func (cmd *BackupCommand) write(ctx context.Context, folder, part string) error {
	m := manifest{
		Format: backupFormat, CreatedAt: time.Now().UTC(), Version: version(),
		Database: "postgresql",
	}
	snapshot := ""
	if cmd.Database == "" {
		m.Database, snapshot = "sqlite", filepath.Join(folder, databaseEntry)
		if err := store.Snapshot(ctx, databaseFile(cmd.DataSettings), snapshot); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", cmd.File, reason(err))
	}
	packed := gzip.NewWriter(f)
	archive := tar.NewWriter(packed)
	err = cmd.pack(ctx, archive, m, snapshot)
	err = errors.Join(err, archive.Close(), packed.Close(), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("the backup %s is not written: %w", cmd.File, err)
	}
	return nil
}

// pack writes the manifest, the database and the other files of the data folder. It copies the keys
// after the database. So the backup contains the key of every token in the database.
func (cmd *BackupCommand) pack(
	ctx context.Context, to *tar.Writer, m manifest, snapshot string,
) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return err
	}
	if err := packBytes(to, manifestEntry, text, m.CreatedAt); err != nil {
		return err
	}
	if snapshot != "" {
		if err := packFile(to, databaseEntry, snapshot); err != nil {
			return err
		}
	}
	return keys.Unchanged(ctx, keysFolder(cmd.Data),
		func() error { return packFolder(to, cmd.Data) })
}

func packFolder(to *tar.Writer, data string) error {
	return filepath.WalkDir(data, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && path != data:
			return nil // a temporary file was deleted meanwhile
		case err != nil:
			return err
		case path != data && !kept(entry.Name()) && entry.IsDir():
			return fs.SkipDir
		case !entry.Type().IsRegular() || !kept(entry.Name()):
			return nil
		}
		name, err := filepath.Rel(data, path)
		if err != nil {
			return err
		}
		return packFile(to, filepath.ToSlash(name), path)
	})
}

// kept reports whether packFolder copies a file of the data folder into a backup. A backup leaves
// out the temporary files of a running server. It also leaves out the database, since `pack` adds a
// snapshot of it.
func kept(name string) bool {
	running := name == "lock" || name == filepath.Base(publishedFile("")) ||
		strings.HasSuffix(name, ".lock") || strings.HasSuffix(name, ".part")
	return !running && !strings.HasPrefix(name, databaseEntry) && !strings.HasPrefix(name, ".")
}

func packFile(to *tar.Writer, name, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := &tar.Header{Name: name, Mode: 0o600, Size: info.Size(), ModTime: info.ModTime()}
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err = io.Copy(to, io.LimitReader(f, info.Size()))
	return err
}

func packBytes(to *tar.Writer, name string, content []byte, at time.Time) error {
	header := &tar.Header{Name: name, Mode: 0o600, Size: int64(len(content)), ModTime: at}
	if err := to.WriteHeader(header); err != nil {
		return err
	}
	_, err := to.Write(content)
	return err
}

// RestoreCommand is `stagedoor restore`.
type RestoreCommand struct {
	Data string `help:"Folder to write the database and the keys to; it must not have a file of the backup yet." placeholder:"DIR" default:"${data}"`
	File string `arg:"" help:"Backup that stagedoor backup wrote." type:"existingfile"`
}

// Run writes the files of a backup into the data folder. It unpacks and checks the whole backup
// before it moves any file to its place.
func (cmd *RestoreCommand) Run(ctx context.Context, p *process) error {
	if err := makeDataFolder(cmd.Data); err != nil {
		return err
	}
	lock, err := lockDataFolder(cmd.Data)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	// A crash leaves the log of a database, and SQLite would apply it to the restored database.
	if err := cmd.checkFree(databaseEntry, databaseEntry+"-wal", "local-key.pem",
		"keys"); err != nil {
		return err
	}
	folder, err := os.MkdirTemp(cmd.Data, ".restore-") // mode 0700
	if err != nil {
		return fmt.Errorf("the data folder %s cannot be written: %w", cmd.Data, reason(err))
	}
	defer os.RemoveAll(folder)
	m, err := cmd.unpack(folder)
	if err != nil {
		return err
	}
	if m.Database == "sqlite" {
		if err := store.Verify(ctx, filepath.Join(folder, databaseEntry)); err != nil {
			return err
		}
	}
	if err := cmd.move(folder); err != nil {
		return err
	}
	fmt.Fprintf(p.out, "The backup of %s (stagedoor %s) was restored to %s.\n",
		m.CreatedAt.Local().Format("2006-01-02 15:04:05"), m.Version, cmd.Data)
	fmt.Fprintln(p.out, "Tokens that were issued after the backup will be refused.")
	if m.Database != "sqlite" {
		fmt.Fprintln(
			p.out, "It has only the keys: restore the PostgreSQL database with pg_restore.")
	}
	return nil
}

// checkFree refuses a data folder that has one of these files, so that nothing is overwritten.
func (cmd *RestoreCommand) checkFree(names ...string) error {
	for _, name := range names {
		_, err := os.Lstat(filepath.Join(cmd.Data, name))
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return fmt.Errorf("the data folder %s cannot be read: %w", cmd.Data, reason(err))
		default:
			return fmt.Errorf(
				"there is a %s in %s already; move it away, or restore into another folder "+
					"with --data",
				name, cmd.Data)
		}
	}
	return nil
}

// unpack writes the entries of the archive below a folder, and nowhere else.
func (cmd *RestoreCommand) unpack(folder string) (manifest, error) {
	f, err := os.Open(cmd.File)
	if err != nil {
		return manifest{}, fmt.Errorf("%s cannot be read: %w", cmd.File, reason(err))
	}
	defer f.Close()
	m, err := unpackTo(folder, f)
	if err != nil {
		return m, fmt.Errorf("%s is not a complete backup of stagedoor: %w", cmd.File, err)
	}
	return m, nil
}

func unpackTo(folder string, from io.Reader) (m manifest, err error) {
	packed, err := gzip.NewReader(from)
	if err != nil {
		return m, err
	}
	root, err := os.OpenRoot(folder)
	if err != nil {
		return m, err
	}
	defer root.Close()
	archive := tar.NewReader(packed)
	if err := readManifest(archive, &m); err != nil {
		return m, err
	}
	for {
		header, err := archive.Next()
		if err == io.EOF {
			// Read to the end of the file: gzip verifies the checksum there.
			_, err := io.Copy(io.Discard, packed)
			return m, err
		}
		if err == nil {
			err = unpackEntry(root, header, archive)
		}
		if err != nil {
			return m, err
		}
	}
}

func readManifest(archive *tar.Reader, m *manifest) error {
	header, err := archive.Next()
	if err != nil {
		return err
	}
	if header.Name != manifestEntry {
		return fmt.Errorf("it does not begin with %s", manifestEntry)
	}
	if err := json.NewDecoder(io.LimitReader(archive, 64<<10)).Decode(m); err != nil {
		return err
	}
	if m.Format != backupFormat {
		return fmt.Errorf("it has the format %d, and this stagedoor reads %d",
			m.Format, backupFormat)
	}
	return nil
}

func unpackEntry(root *os.Root, header *tar.Header, content io.Reader) error {
	name := filepath.FromSlash(header.Name)
	if header.Typeflag != tar.TypeReg || !filepath.IsLocal(name) {
		return fmt.Errorf("it has an entry %q, which no backup has", header.Name)
	}
	if err := root.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Sync(), f.Close())
}

// move moves the files into the data folder. The database comes last, so that after a crash the
// folder never has the database without its keys. If move fails, the data folder stays as it was.
func (cmd *RestoreCommand) move(folder string) error {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if err := cmd.checkFree(names...); err != nil {
		return err
	}
	if i := slices.Index(names, databaseEntry); i >= 0 {
		names = append(slices.Delete(names, i, i+1), databaseEntry)
	}
	for i, name := range names {
		to := filepath.Join(cmd.Data, name)
		if err := os.Rename(filepath.Join(folder, name), to); err != nil {
			err = fmt.Errorf("%s cannot be written: %w", to, linkReason(err))
			for _, moved := range names[:i] {
				err = errors.Join(err, os.RemoveAll(filepath.Join(cmd.Data, moved)))
			}
			return err
		}
	}
	return nil
}
