package signal

import "time"

// SetGrace shortens the grace of lost sockets. Call it before Run.
func (s *Server) SetGrace(d time.Duration) { s.timing.grace = d }
