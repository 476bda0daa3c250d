package web

import (
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/stagedoor/stagedoor/internal/access"
	"github.com/stagedoor/stagedoor/internal/stage"
)

const (
	dockSilence = 150 * time.Second // a dock tells its state at least once a minute
	maxDocks    = 16                // of one account
	maxFindings = 64
	maxText     = 500
	maxWord     = 128      // bytes of everything else that a dock tells
	maxDock     = 32 << 10 // bytes of a dock as its pages are told of it
	// An account's docks report a change at once and a state in a while; all of them together may so often.
	dockPace  = 100 * time.Millisecond
	dockBurst = 4 * maxDocks
)

var dockID = regexp.MustCompile(`^[A-Za-z0-9]{8,64}$`)

// putDock keeps what a dock tells of its OBS: the server knows nothing of OBS but this.
func (s *Server) putDock(r *http.Request, who access.Principal) (any, error) {
	in, err := decode[DockState](r)
	if err != nil {
		return nil, err
	}
	id := r.PathValue("dock")
	if !dockID.MatchString(id) {
		return nil, stage.Errorf(stage.ErrInvalid, "A dock is named by 8 to 64 letters and digits.")
	}
	if err := checkDock(in); err != nil {
		return nil, err
	}
	from := s.client(r)
	d := Dock{ID: id, Address: from.Address, Agent: from.Agent, OBS: in.OBS, Live: in.Live, ParticipantID: in.ParticipantID}
	if len(mustJSON(d)) > maxDock {
		return nil, stage.Errorf(stage.ErrTooLarge, "A dock tells at most %d bytes.", maxDock)
	}
	return nil, s.hub.keepDock(who.User.ID, d)
}

// checkDock bounds what is kept of a dock: every page of the account is told all of it.
func checkDock(in DockState) error {
	words := []string{string(in.ParticipantID)}
	if in.OBS != nil {
		words = append(words, in.OBS.Version, in.OBS.WebSocket, in.OBS.Platform, in.OBS.State)
		if err := checkFindings(in.OBS.Findings); err != nil {
			return err
		}
	}
	if slices.ContainsFunc(words, tooLong) {
		return stage.Errorf(stage.ErrInvalid, "A dock tells at most %d bytes of each thing but a finding's text.", maxWord)
	}
	return nil
}

func tooLong(word string) bool { return len(word) > maxWord }

func checkFindings(list []Finding) error {
	if len(list) > maxFindings || slices.ContainsFunc(list, func(f Finding) bool { return len(f.Text) > maxText }) {
		return stage.Errorf(stage.ErrInvalid, "A dock tells at most %d findings of at most %d bytes.", maxFindings, maxText)
	}
	for _, f := range list {
		if tooLong(f.ID) {
			return stage.Errorf(stage.ErrInvalid, "The id of a finding has at most %d bytes.", maxWord)
		}
		if !slices.Contains([]string{"fix", "person", "ok"}, f.Level) {
			return stage.Errorf(stage.ErrInvalid, `The level of a finding is "fix", "person" or "ok", not %q.`, f.Level)
		}
	}
	return nil
}

func (s *Server) removeDock(r *http.Request, who access.Principal) (any, error) {
	s.hub.dropDock(who.User.ID, r.PathValue("dock"))
	return nil, nil
}

func (h *hub) keepDock(who access.UserID, d Dock) error {
	h.mu.Lock()
	if !h.dockPaceOf(who).AllowN(h.now(), 1) {
		h.mu.Unlock()
		return stage.Errorf(stage.ErrTooMany, "The docks of this account report too often; report again in a second.").
			WithCode("too_many_reports").WithRetry(time.Second)
	}
	docks := h.docks[who]
	if docks == nil {
		docks = map[string]*Dock{}
		h.docks[who] = docks
	}
	d.Since = h.now().UTC()
	if old := docks[d.ID]; old != nil {
		d.Since = old.Since
		delete(h.heard, old)
	} else if len(docks) >= maxDocks {
		h.mu.Unlock()
		return stage.Errorf(stage.ErrConflict, "This account has %d docks open. Close one.", maxDocks).WithCode("too_many_docks")
	}
	docks[d.ID] = &d
	h.heard[&d] = h.now()
	h.mu.Unlock()
	h.tellDocks(who)
	return nil
}

// dockPaceOf is how fast the docks of an account reported of late; hub.mu is held. forgetDocks forgets who rested.
func (h *hub) dockPaceOf(who access.UserID) *rate.Limiter {
	if h.paces[who] == nil {
		h.paces[who] = rate.NewLimiter(rate.Every(dockPace), dockBurst)
	}
	return h.paces[who]
}

func (h *hub) dropDock(who access.UserID, id string) {
	h.mu.Lock()
	d := h.docks[who][id]
	if d != nil {
		h.removeDock(who, d)
	}
	h.mu.Unlock()
	if d != nil {
		h.tellDocks(who)
	}
}

// removeDock forgets a dock; hub.mu is held.
func (h *hub) removeDock(who access.UserID, d *Dock) {
	delete(h.heard, d)
	delete(h.docks[who], d.ID)
	if len(h.docks[who]) == 0 {
		delete(h.docks, who)
	}
}

// forgetDocks drops the docks that have gone without a word.
func (h *hub) forgetDocks() {
	h.mu.Lock()
	now := h.now()
	maps.DeleteFunc(h.paces, func(_ access.UserID, p *rate.Limiter) bool { return p.TokensAt(now) >= dockBurst })
	gone := map[access.UserID]bool{}
	for who, docks := range h.docks {
		for _, d := range docks {
			if h.now().Sub(h.heard[d]) > dockSilence {
				h.removeDock(who, d)
				gone[who] = true
			}
		}
	}
	h.mu.Unlock()
	for who := range gone {
		h.tellDocks(who)
	}
}

func (h *hub) docksOf(who access.UserID) []Dock {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.docksNow(who)
}

// docksNow is docksOf with hub.mu held.
func (h *hub) docksNow(who access.UserID) []Dock {
	list := []Dock{}
	for _, d := range h.docks[who] {
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b Dock) int {
		if c := a.Since.Compare(b.Since); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// tellDocks tells the pages of an account which docks are open.
func (h *hub) tellDocks(who access.UserID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.docksFrame(who) // read and told in one: a page never ends with an old list
	for l := range h.listeners {
		if l.who.ID == who {
			h.push(l, f)
		}
	}
}

// tellDocksTo tells a page that was just opened.
func (h *hub) tellDocksTo(l *listener) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listeners[l] {
		h.push(l, h.docksFrame(l.who.ID))
	}
}

// docksFrame is the docks of an account as its pages are told; hub.mu is held.
func (h *hub) docksFrame(who access.UserID) frame {
	return frame{name: "docks", newest: "docks", data: mustJSON(DocksEvent{h.docksNow(who)})}
}
