package feed

import (
	"bytes"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

// A watched is the state of a stage that pages watch, or that has participants on this replica.
// hub.mu guards it.
type watched struct {
	arn      stage.ARN
	accounts map[*account]struct{}
	pages    map[*Stream]struct{}
	dirty    bool // changed since the last read
	reading  bool
	known    bool // was read, or another replica posted it
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

// text returns the JSON for a viewer. Viewers with SeesReception who are not on the stage
// themselves share one text, and so do all other viewers who are not on it.
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
func (h *hub) StageChanged(arn stage.ARN) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watch(arn).dirty = true // even if no page here watches it: pages of other replicas may
	h.wake()
}

// watch returns the state of a stage, a new one if there is none. The caller holds mu.
func (h *hub) watch(arn stage.ARN) *watched {
	w := h.stages[arn]
	if w == nil {
		w = &watched{
			arn: arn, accounts: map[*account]struct{}{}, pages: map[*Stream]struct{}{},
			dirty: true, others: h.posts[arn], picture: newPicture(arn, nil),
		}
		h.stages[arn] = w
		h.wake()
	}
	return w
}

// tidy removes a stage without watchers and without participants on this replica. The caller holds
// mu.
func (h *hub) tidy(w *watched) {
	if len(w.accounts)+len(w.pages)+len(w.own) == 0 && !w.dirty && !w.reading && !w.wanted {
		delete(h.stages, w.arn)
	}
}

// wake makes the poller read the dirty stages.
func (h *hub) wake() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

func (h *hub) toRead(due func(*watched) bool) (list []*watched) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, w := range h.stages {
		if (w.dirty || due(w)) && !w.reading {
			w.dirty, w.reading = false, true
			list = append(list, w)
		}
	}
	return list
}

// learn ends a read of a stage. It stores the participants on this replica, if the read succeeded.
func (h *hub) learn(w *watched, own []stage.Presence, known bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w.reading = false
	if known {
		w.own = own
		h.show(w)
	}
	if w.dirty { // it changed during the read
		h.wake()
	}
	h.tidy(w)
}

// show sends the presence of a stage to the viewers for whom it changed. The caller holds mu.
func (h *hub) show(w *watched) {
	before, first := w.picture, !w.known
	now := newPicture(w.arn, merge(w.own, w.others))
	everything := Viewer{SeesReception: true}
	if !first && bytes.Equal(before.text(everything), now.text(everything)) {
		return
	}
	w.known, w.picture = true, now
	for a := range w.accounts {
		if !bytes.Equal(before.text(a.viewer), now.text(a.viewer)) {
			h.sendPresence(a, w)
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
func (h *hub) sendPresence(a *account, w *watched) {
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

// take stores the posts of the other replicas, and sends the presence that they changed. The
// parameter `asks` says whether this replica queries Amazon IVS.
func (h *hub) take(posts map[stage.ARN][]stage.Presence, asks bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.posts = posts
	h.want(asks)
	for _, w := range h.stages {
		if others := posts[w.arn]; len(others)+len(w.others) > 0 {
			w.others = others
			h.show(w)
		}
	}
}

// want sets `wanted` for the AWS stages that other replicas watch, if this replica queries Amazon
// IVS, and clears it for all other stages. The caller holds mu.
func (h *hub) want(asks bool) {
	for arn := range h.posts {
		if asks && !arn.Local() {
			h.watch(arn).wanted = true
		}
	}
	for arn, w := range h.stages {
		if _, posted := h.posts[arn]; w.wanted && !(asks && posted) {
			w.wanted = false
			h.tidy(w)
		}
	}
}

// here returns the presence on this replica. It includes every AWS stage that is watched here, even
// one that is empty or that another replica queries.
func (h *hub) here() map[stage.ARN][]stage.Presence {
	h.mu.Lock()
	defer h.mu.Unlock()
	here := map[stage.ARN][]stage.Presence{}
	for arn, w := range h.stages {
		if len(w.own) > 0 || !arn.Local() && len(w.accounts)+len(w.pages) > 0 {
			here[arn] = w.own
		}
	}
	return here
}

// elsewhere returns the presence of a stage on other replicas, which may be a few seconds old.
func (h *hub) elsewhere(arn stage.ARN) (present []stage.Presence, posted bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	present, posted = h.posts[arn]
	return present, posted
}
