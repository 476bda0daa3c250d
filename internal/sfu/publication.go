package sfu

import (
	"slices"
	"sync"
	"time"

	"github.com/stagedoor/stagedoor/internal/stage"
)

type publicationKey struct {
	stage stage.ARN
	id    stage.ParticipantID
}

// A publication is the media that a participant sends to a stage. It outlives the session that
// carries it: when the publisher reconnects or publishes from another place, the viewers continue
// with the new session.
type publication struct {
	sfu *SFU
	key publicationKey

	mu      sync.Mutex
	source  *publisher  // nil while there is no publisher
	left    time.Time   // when the last source left
	viewers [][]*viewer // by sender; the inner slices are replaced and never changed
}

func newPublication(s *SFU, key publicationKey) *publication {
	return &publication{sfu: s, key: key, viewers: make([][]*viewer, len(s.senders))}
}

func (pub *publication) hasSource() bool { return pub.currentSource() != nil }

func (pub *publication) currentSource() *publisher {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.source
}

func (pub *publication) layered() bool {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.source != nil && len(pub.source.plan.video.rids()) > 1
}

// setSource sets the source, and returns the previous one.
func (pub *publication) setSource(p *publisher) (earlier *publisher) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	earlier, pub.source = pub.source, p
	return earlier
}

func (pub *publication) dropSource(p *publisher) {
	now := pub.sfu.cfg.Now()
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if pub.source == p {
		pub.source, pub.left = nil, now
	}
}

// join assigns the viewer to the sender with the fewest viewers of this publication.
func (pub *publication) join(v *viewer) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	least := 0
	for i := range pub.viewers {
		if len(pub.viewers[i]) < len(pub.viewers[least]) {
			least = i
		}
	}
	v.sender = pub.sfu.senders[least]
	pub.viewers[least] = append(slices.Clone(pub.viewers[least]), v)
}

func (pub *publication) leave(v *viewer) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	list := &pub.viewers[v.sender.index]
	*list = slices.DeleteFunc(slices.Clone(*list), func(other *viewer) bool { return other == v })
}

func (pub *publication) viewersOf(sender int) []*viewer {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.viewers[sender]
}

func (pub *publication) everyViewer() []*viewer {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return slices.Concat(pub.viewers...)
}

// deserted reports whether the publication has no source, and no viewer that may still wait for
// one.
func (pub *publication) deserted(now time.Time, linger time.Duration) bool {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if pub.source != nil {
		return false
	}
	watched := slices.ContainsFunc(pub.viewers, func(list []*viewer) bool { return len(list) > 0 })
	return !watched || now.Sub(pub.left) > linger
}
