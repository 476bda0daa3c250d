package access

import (
	"reflect"
	"slices"
	"testing"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// TestEveryCredentialOfARequestCounts: requests that differ only in one credential have different
// keys, so that Recall returns the principal of the credential in the request. Clone keeps each
// credential.
func TestEveryCredentialOfARequestCounts(t *testing.T) {
	t.Parallel()
	keys := map[credentialKey]string{(Presented{}).key(): "no credential"}
	fields := reflect.TypeFor[Presented]()
	for i := range fields.NumField() {
		field := fields.Field(i)
		if field.Type != reflect.TypeFor[stage.Secret]() {
			continue
		}
		for _, value := range []string{"one", "another"} {
			var p Presented
			reflect.ValueOf(&p).Elem().Field(i).Set(reflect.ValueOf(stage.NewSecret(value)))
			if same, found := keys[p.key()]; found {
				t.Errorf("%s %q has the key of %s, want one of its own", field.Name, value, same)
			}
			keys[p.key()] = field.Name
			if got := p.Clone().key(); got != p.key() {
				t.Errorf("the copy of %s %q has another key, want the same", field.Name, value)
			}
		}
	}
	if len(keys) < 5 {
		t.Errorf("found %d keys, want those of a login and of a bearer", len(keys))
	}
}

// TestScopesOfEachKind compares Principal.Allows with a table of all kinds and all scopes. A new
// kind needs a row, and a new scope a place in one of the lists.
func TestScopesOfEachKind(t *testing.T) {
	t.Parallel()
	own := []Scope{ScopeSelf, ScopeTokens, ScopeAccount, ScopeStage}
	operators := []Scope{
		ScopeUsers, ScopeStages, ScopeAudit, ScopeModerate, ScopeWebhooks, ScopeAPIKeys,
		ScopeSystem,
	}
	every := slices.Concat(own, operators, []Scope{ScopeView, ScopeGuest})
	login := func(r Role) Principal { return Principal{Kind: KindLogin, User: User{Role: r}} }
	operator := User{ID: "olga", Role: Operator}
	for name, want := range map[string]struct {
		who    Principal
		allows []Scope
	}{
		"nobody":           {Principal{User: operator}, nil},
		"the command line": {CommandLine(), slices.Concat(own, operators)},
		"an operator":      {login(Operator), slices.Concat(own, operators)},
		"a moderator":      {login(Moderator), slices.Concat(own, []Scope{ScopeModerate})},
		"a broadcaster":    {login(Broadcaster), own},
		"an access key":    {Principal{Kind: KindAccessKey, User: operator}, own[:2]},
		"a viewing key":    {Principal{Kind: KindViewKey}, []Scope{ScopeView, ScopeStage}},
		"a token":          {Principal{Kind: KindToken, User: operator}, []Scope{ScopeStage}},
		"a guest link":     {Principal{Kind: KindGuestLink}, []Scope{ScopeGuest}},
		"an API key for users": {
			Principal{Kind: KindAPIKey, User: operator, Scopes: []Scope{ScopeUsers}},
			[]Scope{ScopeSelf, ScopeUsers},
		},
	} {
		for _, scope := range every {
			allowed := slices.Contains(want.allows, scope)
			if got := want.who.Allows(scope); got != allowed {
				t.Errorf("%s, %s: got %v, want %v", name, scope, got, allowed)
			}
			if err := want.who.Require(scope); (err == nil) != allowed {
				t.Errorf("%s requires %s: got %v, want the same as Allows", name, scope, err)
			}
		}
	}
}
