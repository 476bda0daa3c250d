package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/store"
)

// TestListsOfAnyLengthShareStatements: the pool keeps every statement prepared, so the number of
// statements must not grow with each length of a list.
func TestListsOfAnyLengthShareStatements(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]bool{}
	s, err := store.OpenSeen(t.Context(), databases["SQLite"](t), slog.New(slog.DiscardHandler),
		func(text string) {
			mu.Lock()
			defer mu.Unlock()
			seen[text] = true
		})
	ok(t, err)
	t.Cleanup(func() { ok(t, s.Close()) })
	p := access.Page{Limit: 10}
	lists := map[string]func(context.Context, []stage.ARN) error{
		"events": func(ctx context.Context, stages []stage.ARN) error {
			_, err := s.ListEvents(ctx, access.EventFilter{Stages: stages}, p)
			return err
		},
		"events found": func(ctx context.Context, stages []stage.ARN) error {
			_, err := s.ListEvents(ctx, access.EventFilter{Stages: stages, Query: "x"}, p)
			return err
		},
		"events of a user": func(ctx context.Context, stages []stage.ARN) error {
			_, err := s.ListEvents(ctx, access.EventFilter{Stages: stages, User: "u"}, p)
			return err
		},
		"bars": func(ctx context.Context, stages []stage.ARN) error {
			_, err := s.ListBars(ctx, access.BarFilter{Stages: stages}, p)
			return err
		},
		"audit": func(ctx context.Context, stages []stage.ARN) error {
			_, err := s.Entries(ctx, access.AuditFilter{Stages: stages, Target: "u"}, p)
			return err
		},
		"names": func(ctx context.Context, stages []stage.ARN) error {
			var ids []access.UserID
			for _, arn := range stages {
				ids = append(ids, access.UserID(arn))
			}
			_, err := s.Names(ctx, ids...)
			return err
		},
	}
	for name, read := range lists {
		mu.Lock()
		clear(seen)
		mu.Unlock()
		var stages []stage.ARN
		for i := range 100 {
			stages = append(stages, stage.LocalARN(fmt.Sprint(i)))
			ok(t, read(t.Context(), stages))
		}
		mu.Lock()
		if len(seen) > 20 {
			t.Errorf("%s of 1 to 100: got %d statements, want at most 20", name, len(seen))
		}
		mu.Unlock()
	}
}
