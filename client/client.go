// Package client calls the API for programs of a Stagedoor server. GET /api/openapi.json of the
// server describes every call. This package has methods for the calls that applications need most,
// and Do for the others.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// A Client calls one server with an API key.
type Client struct {
	URL  string       // the public URL of the server
	Key  string       // sdo_…
	HTTP *http.Client // nil for http.DefaultClient
}

// An Error is a problem that the server returned (RFC 9457).
type Error struct {
	Status int    `json:"status"`
	Code   string `json:"code"` // stable, for programs
	Detail string `json:"detail"`
}

// Error returns the problem as one line of text.
func (e *Error) Error() string {
	return fmt.Sprintf("stagedoor: %s (%d %s)", e.Detail, e.Status, e.Code)
}

// Do sends a request to a path below /api/v1, such as "/users". The parameter `in` is the value to
// send as the body of the request. Do decodes the body of the response into `out`. Both `in` and
// `out` may be nil.
func (c *Client) Do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(c.URL, "/")+"/api/v1"+path,
		body)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+c.Key)
	if in != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		problem := &Error{Status: answer.StatusCode}
		// If a proxy answered with a page that is not JSON, the problem's Detail stays empty.
		json.NewDecoder(io.LimitReader(answer.Body, 1<<16)).Decode(problem)
		return problem
	}
	if out == nil || answer.StatusCode == http.StatusNoContent {
		return nil
	}
	return json.NewDecoder(answer.Body).Decode(out)
}

// A LinkStage is a stage to which a dock link gives access. Without capabilities it gives publish
// and subscribe.
type LinkStage struct {
	ARN          string   `json:"arn"`
	Capabilities []string `json:"capabilities,omitempty"`
	MaxTTL       int64    `json:"maxTTL,omitempty"` // seconds
}

// A DockLink signs in the dock that opens its URL, once.
type DockLink struct {
	URL       string    `json:"url"`
	ExpiresAt time.Time `json:"expiresAt"`
	User      struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"user"`
}

// CreateDockLink creates or updates the user with an external ID, and returns a link for their
// dock. If the request names no stages, the user's access does not change.
func (c *Client) CreateDockLink(
	ctx context.Context, externalID, name string, stages ...LinkStage,
) (DockLink, error) {
	in := struct {
		ExternalID string      `json:"externalId"`
		Name       string      `json:"name"`
		Stages     []LinkStage `json:"stages,omitempty"`
	}{externalID, name, stages}
	var link DockLink
	err := c.Do(ctx, http.MethodPost, "/dock-links", in, &link)
	return link, err
}

// A User is a user in a list.
type User struct {
	ID          string     `json:"id"`
	Name        string     `json:"name"`
	Role        string     `json:"role"`
	CreatedAt   time.Time  `json:"createdAt"`
	LastSeenAt  *time.Time `json:"lastSeenAt"`
	Invited     bool       `json:"invited"`
	SuspendedAt *time.Time `json:"suspendedAt"`
	Stages      int        `json:"stages"`
}

// Users iterates over all users whose name contains `q`, page by page. It stops at the first error.
func (c *Client) Users(ctx context.Context, q string) iter.Seq2[User, error] {
	return func(yield func(User, error) bool) {
		for after := ""; ; {
			var page struct {
				Users []User `json:"users"`
				Next  string `json:"next"`
			}
			query := url.Values{"q": {q}, "after": {after}, "limit": {"200"}}
			if err := c.Do(ctx, http.MethodGet, "/users?"+query.Encode(), nil, &page); err != nil {
				yield(User{}, err)
				return
			}
			for _, u := range page.Users {
				if !yield(u, nil) {
					return
				}
			}
			if after = page.Next; after == "" {
				return
			}
		}
	}
}

// Suspend ends a user's logins, tokens and broadcasts. The user gets no new ones until Restore.
func (c *Client) Suspend(ctx context.Context, user, reason string) error {
	in := struct {
		Reason string `json:"reason,omitempty"`
	}{reason}
	return c.Do(ctx, http.MethodPost, "/users/"+url.PathEscape(user)+"/suspend", in, nil)
}

// Restore restores a suspended user.
func (c *Client) Restore(ctx context.Context, user string) error {
	return c.Do(ctx, http.MethodPost, "/users/"+url.PathEscape(user)+"/restore", nil, nil)
}

// Kick disconnects a participant and revokes the participant's token. If `bar` is true, it revokes
// every token of the user for the stage, and the user gets no new one for that stage until Unbar.
func (c *Client) Kick(ctx context.Context, stage, participant, reason string, bar bool) error {
	in := struct {
		Reason string `json:"reason,omitempty"`
		Bar    bool   `json:"bar,omitempty"`
	}{reason, bar}
	path := "/stages/" + url.PathEscape(stage) + "/participants/" + url.PathEscape(participant)
	return c.Do(ctx, http.MethodDelete, path, in, nil)
}

// Unbar lets a barred user get tokens for the stage again.
func (c *Client) Unbar(ctx context.Context, user, stage string) error {
	path := "/users/" + url.PathEscape(user) + "/grants/" + url.PathEscape(stage) + "/bar"
	return c.Do(ctx, http.MethodDelete, path, nil, nil)
}

// A Bar keeps a user off a stage until Unbar.
type Bar struct {
	User struct {
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"user"`
	Stage  string    `json:"stage"`
	Since  time.Time `json:"since"`
	Reason string    `json:"reason"`
	By     string    `json:"by"` // name of the person who barred the user
}

// Bars lists the newest bars of one stage or of all ("").
func (c *Client) Bars(ctx context.Context, stage string) ([]Bar, error) {
	var page struct {
		Bars []Bar `json:"bars"`
	}
	query := url.Values{"stage": {stage}}
	err := c.Do(ctx, http.MethodGet, "/bars?"+query.Encode(), nil, &page)
	return page.Bars, err
}

// A Refusal is a connection that a stage refused.
type Refusal struct {
	Time          time.Time `json:"time"`
	Stage         string    `json:"stage"`
	ParticipantID string    `json:"participantId"`
	UserID        string    `json:"userId"`
	Name          string    `json:"name"` // of the user or the guest
	Code          string    `json:"code"` // stable, for programs
	Detail        string    `json:"detail"`
}

// Refusals lists the newest refusals within the last hour, of one stage or of all ("").
func (c *Client) Refusals(ctx context.Context, stage string) ([]Refusal, error) {
	var page struct {
		Refusals []Refusal `json:"refusals"`
	}
	query := url.Values{"stage": {stage}}
	err := c.Do(ctx, http.MethodGet, "/refusals?"+query.Encode(), nil, &page)
	return page.Refusals, err
}

// A Participant is a participant on a stage.
type Participant struct {
	ID         string    `json:"participantId"`
	UserID     string    `json:"userId"`
	Name       string    `json:"name"`
	Since      time.Time `json:"since"`
	Publishing bool      `json:"publishing"`
	Viewers    int       `json:"viewers"`
}

// A StagePresence lists the participants on a stage.
type StagePresence struct {
	Stage        string        `json:"stage"`
	Name         string        `json:"name"`
	Participants []Participant `json:"participants"`
	Trouble      string        `json:"trouble"` // why the list could not be read
}

// Participants lists the participants on a stage. If `stage` is "", it lists those on all stages
// that are not empty.
func (c *Client) Participants(ctx context.Context, stage string) ([]StagePresence, error) {
	var list struct {
		Stages []StagePresence `json:"stages"`
	}
	query := url.Values{"stage": {stage}}
	err := c.Do(ctx, http.MethodGet, "/participants?"+query.Encode(), nil, &list)
	return list.Stages, err
}

// A Rule gives access to all users with a certain claim, or to every user if Claim is empty. It
// gives access to one stage, to a stage of each user's own, or to all stages of another rule.
type Rule struct {
	ID           string   `json:"id,omitempty"`
	Claim        string   `json:"claim,omitempty"`
	Value        string   `json:"value,omitempty"`
	Stage        string   `json:"stage,omitempty"`
	OwnStage     string   `json:"ownStage,omitempty"`    // stage name; {name} is the user's name
	Region       string   `json:"region,omitempty"`      // AWS region of the stages that the rule creates
	OwnStagesOf  string   `json:"ownStagesOf,omitempty"` // ID of the rule that creates the stages
	Capabilities []string `json:"capabilities"`
	MaxTTL       int64    `json:"maxTTL,omitempty"` // seconds
}

// A RuleEffect counts the users whom a rule would affect.
type RuleEffect struct {
	Gain   int      `json:"gain"`
	Lose   int      `json:"lose"`
	Change int      `json:"change"`
	Losing []string `json:"losing"` // names of at most 10 of the users who lose access
}

// Rules lists the rules.
func (c *Client) Rules(ctx context.Context) ([]Rule, error) {
	var list struct {
		Rules []Rule `json:"rules"`
	}
	err := c.Do(ctx, http.MethodGet, "/rules", nil, &list)
	return list.Rules, err
}

// EffectOf returns what PutRule would change, and changes nothing.
func (c *Client) EffectOf(ctx context.Context, r Rule) (RuleEffect, error) {
	var effect RuleEffect
	err := c.Do(ctx, http.MethodPost, "/rules/effect", r, &effect)
	return effect, err
}

// PutRule adds a rule and applies it to all users. If the rule has an ID, it replaces the stored
// rule with this ID.
func (c *Client) PutRule(ctx context.Context, r Rule) (Rule, error) {
	method, path := http.MethodPost, "/rules"
	if r.ID != "" {
		method, path = http.MethodPut, "/rules/"+url.PathEscape(r.ID)
	}
	var stored Rule
	err := c.Do(ctx, method, path, r, &stored)
	return stored, err
}

// RemoveRule removes a rule, and the access that only this rule gives.
func (c *Client) RemoveRule(ctx context.Context, id string) error {
	return c.Do(ctx, http.MethodDelete, "/rules/"+url.PathEscape(id), nil, nil)
}
