package access

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/words"
)

const inviteLife = 7 * 24 * time.Hour

// A Person is a user with their grants.
type Person struct {
	User
	Grants []Grant
	// RuleGrants lists the access to all stages of a rule. Only Control.User sets it.
	RuleGrants []NamedRuleGrant
}

// A NamedRuleGrant is a RuleGrant with the pattern by which its rule names the stages.
type NamedRuleGrant struct {
	RuleGrant
	Pattern string
}

func newAccount(name string, role Role, now time.Time) Account {
	user := User{ID: UserID(stage.NewID()), Name: name, Role: role, CreatedAt: now}
	return Account{User: user, Key: nameKey(name)}
}

// AddUser creates an account without a password. It returns an invite, with which the user sets a
// password, and the expiry of the invite.
func (c *Control) AddUser(
	ctx context.Context, by Principal, name string, role Role,
) (User, stage.Secret, time.Time, error) {
	fail := func(err error) (User, stage.Secret, time.Time, error) {
		return User{}, stage.Secret{}, time.Time{}, err
	}
	if err := by.Require(ScopeUsers); err != nil {
		return fail(err)
	}
	role = cmp.Or(role, Broadcaster)
	if role != Operator && role != Moderator && role != Broadcaster {
		return fail(stage.Errorf(stage.ErrInvalid, "A role must be operator, moderator or "+
			"broadcaster."))
	}
	name, err := cleanName(name)
	if err != nil {
		return fail(err)
	}
	account := newAccount(name, role, c.cfg.Now())
	account.Invited = true
	code, cred := newInvite(account.ID, c.cfg.Now())
	var widened []UserID
	err = c.cfg.Store.Atomically(ctx, func(tx Store) error {
		if err := tx.PutAccount(ctx, account); err != nil {
			return nameTaken(err, name)
		}
		if err := tx.PutCredential(ctx, cred); err != nil {
			return err
		}
		if err := c.trail.note(ctx, tx, by, userEntry(ActionUserCreated, account)); err != nil {
			return err
		}
		_, err := c.applyRules(ctx, tx, ruling{by: by, widened: &widened}, account, nil)
		return err
	})
	if err != nil {
		return fail(err)
	}
	c.caches.changed(widened...)
	c.wakeMaker()
	return account.User, code, cred.ExpiresAt, nil
}

func nameTaken(err error, name string) error {
	if errors.Is(err, stage.ErrConflict) {
		return stage.Errorf(stage.ErrConflict, "The name %q is taken; choose another.", name).
			WithCode("name_taken")
	}
	return err
}

func accountOf(ctx context.Context, s Store, id UserID) (Account, error) {
	if !stage.ValidID(id) {
		return Account{}, noSuch("user")
	}
	account, err := s.Account(ctx, id)
	return account, notFoundIs(err, noSuch("user"))
}

// Users lists all users by name, with their grants. ListUsers reads a page of them.
func (c *Control) Users(ctx context.Context, by Principal) ([]Person, error) {
	people := []Person{}
	for page := (Page{Limit: MaxPage}); ; {
		list, err := c.ListUsers(ctx, by, UserFilter{}, page)
		if err != nil {
			return nil, err
		}
		some, err := c.withGrants(ctx, list.Items)
		if err != nil {
			return nil, err
		}
		people = append(people, some...)
		if page.After = list.Next; page.After == "" {
			return people, nil
		}
	}
}

func (c *Control) withGrants(ctx context.Context, users []ListedUser) ([]Person, error) {
	var ids []UserID
	for _, u := range users {
		ids = append(ids, u.ID)
	}
	grants, err := c.cfg.Store.Grants(ctx, ids...)
	if err != nil {
		return nil, err
	}
	of := map[UserID][]Grant{}
	for _, g := range grants {
		of[g.User] = append(of[g.User], g)
	}
	var people []Person
	for _, u := range users {
		people = append(people, Person{User: u.User, Grants: of[u.ID]})
	}
	return people, nil
}

// RemoveUser deletes an account, ends its logins, revokes its tokens and disconnects its sessions.
// The last operator who can sign in cannot be removed.
func (c *Control) RemoveUser(ctx context.Context, by Principal, id UserID) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	var revoked []Issuance
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := spareLastOperator(ctx, tx, account); err != nil {
			return err
		}
		if revoked, err = c.outbox.revokeOpen(ctx, tx, Revocation{User: id}); err != nil {
			return err
		}
		if err := c.trail.note(ctx, tx, by, userEntry(ActionUserRemoved, account)); err != nil {
			return err
		}
		return tx.DeleteAccount(ctx, id)
	})
	if err != nil {
		return err
	}
	c.caches.changed(id)
	return c.sessions.end(ctx, revoked, reasonAccount.sentence())
}

func spareLastOperator(ctx context.Context, tx Store, leaving Account) error {
	if leaving.Role != Operator {
		return nil
	}
	operators, err := tx.Operators(ctx)
	if err != nil {
		return err
	}
	for _, o := range operators {
		if o.ID != leaving.ID && !o.Invited && o.SuspendedAt.IsZero() {
			return nil
		}
	}
	return words.Error(stage.ErrConflict, "said.conflict.lastOperator",
		words.Values{"name": leaving.Name}).WithCode("conflict")
}

func userEntry(action Action, account Account) Entry { return entryAbout(action, account.User) }

func entryAbout(action Action, user User) Entry {
	return Entry{Action: action, Target: string(user.ID), TargetName: user.Name}
}

// User returns one user with all grants.
func (c *Control) User(ctx context.Context, by Principal, id UserID) (Person, error) {
	if err := by.Require(ScopeUsers); err != nil {
		return Person{}, err
	}
	account, err := accountOf(ctx, c.cfg.Store, id)
	if err != nil {
		return Person{}, err
	}
	person := Person{User: account.User}
	if person.Grants, err = c.cfg.Store.Grants(ctx, id); err != nil {
		return Person{}, err
	}
	person.RuleGrants, err = c.namedRuleGrants(ctx, id)
	return person, err
}

// UpdateUser changes the name and the role of a user; an empty value keeps the current one.
func (c *Control) UpdateUser(
	ctx context.Context, by Principal, id UserID, name string, role Role,
) error {
	if err := by.Require(ScopeUsers); err != nil {
		return err
	}
	if role != "" && role != Operator && role != Moderator && role != Broadcaster {
		return stage.Errorf(stage.ErrInvalid, "A role must be operator, moderator or broadcaster.")
	}
	var revoked []Issuance
	err := c.cfg.Store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil {
			return err
		}
		changed, err := edited(ctx, tx, account, name, role)
		if err != nil {
			return err
		}
		if err := tx.PutAccount(ctx, changed); err != nil {
			return nameTaken(err, name)
		}
		if revoked, err = c.roleChanged(ctx, tx, account.Role, changed); err != nil {
			return err
		}
		e := userEntry(ActionUserChanged, changed)
		e.Detail = "name " + changed.Name + ", role " + string(changed.Role)
		return c.trail.note(ctx, tx, by, e)
	})
	if err != nil {
		return err
	}
	c.caches.changed(id)
	return c.sessions.end(ctx, revoked, reasonRole.sentence())
}

// roleChanged revokes the open tokens of a user who is no longer an operator.
func (c *Control) roleChanged(
	ctx context.Context, tx Store, before Role, account Account,
) ([]Issuance, error) {
	if err := tx.Advance(ctx, account.ID); err != nil || before != Operator ||
		account.Role == Operator {
		return nil, err
	}
	return c.outbox.revokeOpen(ctx, tx, Revocation{User: account.ID})
}

// edited returns an account with another name or role. It returns an error if the last operator
// would lose that role.
func edited(
	ctx context.Context, tx Store, account Account, name string, role Role,
) (Account, error) {
	if name != "" {
		clean, err := cleanName(name)
		if err != nil {
			return account, err
		}
		account.Name, account.Key = clean, nameKey(clean)
	}
	if role == "" || role == account.Role {
		return account, nil
	}
	if err := spareLastOperator(ctx, tx, account); err != nil {
		return account, err
	}
	account.Role = role
	return account, nil
}
