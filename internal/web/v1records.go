package web

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// v1Records serves the lists of tokens and events, and the audit trail.
type v1Records struct {
	control *access.Control
	now     func() time.Time
}

func (v v1Records) tokens(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	page, err := v.control.ListTokens(r.Context(), who, access.TokenFilter{
		Query: q.Get("q"), User: access.UserID(q.Get("user")), Stage: stage.ARN(q.Get("stage")),
		State: access.TokenState(q.Get("state")),
	}, p)
	now := v.now()
	return V1Tokens{mapped(page.Items, func(i access.Issuance) V1Token {
		return V1Token{issuedToken(i), i.State(now)}
	}), page.Next}, err
}

func (v v1Records) events(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	page, err := v.control.ListEvents(r.Context(), who, access.EventFilter{
		Query: q.Get("q"), User: access.UserID(q.Get("user")), Stage: stage.ARN(q.Get("stage")),
		Participant: stage.ParticipantID(q.Get("participant")),
		Kind:        stage.EventKind(q.Get("kind")),
	}, p)
	return V1Events{mapped(page.Items, v1Event), page.Next}, err
}

func (v v1Records) audit(r *http.Request, who access.Principal) (any, error) {
	p, err := pageOf(r)
	if err != nil {
		return nil, err
	}
	q := r.URL.Query()
	f := access.AuditFilter{
		Query: q.Get("q"), Action: access.Action(q.Get("action")),
		Actor: access.UserID(q.Get("actor")), By: q.Get("credential"), Target: q.Get("target"),
		Stage: stage.ARN(q.Get("stage")),
	}
	for name, into := range map[string]*time.Time{"since": &f.Since, "until": &f.Until} {
		if text := q.Get(name); text != "" {
			if *into, err = time.Parse(time.RFC3339, text); err != nil {
				return nil, stage.Errorf(stage.ErrInvalid,
					"%s must be a time such as 2026-03-01T12:00:00Z.", name)
			}
		}
	}
	page, err := v.control.Audit(r.Context(), who, f, p)
	if err != nil {
		return nil, err
	}
	out := V1Audit{mapped(page.Items, v1Entry), page.Next}
	switch accepted(r) {
	case csvType:
		return table{csvType, auditCSV(out.Entries), out.Next}, nil
	case linesType:
		return table{linesType, auditLines(out.Entries), out.Next}, nil
	}
	return out, nil
}

// accepted returns the first format in the header Accept that the trail has, or "" for JSON.
func accepted(r *http.Request) string {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		kind, _, _ := mime.ParseMediaType(part)
		switch kind {
		case csvType, linesType:
			return kind
		case "application/json", "application/*", "*/*":
			return ""
		}
	}
	return ""
}

// The formats of a list besides JSON.
const (
	csvType   = "text/csv"
	linesType = "application/x-ndjson"
)

func auditCSV(entries []V1Entry) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write([]string{
		"time", "action", "actor", "actorName", "credential", "address", "agent", "target",
		"targetName", "stage", "detail", "id", "targetUser", "credentialId",
	})
	for _, e := range entries {
		row := []string{
			e.Time.Format(time.RFC3339Nano), string(e.Action), string(e.Actor.ID), e.Actor.Name,
			string(e.Credential),
			e.Address, e.Agent, e.Target, e.TargetName, string(e.Stage), e.Detail, e.ID,
			string(e.TargetUser), e.CredentialID,
		}
		for i := range row {
			row[i] = plainCell(row[i])
		}
		w.Write(row)
	}
	w.Flush()
	return b.Bytes()
}

// plainCell prevents a spreadsheet from reading a name as a formula (OWASP, CSV injection).
func plainCell(text string) string {
	if text != "" && strings.ContainsRune("=+-@\t\r", rune(text[0])) {
		return "'" + text
	}
	return text
}

func auditLines(entries []V1Entry) []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	for _, e := range entries {
		out.Encode(e) // cannot fail: texts and times can always be encoded
	}
	return b.Bytes()
}
