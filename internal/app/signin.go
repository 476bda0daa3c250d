package app

import (
	"context"
	"crypto/ecdsa"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/oidc"
	"github.com/stagedoor/stagedoor/internal/passkey"
	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/web"
)

// SignInSettings set the ways to sign in.
type SignInSettings struct {
	Passwords        bool `help:"Accept name and password. Switch it off (--no-passwords) if everybody signs in with the OpenID Connect provider or a passkey; the server refuses to start while no operator could sign in." default:"true" negatable:""`
	OperatorPasskeys bool `help:"Operators need a passkey: another sign-in of theirs has the rights of a broadcaster."`

	OIDCIssuer           string        `help:"Issuer of the OpenID Connect provider with whose accounts people sign in, as its discovery document names it." placeholder:"URL" name:"oidc-issuer"`
	OIDCClientID         string        `help:"Client ID of this server at the provider. Its redirect URL there is the public URL with /api/oidc/callback behind it." placeholder:"ID" name:"oidc-client-id"`
	OIDCClientSecret     string        `help:"Client secret; prefer the variable or the file. None for a public client." placeholder:"SECRET" name:"oidc-client-secret" secret:"all"`
	OIDCClientSecretFile string        `help:"File with the client secret." placeholder:"FILE" name:"oidc-client-secret-file"`
	OIDCName             string        `help:"Name of the provider on the sign-in button." placeholder:"NAME" default:"single sign-on" name:"oidc-name"`
	OIDCScopes           []string      `help:"Scopes to ask for beside openid, profile and email." placeholder:"SCOPE,…" name:"oidc-scopes"`
	OIDCDomains          []string      `help:"Domains of verified e-mail addresses that may sign in; by default any." placeholder:"DOMAIN,…" name:"oidc-domains"`
	OIDCRequire          []string      `help:"Claims of which a person needs one to sign in, such as groups=streamers; by default none is needed." placeholder:"CLAIM=VALUE,…" name:"oidc-require"`
	OIDCOperators        []string      `help:"Claims that make an operator, such as groups=stagedoor-admins. With this or --oidc-moderators, claims decide the role at each sign-in." placeholder:"CLAIM=VALUE,…" name:"oidc-operators"`
	OIDCModerators       []string      `help:"Claims that make a moderator." placeholder:"CLAIM=VALUE,…" name:"oidc-moderators"`
	OIDCLoginLife        time.Duration `help:"How long a sign-in with the provider lasts. After that, the person has to sign in with the provider again." default:"12h" name:"oidc-login-life"`
}

// check validates the settings of the provider.
func (s *SignInSettings) check() error {
	if s.OIDCIssuer == "" {
		return nil
	}
	u, err := url.Parse(s.OIDCIssuer)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return fmt.Errorf("--oidc-issuer must be a URL such as https://login.example.com, not %q",
			s.OIDCIssuer)
	}
	if s.OIDCClientID == "" {
		return fmt.Errorf("--oidc-issuer needs --oidc-client-id, as the provider has it")
	}
	if s.OIDCLoginLife < time.Minute {
		return fmt.Errorf("--oidc-login-life must be 1m or more, not %v", s.OIDCLoginLife)
	}
	for _, domain := range s.OIDCDomains {
		if domain == "" || strings.ContainsAny(domain, "@*/ ") {
			return fmt.Errorf("--oidc-domains needs domains such as example.com, not %q", domain)
		}
	}
	_, err = s.policy()
	return err
}

func (s *SignInSettings) policy() (access.ExternalPolicy, error) {
	p := access.ExternalPolicy{
		Issuer: s.OIDCIssuer, Domains: s.OIDCDomains, LoginLife: s.OIDCLoginLife,
		Scopes: s.OIDCScopes,
	}
	for _, list := range []struct {
		flag  string
		texts []string
		into  *[]access.Claim
	}{
		{"--oidc-require", s.OIDCRequire, &p.Required},
		{"--oidc-operators", s.OIDCOperators, &p.Operators},
		{"--oidc-moderators", s.OIDCModerators, &p.Moderators},
	} {
		for _, text := range list.texts {
			claim, err := access.ParseClaim(text)
			if err != nil {
				return p, fmt.Errorf("%s: %w", list.flag, err)
			}
			*list.into = append(*list.into, claim)
		}
	}
	return p, nil
}

// secret returns the client secret, from the setting or from its file.
func (s *SignInSettings) secret() (stage.Secret, error) {
	if s.OIDCClientSecretFile == "" {
		return stage.NewSecret(s.OIDCClientSecret), nil
	}
	text, err := readSecret(s.OIDCClientSecretFile)
	if err != nil {
		return stage.Secret{}, fmt.Errorf("--oidc-client-secret-file cannot be read: %w", err)
	}
	if text = strings.TrimSpace(text); text == "" {
		return stage.Secret{}, fmt.Errorf("--oidc-client-secret-file: the file %s is empty",
			s.OIDCClientSecretFile)
	}
	return stage.NewSecret(text), nil
}

// passkeys returns a verifier of passkeys. It returns nil if the public URL has no host name to
// which browsers bind passkeys.
func (s *server) passkeys(key *ecdsa.PrivateKey) (access.PasskeyVerifier, error) {
	raw, err := key.Bytes()
	if err != nil {
		return nil, err
	}
	verifier, err := passkey.New(s.public, raw, time.Now)
	switch {
	case err == nil:
		return verifier, nil
	case s.settings.OperatorPasskeys:
		return nil, fmt.Errorf("--operator-passkeys: %w", err)
	case errors.Is(err, passkey.ErrNoDomain):
		return nil, nil
	}
	return nil, err
}

// checkWayIn returns an error if passwords are disabled and operators have no other way to sign in.
func (s *server) checkWayIn(ctx context.Context) error {
	if s.settings.Passwords {
		return nil
	}
	ok, err := s.control.OperatorsWayIn(ctx)
	if err != nil || ok {
		return err
	}
	return errors.New(
		"--no-passwords would lock every operator out: no operator has a passkey or an account " +
			"of the OpenID Connect provider yet. Start without it, sign in, add a passkey on the " +
			"account page, and " +
			"start with it again; or name the claim that makes an operator with --oidc-operators")
}

// runProvider requests the configuration of the OpenID Connect provider in the background, because
// the provider may be unavailable when the server starts.
func (s *server) runProvider(ctx context.Context, g *errgroup.Group) {
	if s.provider != nil {
		g.Go(func() error { return s.provider.Run(ctx) })
	}
}

// wireSignIn configures the ways to sign in. It sends no request to the provider.
func (s *server) wireSignIn() (web.SignIn, error) {
	settings := &s.settings.SignInSettings
	ways := web.SignIn{Passwords: settings.Passwords, Name: settings.OIDCName}
	if settings.OIDCIssuer == "" {
		return ways, nil
	}
	secret, err := settings.secret()
	if err != nil {
		return ways, err
	}
	s.provider = oidc.New(oidc.Config{
		Issuer: settings.OIDCIssuer, ClientID: settings.OIDCClientID, ClientSecret: secret,
		RedirectURL: s.public.JoinPath("api", "oidc", "callback").String(),
		Scopes:      settings.OIDCScopes,
		Now:         time.Now, Log: s.log,
	})
	ways.Provider = s.provider
	return ways, nil
}
