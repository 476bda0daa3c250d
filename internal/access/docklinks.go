package access

import (
	"context"
	"time"
	"unicode/utf8"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// dockLinkLife is the life of a dock link. It is short, since people click a dock link at once.
const dockLinkLife = 10 * time.Minute

const maxExternalID = 200 // characters

// A DockLinkRequest registers a user of another application and requests a dock link for that user.
type DockLinkRequest struct {
	ExternalID string // identifies the user in the application, permanently
	Name       string
	// Grants are added to the user's access, or replace the grants on the same stages.
	Grants []Grant
}

// A DockLink signs in one dock, once.
type DockLink struct {
	User      User
	Code      stage.Secret
	ExpiresAt time.Time
}

// CreateDockLink creates or updates the user with an external ID and returns a code for their dock.
// It refuses suspended users.
func (c *Control) CreateDockLink(
	ctx context.Context, by Principal, req DockLinkRequest,
) (DockLink, error) {
	if err := by.Require(ScopeUsers); err != nil {
		return DockLink{}, err
	}
	if id := req.ExternalID; id == "" || utf8.RuneCountInString(id) > maxExternalID ||
		cleanText(id, len(id)) != id {
		return DockLink{}, stage.Errorf(stage.ErrInvalid,
			"externalId must have 1 to %d printable characters.", maxExternalID)
	}
	grants, err := checkLinkGrants(req.Grants)
	if err != nil {
		return DockLink{}, err
	}
	var link DockLink
	var revoked []Issuance
	var widened []UserID
	err = c.cfg.Store.Atomically(ctx, func(tx Store) error {
		revoked = nil
		account, err := c.linked(ctx, tx, External{
			Issuer: linkedIssuer, Subject: req.ExternalID, Name: req.Name,
		}, by)
		if err != nil {
			return err
		}
		if account, err = c.renameLinked(ctx, tx, by, account, req.Name); err != nil {
			return err
		}
		why := ruling{by: by, widened: &widened}
		if revoked, err = c.applyRules(ctx, tx, why, account, nil); err != nil {
			return err
		}
		for _, g := range grants {
			g.User = account.ID
			lost, err := c.putGrant(ctx, tx, by, g)
			if err != nil {
				return err
			}
			revoked = append(revoked, lost...)
		}
		link.User = account.User
		link.Code, link.ExpiresAt, err = c.Enrolments.put(ctx, tx, by, account, dockLinkLife,
			linkLabel(by))
		return err
	})
	if err != nil {
		return DockLink{}, err
	}
	c.caches.changed(append(widened, link.User.ID)...)
	c.wakeMaker()
	return link, c.sessions.end(ctx, revoked, reasonChanged.sentence())
}

// linkLabel names the API key that created a dock link. The link ends with the key. A login that
// was created with the link does not (docs/decisions/0196).
func linkLabel(by Principal) string {
	if by.Kind != KindAPIKey {
		return ""
	}
	return byAPIKey + by.CredentialID
}

// endLinksOf ends the unused dock links of an API key.
func endLinksOf(ctx context.Context, tx Store, key string) error {
	open, err := tx.Credentials(ctx, Match{Kind: kindEnrolment})
	if err != nil {
		return err
	}
	for _, cred := range open {
		if labelOf(cred.Label).apiKey != key {
			continue
		}
		if _, err := tx.DeleteCredentials(ctx,
			Match{Kind: kindEnrolment, ID: cred.ID}); err != nil {
			return err
		}
	}
	return nil
}

func checkLinkGrants(grants []Grant) ([]Grant, error) {
	checked := make([]Grant, 0, len(grants))
	for _, g := range grants {
		g, err := checkGrant(g)
		if err != nil {
			return nil, err
		}
		checked = append(checked, g)
	}
	return checked, nil
}

// renameLinked renames an account after its name has changed in the application.
func (c *Control) renameLinked(
	ctx context.Context, tx Store, by Principal, account Account, name string,
) (Account, error) {
	clean, err := cleanName(clipName(name))
	if err != nil || nameKey(clean) == account.Key {
		return account, nil
	}
	// a numbered form of the same name is kept: "Ana (2)" for Ana
	for n := 2; n <= nameTries; n++ {
		if nameKey(numbered(clean, n)) == account.Key {
			return account, nil
		}
	}
	if account.Name, err = freeUserName(ctx, tx, clean); err != nil {
		return account, err
	}
	account.Key = nameKey(account.Name)
	if err := tx.PutAccount(ctx, account); err != nil {
		return account, err
	}
	e := userEntry(ActionUserChanged, account)
	e.Detail = "name " + account.Name
	return account, c.trail.note(ctx, tx, by, e)
}
