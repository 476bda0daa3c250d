package keys

import (
	"context"
	"crypto"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
	"github.com/stagedoor/stagedoor/internal/token"
	"github.com/stagedoor/stagedoor/internal/words"
)

// A Router issues the tokens of AWS stages. If there is a usable own key for the stage's account
// and region, that key signs them; otherwise the API issues them. The Router checks the list of
// keys for every token, so that a new or rotated key takes effect at once.
type Router struct {
	Keys         *Manager
	API          stage.Issuer
	Endpoints    func(context.Context, stage.ARN) (stage.Endpoints, error)
	WHIPEndpoint func(stage.Endpoints) string
	Now          func() time.Time
	// None says why a stage has no own key, where `where` names its account and region. By default,
	// Why says that `stagedoor keys create` makes one.
	None func(arn stage.ARN, where string) string
}

var _ stage.Issuer = (*Router)(nil)

// IssueToken chooses the issuer, and returns its token.
func (r *Router) IssueToken(
	ctx context.Context, req stage.TokenRequest,
) (stage.ParticipantToken, error) {
	if err := req.Validate(); err != nil {
		return stage.ParticipantToken{}, err
	}
	k, signer, err := r.Keys.signer(ctx, req.Stage, r.Now().Add(req.TTL), req.TTL)
	if err != nil {
		r.Keys.cfg.Log.WarnContext(ctx,
			"an own key cannot be used; the AWS API issues the tokens instead",
			"stage",
			req.Stage, "err", err)
	}
	if signer == nil {
		return r.API.IssueToken(ctx, req)
	}
	own := token.Signer{
		Key: signer, KeyID: k.ARN, Endpoints: r.Endpoints, Now: r.Now, WHIPEndpoint: r.WHIPEndpoint,
	}
	made, err := own.IssueToken(ctx, req)
	if err == nil {
		made.IssuedBy = "own key " + k.ARN
	}
	return made, err
}

// Why returns the issuer of a stage and the reason, for the operator.
func (r *Router) Why(ctx context.Context, arn stage.ARN) string {
	where := words.English("said.issuer.where",
		words.Values{"region": arn.Region(), "account": arn.Account()})
	k, found, err := r.Keys.active(arn)
	switch {
	case err != nil:
		return words.English("said.issuer.unread", nil)
	case !found && r.None != nil:
		return r.None(arn, where)
	case !found:
		return words.English("said.issuer.none", words.Values{"where": where})
	}
	if _, err := r.Keys.load(ctx, k); err != nil {
		return words.English("said.issuer.unusable", words.Values{"key": k.Name, "error": err})
	}
	signed := "said.issuer.own"
	if k.KMS != "" {
		signed = "said.issuer.kms"
	}
	return words.English(signed, words.Values{"key": k.Name, "where": where})
}

// signer returns the active key of the stage's account and region for a token with a certain
// expiry, or nil. It stores the expiry before the token is signed, so that the key is not deleted
// too soon.
func (m *Manager) signer(
	ctx context.Context, arn stage.ARN, expires time.Time, ttl time.Duration,
) (Key, crypto.Signer, error) {
	for range 3 { // a rotation may happen meanwhile
		k, found, err := m.active(arn)
		if err != nil || !found {
			return k, nil, err
		}
		private, err := m.load(ctx, k)
		if err != nil {
			return k, nil, err
		}
		if !expires.After(k.LastExpiry) {
			return k, private, nil
		}
		// The stored expiry is later than needed, by a tenth of the token's life. So the file
		// changes only about ten times within such a life, for any number of tokens.
		if err := m.extend(ctx, k.Name, expires.Add(ttl/10+time.Second)); err == nil {
			return k, private, nil
		} else if !errors.Is(err, errRetired) {
			return k, nil, err
		}
	}
	return Key{}, nil, nil
}

var errRetired = errors.New("the key has been retired")

func (m *Manager) extend(ctx context.Context, name string, until time.Time) error {
	return m.update(ctx, func(s *state) error {
		k := s.find(name)
		if k == nil || k.State != StateActive {
			return errRetired
		}
		if until.After(k.LastExpiry) {
			k.LastExpiry = until.UTC().Truncate(time.Second).Add(time.Second)
		}
		return nil
	})
}

// active returns the active key of the stage's account and region.
func (m *Manager) active(arn stage.ARN) (Key, bool, error) {
	s, err := m.view()
	if err != nil {
		return Key{}, false, err
	}
	for _, k := range s.Keys {
		if k.State == StateActive && k.Region == arn.Region() && k.Account() == arn.Account() {
			return k, true, nil
		}
	}
	return Key{}, false, nil
}

// view returns the list of keys. It reads the file only if the file has changed. Every write
// creates a new file, so `view` recognizes a change by the identity of the file.
func (m *Manager) view() (state, error) {
	info, err := os.Stat(m.path())
	if errors.Is(err, fs.ErrNotExist) {
		return state{}, nil
	}
	if err != nil {
		return state{}, stage.Errorf(stage.ErrUnavailable,
			"the list of own keys, %s, cannot be read", m.path()).WithCause(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.info != nil && os.SameFile(m.info, info) && m.info.ModTime().Equal(info.ModTime()) {
		return m.known, nil
	}
	s, err := m.read()
	if err != nil {
		return state{}, err
	}
	m.known, m.info = s, info
	return s, nil
}

// load returns the private half of a key, from memory if it was loaded before.
func (m *Manager) load(ctx context.Context, k Key) (crypto.Signer, error) {
	m.mu.Lock()
	private := m.signers[k.Name]
	m.mu.Unlock()
	if private != nil {
		return private, nil
	}
	private, err := m.private(ctx, k)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.signers[k.Name] = private
	return private, nil
}
