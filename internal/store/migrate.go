package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/stagedoor/stagedoor/internal/stage"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate runs the missing migrations, each of them once, even if several replicas start together.
func (d *database) migrate(ctx context.Context, log *slog.Logger) (err error) {
	dialect := goose.DialectSQLite3
	if d.postgres {
		dialect = goose.DialectPostgres
		unlock, lockErr := lockMigrations(ctx, d.write.db)
		if lockErr != nil {
			return failure(lockErr)
		}
		defer func() { err = errors.Join(err, unlock()) }()
	}
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(dialect, d.write.db, files,
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(log),
		goose.WithGoMigrations(d.replaceIndexes(), d.indexTargetUsers()))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	for try := range migrationTries {
		err = bringUp(ctx, provider, log)
		if err == nil || d.postgres || isFinal(err) || pause(ctx, try) != nil {
			break
		}
	}
	return err
}

// replaceIndexes returns the migration that makes the indexes of merged lists sort IDs by their
// bytes on PostgreSQL, as on SQLite. By default PostgreSQL compares texts by the rules of a
// language. The statements of these lists sort by bytes. Without these indexes, the database would
// read and sort all rows of a stage instead of one page.
//
// The columns keep their type, because otherwise a server of the previous version would fail with
// "cached plan must not change result type". Each index is built by its own statement, so that the
// record of a new token waits until one index is built, and not until all are built.
func (d *database) replaceIndexes() *goose.Migration {
	const version = 80
	if !d.postgres {
		return goose.NewGoMigration(version, nil, nil)
	}
	build := func(ctx context.Context, db *sql.DB) error {
		for _, index := range indexesByBytes {
			name, rest, _ := strings.Cut(index, " ")
			_, err := db.ExecContext(ctx, "CREATE INDEX IF NOT EXISTS "+name+"_bytes "+rest)
			if err != nil {
				return err
			}
			if _, err = db.ExecContext(ctx, "DROP INDEX IF EXISTS "+name); err != nil {
				return err
			}
		}
		return nil
	}
	return goose.NewGoMigration(version, &goose.GoFunc{RunDB: build}, nil)
}

// indexesByBytes are the indexes that replaceIndexes replaces, each as it must be now. A new index
// has the name of the old one and the suffix "_bytes".
var indexesByBytes = []string{
	`audit_at ON audit (at, id COLLATE "C")`,
	`audit_action ON audit (action, at, id COLLATE "C")`,
	`audit_actor ON audit (actor, at, id COLLATE "C")`,
	`audit_target ON audit (target, at, id COLLATE "C")`,
	`audit_stage ON audit (stage, at, id COLLATE "C")`,
	`issuances_user ON issuances (user_id, issued_at, id COLLATE "C", bucket)`,
	`issuances_stage ON issuances (stage, issued_at, id COLLATE "C")`,
	`issuances_time ON issuances (issued_at, id COLLATE "C")`,
	`issuances_revoked_time ON issuances (issued_at, id COLLATE "C") WHERE revoked_at IS NOT NULL`,
}

// indexTargetUsers returns the migration that fills in and indexes the users of the kicks and
// revocations that were stored before migration 0081. It is a migration of its own, because the
// statement that adds the column locks the table. The user of a guest's token is the owner of the
// link, and is left out.
func (d *database) indexTargetUsers() *goose.Migration {
	const version = 82
	collation := ""
	if d.postgres {
		collation = ` COLLATE "C"` // see replaceIndexes
	}
	texts := []string{
		`UPDATE audit SET target_user = COALESCE((SELECT i.user_id FROM issuances i
			WHERE i.id = audit.target AND i.bucket NOT LIKE 'guest:%'), '')
		WHERE action IN ('participant.kicked', 'token.revoked') AND target_user = ''`,
		`CREATE INDEX IF NOT EXISTS audit_target_user
			ON audit (target_user, at, id` + collation + `) WHERE target_user <> ''`,
	}
	if !d.postgres {
		return goose.NewGoMigration(version, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error { return execAll(ctx, tx, texts) },
		}, nil)
	}
	return goose.NewGoMigration(version, &goose.GoFunc{
		RunDB: func(ctx context.Context, db *sql.DB) error { return execAll(ctx, db, texts) },
	}, nil)
}

func execAll(ctx context.Context, db interface {
	ExecContext(ctx context.Context, text string, args ...any) (sql.Result, error)
}, texts []string) error {
	for _, text := range texts {
		if _, err := db.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}

// migrationTries limits the attempts of processes that open one new SQLite file together. Each
// migration is a transaction. A process that fails because of a concurrent migration finds it done
// at its next attempt. There is no lock file, because a crash could leave it behind.
const migrationTries = 20

func isFinal(err error) bool {
	e, ok := asError[*stage.Error](err)
	return ok && (e.Code == "database_newer" || e.Code == "database_damaged")
}

func bringUp(ctx context.Context, provider *goose.Provider, log *slog.Logger) error {
	current, target, err := provider.GetVersions(ctx)
	if err != nil {
		return failure(fmt.Errorf("version of the database: %w", err))
	}
	if current > target {
		return stage.Errorf(stage.ErrConflict, "The database belongs to a newer Stagedoor "+
			"(schema version %d, "+
			"this one knows %d); start that one, or restore a backup.", current, target).
			WithCode("database_newer")
	}
	if current == target {
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return failure(fmt.Errorf("migrate the database from version %d to %d: %w",
			current, target, err))
	}
	log.InfoContext(ctx, "the database was migrated", "from", current, "to", target)
	return nil
}
