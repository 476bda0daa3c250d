package store_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// BenchmarkIssue measures the cost of a token without its signature, which BenchmarkSignature
// measures.
func BenchmarkIssue(b *testing.B) {
	for _, engine := range engines() {
		b.Run(engine.name, func(b *testing.B) {
			h := newHarness(b, engine.where(b))
			h.Configure(func(c *access.Config) { c.TokenLimit = -1 })
			_, ana, arn := h.Scene()
			measured(b, func() {
				h.Issued(ana, arn)
				h.Clock.Pass(time.Millisecond) // the index of a real server is in order of time
			})
		})
	}
}

// BenchmarkIssueTogether measures concurrent requests for tokens. On SQLite, several requests share
// one commit.
func BenchmarkIssueTogether(b *testing.B) {
	for _, engine := range engines() {
		b.Run(engine.name, func(b *testing.B) {
			h := newHarness(b, engine.where(b))
			h.Configure(func(c *access.Config) { c.TokenLimit = -1 })
			_, ana, arn := h.Scene()
			b.SetParallelism(16)
			b.ResetTimer()
			before := processorTime(b)
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					h.Issued(ana, arn)
					h.Clock.Pass(time.Millisecond)
				}
			})
			b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkIssueCounted measures tokens with a rate limit that counts thirty earlier tokens.
func BenchmarkIssueCounted(b *testing.B) {
	for _, engine := range engines() {
		b.Run(engine.name, func(b *testing.B) {
			h := newHarness(b, engine.where(b))
			_, ana, arn := h.Scene()
			measured(b, func() {
				h.Issued(ana, arn)
				h.Clock.Pass(20 * time.Second) // so that the window always has thirty tokens
			})
		})
	}
}

func BenchmarkAuthenticate(b *testing.B) {
	for _, engine := range engines() {
		b.Run(engine.name, func(b *testing.B) {
			h := newHarness(b, engine.where(b))
			_, secret := h.Broadcaster(h.Operator(), "Ana")
			measured(b, func() {
				must(h.Authenticate(b.Context(), access.Presented{Login: secret}))(b)
			})
		})
	}
}

func BenchmarkAdmit(b *testing.B) {
	for _, engine := range engines() {
		b.Run(engine.name, func(b *testing.B) {
			h := newHarness(b, engine.where(b))
			_, ana, arn := h.Scene()
			token := h.Issued(ana, arn)
			measured(b, func() {
				ok(b, h.MayStay(b.Context(), token.Participant))
			})
		})
	}
}

func BenchmarkSignature(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	ok(b, err)
	digest := make([]byte, 48)
	measured(b, func() {
		must(ecdsa.SignASN1(rand.Reader, key, digest))(b)
	})
}

// measured runs a benchmark, and also reports the CPU time of the process, which depends less on
// other work of the machine.
func measured(b *testing.B, run func()) {
	before := processorTime(b)
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(processorTime(b)-before)/float64(b.N), "cpu-ns/op")
}

func processorTime(b *testing.B) int64 {
	var u syscall.Rusage
	ok(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

type engine struct {
	name  string
	where func(b *testing.B) string
}

func engines() []engine {
	return []engine{
		{"SQLite", func(b *testing.B) string { return filepath.Join(b.TempDir(), "stagedoor.db") }},
		{"PostgreSQL", func(b *testing.B) string { return postgres.Database(b) }},
	}
}
