package web

import (
	"crypto/sha256"

	"github.com/stagedoor/stagedoor/internal/feed"
)

// sentDocks are hashes of the docks that one page has received, by dock ID. By these hashes,
// unchanged docks are not sent again. This matters because a dock may have 32 KB, and an account 16
// docks and 64 open pages.
type sentDocks map[string][sha256.Size]byte

// news returns the frames that bring a page up to date: the first time all docks, later the docks
// that have changed or were closed.
func (s *sentDocks) news(docks []feed.Dock) []feed.Frame {
	now := make(sentDocks, len(docks))
	var frames []feed.Frame
	for _, dock := range docks {
		text := mustJSON(dock)
		now[dock.ID] = sha256.Sum256(text)
		if before, known := (*s)[dock.ID]; !known || before != now[dock.ID] {
			frames = append(frames, feed.Frame{Name: "dock", Data: text})
		}
	}
	for id := range *s {
		if _, open := now[id]; !open {
			frames = append(frames, feed.Frame{
				Name: "dock_closed", Data: mustJSON(feed.DockClosed{ID: id}),
			})
		}
	}
	if *s == nil {
		frames = []feed.Frame{{Name: "docks", Data: mustJSON(feed.DocksEvent{Docks: docks})}}
	}
	*s = now
	return frames
}
