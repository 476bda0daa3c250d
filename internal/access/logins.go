package access

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	// loginLife is the life of a login since its last use.
	loginLife = 30 * 24 * time.Hour
	// touchEvery is how often the use of a login or a key is recorded, so that most requests write
	// nothing.
	touchEvery = time.Minute
	// renewEvery is how often the expiry of a login moves. Each move sends the cookie again.
	renewEvery = 24 * time.Hour
	// maxLogins limits the logins of one account: one more ends the oldest.
	maxLogins = 50
)

// A Login is a signed-in browser, as its user sees it.
type Login struct {
	ID         string
	Agent      string // the User-Agent
	Address    string // from which it signed in
	CreatedAt  time.Time
	LastUsedAt time.Time // the last use may be up to a minute later, see touchEvery
	Current    bool      // the login of the caller
}

// Logins recognizes, lists and ends logins.
type Logins struct {
	*trail
	keys     keyring
	sessions *sessions
	caches   *caches
}

// List lists the logins of a user, the latest used first. Callers may list their own, and operators
// those of any user.
func (l *Logins) List(ctx context.Context, by Principal, id UserID) ([]Login, error) {
	if err := mayEndLogins(by, id); err != nil {
		return nil, err
	}
	creds, err := l.store.Credentials(ctx, Match{Kind: KindLogin, User: id})
	if err != nil {
		return nil, err
	}
	logins := []Login{}
	for _, cred := range creds {
		if !l.now().Before(cred.ExpiresAt) {
			continue
		}
		logins = append(logins, Login{
			ID: cred.ID, Agent: cred.Client.Agent, Address: cred.Client.Address,
			CreatedAt: cred.CreatedAt, LastUsedAt: cred.UsedAt, Current: cred.ID == by.CredentialID,
		})
	}
	slices.SortStableFunc(logins, func(a, b Login) int {
		return cmp.Or(b.LastUsedAt.Compare(a.LastUsedAt), b.CreatedAt.Compare(a.CreatedAt))
	})
	return logins, nil
}

// End signs out one browser of a user: of the caller, or of any user for an operator. Its view
// tokens end; its broadcasts go on.
func (l *Logins) End(ctx context.Context, by Principal, id UserID, login string) error {
	if err := mayEndLogins(by, id); err != nil {
		return err
	}
	if by.Key != "" && login != by.CredentialID {
		return signInYourself()
	}
	if !stage.ValidID(login) || id == "" {
		return noSuch("login")
	}
	var revoked []Issuance
	err := l.store.Atomically(ctx, func(tx Store) error {
		account, err := accountOf(ctx, tx, id)
		if err != nil {
			return err
		}
		n, err := tx.DeleteCredentials(ctx, Match{Kind: KindLogin, ID: login, User: id})
		if err != nil || n == 0 {
			return cmpErr(err, noSuch("login"))
		}
		if revoked, err = l.outbox.revokeOrphans(ctx, tx, id); err != nil {
			return err
		}
		return l.note(ctx, tx, by, userEntry(ActionLoginEnded, account))
	})
	if err != nil {
		return err
	}
	l.caches.changed(id)
	l.sessions.endOrLog(ctx, revoked, reasonLogin.sentence())
	return nil
}

// EndAll signs out a user everywhere: the caller, or any user for an operator. It also ends the
// codes that would sign in a dock, and the view tokens of the logins. Access keys stay valid and
// broadcasts go on.
func (l *Logins) EndAll(ctx context.Context, by Principal, id UserID) error {
	scope := ScopeUsers
	if by.User.ID == id {
		scope = ScopeAccount
	}
	if err := by.Require(scope); err != nil {
		return err
	}
	if by.Key != "" {
		return signInYourself()
	}
	account, err := accountOf(ctx, l.store, id)
	if err != nil {
		return err
	}
	revoked, err := l.endMatching(ctx, by, account.User, Match{User: id})
	if err != nil {
		return err
	}
	l.caches.changed(id)
	l.sessions.endOrLog(ctx, revoked, reasonLogin.sentence())
	return nil
}

// LogOut ends the login of the caller.
func (l *Logins) LogOut(ctx context.Context, who Principal) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	match := Match{ID: who.CredentialID, User: who.User.ID}
	revoked, err := l.endMatching(ctx, who, who.User, match)
	if err != nil {
		return err
	}
	l.caches.changed(who.User.ID)
	l.sessions.endOrLog(ctx, revoked, reasonLogin.sentence())
	return nil
}

// endMatching deletes the matching logins of one user, and revokes their view tokens. If it deletes
// all logins, it also deletes the user's unused codes, since each could still create a login.
func (l *Logins) endMatching(
	ctx context.Context, by Principal, user User, match Match,
) (revoked []Issuance, err error) {
	match.Kind = KindLogin
	err = l.store.Atomically(ctx, func(tx Store) error {
		if _, err := tx.DeleteCredentials(ctx, match); err != nil {
			return err
		}
		if match.ID == "" {
			if err := endDockCodes(ctx, tx, user.ID); err != nil {
				return err
			}
		}
		if revoked, err = l.outbox.revokeOrphans(ctx, tx, user.ID); err != nil {
			return err
		}
		return l.note(ctx, tx, by, entryAbout(ActionLoginEnded, user))
	})
	return revoked, err
}

// principal returns the principal of a cookie. If this use moved the expiry of the login, Renewed
// is set.
func (l *Logins) principal(ctx context.Context, secret stage.Secret) (Principal, error) {
	hash, now := hashOf(secret), l.now()
	cached, generation, found := l.caches.logins.get(hash)
	if found && now.Sub(cached.at) < cacheLife && now.Before(cached.login.ExpiresAt) {
		return cached.login, nil
	}
	login, err := l.read(ctx, hash, now)
	if err != nil {
		l.caches.logins.drop(hash)
		return Principal{}, err
	}
	again := login
	again.Renewed = false
	l.caches.logins.put(hash, cachedLogin{again, now}, generation)
	return login, nil
}

func (l *Logins) read(ctx context.Context, hash string, now time.Time) (Principal, error) {
	cred, account, err := l.store.Credential(ctx, KindLogin, hash)
	if err != nil {
		return Principal{}, notFoundIs(err, signInAgain())
	}
	if !now.Before(cred.ExpiresAt) {
		return Principal{}, signInAgain()
	}
	if now.Sub(cred.UsedAt) < touchEvery {
		return principalOf(cred, account), nil
	}
	return l.renew(ctx, cred, account, now), nil
}

func (l *Logins) renew(
	ctx context.Context, cred Credential, account Account, now time.Time,
) Principal {
	used := cred
	used.UsedAt = now
	gained := now.Add(loginLife).Sub(cred.ExpiresAt)
	renewed := !labelOf(cred.Label).external && gained >= renewEvery
	if renewed {
		used.ExpiresAt = now.Add(loginLife)
	}
	if !l.keys.touch(ctx, used) {
		return principalOf(cred, account)
	}
	account.LastSeenAt = now
	login := principalOf(used, account)
	login.Renewed = renewed
	return login
}

// mayEndLogins returns an error unless the logins are the caller's own, or the caller is an
// operator.
func mayEndLogins(by Principal, id UserID) error {
	if by.User.ID == id {
		return by.Require(ScopeAccount)
	}
	return by.Require(ScopeUsers)
}

// principalOf returns the principal of a credential that acts for its account.
func principalOf(cred Credential, account Account) Principal {
	var label loginLabel
	if cred.Kind == KindLogin {
		if label = labelOf(cred.Label); label.key != "" {
			account.Role = Broadcaster
		}
	}
	return Principal{
		Key: label.key, Passkey: label.passkey, ByProvider: label.provider,
		origin: cmp.Or(label.passkey, label.from),
		Kind:   cred.Kind, CredentialID: cred.ID, User: account.User, Revision: account.Revision,
		CreatedAt: cred.CreatedAt, UsedAt: cred.UsedAt, ExpiresAt: cred.ExpiresAt,
		Client: cred.Client, HasPassword: account.Password != "",
	}
}

func signInAgain() error {
	return stage.Errorf(stage.ErrUnauthorized, "Your login has ended; sign in again.")
}
