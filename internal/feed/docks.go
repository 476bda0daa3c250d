package feed

import (
	"bytes"
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/bounded"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	dockSilence = 150 * time.Second // a dock reports at least once a minute
	dockSweep   = 5 * time.Second   // how often silent docks are removed
	maxDocks    = 16                // of one account
	maxFindings = 64
	maxText     = 500
	maxWord     = 128      // bytes of any other field of a report
	maxDock     = 32 << 10 // bytes of a dock's state as JSON
	// A dock reports each change at once, and its state regularly. dockPace and dockBurst limit the
	// reports of all docks of an account together.
	dockPace  = 100 * time.Millisecond
	dockBurst = 4 * maxDocks
	maxPaces  = 10_000
	// Every page of an account receives each dock that changes. So the reports of an account cause
	// bytes for each of its pages. These constants limit those bytes: in a burst, and per second.
	dockBytesAtOnce    = 1 << 20
	dockBytesPerSecond = 64 << 10
)

var dockID = regexp.MustCompile(`^[A-Za-z0-9]{8,64}$`)

// Docks keeps the open docks of accounts, with the state of OBS that each dock reports. The pages
// of the account receive that state, and operators can read it.
type Docks struct {
	feed  *Feed
	store DockStore
	paces bounded.Map[access.UserID, *dockPaces]
}

// dockPaces limit the reports of an account, and the bytes that its pages receive because of them.
type dockPaces struct{ reports, bytes *rate.Limiter }

// NewDocks returns the docks of a feed.
func NewDocks(f *Feed) *Docks {
	return &Docks{feed: f, store: f.cfg.Shared, paces: bounded.Map[access.UserID, *dockPaces]{
		Max: maxPaces, Life: dockBytesAtOnce / dockBytesPerSecond * time.Second,
	}}
}

// Put stores the report of a dock, and sets its Since.
func (d *Docks) Put(ctx context.Context, user access.UserID, dock Dock) error {
	if err := check(dock); err != nil {
		return err
	}
	now := d.feed.cfg.Now()
	if !d.allow(user, now, func(p *dockPaces) *rate.Limiter { return p.reports }, 1) {
		return tooManyReports(time.Second)
	}
	docks, err := d.store.Docks(ctx, user)
	if err != nil {
		return err
	}
	dock.Since = now.UTC()
	i := slices.IndexFunc(docks[user], func(other Dock) bool { return other.ID == dock.ID })
	if i < 0 && len(docks[user]) >= maxDocks {
		return stage.Errorf(stage.ErrConflict, "This account has %d docks open. Close one.",
			maxDocks).
			WithCode("too_many_docks")
	}
	if i >= 0 {
		dock.Since = docks[user][i].Since
	}
	changed := i < 0 || !bytes.Equal(mustJSON(docks[user][i]), mustJSON(dock))
	if changed {
		size := len(mustJSON(dock))
		if !d.allow(user, now, func(p *dockPaces) *rate.Limiter { return p.bytes }, size) {
			return tooManyReports(time.Duration(1+size/dockBytesPerSecond) * time.Second)
		}
	}
	if err := d.store.PutDock(ctx, user, dock, now); err != nil {
		return err
	}
	if changed {
		d.feed.send(Notice{Kind: KindDocks, User: user})
	}
	return nil
}

func tooManyReports(wait time.Duration) error {
	return stage.Errorf(stage.ErrTooMany,
		"The docks of this account report too often; report again in a second.").
		WithCode("too_many_reports").WithRetry(wait)
}

// allow takes n from the chosen rate limit of an account, and reports whether the limit allows it.
func (d *Docks) allow(
	user access.UserID, now time.Time, which func(*dockPaces) *rate.Limiter, n int,
) (ok bool) {
	d.paces.Update(user, now, func(p *dockPaces, found bool) *dockPaces {
		if !found {
			p = &dockPaces{
				reports: rate.NewLimiter(rate.Every(dockPace), dockBurst),
				bytes:   rate.NewLimiter(dockBytesPerSecond, dockBytesAtOnce),
			}
		}
		ok = which(p).AllowN(now, n)
		return p
	})
	return ok
}

// Delete removes a dock that was closed.
func (d *Docks) Delete(ctx context.Context, user access.UserID, id string) error {
	found, err := d.store.DeleteDock(ctx, user, id)
	if found {
		d.feed.send(Notice{Kind: KindDocks, User: user})
	}
	return err
}

// Of returns the open docks of a user, the oldest first.
func (d *Docks) Of(ctx context.Context, user access.UserID) ([]Dock, error) {
	docks, err := d.store.Docks(ctx, user)
	return inOrder(docks[user]), err
}

// All returns the open docks of all users.
func (d *Docks) All(ctx context.Context) (map[access.UserID][]Dock, error) {
	docks, err := d.store.Docks(ctx, "")
	for user := range docks {
		docks[user] = inOrder(docks[user])
	}
	return docks, err
}

func inOrder(docks []Dock) []Dock {
	slices.SortFunc(docks, func(a, b Dock) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return docks
}

// Run removes silent docks until ctx ends.
func (d *Docks) Run(ctx context.Context) error {
	for sleep(ctx, dockSweep) {
		gone, err := d.store.ExpireDocks(ctx, d.feed.cfg.Now().Add(-dockSilence))
		if err != nil && ctx.Err() == nil {
			d.feed.cfg.Log.WarnContext(ctx, "docks that sent no report are not removed", "err", err)
		}
		for _, user := range gone {
			d.feed.send(Notice{Kind: KindDocks, User: user})
		}
	}
	return nil
}

// check limits the size of a dock's report, since every page of the account receives the whole
// report.
func check(d Dock) error {
	if !dockID.MatchString(d.ID) {
		return stage.Errorf(stage.ErrInvalid, "The ID of a dock must have 8 to 64 letters and "+
			"digits.")
	}
	words := []string{string(d.ParticipantID)}
	if d.OBS != nil {
		words = append(words, d.OBS.Version, d.OBS.WebSocket, d.OBS.Platform, d.OBS.State)
		if err := checkFindings(d.OBS.Findings); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(words, tooLong) {
		return stage.Errorf(stage.ErrInvalid,
			"Each field of a dock's report but a finding's text must have at most %d bytes.",
			maxWord)
	}
	if len(mustJSON(d)) > maxDock {
		return stage.Errorf(stage.ErrTooLarge, "The report of a dock must have at most %d "+
			"bytes.", maxDock)
	}
	return nil
}

func tooLong(word string) bool { return len(word) > maxWord }

func checkFindings(list []Finding) error {
	long := func(f Finding) bool { return len(f.Text) > maxText }
	if len(list) > maxFindings || slices.ContainsFunc(list, long) {
		return stage.Errorf(stage.ErrInvalid,
			"A dock may report at most %d findings of at most %d bytes each.", maxFindings, maxText)
	}
	for _, f := range list {
		if tooLong(f.ID) {
			return stage.Errorf(stage.ErrInvalid,
				"The id of a finding must have at most %d bytes.", maxWord)
		}
		if !slices.Contains([]string{"fix", "person", "ok"}, f.Level) {
			return stage.Errorf(stage.ErrInvalid,
				`The level of a finding must be "fix", "person" or "ok", not %q.`, f.Level)
		}
	}
	return nil
}
