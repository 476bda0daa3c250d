package feed_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stagedoor/stagedoor/internal/apptest/feedtest"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	feedtest.Contract(t, func(*testing.T) (a, b feed.Shared) {
		m := feed.NewMemory(time.Now)
		return m, m
	})
}

func TestAPostEndsWithItsReplica(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := feed.NewMemory(time.Now)
		const arn = stage.ARN("arn:aws:ivs:local:000000000000:stage/main")
		if err := m.Post(t.Context(), "a", map[stage.ARN][]stage.Presence{arn: {{}}}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * feed.PostEvery)
		if posts, _ := m.Posts(t.Context(), "b"); len(posts) != 1 {
			t.Error("a post ended before its time")
		}
		time.Sleep(time.Millisecond)
		if posts, _ := m.Posts(t.Context(), "b"); len(posts) != 0 {
			t.Error("the post of a replica that is gone is still there")
		}
	})
}
