package access

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

// The throttle counts failures on buckets. Who knocks from an address where that account signed in before has a bucket of
// their own for that account and that address, so that strangers can lock nobody out of their usual place. Everybody else
// shares two buckets: that of the account and that of the address.
//
// Accounts (known or not) and addresses share a fixed number of buckets by their hash: the table cannot be made to grow.
const (
	accountBuckets = 1 << 12
	addressBuckets = 1 << 16
	knownAddresses = 16 // per account
	keepKnown      = 90 * 24 * time.Hour

	accountFree = 5  // failures without a delay
	addressFree = 20 // more of them: an office has one address
	maxDelay    = 15 * time.Minute
	forgetAfter = 24 * time.Hour
)

// A knock is an attempt to sign in that was let through to the comparison of passwords.
type knock struct {
	buckets []string
	home    string // the bucket of this account at this address
	user    UserID
}

// knock counts an attempt as a failure before it is known, so that a thousand at the same moment are a thousand failures.
func (c *Control) knock(ctx context.Context, key string, user UserID, from Client) (knock, error) {
	k := knock{user: user, home: homeBucket(user, from.Address)}
	now := c.Now()
	var wait time.Duration
	err := c.Store.Atomically(ctx, func(tx Store) error {
		rows, err := k.rows(ctx, tx, key, from.Address)
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
	return k, err
}

// backToNow moves failures that lie in the future: the clock was set back, and the wait would else not begin to pass until it
// is as late again.
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

// rows reads the rows that this knock counts on.
func (k *knock) rows(ctx context.Context, tx Store, key, address string) ([]Attempts, error) {
	k.buckets = []string{k.home}
	home, err := tx.Attempts(ctx, k.home)
	if err == nil {
		return []Attempts{home}, nil
	}
	if !errors.Is(err, stage.ErrNotFound) {
		return nil, err
	}
	k.buckets = []string{accountBucket(key), addressBucket(address)}
	return readAttempts(ctx, tx, k.buckets)
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

// succeeded takes the failure back that knock had counted, and makes the address one that is known for the account.
// It leaves the other failures of the shared buckets: else one's own account would buy guesses at another.
func (c *Control) succeeded(ctx context.Context, k knock) error {
	now := c.Now()
	return c.Store.Atomically(ctx, func(tx Store) error {
		rows, err := readAttempts(ctx, tx, k.buckets)
		if err != nil {
			return err
		}
		for _, row := range rows {
			row.Failures = max(0, row.Failures-1)
			if err := tx.PutAttempts(ctx, row); err != nil {
				return err
			}
		}
		return welcome(ctx, tx, k.user, k.home, now)
	})
}

// welcome makes an address known for an account, with no failures.
func welcome(ctx context.Context, tx Store, user UserID, home string, now time.Time) error {
	if err := tx.PutAttempts(ctx, Attempts{Bucket: home, User: user, At: now}); err != nil {
		return err
	}
	return tx.TrimAttempts(ctx, user, knownAddresses)
}

func tooMany(wait time.Duration) error {
	return stage.Errorf(stage.ErrTooMany, "Too many failed attempts; try again in %s.", inWords(wait)).
		WithCode("too_many_attempts").WithRetry(wait)
}

func longestWait(rows []Attempts, now time.Time) time.Duration {
	var wait time.Duration
	for _, row := range rows {
		since := max(0, now.Sub(row.At)) // of a failure in the future: a clock was set back, or another replica's is ahead
		wait = max(wait, delay(row)-since)
	}
	return wait
}

// delay grows from one second to the maximum, doubling with every failure past the free ones.
func delay(row Attempts) time.Duration {
	free := accountFree
	if isAddressBucket(row.Bucket) {
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
func isAddressBucket(bucket string) bool {
	return len(bucket) > len(addressPrefix) && bucket[:len(addressPrefix)] == addressPrefix
}
func homeBucket(user UserID, address string) string {
	return fmt.Sprint("home ", user, " ", network(address))
}

func slot(text string, of uint64) uint64 {
	sum := sha256.Sum256([]byte(text))
	return binary.BigEndian.Uint64(sum[:8]) % of
}

// network is what one stranger can be told by: an IPv4 address, or the /64 that a single customer of IPv6 gets (RFC 6177).
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

// inWords says how long, rounded up, as people say it.
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
