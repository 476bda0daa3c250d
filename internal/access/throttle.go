package access

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// A throttle counts failed sign-ins in buckets. A browser that has signed in to the account before
// has a bucket of its own for that account. So has a network from which the account has signed in
// before. All other sign-ins count on two shared buckets: one for the account and one for the
// network.
//
// An attacker therefore cannot lock a user out of browsers and networks that the user has used
// before. People behind the same address cannot lock the user out of such browsers.
//
// Accounts, existing or not, and networks are hashed to a fixed number of buckets, so that the
// table cannot grow.
type throttle struct {
	store Store
	now   func() time.Time
	log   *slog.Logger // may be nil
}

const (
	accountBuckets = 1 << 12
	addressBuckets = 1 << 16
	knownPlaces    = 32 // browsers and networks of one account
	keepKnown      = 90 * 24 * time.Hour

	accountFree = 5  // failures of an account without a delay
	addressFree = 20 // failures of a network without a delay; an office may share one address
	maxDelay    = 15 * time.Minute
	forgetAfter = 24 * time.Hour
)

// An attempt is a sign-in whose password is being compared.
type attempt struct {
	user    UserID
	from    Client
	buckets []string // IDs of the buckets on which it counts
}

// begin counts an attempt as a failure before its password is compared, so that a thousand
// concurrent attempts count as a thousand failures.
func (t *throttle) begin(
	ctx context.Context, key string, user UserID, from Client,
) (attempt, error) {
	a := attempt{user: user, from: from}
	now := t.now()
	var wait time.Duration
	err := t.store.Atomically(ctx, func(tx Store) error {
		rows, err := a.rows(ctx, tx, key)
		if err != nil {
			return err
		}
		if wait = longestWait(rows, now); wait > 0 {
			return backToNow(ctx, tx, rows, now)
		}
		return countFailure(ctx, tx, rows, now)
	})
	if err == nil && wait > 0 {
		err = tooMany(wait)
	}
	return a, err
}

// backToNow sets failures whose time is in the future to now. Otherwise, after the clock was set
// back, the wait would last until that time.
func backToNow(ctx context.Context, tx Store, rows []Attempts, now time.Time) error {
	for _, row := range rows {
		if !row.At.After(now) {
			continue
		}
		row.At = now
		if err := tx.PutAttempts(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// rows reads the buckets of an attempt: the bucket of a known browser, or else of a known network,
// or else both shared buckets.
func (a *attempt) rows(ctx context.Context, tx Store, key string) ([]Attempts, error) {
	for _, known := range a.from.places(a.user) {
		row, err := tx.Attempts(ctx, known)
		if err == nil {
			a.buckets = []string{known}
			return []Attempts{row}, nil
		}
		if !errors.Is(err, stage.ErrNotFound) {
			return nil, err
		}
	}
	a.buckets = []string{accountBucket(key), addressBucket(a.from.Address)}
	return readAttempts(ctx, tx, a.buckets)
}

// knows reports whether a user has signed in before with the client's browser or from its network.
// It reads the same number of rows for an unknown name, so that the time is the same.
func (t *throttle) knows(ctx context.Context, user UserID, from Client) (bool, error) {
	for _, place := range from.places(user) {
		_, err := t.store.Attempts(ctx, place)
		if err == nil || !errors.Is(err, stage.ErrNotFound) {
			return err == nil, err
		}
	}
	return false, nil
}

func readAttempts(ctx context.Context, tx Store, buckets []string) ([]Attempts, error) {
	rows := make([]Attempts, 0, len(buckets))
	for _, bucket := range buckets {
		row, err := tx.Attempts(ctx, bucket)
		if err != nil && !errors.Is(err, stage.ErrNotFound) {
			return nil, err
		}
		row.Bucket = bucket
		rows = append(rows, row)
	}
	return rows, nil
}

func countFailure(ctx context.Context, tx Store, rows []Attempts, now time.Time) error {
	for _, row := range rows {
		if now.Sub(row.At) > forgetAfter {
			row.Failures = 0
		}
		row.Failures++
		row.At = now
		if err := tx.PutAttempts(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// undo removes the failure that `begin` has counted.
func (a attempt) undo(ctx context.Context, tx Store) error {
	rows, err := readAttempts(ctx, tx, a.buckets)
	if err != nil {
		return err
	}
	for _, row := range rows {
		row.Failures = max(0, row.Failures-1)
		if err := tx.PutAttempts(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

// succeeded removes the failure of the attempt, and makes the browser and the network known for the
// account. It keeps the other failures of shared buckets: otherwise an attacker could get more
// guesses at an account by signing in to their own. If the browser was known, it also keeps the
// failures of the network, from which another person may be guessing.
func (t *throttle) succeeded(ctx context.Context, a attempt) error {
	now := t.now()
	return t.store.Atomically(ctx, func(tx Store) error {
		if err := a.undo(ctx, tx); err != nil {
			return err
		}
		places := a.from.places(a.user)
		if byBrowser := len(places) > 1 && a.buckets[0] == places[0]; byBrowser {
			_, err := tx.Attempts(ctx, places[1])
			if err == nil {
				places = places[:1]
			} else if !errors.Is(err, stage.ErrNotFound) {
				return err
			}
		}
		return makeKnown(ctx, tx, a.user, places, now)
	})
}

func makeKnown(ctx context.Context, tx Store, user UserID, places []string, now time.Time) error {
	for _, place := range places {
		if err := tx.PutAttempts(ctx, Attempts{Bucket: place, User: user, At: now}); err != nil {
			return err
		}
	}
	return tx.TrimAttempts(ctx, user, knownPlaces)
}

// abandoned removes the failure of an attempt whose password was not compared.
func (t *throttle) abandoned(ctx context.Context, a attempt) {
	ctx = context.WithoutCancel(ctx)
	err := t.store.Atomically(ctx, func(tx Store) error { return a.undo(ctx, tx) })
	if err != nil && t.log != nil {
		t.log.WarnContext(ctx, "a sign-in that was not finished counts as a failure", "user",
			a.user, "err", err)
	}
}

// warn logs a sign-in that was refused before its password was compared.
func (t *throttle) warn(ctx context.Context, account Account, from Client, err error) {
	if errors.Is(err, stage.ErrTooMany) && t.log != nil {
		t.log.WarnContext(ctx, "sign-in throttled", "user", account.ID, "from", from.Address,
			"err", err)
	}
}

// welcome makes the browser and the network of a client known for an account whose password the
// client has just set.
func welcome(ctx context.Context, tx Store, user UserID, from Client, now time.Time) error {
	return makeKnown(ctx, tx, user, from.places(user), now)
}

// places returns the buckets of a client that is known for an account: one for its network, and one
// for its browser if the request had the browser's cookie.
func (c Client) places(user UserID) []string {
	network := fmt.Sprint("home ", user, " ", network(c.Address))
	if c.Browser.Empty() {
		return []string{network}
	}
	sum := sha256.Sum256([]byte(c.Browser.Reveal()))
	return []string{fmt.Sprint("browser ", user, " ", hex.EncodeToString(sum[:16])), network}
}

func tooMany(wait time.Duration) error {
	return stage.Errorf(stage.ErrTooMany, "Too many failed attempts; try again in %s.",
		inWords(wait)).
		WithCode("too_many_attempts").WithRetry(wait)
}

func longestWait(rows []Attempts, now time.Time) time.Duration {
	var wait time.Duration
	for _, row := range rows {
		// The failure may be in the future, because a clock was set back or another replica's clock
		// is ahead.
		since := max(0, now.Sub(row.At))
		wait = max(wait, delay(row)-since)
	}
	return wait
}

// delay returns how long the next attempt must wait. There is no wait until the free failures are
// used up. Then it is one second, and it doubles with every further failure up to maxDelay.
func delay(row Attempts) time.Duration {
	free := accountFree
	if strings.HasPrefix(row.Bucket, addressPrefix) {
		free = addressFree
	}
	past := row.Failures - free
	switch {
	case past < 0:
		return 0
	case past > 10: // 2^10 s is past the maximum
		return maxDelay
	}
	return min(maxDelay, time.Second<<past)
}

const addressPrefix = "address "

func accountBucket(key string) string { return fmt.Sprint("account ", slot(key, accountBuckets)) }

func addressBucket(address string) string {
	return fmt.Sprint(addressPrefix, slot(network(address), addressBuckets))
}

// codeBucket counts the wrong enrolment codes of a network, apart from its wrong passwords.
func codeBucket(address string) string {
	return fmt.Sprint(addressPrefix, "code ", slot(network(address), addressBuckets))
}

func slot(text string, of uint64) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:8]) % of
}

// network returns the IPv4 address, or the /64 network that one customer of IPv6 gets (RFC 6177).
func network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		port, err := netip.ParseAddrPort(address)
		if err != nil {
			return cleanText(address, 64)
		}
		ip = port.Addr()
	}
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return ip.String()
	}
	return prefix.String()
}

// inWords returns a duration in words, rounded up.
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= 2*unit.size || d == unit.size {
			return count(math.Ceil(float64(d)/float64(unit.size)), unit.name)
		}
	}
	return count(max(1, math.Ceil(d.Seconds())), "second")
}

func count(n float64, unit string) string {
	if n == 1 {
		return "1 " + unit
	}
	return fmt.Sprintf("%.0f %ss", n, unit)
}
