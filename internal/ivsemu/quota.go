package ivsemu

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// The quotas of AWS per account and region ("Service Quotas: Real-Time Streaming").
const (
	maxStages  = 1000
	maxKeys    = 3
	maxIngests = 100
	maxTags    = 50
)

// tps returns how many calls of an operation AWS accepts per second. AWS raises none of these
// quotas.
func tps(operation string) int {
	switch {
	case operation == "CreateParticipantToken":
		return 50
	case strings.Contains(operation, "PublicKey"):
		return 3
	case strings.Contains(operation, "Tag"):
		return 10
	}
	return 5
}

// rates has a rate limiter for each region and operation. AWS does not document its bursts. The
// emulator allows a burst of one second's quota.
type rates struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*rate.Limiter
}

func newRates(now func() time.Time) *rates {
	return &rates{now: now, buckets: map[string]*rate.Limiter{}}
}

func (r *rates) allow(region, operation string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := region + "/" + operation
	bucket := r.buckets[key]
	if bucket == nil {
		bucket = rate.NewLimiter(rate.Limit(tps(operation)), tps(operation))
		r.buckets[key] = bucket
	}
	return bucket.AllowN(r.now(), 1)
}
