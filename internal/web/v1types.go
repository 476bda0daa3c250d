package web

import (
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// The bodies of the API for programs. A list that has `next` is returned in pages: `next` is the
// parameter "after" for the following page, and is absent on the last page.
type (
	// A V1User is a user.
	V1User struct {
		ID          access.UserID `json:"id"`
		Name        string        `json:"name"`
		Role        access.Role   `json:"role"`
		CreatedAt   time.Time     `json:"createdAt"`
		LastSeenAt  *time.Time    `json:"lastSeenAt,omitempty"`
		Invited     bool          `json:"invited"`
		SuspendedAt *time.Time    `json:"suspendedAt,omitempty"`
		// number of stages to which the user has access, at most 1000
		Stages int `json:"stages"`
	}
	// A V1Users is a page of users.
	V1Users struct {
		Users []V1User `json:"users"`
		Next  string   `json:"next,omitempty"`
	}
	// A V1UserDetail is a user with all grants.
	V1UserDetail struct {
		V1User
		Grants []V1Grant `json:"grants"`
		Docks  []Dock    `json:"docks"`
		// OwnStagesOf contains the rules that create stages. For each rule, it states the user's
		// access to all of its stages. Grants does not contain this access.
		OwnStagesOf []V1RuleGrant `json:"ownStagesOf"`
	}
	// A V1RuleGrant is the access that a user has to all stages of a rule that creates stages.
	V1RuleGrant struct {
		Rule         access.RuleID `json:"rule"`
		OwnStage     string        `json:"ownStage"` // the pattern of the stages' names
		Capabilities []string      `json:"capabilities"`
		MaxTTL       int64         `json:"maxTTL"` // seconds
	}
	// A V1Grant is the access of a user to a stage.
	V1Grant struct {
		Stage        stage.ARN `json:"stage"`
		Name         string    `json:"name"` // of the stage
		Capabilities []string  `json:"capabilities"`
		MaxTTL       int64     `json:"maxTTL"` // seconds
		ByRule       bool      `json:"byRule"`

		// when the user was barred from the stage and so gets no more tokens for it
		BarredAt     *time.Time `json:"barredAt,omitempty"`
		BarredReason string     `json:"barredReason,omitempty"`
		BarredBy     string     `json:"barredBy,omitempty"` // name of the person who barred the user
	}
	// A V1UserChange changes the name or the role of a user. An absent member changes nothing.
	V1UserChange struct {
		Name string      `json:"name,omitempty"`
		Role access.Role `json:"role,omitempty"`
	}
	// A V1Reason is the reason for an operation.
	V1Reason struct {
		Reason string `json:"reason,omitempty"`
	}
	// A V1Stage is a stage.
	V1Stage struct {
		ARN       stage.ARN    `json:"arn"`
		Name      string       `json:"name"`
		Served    string       `json:"served"`
		Limits    stage.Limits `json:"limits"`
		CreatedAt time.Time    `json:"createdAt"`
		// number of users with access, at most 1000
		Users int `json:"users"`
		// for an AWS stage: what issues its tokens, and the reason why it does
		IssuedBy string `json:"issuedBy,omitempty"`
	}
	// A V1Stages is a page of stages.
	V1Stages struct {
		Stages []V1Stage `json:"stages"`
		Next   string    `json:"next,omitempty"`
	}
	// A V1Participants lists the presence of the stages that are not empty.
	V1Participants struct {
		Stages []V1StageParticipants `json:"stages"`
	}
	// A V1StageParticipants lists the presence of a stage.
	V1StageParticipants struct {
		Stage        stage.ARN  `json:"stage"`
		Name         string     `json:"name"`
		Participants []Presence `json:"participants"`
		Trouble      string     `json:"trouble,omitempty"` // why the presence is not known
	}
	// A V1Token is the record of a token.
	V1Token struct {
		IssuedToken
		State access.TokenState `json:"state"`
	}
	// A V1Tokens is a page of tokens, newest first.
	V1Tokens struct {
		Tokens []V1Token `json:"tokens"`
		Next   string    `json:"next,omitempty"`
	}
	// A V1Event is something that happened to a participant.
	V1Event struct {
		ID            int64               `json:"id"`
		Time          time.Time           `json:"time"`
		Kind          string              `json:"kind"`
		Stage         stage.ARN           `json:"stage"`
		ParticipantID stage.ParticipantID `json:"participantId"`
		User          access.UserID       `json:"userId,omitempty"`
		Code          string              `json:"code,omitempty"`
		Detail        string              `json:"detail,omitempty"`
		By            *access.Kicker      `json:"by,omitempty"`     // who kicked the participant
		Barred        bool                `json:"barred,omitempty"` // the user gets no more tokens
	}
	// A V1Events is a page of events, newest first.
	V1Events struct {
		Events []V1Event `json:"events"`
		Next   string    `json:"next,omitempty"`
	}
	// A V1Entry is an entry of the audit trail.
	V1Entry struct {
		ID         string        `json:"id"`
		Time       time.Time     `json:"time"`
		Action     access.Action `json:"action"`
		Actor      Person        `json:"actor"`
		Credential access.Kind   `json:"credential"`
		// CredentialID is the ID of the login, key or link by which the actor acted.
		CredentialID string `json:"credentialId,omitempty"`

		Address    string        `json:"address,omitempty"`
		Agent      string        `json:"agent,omitempty"`
		Target     string        `json:"target,omitempty"`
		TargetName string        `json:"targetName,omitempty"`
		TargetUser access.UserID `json:"targetUser,omitempty"` // the user who owns the target
		Stage      stage.ARN     `json:"stage,omitempty"`
		Detail     string        `json:"detail,omitempty"`
	}
	// A V1Audit is a page of the audit trail, newest first.
	V1Audit struct {
		Entries []V1Entry `json:"audit"`
		Next    string    `json:"next,omitempty"`
	}
	// A V1DockLinkRequest registers a user of another application.
	V1DockLinkRequest struct {
		ExternalID string        `json:"externalId"`
		Name       string        `json:"name"`
		Stages     []V1LinkStage `json:"stages,omitempty"`
	}
	// A V1LinkStage is a stage to which the user gets access, with both capabilities by default.
	V1LinkStage struct {
		ARN          stage.ARN `json:"arn"`
		Capabilities []string  `json:"capabilities,omitempty"`
		MaxTTL       *int64    `json:"maxTTL,omitempty"` // seconds
	}
	// A V1DockLink signs in one dock, once.
	V1DockLink struct {
		URL       string    `json:"url"`
		ExpiresAt time.Time `json:"expiresAt"`
		User      Person    `json:"user"`
	}
	// A V1Rule gives access by a claim.
	V1Rule struct {
		ID    access.RuleID `json:"id,omitempty"`
		Claim string        `json:"claim,omitempty"` // empty: every user
		Value string        `json:"value,omitempty"`
		Stage stage.ARN     `json:"stage,omitempty"`
		// name of each user's own stage, with {name}
		OwnStage string `json:"ownStage,omitempty"`
		Region   string `json:"region,omitempty"` // AWS region of the stages that the rule creates
		// ID of another rule that has an ownStage; this rule gives access to all stages of that
		// rule
		OwnStagesOf  access.RuleID `json:"ownStagesOf,omitempty"`
		Capabilities []string      `json:"capabilities"`
		MaxTTL       *int64        `json:"maxTTL,omitempty"` // seconds
	}
	// A V1Rules lists the rules.
	V1Rules struct {
		Rules []V1Rule `json:"rules"`
	}
	// A V1RuleEffect counts the users whom a rule would affect. Operators only count if the rule
	// would create a stage for them.
	V1RuleEffect struct {
		Gain int `json:"gain"` // number of users who would get access to a stage
		// number of users who would lose access to a stage; this revokes their open tokens for it
		Lose   int      `json:"lose"`
		Change int      `json:"change"` // number of users whose grant would change
		Losing []string `json:"losing"` // names of at most 10 of the users who lose access
	}
	// A V1NewAPIKey requests an API key.
	V1NewAPIKey struct {
		Name   string         `json:"name"`
		Scopes []access.Scope `json:"scopes,omitempty"` // empty means all
		Days   int            `json:"days,omitempty"`   // 0 means that it never expires
	}
	// A V1APIKey is an API key without its secret.
	V1APIKey struct {
		ID         string         `json:"id"`
		Name       string         `json:"name"`
		Scopes     []access.Scope `json:"scopes"`
		CreatedAt  time.Time      `json:"createdAt"`
		CreatedBy  string         `json:"createdBy"`
		ExpiresAt  *time.Time     `json:"expiresAt,omitempty"`
		LastUsedAt *time.Time     `json:"lastUsedAt,omitempty"`
	}
	// A V1CreatedAPIKey is an API key with its secret, which is returned once.
	V1CreatedAPIKey struct {
		V1APIKey
		Key string `json:"key"`
	}
	// A V1APIKeys lists the API keys.
	V1APIKeys struct {
		Keys []V1APIKey `json:"keys"`
	}
	// A V1NewWebhook registers an endpoint.
	V1NewWebhook struct {
		URL   string   `json:"url"`
		Types []string `json:"types"`
	}
	// A V1Webhook is an endpoint that receives messages.
	V1Webhook struct {
		ID        access.WebhookID `json:"id"`
		URL       string           `json:"url"`
		Types     []string         `json:"types"`
		CreatedAt time.Time        `json:"createdAt"`
		CreatedBy string           `json:"createdBy"`
		// FailedAt is when the last attempt failed. It is absent if the last attempt succeeded.
		FailedAt *time.Time `json:"failedAt,omitempty"`
		Failure  string     `json:"failure,omitempty"` // why it failed
	}
	// A V1CreatedWebhook is a webhook with its secret, which is returned once.
	V1CreatedWebhook struct {
		V1Webhook
		Secret string `json:"secret"`
	}
	// A V1Webhooks lists the webhooks, and all types of messages.
	V1Webhooks struct {
		Webhooks []V1Webhook `json:"webhooks"`
		Types    []string    `json:"types"`
	}
	// A V1Delivery is a message that a receiver did not accept.
	V1Delivery struct {
		ID        string    `json:"id"`
		Type      string    `json:"type"`
		CreatedAt time.Time `json:"createdAt"`
		Attempts  int       `json:"attempts"`
		Status    int       `json:"status"` // HTTP status; 0 if there was no answer
		Reason    string    `json:"reason"`
		DeadAt    time.Time `json:"deadAt"`
	}
	// A V1Deliveries lists the deliveries of a webhook that are not retried any more, newest first.
	V1Deliveries struct {
		Deliveries []V1Delivery `json:"deliveries"`
	}
	// A V1Replayed is the number of deliveries that are sent again.
	V1Replayed struct {
		Replayed int `json:"replayed"`
	}
	// A V1Queued has the ID of a queued delivery.
	V1Queued struct {
		Delivery string `json:"delivery"`
	}
)

func v1User(u access.ListedUser) V1User {
	return V1User{
		ID: u.ID, Name: u.Name, Role: u.Role, CreatedAt: u.CreatedAt.UTC(),
		LastSeenAt: optional(u.LastSeenAt),
		Invited:    u.Invited, SuspendedAt: optional(u.SuspendedAt), Stages: u.Stages,
	}
}

func v1Stage(s access.ListedStage) V1Stage {
	return V1Stage{
		ARN: s.ARN, Name: s.Name, Served: served(s.ARN), Limits: s.Limits,
		CreatedAt: s.CreatedAt.UTC(), Users: s.Users,
	}
}

func v1Event(e access.StoredEvent) V1Event {
	return V1Event{
		ID: e.ID, Time: e.Time.UTC(), Kind: string(e.Kind), Stage: e.Stage,
		ParticipantID: e.Participant,
		User:          e.User, Code: e.Code, Detail: e.Detail, By: e.Kicker(), Barred: e.Barred,
	}
}

func v1Entry(e access.Entry) V1Entry {
	return V1Entry{
		ID: e.ID, Time: e.At.UTC(), Action: e.Action, Actor: Person{ID: e.Actor, Name: e.ActorName},
		Credential: e.Credential, CredentialID: e.CredentialID, Address: e.Address, Agent: e.Agent,
		Target: e.Target, TargetName: e.TargetName, TargetUser: e.TargetUser, Stage: e.Stage,
		Detail: e.Detail,
	}
}

func v1Rule(r access.Rule) V1Rule {
	life := int64(r.MaxTTL / time.Second)
	return V1Rule{
		ID: r.ID, Claim: r.Claim.Name, Value: r.Claim.Value, Stage: r.Stage, OwnStage: r.Own,
		Region: r.Region, OwnStagesOf: r.OwnOf,
		Capabilities: r.Capabilities.Words(), MaxTTL: &life,
	}
}

func v1APIKey(k access.APIKey) V1APIKey {
	return V1APIKey{
		ID: k.ID, Name: k.Name, Scopes: k.Scopes, CreatedAt: k.CreatedAt.UTC(),
		CreatedBy: k.CreatedBy,
		ExpiresAt: optional(k.ExpiresAt), LastUsedAt: optional(k.LastUsedAt),
	}
}

func v1Webhook(w access.Webhook) V1Webhook {
	return V1Webhook{
		ID: w.ID, URL: w.URL, Types: w.Types, CreatedAt: w.CreatedAt.UTC(), CreatedBy: w.CreatedBy,
		FailedAt: optional(w.FailedAt), Failure: w.Failure,
	}
}

func v1Delivery(d access.Delivery) V1Delivery {
	return V1Delivery{
		ID: d.ID, Type: d.Type, CreatedAt: d.CreatedAt.UTC(), Attempts: d.Attempts,
		Status: d.Status,
		Reason: d.Reason, DeadAt: d.DeadAt.UTC(),
	}
}
