package access

import (
	"cmp"
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// defaultAuditRetention is how long entries are kept.
const defaultAuditRetention = 365 * 24 * time.Hour

// An Action is the kind of an entry in the audit trail.
type Action string

// The actions of the audit trail. Entries of ActionTokenIssued are not stored: the store derives
// them from the records of tokens, which it keeps at least as long as the trail. A guest's token
// also has an entry ActionGuestAdmitted, which names the link.
const (
	ActionSetUp           Action = "system.set_up"
	ActionLogin           Action = "login.created"
	ActionLoginFailed     Action = "login.failed"
	ActionLoginEnded      Action = "login.ended"
	ActionDeviceApproved  Action = "device_code.approved"
	ActionDeviceDenied    Action = "device_code.denied"
	ActionEnrolment       Action = "enrolment.created"
	ActionPasswordChanged Action = "password.changed"
	ActionUserCreated     Action = "user.created"
	ActionUserInvited     Action = "user.invited"
	ActionUserChanged     Action = "user.changed"
	ActionUserSuspended   Action = "user.suspended"
	ActionUserRestored    Action = "user.restored"
	ActionUserRemoved     Action = "user.removed"
	ActionAccessGiven     Action = "access.given"
	ActionAccessRemoved   Action = "access.removed"
	ActionRuleCreated     Action = "rule.created"
	ActionRuleChanged     Action = "rule.changed"
	ActionRuleRemoved     Action = "rule.removed"
	ActionStageCreated    Action = "stage.created"
	ActionStageChanged    Action = "stage.changed"
	ActionStageRemoved    Action = "stage.removed"
	ActionKicked          Action = "participant.kicked"
	ActionBarred          Action = "participant.barred"
	ActionUnbarred        Action = "participant.unbarred"
	ActionMuted           Action = "chat.muted"
	ActionUnmuted         Action = "chat.unmuted"
	ActionMessageRemoved  Action = "chat.message_removed"
	ActionTokenIssued     Action = "token.issued"
	ActionTokenRevoked    Action = "token.revoked"
	ActionRehearsed       Action = "rehearsal.started"
	ActionKeyCreated      Action = "key.created"
	ActionKeyRevoked      Action = "key.revoked"
	ActionGuestLinkMade   Action = "guest_link.created"
	ActionGuestLinkEnded  Action = "guest_link.revoked"
	ActionGuestAdmitted   Action = "guest.admitted"
	ActionPromoted        Action = "participant.promoted"
	ActionDemoted         Action = "participant.demoted"
	ActionOwnKeyCreated   Action = "own_key.created"
	ActionOwnKeyRotated   Action = "own_key.rotated"
	ActionOwnKeyRetired   Action = "own_key.retired"
	ActionPasskeyCreated  Action = "passkey.created"
	ActionPasskeyChanged  Action = "passkey.changed"
	ActionPasskeyRemoved  Action = "passkey.removed"
	ActionWebhookCreated  Action = "webhook.created"
	ActionWebhookDeleted  Action = "webhook.deleted"
	ActionWebhookTested   Action = "webhook.tested"
	ActionWebhookReplayed Action = "webhook.replayed"
	ActionSettingChanged  Action = "setting.changed"
)

// An Entry of the audit trail says who did what to whom, from where, when, and by which credential.
// It never holds a secret.
type Entry struct {
	ID         string
	At         time.Time
	Action     Action
	Actor      UserID // empty for the command line, and for an unknown name at a failed sign-in
	ActorName  string
	Credential Kind
	// CredentialID is the ID of the credential, such as that of an API key. It is empty for the
	// command line, for sign-ins that failed, and in entries of earlier versions.
	CredentialID string
	Address      string // of the client; empty for the command line
	Agent        string
	Target       string // the ID of what the action changed
	TargetName   string
	// TargetUser is the user to whom the target belongs, such as the user of a token. It is empty
	// if the target is itself the user, or if it belongs to no account, like the token of a guest.
	TargetUser UserID
	Stage      stage.ARN
	Detail     string // a short sentence or a name, such as the reason for a kick
}

// An AuditFilter selects entries. Empty members match everything.
type AuditFilter struct {
	Query  string // an ID of a target, or a part of a name, of the address or of the detail
	Action Action
	Actor  UserID
	By     string // ID of the credential
	Target string // an ID of a target, or of the user to whom targets belong
	Stage  stage.ARN
	Stages []stage.ARN // any of these, if Stage is empty; nil means all stages
	Of     UserID      // only stages to which this user has access
	Since  time.Time   // inclusive
	Until  time.Time   // exclusive
}

// An AuditStore stores the audit trail. Entries are only added, and pruned when they are old.
type AuditStore interface {
	AddEntry(ctx context.Context, e Entry) error
	// Entries lists the matching entries, newest first, including those of issued tokens.
	Entries(ctx context.Context, f AuditFilter, p Page) (PageOf[Entry], error)
}

// Audit lists entries, newest first: all of them for an operator, and for a moderator those of the
// stages to which they have access.
func (c *Control) Audit(
	ctx context.Context, by Principal, f AuditFilter, p Page,
) (PageOf[Entry], error) {
	if !by.Allows(ScopeAudit) && by.Allows(ScopeModerate) && by.User.Role == Moderator {
		stages, err := c.Moderation.moderated(ctx, by, f.Stage)
		if err != nil || stages.none() {
			return PageOf[Entry]{}, err
		}
		f.Stage, f.Stages, f.Of = "", stages.list, stages.of
	} else if err := by.Require(ScopeAudit); err != nil {
		return PageOf[Entry]{}, err
	}
	p, err := checkList(p, f.Query, f.Stage, f.Actor)
	if err != nil {
		return PageOf[Entry]{}, err
	}
	// Entries past their retention are not shown. They may still exist, because they are pruned
	// later, and because records of tokens are kept longer.
	if oldest := c.cfg.Now().Add(-c.auditRetention()); f.Since.Before(oldest) {
		f.Since = oldest
	}
	if ids := f.Target + f.By + string(f.Action); cleanText(ids, 512) != ids {
		return PageOf[Entry]{}, stage.Errorf(stage.ErrInvalid, "A filter that must be an ID is "+
			"not one.")
	}
	return c.cfg.Store.Entries(ctx, f, p)
}

func (c *Control) auditRetention() time.Duration {
	return cmp.Or(c.cfg.AuditRetention, defaultAuditRetention)
}

// A trail writes the audit trail, in the database and in the log.
type trail struct {
	store    Store
	now      func() time.Time
	log      *slog.Logger // may be nil
	outbox   *outbox      // for the actions that have a message
	ids      entryIDs
	failures bounded.Map[string, *rate.Limiter] // limits the stored failures of each name
}

// note adds an entry inside the transaction of a decision, so that either both are stored or
// neither is. It also queues the message for webhooks, if the action has one.
func (t *trail) note(ctx context.Context, tx Store, by Principal, e Entry) error {
	from := by.From
	if from == (Client{}) {
		from = by.Client
	}
	e.At = t.now()
	e.ID = t.ids.next(e.At)
	if e.Target == string(e.TargetUser) {
		e.TargetUser = ""
	}
	e.Actor, e.ActorName = by.User.ID, by.User.Name
	e.Credential, e.CredentialID = by.Kind, by.CredentialID
	e.Address, e.Agent = cleanText(from.Address, 64), cleanText(from.Agent, 256)
	if err := tx.AddEntry(ctx, e); err != nil {
		return err
	}
	t.logEntry(ctx, e)
	if kind, ok := messageOf[e.Action]; ok {
		return t.outbox.announce(ctx, tx, kind, UserMessage{ID: e.Target, Name: e.TargetName})
	}
	return nil
}

// entryIDs creates the IDs of entries. The trail is in the order of time and ID. Since times are
// stored in milliseconds, an ID begins with a number that grows with each entry of this process.
// The zero value is ready to use.
type entryIDs struct {
	mu   sync.Mutex
	last int64 // nanoseconds; guarded by mu
}

func (g *entryIDs) next(now time.Time) string {
	g.mu.Lock()
	g.last = max(g.last+1, now.UnixNano())
	number := g.last
	g.mu.Unlock()
	// This encoding keeps the order of the numbers (RFC 4648, section 7).
	ordered := base32.HexEncoding.WithPadding(base32.NoPadding)
	return ordered.EncodeToString(binary.BigEndian.AppendUint64(nil, uint64(number))) +
		stage.NewID()
}

// messageOf maps actions about a user to message types.
var messageOf = map[Action]string{
	ActionUserCreated:   MessageUserCreated,
	ActionUserSuspended: MessageUserSuspended,
}

// noteLate adds an entry about an action that is already done. If the database does not answer,
// only the log has the entry.
func (t *trail) noteLate(ctx context.Context, by Principal, e Entry) {
	err := t.note(context.WithoutCancel(ctx), t.store, by, e)
	if err != nil && t.log != nil {
		t.log.WarnContext(ctx, "an entry is missing in the audit trail", "action", e.Action,
			"actor", by.User.ID,
			"target", e.Target, "err", err)
	}
}

// logEntry writes an entry to the log, with its action as the message. The log limits records with
// the same message, so that failed sign-ins do not displace the actions of operators. An entry
// whose transaction is retried or fails is in the log all the same.
func (t *trail) logEntry(ctx context.Context, e Entry) {
	if t.log == nil {
		return
	}
	level := slog.LevelInfo
	if e.Action == ActionLoginFailed {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("actor", string(e.Actor)), slog.String("by", string(e.Credential)),
		slog.String("from", e.Address),
	}
	for _, a := range []slog.Attr{
		slog.String("target", e.Target), slog.String("name", e.TargetName),
		slog.String("stage", string(e.Stage)), slog.String("detail", e.Detail),
	} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	t.log.LogAttrs(ctx, level, string(e.Action), attrs...)
}

// The trail stores the first storedFailures failed sign-ins of a name, and then one per
// storeFailure, so that an attacker cannot fill the database. The log receives all of them, and has
// a limit of its own.
const (
	storedFailures = 30
	storeFailure   = time.Minute
	failureNames   = 1000
)

// storesFailure reports whether the trail stores a failed sign-in of a name.
func (t *trail) storesFailure(name string, now time.Time) bool {
	fresh := func(pace *rate.Limiter, found bool) *rate.Limiter {
		if found {
			return pace
		}
		return rate.NewLimiter(rate.Every(storeFailure), storedFailures)
	}
	return t.failures.Update(name, now, fresh).AllowN(now, 1)
}

// failedSignIn records a failed sign-in. The name is that of an account, or the one that a provider
// sent. It is empty if neither is known.
func (t *trail) failedSignIn(ctx context.Context, name string, from Client, cause error) {
	by := Principal{Kind: KindLogin, User: User{Name: name}, From: from}
	e := Entry{Action: ActionLoginFailed, TargetName: name, Detail: detailOf(cause)}
	if t.storesFailure(name, t.now()) {
		t.noteLate(ctx, by, e)
		return
	}
	e.Credential, e.Address = by.Kind, from.Address
	t.logEntry(ctx, e)
}

// failedCode records a refused single-use code.
func (t *trail) failedCode(ctx context.Context, from Client, err error) error {
	var known *stage.Error
	if errors.As(err, &known) && known.Code == "bad_code" {
		t.failedSignIn(ctx, "", cleanClient(from), err)
	}
	return err
}

func detailOf(err error) string {
	var known *stage.Error
	if errors.As(err, &known) {
		return cleanText(known.Detail, 200)
	}
	return ""
}
