package sfu

import "github.com/stagedoor/stagedoor/internal/whip"

// FedBack reports whether transport-wide feedback of a viewer has arrived.
func FedBack(session whip.Session) bool {
	b := &session.(*viewer).bandwidth
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.fedBack.IsZero()
}
