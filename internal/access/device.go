package access

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	deviceLife = 10 * time.Minute
	// DeviceInterval is how often a dock polls for the approval of its code (RFC 8628 3.2).
	DeviceInterval = 3 * time.Second

	// Letters of user codes: no vowels, so that codes form no words, and no letters that look alike
	// (RFC 8628 6.1). Eight letters make 25 billion codes.
	codeLetters  = "BCDFGHJKLMNPQRSTVWXZ"
	codeLength   = 8
	maxDevices   = 5000 // waiting codes at one time
	maxOfAddress = 20
	codeTries    = 5 // attempts to find a free user code
)

// A DeviceStore stores docks that wait for approval. They are credentials of kind device.
type DeviceStore interface {
	// PutDevice adds a dock. It returns stage.ErrConflict if the dock's user code is taken, and
	// stage.ErrTooMany if too many docks wait, in the dock's network or in total.
	PutDevice(ctx context.Context, cred Credential, limits DeviceLimits) error
	// DeviceByCode finds a dock by its user code.
	DeviceByCode(ctx context.Context, userCode string) (Credential, error)
	// GiveDevice sets the user who approved the dock, and the label of the login that Finish will
	// create for the dock.
	GiveDevice(ctx context.Context, id string, user UserID, label string) error
}

// DeviceLimits limits how many docks wait at the same time.
type DeviceLimits struct {
	Address string // the network of the dock, as the function network returns it
	Of, All int    // how many docks may wait in that network, and in total
	Now     time.Time
}

// A DeviceRequest is a dock that waits for the approval of its code.
type DeviceRequest struct {
	UserCode  string
	Client    Client // the dock that shows the code
	CreatedAt time.Time
	ExpiresAt time.Time
}

// Devices signs in docks by a code that a person approves (RFC 8628).
type Devices struct {
	*trail
	signIns *signIns
}

// Begin starts a sign-in with a code. It returns the code, which a person reads, and a secret,
// which only the calling dock knows.
func (d *Devices) Begin(ctx context.Context, from Client) (DeviceRequest, stage.Secret, error) {
	from, now, secret := cleanClient(from), d.now(), newSecret("")
	cred := Credential{
		ID: stage.NewID(), Kind: kindDevice, Hash: hashOf(secret), CreatedAt: now,
		ExpiresAt: now.Add(deviceLife), Client: from, View: network(from.Address),
	}
	limits := DeviceLimits{Address: cred.View, Of: maxOfAddress, All: maxDevices, Now: now}
	err := stage.ErrConflict
	for try := 0; try < codeTries && errors.Is(err, stage.ErrConflict); try++ {
		cred.Label = newUserCode()
		err = d.store.PutDevice(ctx, cred, limits)
	}
	if errors.Is(err, stage.ErrTooMany) {
		err = stage.Errorf(stage.ErrTooMany,
			"Too many docks wait to be signed in; try again in a minute.").
			WithCode("too_many_codes").WithRetry(time.Minute)
	}
	if err != nil {
		return DeviceRequest{}, stage.Secret{}, err
	}
	return deviceOf(cred), secret, nil
}

func newUserCode() string {
	var b strings.Builder
	for b.Len() < codeLength {
		var raw [1]byte
		rand.Read(raw[:])
		// 240 is the largest multiple of 20 below 256, so that no letter is more likely than
		// another.
		if raw[0] < 240 {
			b.WriteByte(codeLetters[int(raw[0])%len(codeLetters)])
		}
	}
	return b.String()
}

// cleanUserCode returns the code that a person typed, without spaces and hyphens and in upper case.
func cleanUserCode(code string) string {
	keep := func(c rune) rune {
		if strings.ContainsRune(codeLetters, c) {
			return c
		}
		return -1
	}
	if len(code) > 4*codeLength {
		return ""
	}
	return strings.Map(keep, strings.ToUpper(code))
}

func deviceOf(cred Credential) DeviceRequest {
	return DeviceRequest{
		UserCode: cred.Label[:codeLength/2] + "-" + cred.Label[codeLength/2:], Client: cred.Client,
		CreatedAt: cred.CreatedAt, ExpiresAt: cred.ExpiresAt,
	}
}

// Find describes the dock of a user code to the person who may approve it.
func (d *Devices) Find(ctx context.Context, who Principal, userCode string) (DeviceRequest, error) {
	var found DeviceRequest
	err := d.on(ctx, who, userCode, func(_ Store, cred Credential) error {
		found = deviceOf(cred)
		return nil
	})
	return found, err
}

// Approve signs in the dock of a user code as the person who approves it. If an access key or a
// passkey created the login of that person, the dock's login ends with that credential, too.
func (d *Devices) Approve(ctx context.Context, who Principal, userCode string) error {
	return d.on(ctx, who, userCode, func(tx Store, cred Credential) error {
		label := ""
		switch {
		case who.Key != "":
			label = byKey + who.Key
		case who.Passkey != "":
			label = byPasskey + who.Passkey
		case who.origin != "":
			label = fromPasskey + who.origin
		}
		if err := tx.GiveDevice(ctx, cred.ID, who.User.ID, label); err != nil {
			return err
		}
		return d.note(ctx, tx, who, deviceEntry(ActionDeviceApproved, who, cred))
	})
}

// Deny refuses a waiting dock, whose next poll returns access_denied.
func (d *Devices) Deny(ctx context.Context, who Principal, userCode string) error {
	return d.on(ctx, who, userCode, func(tx Store, cred Credential) error {
		_, err := tx.DeleteCredentials(ctx, Match{Kind: kindDevice, ID: cred.ID})
		if err != nil {
			return err
		}
		return d.note(ctx, tx, who, deviceEntry(ActionDeviceDenied, who, cred))
	})
}

// deviceEntry names the dock that was approved or refused, by its address and its program.
func deviceEntry(action Action, who Principal, cred Credential) Entry {
	e := entryAbout(action, who.User)
	e.Detail = cleanText(cred.Client.Address+" "+cred.Client.Agent, 256)
	return e
}

// on finds a waiting dock and acts on it. Wrong codes are throttled like wrong passwords, per
// account that enters them.
func (d *Devices) on(
	ctx context.Context, who Principal, userCode string, act func(Store, Credential) error,
) error {
	if err := who.Require(ScopeAccount); err != nil {
		return err
	}
	var refusal error
	err := d.store.Atomically(ctx, func(tx Store) error {
		refusal = nil
		now := d.now()
		rows, err := readAttempts(ctx, tx, []string{accountBucket("device " + string(who.User.ID))})
		if err != nil {
			return err
		}
		if wait := longestWait(rows, now); wait > 0 {
			refusal = tooMany(wait)
			return nil
		}
		cred, err := tx.DeviceByCode(ctx, cleanUserCode(userCode))
		if errors.Is(err, stage.ErrNotFound) || err == nil &&
			(cred.User != "" || !now.Before(cred.ExpiresAt)) {
			refusal = badUserCode()
			return countFailure(ctx, tx, rows, now)
		}
		if err != nil {
			return err
		}
		return act(tx, cred)
	})
	return cmpErr(err, refusal)
}

func badUserCode() error {
	return stage.Errorf(stage.ErrNotFound,
		"No dock shows this code, or the code is older than 10 minutes. "+
			"Compare it with the dock, or get a new code there.").WithCode("bad_code")
}

// Finish signs in the dock that holds the secret, after a person has approved its code. Until then
// it returns an error with the code authorization_pending (RFC 8628 3.5).
func (d *Devices) Finish(
	ctx context.Context, secret stage.Secret, from Client,
) (Principal, stage.Secret, error) {
	cred, _, err := d.store.Credential(ctx, kindDevice, hashOf(secret))
	if err != nil {
		return Principal{}, stage.Secret{}, notFoundIs(err, deviceGone())
	}
	if !d.now().Before(cred.ExpiresAt) {
		return Principal{}, stage.Secret{}, deviceExpired()
	}
	if cred.User == "" {
		return Principal{}, stage.Secret{}, stage.Errorf(stage.ErrInvalid,
			"The code is not approved yet.").WithCode("authorization_pending")
	}
	cookie := newSecret("")
	var login Principal
	err = d.store.Atomically(ctx, func(tx Store) error {
		used, err := tx.DeleteCredentials(ctx, Match{Kind: kindDevice, ID: cred.ID})
		if err != nil || used == 0 {
			return cmpErr(err, deviceGone())
		}
		account, err := tx.Account(ctx, cred.User)
		if err != nil {
			return notFoundIs(err, deviceGone())
		}
		if err := account.active(); err != nil {
			return err
		}
		if login, err = d.signIns.putFor(ctx, tx, account, cookie, cleanClient(from), cred.View,
			loginLife); err != nil {
			return err
		}
		return d.note(ctx, tx, login, loginEntry(account, "code"))
	})
	if err != nil {
		return Principal{}, stage.Secret{}, err
	}
	return login, cookie, nil
}

func deviceGone() error {
	// The rows of expired codes are deleted, so a code that is not found may also have expired.
	return stage.Errorf(stage.ErrDenied, "The sign-in was refused, or the code was used already or "+
		"is too old; ask for a new one.").WithCode("access_denied")
}

func deviceExpired() error {
	return stage.Errorf(stage.ErrInvalid, "The code is older than 10 minutes; ask for a new one.").
		WithCode("expired_token")
}
