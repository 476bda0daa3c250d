package stage

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// A View is what a viewing key shows, and all that a token which came from one may receive: a layout of everybody on the
// air, or one person. Empty, it limits nothing: the token did not come from a viewing key.
//
// A person is a user id as it stands. IVS lets a token have any, or none: one that reads like another view is written with
// "user:" before it, and who has none is shown by "participant:" and the participant id.
type View string

// The layouts.
const (
	ViewGrid      View = "grid"
	ViewSpotlight View = "spotlight"
)

const (
	viewUser        = "user:"
	viewParticipant = "participant:"
)

// ParseView reads a view that somebody asks for, and answers the one way to write it.
func ParseView(text string) (View, error) {
	user, isUser := strings.CutPrefix(text, viewUser)
	id, isParticipant := strings.CutPrefix(text, viewParticipant)
	switch {
	case View(text).layout():
		return View(text), nil
	case isParticipant && plain(id):
		return View(text), nil
	// PostgreSQL has no NUL in a text.
	case isParticipant, user == "", !utf8.ValidString(user), utf8.RuneCountInString(user) > MaxUserID, strings.ContainsRune(user, 0):
		return "", Errorf(ErrInvalid, `A view is "grid", "spotlight", the user id of the one who is shown, or "participant:" and a participant id.`)
	case isUser:
		return viewOfUser(user), nil
	}
	return View(text), nil
}

func viewOfUser(id string) View {
	if View(id).layout() || strings.HasPrefix(id, viewUser) || strings.HasPrefix(id, viewParticipant) {
		return View(viewUser + id)
	}
	return View(id)
}

// ViewOf is the view that shows one person.
func ViewOf(p Participant) View {
	if p.UserID == "" {
		return View(viewParticipant + string(p.ID))
	}
	return viewOfUser(p.UserID)
}

// Shows says whether a participant is in the view.
func (v View) Shows(p Participant) bool {
	return v == "" || v.layout() || v == ViewOf(p)
}

func (v View) layout() bool { return slices.Contains([]View{ViewGrid, ViewSpotlight}, v) }

// plain keeps to what a participant id is made of.
func plain(id string) bool {
	return id != "" && len(id) <= MaxUserID && strings.Trim(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
