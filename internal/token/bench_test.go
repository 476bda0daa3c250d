package token_test

import (
	"crypto/rand"
	"crypto/sha512"
	"testing"
	"time"
)

// BenchmarkIssue compares the time for a token with that for a signature alone with the same key,
// and reports the ratio. A ratio of 1 would mean that everything except the signature takes no
// time.
func BenchmarkIssue(b *testing.B) {
	h := newHarness(b)
	digest := sha512.Sum384([]byte("text"))
	req := request()
	var bare, whole time.Duration
	for b.Loop() {
		start := time.Now()
		if _, err := h.key.Sign(rand.Reader, digest[:], nil); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		h.issue(b, req)
		bare, whole = bare+middle.Sub(start), whole+time.Since(middle)
	}
	b.ReportMetric(float64(bare)/float64(whole), "bare/issue")
	b.ReportMetric(float64(b.N)/whole.Seconds(), "tokens/s")
}

func BenchmarkVerify(b *testing.B) {
	h := newHarness(b)
	bearer := h.issue(b, request()).Secret
	for b.Loop() {
		if _, err := h.verifier.Verify(b.Context(), bearer); err != nil {
			b.Fatal(err)
		}
	}
}
