package whip

// Negotiating returns the number of sessions that are being negotiated.
func (h *Handler) Negotiating() int {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return len(h.sessions.negotiating)
}

// Sessions returns the number of sessions.
func (h *Handler) Sessions() int {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return len(h.sessions.bySecret)
}
