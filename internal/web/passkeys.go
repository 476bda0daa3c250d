package web

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// passkeys serves what browsers need for passkeys (Web Authentication Level 3).
type passkeys struct {
	*signIns
}

type (
	// passkeyOptions are the options that a browser passes to navigator.credentials.
	passkeyOptions struct {
		Options json.RawMessage `json:"options"`
	}
	// A NewPasskey registers the credential that the browser created, as
	// PublicKeyCredential.toJSON returns it, under a name.
	NewPasskey struct {
		Name   string          `json:"name"`
		Answer json.RawMessage `json:"answer"`
	}
	// A PasskeyAnswer is the browser's response at a sign-in.
	PasskeyAnswer struct {
		Answer json.RawMessage `json:"answer"`
	}
	// A PasskeyName renames a passkey.
	PasskeyName struct {
		Name string `json:"name"`
	}
	// A Passkey is a registered passkey.
	Passkey struct {
		ID         string     `json:"id"`
		Name       string     `json:"name"`
		CreatedAt  time.Time  `json:"createdAt"`
		LastUsedAt *time.Time `json:"lastUsedAt,omitempty"`
	}
	// Passkeys are the passkeys of an account.
	Passkeys struct {
		Passkeys []Passkey `json:"passkeys"`
		// the host name for which passkeys work; absent if they do not
		Host string `json:"host,omitempty"`
	}
)

func (p *passkeys) routes() []route {
	return []route{
		{"GET /api/passkeys", p.api(access.ScopeAccount, p.list)},
		{"POST /api/passkeys/options", p.api(access.ScopeAccount, p.begin)},
		{"POST /api/passkeys", p.api(access.ScopeAccount, p.add)},
		{"PATCH /api/passkeys/{id}", p.api(access.ScopeAccount, p.rename)},
		{"DELETE /api/passkeys/{id}", p.api(access.ScopeAccount, p.remove)},
		{"POST /api/login/passkey/options", p.open(p.ask)},
		{"POST /api/login/passkey", p.open(p.logIn)},
	}
}

func passkeyOf(k access.Passkey) Passkey {
	return Passkey{
		ID: k.ID, Name: k.Name, CreatedAt: k.CreatedAt.UTC(), LastUsedAt: optional(k.UsedAt),
	}
}

func (p *passkeys) list(r *http.Request, who access.Principal) (any, error) {
	all, err := p.control.Passkeys.List(r.Context(), who)
	return Passkeys{mapped(all, passkeyOf), p.control.Passkeys.Host()}, err
}

func (p *passkeys) begin(r *http.Request, who access.Principal) (any, error) {
	options, err := p.control.Passkeys.Begin(r.Context(), who)
	if err != nil {
		return nil, err
	}
	return passkeyOptions{options}, nil
}

func (p *passkeys) add(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[NewPasskey](r)
	if err != nil {
		return nil, err
	}
	made, err := p.control.Passkeys.Add(r.Context(), who, in.Name, in.Answer)
	if err != nil {
		return nil, err
	}
	return created(passkeyOf(made)), nil
}

func (p *passkeys) rename(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[PasskeyName](r)
	if err != nil {
		return nil, err
	}
	return nil, p.control.Passkeys.Rename(r.Context(), who, r.PathValue("id"), in.Name)
}

func (p *passkeys) remove(r *http.Request, who access.Principal) (any, error) {
	return nil, p.control.Passkeys.Remove(r.Context(), who, r.PathValue("id"))
}

func (p *passkeys) ask(*http.Request, access.Principal) (any, error) {
	options, err := p.control.Passkeys.Ask()
	if err != nil {
		return nil, err
	}
	return passkeyOptions{options}, nil
}

func (p *passkeys) logIn(r *http.Request, _ access.Principal) (any, error) {
	in, err := decode[PasskeyAnswer](r)
	if err != nil {
		return nil, err
	}
	from := p.signingIn(r)
	login, secret, err := p.control.Passkeys.LogIn(r.Context(), in.Answer, from)
	p.attempted("passkey", err)
	if err != nil {
		return nil, err
	}
	return p.signedIn(r, http.StatusOK, from, login, secret)
}
