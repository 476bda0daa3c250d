package access

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A fakeStore is a store with stages and one grant. It counts how often the stages are read.
type fakeStore struct {
	Store
	stages []StageRecord
	reads  int
}

func (s *fakeStore) Stages(context.Context) ([]StageRecord, error) {
	s.reads++
	time.Sleep(time.Millisecond)
	return append([]StageRecord{}, s.stages...), nil
}

func (s *fakeStore) Permit(_ context.Context, user UserID, arn stage.ARN, _ Rate) (Permit, error) {
	if arn == "a" && (user == "ana" || user == "") {
		return Permit{Grant: Grant{User: user, Stage: arn, Capabilities: stage.Publish}}, nil
	}
	return Permit{}, nil
}

func TestManyStreamsReadTheStagesOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		named := func(arn, name string) StageRecord {
			return StageRecord{Stage: stage.Stage{ARN: stage.ARN(arn), Name: name}}
		}
		s := &fakeStore{stages: []StageRecord{named("b", "Side"), named("a", "main")}}
		c := New(Config{Store: s, Now: time.Now})
		operator := Principal{Kind: KindLogin, User: User{ID: "olga", Role: Operator}}
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				list, err := c.Stages.Of(t.Context(), operator)
				if err != nil || len(list) != 2 || list[0].Stage.Name != "main" {
					t.Errorf("got %v, %v, want the stages by name", list, err)
				}
			})
		}
		all.Wait()
		if s.reads != 1 {
			t.Errorf("the stages were read %d times, want once", s.reads)
		}

		t.Log("a change by this process is seen at once, a change by another one after a second")
		s.stages = append(s.stages, named("c", "third"))
		c.caches.changed("")
		if list, _ := c.Stages.Of(t.Context(), operator); len(list) != 3 {
			t.Errorf("after a change: got %d stages, want 3", len(list))
		}
		s.stages = s.stages[:1]
		time.Sleep(cacheLife)
		if list, _ := c.Stages.Of(t.Context(), operator); len(list) != 1 {
			t.Errorf("after a second: got %d stages, want 1", len(list))
		}
	})
}

func TestOnStageNeedsAGrantOfItsOwn(t *testing.T) {
	t.Parallel()
	c := New(Config{
		Now: time.Now, Store: &fakeStore{stages: []StageRecord{{Stage: stage.Stage{ARN: "a"}}}},
	})
	for _, want := range []struct {
		user    User
		stage   stage.ARN
		allowed bool
	}{
		{User{ID: "ana", Role: Broadcaster}, "a", true},
		{User{ID: "ana", Role: Broadcaster}, "b", false},
		{User{ID: "ben", Role: Broadcaster}, "a", false},
		{User{Role: Broadcaster}, "a", false}, // fakeStore has a grant for ""
		{User{ID: "olga", Role: Operator}, "a", true},
		{User{ID: "olga", Role: Operator}, "gone", false},
	} {
		who, err := c.OnStage(t.Context(), Principal{Kind: KindLogin, User: want.user}, want.stage)
		if allowed := err == nil && who.Stage == want.stage; allowed != want.allowed {
			t.Errorf("%+v on %s: got %v, want allowed: %v", want.user, want.stage, err,
				want.allowed)
		}
		if err != nil && !errors.Is(err, stage.ErrDenied) {
			t.Errorf("%+v: got %v, want %v", want.user, err, stage.ErrDenied)
		}
	}
}
