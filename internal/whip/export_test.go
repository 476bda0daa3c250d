package whip

// Negotiating is how many knocks are with the media plane.
func (h *Handler) Negotiating() int {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return len(h.sessions.negotiating)
}

// Sessions is how many are kept.
func (h *Handler) Sessions() int {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	return len(h.sessions.bySecret)
}

// Addresses is how many the throttle remembers.
func (h *Handler) Addresses() int {
	h.knocks.mu.Lock()
	defer h.knocks.mu.Unlock()
	return len(h.knocks.limited)
}
