package browser

import (
	"testing"
	"testing/synctest"
)

func TestTestsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		machine := newTurns(2)
		taken := map[string]chan func(){}
		take := func(test string) {
			done := make(chan func(), 1)
			taken[test] = done
			go func() { done <- machine.take(test) }()
			synctest.Wait()
		}
		has := func(test string) bool { return len(taken[test]) == 1 }
		give := func(test string) {
			(<-taken[test])()
			synctest.Wait()
		}

		take("TestA")
		take("TestB/one")
		if !has("TestA") || !has("TestB/one") {
			t.Fatal("there are two turns")
		}
		take("TestB/two")
		if has("TestB/two") {
			t.Fatal("a sibling did not wait")
		}
		take("TestA/child")
		if !has("TestA/child") {
			t.Fatal("the child of a test that has a turn waits, maybe for ever")
		}
		give("TestA")
		if has("TestB/two") {
			t.Fatal("a turn was given away while a browser of it runs")
		}
		give("TestA/child")
		if !has("TestB/two") {
			t.Fatal("nobody got the turn that came free")
		}
	})
}
