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

// A stageList lists all stages, from the database or from the cache, and the access of users to
// them.
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

func (l *stageList) reach(
	ctx context.Context, who Principal, read func(context.Context) ([]StageRecord, error),
) (Reach, error) {
	if who.Stage != "" {
		return Reach{}, who.Require(ScopeSelf)
	}
	return l.reachOf(ctx, who.User, read)
}

func (l *stageList) reachOf(
	ctx context.Context, user User, read func(context.Context) ([]StageRecord, error),
) (Reach, error) {
	all, err := read(ctx)
	if err != nil {
		return Reach{}, err
	}
	granted := map[stage.ARN]Grant{}
	if user.Role != Operator {
		grants, err := l.accesses(ctx, user.ID)
		if user.ID == "" || err != nil {
			return Reach{}, err
		}
		for _, g := range grants {
			granted[g.Stage] = g
		}
	}
	reach := Reach{Stages: make([]StageAccess, 0, len(all))}
	for _, s := range all {
		given := granted[s.ARN]
		if g := effective(user.Role, given); g.Capabilities != 0 {
			reach.Stages = append(reach.Stages, StageAccess{
				Stage: s.Stage, Limits: s.Limits, Capabilities: g.Capabilities, MaxTTL: g.MaxTTL,
				EndpointsAt: s.EndpointsAt,
			})
		} else if !given.BarredAt.IsZero() {
			reach.Bars = append(reach.Bars, StageBar{s.Stage, given.BarredAt, given.BarredReason})
		}
	}
	return reach, nil
}

// accessTo returns the grant of a user on one stage.
func (l *stageList) accessTo(ctx context.Context, who User, arn stage.ARN) (Grant, error) {
	exists, err := l.exists(ctx, arn)
	if err != nil {
		return Grant{}, err
	}
	var granted Grant
	if who.Role != Operator {
		if who.ID == "" { // no account
			return Grant{}, noGrant()
		}
		permit, err := l.store.Permit(ctx, who.ID, arn, Rate{})
		if err != nil {
			return Grant{}, notFoundIs(err, noGrant())
		}
		granted = permit.Grant
	}
	granted = effective(who.Role, granted)
	if granted.Capabilities == 0 || !exists {
		return Grant{}, noGrant()
	}
	return granted, nil
}
