package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// BenchmarkAllOwnStages measures a moderator with access to all stages that a rule created, 1,000
// and 5,000 of them. It measures the moderator's own page (GET /api/me and the event stream), a
// request on one stage, a page of refusals, and a sign-in.
func BenchmarkAllOwnStages(b *testing.B) {
	for _, engine := range engines() {
		for _, stages := range []int{1000, 5000} {
			b.Run(fmt.Sprintf("%s/%d", engine.name, stages), func(b *testing.B) {
				h := newHarness(b, engine.where(b))
				benchOwnStages(b, h, stages)
			})
		}
	}
}

func benchOwnStages(b *testing.B, h *harness, stages int) {
	op, _, _ := h.Scene()
	makes, err := h.PutRule(b.Context(), op, access.Rule{
		Claim: access.Claim{Name: "groups", Value: "streamers"}, Own: "{name}",
		Capabilities: stage.Publish,
	})
	ok(b, err)
	ok(b, h.Config.Store.Atomically(b.Context(), func(tx access.Store) error {
		for i := range stages {
			if err := putOwnStage(b, tx, makes.ID, i); err != nil {
				return err
			}
		}
		return nil
	}))
	_, err = h.PutRule(b.Context(), op, access.Rule{
		Claim: access.Claim{Name: "groups", Value: "mods"}, OwnOf: makes.ID,
		Capabilities: stage.Subscribe,
	})
	ok(b, err)
	h.Configure(func(c *access.Config) {
		c.External.Moderators = []access.Claim{{Name: "groups", Value: "mods"}}
	})
	var mia access.Principal
	signIn := func() (err error) {
		mia, _, err = h.LogInExternal(b.Context(), access.External{
			Issuer: "https://id.example", Subject: "mia", Name: "Mia",
			Claims: map[string][]string{"groups": {"mods"}},
		}, access.Client{Address: "192.0.2.1"})
		return err
	}
	measure(b, "sign-in", signIn)
	measure(b, "all stages", func() error {
		reach, err := h.Stages.Reach(b.Context(), mia)
		if len(reach.Stages) != stages {
			b.Fatalf("the moderator reaches %d stages", len(reach.Stages))
		}
		return err
	})
	measure(b, "one stage", func() error {
		_, err := h.OnStage(b.Context(), mia, ownARN(0))
		return err
	})
	measure(b, "refusals", func() error {
		_, err := h.Moderation.Refusals(b.Context(), mia, "", access.Page{Limit: 50})
		return err
	})
	b.ReportMetric(0, "ns/op")
}

func ownARN(i int) stage.ARN { return stage.LocalARN(fmt.Sprintf("own%d", i)) }

func putOwnStage(b *testing.B, tx access.Store, rule access.RuleID, i int) error {
	long := time.Unix(1_700_000_000, 0)
	name := fmt.Sprintf("Streamer %d", i)
	id := access.UserID(fmt.Sprintf("streamer-%d", i))
	err := tx.PutAccount(b.Context(), access.Account{
		User: access.User{ID: id, Name: name, Role: access.Broadcaster, CreatedAt: long}, Key: name,
	})
	if err != nil {
		return err
	}
	err = tx.PutStage(b.Context(), access.StageRecord{
		Stage: stage.Stage{ARN: ownARN(i), Name: name}, Key: name, Limits: stage.DefaultLimits(),
		CreatedAt: long,
	})
	if err != nil {
		return err
	}
	return tx.PutOwnStage(b.Context(), rule, id, ownARN(i))
}

// measure runs a function 100 times, and reports how long it takes.
func measure(b *testing.B, name string, do func() error) {
	b.Helper()
	var took []time.Duration
	for range 100 {
		start := time.Now()
		ok(b, do())
		took = append(took, time.Since(start))
	}
	spread(b, name, took)
}
