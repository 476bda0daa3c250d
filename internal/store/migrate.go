package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"

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
		goose.WithGoMigrations(d.compareByBytes()))
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

// compareByBytes returns the migration with which PostgreSQL compares the IDs of merged lists by
// their bytes, as SQLite and Go do. By default it compares texts by the rules of a language. The
// column has the collation, and not the statements: by an index in another order, PostgreSQL would
// read and sort all rows of a stage instead of one page. PostgreSQL rebuilds the indexes with id.
func (d *database) compareByBytes() *goose.Migration {
	const version = 80
	if !d.postgres {
		return goose.NewGoMigration(version, nil, nil)
	}
	return goose.NewGoMigration(version, &goose.GoFunc{
		RunTx: func(ctx context.Context, tx *sql.Tx) error {
			for _, table := range []string{"audit", "issuances"} {
				_, err := tx.ExecContext(ctx,
					"ALTER TABLE "+table+` ALTER COLUMN id TYPE TEXT COLLATE "C"`)
				if err != nil {
					return err
				}
			}
			return nil
		},
	}, nil)
}

// migrationTries limits the attempts of processes that open one new SQLite file together. Each
// migration is a transaction, and a process that loses finds it done at its next attempt. There is
// no lock file, because a crash could leave it behind.
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
		return stage.Errorf(stage.ErrConflict, "The database is of a newer Stagedoor (version %d, "+
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
	log.Info("database brought up to date", "from", current, "to", target)
	return nil
}
