package accesstest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A slowStore is a database that takes 50 ms of the clock for each grant. It records how long the
// longest transaction took. The field `fails` is the number of grants that still have to fail.
type slowStore struct {
	access.Store
	clock   *Clock
	fails   int
	longest time.Duration
}

func (s *slowStore) Atomically(ctx context.Context, do func(tx access.Store) error) error {
	begin := s.clock.Now()
	defer func() { s.longest = max(s.longest, s.clock.Now().Sub(begin)) }()
	return s.Store.Atomically(ctx, func(tx access.Store) error { return do(slowTx{tx, s}) })
}

// A slowTx is a transaction of a slowStore.
type slowTx struct {
	access.Store
	of *slowStore
}

func (tx slowTx) PutGrant(ctx context.Context, g access.Grant) error {
	tx.of.clock.Pass(50 * time.Millisecond)
	if tx.of.fails > 0 {
		tx.of.fails--
		return stage.Errorf(stage.ErrUnavailable, "the database did not answer in time")
	}
	return tx.Store.PutGrant(ctx, g)
}

// slow puts a slow database under the Control, and adds users. It returns the database, and a rule,
// not stored yet, that gives all users access to one stage.
func (h *Harness) slow(op access.Principal, users int) (*slowStore, access.Rule) {
	h.t.Helper()
	for i := range users {
		_, _, _, err := h.AddUser(h.t.Context(), op, fmt.Sprintf("User %d", i), access.Broadcaster)
		ok(h.t, err)
	}
	rule := access.Rule{Stage: h.NewStage(op, "hall"), Capabilities: stage.Subscribe}
	slow := &slowStore{Store: h.Config.Store, clock: h.Clock}
	h.Configure(func(c *access.Config) { c.Store = slow })
	return slow, rule
}

func (h *Harness) withAccess(op access.Principal, arn stage.ARN) int {
	h.t.Helper()
	return len(must(h.ListUsers(h.t.Context(), op, access.UserFilter{Stage: arn},
		access.Page{Limit: 500}))(h.t).Items)
}

// A rule for all users is applied in short transactions. So others can write between them, and no
// transaction exceeds its time limit on a slow database.
func (on rules) TestARuleForAllHoldsNoLongTransaction(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		slow, rule := h.slow(op, 40)
		must(h.PutRule(t.Context(), op, rule))(t)
		if got := h.withAccess(op, rule.Stage); got < 40 {
			t.Errorf("users with access: got %d, want all 40", got)
		}
		if slow.longest > 300*time.Millisecond {
			t.Errorf("the longest transaction took %v", slow.longest)
		}
	})
}

// A rule that is stored is also applied to everybody, even if the database fails meanwhile.
func (on rules) TestARuleGoesOnAfterTheDatabaseFailed(t *testing.T) {
	on.each(t, func(t *testing.T, h *Harness) {
		op := h.Operator()
		slow, rule := h.slow(op, 3)
		slow.fails = 1
		must(h.PutRule(t.Context(), op, rule))(t)
		if got := h.withAccess(op, rule.Stage); got < 3 {
			t.Errorf("users with access: got %d, want all 3", got)
		}
	})
}
