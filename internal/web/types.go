package web

//go:generate go test -run TestTypes -update .

import (
	"encoding/json"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/feed"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// What requests say.
type (
	// A Credentials signs in.
	Credentials struct {
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	// A SetUp makes the operator.
	SetUp struct {
		Code     string `json:"code"`
		Name     string `json:"name"`
		Password string `json:"password"`
	}
	// An InviteCode asks whom an invitation is for.
	InviteCode struct {
		Code string `json:"code"`
	}
	// An AcceptInvite chooses a password.
	AcceptInvite struct {
		Code     string `json:"code"`
		Password string `json:"password"`
	}
	// A PasswordChange replaces a password.
	PasswordChange struct {
		Current string `json:"current"`
		New     string `json:"new"`
		EndKeys bool   `json:"endKeys,omitempty"` // also access keys, viewing keys and open tokens
	}
	// A TokenRequest asks for a token.
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
	// A NewStage is a local stage to make by its name, an AWS stage to make by name and region,
	// or one to add by its ARN.
	NewStage struct {
		Name   string    `json:"name,omitempty"`
		Region string    `json:"region,omitempty"`
		ARN    stage.ARN `json:"arn,omitempty"`
	}
	// A StageChange changes what it names.
	StageChange struct {
		Name   string        `json:"name,omitempty"`
		Limits *stage.Limits `json:"limits,omitempty"`
	}
	// A Removal may say why, and keep the user out.
	Removal struct {
		Reason string `json:"reason,omitempty"`
		Bar    bool   `json:"bar,omitempty"` // revoke all their tokens for the stage, and refuse new ones
	}
	// A NewKey names an access key.
	NewKey struct {
		Name string `json:"name"`
	}
	// A NewView asks for a viewing key.
	NewView struct {
		Stage stage.ARN `json:"stage"`
		View  string    `json:"view"` // "grid", "spotlight", or who is shown: a user id, or "participant:" and a participant id
	}
	// A NewMessage is a message for a stage's chat.
	NewMessage struct {
		Text string `json:"text"`
	}
	// A DockState is what a dock reports of its OBS.
	DockState struct {
		OBS           *OBSState           `json:"obs"`
		Live          bool                `json:"live"`
		ParticipantID stage.ParticipantID `json:"participantId,omitempty"`
	}
)

// What answers say.
type (
	// Me is who is signed in and what they may do.
	Me struct {
		ID      access.UserID `json:"id"`
		Name    string        `json:"name"`
		Role    access.Role   `json:"role"`
		Version string        `json:"version"`
		Stages  []MyStage     `json:"stages"`
		// PasskeyNeeded: an operator without the passkey that operators need here, who acts as a
		// broadcaster.
		PasskeyNeeded bool `json:"passkeyNeeded,omitempty"`
		// Rehearsal: POST /api/rehearsals is offered.
		Rehearsal bool `json:"rehearsal,omitempty"`
	}
	// MyStage is a stage and what one may do on it.
	MyStage struct {
		ARN          stage.ARN    `json:"arn"`
		Name         string       `json:"name"`
		Capabilities []string     `json:"capabilities"`
		MaxTTL       int64        `json:"maxTTL"` // seconds
		Served       string       `json:"served"` // "local" or "aws"
		Limits       stage.Limits `json:"limits"`
	}
	// InviteName is whom an invitation is for.
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
	// A Rehearsal has the tokens for one's private stage: to publish to it, and to watch that.
	Rehearsal struct {
		Publish Token `json:"publish"`
		View    Token `json:"view"`
	}
	// An IssuedToken is the record of one.
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
	// Tokens is a list of them, newest first.
	Tokens struct {
		Tokens []IssuedToken `json:"tokens"`
	}
	// A TokenState is what became of a token.
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
	// AccessKeys is a list of them.
	AccessKeys struct {
		Keys []AccessKey `json:"keys"`
	}
	// A NewAccessKey is one with its secret, returned once.
	NewAccessKey struct {
		AccessKey
		Key string `json:"key"`
	}
	// A View is a viewing key for a browser source.
	View struct {
		ID         string     `json:"id"`
		Stage      stage.ARN  `json:"stage"`
		View       string     `json:"view"`
		Name       string     `json:"name,omitempty"` // of the one who is shown, if an account
		CreatedAt  time.Time  `json:"createdAt"`
		LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	}
	// Views is a list of them.
	Views struct {
		Views []View `json:"views"`
	}
	// A CreatedView is one with the address for OBS, returned once.
	CreatedView struct {
		View
		URL string `json:"url"`
	}
	// A ViewToken is a token for a browser source.
	ViewToken struct {
		Token
		View string `json:"view"`
	}
	// An IVSSDK is where Amazon's web SDK is loaded from.
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
	// Users is a list of them.
	Users struct {
		Users []User `json:"users"`
	}
	// A Grant is the access of a user to a stage.
	Grant struct {
		Stage        stage.ARN `json:"stage"`
		Capabilities []string  `json:"capabilities"`
		MaxTTL       int64     `json:"maxTTL"` // seconds
	}
	// A Stage is one as the operator sees it.
	Stage struct {
		ARN          stage.ARN    `json:"arn"`
		Name         string       `json:"name"`
		Served       string       `json:"served"`
		Limits       stage.Limits `json:"limits"`
		Participants []Presence   `json:"participants"`
		Trouble      string       `json:"trouble,omitempty"`  // why it is not known who is there
		IssuedBy     string       `json:"issuedBy,omitempty"` // who issues tokens for an AWS stage, and why
	}
	// AWSStages are what AWS has, to choose from.
	AWSStages struct {
		Regions  []string     `json:"regions"` // that are served
		Stages   []AWSStage   `json:"stages"`
		Troubles []AWSTrouble `json:"troubles,omitempty"` // of regions that cannot be listed
	}
	// An AWSTrouble is why the stages of a region are not known.
	AWSTrouble struct {
		Region  string `json:"region"`
		Trouble string `json:"trouble"`
	}
	// An AWSStage is a stage that AWS has.
	AWSStage struct {
		ARN   stage.ARN `json:"arn"`
		Name  string    `json:"name"`
		Added bool      `json:"added"`
	}
	// A StageSession is the time from the first arrival on an AWS stage until the last one left.
	StageSession struct {
		ID        string     `json:"id"`
		StartedAt time.Time  `json:"startedAt"`
		EndedAt   *time.Time `json:"endedAt,omitempty"` // absent while it goes on
	}
	// StageSessions is a list of them, the latest first.
	StageSessions struct {
		Sessions []StageSession `json:"sessions"`
	}
	// Stages is a list of them.
	Stages struct {
		Stages []Stage `json:"stages"`
	}
)

// What event streams say beside what package feed defines.
type (
	// A ChatHistory is the chat of a stage, as it is now and for one caller.
	ChatHistory struct {
		Messages  []ChatMessage `json:"messages"` // oldest first
		Posts     bool          `json:"posts"`
		Moderates bool          `json:"moderates"`
		Muted     []Person      `json:"muted"` // for moderators
	}
)

// The types of package feed, as the generated declarations and other packages name them.
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
	return feed.Viewer{User: who.ID, Operator: seesReception(who)}
}

// seesReception reports whether a user sees what stages receive from others: operators of all
// stages, moderators of those that they see at all.
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
