package store

import (
	"context"
	"strings"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const auditColumns = `id, at, action, actor, actor_name, credential, credential_id, address, agent,
	target, target_name, target_user, stage, detail`

func scanEntry(r row) (access.Entry, error) {
	var e access.Entry
	err := r.Scan(&e.ID, at(&e.At), &e.Action, &e.Actor, &e.ActorName, &e.Credential,
		&e.CredentialID, &e.Address, &e.Agent, &e.Target, &e.TargetName, &e.TargetUser, &e.Stage,
		&e.Detail)
	return e, err
}

// AddEntry implements access.AuditStore.
func (q queries) AddEntry(ctx context.Context, e access.Entry) error {
	return q.do(ctx, `
		INSERT INTO audit (id, at, action, actor, actor_name, credential, credential_id, address,
			agent, target, target_name, target_user, stage, detail)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`,
		e.ID, ms(e.At), string(e.Action), string(e.Actor), e.ActorName, string(e.Credential),
		e.CredentialID, e.Address, e.Agent, e.Target, e.TargetName, string(e.TargetUser),
		string(e.Stage), e.Detail)
}

// Entries implements access.AuditStore.
func (q queries) Entries(
	ctx context.Context, f access.AuditFilter, p access.Page,
) (access.PageOf[access.Entry], error) {
	f.Stages = filled(f.Stages)
	stages := f.Stages
	if f.Stage != "" || stages == nil || f.Actor != "" || f.Target != "" {
		stages = []stage.ARN{f.Stage} // no walk for each stage: actor and target have an index
	}
	var walks, ofTokens []walk
	for _, arn := range stages {
		f.Stage = arn
		if f.Action != access.ActionTokenIssued {
			walks = append(walks, entries("target", f))
			if f.Target != "" {
				walks = append(walks, entries("target_user", f))
			}
		}
		if f.Action == "" || f.Action == access.ActionTokenIssued {
			ofTokens = append(ofTokens, issued(f))
		}
	}
	return merged(ctx, q, append(walks, ofTokens...), entries("target", f), p, scanEntry)
}

// issuedColumns are the columns of an entry about an issued token. The ID of the entry is the ID of
// the token, which no other entry has.
const issuedColumns = `id, issued_at, 'token.issued',
	CASE kind WHEN 'guest' THEN '' ELSE user_id END, user_name, kind, credential_id,
	address, '', id, user_name, '', stage, ` + issuedDetail

const issuedDetail = `CASE capabilities WHEN 1 THEN 'publish' WHEN 2 THEN 'subscribe'
	ELSE 'publish,subscribe' END || ', ' || issued_by`

// issued returns the walk over the records of tokens for a filter of entries. A guest has no
// account, so the user of a guest's record is the owner of the guest's link.
func issued(f access.AuditFilter) walk {
	w := walk{
		columns: issuedColumns, from: "issuances", newest: true, window: window,
		keys: []key{{column: "issued_at", number: true}, {column: "id", bytes: true}},
	}
	w.pick([]equality{{"id", f.Target}, {"user_id", string(f.Actor)}, {"stage", string(f.Stage)}})
	w.among("stage", f)
	w.between("issued_at", f)
	w.of(f.Of, "issuances.stage")
	w.narrow.equal("credential_id", f.By)
	w.search(f.Query, "id", "user_name", "address", issuedDetail)
	if f.Actor != "" {
		w.narrow.add("kind <> %s", string(access.KindGuestLink))
	}
	return w
}

// entries returns the walk over the audit trail for a filter, by the index of the narrowest
// condition. The parameter `column` is the column that is compared with the filter's target: target
// or target_user. No entry has the same value in both columns.
func entries(column string, f access.AuditFilter) walk {
	w := walk{
		columns: auditColumns, from: "audit", newest: true, window: window,
		keys: []key{{column: "at", number: true}, {column: "id", bytes: true}},
	}
	w.pick([]equality{
		{column, f.Target}, {"actor", string(f.Actor)}, {"stage", string(f.Stage)},
		{"action", string(f.Action)},
	})
	if column == "target_user" {
		w.index.add("target_user <> ''") // the index contains no other rows
	}
	w.among("stage", f)
	w.between("at", f)
	w.of(f.Of, "audit.stage")
	w.narrow.equal("credential_id", f.By)
	w.search(f.Query, "target", "actor_name", "target_name", "address", "detail")
	return w
}

// among limits a walk to the stages of a filter, unless the filter names a single stage.
func (w *walk) among(column string, f access.AuditFilter) {
	if f.Stage == "" && f.Stages != nil {
		w.narrow.in(column, f.Stages)
	}
}

// search limits a walk to the rows whose column `id` is the query, or one of whose columns `texts`
// contains the query. The parameters are SQL of columns. The search ignores the case of ASCII
// letters. LIKE alone does so only on SQLite, where LOWER leaves other letters as they are.
func (w *walk) search(query, id string, texts ...string) {
	if query == "" {
		return
	}
	// No text contains a line break, so nothing is found across two texts.
	text := strings.Join(texts, " || '\n' || ")
	w.narrow.add("("+id+" = %s OR "+text+` LIKE %s ESCAPE '\' OR LOWER(`+text+
		`) LIKE %s ESCAPE '\')`, query, like(query), like(strings.ToLower(query)))
}

// of limits a walk to the rows of stages to which a user has access.
func (w *walk) of(user access.UserID, column string) {
	if user != "" {
		w.narrow.add(reaches(column), string(user), string(user))
	}
}

// An equality is a condition of a filter; an empty value matches everything.
type equality struct{ column, value string }

// pick adds conditions. The first condition selects the index, and the others narrow the result.
func (w *walk) pick(conditions []equality) {
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
}

// between adds the time limits of a filter.
func (w *walk) between(column string, f access.AuditFilter) {
	if !f.Since.IsZero() {
		w.index.add(column+" >= %s", ms(f.Since))
	}
	if !f.Until.IsZero() {
		w.index.add(column+" < %s", ms(f.Until))
	}
}
