package signal

import "time"

// SetGrace sets the time that a lost socket has to reconnect. Call it before Run.
func (s *Server) SetGrace(d time.Duration) { s.timing.grace = d }
