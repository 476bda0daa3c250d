package access

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A stageList reads all stages, or takes them from the cache.
type stageList struct {
	store      Store
	now        func() time.Time
	caches     *caches
	replicated bool               // see Config.Replicated
	reading    singleflight.Group // concurrent reads share one query
}

// current lists the stages by name. With replicas it reads them, because another replica may have
// just made a change for the same caller.
func (l *stageList) current(ctx context.Context) ([]StageRecord, error) {
	if l.replicated {
		return l.read(ctx)
	}
	return l.cached(ctx)
}

// cached lists the stages by name. It uses a cache, since many event streams read them when access
// changes.
func (l *stageList) cached(ctx context.Context) ([]StageRecord, error) {
	cached, generation, found := l.caches.stages.get(struct{}{})
	if since := l.now().Sub(cached.at); found && since >= 0 && since < cacheLife {
		return cached.byName, nil
	}
	// Concurrent callers share one read. It continues if the request that began it ends.
	list, err, _ := l.reading.Do(strconv.Itoa(generation), func() (any, error) {
		at := l.now()
		byName, err := l.read(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		l.caches.stages.put(struct{}{}, cachedStages{byName, at}, generation)
		return byName, nil
	})
	byName, _ := list.([]StageRecord)
	return byName, err
}

func (l *stageList) read(ctx context.Context) ([]StageRecord, error) {
	byName, err := l.store.Stages(ctx)
	sortByName(byName)
	return byName, err
}

func sortByName(list []StageRecord) {
	keys := make(map[stage.ARN]string, len(list))
	for _, s := range list {
		keys[s.ARN] = nameKey(s.Name)
	}
	slices.SortFunc(list, func(a, b StageRecord) int {
		return cmp.Or(
			strings.Compare(keys[a.ARN], keys[b.ARN]),
			strings.Compare(string(a.ARN), string(b.ARN)))
	})
}

// exists reports whether a stage exists. Only a positive result is cached: another replica may have
// just added the stage.
func (l *stageList) exists(ctx context.Context, arn stage.ARN) (bool, error) {
	isIt := func(s StageRecord) bool { return s.ARN == arn }
	all, err := l.cached(ctx)
	if err == nil && l.replicated && !slices.ContainsFunc(all, isIt) {
		all, err = l.read(ctx)
	}
	return slices.ContainsFunc(all, isIt), err
}
