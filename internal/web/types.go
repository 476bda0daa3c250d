package web

//go:generate go test -run TestTypes -update .

import (
	"encoding/json"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// The bodies of requests.
type (
	// A Credentials is a name and a password for signing in.
	Credentials struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	// A SetUp creates the first operator.
	SetUp struct {
		Code     string `json:"code"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	// An InviteCode requests the name of the user of an invite.
	InviteCode struct {
		Code string `json:"code"`
	}
	// An AcceptInvite sets the password of an invited user.
	AcceptInvite struct {
		Code     string `json:"code"`
		Password string `json:"password"`
	}
	// A PasswordChange replaces a password.
	PasswordChange struct {
		Current string `json:"current"`
		New     string `json:"new"`
		// also end access keys, viewing keys and open tokens
		EndKeys bool `json:"endKeys,omitempty"`
	}
	// A TokenRequest requests a token.
	TokenRequest struct {
		Stage stage.ARN `json:"stage"`
		TTL   *int64    `json:"ttl,omitempty"` // seconds
		For   string    `json:"for,omitempty"` // "publish" or "view"
	}
	// A NewUser is a user to invite.
	NewUser struct {
		Name string      `json:"name"`
		Role access.Role `json:"role,omitempty"`
	}
	// A GrantRequest gives a user access to a stage.
	GrantRequest struct {
		Capabilities []string `json:"capabilities"`
		MaxTTL       *int64   `json:"maxTTL,omitempty"` // seconds
	}
	// A NewStage is a stage to add: a local stage by its name, a new AWS stage by its name and
	// region, or an existing AWS stage by its ARN.
	NewStage struct {
		Name   string    `json:"name,omitempty"`
		Region string    `json:"region,omitempty"`
		ARN    stage.ARN `json:"arn,omitempty"`
	}
	// A StageChange changes the name or the limits of a stage. An absent member changes nothing.
	StageChange struct {
		Name   string        `json:"name,omitempty"`
		Limits *stage.Limits `json:"limits,omitempty"`
	}
	// A Removal kicks a participant. It may give a reason, and bar the user.
	Removal struct {
		Reason string `json:"reason,omitempty"`
		// also revoke all tokens of the user for the stage, and issue no new ones
		Bar bool `json:"bar,omitempty"`
	}
	// A NewKey names an access key.
	NewKey struct {
		Name string `json:"name"`
	}
	// A NewView requests a viewing key.
	NewView struct {
		Stage stage.ARN `json:"stage"`
		View  string    `json:"view"` // "grid", "spotlight", a user id, "participant:…"
	}
	// A NewMessage is a message for a stage's chat.
	NewMessage struct {
		Text string `json:"text"`
	}
	// A DockState is the report of a dock about its OBS.
	DockState struct {
		OBS           *OBSState           `json:"obs"`
		Live          bool                `json:"live"`
		ParticipantID stage.ParticipantID `json:"participantId,omitempty"`
	}
)

// The bodies of responses.
type (
	// Me is the signed-in user and what they may do.
	Me struct {
		ID      access.UserID `json:"id"`
		Name    string        `json:"name"`
		Role    access.Role   `json:"role"`
		Version string        `json:"version"`
		Stages  []MyStage     `json:"stages"`
		Bars    []MyBar       `json:"bars,omitempty"` // stages from which the caller is barred
		// HasPassword is false for an account without a password, such as one whose user signs in
		// with a provider, and for every account of a server without passwords.
		HasPassword bool `json:"hasPassword"`
		// PasskeyNeeded marks an operator who has signed in without the passkey that this server
		// requires. Their access is that of a broadcaster.
		PasskeyNeeded bool `json:"passkeyNeeded,omitempty"`
		// Provider is the name of the OpenID Connect provider that created this login. It is absent
		// if the provider does not support sign-out.
		Provider string `json:"provider,omitempty"`
		// Rehearsal reports whether POST /api/rehearsals is offered.
		Rehearsal bool `json:"rehearsal,omitempty"`
		// PublicURL is the public URL of this server, if its operator has set it. A dock that was
		// paired at another address moves there.
		PublicURL string `json:"publicUrl,omitempty"`
	}
	// MyStage is a stage and the caller's capabilities on it.
	MyStage struct {
		ARN          stage.ARN    `json:"arn"`
		Name         string       `json:"name"`
		Capabilities []string     `json:"capabilities"`
		MaxTTL       int64        `json:"maxTTL"` // seconds
		Served       string       `json:"served"` // "local" or "aws"
		Limits       stage.Limits `json:"limits"`
	}
	// MyBar is a stage from which a moderator barred the caller, with the reason.
	MyBar struct {
		ARN    stage.ARN `json:"arn"`
		Name   string    `json:"name"`
		Since  time.Time `json:"since"`
		Reason string    `json:"reason"`
	}
	// An InviteName is the name of the user of an invite.
	InviteName struct {
		Name string `json:"name"`
	}
	// A Token is a participant token, returned once.
	Token struct {
		ParticipantID stage.ParticipantID `json:"participantId"`
		Token         string              `json:"token"`
		Endpoint      string              `json:"endpoint"`
		ExpiresAt     time.Time           `json:"expiresAt"`
		Stage         stage.ARN           `json:"stage"`
		Capabilities  []string            `json:"capabilities"`
	}
	// A Rehearsal contains the tokens for a private stage: one to publish, and one to watch.
	Rehearsal struct {
		Publish Token `json:"publish"`
		View    Token `json:"view"`
	}
	// An IssuedToken is the record of a token.
	IssuedToken struct {
		ParticipantID stage.ParticipantID `json:"participantId"`
		User          Person              `json:"user"`
		Stage         stage.ARN           `json:"stage"`
		Capabilities  []string            `json:"capabilities"`
		IssuedBy      string              `json:"issuedBy"`
		IssuedAt      time.Time           `json:"issuedAt"`
		ExpiresAt     time.Time           `json:"expiresAt"`
		RevokedAt     *time.Time          `json:"revokedAt,omitempty"`
		Address       string              `json:"address"`
	}
	// Tokens is a list of issued tokens, newest first.
	Tokens struct {
		Tokens []IssuedToken `json:"tokens"`
	}
	// A TokenState is the current state of a token.
	TokenState struct {
		IssuedToken
		Presence  *Presence   `json:"presence,omitempty"`
		LastEvent *StageEvent `json:"lastEvent,omitempty"`
	}
	// An AccessKey lets a program issue tokens.
	AccessKey struct {
		ID         string     `json:"id"`
		Name       string     `json:"name"`
		CreatedAt  time.Time  `json:"createdAt"`
		LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	}
	// AccessKeys is a list of access keys.
	AccessKeys struct {
		Keys []AccessKey `json:"keys"`
	}
	// A NewAccessKey is an access key with its secret, which is returned once.
	NewAccessKey struct {
		AccessKey
		Key string `json:"key"`
	}
	// A View is a viewing key for a browser source.
	View struct {
		ID         string     `json:"id"`
		Stage      stage.ARN  `json:"stage"`
		View       string     `json:"view"`
		Name       string     `json:"name,omitempty"` // of the shown user; absent for other views
		CreatedAt  time.Time  `json:"createdAt"`
		LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	}
	// Views is a list of viewing keys.
	Views struct {
		Views []View `json:"views"`
	}
	// A CreatedView is a viewing key with the URL for OBS, which is returned once.
	CreatedView struct {
		View
		URL string `json:"url"`
	}
	// A ViewToken is a token for a browser source.
	ViewToken struct {
		Token
		View string `json:"view"`
	}
	// An IVSSDK is the address of Amazon's web SDK.
	IVSSDK struct {
		URL       string `json:"url"`
		Integrity string `json:"integrity"`
	}
	// An Invited is a new user, with the link to send them.
	Invited struct {
		ID              access.UserID `json:"id"`
		Name            string        `json:"name"`
		Role            access.Role   `json:"role"`
		Invite          string        `json:"invite"` // returned once
		InviteExpiresAt time.Time     `json:"inviteExpiresAt"`
	}
	// A User is an account as operators see it.
	User struct {
		ID         access.UserID `json:"id"`
		Name       string        `json:"name"`
		Role       access.Role   `json:"role"`
		CreatedAt  time.Time     `json:"createdAt"`
		Invited    bool          `json:"invited"` // has not chosen a password yet
		LastSeenAt *time.Time    `json:"lastSeenAt,omitempty"`
		Grants     []Grant       `json:"grants"`
		Docks      []Dock        `json:"docks"`
	}
	// Users is a list of users.
	Users struct {
		Users []User `json:"users"`
	}
	// A Grant is the access of a user to a stage.
	Grant struct {
		Stage        stage.ARN `json:"stage"`
		Capabilities []string  `json:"capabilities"`
		MaxTTL       int64     `json:"maxTTL"` // seconds
	}
	// A Stage is a stage as operators see it.
	Stage struct {
		ARN          stage.ARN    `json:"arn"`
		Name         string       `json:"name"`
		Served       string       `json:"served"`
		Limits       stage.Limits `json:"limits"`
		Participants []Presence   `json:"participants"`
		Trouble      string       `json:"trouble,omitempty"` // why the presence is not known
		// for an AWS stage: what issues its tokens, and the reason why it does
		IssuedBy string `json:"issuedBy,omitempty"`
	}
	// AWSStages are the stages in the AWS account, including those that are added already.
	AWSStages struct {
		Regions  []string     `json:"regions"` // AWS regions that are served
		Stages   []AWSStage   `json:"stages"`
		Troubles []AWSTrouble `json:"troubles,omitempty"` // regions that cannot be listed
	}
	// An AWSTrouble is the reason why the stages of a region are not known.
	AWSTrouble struct {
		Region  string `json:"region"`
		Code    string `json:"code"`
		Trouble string `json:"trouble"`
	}
	// An AWSStage is a stage in the AWS account.
	AWSStage struct {
		ARN   stage.ARN `json:"arn"`
		Name  string    `json:"name"`
		Added bool      `json:"added"`
	}
	// A StageSession is a session of an AWS stage: from the first arrival until the last
	// participant has left.
	StageSession struct {
		ID        string     `json:"id"`
		StartedAt time.Time  `json:"startedAt"`
		EndedAt   *time.Time `json:"endedAt,omitempty"` // absent while the session lasts
	}
	// StageSessions is a list of stage sessions, the latest first.
	StageSessions struct {
		Sessions []StageSession `json:"sessions"`
	}
	// Stages is a list of stages.
	Stages struct {
		Stages []Stage `json:"stages"`
	}
)

// The data of event streams that package feed does not define.
type (
	// A ChatHistory is the current chat room of a stage, as one caller may see it.
	ChatHistory struct {
		Messages  []ChatMessage `json:"messages"` // oldest first
		Posts     bool          `json:"posts"`
		Moderates bool          `json:"moderates"`
		Muted     []Person      `json:"muted"` // for moderators
	}
)

// Types of package feed under the names that the generated declarations and other packages use.
type (
	Presence       = feed.Presence
	PresenceEvent  = feed.PresenceEvent
	PresencesEvent = feed.PresencesEvent
	StageEvent     = feed.StageEvent
	Dock           = feed.Dock
	DocksEvent     = feed.DocksEvent
	DockClosed     = feed.DockClosed
	OBSState       = feed.OBSState
	Finding        = feed.Finding
	ChatMessage    = feed.ChatMessage
	ChatRemoved    = feed.ChatRemoved
	Bye            = feed.Bye
	Person         = feed.Person
)

// mapped returns the results of a function for all items. If there are none, it returns an empty
// slice and not nil.
func mapped[A, B any](items []A, one func(A) B) []B {
	out := make([]B, 0, len(items))
	for _, item := range items {
		out = append(out, one(item))
	}
	return out
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func served(arn stage.ARN) string {
	if arn.Local() {
		return "local"
	}
	return "aws"
}

func viewerOf(who access.User) feed.Viewer {
	return feed.Viewer{User: who.ID, SeesReception: seesReception(who)}
}

// seesReception reports whether a user sees how well stages receive other participants: operators
// on all stages, and moderators on the stages that they see.
func seesReception(who access.User) bool {
	return who.Role == access.Operator || who.Role == access.Moderator
}

func tokenOf(t stage.ParticipantToken) Token {
	return Token{
		ParticipantID: t.Participant.ID, Token: t.Secret.Reveal(), Endpoint: t.WHIPEndpoint,
		ExpiresAt: t.ExpiresAt.UTC(), Stage: t.Participant.Stage,
		Capabilities: t.Participant.Capabilities.Words(),
	}
}

func issuedToken(i access.Issuance) IssuedToken {
	return IssuedToken{
		ParticipantID: i.ID, User: Person{ID: i.User, Name: i.UserName}, Stage: i.Stage,
		Capabilities: i.Capabilities.Words(),
		IssuedBy:     i.IssuedBy, IssuedAt: i.IssuedAt.UTC(), ExpiresAt: i.ExpiresAt.UTC(),
		RevokedAt: optional(i.RevokedAt), Address: i.Address,
	}
}

func accessKey(k access.AccessKey) AccessKey {
	return AccessKey{
		ID: k.ID, Name: k.Name, CreatedAt: k.CreatedAt.UTC(), LastUsedAt: optional(k.LastUsedAt),
	}
}

func view(k access.ViewKey) View {
	return View{
		ID: k.ID, Stage: k.Stage, View: string(k.View), Name: k.Shown,
		CreatedAt: k.CreatedAt.UTC(), LastUsedAt: optional(k.LastUsedAt),
	}
}

func mustJSON(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic("an event of our own cannot be written as JSON: " + err.Error())
	}
	return text
}
