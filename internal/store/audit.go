package store

import (
	"context"

	"github.com/stagedoor/stagedoor/internal/access"
)

const auditColumns = `id, at, action, actor, actor_name, credential, address, agent, target,
	target_name, stage, detail`

func scanEntry(r row) (access.Entry, error) {
	var e access.Entry
	err := r.Scan(&e.ID, at(&e.At), &e.Action, &e.Actor, &e.ActorName, &e.Credential, &e.Address,
		&e.Agent, &e.Target, &e.TargetName, &e.Stage, &e.Detail)
	return e, err
}

// AddEntry implements access.AuditStore.
func (q queries) AddEntry(ctx context.Context, e access.Entry) error {
	return q.do(ctx, `
		INSERT INTO audit (id, at, action, actor, actor_name, credential, address, agent, target,
			target_name, stage, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		e.ID, ms(e.At), string(e.Action), string(e.Actor), e.ActorName, string(e.Credential),
		e.Address, e.Agent, e.Target, e.TargetName, string(e.Stage), e.Detail)
}

// Entries implements access.AuditStore.
func (q queries) Entries(
	ctx context.Context, f access.AuditFilter, p access.Page,
) (access.PageOf[access.Entry], error) {
	if f.Stage != "" || f.Stages == nil {
		return page(ctx, q, entries(f), p, scanEntry)
	}
	var walks []walk
	for _, arn := range f.Stages {
		f.Stage = arn
		walks = append(walks, entries(f))
	}
	return merged(ctx, q, walks, entries(f), p, scanEntry)
}

// entries is the walk of a filter: by the index of the narrowest condition.
func entries(f access.AuditFilter) walk {
	w := walk{
		columns: auditColumns, from: "audit", newest: true, window: window,
		keys: []key{{column: "at", number: true}, {column: "id"}},
	}
	conditions := []struct{ column, value string }{
		{"target", f.Target}, {"actor", string(f.Actor)}, {"stage", string(f.Stage)},
		{"action", string(f.Action)},
	}
	indexed := false
	for _, c := range conditions {
		if c.value == "" {
			continue
		}
		if indexed {
			w.narrow.equal(c.column, c.value)
		} else {
			w.index.equal(c.column, c.value)
			indexed = true
		}
	}
	if !f.Since.IsZero() {
		w.index.add("at >= %s", ms(f.Since))
	}
	if !f.Until.IsZero() {
		w.index.add("at < %s", ms(f.Until))
	}
	return w
}
