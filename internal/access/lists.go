package access

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	defaultPage = 50
	MaxPage     = 500 // the most items on a page
	maxQuery    = 128 // bytes
	maxCursor   = 1024
)

// MaxCount is the highest count in lists. It means "this many or more".
const MaxCount = 1000

// A Page selects one page of a list.
type Page struct {
	Limit int    // items at most; 0 means 50
	After string // Next of the previous page; empty for the first page
}

// A PageOf is one page of a list. Next is the After of the following page, and empty on the last
// page. A list with a filter reads a limited number of rows per page. So such a page may have fewer
// items than its limit, or none, although more pages follow.
type PageOf[T any] struct {
	Items []T
	Next  string
}

// A UserFilter selects users. Empty fields select all.
type UserFilter struct {
	Query string    // a part of the name
	Role  Role      // this role only
	Stage stage.ARN // users with a grant on this stage
}

// A ListedUser is a user in a list.
type ListedUser struct {
	User
	Stages int   // number of the user's grants without a bar, up to MaxCount
	Grant  Grant // the user's grant on the stage of the filter
}

// A StageFilter selects stages. Empty fields select all.
type StageFilter struct {
	Query string // a part of the name
	User  UserID // stages on which this user has a grant
}

// A ListedStage is a stage in a list.
type ListedStage struct {
	StageRecord
	Users int   // number of users with a grant, up to MaxCount; 0 in a broadcaster's own list
	Grant Grant // the grant of the filter's user
}

// A TokenState says whether a token can still be used.
type TokenState string

const (
	TokenActive  TokenState = "active"  // neither revoked nor expired
	TokenExpired TokenState = "expired" // expired without having been revoked
	TokenRevoked TokenState = "revoked" // revoked, whether or not it has expired
)

// State returns the state of the token at a time.
func (i Issuance) State(now time.Time) TokenState {
	switch {
	case !i.RevokedAt.IsZero():
		return TokenRevoked
	case now.Before(i.ExpiresAt):
		return TokenActive
	}
	return TokenExpired
}

// A TokenFilter selects the records of tokens. Empty fields select all.
type TokenFilter struct {
	Query string // a participant ID, or a part of the name of a user
	User  UserID
	Stage stage.ARN
	State TokenState
}

// An EventFilter selects events. Empty fields select all.
type EventFilter struct {
	Query       string // the code, or a part of the detail
	User        UserID
	Stage       stage.ARN
	Participant stage.ParticipantID
	Kind        stage.EventKind
	Stages      []stage.ARN // any of these, if Stage is empty; nil means all stages
	Of          UserID      // only stages to which this user has access
}

// ListUsers lists users by name, for an operator.
func (c *Control) ListUsers(
	ctx context.Context, by Principal, f UserFilter, p Page,
) (PageOf[ListedUser], error) {
	if err := by.Require(ScopeUsers); err != nil {
		return PageOf[ListedUser]{}, err
	}
	if f.Role != "" && f.Role != Operator && f.Role != Moderator && f.Role != Broadcaster {
		return PageOf[ListedUser]{}, stage.Errorf(stage.ErrInvalid, "There is no role %q.", f.Role)
	}
	p, err := checkList(p, f.Query, f.Stage)
	if err != nil {
		return PageOf[ListedUser]{}, err
	}
	f.Query = nameKey(f.Query)
	return c.cfg.Store.ListUsers(ctx, f, p)
}

// List lists stages by name: for an operator all of them, for a broadcaster the stages with a
// grant.
func (s *Stages) List(
	ctx context.Context, by Principal, f StageFilter, p Page,
) (PageOf[ListedStage], error) {
	user, err := ownOrAll(by, ScopeStages, ScopeSelf, f.User)
	if err != nil {
		return PageOf[ListedStage]{}, err
	}
	f.User = user
	p, err = checkList(p, f.Query, "", f.User)
	if err != nil {
		return PageOf[ListedStage]{}, err
	}
	f.Query = nameKey(f.Query)
	list, err := s.store.ListStages(ctx, f, p)
	for i := range list.Items {
		if !by.Allows(ScopeStages) {
			list.Items[i].Users = 0
		}
	}
	return list, err
}

// ListTokens lists the records of tokens, newest first: all of them for an operator, the caller's
// own for a broadcaster.
func (c *Control) ListTokens(
	ctx context.Context, by Principal, f TokenFilter, p Page,
) (PageOf[Issuance], error) {
	user, err := ownOrAll(by, ScopeAudit, ScopeAccount, f.User)
	if err != nil {
		return PageOf[Issuance]{}, err
	}
	f.User = user
	switch f.State {
	case "", TokenActive, TokenExpired, TokenRevoked:
	default:
		return PageOf[Issuance]{}, stage.Errorf(stage.ErrInvalid,
			"The state of a token must be active, expired or revoked, not %q.", f.State)
	}
	p, err = checkList(p, f.Query, f.Stage, f.User)
	if err != nil {
		return PageOf[Issuance]{}, err
	}
	if id := stage.ParticipantID(f.Query); stage.ValidID(id) {
		one, err := c.cfg.Store.Issuance(ctx, id)
		if err == nil {
			return c.onlyToken(one, f), nil
		}
		if err := notFoundIs(err, nil); err != nil {
			return PageOf[Issuance]{}, err
		}
	}
	f.Query = nameKey(f.Query)
	return c.cfg.Store.ListIssuances(ctx, f, c.cfg.Now(), p)
}

// onlyToken returns a list of one token, or an empty list if the other fields of the filter exclude
// it.
func (c *Control) onlyToken(i Issuance, f TokenFilter) PageOf[Issuance] {
	matches := (f.User == "" || f.User == i.User) && (f.Stage == "" || f.Stage == i.Stage) &&
		(f.State == "" || f.State == i.State(c.cfg.Now()))
	if !matches {
		return PageOf[Issuance]{}
	}
	return PageOf[Issuance]{Items: []Issuance{i}}
}

// ListEvents lists stage events, newest first: all of them for an operator, the caller's own for a
// broadcaster.
func (c *Control) ListEvents(
	ctx context.Context, by Principal, f EventFilter, p Page,
) (PageOf[StoredEvent], error) {
	user, err := ownOrAll(by, ScopeAudit, ScopeAccount, f.User)
	if err != nil {
		return PageOf[StoredEvent]{}, err
	}
	f.User = user
	p, err = checkList(p, f.Query, f.Stage, f.User, UserID(f.Participant), UserID(f.Kind))
	if err != nil {
		return PageOf[StoredEvent]{}, err
	}
	return c.cfg.Store.ListEvents(ctx, f, p)
}

// ownOrAll returns the user to whom a list is limited. A caller with the scope `all` chooses the
// user. A caller who has only the scope `own` is limited to their own list.
func ownOrAll(by Principal, all, own Scope, wanted UserID) (UserID, error) {
	switch {
	case by.Allows(all):
		return wanted, nil
	case by.User.ID == "" || wanted != "" && wanted != by.User.ID:
		return "", by.Require(all)
	}
	return by.User.ID, by.Require(own)
}

// checkList validates the request for a list, and sets the limit of the page.
func checkList(p Page, query string, arn stage.ARN, ids ...UserID) (Page, error) {
	switch {
	case p.Limit < 0 || p.Limit > MaxPage:
		return p, stage.Errorf(stage.ErrInvalid, "The limit of a page must be 1 to %d.", MaxPage)
	case len(query) > maxQuery || !utf8.ValidString(query) || cleanText(query, maxQuery) != query:
		return p, stage.Errorf(stage.ErrInvalid,
			"A search must be at most %d bytes of text without control characters.", maxQuery)
	case len(p.After) > maxCursor:
		return p, BadCursor()
	}
	if arn != "" {
		if _, err := stage.ParseARN(string(arn)); err != nil {
			return p, err
		}
	}
	for _, id := range ids {
		if id != "" && !stage.ValidID(id) {
			return p, stage.Errorf(stage.ErrInvalid, "A filter that must be an ID is not one.")
		}
	}
	if p.Limit == 0 {
		p.Limit = defaultPage
	}
	return p, nil
}

// BadCursor is the error for a Page.After that is not the Next of a page of that list.
func BadCursor() error {
	return stage.Errorf(stage.ErrInvalid, "The cursor is not one that this list returned.").
		WithCode("bad_cursor")
}
