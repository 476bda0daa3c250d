package whip

// Negotiating returns how many sessions negotiate.
func (h *Handler) Negotiating() int {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return len(h.sessions.negotiating)
}

// Sessions returns how many sessions there are.
func (h *Handler) Sessions() int {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return len(h.sessions.bySecret)
}
