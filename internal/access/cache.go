package access

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A cache keeps values that were read from the database. It drops all entries when it is full. Its
// owner drops entries when the database has changed.
type cache[K comparable, V any] struct {
	mu         sync.Mutex
	generation int     // guarded by mu: number of calls of `dropIf` and `clear`
	entries    map[K]V // guarded by mu
}

const cacheSize = 4096

// get returns a value, and the generation of the cache for `put`.
func (c *cache[K, V]) get(key K) (value V, generation int, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	value, found = c.entries[key]
	return value, c.generation, found
}

// put stores a value, unless `dropIf` or `clear` was called after `get` returned the generation:
// then the value may have been read before the change.
func (c *cache[K, V]) put(key K, value V, generation int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if generation != c.generation {
		return
	}
	if c.entries == nil || len(c.entries) >= cacheSize {
		c.entries = map[K]V{}
	}
	c.entries[key] = value
}

func (c *cache[K, V]) drop(key K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, key)
}

// dropIf drops the entries for which a condition holds. After a call of `dropIf` or `clear`, `put`
// refuses values that were read before the call.
func (c *cache[K, V]) dropIf(holds func(K, V) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	maps.DeleteFunc(c.entries, holds)
}

func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.generation++
	c.entries = nil
}

// cacheLife is how long a cached login or stage is used. A change by this process drops it at once,
// and Refresh drops it after a change by another process. If Refresh is called late, a login that
// another replica ended can read pages for at most this time. It cannot get a token, because the
// database decides about tokens.
const cacheLife = time.Second

type cachedLogin struct {
	login Principal
	at    time.Time
}

// cachedStages contains all stages, sorted by name. Callers share the list and must not change it.
type cachedStages struct {
	byName []StageRecord
	at     time.Time
}

type permitKey struct {
	user  UserID
	stage stage.ARN
}

// caches contain logins with their accounts, and the list of all stages. The method `changed` also
// makes `outage` forget what it remembers about the changed users. The method `clear` does not.
type caches struct {
	logins cache[string, cachedLogin] // keyed by the hash of the cookie
	stages cache[struct{}, cachedStages]
	outage *Outage
	notify func(UserID) // see Config.Changed; may be nil
}

func (c *caches) clear() {
	c.logins.clear()
	c.stages.clear()
}

// changed is called after the commit with the users whose logins, grants or stages changed, or with
// "" for all users.
func (c *caches) changed(ids ...UserID) {
	if len(ids) == 0 {
		return
	}
	c.clear()
	c.outage.forget(ids)
	if c.notify == nil {
		return
	}
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		c.notify(id)
	}
}
