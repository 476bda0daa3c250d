package feed

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	presencePace = PostEvery              // how often values such as bitrates are read
	presenceWait = 100 * time.Millisecond // changes within this time are sent together
	// A stage that is empty on this replica reports when a participant joins. So its presence is
	// read rarely: every emptyEvery-th time.
	emptyEvery = 15
)

// A watched is the state of a stage that pages watch, or that has participants on this replica.
// Feed.mu guards it.
type watched struct {
	arn      stage.ARN
	accounts map[*account]struct{}
	pages    map[*Stream]struct{}
	dirty    bool // changed since the last read
	reading  bool
	known    bool // was read at least once
	// wanted marks an AWS stage that pages of another replica watch, so that this replica queries
	// Amazon IVS for it.
	wanted bool
	own    []stage.Presence // participants on this replica
	others []stage.Presence
	picture
}

// A picture is a list of participants, with its JSON for each class of viewers.
type picture struct {
	arn   stage.ARN
	list  []stage.Presence
	users map[access.UserID]struct{} // the users who are on the stage
	texts map[Viewer][]byte
}

func newPicture(arn stage.ARN, list []stage.Presence) picture {
	p := picture{arn: arn, list: list, users: map[access.UserID]struct{}{},
		texts: map[Viewer][]byte{}}
	for _, present := range list {
		p.users[access.UserID(present.Participant.UserID)] = struct{}{}
	}
	return p
}

// text returns the JSON for a viewer. Viewers who are not on the stage themselves share one text.
func (p *picture) text(v Viewer) []byte {
	if v.View != "" {
		v = Viewer{View: v.View}
	} else if _, there := p.users[v.User]; !there {
		v.User = ""
	}
	text := p.texts[v]
	if text == nil {
		text = mustJSON(PresenceEvent{Stage: p.arn, Participants: NewPresences(p.list, v)})
		p.texts[v] = text
	}
	return text
}

// StageChanged is called when a participant joins, leaves or changes on a stage.
func (f *Feed) StageChanged(arn stage.ARN) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watch(arn).dirty = true // even if no page here watches it: pages of other replicas may
	f.wake()
}

// watch returns the state of a stage, a new one if there is none. The caller holds mu.
func (f *Feed) watch(arn stage.ARN) *watched {
	w := f.stages[arn]
	if w == nil {
		w = &watched{
			arn: arn, accounts: map[*account]struct{}{}, pages: map[*Stream]struct{}{},
			dirty: true, others: f.posts[arn], picture: newPicture(arn, nil),
		}
		f.stages[arn] = w
		f.wake()
	}
	return w
}

// tidy removes a stage without watchers and without participants on this replica. The caller holds
// mu.
func (f *Feed) tidy(w *watched) {
	if len(w.accounts)+len(w.pages)+len(w.own) == 0 && !w.dirty && !w.reading && !w.wanted {
		delete(f.stages, w.arn)
	}
}

// wake makes the presence loop read the dirty stages.
func (f *Feed) wake() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

type reader = func(context.Context, stage.ARN) ([]stage.Presence, error)

// runPresence reads and sends presence until ctx ends. Each stage is read in a goroutine of its
// own: a read of an AWS stage can take seconds, and must not delay the other stages.
func (f *Feed) runPresence(ctx context.Context, read reader) error {
	var reads sync.WaitGroup
	defer reads.Wait()
	pace := time.NewTicker(presencePace)
	defer pace.Stop()
	for n := 1; ; {
		select {
		case <-f.changed:
			if !sleep(ctx, presenceWait) {
				return f.withdraw(ctx)
			}
			f.readAll(ctx, &reads, read, func(*watched) bool { return false })
		case <-pace.C:
			every := n%emptyEvery == 0
			f.readAll(ctx, &reads, read, func(w *watched) bool {
				return every || len(w.own) > 0 || !w.arn.Local()
			})
			f.exchange(ctx)
			n++
		case <-ctx.Done():
			return f.withdraw(ctx)
		}
	}
}

// readAll reads the stages that changed, and those that are due. Only one read per stage runs at a
// time, so that no page receives an older presence after a newer one.
func (f *Feed) readAll(
	ctx context.Context, reads *sync.WaitGroup, read reader, due func(*watched) bool,
) {
	for _, w := range f.toRead(due) {
		reads.Go(func() {
			if !w.arn.Local() && !f.asks() {
				f.learn(w, nil, true) // another replica posts the presence of this stage
				return
			}
			present, err := read(ctx, w.arn)
			if err != nil {
				f.cfg.Log.DebugContext(ctx, "presence on a stage is unknown", "stage", w.arn,
					"err", err)
			}
			f.learn(w, present, err == nil)
		})
	}
}

func (f *Feed) toRead(due func(*watched) bool) (list []*watched) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.stages {
		if (w.dirty || due(w)) && !w.reading {
			w.dirty, w.reading = false, true
			list = append(list, w)
		}
	}
	return list
}

// learn ends a read of a stage. It stores the participants on this replica, if the read succeeded.
func (f *Feed) learn(w *watched, own []stage.Presence, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w.reading = false
	if known {
		w.own = own
		f.show(w)
	}
	if w.dirty { // it changed during the read
		f.wake()
	}
	f.tidy(w)
}

// show sends the presence of a stage to the viewers for whom it changed. The caller holds mu.
func (f *Feed) show(w *watched) {
	before, first := w.picture, !w.known
	now := newPicture(w.arn, merge(w.own, w.others))
	everything := Viewer{Operator: true}
	if !first && bytes.Equal(before.text(everything), now.text(everything)) {
		return
	}
	w.known, w.picture = true, now
	for a := range w.accounts {
		if !bytes.Equal(before.text(a.viewer), now.text(a.viewer)) {
			f.sendPresence(a, w)
		}
	}
	for s := range w.pages {
		v := s.viewer()
		if first || !bytes.Equal(before.text(v), now.text(v)) {
			s.presence(w)
		}
	}
}

// sendPresence queues the presence of a stage for the streams of an account. The caller holds mu.
func (f *Feed) sendPresence(a *account, w *watched) {
	for s := range a.streams {
		s.presence(w)
	}
}

// merge joins the participants on this replica and on the others. A participant on several replicas
// is listed once.
func merge(own, others []stage.Presence) []stage.Presence {
	if len(others) == 0 {
		return own
	}
	seen := map[stage.ParticipantID]bool{}
	all := make([]stage.Presence, 0, len(own)+len(others))
	for _, list := range [][]stage.Presence{own, others} {
		for _, p := range list {
			if !seen[p.Participant.ID] {
				seen[p.Participant.ID] = true
				all = append(all, p)
			}
		}
	}
	stage.SortPresences(all)
	return all
}

func (s *Stream) viewer() Viewer { return Viewer{User: s.User, Operator: s.Operator, View: s.View} }

// takePresence renders the dirty stages. The caller holds mu. The first frame of an account is
// complete: a PresencesEvent, even if it is empty.
func (s *Stream) takePresence() Frame {
	dirty, first := s.dirty, !s.begun
	s.dirty, s.begun = nil, true
	v := s.viewer()
	if a := s.feed.accounts[s.User]; a != nil && s.Page == "" {
		v = a.viewer
	}
	texts := make([][]byte, 0, len(dirty))
	for w := range dirty {
		texts = append(texts, w.text(v))
	}
	if len(texts) == 1 && (s.Page != "" || !first) {
		return Frame{Name: "presence", Data: texts[0]}
	}
	head := fmt.Sprintf(`{"complete":%t,"stages":[`, first)
	data := slices.Concat([]byte(head), bytes.Join(texts, []byte(",")), []byte("]}"))
	return Frame{Name: "presences", Data: data}
}

// exchange posts the presence on this replica to the Board, and reads the posts of the other
// replicas.
func (f *Feed) exchange(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, PostEvery)
	defer cancel()
	if err := f.cfg.Shared.Post(ctx, f.replica, f.here()); err != nil {
		f.cfg.Log.DebugContext(ctx, "presence is not sent to the other replicas", "err", err)
	}
	posts, err := f.cfg.Shared.Posts(ctx, f.replica)
	if err != nil {
		f.cfg.Log.DebugContext(ctx, "presence on the other replicas is unknown", "err", err)
		return
	}
	asks := f.asks()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.posts = posts
	f.want(asks)
	for _, w := range f.stages {
		if others := posts[w.arn]; len(others)+len(w.others) > 0 {
			w.others = others
			f.show(w)
		}
	}
}

// want marks the AWS stages that other replicas watch, on the replica that queries Amazon IVS. The
// caller holds mu.
func (f *Feed) want(asks bool) {
	for arn := range f.posts {
		if asks && !arn.Local() {
			f.watch(arn).wanted = true
		}
	}
	for arn, w := range f.stages {
		if _, posted := f.posts[arn]; w.wanted && !(asks && posted) {
			w.wanted = false
			f.tidy(w)
		}
	}
}

// here returns the presence on this replica. It includes every AWS stage that is watched here, even
// one that is empty or that another replica queries.
func (f *Feed) here() map[stage.ARN][]stage.Presence {
	f.mu.Lock()
	defer f.mu.Unlock()
	here := map[stage.ARN][]stage.Presence{}
	for arn, w := range f.stages {
		if len(w.own) > 0 || !arn.Local() && len(w.accounts)+len(w.pages) > 0 {
			here[arn] = w.own
		}
	}
	return here
}

// withdraw removes the post of this replica from the Board.
func (f *Feed) withdraw(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), PostEvery)
	defer cancel()
	return f.cfg.Shared.Post(ctx, f.replica, nil)
}

// elsewhere returns the presence of a stage on other replicas, which may be a few seconds old.
func (f *Feed) elsewhere(arn stage.ARN) (present []stage.Presence, posted bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	present, posted = f.posts[arn]
	return present, posted
}

// Everywhere returns a moderator that also lists the participants on other replicas.
func (f *Feed) Everywhere(here stage.Moderator) stage.Moderator { return everywhere{here, f} }

type everywhere struct {
	stage.Moderator
	feed *Feed
}

// Participants implements stage.Moderator.
func (e everywhere) Participants(ctx context.Context, arn stage.ARN) ([]stage.Presence, error) {
	others, posted := e.feed.elsewhere(arn)
	if posted && !arn.Local() && !e.feed.asks() {
		return others, nil // the replica that queries Amazon IVS has posted them already
	}
	own, err := e.Moderator.Participants(ctx, arn)
	return merge(own, others), err
}
