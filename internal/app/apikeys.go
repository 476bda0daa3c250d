package app

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
)

// APIKeysCommand is `stagedoor api-keys`. It works on the database, whether a server runs or not.
type APIKeysCommand struct {
	Create APIKeysCreateCommand `cmd:"" help:"Create an API key for a program, and print it, once."`
	List   APIKeysListCommand   `cmd:"" help:"List the API keys, without their secrets."`
	Revoke APIKeysRevokeCommand `cmd:"" help:"Revoke an API key by its ID."`
}

// APIKeysCreateCommand is `stagedoor api-keys create`.
type APIKeysCreateCommand struct {
	DataSettings
	AnswerSettings
	Name   string         `arg:"" help:"What the key is for."`
	Scopes []access.Scope `help:"What the key may do: ${scopes}. By default all." placeholder:"SCOPE,…"`
	Days   int            `help:"Days until the key expires; 0: it never does." default:"0"`
}

// scopeNames are the scopes of API keys, for the help.
func scopeNames() string {
	var names []string
	for _, scope := range access.APIKeyScopes() {
		names = append(names, string(scope))
	}
	return strings.Join(names, ", ")
}

// Run creates a key.
func (cmd *APIKeysCreateCommand) Run(ctx context.Context, p *process) error {
	if cmd.Days < 0 {
		return UsageError{fmt.Errorf("--days must be 0 or more, not %d", cmd.Days)}
	}
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		life := time.Duration(cmd.Days) * 24 * time.Hour
		key, secret, err := c.APIKeys.Create(ctx, access.CommandLine(), cmd.Name, cmd.Scopes, life)
		if err != nil {
			return forPerson(err)
		}
		if cmd.JSON {
			made := describeKey(key)
			made.Key = secret.Reveal()
			return printJSON(p.out, made)
		}
		_, err = fmt.Fprintln(p.out, secret.Reveal())
		return err
	})
}

// APIKeysListCommand is `stagedoor api-keys list`.
type APIKeysListCommand struct {
	DataSettings
	AnswerSettings
}

// Run lists the keys.
func (cmd *APIKeysListCommand) Run(ctx context.Context, p *process) error {
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		keys, err := c.APIKeys.List(ctx, access.CommandLine())
		if err != nil {
			return forPerson(err)
		}
		if cmd.JSON {
			list := make([]apiKeyJSON, 0, len(keys))
			for _, k := range keys {
				list = append(list, describeKey(k))
			}
			return printJSON(p.out, map[string][]apiKeyJSON{"keys": list})
		}
		w := tabwriter.NewWriter(p.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "ID\tNAME\tSCOPES\tCREATED\tLAST USED\tEXPIRES")
		for _, k := range keys {
			fmt.Fprintf(w, "%s\t%s\t%v\t%s\t%s\t%s\n", k.ID, k.Name, k.Scopes, day(k.CreatedAt),
				day(k.LastUsedAt), day(k.ExpiresAt))
		}
		return w.Flush()
	})
}

// An apiKeyJSON is an API key as --json prints it.
type apiKeyJSON struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Scopes     []access.Scope `json:"scopes"`
	CreatedAt  time.Time      `json:"createdAt"`
	CreatedBy  string         `json:"createdBy"`
	ExpiresAt  *time.Time     `json:"expiresAt,omitempty"`
	LastUsedAt *time.Time     `json:"lastUsedAt,omitempty"`
	Key        string         `json:"key,omitempty"` // the secret, when the key was just created
}

func describeKey(k access.APIKey) apiKeyJSON {
	return apiKeyJSON{
		ID: k.ID, Name: k.Name, Scopes: k.Scopes, CreatedAt: k.CreatedAt, CreatedBy: k.CreatedBy,
		ExpiresAt: timeOrNil(k.ExpiresAt), LastUsedAt: timeOrNil(k.LastUsedAt),
	}
}

func day(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.Local().Format("2006-01-02 15:04")
}

// APIKeysRevokeCommand is `stagedoor api-keys revoke`.
type APIKeysRevokeCommand struct {
	DataSettings
	ID string `arg:"" help:"ID of the key, as api-keys list prints it."`
}

// Run revokes a key.
func (cmd *APIKeysRevokeCommand) Run(ctx context.Context, p *process) error {
	return withControl(ctx, cmd.DataSettings, p, func(c *access.Control) error {
		if err := c.APIKeys.Revoke(ctx, access.CommandLine(), cmd.ID); err != nil {
			return forPerson(err)
		}
		_, err := fmt.Fprintln(p.out, "Revoked.")
		return err
	})
}
