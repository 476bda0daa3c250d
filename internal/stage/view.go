package stage

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A View is what a viewing key shows, and what its tokens may receive: a layout of all publishers,
// or one participant. The empty view belongs to all other tokens and has no limits.
//
// The view of one participant is the participant's user ID. IVS allows any user ID in a token, or
// none. If a user ID looks like another view, the view is "user:" followed by the user ID. Without
// a user ID, the view is "participant:" followed by the participant ID.
type View string

// The views that show all publishers.
const (
	ViewGrid      View = "grid"
	ViewSpotlight View = "spotlight"
)

const (
	viewUser        = "user:"
	viewParticipant = "participant:"
)

// ParseView reads a view from a request and returns its canonical form.
func ParseView(text string) (View, error) {
	user, isUser := strings.CutPrefix(text, viewUser)
	id, isParticipant := strings.CutPrefix(text, viewParticipant)
	switch {
	case View(text).layout():
		return View(text), nil
	case isParticipant && ParticipantID(id).Valid():
		return View(text), nil
	case isParticipant, !validUser(user):
		return "", Errorf(ErrInvalid, `A view is "grid", "spotlight", the user ID of `+
			`a participant, or "participant:" and a participant ID.`)
	case isUser:
		return viewOfUser(user), nil
	}
	return View(text), nil
}

// validUser reports whether a text can be a user ID. NUL is not allowed, because PostgreSQL cannot
// store it in a text.
func validUser(id string) bool {
	return id != "" && utf8.ValidString(id) && utf8.RuneCountInString(id) <= MaxUserID &&
		!strings.ContainsRune(id, 0)
}

func viewOfUser(id string) View {
	if View(id).layout() || strings.HasPrefix(id, viewUser) ||
		strings.HasPrefix(id, viewParticipant) {
		return View(viewUser + id)
	}
	return View(id)
}

// viewOf returns the view that shows one participant.
func viewOf(p Participant) View {
	if p.UserID == "" {
		return View(viewParticipant + string(p.ID))
	}
	return viewOfUser(p.UserID)
}

// Shows reports whether a participant is in the view.
func (v View) Shows(p Participant) bool {
	return v == "" || v.layout() || v == viewOf(p)
}

func (v View) layout() bool { return slices.Contains([]View{ViewGrid, ViewSpotlight}, v) }
