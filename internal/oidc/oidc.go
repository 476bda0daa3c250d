// Package oidc signs people in with an OpenID Connect provider: by the authorization code flow with
// PKCE (RFC 7636), state and nonce. It returns the verified identity, and does not decide about
// accounts.
package oidc

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// PendingLife limits the time that a person may spend at the provider.
	PendingLife = 10 * time.Minute

	requestTimeout = 10 * time.Second
	leeway         = time.Minute     // allowed difference between the clocks of provider and server
	retryPause     = 5 * time.Second // pause after a failed discovery
	maxRetryPause  = time.Minute
	maxAnswer      = 1 << 20
)

// Config describes a provider and the registered client.
type Config struct {
	Issuer       string
	ClientID     string
	ClientSecret stage.Secret // empty for a public client
	RedirectURL  string       // …/api/oidc/callback
	Scopes       []string     // besides openid, profile and email
	HTTP         *http.Client // nil for a default client with a time limit
	Now          func() time.Time
	Log          *slog.Logger
}

// An Identity describes a person by the provider's claims. Issuer and Subject identify the person
// permanently. All other fields may change.
type Identity struct {
	Issuer  string
	Subject string
	Name    string
	Email   string
	// EmailVerified is the provider's claim that the address is the person's. An e-mail address
	// alone never identifies a person.
	EmailVerified bool
	Claims        map[string]any
	// Partial means that the user info could not be read, so that Claims contains only the claims
	// of the ID token.
	Partial bool
}

// Values returns a claim as a list of strings. A text, a boolean or a whole number becomes a list
// with one element. A list keeps its elements of these types. For a missing claim and for other
// types it returns nil.
func (i Identity) Values(claim string) []string {
	all, isList := i.Claims[claim].([]any)
	if !isList {
		if s, ok := valueOf(i.Claims[claim]); ok {
			return []string{s}
		}
		return nil
	}
	list := []string{}
	for _, one := range all {
		if s, ok := valueOf(one); ok {
			list = append(list, s)
		}
	}
	return list
}

// exactNumbers is the limit below which JSON readers keep whole numbers exactly (RFC 8259, 6). Two
// larger numbers may be read as the same one.
const exactNumbers = 1 << 53

// valueOf returns one value of a claim as a text.
func valueOf(claim any) (string, bool) {
	switch v := claim.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', 0, 64), v == math.Trunc(v) && math.Abs(v) < exactNumbers
	}
	return "", false
}

// A Pending is a sign-in that has begun. The browser stores its data while the person is at the
// provider.
type Pending struct {
	State    string    `json:"state"`
	Nonce    string    `json:"nonce"`
	Verifier string    `json:"verifier"`
	Until    time.Time `json:"until"`
	Next     string    `json:"next,omitempty"` // the path to open after the sign-in
}

// Encode returns the value of a cookie.
func (p Pending) Encode() string {
	text, err := json.Marshal(p)
	if err != nil {
		panic(err) // cannot happen: strings and a time can always be encoded
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

// DecodePending parses the result of Encode. For any other text it returns an empty Pending, which
// no state matches.
func DecodePending(value string) (p Pending) {
	text, err := base64.RawURLEncoding.DecodeString(value)
	if err != nil || json.Unmarshal(text, &p) != nil {
		return Pending{}
	}
	return p
}

// A Provider is one OpenID Connect provider. Its configuration is read at the first use, and again
// after a failure, so that the server starts even if the provider is unavailable.
type Provider struct {
	Config

	found atomic.Pointer[discovered] // nil before the discovery has succeeded

	mu       sync.Mutex // allows one discovery at a time
	failed   error      // guarded by mu: error of the last discovery
	failedAt time.Time  // guarded by mu
}

type discovered struct {
	provider  *gooidc.Provider
	endpoints struct {
		EndSession string `json:"end_session_endpoint"`
	}
}

// New returns a Provider. It sends no request.
func New(c Config) *Provider {
	if c.HTTP == nil {
		c.HTTP = &http.Client{Timeout: requestTimeout, Transport: bounded{http.DefaultTransport}}
	}
	return &Provider{Config: c}
}

// bounded reads at most maxAnswer bytes of a response. No valid response of a provider is longer.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	}
	return answer, err
}

// Check reads the provider's configuration, and returns an error if that fails.
func (p *Provider) Check(ctx context.Context) error {
	_, err := p.discover(ctx)
	return err
}

// Run reads the provider's configuration before the first sign-in needs it. Until that succeeds, it
// logs the errors and retries with growing pauses.
func (p *Provider) Run(ctx context.Context) error {
	for pause := retryPause; ; pause = min(2*pause, maxRetryPause) {
		if p.Check(ctx) == nil {
			return nil
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
	}
}

// discover reads the provider's configuration, once for all waiting sign-ins.
func (p *Provider) discover(ctx context.Context) (*discovered, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if found := p.found.Load(); found != nil {
		return found, nil
	}
	if p.failed != nil && p.Now().Sub(p.failedAt) < retryPause && !p.Now().Before(p.failedAt) {
		return nil, p.failed
	}
	provider, err := gooidc.NewProvider(gooidc.ClientContext(ctx, p.HTTP), p.Issuer)
	d := &discovered{provider: provider}
	if err == nil {
		err = provider.Claims(&d.endpoints)
	}
	if ctx.Err() != nil {
		return nil, unavailable(err) // the server is stopping; this is no failure of the provider
	}
	if err != nil {
		p.failed, p.failedAt = unavailable(err), p.Now()
		p.Log.WarnContext(ctx,
			"the discovery document of the OpenID Connect provider cannot be read", "issuer",
			p.Issuer, "err", err)
		return nil, p.failed
	}
	if p.failed != nil {
		p.Log.InfoContext(ctx, "the OpenID Connect provider answers", "issuer", p.Issuer)
	}
	p.failed = nil
	p.found.Store(d)
	return d, nil
}

func unavailable(cause error) error {
	return stage.Errorf(stage.ErrUnavailable,
		"The sign-in service does not answer. Try again in a minute, or tell the operator.").
		WithCode("oidc_unavailable").WithCause(cause)
}

func (p *Provider) oauth(d *discovered) *oauth2.Config {
	return &oauth2.Config{
		ClientID: p.ClientID, ClientSecret: p.ClientSecret.Reveal(),
		Endpoint:    d.provider.Endpoint(),
		RedirectURL: p.RedirectURL,
		Scopes:      append([]string{gooidc.ScopeOpenID, "profile", "email"}, p.Scopes...),
	}
}

// Begin starts a sign-in. It returns the URL for the redirect, and the data that the browser keeps
// until it comes back.
func (p *Provider) Begin(ctx context.Context, next string) (string, Pending, error) {
	// A browser that disconnects must not count as a failure of the provider: other sign-ins would
	// receive that failure for a while.
	d, err := p.discover(context.WithoutCancel(ctx))
	if err != nil {
		return "", Pending{}, err
	}
	pending := Pending{
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		Until: p.Now().Add(PendingLife), Next: next,
	}
	address := p.oauth(d).AuthCodeURL(pending.State, gooidc.Nonce(pending.Nonce),
		oauth2.S256ChallengeOption(pending.Verifier))
	return address, pending, nil
}

// Finish ends a sign-in. The parameter `query` is the query of the provider's redirect back to this
// server.
func (p *Provider) Finish(
	ctx context.Context, pending Pending, query url.Values,
) (Identity, error) {
	if err := p.checkReturn(pending, query); err != nil {
		return Identity{}, err
	}
	d, err := p.discover(context.WithoutCancel(ctx))
	if err != nil {
		return Identity{}, err
	}
	ctx, cancel := context.WithTimeout(gooidc.ClientContext(ctx, p.HTTP), requestTimeout)
	defer cancel()
	tokens, err := p.oauth(d).Exchange(ctx, query.Get("code"),
		oauth2.VerifierOption(pending.Verifier))
	if err != nil {
		return Identity{}, exchangeFailed(err)
	}
	return p.identify(ctx, d, pending, tokens)
}

func (p *Provider) checkReturn(pending Pending, query url.Values) error {
	state := query.Get("state")
	if pending.State == "" || subtle.ConstantTimeCompare([]byte(state),
		[]byte(pending.State)) != 1 {
		return refused(
			"This sign-in was not begun in this browser, or it was used already. Start again.", nil)
	}
	if p.Now().After(pending.Until) {
		return refused("This sign-in took longer than 10 minutes. Start again.", nil)
	}
	if code := query.Get("error"); code != "" {
		cause := fmt.Errorf("%s: %s", code, query.Get("error_description"))
		switch code {
		case "access_denied":
			return refused(
				"The sign-in was cancelled, or the sign-in service refuses this account.", cause)
		case "server_error", "temporarily_unavailable": // RFC 6749, 4.1.2.1
			return unavailable(cause)
		}
		return refused("The sign-in service refuses the sign-in. Tell the operator.", cause)
	}
	if query.Get("code") == "" {
		return refused("The sign-in service sent no code. Start again.", nil)
	}
	return nil
}

func exchangeFailed(err error) error {
	var answered *oauth2.RetrieveError
	if !errors.As(err, &answered) {
		return unavailable(err)
	}
	if status := answered.Response.StatusCode; status >= http.StatusInternalServerError ||
		status == http.StatusTooManyRequests {
		return unavailable(fmt.Errorf("the token endpoint answered %s", answered.Response.Status))
	}
	// The error's code (RFC 6749, 5.2) is sufficient. Its description may repeat the authorization
	// code.
	err = fmt.Errorf("the token endpoint answered %q", answered.ErrorCode)
	switch {
	case answered.ErrorCode == "invalid_grant":
		return refused("This sign-in was used already, or it is too old. Start again.", err)
	case answered.ErrorCode == "invalid_client" || answered.ErrorCode == "unauthorized_client":
		return refused(
			"The sign-in service does not accept this server: its client ID or client "+
				"secret is wrong. "+
				"Tell the operator.", err)
	}
	return refused("The sign-in service refuses the sign-in. Tell the operator.", err)
}

// identify verifies the ID token and returns its identity.
func (p *Provider) identify(
	ctx context.Context, d *discovered, pending Pending, tokens *oauth2.Token,
) (Identity, error) {
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" {
		return Identity{}, refused("The sign-in service sent no ID token. Tell the operator.", nil)
	}
	// With the earlier time, the verifier accepts a token that expired less than the leeway ago.
	// The verifier itself has a leeway for times in the future.
	verifier := d.provider.Verifier(&gooidc.Config{
		ClientID: p.ClientID, Now: func() time.Time { return p.Now().Add(-leeway) },
	})
	token, err := verifier.Verify(ctx, raw)
	if err != nil {
		return Identity{}, verifyFailed(err)
	}
	if subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(pending.Nonce)) != 1 {
		return Identity{}, refused("The sign-in service answered another sign-in. Start again.",
			nil)
	}
	claims := map[string]any{}
	if err := token.Claims(&claims); err != nil {
		return Identity{}, refused("The ID token cannot be read. Tell the operator.", err)
	}
	complete := p.addUserInfo(ctx, d, tokens, token.Subject, claims)
	who := identityOf(token, claims)
	who.Partial = !complete
	return who, nil
}

// noKeys is in the text of go-oidc's error if the provider's keys cannot be read. That error has no
// type of its own.
const noKeys = "fetching keys"

func verifyFailed(err error) error {
	if strings.Contains(err.Error(), noKeys) {
		return unavailable(err)
	}
	var expired *gooidc.TokenExpiredError
	if errors.As(err, &expired) {
		return refused(
			"The ID token has expired already: the clocks of this server and of the "+
				"sign-in service "+
				"differ. Tell the operator.", err)
	}
	return refused("The ID token does not verify. Tell the operator.", err)
}

// addUserInfo adds claims from the user info, because some providers put groups only there. Claims
// of the ID token take precedence. It returns false if there is a user info that could not be read.
func (p *Provider) addUserInfo(
	ctx context.Context, d *discovered, tokens *oauth2.Token, subject string, claims map[string]any,
) bool {
	if d.provider.UserInfoEndpoint() == "" {
		return true
	}
	info, err := d.provider.UserInfo(ctx, oauth2.StaticTokenSource(tokens))
	if err != nil || info.Subject != subject {
		p.Log.WarnContext(ctx,
			"the user info cannot be read; the claims of the ID token are used alone",
			"err", err)
		return false
	}
	more := map[string]any{}
	if err := info.Claims(&more); err != nil {
		return false
	}
	for name, value := range more {
		if _, known := claims[name]; !known {
			claims[name] = value
		}
	}
	return true
}

func identityOf(token *gooidc.IDToken, claims map[string]any) Identity {
	i := Identity{Issuer: token.Issuer, Subject: token.Subject, Claims: claims}
	text := func(name string) string {
		s, _ := claims[name].(string)
		return strings.TrimSpace(s)
	}
	i.Email = text("email")
	i.EmailVerified = claims["email_verified"] == true || claims["email_verified"] == "true"
	for _, name := range []string{"name", "preferred_username", "nickname", "cognito:username",
		"email"} {
		i.Name = text(name)
		// If a user pool of Amazon Cognito signs people in by e-mail, the user name equals the
		// subject and is not a person's name.
		if i.Name != "" && (name != "cognito:username" || i.Name != i.Subject) {
			break
		}
	}
	return i
}

// OffersLogout reports whether a browser can sign out at the provider. It sends no request. Before
// the discovery it returns true.
func (p *Provider) OffersLogout() bool {
	found := p.found.Load()
	return found == nil || found.endpoints.EndSession != ""
}

// LogoutURL returns the URL at which a browser signs out at the provider and returns to this
// server. It returns "" if the provider has none (OpenID Connect RP-Initiated Logout 1.0).
func (p *Provider) LogoutURL(ctx context.Context, back string) (string, error) {
	d, err := p.discover(context.WithoutCancel(ctx))
	if err != nil {
		return "", err
	}
	u, err := url.Parse(d.endpoints.EndSession)
	if err != nil || d.endpoints.EndSession == "" {
		return "", nil
	}
	q := u.Query()
	q.Set("client_id", p.ClientID)
	// The logout page of Amazon Cognito has a parameter of its own instead of the standard one.
	if issuer, err := url.Parse(p.Issuer); err == nil && isCognito(issuer.Hostname()) {
		q.Set("logout_uri", back)
	} else {
		q.Set("post_logout_redirect_uri", back)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// isCognito reports whether an issuer is a user pool of Amazon Cognito.
func isCognito(host string) bool {
	return strings.HasPrefix(host, "cognito-idp.") && strings.Contains(host, ".amazonaws.com")
}

func refused(sentence string, cause error) error {
	e := stage.Errorf(stage.ErrUnauthorized, "%s", sentence).WithCode("oidc_refused")
	if cause == nil {
		return e
	}
	return e.WithCause(cause)
}
